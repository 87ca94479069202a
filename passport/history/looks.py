"""Who looked: the patient's part of the audit chain."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from passport import upward
from passport.access import REFUSED
from passport.history.cursors import SEQ, cursor_at, position_of
from passport.history.shapes import LONGEST_PAGE, PAGE, Look, LooksPage
from passport.models import AuditEvent, Patient, User


def looks_page(*, patient: Patient, cursor: str | None = None, limit: int = PAGE) -> LooksPage:
    """Who looked at the patient's record and what else was done about them, newest first. Raises BadCursor."""
    events = AuditEvent.objects.filter(patient_id=patient.pk).order_by("-seq")
    if cursor:
        events = events.filter(seq__lt=position_of(cursor, SEQ)[0])
    limit = max(1, min(limit, LONGEST_PAGE))
    rows = list(events[: limit + 1])
    shown = rows[:limit]
    accounts = User.objects.in_bulk([row.actor_id for row in shown if row.actor_id])
    hospitals = upward.hospitals().in_bulk([row.hospital_id for row in shown if row.hospital_id])
    return LooksPage(
        results=[_look(row, accounts, hospitals) for row in shown],
        next=cursor_at(shown[-1].seq, "") if len(rows) > limit else None,
    )


def _look(event: AuditEvent, accounts: Mapping[UUID, User], hospitals: Mapping[UUID, Any]) -> Look:
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
    )
