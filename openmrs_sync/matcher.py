"""Is this person at the hospital that passport holder? Pure: facts in, verdict out. Never by name.

A person is matched by normalised National IDs alone; sex and birth year can only speak against a match.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

LINKED, HELD, UNLINKED = "linked", "held", "unlinked"

#: A number that stands on so many persons of one hospital is no proof of anything.
CROWD = 5
#: Birth years may differ by so much; estimated ones by more.
YEARS_APART, YEARS_APART_ESTIMATED = 1, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """What we know of a passport holder. `sex`: M, F, O or U."""

    patient_id: UUID
    sex: str
    birth_date: dt.date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """What the hospital says of a person. `sex` is its raw column."""

    sex: str | None
    birth_date: dt.date | None
    is_birth_date_estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    state: str  # linked, held, unlinked
    reason: str  # why; a stable word
    patient_id: UUID
    candidates: Sequence[UUID] = field(default_factory=tuple)


def match(
    *,
    person: PersonFacts,
    patients: Sequence[PatientFacts],
    is_crowded: bool,
    decisions: Mapping[UUID, str],
) -> Verdict | None:
    """Decide for one person whose numbers lead to `patients`; None when they lead to nobody.

    `decisions`: patient → "same" | "different", what humans said of this person before, the latest last; they are
    final, and of two patients that are "same" the later is meant.
    """
    if not patients:
        return None
    led_to = {patient.patient_id for patient in patients}
    for patient_id in reversed(list(decisions)):
        if decisions[patient_id] == "same" and patient_id in led_to:
            return Verdict(state=LINKED, reason="decided_same", patient_id=patient_id)
    open_ones = [patient for patient in patients if decisions.get(patient.patient_id) != "different"]
    if not open_ones:
        return Verdict(state=UNLINKED, reason="decided_different", patient_id=patients[0].patient_id)
    patient = open_ones[0]
    if reason := _contradiction(person=person, patients=open_ones, is_crowded=is_crowded):
        candidates = tuple(each.patient_id for each in open_ones)
        return Verdict(state=HELD, reason=reason, patient_id=patient.patient_id, candidates=candidates)
    return Verdict(state=LINKED, reason="national_id", patient_id=patient.patient_id)


def _contradiction(*, person: PersonFacts, patients: Sequence[PatientFacts], is_crowded: bool) -> str:
    if len(patients) > 1:
        return "two_patients"
    if is_crowded:
        return "crowded_number"
    patient = patients[0]
    if {(person.sex or "").strip().upper()[:1], patient.sex} == {"M", "F"}:
        return "sex_differs"
    if person.birth_date and patient.birth_date:
        allowed = YEARS_APART_ESTIMATED if person.is_birth_date_estimated else YEARS_APART
        if abs(person.birth_date.year - patient.birth_date.year) > allowed:
            return "birth_year_differs"
    return ""
