"""PostgreSQL: Django gives a text key a second index for LIKE. Nobody asks so; it is a tenth of a record's bytes."""

from django.db import migrations

NAME = "passport_record__id_807c76ac_like"


def drop(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {NAME}")


def make(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"CREATE INDEX IF NOT EXISTS {NAME} ON passport_record (_id varchar_pattern_ops)")


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0019_cache_table"),
    ]

    operations = [migrations.RunPython(drop, make)]
