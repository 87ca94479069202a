"""Source rows to give to the enricher, with all columns but the named ones empty; and a dictionary of a few names."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from openmrs_sync.categoriser import make_categorise
from openmrs_sync.enricher import render
from openmrs_sync.rows import (
    AllergyRow,
    CategoryRule,
    Concept,
    ConditionRow,
    DiagnosisRow,
    EncounterRow,
    ObsRow,
    OrderRow,
    PersonRow,
    Place,
    Provider,
    ReactionRow,
    RecordRow,
    Rendered,
    SourceBatch,
    VisitRow,
)

ALICE, BOB = 1, 2
NOON = dt.datetime(2025, 6, 2, 12, 0, 0)
LATER = dt.datetime(2025, 6, 3, 8, 30, 0)
KIGALI = ZoneInfo("Africa/Kigali")
EMRAPI = "org.openmrs.module.emrapi"
WEIGHT, HB, NOTE, ANSWER, SET, DAY, HOUR, SCAN, YES_NO, RATE = range(100, 110)
DX_SET, DX_CODED, DX_TEXT, DX_CERTAINTY, DX_RANK, DX_STATUS = range(120, 126)
MALARIA, CONFIRMED, PRIMARY, YES, NO, RULED_OUT, OTHER_ALLERGEN, TABLET, ORAL, TWICE = range(130, 140)
LAB, ABNORMAL, MINIMUM = range(150, 153)


def _concept(concept_id: int, name: str, datatype: str = "N/A", concept_class: str = "Misc", **more: Any) -> Concept:
    return Concept(
        concept_id=concept_id,
        uuid=f"uuid-{concept_id}",
        name=name,
        concept_class=concept_class,
        datatype=datatype,
        **more,
    )


def _emrapi(concept_id: int, name: str, code: str, datatype: str = "Coded") -> Concept:
    return _concept(concept_id, name, datatype, "Question", mappings=frozenset({(EMRAPI, code)}))


CONCEPTS = {
    concept.concept_id: concept
    for concept in (
        _concept(WEIGHT, "Weight", "Numeric", unit="kg", mappings=frozenset({("CIEL", "5089")})),
        _concept(
            HB,
            "Haemoglobin",
            "Numeric",
            "Test",
            unit="g/dL",
            low_normal=11.0,
            high_normal=17.0,
            low_critical=7.0,
            high_critical=20.0,
        ),
        _concept(RATE, "Respiratory rate", "Numeric", high_normal=70.0),
        _concept(NOTE, "Note", "Text"),
        _concept(ANSWER, "Rapid test", "Coded", "Test"),
        _concept(SET, "A form"),
        _concept(DAY, "Return date", "Date"),
        _concept(HOUR, "Arrival", "Time"),
        _concept(SCAN, "X-ray", "Complex"),
        _concept(YES_NO, "Smokes", "Boolean"),
        _emrapi(DX_SET, "Visit Diagnoses", "Diagnosis Concept Set", "N/A"),
        _emrapi(DX_CODED, "PROBLEM LIST", "Coded Diagnosis"),
        _emrapi(DX_TEXT, "Problem, other", "Non-Coded Diagnosis", "Text"),
        _emrapi(DX_CERTAINTY, "Certainty", "Diagnosis Certainty"),
        _emrapi(DX_RANK, "Order", "Diagnosis Order"),
        _concept(DX_STATUS, "Status", "Coded", full_name="Bahmni Diagnosis Status"),
        _concept(MALARIA, "Malaria", concept_class="Diagnosis"),
        _concept(CONFIRMED, "Diagnostic confirmé", full_name="Confirmed diagnosis"),
        _concept(PRIMARY, "Primaire", mappings=frozenset({(EMRAPI, "Primary")})),
        _concept(YES, "Oui"),
        _concept(NO, "Non"),
        _concept(RULED_OUT, "Ruled out"),
        _concept(OTHER_ALLERGEN, "Other"),
        _concept(TABLET, "Tablet"),
        _concept(ORAL, "Oral"),
        _concept(TWICE, "Twice daily"),
        _concept(LAB, "Glucose", "Numeric", "LabTest"),
        _concept(ABNORMAL, "Abnormal?", "Boolean", full_name="LAB_ABNORMAL"),
        _concept(MINIMUM, "From", "Numeric", full_name="LAB_MINNORMAL"),
    )
}


@dataclass
class Book:
    """A dictionary that knows these entries only."""

    names: Mapping[int, str] = field(default_factory=lambda: {900: "Palu"})
    settings: Mapping[str, str] = field(
        default_factory=lambda: {
            "concept.true": str(YES),
            "concept.false": str(NO),
            "allergy.concept.otherNonCoded": f"uuid-{OTHER_ALLERGEN}",
        }
    )

    def concept(self, concept_id: int) -> Concept:
        if concept_id == 666:
            raise RuntimeError("a secret value")
        return CONCEPTS.get(concept_id) or _concept(concept_id, f"Unknown concept {concept_id}")

    def concept_name(self, concept_name_id: int) -> str | None:
        return self.names.get(concept_name_id)

    def drug(self, drug_id: int) -> str:
        return {1: "Metformin 500mg"}.get(drug_id, f"Unknown drug {drug_id}")

    def provider(self, provider_id: int) -> Provider:
        names = {1: "Dr Uwimana", 2: "Nurse Keza"}
        return Provider(provider_id=provider_id, uuid=f"provider-{provider_id}", name=names[provider_id])

    def location(self, location_id: int) -> Place:
        name = {1: "Ward", 2: "Clinic", 3: "Hospital"}.get(location_id, f"Unknown location {location_id}")
        return Place(
            location_id=location_id, uuid=f"place-{location_id}", name=name, parent_location_id=None, is_retired=False
        )

    def encounter_type(self, encounter_type_id: int) -> str:
        return "Consultation"

    def visit_type(self, visit_type_id: int) -> str:
        return "Outpatient"

    def setting(self, name: str) -> str | None:
        return self.settings.get(name)


def _row(shape: Any, defaults: dict[str, Any], columns: dict[str, Any]) -> Any:
    return shape(**(dict.fromkeys(shape._fields) | {"voided": 0, "date_created": LATER} | defaults | columns))


def obs(obs_id: int, concept_id: int = WEIGHT, **columns: Any) -> ObsRow:
    defaults = {"obs_id": obs_id, "uuid": f"obs-{obs_id}", "person_id": ALICE, "obs_datetime": NOON}
    return _row(ObsRow, defaults | {"concept_id": concept_id}, columns)


def encounter(encounter_id: int = 10, **columns: Any) -> EncounterRow:
    defaults = {"encounter_id": encounter_id, "uuid": f"enc-{encounter_id}", "patient_id": ALICE, "encounter_type": 1}
    return _row(EncounterRow, defaults | {"encounter_datetime": NOON}, columns)


def visit(visit_id: int = 5, **columns: Any) -> VisitRow:
    defaults = {"visit_id": visit_id, "uuid": f"visit-{visit_id}", "patient_id": ALICE, "visit_type_id": 1}
    return _row(VisitRow, defaults | {"date_started": NOON}, columns)


def diagnosis(diagnosis_id: int = 20, **columns: Any) -> DiagnosisRow:
    defaults = {"diagnosis_id": diagnosis_id, "uuid": f"dx-{diagnosis_id}", "patient_id": ALICE, "encounter_id": 10}
    return _row(DiagnosisRow, defaults | {"certainty": "CONFIRMED", "rank": 1}, columns)


def condition(condition_id: int = 30, **columns: Any) -> ConditionRow:
    defaults = {"condition_id": condition_id, "uuid": f"cond-{condition_id}", "patient_id": ALICE}
    return _row(ConditionRow, defaults, columns)


def order(order_id: int = 40, **columns: Any) -> OrderRow:
    defaults = {"order_id": order_id, "uuid": f"order-{order_id}", "patient_id": ALICE, "is_drug_order": 1}
    return _row(OrderRow, defaults | {"drug_inventory_id": 1, "date_activated": NOON, "order_action": "NEW"}, columns)


def allergy(allergy_id: int = 50, **columns: Any) -> AllergyRow:
    defaults = {"allergy_id": allergy_id, "uuid": f"all-{allergy_id}", "patient_id": ALICE}
    return _row(AllergyRow, defaults, columns)


def person(person_id: int = ALICE, *, is_voided: bool = False) -> PersonRow:
    return PersonRow(person_id, f"person-{person_id}", "F", None, False, is_voided)


def render_rows(
    *rows: Any, zone: ZoneInfo = KIGALI, rules: tuple[CategoryRule, ...] = (), people: Any = None, **more: Any
) -> Rendered:
    """Render these rows of Alice's."""
    of_shape = {
        name: [row for row in rows if isinstance(row, shape)]
        for name, shape in (
            ("obs", ObsRow),
            ("encounters", EncounterRow),
            ("visits", VisitRow),
            ("diagnoses", DiagnosisRow),
            ("conditions", ConditionRow),
            ("orders", OrderRow),
            ("allergies", AllergyRow),
            ("reactions", ReactionRow),
        )
    }
    parents = frozenset(row.obs_group_id for row in of_shape["obs"] if row.obs_group_id)
    defaults: dict[str, Any] = {
        "persons": people or {ALICE: person()},
        "identifiers": [],
        "encounter_providers": {},
        "other_parents": {"obs": {}, "encounter": {}, "visit": {}},
        "group_parents": parents,
        "counts": {},
    }
    batch = SourceBatch(**(defaults | of_shape | more))
    (alice, *_) = render(batch, dictionaries=Book(), zone=zone, categorise=make_categorise(rules))
    return alice


def one_record(*rows: Any, **more: Any) -> RecordRow:
    (record,) = render_rows(*rows, **more).records
    return record


def by_id(rendered: Rendered) -> dict[int, RecordRow]:
    return {record.source_id: record for record in rendered.records}


def left_out(rendered: Rendered) -> list[tuple[int, str]]:
    return [(row.source_id, row.reason) for row in (*rendered.excluded, *rendered.parked)]
