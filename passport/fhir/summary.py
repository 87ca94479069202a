"""The International Patient Summary: one document, in which every reference leads somewhere."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from passport.access.scope import Scope
from passport.fhir import narrative, resources
from passport.fhir.codes import LOINC, TERMINOLOGY, Codes, Json, absent, coding
from passport.fhir.resources import Names, entry, instant, reference
from passport.history import Overview, RecordView, Stated, overview
from passport.history.encounters import encounter_key, encounters_of
from passport.models import PatientIdentifier, SourceConcept

MEDIA_TYPE = "application/fhir+json"
PROFILE = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
ABSENT_SYSTEM = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
AUTHOR = "patient-passport"
NO_LIST = "No hospital that we read has told anything about this. That does not mean that there is nothing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """LOINC code and title; resources in the order shown; rows of the same in words, under `header`."""

    code: str
    display: str
    title: str
    entries: Sequence[Json]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_json(self) -> Json:
        words = narrative.table(header=self.header, rows=self.rows) if self.rows else narrative.sentence(NO_LIST)
        return {
            "title": self.title,
            "code": {"coding": [coding(LOINC, self.code, self.display)]},
            "text": words,
            "entry": [{"reference": f"urn:uuid:{resource['id']}"} for resource in self.entries],
        }


def patient_summary(*, scope: Scope, now: dt.datetime) -> Json:
    """A Bundle of type document for what this look may show. Shape: IPS 1.1 on FHIR R4.

    Withdrawn records and what is past are left out, as in the overview. `scope` decides the rest: pass one
    `without_sensitive` for what leaves the house.
    """
    shown = overview(scope=scope, now=now)
    stated = [*shown.conditions, *shown.medications]
    views = [*(one.record for one in stated), *shown.allergies, *shown.latest_results, *shown.latest_vitals]
    encounters = encounters_of(views, scope=scope)
    names = Names(patient=scope.patient, codes=codes_of(views))
    sections = _sections(shown, names, known={view.id for view in encounters})
    numbers = PatientIdentifier.objects.filter(patient=scope.patient).order_by("created_at", "pk")
    person = resources.patient(scope.patient, numbers=list(numbers.values_list("number", flat=True)))
    told = [
        *(resource for section in sections for resource in section.entries),
        *(resources.encounter(view, names) for view in encounters),
    ]
    others = [*told, *_named_in(told, _people([*views, *encounters])), _author()]
    return {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "meta": {"profile": [PROFILE]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": instant(now),
        "entry": [entry(_composition(names, sections, now=now)), entry(person), *map(entry, others)],
    }


def codes_of(views: Iterable[RecordView]) -> Codes:
    """What the hospitals' dictionaries map the concepts of these records to, questions and answers. One query."""
    uuids = {uuid for view in views for uuid in (view.concept_uuid, str(view.details.get("answer", ""))) if uuid}
    found = SourceConcept.objects.filter(concept_uuid__in=sorted(uuids)).select_related("hospital")
    return {
        (known.hospital.code, known.concept_uuid): [(source, code) for source, code in known.codes] for known in found
    }


def _composition(names: Names, sections: Sequence[Section], *, now: dt.datetime) -> Json:
    return {
        "resourceType": "Composition",
        "id": str(uuid4()),
        "status": "final",
        "type": {"coding": [coding(LOINC, "60591-5", "Patient summary Document")]},
        "subject": names.subject,
        "date": instant(now),
        "author": [reference("Organization", AUTHOR)],
        "title": "International Patient Summary",
        "custodian": reference("Organization", AUTHOR),
        "section": [section.as_json() for section in sections if section.entries],
    }


def _sections(shown: Overview, names: Names, *, known: set[str]) -> list[Section]:
    """The three that an IPS must have, told or not, and what there is of results and vital signs."""

    def has_encounter(view: RecordView) -> bool:
        return view.encounter is not None and encounter_key(view) in known

    def observations(views: Sequence[RecordView]) -> list[Json]:
        return [resources.observation(view, names, has_encounter=has_encounter(view)) for view in views]

    return [
        Section(
            code="48765-2",
            display="Allergies and adverse reactions Document",
            title="Allergies and intolerances",
            entries=[resources.allergy(view, names) for view in shown.allergies] or [_no_allergies(names)],
            header=("Allergy", "Reactions", "Recorded", "Hospital"),
            rows=[
                (
                    v.value or v.concept,
                    ", ".join(map(str, v.details.get("reactions") or ())),
                    v.date or "",
                    v.hospital_name,
                )
                for v in shown.allergies
            ],
        ),
        Section(
            code="10160-0",
            display="History of Medication use Narrative",
            title="Medicines",
            entries=[
                resources.medication(one, names, has_encounter=has_encounter(one.record)) for one in shown.medications
            ]
            or [_no_medicines(names)],
            header=("Medicine", "How to take it", "Known to be taken now", "Since", "Hospital"),
            rows=[_stated_row(one) for one in shown.medications],
        ),
        Section(
            code="11450-4",
            display="Problem list - Reported",
            title="Conditions",
            entries=[
                resources.condition(one, names, has_encounter=has_encounter(one.record)) for one in shown.conditions
            ]
            or [_no_problems(names)],
            header=("Condition", "What was written", "Known to hold now", "Since", "Hospital"),
            rows=[_stated_row(one) for one in shown.conditions],
        ),
        Section(
            code="30954-2",
            display="Relevant diagnostic tests/laboratory data Narrative",
            title="Latest results",
            entries=observations(shown.latest_results),
            header=("Test", "Result", "Flag", "Day", "Hospital"),
            rows=[_observed_row(view) for view in shown.latest_results],
        ),
        Section(
            code="8716-3",
            display="Vital signs",
            title="Latest vital signs",
            entries=observations(shown.latest_vitals),
            header=("What", "Value", "Flag", "Day", "Hospital"),
            rows=[_observed_row(view) for view in shown.latest_vitals],
        ),
    ]


def _stated_row(stated: Stated) -> Sequence[str]:
    view = stated.record
    return view.concept, view.value, stated.standing.value, view.date or "not known", view.hospital_name


def _observed_row(view: RecordView) -> Sequence[str]:
    flag = (view.flag or "").replace("_", " ")
    return view.concept, f"{view.value} {view.unit}".strip(), flag, view.date or "not known", view.hospital_name


def _no_allergies(names: Names) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "id": resources.id_of("AllergyIntolerance", f"none/{names.patient.pk}"),
        "clinicalStatus": {"coding": [coding(f"{TERMINOLOGY}/allergyintolerance-clinical", "active")]},
        "code": _no("no-allergy-info", "No information about allergies"),
        "patient": names.subject,
    }


def _no_medicines(names: Names) -> Json:
    return {
        "resourceType": "MedicationStatement",
        "id": resources.id_of("Medication", f"none/{names.patient.pk}"),
        "status": "unknown",
        "medicationCodeableConcept": _no("no-medication-info", "No information about medications"),
        "subject": names.subject,
        "_effectiveDateTime": absent("not-applicable"),
    }


def _no_problems(names: Names) -> Json:
    return {
        "resourceType": "Condition",
        "id": resources.id_of("Condition", f"none/{names.patient.pk}"),
        "clinicalStatus": {"coding": [coding(f"{TERMINOLOGY}/condition-clinical", "active")]},
        "category": [{"coding": [coding(f"{TERMINOLOGY}/condition-category", "problem-list-item")]}],
        "code": _no("no-problem-info", "No information about problems"),
        "subject": names.subject,
    }


def _no(code: str, display: str) -> Json:
    return {"coding": [coding(ABSENT_SYSTEM, code, display)], "text": display}


def _people(views: Sequence[RecordView]) -> list[Json]:
    """Each hospital and each provider once."""
    hospitals = {view.hospital: view.hospital_name for view in views}
    providers = {resources.practitioner_key(view): view for view in views if view.provider}
    return [
        *(resources.organization(code=code, name=name) for code, name in sorted(hospitals.items())),
        *(resources.practitioner(view) for _, view in sorted(providers.items())),
    ]


def _named_in(told: Sequence[Json], people: Sequence[Json]) -> list[Json]:
    """A document holds nothing to which nothing leads."""
    named = set(_references(told))
    return [one for one in people if f"urn:uuid:{one['id']}" in named]


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _author() -> Json:
    return {
        "resourceType": "Organization",
        "id": resources.id_of("Organization", AUTHOR),
        "name": "Patient Passport",
    }
