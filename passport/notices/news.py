"""Whether there is anything in a record that its patient has not seen. Reads; writes nothing."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from passport.access import Basis
from passport.access.scope import linked, records_of, scope_for, visible
from passport.corrections import State
from passport.history.news import PAGES
from passport.models import AuditEvent, CorrectionRequest, Link, NewsNotice, Patient
from passport.models.record import Category

#: link id → [moment from which its records are news, config_version of its hospital then]
Baselines = Mapping[str, list[Any]]
#: What a hospital says to a request of the patient is news too.
ANSWERS = (State.ANSWERED, State.DECLINED, State.CHANGED)


def baselines(*, patient: Patient, known: Baselines) -> dict[str, list[Any]]:
    """From when on each hospital's records are news: after its first reading, and after a reading under settings of
    ours that are new. A link that was not read yet has none.
    """
    found: dict[str, list[Any]] = {}
    for link in linked(patient.pk).filter(refreshed_at__isnull=False):
        before = known.get(str(link.pk))
        if before is not None and before[1] == link.fresh_config_version:
            found[str(link.pk)] = list(before)
        elif link.refreshed_at is not None:
            found[str(link.pk)] = [link.refreshed_at.isoformat(), link.fresh_config_version]
    return found


def has_news(*, notice: NewsNotice, now: dt.datetime) -> bool:
    """Whether something came in, or was answered, that this patient was not told of and has not looked at since.

    Sensitive sets do not count. Visits alone, which are the frame of what was recorded, do not either.
    """
    patient = notice.patient
    since = notice.told_until
    raw = _records_since(notice, since)
    answers = CorrectionRequest.objects.filter(patient=patient, state__in=ANSWERS, state_at__lte=now)
    if not answers.filter(state_at__gt=since).exists() and not _is_any(patient, raw):
        return False
    looked = _last_look(patient)
    if looked is not None and looked > since:
        since = looked
        raw = _records_since(notice, since)
    if answers.filter(state_at__gt=since).exists():
        return True
    if not _is_any(patient, raw):
        return False
    scope = scope_for(patient=patient, basis=Basis.ONESELF).without_sensitive()
    seen = visible(scope).records.filter(raw, status="current", part_of__isnull=True)
    return bool(seen.exclude(category=Category.VISIT).exists())


def _records_since(notice: NewsNotice, since: dt.datetime) -> Q:
    """Records that each hospital brought after this moment and after its own baseline; empty when no link has one."""
    found = Q()
    for link_id, (begins_at, _config_version) in notice.links.items():
        found |= Q(link_id=link_id, received_at__gt=max(since, dt.datetime.fromisoformat(begins_at)))
    return found


def _is_any(patient: Patient, raw: Q) -> bool:
    """Whether there is any such record, before the dear question who may see it."""
    links: list[Link] = list(linked(patient.pk))
    return bool(raw) and bool(records_of(patient.pk, links).filter(raw, status="current").exists())


def _last_look(patient: Patient) -> dt.datetime | None:
    looks = AuditEvent.objects.filter(patient_id=patient.pk, actor_id=patient.user_id, action__in=PAGES)
    return looks.order_by("-seq").values_list("at", flat=True).first()
