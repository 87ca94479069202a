"""What this source has: its tables, columns, indexes and identifier types. Any OpenMRS from 1.9 to 2.9.

No version column tells it reliably (modules back-port columns, an upgrade can happen between two looks), so it is
read from information_schema once per connection, and every SELECT is made from it.
"""

from collections import defaultdict

from hospitals.errors import SchemaMismatch
from openmrs_sync import queries
from openmrs_sync.rows import Fetch, IdentifierType, Schema

__all__ = ["INDISPENSABLE", "Schema", "discover", "identifier_types"]

#: Without these there is nothing to read. All other tables and columns may be absent.
INDISPENSABLE: dict[str, tuple[str, ...]] = {
    "person": ("person_id", "uuid", "gender", "birthdate", "voided"),
    "patient": ("patient_id", "voided"),
    "patient_identifier": ("patient_id", "identifier", "identifier_type", "voided"),
    "patient_identifier_type": ("patient_identifier_type_id", "uuid", "name"),
    "obs": (
        *("obs_id", "uuid", "person_id", "concept_id", "encounter_id", "obs_datetime", "obs_group_id"),
        *("value_coded", "value_datetime", "value_numeric", "value_text", "date_created", "voided"),
    ),
    "encounter": ("encounter_id", "uuid", "patient_id", "encounter_type", "encounter_datetime", "voided"),
    "concept": ("concept_id", "uuid"),
    "concept_name": ("concept_name_id", "concept_id", "name", "locale", "voided"),
}

#: (platform, a column that came with it), newest first. Columns are back-ported now and then: a guess.
_SIGNS = (
    ("2.9", "outbox_event", None),
    ("2.8", "global_property", "view_privilege"),
    ("2.7", "obs_reference_range", None),
    ("2.6", "medication_dispense", None),
    ("2.5", "encounter_diagnosis", "dx_rank"),
    ("2.3", "conditions", "date_changed"),
    ("2.2", "encounter_diagnosis", None),
    ("2.1", "obs", "interpretation"),
    ("2.0", "allergy", None),
    ("1.12", "orders", "order_group_id"),
    ("1.11", "obs", "form_namespace_and_path"),
    ("1.10", "orders", "order_action"),
    ("1.9", "obs", None),
)


def discover(fetch: Fetch) -> Schema:
    """Return what the current database has, in lower case.

    Raises SchemaMismatch, naming the table or column, when something indispensable is absent.
    """
    columns: dict[str, set[str]] = defaultdict(set)
    for table, column in fetch(queries.COLUMNS, ()):
        columns[table.lower()].add(column.lower())
    indexes = {(table.lower(), column.lower()): index for table, column, index in fetch(queries.INDEXES, ())}
    schema = Schema(columns={table: frozenset(names) for table, names in columns.items()}, indexes=indexes)
    _require(schema)
    return Schema(columns=schema.columns, indexes=indexes, platform=_platform(schema))


def identifier_types(fetch: Fetch, schema: Schema) -> list[IdentifierType]:
    """Return all patient identifier types, retired ones too: a retired type's numbers still count."""
    rows = fetch(queries.identifier_types(schema), ())
    return [IdentifierType(type_id, uuid, name, bool(retired)) for type_id, uuid, name, retired in rows]


def _require(schema: Schema) -> None:
    for table, names in INDISPENSABLE.items():
        if not schema.has(table):
            raise SchemaMismatch(
                f"The table {table} is not there. Check that the database is OpenMRS 1.9 or later, "
                f"and that the account may SELECT from {table}."
            )
        for name in names:
            if not schema.has(table, name):
                raise SchemaMismatch(
                    f"The column {table}.{name} is not there. Check that the database is OpenMRS 1.9 or later, "
                    f"and that the account may SELECT {table}.{name}."
                )


def _platform(schema: Schema) -> str:
    # An allergy table alone does not make a 2.0: RefApp 1.11 has it from a module. value_boolean went with 2.0.
    is_old = schema.has("obs", "value_boolean")
    for platform, table, column in _SIGNS:
        if schema.has(table, column) and not (is_old and platform.startswith("2.")):
            return platform
    return ""
