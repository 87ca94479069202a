"""Whether the source says something else than when a correction was asked for. Looks at our records only."""

import datetime as dt
import hashlib
import json

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from passport.access.scope import records_of
from passport.audit import record_event
from passport.corrections import WATCHED, State
from passport.models import CorrectionRequest, Link, Record
from passport.models.links import LinkState

#: In one go; the rest at the next.
AT_ONCE = 500
#: Names in the hospital's language, or what stands in a column of its own.
NOT_SAID = ("answer", "group")
#: Withdrawn by us, not by the hospital.
OURS = "hidden_by_admin"
#: The number does not lead to the patient any more, or a human decided that this is somebody else.
OVER = (LinkState.ENDED, LinkState.UNLINKED)


def fingerprint(record: Record) -> str:
    """A hash of what the source says in this entry. Our categories, and the language of its concepts, are not in it."""
    said = [
        record.concept_uuid or record.concept,
        record.details.get("answer") or record.value,
        record.value_number,
        record.unit,
        record.at_local,
        record.certainty,
        record.rank,
        record.provider_uuid or record.provider,
        record.location,
        {name: value for name, value in record.details.items() if name not in NOT_SAID},
    ]
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def rows_of(request: CorrectionRequest) -> Q:
    """Which records are the entry that this request is about, whatever became of keys."""
    row = Q(source_uuid=request.source_uuid) if "/" not in request.source_uuid else Q(source_id=request.source_id)
    return Q(hospital_id=request.hospital_id, table=request.table) & row


def is_anything_to_check(*, now: dt.datetime) -> bool:
    """Whether something was read since a request was compared last. One query, of those that wait."""
    return _to_check(now=now).exists()


def close_changed(*, now: dt.datetime) -> int:
    """Close the requests whose entry the hospital has changed, withdrawn or taken away since; how many.

    What a stale link, a held one or a restored source leaves open is judged when it has been read again.
    """
    found = list(_to_check(now=now).select_related("patient", "hospital").order_by("checked_at", "pk")[:AT_ONCE])
    return sum(_check(request, now=now) for request in found)


def _to_check(*, now: dt.datetime) -> QuerySet[CorrectionRequest]:
    links = Link.objects.filter(
        patient=OuterRef("patient"), hospital=OuterRef("hospital"), epoch=OuterRef("hospital__epoch")
    )
    was_read = _fresh(links).filter(refreshed_at__gt=OuterRef("checked_at"))
    is_over = links.filter(state__in=OVER, state_changed_at__gt=OuterRef("checked_at"))
    return CorrectionRequest.objects.filter(Exists(was_read) | Exists(is_over), state__in=WATCHED, asked_at__lte=now)


def _fresh(links: QuerySet[Link]) -> QuerySet[Link]:
    """Those whose records are what the source said, under the settings that hold now."""
    return links.filter(
        state=LinkState.LINKED, marks=F("fresh_marks"), fresh_config_version=F("hospital__config_version")
    )


def _check(request: CorrectionRequest, *, now: dt.datetime) -> bool:
    links = list(Link.objects.filter(patient=request.patient, hospital=request.hospital, epoch=request.hospital.epoch))
    shown = [link for link in links if link.state == LinkState.LINKED]
    if len(shown) != _fresh(Link.objects.filter(pk__in=[link.pk for link in links])).count() or any(
        link.state == LinkState.HELD for link in links
    ):
        return False  # not all of it was read again; until then nothing is missing
    checked_at = max([link.refreshed_at or now for link in shown] or [now])
    says = records_of(request.patient_id, shown).filter(rows_of(request)).first()
    if says is not None and says.withdrawn_reason == OURS:
        return _keep(request, checked_at=checked_at)
    if says is None or says.status != "current":
        return _close(request, now=now)
    if shown and request.config_version != request.hospital.config_version:
        # Another zone or language of ours alters entries too, and is no word of the hospital's.
        return _keep(
            request,
            checked_at=checked_at,
            fingerprint=fingerprint(says),
            config_version=request.hospital.config_version,
        )
    if fingerprint(says) != request.fingerprint:
        return _close(request, now=now)
    return _keep(request, checked_at=checked_at)


def _keep(request: CorrectionRequest, **fields: object) -> bool:
    CorrectionRequest.objects.filter(pk=request.pk).update(**fields)
    return False


def _close(request: CorrectionRequest, *, now: dt.datetime) -> bool:
    with transaction.atomic():
        mine = CorrectionRequest.objects.filter(pk=request.pk, state__in=WATCHED)
        if not mine.update(state=State.CHANGED, state_at=now, checked_at=now, mail_at=None):
            return False
        record_event(
            action="correction_closed",
            actor=None,
            now=now,
            patient_id=request.patient_id,
            hospital_id=request.hospital_id,
            details={"correction": request.pk},
        )
    return True
