"""Asking for a correction, taking that back, and reading what was asked."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from passport.access import REFUSED, AccessRefused, Action, Basis, Scope
from passport.access.scope import row_name, visible
from passport.access.shapes import PROXIES
from passport.audit import record_event
from passport.corrections import OPEN, State
from passport.corrections.checking import fingerprint, rows_of
from passport.history import RecordView
from passport.history.shown import views_of
from passport.models import CorrectionRequest, Link, Patient, Record, User

LONGEST_WORDS = 500
#: Of one patient, waiting. Whoever has more to say should speak with somebody.
MOST_OPEN = 20
CURRENT = "current"
ASKERS = PROXIES | {Basis.ONESELF}
Reason = CorrectionRequest.Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as one viewer may see it. `record` None: the entry is not in the record (any more).

    `words` and `answer` are empty for whom they are not meant.
    """

    request: CorrectionRequest
    record: RecordView | None
    words: str
    answer: str
    may_withdraw: bool

    @property
    def is_open(self) -> bool:
        return self.request.state in OPEN


def ask(*, scope: Scope, actor: User, key: str, reason: str, words: str, now: dt.datetime) -> CorrectionRequest:
    """Ask the hospital that wrote this entry to look at it.

    Raises AccessRefused: who is neither the patient nor stands in for them, an entry that this look does not show or
    that does not count any more, nothing said, too many, or one that is asked about already.
    """
    if scope.basis not in ASKERS:
        raise AccessRefused(_("Only the patient, or somebody who stands in for them, asks for a correction."))
    said = " ".join(words.split())
    _check_said(reason, said)
    record, link = _shown(scope, key)
    with transaction.atomic():
        # Locked: two clicks at once ask once.
        patient = Patient.objects.select_for_update(of=("self",)).get(pk=scope.patient.pk)
        _check_may_ask(patient, record)
        asked = CorrectionRequest.objects.create(
            patient=patient,
            hospital_id=record.hospital_id,
            table=record.table,
            source_id=record.source_id,
            source_uuid=_name(record)[1],
            reason=reason,
            words=said,
            asked_by=actor,
            asked_at=now,
            state_at=now,
            fingerprint=fingerprint(record),
            config_version=link.fresh_config_version,
            checked_at=now,
            mail_at=now,
        )
        record_event(
            action="correction_asked",
            actor=actor,
            now=now,
            patient_id=patient.pk,
            hospital_id=record.hospital_id,
            basis=str(scope.basis),
            # Neither the entry nor the words: what is in the chain stays there.
            details={"correction": asked.pk},
        )
    return asked


def refuse(*, actor: User, patient_id: UUID, now: dt.datetime) -> None:
    """Write down that a doctor, who may read the record, tried to ask for the patient or to read what they asked."""
    record_event(
        action=f"{Action.CORRECTIONS}_refused",
        actor=actor,
        now=now,
        patient_id=patient_id,
        hospital_id=actor.hospital_id,
        basis=REFUSED,
    )


def _check_said(reason: str, said: str) -> None:
    if reason not in Reason.values:
        raise AccessRefused(_("Choose what is wrong from the list."), field="reason")
    if len(said) > LONGEST_WORDS:
        raise AccessRefused(_("Say it in 500 characters or fewer."), field="words")
    if reason == Reason.OTHER and len(said) < 5:
        raise AccessRefused(_("Say in a few words what is wrong."), field="words")


def _shown(scope: Scope, key: str) -> tuple[Record, Link]:
    seen = visible(scope)
    record = seen.records.filter(key=key, status=CURRENT).first()
    link = next((link for link in seen.links if record is not None and link.pk == record.link_id), None)
    if record is None or link is None:
        raise AccessRefused(_("This entry is not in this record."), field="key")
    return record, link


def _check_may_ask(patient: Patient, record: Record) -> None:
    if patient.merged_into_id is not None:
        raise AccessRefused(_("This entry is not in this record."), field="key")
    waiting = CorrectionRequest.objects.filter(patient=patient, state__in=OPEN)
    if waiting.filter(hospital_id=record.hospital_id, table=record.table, source_uuid=_name(record)[1]).exists():
        raise AccessRefused(_("This was asked already. The hospital has not answered yet."))
    if waiting.count() >= MOST_OPEN:
        raise AccessRefused(_("You have asked for very many corrections. Speak with the hospital about them."))


def withdraw(*, scope: Scope, actor: User, request_id: UUID, now: dt.datetime) -> bool:
    """Take it back; False when there is nothing that this person may take back (any more)."""
    with transaction.atomic():
        mine = CorrectionRequest.objects.filter(pk=request_id, patient=scope.patient, state__in=OPEN)
        if scope.basis != Basis.ONESELF:
            mine = mine.filter(asked_by=actor)
        found = mine.first() if scope.basis in ASKERS else None
        if found is None or not mine.update(state=State.WITHDRAWN, state_at=now, mail_at=None):
            return False
        record_event(
            action="correction_withdrawn",
            actor=actor,
            now=now,
            patient_id=scope.patient.pk,
            hospital_id=found.hospital_id,
            basis=str(scope.basis),
            details={"correction": found.pk},
        )
    return True


# --- reading ----------------------------------------------------------------------------------------------------------


def asked_of(*, scope: Scope, actor: User) -> list[Asked]:
    """What was asked about this record, the last first: the patient sees all of it, who stands in for them what they
    asked themselves and, without the words, what is about entries that they see. Nobody else sees this list.
    """
    if scope.basis not in ASKERS:
        return []
    found = list(
        CorrectionRequest.objects.filter(patient=scope.patient).select_related("hospital").order_by("-asked_at", "pk")
    )
    records = _records_of(scope, found)
    shown = [_as_seen(each, records.get(each.pk), scope=scope, actor=actor) for each in found]
    is_own = scope.basis == Basis.ONESELF
    return [each for each in shown if is_own or each.record or each.request.asked_by_id == actor.pk]


def asked_about(*, scope: Scope, actor: User, record: RecordView) -> Asked | None:
    """The last request about an entry that this look shows, unless it was taken back. Doctors hear of those that wait,
    and never the words.
    """
    about = CorrectionRequest.objects.filter(patient=scope.patient, hospital__code=record.hospital)
    about = about.filter(table=record.source.table).exclude(state=State.WITHDRAWN)
    row = Q(source_uuid=record.source.uuid) if record.source.uuid else Q(source_id=record.source.id)
    # Its hospital is read where there is one: mostly there is none, and the page is waited for.
    last = about.filter(row).order_by("-asked_at", "pk").first()
    if last is None or (scope.basis not in ASKERS and last.state not in OPEN):
        return None
    return _as_seen(last, record, scope=scope, actor=actor)


def _as_seen(request: CorrectionRequest, record: RecordView | None, *, scope: Scope, actor: User) -> Asked:
    is_theirs = scope.basis == Basis.ONESELF or request.asked_by_id == actor.pk
    return Asked(
        request=request,
        record=record,
        words=request.words if is_theirs else "",
        answer=request.answer if is_theirs else "",
        may_withdraw=is_theirs and scope.basis in ASKERS and request.state in OPEN,
    )


def _records_of(scope: Scope, requests: Sequence[CorrectionRequest]) -> dict[UUID, RecordView]:
    """id of a request → the entry, where this look shows it. One pass, however many there are."""
    if not requests:
        return {}
    seen = visible(scope)
    of_rows = Q()
    for each in requests:
        of_rows |= rows_of(each)
    records = list(seen.records.filter(of_rows).order_by("key"))
    names = {record.key: (record.hospital_id, *_name(record)) for record in records}
    found = {names[view.id]: view for view in views_of(records, seen)}
    wanted = {each.pk: (each.hospital_id, each.table, each.source_uuid) for each in requests}
    return {request_id: found[name] for request_id, name in wanted.items() if name in found}


def _name(record: Record) -> tuple[str, str]:
    return row_name(
        table=record.table, uuid=record.source_uuid, hospital_id=record.hospital_id, source_id=record.source_id
    )
