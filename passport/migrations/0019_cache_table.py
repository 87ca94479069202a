"""The table of the cache that several machines share. Everywhere, so that settings may choose it later."""

from django.conf import settings
from django.core.management import call_command
from django.db import migrations


def make(_apps, schema_editor):
    # The router says that it is no business of the records' own store.
    call_command("createcachetable", settings.CACHE_TABLE, database=schema_editor.connection.alias, verbosity=0)


def drop(_apps, schema_editor):
    connection = schema_editor.connection
    if settings.CACHE_TABLE in connection.introspection.table_names():
        schema_editor.execute(f"DROP TABLE {connection.ops.quote_name(settings.CACHE_TABLE)}")


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0018_download_in_database"),
    ]

    operations = [migrations.RunPython(make, drop)]
