"""A hospital's person and our patients side by side, for whoever must decide whether they are the same human.

Sex, birth year and whether the National ID leads to the patient: what the matcher judged by, and no name. Read from the
hospital when somebody asks; nothing of it is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hospitals.connections import open_hospital
from hospitals.identifier_types import resolve_identifier_types
from openmrs_sync import reader, schema
from passport.models import Link, Patient, PatientIdentifier
from passport.registration import normalise_national_id

AGREES, DIFFERS, UNKNOWN = "agrees", "differs", "not known"
SEXES = {"M": "male", "F": "female", "O": "other"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One fact: what is recorded there, what here, and whether they agree."""

    fact: str
    theirs: str
    ours: str
    verdict: str


def compare(*, link: Link, patients: Sequence[Patient]) -> dict[str, list[Line]]:
    """Our patient's id → the facts. Empty when the hospital no longer has the person. Raises the source's errors."""
    with open_hospital(link.hospital) as source:
        found = schema.discover(source.fetch)
        types = schema.identifier_types(source.fetch, found)
        chosen = resolve_identifier_types(hospital=link.hospital, types=types).uuids
        type_ids = [each.identifier_type_id for each in types if each.uuid in chosen]
        persons, identifiers = reader.read_identity(
            source.fetch, found, person_ids=[link.person_id], identifier_type_ids=type_ids
        )
    person = persons.get(link.person_id)
    if person is None:
        return {}
    numbers = {normalise_national_id(row.identifier) for row in identifiers} - {None}
    led_to = set(PatientIdentifier.objects.filter(number__in=numbers).values_list("patient_id", flat=True))
    about = "about " if person.is_birth_date_estimated else ""
    their_year = str(person.birth_date.year) if person.birth_date else ""
    return {
        str(patient.pk): [
            _line("Sex", SEXES.get(person.sex or "", ""), SEXES.get(patient.sex, "")),
            _line("Birth year", their_year, str(patient.birth_date.year) if patient.birth_date else "", prefix=about),
            Line(
                fact="National ID",
                theirs="one usable number" if len(numbers) == 1 else f"{len(numbers)} usable numbers",
                ours="it is this patient's" if patient.pk in led_to else "it is not this patient's",
                verdict=AGREES if patient.pk in led_to else DIFFERS,
            ),
        ]
        for patient in patients
    }


def _line(fact: str, theirs: str, ours: str, *, prefix: str = "") -> Line:
    verdict = UNKNOWN if not theirs or not ours else AGREES if theirs == ours else DIFFERS
    return Line(fact=fact, theirs=f"{prefix}{theirs}" if theirs else UNKNOWN, ours=ours or UNKNOWN, verdict=verdict)
