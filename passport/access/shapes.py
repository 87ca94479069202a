"""Reasons, actions, refusals: what the rooms of this package tell each other and the pages."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from passport.access.scope import Scope
    from passport.models import Patient


class Basis(StrEnum):
    """Why a look was allowed; what the audit row and the patient's "who looked" say."""

    ONESELF = "oneself"
    SIGNED = "signed"  # a current record that this doctor signed
    CARE = "care"  # a current record of the last months from the doctor's hospital
    GRANT = "grant"  # the patient let this doctor in
    HOSPITAL_GRANT = "hospital_grant"  # the patient let this hospital's doctors in
    GUARDIAN = "guardian"
    CARER = "carer"
    BREAK_GLASS = "break_glass"  # an emergency, with a reason, for an hour


#: Those of a doctor, and of a person who stands in for the patient.
DOCTORS = frozenset({Basis.SIGNED, Basis.CARE, Basis.GRANT, Basis.HOSPITAL_GRANT, Basis.BREAK_GLASS})
PROXIES = frozenset({Basis.GUARDIAN, Basis.CARER})


class Action(StrEnum):
    """What was looked at. Further pages may add their own words; the audit takes any."""

    FIND = "patient_found"
    OVERVIEW = "overview_read"
    RECORDS = "records_read"
    VISITS = "visits_read"
    RECORD = "record_read"
    RESULTS = "results_read"
    MEDICINES = "medicines_read"
    FHIR = "fhir_exported"
    PROFILE = "profile_read"
    WHO_LOOKED = "who_looked_read"
    PERMISSIONS = "permissions_read"
    CORRECTIONS = "corrections_read"


#: The id of no patient.
NOBODY = UUID(int=0)

#: Basis of a refusal's audit row.
REFUSED = "refused"


class NotAllowed(Exception):
    """No right, or no such patient: the one who asks cannot tell which."""

    def __init__(self) -> None:
        super().__init__("You may not see this. If you treat this person, ask them to let you in.")


class AskedTooOften(NotAllowed):
    """No right, and not the first time. Said to nobody who has one."""

    def __init__(self) -> None:
        Exception.__init__(self, "You have asked very often. Wait ten minutes, then go on.")


class AccessRefused(Exception):
    """A choice about access that cannot be made. `field` names what was wrong; the text ends in the next step."""

    def __init__(self, message: str, *, field: str = "") -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A record that is open for one look. `until`: when an emergency's hour ends; None for every other reason."""

    patient: "Patient"
    basis: Basis
    scope: "Scope"
    until: dt.datetime | None = None
