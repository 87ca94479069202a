"""Deciding and writing down, in one transaction."""

import datetime as dt
from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from passport.access import lookups
from passport.access.reasons import find_reason
from passport.access.scope import scope_for
from passport.access.shapes import REFUSED, AskedTooOften, NotAllowed, Opened
from passport.audit import record_event
from passport.models import Patient, User
from passport.registration import find_patient


def open_record(
    *,
    user: User,
    action: str,
    now: dt.datetime,
    national_id: str | None = None,
    patient_id: UUID | None = None,
    via: str = "page",
) -> Opened:
    """Open a patient's record for one look, and write down who looked and why.

    Give one of `national_id` and `patient_id`. `via`: page or api. What may be shown is in the answer's `scope`.
    Raises NotAllowed, alike for an unknown patient and a missing right, and AskedTooOften after many of them; the
    refusal is committed first, so this cannot be called inside a transaction (RuntimeError).
    """
    if (national_id is None) == (patient_id is None):
        raise TypeError("Give either national_id or patient_id.")

    def find() -> Patient | None:
        if national_id is not None:
            return find_patient(national_id=national_id)
        return Patient.objects.filter(pk=patient_id).first() if patient_id else None

    opened = _open(find, user=user, action=action, now=now, via=via)
    if opened is None:
        is_often = national_id is not None and lookups.is_too_often(user=user, national_id=national_id, now=now)
        raise AskedTooOften if is_often else NotAllowed
    return opened


def open_own_record(*, user: User, action: str, now: dt.datetime, via: str = "page") -> Opened:
    """Open the user's own record. Raises NotAllowed for a login that is no patient's."""
    # A login without a passport asks for nobody's record, and is refused and written down like anyone else.
    opened = _open(lambda: Patient.objects.filter(user=user).first(), user=user, action=action, now=now, via=via)
    if opened is None:
        raise NotAllowed
    return opened


def _open(find: Callable[[], Patient | None], *, user: User, action: str, now: dt.datetime, via: str) -> Opened | None:
    """The record of whom `find` finds, inside the transaction; None where it was refused. Either is written down."""
    with transaction.atomic(durable=True):
        found = find()
        # Nobody's patient is asked about just the same, so that an unknown number takes no less time.
        reason = find_reason(user=user, patient=found or Patient(), now=now)
        record_event(
            action=action if reason else f"{action}_refused",
            actor=user,
            now=now,
            patient_id=found.pk if found else None,
            hospital_id=user.hospital_id,
            basis=reason.basis if reason else REFUSED,
            details={"via": via},
        )
    if found is None or reason is None:
        return None
    scope = scope_for(patient=found, basis=reason.basis, sensitive=reason.sensitive)
    return Opened(patient=found, basis=reason.basis, scope=scope, until=reason.until)


def peek(*, user: User, now: dt.datetime, patient_id: UUID | None = None) -> Opened:
    """As `open_record`, without an audit row: only for asking whether a page that is open has changed.

    `patient_id` None: one's own. Raises NotAllowed.
    """
    patients = Patient.objects.filter(user=user) if patient_id is None else Patient.objects.filter(pk=patient_id)
    patient = patients.first()
    # As in `open_record`: nobody's patient is asked about just the same.
    reason = find_reason(user=user, patient=patient or Patient(), now=now)
    if patient is None or reason is None:
        raise NotAllowed
    scope = scope_for(patient=patient, basis=reason.basis, sensitive=reason.sensitive)
    return Opened(patient=patient, basis=reason.basis, scope=scope, until=reason.until)
