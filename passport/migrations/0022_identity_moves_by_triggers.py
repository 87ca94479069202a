"""The database notes by itself that somebody's number or link came, changed or went.

Altering one of the two tables later on SQLite makes it anew, without triggers: such a migration must call `install`
again. Until then nothing is missed: `openmrs_sync.stillness` believes nothing where a trigger is not there.
"""

from django.db import migrations

NUMBERS, LINKS, MOVES = "passport_patientidentifier", "passport_link", "passport_identitymove"
EVENTS = {"added": "INSERT", "changed": "UPDATE", "gone": "DELETE"}
#: What makes a link another one. Marks, counts and moments move all day and say nothing of who is whom.
DECISIVE = ("hospital_id", "epoch", "person_id", "patient_id", "state")
FUNCTIONS = {NUMBERS: "passport_note_number", LINKS: "passport_note_link"}


def triggers():
    """(name, table, word) of each."""
    for table, thing in ((NUMBERS, "number"), (LINKS, "link")):
        for word in EVENTS:
            yield f"passport_{thing}_{word}", table, word


def install(schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        for table, function in FUNCTIONS.items():
            schema_editor.execute(
                f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {_noted_by_function(table)}; RETURN NULL; END $$"
            )
    make = {"postgresql": _on_postgresql, "sqlite": _on_sqlite, "mysql": _on_mysql}[vendor]
    for name, table, word in triggers():
        schema_editor.execute(make(name, table, word))


def lift(schema_editor):
    vendor = schema_editor.connection.vendor
    for name, table, _ in triggers():
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if vendor == "postgresql" else ""))
    if vendor == "postgresql":
        for function in FUNCTIONS.values():
            schema_editor.execute(f"DROP FUNCTION IF EXISTS {function}()")


def _insert(table, word):
    """A number moves for every hospital; a link for its own, and for the one that it had before."""
    of = {
        "added": "NEW.hospital_id",
        "changed": "OLD.hospital_id UNION SELECT NEW.hospital_id",
        "gone": "OLD.hospital_id",
    }
    return f"INSERT INTO {MOVES} (hospital_id) SELECT {'NULL' if table == NUMBERS else of[word]}"


def _noted_by_function(table):
    if table == NUMBERS:
        return _insert(table, "added")
    parts = [f"IF TG_OP = '{EVENTS[word]}' THEN {_insert(table, word)}; END IF" for word in EVENTS]
    return "; ".join(parts)


def _on_postgresql(name, table, word):
    event = EVENTS[word]
    if table == NUMBERS:  # one for a statement, however many rows it brings
        return (
            f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTIONS[table]}()"
        )
    when = ""
    if word == "changed":
        before, after = (", ".join(f"{row}.{column}" for column in DECISIVE) for row in ("OLD", "NEW"))
        when = f" WHEN (({before}) IS DISTINCT FROM ({after}))"
    return f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW{when} EXECUTE FUNCTION {FUNCTIONS[table]}()"


def _on_sqlite(name, table, word):
    when = ""
    if (table, word) == (LINKS, "changed"):
        when = " WHEN " + " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in DECISIVE)
    return f"CREATE TRIGGER {name} AFTER {EVENTS[word]} ON {table}{when} BEGIN {_insert(table, word)}; END"


def _on_mysql(name, table, word):
    noted = _insert(table, word)
    if (table, word) == (LINKS, "changed"):
        same = " AND ".join(f"OLD.{column} <=> NEW.{column}" for column in DECISIVE)
        noted = f"IF NOT ({same}) THEN {noted}; END IF"
    return f"CREATE TRIGGER {name} AFTER {EVENTS[word]} ON {table} FOR EACH ROW {noted}"


def forwards(apps, schema_editor):
    # Runs for the records' database too, which has neither table.
    if schema_editor.connection.alias == "default":
        install(schema_editor)


def backwards(apps, schema_editor):
    if schema_editor.connection.alias == "default":
        lift(schema_editor)


class Migration(migrations.Migration):
    dependencies = [("passport", "0021_identity_move")]
    # atomic=False: MySQL cannot undo DDL, so Django forbids it in a transaction there. The others wrap the migration.
    operations = [migrations.RunPython(forwards, backwards, atomic=False)]
