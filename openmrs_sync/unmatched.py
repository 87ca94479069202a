"""Who at a hospital has no passport here, and why: a list that goes back to it, with its own ids and no number or name.

Read from the hospital when somebody asks; nothing of it is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hospitals.connections import Source, open_hospital
from hospitals.models import Hospital
from openmrs_sync import links, receipt_queries
from openmrs_sync.recount import PATIENTS_PAGE
from passport.models.links import LinkState
from passport.registration import normalise_national_id, placeholder_numbers

HEADER = ("hospital", "patient_id", "reason", "meaning", "next_step")

#: reason → (what it means, what the hospital can do)
REASONS = {
    "no_number": ("no National ID is entered", "Ask for it at the next visit."),
    "unusable_number": ("what is entered cannot be a National ID", "Correct it: a letter, a gap or a length is wrong."),
    "placeholder": ("the number entered stands for “not known”", "Remove it, or enter the real one."),
    "no_passport": ("a National ID that no passport has", "Nothing, if the number is right."),
    "held": ("the number leads to somebody of another sex or age", "Compare number, sex and birth date."),
    "unlinked": ("somebody decided: not the passport holder of this number", "Correct the National ID."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """One patient of the hospital, by its own `patient_id`."""

    patient_id: int
    reason: str


def read_unmatched(*, hospital: Hospital) -> list[Unmatched]:
    """Every patient there who is neither voided nor linked, in the order of their ids, each for one reason.

    In pages, each a snapshot of its own.  Raises the source's errors.  Source: patient, patient_identifier.
    """
    placeholders = placeholder_numbers()
    type_uuids = sorted(set(hospital.national_id_type_uuids.values()))
    found: list[Unmatched] = []
    with open_hospital(hospital) as source:
        for page, numbers in _pages(source, type_uuids):
            states = _states(hospital, first=page[0][0], last=page[-1][0])
            for patient_id, is_voided in page:
                state = states.get(patient_id)
                if is_voided or state == LinkState.LINKED:
                    continue
                reason = state or _reason(numbers.get(patient_id, []), placeholders)
                found.append(Unmatched(patient_id=patient_id, reason=reason))
    return found


def rows(*, hospital: Hospital, unmatched: list[Unmatched], reason: str = "") -> Iterator[tuple[object, ...]]:
    """As lines under HEADER; only those of one reason, if it is named."""
    for one in unmatched:
        if reason in {"", one.reason}:
            yield (hospital.code, one.patient_id, one.reason, *REASONS[one.reason])


def _pages(source: Source, type_uuids: list[str]) -> Iterator[tuple[list[tuple[int, int]], Mapping[int, list[str]]]]:
    after = -1
    while True:
        with source.snapshot():
            page = [(row[0], row[1]) for row in source.fetch(receipt_queries.PATIENTS, (after, PATIENTS_PAGE))]
            if not page:
                return
            numbers: dict[int, list[str]] = {}
            if type_uuids:
                bounds = (page[0][0], page[-1][0], *type_uuids)
                for patient_id, number in source.fetch(receipt_queries.numbers_of_patients(len(type_uuids)), bounds):
                    numbers.setdefault(patient_id, []).append(number)
        yield page, numbers
        after = page[-1][0]


def _states(hospital: Hospital, *, first: int, last: int) -> dict[int, str]:
    mine = links.current(hospital).filter(person_id__gte=first, person_id__lte=last).exclude(state=LinkState.ENDED)
    return dict(mine.values_list("person_id", "state"))


def _reason(numbers: list[str], placeholders: frozenset[str]) -> str:
    """Of several numbers the best one counts."""
    if not any(number and number.strip() for number in numbers):
        return "no_number"
    parsed = {normalise_national_id(number) for number in numbers} - {None}
    if parsed - placeholders:
        return "no_passport"
    return "placeholder" if parsed else "unusable_number"
