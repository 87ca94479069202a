"""Two ways around the triggers of 0002, closed.

SQLite: INSERT OR REPLACE removes the row that is in its way without firing a DELETE trigger, be it in the way by its
number or by its hidden rowid. MySQL and MariaDB: no trigger sees TRUNCATE, but a table that another one's foreign key
points to cannot be truncated. Altering the audit table later on SQLite needs `install` of both migrations again.
"""

from django.db import migrations

TABLE = "passport_auditevent"
REFUSAL = "audit rows are never changed or deleted"
NO_REPLACE = "passport_audit_no_replace"
GUARD = "passport_auditguard"


def install(schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER {NO_REPLACE} BEFORE INSERT ON {TABLE} "  # noqa: S608 - names of our own
            f"WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE seq = NEW.seq OR rowid = NEW.rowid) "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    elif vendor == "mysql":
        schema_editor.execute(
            f"CREATE TABLE {GUARD} (seq BIGINT NOT NULL PRIMARY KEY, "
            f"CONSTRAINT {GUARD} FOREIGN KEY (seq) REFERENCES {TABLE} (seq)) ENGINE=InnoDB"
        )


def lift(schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "sqlite":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {NO_REPLACE}")
    elif vendor == "mysql":
        schema_editor.execute(f"DROP TABLE IF EXISTS {GUARD}")


def forwards(apps, schema_editor):
    # Runs for the records' database too, which has no audit table.
    if schema_editor.connection.alias == "default":
        install(schema_editor)


def backwards(apps, schema_editor):
    if schema_editor.connection.alias == "default":
        lift(schema_editor)


class Migration(migrations.Migration):
    dependencies = [("passport", "0003_record_one_index")]
    operations = [migrations.RunPython(forwards, backwards, atomic=False)]
