"""Fill an empty pretend hospital with its dictionary, staff and places, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.openmrs import ddl
from tests.openmrs import dictionary as d

if TYPE_CHECKING:
    from tests.openmrs.hospital import PretendHospital

STAFF_KEYS = ("physician", "nurse", "midwife", "retired", "lab")  # the laboratory's person has no name
IDENTIFIER_TYPES = ("OpenMRS ID", "Old Identification Number", "National ID")
ORDER_TYPES = ("Drug Order", "Test Order", "Lab Order")
FOUNDED = dt.datetime(2012, 3, 1, 8, 0, 0)
FIRST_CONCEPT = (100, 5000)  # concept_id means nothing outside its hospital: each starts somewhere else
OPENMRS_ID_UUID = "8d793bee-c2cc-11de-8d13-0010c6dffd0f"
DRUG_ORDER_UUID = "131168f4-15f5-102d-96e4-000c29c2a5d7"
TEST_ORDER_UUID = "52a447d3-a64a-11e3-9aeb-50e549534c5e"


def seed(hospital: PretendHospital) -> None:
    """Write everything that is there before the first patient comes."""
    with hospital.at(FOUNDED), hospital.bulk():
        _users(hospital)
        _concepts(hospital)
        _mappings(hospital)
        _formulary(hospital)
        _places(hospital)
        _staff(hospital)
        _kinds(hospital)
        _orders(hospital)
        _settings(hospital)
        _changelog(hospital)


def look_up(hospital: PretendHospital) -> None:
    """Find again what seed() wrote, by uuid or by the order in which it was written."""
    h = hospital
    ids = {row["uuid"]: row["concept_id"] for row in h.rows("concept")}
    h.concepts = {concept.key: ids[concept.uuid] for concept in d.CONCEPTS}
    h.drugs = _in_order(h, "drug", d.FORMULARY)
    h.locations = _in_order(h, "location", ("hospital", *d.LOCATIONS))
    h.providers = _in_order(h, "provider", STAFF_KEYS)
    h.encounter_types = _in_order(h, "encounter_type", d.ENCOUNTER_TYPES)
    h.visit_types = _in_order(h, "visit_type", d.VISIT_TYPES)
    h.identifier_types = _in_order(h, "patient_identifier_type", IDENTIFIER_TYPES)
    h.order_types = _in_order(h, "order_type", ORDER_TYPES)
    h.clinician_role = h.rows("encounter_role")[0]["encounter_role_id"]
    if h.has("care_setting"):
        h.care_setting = h.rows("care_setting")[0]["care_setting_id"]
        h.frequencies = _in_order(h, "order_frequency", d.TIMES_A_DAY)
    h.provider_names = {key: _provider_name(h, provider) for key, provider in h.providers.items()}


def _in_order(h: PretendHospital, table: str, keys: Iterable[str]) -> dict[str, int]:
    """The seed wrote them in this order, and rows added later come after them."""
    return {key: row[h.key_of(table)] for key, row in zip(keys, h.rows(table), strict=False)}


def _provider_name(h: PretendHospital, provider: int) -> str:
    row = h.row("provider", provider)
    names = h.rows("person_name", person_id=row["person_id"], voided=0)
    return f"{names[0]['given_name']} {names[0]['family_name']}" if names else row["name"]


def _users(h: PretendHospital) -> None:
    person = h.insert("person", gender="M")
    h.insert("person_name", person_id=person, preferred=1, given_name="Super", family_name="User")
    h.insert("users", system_id="admin", username="", person_id=person)
    h.insert("users", system_id="daemon", username="daemon", person_id=person)


def _concepts(h: PretendHospital) -> None:
    datatypes = {
        name: h.insert("concept_datatype", name=name, uuid=f"8d4a{part}-c2cc-11de-8d13-0010c6dffd0f")
        for name, part in d.DATATYPES.items()
    }
    classes = {name: h.insert("concept_class", name=name) for name in d.CLASSES}
    start = h.random.randrange(*FIRST_CONCEPT)
    for concept_id, concept in enumerate(d.CONCEPTS, start):
        h.concepts[concept.key] = concept_id
        h.insert(
            "concept",
            concept_id=concept_id,
            datatype_id=datatypes[concept.datatype],
            class_id=classes[concept.kind],
            is_set=int(concept.key in d.SETS),
            uuid=concept.uuid,
        )
        _names(h, concept_id, concept.names)
        if concept.datatype == "Numeric":
            _numeric(h, concept_id, concept)
    for parent, members in d.SETS.items():
        for weight, member in enumerate(members):
            h.insert(
                "concept_set",
                concept_set=h.concepts[parent],
                concept_id=h.concepts[member],
                sort_weight=float(weight),
            )


def _names(h: PretendHospital, concept_id: int, names: dict[str, str]) -> None:
    for locale, name in names.items():
        h.insert(
            "concept_name",
            concept_id=concept_id,
            name=name,
            locale=locale,
            locale_preferred=1,
            concept_name_type="FULLY_SPECIFIED",
        )
        if locale == "en" and len(name) > 12:
            h.insert(
                "concept_name",
                concept_id=concept_id,
                name=name.split()[0],
                locale=locale,
                locale_preferred=0,
                concept_name_type="SHORT",
            )


def _numeric(h: PretendHospital, concept_id: int, concept: d.Concept) -> None:
    decimals = {"allow_decimal" if h.has("concept_numeric", "allow_decimal") else "precise": 1}
    h.insert(
        "concept_numeric",
        concept_id=concept_id,
        units=concept.units,
        low_normal=concept.normal[0],
        hi_normal=concept.normal[1],
        low_critical=concept.critical[0],
        hi_critical=concept.critical[1],
        **decimals,
    )
    if concept.key == "pulse" and h.has("concept_reference_range"):
        h.insert(
            "concept_reference_range",
            concept_id=concept_id,
            criteria="$patient.getAge() < 5",
            low_normal=80,
            hi_normal=140,
        )


def _mappings(h: PretendHospital) -> None:
    same_as = h.insert("concept_map_type", name="SAME-AS")
    h.insert("concept_map_type", name="NARROWER-THAN")
    sources = {
        d.CIEL: h.insert("concept_reference_source", name=d.CIEL, description="CIEL concept ids"),
        d.EMRAPI: h.insert("concept_reference_source", name=d.EMRAPI, description="Reference application"),
    }
    for concept in d.CONCEPTS:
        for source, code in ((d.CIEL, concept.code), *concept.maps):
            term = h.insert("concept_reference_term", concept_source_id=sources[source], code=code)
            h.insert(
                "concept_reference_map",
                concept_id=h.concepts[concept.key],
                concept_reference_term_id=term,
                concept_map_type_id=same_as,
            )


def _formulary(h: PretendHospital) -> None:
    for key, (concept, name, strength) in d.FORMULARY.items():
        extra = {"strength": strength} if h.has("drug", "strength") else {}
        h.drugs[key] = h.insert("drug", concept_id=h.concept(concept), name=name, **extra)


def _places(h: PretendHospital) -> None:
    root = h.insert("location", name=h.name, country="Rwanda", city_village="Kigali")
    h.locations["hospital"] = root
    for key, name in d.LOCATIONS.items():
        parent = None if key == "unknown" else root
        h.locations[key] = h.insert("location", name=name, country="Rwanda", parent_location=parent)


def _staff(h: PretendHospital) -> None:
    names = h.random.sample(d.STAFF, 4)
    for number, (key, (given, family)) in enumerate(zip(STAFF_KEYS, names, strict=False), 1):
        person = h.insert("person", gender=h.random.choice("MF"), birthdate=dt.date(1980, 1, number))
        h.insert("person_name", person_id=person, preferred=1, given_name=given, family_name=family)
        retired = {"retired": 1, "retired_by": 1, "date_retired": h.clock()} if key == "retired" else {}
        h.providers[key] = h.insert("provider", person_id=person, identifier=f"P-{number:03d}", **retired)
        h.provider_names[key] = f"{given} {family}"
    h.providers["lab"] = h.insert(
        "provider", person_id=h.insert("person", gender=""), name="Lab Manager", identifier="LAB"
    )
    h.provider_names["lab"] = "Lab Manager"


def _kinds(h: PretendHospital) -> None:
    for key, name in d.ENCOUNTER_TYPES.items():
        h.encounter_types[key] = h.insert("encounter_type", name=name)
    for key, name in d.VISIT_TYPES.items():
        h.visit_types[key] = h.insert("visit_type", name=name)
    h.clinician_role = h.insert("encounter_role", name="Clinician")
    for name in IDENTIFIER_TYPES:
        extra = {"uuid": OPENMRS_ID_UUID, "required": 1} if name == "OpenMRS ID" else {}
        h.identifier_types[name] = h.insert("patient_identifier_type", name=name, **extra)


def _orders(h: PretendHospital) -> None:
    java = {
        "Drug Order": ("org.openmrs.DrugOrder", DRUG_ORDER_UUID),
        "Test Order": ("org.openmrs.TestOrder", TEST_ORDER_UUID),
        "Lab Order": ("org.openmrs.Order", h.new_uuid()),  # a local one, as Bahmni makes it
    }
    for name, (java_class, uuid) in java.items():
        extra = {"java_class_name": java_class} if h.has("order_type", "java_class_name") else {}
        h.order_types[name] = h.insert("order_type", name=name, uuid=uuid, **extra)
    if not h.has("care_setting"):
        return
    h.care_setting = h.insert("care_setting", name="Outpatient", care_setting_type="OUTPATIENT")
    h.insert("care_setting", name="Inpatient", care_setting_type="INPATIENT")
    for key, times in d.TIMES_A_DAY.items():
        h.frequencies[key] = h.insert("order_frequency", concept_id=h.concept(key), frequency_per_day=times)


def _settings(h: PretendHospital) -> None:
    other = next(concept for concept in d.CONCEPTS if concept.key == "other")
    for name, value in {
        "concept.true": h.concept("true"),
        "concept.false": h.concept("false"),
        "default_locale": "en",
        "locale.allowed.list": "en, fr, rw",
        "allergy.concept.otherNonCoded": other.uuid,
        "emrapi.useLegacyDiagnosisService": "false" if h.has("encounter_diagnosis") else "true",
    }.items():
        h.insert("global_property", property=name, property_value=str(value))


def _changelog(h: PretendHospital) -> None:
    """One row per update file that an installation of this version has run."""
    files = [("0-core", "liquibase-update-to-latest.xml")]
    for minor in range(10):
        if ddl.order("2.2") <= (2, minor) <= ddl.order(h.version):
            folder = "org/openmrs/liquibase/updates/"
            files.append((f"TRUNK-2.{minor}", f"{folder}liquibase-update-to-latest-2.{minor}.x.xml"))
    for number, (row_id, file) in enumerate(files, 1):
        h.insert(
            "liquibasechangelog",
            id=row_id,
            author="openmrs",
            filename=file,
            dateexecuted=h.clock(),
            orderexecuted=number,
            exectype="EXECUTED",
        )
