"""Who looked: the patient's part of the audit chain."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from passport import upward
from passport.access import REFUSED, Basis
from passport.history.cursors import SEQ, cursor_at, position_of
from passport.history.shapes import LONGEST_PAGE, PAGE, Look, LooksPage
from passport.models import AuditEvent, Patient, User

#: Rows of one page when all of them are wanted.
ROWS_AT_ONCE = 1000


def looks_page(*, patient: Patient, cursor: str | None = None, limit: int = PAGE, with_own: bool = True) -> LooksPage:
    """Who looked at the patient's record and what else was done about them, newest first. Raises BadCursor.

    Without `with_own` the patient's own looks are left out: who is not listed then was somebody else.
    """
    events = AuditEvent.objects.filter(patient_id=patient.pk).order_by("-seq")
    if not with_own:
        events = events.exclude(basis=Basis.ONESELF)
    if cursor:
        events = events.filter(seq__lt=position_of(cursor, SEQ)[0])
    limit = max(1, min(limit, LONGEST_PAGE))
    rows = list(events[: limit + 1])
    shown = rows[:limit]
    return LooksPage(results=_looks(shown, patient), next=cursor_at(shown[-1].seq, "") if len(rows) > limit else None)


def all_looks(*, patient: Patient) -> Iterator[Look]:
    """Everything that the audit knows about the patient, oldest first. In pages, so that it may be long."""
    seq = 0
    while rows := list(AuditEvent.objects.filter(patient_id=patient.pk, seq__gt=seq).order_by("seq")[:ROWS_AT_ONCE]):
        yield from _looks(rows, patient)
        seq = rows[-1].seq


def _looks(rows: Sequence[AuditEvent], patient: Patient) -> list[Look]:
    accounts = User.objects.in_bulk({row.actor_id for row in rows if row.actor_id})
    hospitals = upward.hospitals().in_bulk({row.hospital_id for row in rows if row.hospital_id})
    return [_look(row, patient, accounts, hospitals) for row in rows]


def _look(event: AuditEvent, patient: Patient, accounts: Mapping[UUID, User], hospitals: Mapping[UUID, Any]) -> Look:
    account = accounts.get(event.actor_id) if event.actor_id else None
    hospital = hospitals.get(event.hospital_id) if event.hospital_id else None
    return Look(
        at=event.at,
        action=event.action.removesuffix("_refused"),
        was_refused=event.basis == REFUSED,
        basis=event.basis,
        who=(account.get_full_name() or account.get_username()) if account else "",
        role=event.actor_role,
        hospital=hospital.code if hospital else None,
        hospital_name=hospital.name if hospital else None,
        is_holder=event.actor_id is not None and event.actor_id == patient.user_id,
    )
