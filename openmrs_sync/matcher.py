"""Is this person at the hospital that passport holder? Pure: facts in, verdict out. Never by name.

A person is matched by normalised National IDs alone; sex and birth year can only speak against a match.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
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
    told_apart: Collection[UUID] = (),
) -> Verdict | None:
    """Decide for one person whose numbers lead to `patients`; None when they lead to nobody.

    `decisions`: patient → "same" | "different", what humans said of this person before, the latest last; they are
    final, and of two patients that are "same" the later is meant.
    `told_apart`: the patients that somebody is not who was merged into this person at the hospital: by a merge their
    number and their rows came here, and only a human says whose these are.
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
    is_told_apart = any(each.patient_id in told_apart for each in open_ones)
    if reason := _contradiction(person=person, patients=open_ones, is_crowded=is_crowded, is_told_apart=is_told_apart):
        candidates = tuple(each.patient_id for each in open_ones)
        return Verdict(state=HELD, reason=reason, patient_id=patient.patient_id, candidates=candidates)
    return Verdict(state=LINKED, reason="national_id", patient_id=patient.patient_id)


def _contradiction(
    *, person: PersonFacts, patients: Sequence[PatientFacts], is_crowded: bool, is_told_apart: bool
) -> str:
    if len(patients) > 1:
        return "two_patients"
    if is_told_apart:
        return "merged_told_apart"
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
