"""Who at a hospital has no passport here, and why: a list that goes back to it, with its own ids and no number or name.

Read from the hospital when somebody asks; nothing of it is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from hospitals.connections import Source, open_hospital
from hospitals.models import Hospital
from hospitals.moments import at_one_moment
from openmrs_sync import links
from openmrs_sync.recount import Page, read_patients
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

    In pages, each a moment of its own.  Raises the source's errors.  Source: patient, patient_identifier.
    """
    placeholders = placeholder_numbers()
    type_uuids = sorted(set(hospital.national_id_type_uuids.values()))
    found: list[Unmatched] = []
    with open_hospital(hospital) as source:
        for page in _pages(source, type_uuids):
            numbers = _by_patient(page)
            states = _states(hospital, first=page.patients[0][0], last=page.patients[-1][0])
            for patient_id, is_voided in page.patients:
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


def _pages(source: Source, type_uuids: list[str]) -> Iterator[Page]:
    after = -1
    while True:
        read = partial(read_patients, source.fetch, after=after, type_uuids=type_uuids)
        page = at_one_moment(source, read, n_answers=2)
        if not page.patients:
            return
        yield page
        after = page.patients[-1][0]


def _by_patient(page: Page) -> dict[int, list[str]]:
    numbers: dict[int, list[str]] = {}
    for patient_id, number in page.numbers:
        numbers.setdefault(patient_id, []).append(number)
    return numbers


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
