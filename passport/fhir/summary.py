"""The International Patient Summary: one document, in which every reference leads somewhere."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from passport.access.scope import Scope
from passport.fhir import resources, sections
from passport.fhir.codes import LOINC, Codes, Json, coding
from passport.fhir.resources import Names, entry, instant, reference
from passport.fhir.sections import Section, SourceRow
from passport.history import Overview, RecordView, overview
from passport.history.encounters import encounters_of
from passport.models import Link, PatientIdentifier, SourceConcept

MEDIA_TYPE = "application/fhir+json"
PROFILE = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
AUTHOR = "patient-passport"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Who reads the document in which words: how far each hospital was read, and how a medicine is taken.

    The hospital's own words for a dose stay beside it, as route and timing.
    """

    sources: Callable[[Overview], Sequence[SourceRow]] = sections.in_english
    dose: Callable[[str], str] = str


AS_WRITTEN = Wording()


def patient_summary(*, scope: Scope, now: dt.datetime, say: Wording = AS_WRITTEN) -> Json:
    """A Bundle of type document for what this look may show. Shape: IPS 1.1 on FHIR R4.

    Withdrawn records and what is past are left out, as in the overview. `scope` decides the rest: pass one
    `without_sensitive` for what leaves the house. What `say` has no words for stays as it was written. A
    hospital that is left out is not spoken of.
    """
    shown = _of_those_shown(overview(scope=scope, now=now), scope)
    stated = [*shown.conditions, *shown.medications]
    views = [*(one.record for one in stated), *shown.allergies, *shown.latest_results, *shown.latest_vitals]
    encounters = encounters_of(views, scope=scope)
    names = Names(patient=scope.patient, codes=codes_of(views), dose=say.dose)
    told_in = sections.of(shown, names, encounters={view.id for view in encounters})
    told_in.append(sections.sources(say.sources(shown)))
    numbers = PatientIdentifier.objects.filter(patient=scope.patient).order_by("created_at", "pk")
    person = resources.patient(scope.patient, numbers=list(numbers.values_list("number", flat=True)))
    told = [
        *(resource for section in told_in for resource in section.entries),
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
        "entry": [entry(_composition(names, told_in, now=now)), entry(person), *map(entry, others)],
    }


def _of_those_shown(shown: Overview, scope: Scope) -> Overview:
    """Without a word on a hospital that the patient is known at and that this look leaves out.

    One where nothing of the patient is known is named all the same: that it could not be asked says nothing of them.
    """
    if not scope.left_out.hospitals:
        return shown
    known_at = Link.objects.filter(patient=scope.patient, hospital_id__in=scope.left_out.hospitals)
    left_out = set(known_at.values_list("hospital__code", flat=True))
    return replace(shown, freshness=[each for each in shown.freshness if each.hospital not in left_out])


def codes_of(views: Iterable[RecordView]) -> Codes:
    """What the hospitals' dictionaries map the concepts of these records to, questions and answers. One query."""
    uuids = {uuid for view in views for uuid in (view.concept_uuid, str(view.details.get("answer", ""))) if uuid}
    found = SourceConcept.objects.filter(concept_uuid__in=sorted(uuids)).select_related("hospital")
    return {
        (known.hospital.code, known.concept_uuid): [(source, code) for source, code in known.codes] for known in found
    }


def _composition(names: Names, told_in: Sequence[Section], *, now: dt.datetime) -> Json:
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
        "section": [section.as_json() for section in told_in if section.entries or section.code == sections.SOURCES],
    }


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
