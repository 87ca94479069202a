"""Codings: what a hospital's dictionary maps to, and what FHIR wants said in codes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from passport.history import RecordView, Standing

#: One FHIR element as JSON. FHIR is JSON without a schema of ours, so this is the one place of bare dicts.
Json = dict[str, Any]

#: Mapping sources as hospitals name them (lower case) → the code system's address.
SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed ct": "http://snomed.info/sct",
    "snomed": "http://snomed.info/sct",
    "icd-10-who": "http://hl7.org/fhir/sid/icd-10",
    "icd 10 - who": "http://hl7.org/fhir/sid/icd-10",
    "icd-10": "http://hl7.org/fhir/sid/icd-10",
    "icd-11-who": "http://id.who.int/icd/release/11/mms",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ciel": "https://openconceptlab.org/orgs/CIEL/sources/CIEL",
    "ceil": "https://openconceptlab.org/orgs/CIEL/sources/CIEL",
    "pih": "https://openconceptlab.org/orgs/PIH/sources/PIH",
    "ampath": "https://openconceptlab.org/orgs/AMPATH/sources/AMPATH",
}
CIEL = SYSTEMS["ciel"]
LOINC = SYSTEMS["loinc"]
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

#: CIEL's vital signs → (LOINC, its name). Source: the value set of FHIR R4's vital signs profile.
VITAL_SIGNS = {
    "5085": ("8480-6", "Systolic blood pressure"),
    "5086": ("8462-4", "Diastolic blood pressure"),
    "5087": ("8867-4", "Heart rate"),
    "5088": ("8310-5", "Body temperature"),
    "5089": ("29463-7", "Body weight"),
    "5090": ("8302-2", "Body height"),
    "5092": ("2708-6", "Oxygen saturation in Arterial blood"),
    "5242": ("9279-1", "Respiratory rate"),
}

#: LOINC: both numbers of a blood pressure in one.
BLOOD_PRESSURE = "85354-9"

#: How hospitals write units (lower case, no blanks) → UCUM. What is not here stays a word, without a code.
UNITS = {
    "mmhg": "mm[Hg]", "mm/hg": "mm[Hg]", "kg": "kg", "g": "g", "mg": "mg", "cm": "cm", "m": "m", "mm": "mm",
    "degc": "Cel", "deg.c": "Cel", "celsius": "Cel", "c": "Cel", "°c": "Cel", "%": "%",
    "beats/min": "/min", "bpm": "/min", "breaths/min": "/min", "/min": "/min", "rate/min": "/min",
    "g/dl": "g/dL", "gm/dl": "g/dL", "g/l": "g/L", "mg/dl": "mg/dL", "mg/l": "mg/L", "mmol/l": "mmol/L",
    "umol/l": "umol/L", "μmol/l": "umol/L", "µmol/l": "umol/L", "meq/l": "meq/L", "iu/l": "[IU]/L", "u/l": "U/L",
    "10^3/ul": "10*3/uL", "x10^3/ul": "10*3/uL", "10^6/ul": "10*6/uL", "10^9/l": "10*9/L", "10^12/l": "10*12/L",
    "cells/ul": "{cells}/uL", "cells/mm3": "{cells}/mm3", "cells/mmˆ3": "{cells}/mm3", "copies/ml": "{copies}/mL",
    "fl": "fL", "pg": "pg", "weeks": "wk", "days": "d", "hours": "h", "minutes": "min", "months": "mo", "years": "a",
}  # fmt: skip

INTERPRETATIONS = {
    "normal": ("N", "Normal"),
    "low": ("L", "Low"),
    "high": ("H", "High"),
    "critically_low": ("LL", "Critical low"),
    "critically_high": ("HH", "Critical high"),
    "abnormal": ("A", "Abnormal"),
}
VERIFICATION = {
    "confirmed": "confirmed",
    "presumed": "provisional",
    "provisional": "provisional",
    "differential": "differential",
    "unconfirmed": "unconfirmed",
    "refuted": "refuted",
}
#: Words of the hospital's own statuses → condition-clinical.
CLINICAL = {
    "active": "active",
    "recurrence": "recurrence",
    "relapse": "relapse",
    "inactive": "inactive",
    "remission": "remission",
    "resolved": "resolved",
    "history_of": "inactive",
}

#: (source name, code) pairs by (hospital code, concept uuid).
Codes = Mapping[tuple[str, str], Sequence[tuple[str, str]]]


def absent(reason: str = "unknown") -> Json:
    """What stands where FHIR wants something that nobody said."""
    return {"extension": [{"url": ABSENT, "valueCode": reason}]}


def coding(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def coded(name: str, code: str, display: str = "") -> Json:
    """A CodeableConcept of one of HL7's own code systems."""
    return {"coding": [coding(f"{TERMINOLOGY}/{name}", code, display)]}


def concept(*, hospital: str, concept_uuid: str, text: str, codes: Codes) -> Json:
    """The hospital's words, with every code that its dictionary has for them and that has a public system."""
    found = list(codings(hospital=hospital, concept_uuid=concept_uuid, codes=codes))
    return ({"coding": found} if found else {}) | ({"text": text} if text.strip() else absent() if not found else {})


def codings(*, hospital: str, concept_uuid: str, codes: Codes) -> Iterable[Json]:
    pairs = set(codes.get((hospital, concept_uuid), ()))
    if ciel := ciel_of(concept_uuid):
        pairs.add(("CIEL", ciel))
    by_system = {(SYSTEMS.get(source.lower(), ""), code) for source, code in pairs}
    if vital := next((VITAL_SIGNS[code] for system, code in by_system if system == CIEL and code in VITAL_SIGNS), None):
        by_system.add((LOINC, vital[0]))
    return [coding(system, code) for system, code in sorted(by_system) if system and is_code(code)]


def ciel_of(concept_uuid: str) -> str:
    """CIEL's number, whose uuids are the number padded with A to 36 characters; "" for any other uuid."""
    number = concept_uuid.rstrip("A")
    return number if len(concept_uuid) == 36 and number.isdigit() else ""


def is_code(text: str) -> bool:
    """FHIR's `code`: no blank at either end, no two in a row, no control character."""
    return bool(text) and text == " ".join(text.split())


def quantity(number: float, unit: str) -> Json:
    value: Json = {"value": int(number) if number == int(number) and abs(number) < 1e15 else number}
    if not unit:
        return value
    code = UNITS.get("".join(unit.lower().split()))
    return value | {"unit": unit} | ({"system": UCUM, "code": code} if code else {})


def clinical_status(view: RecordView, standing: Standing) -> Json:
    """What the source says; by its dates where it says nothing; absent where those say nothing either."""
    said = CLINICAL.get(str(view.details.get("clinical_status", "")).lower())
    if standing is Standing.UNKNOWN:
        return absent()
    code = said if standing is Standing.CURRENT and said else "active" if standing is Standing.CURRENT else "inactive"
    return coded("condition-clinical", code)
