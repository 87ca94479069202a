"""The database itself refuses to change or delete a row of the audit chain.

Altering the audit table later on SQLite makes it anew, without triggers: such a migration must call `install` again.
`flush` (and so every transactional test) needs `lift` first; see tests/audit_fixtures.py.
"""

from django.db import migrations

TABLE = "passport_auditevent"
REFUSAL = "audit rows are never changed or deleted"
TRIGGERS = {"UPDATE": "passport_audit_no_update", "DELETE": "passport_audit_no_delete"}
NO_TRUNCATE = "passport_audit_no_truncate"
FUNCTION = "passport_audit_refuse"


def install(schema_editor):
    for statement in _install_statements(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def lift(schema_editor):
    for statement in _lift_statements(schema_editor.connection.vendor):
        schema_editor.execute(statement)


def _install_statements(vendor):
    if vendor == "sqlite":
        for event, name in TRIGGERS.items():
            yield (f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END")
    elif vendor == "mysql":
        for event, name in TRIGGERS.items():
            yield (
                f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE} FOR EACH ROW "
                f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'"
            )
    elif vendor == "postgresql":
        yield (
            f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
        )
        for event, name in {**TRIGGERS, "TRUNCATE": NO_TRUNCATE}.items():
            yield (f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()")


def _lift_statements(vendor):
    if vendor == "postgresql":
        for name in (*TRIGGERS.values(), NO_TRUNCATE):
            yield f"DROP TRIGGER IF EXISTS {name} ON {TABLE}"
    elif vendor in {"sqlite", "mysql"}:
        for name in TRIGGERS.values():
            yield f"DROP TRIGGER IF EXISTS {name}"


def forwards(apps, schema_editor):
    # Runs for the records' database too, which has no audit table.
    if schema_editor.connection.alias == "default":
        install(schema_editor)


def backwards(apps, schema_editor):
    if schema_editor.connection.alias == "default":
        lift(schema_editor)


class Migration(migrations.Migration):
    dependencies = [("passport", "0001_initial")]
    # atomic=False: MySQL cannot undo DDL, so Django forbids it in a transaction there. The others wrap the migration.
    operations = [migrations.RunPython(forwards, backwards, atomic=False)]
