"""Every SQL text that the engine sends to a source. Reading only; names in lower case; one plain SELECT per table.

Columns differ by version, so SELECT lists are made from the `Schema`: an absent column is NULL under its name, and a
row is always as long as its named tuple in `rows`. Ids are written into the text as numbers (`_ids` takes nothing
else): substituting thousands of parameters costs more than the query. The only percent signs are parameters, `%s`.
"""

from collections.abc import Iterable, Sequence

from openmrs_sync.rows import Schema

# ------------------------------------------------------------------------------------------------ what is there

#: (table, column) of the current database. Shows only what the account may SELECT, which is what we want to know.
COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"

#: (table, first column, index name) of every index, to force the one on person_id where it exists.
INDEXES = (
    "SELECT table_name, column_name, index_name FROM information_schema.statistics"
    " WHERE table_schema = DATABASE() AND seq_in_index = 1"
)

# ------------------------------------------------------------------------------------------------ building blocks

#: MariaDB turns an IN list of 1,000 and more into a temporary table, and may then scan `obs`.
MAX_IN = 500


def _ids(ids: Iterable[int]) -> str:
    return "(" + ",".join([str(int(one)) for one in ids]) + ")"


def _column(schema: Schema, table: str, names: str, prefix: str = "") -> str:
    """The first column of `a|b|c` that the table has, else NULL. Quoted: `rank` is a reserved word in MySQL 8."""
    for name in names.split("|"):
        if schema.has(table, name):
            return f"{prefix}`{name}`"
    return "NULL"


def _columns(schema: Schema, table: str, names: str, prefix: str = "") -> str:
    return ", ".join(_column(schema, table, name, prefix) for name in names.split())


def _forced(schema: Schema, table: str, column: str) -> str:
    """`FORCE INDEX` for `column`: with many persons the optimiser would rather scan the table, which we never do."""
    index = schema.indexes.get((table, column))
    return f" FORCE INDEX (`{index}`)" if index else ""


def _of_persons(schema: Schema, table: str, owner: str, names: str, ids: Iterable[int]) -> str:
    return (
        f"SELECT {_columns(schema, table, names)} FROM {table}{_forced(schema, table, owner)}"
        f" WHERE {owner} IN {_ids(ids)}"
    )


#: table → (its primary key, the column that says whose row it is)
KEYS = {
    "obs": ("obs_id", "person_id"),
    "encounter": ("encounter_id", "patient_id"),
    "visit": ("visit_id", "patient_id"),
    "encounter_diagnosis": ("diagnosis_id", "patient_id"),
    "conditions": ("condition_id", "patient_id"),
    "orders": ("order_id", "patient_id"),
    "allergy": ("allergy_id", "patient_id"),
    "person_merge_log": ("person_merge_log_id", "winner_person_id"),
}

#: table → its primary key, of those that the deep look reads by stamps or by voided rows, too
PRIMARY = {table: key for table, (key, _) in KEYS.items()} | {
    "person": "person_id",
    "patient": "patient_id",
    "encounter_provider": "encounter_provider_id",
}


def _between(key: str, ids: range | None) -> str:
    """The condition that a primary key lies in this range; true without one."""
    return f"{key} >= {ids.start} AND {key} < {ids.stop}" if ids is not None else "1 = 1"


# ------------------------------------------------------------------------------------------------ reader: identity


def identifier_types(schema: Schema) -> str:
    names = "patient_identifier_type_id uuid name retired"
    return f"SELECT {_columns(schema, 'patient_identifier_type', names)} FROM patient_identifier_type"


def persons(schema: Schema, person_ids: Iterable[int]) -> str:
    names = "person_id uuid gender birthdate birthdate_estimated voided"
    return _of_persons(schema, "person", "person_id", names, person_ids)


def voided_patients(person_ids: Iterable[int]) -> str:
    """Persons of these whose patient row is voided; a person without patient row is not among them."""
    return (
        f"SELECT patient_id FROM patient FORCE INDEX (PRIMARY) WHERE voided <> 0 AND patient_id IN {_ids(person_ids)}"
    )


def merged_into(schema: Schema, person_ids: Iterable[int]) -> str:
    """(winner, loser, the loser's uuid): who was merged into one of these."""
    log = f"person_merge_log m{_forced(schema, 'person_merge_log', 'winner_person_id')}"
    return (
        f"SELECT m.winner_person_id, m.loser_person_id, p.uuid FROM {log}"
        " JOIN person p ON p.person_id = m.loser_person_id"
        f" WHERE m.voided = 0 AND m.winner_person_id IN {_ids(person_ids)}"
    )


def identifiers(schema: Schema, person_ids: Iterable[int], identifier_type_ids: Iterable[int]) -> str:
    """Live identifiers of the chosen types. Not `preferred = 1`: a National ID hardly ever is."""
    return (
        f"SELECT patient_id, identifier FROM patient_identifier{_forced(schema, 'patient_identifier', 'patient_id')}"
        f" WHERE voided = 0 AND patient_id IN {_ids(person_ids)} AND identifier_type IN {_ids(identifier_type_ids)}"
        " ORDER BY patient_identifier_id"
    )


# ------------------------------------------------------------------------------ reader: rows of persons


_OBS = (
    "obs_id uuid person_id concept_id encounter_id order_id obs_datetime location_id obs_group_id value_coded"
    " value_coded_name_id value_drug value_datetime value_numeric value_modifier value_text value_complex"
    " value_boolean comments status interpretation previous_version date_created voided void_reason"
)


def obs(schema: Schema, person_ids: Iterable[int]) -> str:
    """`ObsRow`. Voided rows too: they are counted, and a live row may hang on one."""
    return _of_persons(schema, "obs", "person_id", _OBS, person_ids)


def obs_of_one(schema: Schema, person_id: int, *, ids: range | None = None, after: int = -1, limit: int = 0) -> str:
    """`ObsRow` and a hash of it, of one person: those with these ids, or the next `limit` in the order of their ids."""
    where = f"person_id = {int(person_id)} AND {_between('obs_id', ids)} AND obs_id > {int(after)}"
    return (
        f"SELECT {_columns(schema, 'obs', _OBS)}, {_hash_of_obs(schema)} FROM obs{_forced(schema, 'obs', 'person_id')}"
        f" WHERE {where} ORDER BY obs_id{f' LIMIT {int(limit)}' if limit else ''}"
    )


def obs_sums(schema: Schema, person_id: int, ids: range) -> str:
    """(number of rows, sum of their hashes) of one person, of these ids: the rows stay at the server."""
    return (
        f"SELECT COUNT(*), SUM({_hash_of_obs(schema)}) FROM obs{_forced(schema, 'obs', 'person_id')}"
        f" WHERE person_id = {int(person_id)} AND {_between('obs_id', ids)}"
    )


def _hash_of_obs(schema: Schema) -> str:
    """Over every column that we read. As bytes: columns of one table may differ in their character sets."""
    names = [_column(schema, "obs", name) for name in _OBS.split()]
    texts = [f"COALESCE(CAST({name} AS BINARY), '~')" for name in names if name != "NULL"]
    return f"CRC32(CONCAT_WS('|', {', '.join(texts)}))"


def encounters(schema: Schema, person_ids: Iterable[int]) -> str:
    """`EncounterRow`."""
    names = (
        "encounter_id uuid patient_id encounter_type encounter_datetime location_id visit_id date_created voided"
        " void_reason"
    )
    return _of_persons(schema, "encounter", "patient_id", names, person_ids)


def visits(schema: Schema, person_ids: Iterable[int]) -> str:
    """`VisitRow`."""
    names = (
        "visit_id uuid patient_id visit_type_id date_started date_stopped location_id indication_concept_id"
        " date_created voided void_reason"
    )
    return _of_persons(schema, "visit", "patient_id", names, person_ids)


def diagnoses(schema: Schema, person_ids: Iterable[int]) -> str:
    """`DiagnosisRow`. The column `rank` became `dx_rank` in 2.5."""
    names = (
        "diagnosis_id uuid patient_id encounter_id diagnosis_coded diagnosis_coded_name diagnosis_non_coded certainty"
        " rank|dx_rank date_created voided void_reason"
    )
    return _of_persons(schema, "encounter_diagnosis", "patient_id", names, person_ids)


def conditions(schema: Schema, person_ids: Iterable[int]) -> str:
    """`ConditionRow`. Before 2.2 a table of this name is emrapi's, with `concept_id` and `status`."""
    names = (
        "condition_id uuid patient_id encounter_id condition_coded|concept_id condition_coded_name condition_non_coded"
        " clinical_status|status verification_status onset_date end_date end_reason date_created voided void_reason"
    )
    return _of_persons(schema, "conditions", "patient_id", names, person_ids)


def orders(schema: Schema, person_ids: Iterable[int]) -> str:
    """`OrderRow`: orders with their drug_order, by primary-key joins.

    1.9 has other columns (start_date, discontinued_date, prn) and text in `units` and `frequency`; its orderer is a
    user, whose name we have no right to read: NULL.
    """
    is_old = not schema.has("orders", "order_action")
    of_order = "order_id uuid patient_id encounter_id concept_id"
    of_order_then = (
        "order_action urgency date_activated|start_date scheduled_date auto_expire_date date_stopped|discontinued_date"
        " fulfiller_status instructions order_number previous_order_id"
    )
    drug = "drug_order"
    dose_text, frequency, frequency_text = "NULL", "NULL", "NULL"
    if is_old:
        dose_text = _column(schema, drug, "units", "d.")
        frequency_text = _column(schema, drug, "frequency", "d.")
    elif schema.has("order_frequency", "concept_id"):
        frequency = "f.`concept_id`"
    parts = [
        _columns(schema, "orders", of_order, "o."),
        "NULL" if is_old else _column(schema, "orders", "orderer", "o."),
        _columns(schema, "orders", of_order_then, "o."),
        _is_drug_order(schema),
        _columns(schema, drug, "drug_inventory_id drug_non_coded dose dose_units", "d."),
        dose_text,
        frequency,
        frequency_text,
        _columns(schema, drug, "route as_needed|prn quantity quantity_units duration duration_units", "d."),
        _column(schema, drug, "dosing_instructions", "d."),
        _columns(schema, "orders", "date_created voided void_reason", "o."),
    ]
    return (
        f"SELECT {', '.join(parts)} FROM orders o{_forced(schema, 'orders', 'patient_id')}{_order_joins(schema)}"
        f" WHERE o.patient_id IN {_ids(person_ids)}"
    )


def _is_drug_order(schema: Schema) -> str:
    signs = ["d.order_id IS NOT NULL"] if schema.has("drug_order") else []
    if schema.has("order_type", "java_class_name"):
        signs.append("COALESCE(t.java_class_name = 'org.openmrs.DrugOrder', 0)")
    return f"({' OR '.join(signs)})" if signs else "0"


def _order_joins(schema: Schema) -> str:
    joins = ""
    if schema.has("drug_order"):
        joins += " LEFT JOIN drug_order d ON d.order_id = o.order_id"
        if schema.has("order_frequency", "concept_id"):
            joins += " LEFT JOIN order_frequency f ON f.order_frequency_id = d.frequency"
    if schema.has("order_type", "java_class_name"):
        joins += " LEFT JOIN order_type t ON t.order_type_id = o.order_type_id"
    return joins


def allergies(schema: Schema, person_ids: Iterable[int]) -> str:
    """`AllergyRow`. `comment` became `comments` in 2.3; encounter_id came in 2.5."""
    names = (
        "allergy_id uuid patient_id encounter_id coded_allergen non_coded_allergen allergen_type severity_concept_id"
        " comments|comment date_created voided void_reason"
    )
    return _of_persons(schema, "allergy", "patient_id", names, person_ids)


def reactions(schema: Schema, allergy_ids: Iterable[int]) -> str:
    """`ReactionRow`, in the order of entry."""
    names = _columns(schema, "allergy_reaction", "allergy_id reaction_concept_id reaction_non_coded")
    return f"SELECT {names} FROM allergy_reaction WHERE allergy_id IN {_ids(allergy_ids)} ORDER BY allergy_reaction_id"


def encounter_providers(encounter_ids: Iterable[int]) -> str:
    """(encounter, provider) of the unvoided rows, in the order of entry. Several with roles are normal, none too."""
    return (
        "SELECT encounter_id, provider_id FROM encounter_provider"
        f" WHERE voided = 0 AND encounter_id IN {_ids(encounter_ids)} ORDER BY encounter_provider_id"
    )


def obs_ranges(schema: Schema, obs_ids: Iterable[int]) -> str:
    """`ObsRange`: 2.7+ stores the range that was valid for an obs."""
    names = "obs_id low_normal hi_normal low_critical hi_critical"
    return (
        f"SELECT {_columns(schema, 'obs_reference_range', names)} FROM obs_reference_range"
        f" WHERE obs_id IN {_ids(obs_ids)}"
    )


# ------------------------------------------------------------------------------ reader: parents, counts

#: what `ParentRow.parent_id` is, per table of parents
_PARENT_COLUMNS = {"obs": "obs_group_id", "encounter": "visit_id", "visit": ""}


def parents(schema: Schema, table: str, ids: Iterable[int]) -> str:
    """`ParentRow`, by primary key: groups, encounters, visits that our rows point to and that were not read."""
    key, owner = KEYS[table]
    parent = _column(schema, table, _PARENT_COLUMNS[table])
    return f"SELECT {key}, {owner}, voided, {parent} FROM {table} WHERE {key} IN {_ids(ids)}"


def groups_with_members(schema: Schema, obs_ids: Iterable[int]) -> str:
    """Which of these obs have members, whoever they belong to; from the index on obs_group_id alone."""
    return (
        f"SELECT DISTINCT obs_group_id FROM obs{_forced(schema, 'obs', 'obs_group_id')}"
        f" WHERE obs_group_id IN {_ids(obs_ids)}"
    )


def owners(table: str, ids: Iterable[int]) -> str:
    """(id, person) of rows that still exist, by primary key: a row that is not in the answer is gone, else it moved."""
    key, owner = KEYS[table]
    return f"SELECT {key}, {owner} FROM {table} WHERE {key} IN {_ids(ids)}"


def counts(schema: Schema, table: str, person_ids: Iterable[int]) -> str:
    """(person, number of rows), voided too, from the index on the person alone. Join-free: the receipt's n_source."""
    owner = KEYS[table][1]
    return (
        f"SELECT {owner}, COUNT(*) FROM {table}{_forced(schema, table, owner)}"
        f" WHERE {owner} IN {_ids(person_ids)} GROUP BY {owner}"
    )


# ------------------------------------------------------------------------------------------------ dictionaries


def entries(schema: Schema, table: str, names: str, ids: Iterable[int] | None = None) -> str:
    """Columns of a dictionary; the first of `names` is the key, `a|b` is the first that exists. No ids: all rows."""
    key = names.split(maxsplit=1)[0]
    where = "" if ids is None else f" WHERE {key} IN {_ids(ids)}"
    return f"SELECT {_columns(schema, table, names)} FROM {table}{where}"


def concept_names(schema: Schema, concept_ids: Iterable[int]) -> str:
    """(concept, id, name, locale, preferred, type) of the unvoided names."""
    names = "concept_id concept_name_id name locale locale_preferred concept_name_type"
    return (
        f"SELECT {_columns(schema, 'concept_name', names)} FROM concept_name"
        f" WHERE voided = 0 AND concept_id IN {_ids(concept_ids)}"
    )


def concept_mappings(concept_ids: Iterable[int], source_ids: Iterable[int]) -> str:
    """(concept, source id, code, kind of mapping) of the mappings to these sources."""
    return (
        "SELECT m.concept_id, t.concept_source_id, t.code, m.concept_map_type_id FROM concept_reference_map m"
        " JOIN concept_reference_term t ON t.concept_reference_term_id = m.concept_reference_term_id"
        f" WHERE m.concept_id IN {_ids(concept_ids)} AND t.concept_source_id IN {_ids(source_ids)}"
    )


def person_names(schema: Schema, person_ids: Iterable[int]) -> str:
    """Unvoided names of providers' persons; the preferred one last, so that it wins."""
    names = "person_id given_name middle_name family_name"
    return (
        f"SELECT {_columns(schema, 'person_name', names)} FROM person_name{_forced(schema, 'person_name', 'person_id')}"
        f" WHERE voided = 0 AND person_id IN {_ids(person_ids)} ORDER BY preferred, person_name_id DESC"
    )


#: (name, value) of the settings that the engine needs to name things.
SETTINGS = (
    "SELECT property, property_value FROM global_property"
    " WHERE property IN ('concept.true', 'concept.false', 'default_locale', 'allergy.concept.otherNonCoded')"
)


# ------------------------------------------------------------------------------------------------ discovery, watcher


def live_identifiers(identifier_type_ids: Iterable[int]) -> str:
    """(id, person, identifier) of a page: parameters (after this id, at most so many). By primary key, so that a page
    is a range however the types are spread."""
    return (
        "SELECT patient_identifier_id, patient_id, identifier FROM patient_identifier "
        f"WHERE patient_identifier_id > %s AND identifier_type IN {_ids(identifier_type_ids)} AND voided = 0 "
        "ORDER BY patient_identifier_id LIMIT %s"
    )


def identifier_sums(identifier_type_ids: Iterable[int]) -> str:
    """(where the next page begins, count, sum, sum) of a page of `live_identifiers`: parameters (end of the page, its
    first id, its end). Two CRC32 of each one's own id, person and text, forwards and backwards; computed at the source,
    so that nothing travels; in one encoding, so that we can, too.

    Pages are ranges of ids: a LIMIT would have each of them copied into a temporary table first, a third of the time.
    """
    key, table = "patient_identifier_id", "patient_identifier"
    orders = (
        "patient_identifier_id, '|', patient_id, '|', identifier",
        "identifier, '|', patient_id, '|', patient_identifier_id",
    )
    sums = [f"SUM(CRC32(CONVERT(CONCAT({columns}) USING utf8mb4)))" for columns in orders]
    # with FORCE: else the server may walk all identifiers of a type for each page
    return (
        f"SELECT (SELECT MIN({key}) FROM {table} WHERE {key} >= %s), COUNT(*), {', '.join(sums)}"
        f" FROM {table} FORCE INDEX (PRIMARY) WHERE {key} >= %s AND {key} < %s"
        f" AND identifier_type IN {_ids(identifier_type_ids)} AND voided = 0"
    )


def largest_id(table: str) -> str:
    """The head of a table, from its primary key alone."""
    return f"SELECT MAX({PRIMARY[table]}) FROM {table}"


def ids_above(table: str) -> str:
    """(id, owner) in id order: parameters (above this id, at most so many). A range of the primary key."""
    key, owner = KEYS[table]
    return f"SELECT {key}, {owner} FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s"


#: Ids at the end of a table that one look of the lookout takes in: what is committed late lies below the largest.
NEWEST = 100
#: No run follows what is voided here.
VOIDS_UNFOLLOWED = frozenset({"orders", "person_merge_log"})
#: Columns with stamps; no version indexes one, but a hospital may.
STAMPED_COLUMNS = ("date_created", "date_changed", "date_voided")


def signs(schema: Schema) -> str:
    """(table, what, count, sum) of what moves when something changes there, in one text: `new` from the primary keys of
    the last NEWEST ids, `voids` from the index on `voided_by`, and the largest of a stamp that has an index.
    """
    keys = {table: key for table, (key, _) in KEYS.items()} | {"patient_identifier": "patient_identifier_id"}
    found = []
    for table, key in keys.items():
        if schema.has(table):
            found.append(
                f"SELECT '{table}', 'new', COUNT(*), SUM({key}) FROM {table} FORCE INDEX (PRIMARY)"
                f" WHERE {key} > (SELECT CAST(MAX({key}) AS SIGNED) - {NEWEST} FROM {table})"
            )
    for table, key in (keys | PRIMARY).items():
        if (table, "voided_by") in schema.indexes and table not in VOIDS_UNFOLLOWED:
            found.append(
                f"SELECT '{table}', 'voids', COUNT(*), SUM({key}) FROM {table}{_forced(schema, table, 'voided_by')}"
                " WHERE voided_by IS NOT NULL"
            )
        found.extend(
            f"SELECT '{table}', '{column}', 0, CAST(MAX({column}) AS UNSIGNED) FROM {table}"
            for column in STAMPED_COLUMNS
            if (table, column) in schema.indexes
        )
    return " UNION ALL ".join(found)


def merges_above() -> str:
    """(id, winner, loser) of person_merge_log: parameters (above this id, at most so many)."""
    return (
        "SELECT person_merge_log_id, winner_person_id, loser_person_id FROM person_merge_log "
        "WHERE person_merge_log_id > %s ORDER BY person_merge_log_id LIMIT %s"
    )


def fingerprints(schema: Schema, table: str, person_ids: Iterable[int]) -> str:
    """(person, count, sum of ids, sum of CRC32(id)) from the index on the owner, which holds the primary key: no row
    of the table is touched. A sum, not XOR: XOR of CRC32 is linear and neighbouring pairs collide."""
    key, owner = KEYS[table]
    return (
        f"SELECT {owner}, COUNT(*), SUM({key}), SUM(CRC32({key})) "
        f"FROM {table}{_forced(schema, table, owner)} WHERE {owner} IN {_ids(person_ids)} GROUP BY {owner}"
    )


def voided_obs_ids(schema: Schema) -> str:
    """Ids of voided obs, from the index on `voided_by` (few rows have it)."""
    return f"SELECT obs_id FROM obs{_forced(schema, 'obs', 'voided_by')} WHERE voided_by IS NOT NULL"


def changed_since(table: str, *, key: str, columns: Sequence[str], ids: range | None = None) -> str:
    """`key` and these stamps of the rows with any of them at or after a moment, one parameter each; of a small table,
    or of the part of a large one whose primary keys lie in `ids`.
    """
    since = " OR ".join(f"{column} >= %s" for column in columns)
    where = _between(PRIMARY[table], ids)
    return f"SELECT {key}, {', '.join(columns)} FROM {table} WHERE {where} AND ({since})"


def largest_stamps(table: str, *, columns: Sequence[str], ids: range | None = None) -> str:
    """The largest of each of these stamps that is not after a moment, one parameter each; `ids` as above."""
    largest = ", ".join(f"MAX(CASE WHEN {column} <= %s THEN {column} END)" for column in columns)
    return f"SELECT {largest} FROM {table} WHERE {_between(PRIMARY[table], ids)}"


def persons_of_encounters(schema: Schema, table: str, encounter_ids: Iterable[int]) -> str:
    """Everyone whose rows of this table hang on these encounters, by the index on encounter_id."""
    return (
        f"SELECT DISTINCT {KEYS[table][1]} FROM {table}{_forced(schema, table, 'encounter_id')}"
        f" WHERE encounter_id IN {_ids(encounter_ids)}"
    )


def encounters_of(table: str, *, column: str, ids: Iterable[int]) -> str:
    """encounter_id of rows of encounter_provider, or of encounters of a visit, a provider or a place."""
    return f"SELECT DISTINCT encounter_id FROM {table} WHERE {column} IN {_ids(ids)}"


def persons_using(schema: Schema, table: str, *, column: str, ids: Iterable[int]) -> str:
    """Everyone with a row of this table that names one of these dictionary entries, by the index on that column."""
    return (
        f"SELECT DISTINCT {KEYS[table][1]} FROM {table}{_forced(schema, table, column)} WHERE {column} IN {_ids(ids)}"
    )


def persons_among(schema: Schema, table: str, person_ids: Iterable[int], *, column: str, ids: Iterable[int]) -> str:
    """The same of these persons alone, by the index on whose the rows are: for a column without one."""
    owner = KEYS[table][1]
    return (
        f"SELECT DISTINCT {owner} FROM {table}{_forced(schema, table, owner)}"
        f" WHERE {owner} IN {_ids(person_ids)} AND {column} IN {_ids(ids)}"
    )


def dictionary_hashes(name: str) -> str:
    """(id, count, sum of CRC32) per entry of a dictionary, computed at the source. NULL and '' differ by IFNULL's
    mark.
    """

    def joined(*columns: str) -> str:
        return "CRC32(CONCAT(" + ", '|', ".join(f"IFNULL({column}, '~')" for column in columns) + "))"

    hashed = {
        "concept": ("concept", "concept_id", joined("class_id", "datatype_id")),
        "concept_name": (
            "concept_name",
            "concept_id",
            joined("concept_name_id", "name", "locale", "locale_preferred", "concept_name_type", "voided"),
        ),
        "concept_numeric": (
            "concept_numeric",
            "concept_id",
            joined("units", "low_normal", "hi_normal", "low_critical", "hi_critical"),
        ),
        "drug": ("drug", "drug_id", joined("name", "concept_id")),
        "location": ("location", "location_id", joined("name", "parent_location", "retired")),
        "provider": ("provider", "provider_id", joined("name", "identifier", "person_id")),
    }
    table, key, crc = hashed[name]
    return f"SELECT {key}, COUNT(*), SUM({crc}) FROM {table} GROUP BY {key}"


def provider_names() -> str:
    """(provider, count, sum of CRC32) of the names of the providers' persons."""
    return (
        "SELECT p.provider_id, COUNT(*), SUM(CRC32(CONCAT(IFNULL(n.given_name, '~'), '|', "
        "IFNULL(n.middle_name, '~'), '|', IFNULL(n.family_name, '~'), '|', n.preferred, '|', n.voided))) "
        "FROM provider p JOIN person_name n ON n.person_id = p.person_id GROUP BY p.provider_id"
    )


def all_locations() -> str:
    return "SELECT location_id, uuid, name, parent_location, retired FROM location"


def anchor_uuids(table: str, ids: Iterable[int]) -> str:
    """(id, uuid) by primary key, to see that old rows are still themselves."""
    key = "person_id" if table == "person" else KEYS[table][0]
    return f"SELECT {key}, uuid FROM {table} WHERE {key} IN {_ids(ids)}"


def voided_among_patients(ids: range) -> str:
    """patient_id of every patient of this range who is voided, by the patient's row or the person's."""
    return (
        "SELECT a.patient_id FROM patient a LEFT JOIN person b ON b.person_id = a.patient_id "
        f"WHERE {_between('a.patient_id', ids)} AND (a.voided = 1 OR b.voided = 1)"
    )


def count_patients(ids: range) -> str:
    return f"SELECT COUNT(*) FROM patient WHERE {_between('patient_id', ids)}"


def source_now() -> str:
    return "SELECT NOW()"
