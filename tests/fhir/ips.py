"""The rules of the International Patient Summary that our document must keep, said in our own words.

Source: HL7 FHIR R4 (documents, resources) and http://hl7.org/fhir/uv/ips (Bundle, Composition, absent data).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

REQUIRED_SECTIONS = {"48765-2": "AllergyIntolerance", "10160-0": "Medication", "11450-4": "Condition"}
URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
DATE = re.compile(r"\d{4}-\d\d-\d\d$")
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
MOMENTS = {"timestamp", "date", "effectiveDateTime", "authoredOn", "recordedDate", "start"}
#: What a resource must have, by the IPS profile or R4's own cardinality; `|` where one of several does.
MUST = {
    "Patient": ["name", "gender", "birthDate|_birthDate"],
    "Condition": ["code", "subject", "clinicalStatus", "category"],
    "MedicationRequest": ["status", "intent", "medicationCodeableConcept", "subject"],
    "MedicationStatement": [
        "status",
        "medicationCodeableConcept",
        "subject",
        "effectiveDateTime|_effectiveDateTime",
    ],
    "AllergyIntolerance": ["code", "patient", "clinicalStatus"],
    "Observation": [
        "status",
        "category",
        "code",
        "subject",
        "performer",
        "effectiveDateTime|_effectiveDateTime",
        "valueQuantity|valueString|valueCodeableConcept|dataAbsentReason|component",
    ],
    "Encounter": ["status", "class", "subject"],
    "Organization": ["name"],
    "Practitioner": ["name"],
    "Composition": ["status", "type", "subject", "date", "author", "title", "section"],
}


def broken_rules(bundle: dict[str, Any]) -> list[str]:
    """Every rule that this document breaks, in words; empty for a good one."""
    return [*_frame(bundle), *_references(bundle), *_sections(bundle), *_resources(bundle), *_elements(bundle)]


def _frame(bundle: dict[str, Any]) -> Iterator[str]:
    if (bundle["resourceType"], bundle["type"]) != ("Bundle", "document"):
        yield "not a document"
    if not bundle.get("identifier", {}).get("value") or not DATETIME.match(bundle.get("timestamp", "")):
        yield "a document has an identifier and a timestamp"
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    if kinds[0] != "Composition" or kinds.count("Composition") != 1:
        yield "the first entry is the one Composition"
    if kinds.count("Patient") != 1:
        yield "one patient"
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    if len(urls) != len(set(urls)) or not all(URN.match(url) for url in urls):
        yield "full addresses are urn:uuids, each once"
    if [f"urn:uuid:{entry['resource']['id']}" for entry in bundle["entry"]] != urls:
        yield "an id is that of its address"


def _references(bundle: dict[str, Any]) -> Iterator[str]:
    known = {entry["fullUrl"] for entry in bundle["entry"]}
    used = {url for _, key, url in walk(bundle) if key == "reference"}
    yield from (f"leads nowhere: {url}" for url in sorted(used - known))
    first = bundle["entry"][0]["fullUrl"]
    yield from (f"nothing leads to it: {url}" for url in sorted(known - used - {first}))


def _sections(bundle: dict[str, Any]) -> Iterator[str]:
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    sections = bundle["entry"][0]["resource"]["section"]
    codes = {section["code"]["coding"][0]["code"]: section for section in sections}
    for code, kind in REQUIRED_SECTIONS.items():
        if code not in codes:
            yield f"section {code} is missing"
            continue
        entries = [by_url[entry["reference"]]["resourceType"] for entry in codes[code]["entry"]]
        if not entries or not all(found.startswith(kind) for found in entries):
            yield f"section {code} holds {entries}"
    for section in sections:
        is_in_words_alone = section["code"]["coding"][0]["code"] == "sources"
        if bool(section.get("entry")) is is_in_words_alone:
            yield "a section has entries, but for the one on the sources"
        if not section["title"] or section["text"]["status"] != "generated":
            yield "a section has a title and words"
        if not section["text"]["div"].startswith('<div xmlns="http://www.w3.org/1999/xhtml">'):
            yield "words are XHTML"


def _resources(bundle: dict[str, Any]) -> Iterator[str]:
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for names in MUST[resource["resourceType"]]:
            if not any(resource.get(name) for name in names.split("|")):
                yield f"{resource['resourceType']} without {names}"


def _elements(bundle: dict[str, Any]) -> Iterator[str]:
    for path, key, value in walk(bundle):
        if value in (None, "", [], {}):
            yield f"{path} is empty"
        if key in MOMENTS and not (DATETIME.match(str(value)) or DATE.match(str(value))):
            yield f"{path} is no moment"
        if key == "code" and isinstance(value, str) and value != " ".join(value.split()):
            yield f"{path} is no code"


def walk(node: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """(path, key, value) of everything below."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = f"{path}.{key}"
        yield here, str(key), value
        yield from walk(value, here)
