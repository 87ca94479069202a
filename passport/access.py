"""Who may see whom: the only door to a patient's record.

A verb here decides and writes its audit row in one transaction, and returns the patient only after that commit: what
cannot be written down is not shown. Refusals are written down too. For now: oneself; a doctor with a current record
from their hospital; a doctor whom, or whose hospital, the patient has let in. Everyone else is refused, admins too.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from passport.audit import record_event
from passport.models import AccessGrant, Link, Patient, User
from passport.models.links import LinkState
from passport.registration import find_patient


class Basis(StrEnum):
    """Why a look was allowed; what the audit row and the patient's "who looked" say."""

    ONESELF = "oneself"
    CARE = "care"  # a current record from the doctor's hospital
    GRANT = "grant"  # the patient let this doctor in
    HOSPITAL_GRANT = "hospital_grant"  # the patient let this hospital's doctors in


class Action(StrEnum):
    """What was looked at. Further pages may add their own words; the audit takes any."""

    FIND = "patient_found"
    OVERVIEW = "overview_read"
    RECORDS = "records_read"
    VISITS = "visits_read"
    RECORD = "record_read"
    PROFILE = "profile_read"
    WHO_LOOKED = "who_looked_read"


#: The id of no patient.
NOBODY = UUID(int=0)

#: Basis of a refusal's audit row.
REFUSED = "refused"


class NotAllowed(Exception):
    """No right, or no such patient: the one who asks cannot tell which."""

    def __init__(self) -> None:
        super().__init__("You may not see this. If you treat this person, ask them to let you in.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    patient: Patient
    basis: Basis


def may_read(*, user: User, patient: Patient, now: dt.datetime) -> Basis | None:
    """Why this user may read this patient now, or None. Decides only: to show something, use `open_record`."""
    if not user.is_active:
        return None
    if patient.user_id is not None and patient.user_id == user.pk:
        return Basis.ONESELF
    if not user.is_doctor:
        return None
    return _care(user=user, patient=patient) or _grant(user=user, patient=patient, now=now)


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

    Give one of `national_id` and `patient_id`. `via`: page or api. Raises NotAllowed, alike for an unknown patient
    and a missing right; the refusal is committed first, so this cannot be called inside a transaction (RuntimeError).
    """
    if (national_id is None) == (patient_id is None):
        raise TypeError("Give either national_id or patient_id.")
    with transaction.atomic(durable=True):
        found = _find(national_id=national_id, patient_id=patient_id)
        # Nobody's patient is asked about just the same, so that an unknown number takes no less time.
        basis = may_read(user=user, patient=found or Patient(), now=now)
        record_event(
            action=action if basis else f"{action}_refused",
            actor=user,
            now=now,
            patient_id=found.pk if found else None,
            hospital_id=user.hospital_id,
            basis=basis or REFUSED,
            details={"via": via},
        )
    if found is None or basis is None:
        raise NotAllowed
    return Opened(patient=found, basis=basis)


def open_own_record(*, user: User, action: str, now: dt.datetime, via: str = "page") -> Opened:
    """Open the user's own record. Raises NotAllowed for a login that is no patient's."""
    patient_id = Patient.objects.filter(user=user).values_list("pk", flat=True).first()
    # A login without a passport asks for nobody's record, and is refused and written down like anyone else.
    return open_record(user=user, action=action, now=now, patient_id=patient_id or NOBODY, via=via)


def _find(*, national_id: str | None, patient_id: UUID | None) -> Patient | None:
    if national_id is not None:
        return find_patient(national_id=national_id)
    return Patient.objects.filter(pk=patient_id).first() if patient_id else None


def _care(*, user: User, patient: Patient) -> Basis | None:
    if user.hospital_id is None:
        return None
    links = Link.objects.filter(
        patient=patient,
        hospital_id=user.hospital_id,
        state=LinkState.LINKED,
        epoch=F("hospital__epoch"),
        n_stored__gt=0,
    )
    return Basis.CARE if links.exists() else None


def _grant(*, user: User, patient: Patient, now: dt.datetime) -> Basis | None:
    grants = AccessGrant.objects.filter(
        Q(doctor=user) | Q(hospital_id=user.hospital_id, hospital__isnull=False),
        patient=patient,
        created_at__lte=now,
        ends_at__gt=now,
    )
    doctors = list(grants.values_list("doctor_id", flat=True))
    if not doctors:
        return None
    return Basis.GRANT if user.pk in doctors else Basis.HOSPITAL_GRANT
