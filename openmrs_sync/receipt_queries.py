"""The SQL of `receipt --verify`, worded apart from the engine's: a slip in `queries` must not hide itself here.

Where the engine reads plain rows and puts them together in Python, this joins at the source. Reading only. Ids are
written into the text as numbers; the only percent signs are parameters, `%s`.
"""

from collections.abc import Iterable

from openmrs_sync.rows import Schema

#: table → (primary key, whose row it is)
ROWS = {
    "obs": ("obs_id", "person_id"),
    "encounter": ("encounter_id", "patient_id"),
    "visit": ("visit_id", "patient_id"),
    "encounter_diagnosis": ("diagnosis_id", "patient_id"),
    "conditions": ("condition_id", "patient_id"),
    "orders": ("order_id", "patient_id"),
    "allergy": ("allergy_id", "patient_id"),
}
_CONCEPT = {
    "obs": ("concept_id",),
    "encounter_diagnosis": ("diagnosis_coded",),
    "conditions": ("condition_coded", "concept_id"),
    "orders": ("concept_id",),
    "allergy": ("coded_allergen",),
}
_TEXTS = ("value_text", "value_complex")
_OTHER_VALUES = ("value_numeric", "value_coded", "value_datetime", "value_drug", "value_boolean")
_EMRAPI = "org.openmrs.module.emrapi"


def _list(ids: Iterable[int]) -> str:
    return ", ".join(str(int(one)) for one in ids)


def rows_with_standing(schema: Schema, table: str, person_ids: Iterable[int]) -> str:
    """(id, person, standing, concept) of every row; of obs also (group, has members but no value).

    Standing: `voided`, `parent_voided` (encounter, visit, patient, person), `not_a_prescription`, or '': groups are
    followed by the caller, for they have any depth.
    """
    key, owner = ROWS[table]
    joins, dead = _parents(schema, table, owner)
    concept = next((f"r.{column}" for column in _CONCEPT.get(table, ()) if schema.has(table, column)), "NULL")
    other_kind = f" WHEN {_no_prescription(schema)} THEN 'not_a_prescription'" if table == "orders" else ""
    more = f", r.obs_group_id, {_bare_group(schema)}" if table == "obs" else ""
    if table == "orders" and schema.has("drug_order"):
        joins += " LEFT JOIN drug_order dr ON dr.order_id = r.order_id"
    if table == "orders" and schema.has("order_type", "java_class_name"):
        joins += " LEFT JOIN order_type ty ON ty.order_type_id = r.order_type_id"
    index = schema.indexes.get((table, owner))
    forced = f" FORCE INDEX (`{index}`)" if index else ""  # a scan of obs is what we never do
    return (
        f"SELECT r.{key}, r.{owner}, CASE WHEN r.voided <> 0 THEN 'voided' WHEN {dead} THEN 'parent_voided'{other_kind}"
        f" ELSE '' END, {concept}{more} FROM {table} r{forced}{joins} WHERE r.{owner} IN ({_list(person_ids)})"
    )


def _parents(schema: Schema, table: str, owner: str) -> tuple[str, str]:
    """The joins to what a row hangs on, and the condition that any of it is voided."""
    joins = f" LEFT JOIN person pe ON pe.person_id = r.{owner} LEFT JOIN patient pa ON pa.patient_id = r.{owner}"
    voided = ["pe.voided", "pa.voided"]
    encounter = "r"
    if table != "encounter" and schema.has(table, "encounter_id"):
        joins += " LEFT JOIN encounter en ON en.encounter_id = r.encounter_id"
        voided.append("en.voided")
        encounter = "en"
    reaches_visit = table == "encounter" or encounter == "en"
    if reaches_visit and schema.has("encounter", "visit_id") and schema.has("visit"):
        joins += f" LEFT JOIN visit vi ON vi.visit_id = {encounter}.visit_id"
        voided.append("vi.voided")
    return joins, " + ".join(f"COALESCE({column}, 0)" for column in voided) + " > 0"


def _no_prescription(schema: Schema) -> str:
    """Neither the row in drug_order nor the type says that it is a medicine; or it only stops one."""
    medicine = []
    if schema.has("drug_order"):
        medicine.append("dr.order_id IS NOT NULL")
    if schema.has("order_type", "java_class_name"):
        medicine.append("COALESCE(ty.java_class_name, '') = 'org.openmrs.DrugOrder'")
    is_none = f"NOT ({' OR '.join(medicine)})" if medicine else "1 = 1"
    if schema.has("orders", "order_action"):
        return f"({is_none} OR COALESCE(r.order_action, '') = 'DISCONTINUE')"
    return is_none


def _bare_group(schema: Schema) -> str:
    empty = [f"COALESCE(r.{column}, '') = ''" for column in _TEXTS if schema.has("obs", column)]
    empty += [f"r.{column} IS NULL" for column in _OTHER_VALUES if schema.has("obs", column)]
    return f"{' AND '.join(empty)} AND EXISTS (SELECT 1 FROM obs me WHERE me.obs_group_id = r.obs_id)"


def groups(obs_ids: Iterable[int]) -> str:
    """(obs, its group, is it voided), by primary key."""
    return f"SELECT obs_id, obs_group_id, voided <> 0 FROM obs WHERE obs_id IN ({_list(obs_ids)})"


def concepts_by_uuid(n: int) -> str:
    """The ids of the concepts with these uuids: `n` parameters, in lower case."""
    return f"SELECT concept_id FROM concept WHERE LOWER(uuid) IN ({', '.join(['%s'] * n)})"


#: Concepts that OpenMRS' own mappings name: one parameter, the code at emrapi.
CONCEPTS_BY_EMRAPI_CODE = (
    "SELECT ma.concept_id FROM concept_reference_source so"
    " JOIN concept_reference_term te ON te.concept_source_id = so.concept_source_id"
    " JOIN concept_reference_map ma ON ma.concept_reference_term_id = te.concept_reference_term_id"
    f" WHERE LOWER(so.name) = '{_EMRAPI}' AND te.code = %s"
)


def said_again(schema: Schema, person_ids: Iterable[int], *, sets: Iterable[int], diagnoses: Iterable[int]) -> str:
    """(group, member, is a diagnosis, a live row of encounter_diagnosis says the same) of diagnoses written as obs."""
    persons, index = _list(person_ids), schema.indexes.get(("obs", "person_id"))
    forced = f" FORCE INDEX (`{index}`)" if index else ""
    return (
        f"SELECT gr.obs_id, me.obs_id, me.concept_id IN ({_list(diagnoses)}), EXISTS ("
        "SELECT 1 FROM encounter_diagnosis di LEFT JOIN encounter en ON en.encounter_id = di.encounter_id"
        " LEFT JOIN visit vi ON vi.visit_id = en.visit_id"
        " WHERE di.patient_id = me.person_id AND di.encounter_id <=> me.encounter_id AND di.voided = 0"
        " AND COALESCE(en.voided, 0) + COALESCE(vi.voided, 0) = 0"
        " AND (di.diagnosis_coded = me.value_coded OR (me.value_coded IS NULL AND di.diagnosis_coded IS NULL"
        " AND BINARY TRIM(di.diagnosis_non_coded) = BINARY TRIM(me.value_text) AND di.diagnosis_non_coded <> '')))"
        f" FROM obs gr{forced} JOIN obs me ON me.obs_group_id = gr.obs_id AND me.voided = 0"
        " AND me.person_id = gr.person_id"
        f" WHERE gr.person_id IN ({persons}) AND gr.concept_id IN ({_list(sets)})"
    )


# ------------------------------------------------------------------------------------------------ persons

#: (patient, is voided) of a page: parameters (after this patient, at most so many).
PATIENTS = (
    "SELECT pa.patient_id, COALESCE(pa.voided, 0) + COALESCE(pe.voided, 0) > 0 FROM patient pa"
    " LEFT JOIN person pe ON pe.person_id = pa.patient_id"
    " WHERE pa.patient_id > %s ORDER BY pa.patient_id LIMIT %s"
)


def numbers_of_patients(n_types: int) -> str:
    """(patient, number) between two patients: parameters (first, last, `n_types` uuids of identifier types)."""
    return (
        "SELECT id.patient_id, id.identifier FROM patient_identifier id"
        " JOIN patient_identifier_type ty ON ty.patient_identifier_type_id = id.identifier_type"
        f" WHERE id.patient_id BETWEEN %s AND %s AND id.voided = 0 AND ty.uuid IN ({', '.join(['%s'] * n_types)})"
    )
