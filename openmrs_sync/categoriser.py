"""condition, medication, test, vital, visit, allergy, other; and the rule that fired.

By source table, then the admin's word on the concept, then what the dictionary says, then other. Pure.
"""

from collections.abc import Iterable

from openmrs_sync.rows import Categorise, CategoryRule, Concept

TABLE_CATEGORIES = {
    "encounter_diagnosis": "condition",
    "conditions": "condition",
    "orders": "medication",
    "allergy": "allergy",
    "visit": "visit",
    "encounter": "visit",
}
#: LabTest is Bahmni's name of Test.
CLASS_CATEGORIES = {
    "Diagnosis": "condition",
    "Symptom": "condition",
    "Drug": "medication",
    "Test": "test",
    "LabTest": "test",
    "LabSet": "test",
}
#: CIEL code → which vital sign. The mapping comes before the class: RefApp's vitals are of class Test.
VITAL_CODES = {
    "5085": "systolic blood pressure",
    "5086": "diastolic blood pressure",
    "5087": "pulse",
    "5088": "temperature",
    "5089": "weight",
    "5090": "height",
    "5092": "oxygen saturation",
    "5242": "respiration",
}
EMRAPI = "org.openmrs.module.emrapi"
#: The questions whose answer is a diagnosis. Their class says nothing: Question here, Finding there.
DIAGNOSIS_CODES = ("Coded Diagnosis", "Non-Coded Diagnosis")


def make_categorise(rules: Iterable[CategoryRule]) -> Categorise:
    """Return the function for one hospital and one run: (table, concept) → (category, rule, is hidden).

    When two rules name one concept the later wins: give those of all hospitals first, then this hospital's. Hiding
    holds for every table, the admin's category for obs only: the other tables say themselves what they are.
    """
    admin_rules = {rule.concept_uuid.lower(): rule for rule in rules if rule.concept_uuid}

    # not by the concept itself: hashing all its fields costs more than the answer
    known: dict[tuple[str, int | None, str], tuple[str, str, bool]] = {}

    def categorise(table: str, concept: Concept | None) -> tuple[str, str, bool]:
        key = (table, concept.concept_id, concept.uuid) if concept else (table, None, "")
        if (answer := known.get(key)) is None:
            answer = known[key] = decide(table, concept)
        return answer

    def decide(table: str, concept: Concept | None) -> tuple[str, str, bool]:
        rule = admin_rules.get(concept.uuid.lower()) if concept else None
        is_hidden = rule is not None and rule.is_hidden
        if table in TABLE_CATEGORIES:
            return TABLE_CATEGORIES[table], f"table:{table}", is_hidden
        if rule is not None and rule.category:
            return rule.category, "admin", is_hidden
        category, name = _by_concept(concept) if concept else ("other", "default")
        return category, name, is_hidden

    return categorise


def _by_concept(concept: Concept) -> tuple[str, str]:
    for code in DIAGNOSIS_CODES:
        if (EMRAPI, code) in concept.mappings:
            return "condition", f"mapping:emrapi:{code}"
    if concept.datatype == "Numeric":
        for code in VITAL_CODES:
            if ("CIEL", code) in concept.mappings:
                return "vital", f"mapping:CIEL:{code}"
            # CIEL's own uuids, where the mappings were not imported (Bahmni): the code padded with A
            if concept.uuid.rstrip("Aa") == code and len(concept.uuid) > len(code):
                return "vital", f"uuid:CIEL:{code}"
    if concept.concept_class in CLASS_CATEGORIES:
        return CLASS_CATEGORIES[concept.concept_class], f"class:{concept.concept_class}"
    return "other", "default"
