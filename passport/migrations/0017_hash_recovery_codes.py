"""The recovery codes that lie readable in the package's tables become hashes in ours, and are taken out there.

Those tables are read as they are: the package's app is no longer installed, and a new store never had them. Backwards
nothing can be made readable again: the codes are good no more, and their owners make new ones.
"""

import uuid
from typing import Any

from django.apps.registry import Apps
from django.contrib.auth.hashers import make_password
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

DEVICES, TOKENS = "otp_static_staticdevice", "otp_static_statictoken"


def hash_codes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    device_model, code_model = (apps.get_model("passport", name) for name in ("RecoveryDevice", "RecoveryCode"))
    connection = schema_editor.connection
    if DEVICES not in connection.introspection.table_names():
        return
    found: dict[tuple[Any, bool], list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.user_id, d.confirmed, t.token FROM {DEVICES} d JOIN {TOKENS} t ON t.device_id = d.id"  # noqa: S608
        )
        for user_id, is_confirmed, token in cursor.fetchall():
            found.setdefault((uuid.UUID(str(user_id)), bool(is_confirmed)), []).append(token)
    for (user_id, is_confirmed), tokens in found.items():
        device = device_model.objects.using(connection.alias).create(
            user_id=user_id, name="recovery codes", confirmed=is_confirmed
        )
        code_model.objects.using(connection.alias).bulk_create(
            [code_model(device=device, code_hash=make_password("".join(token.split()).lower())) for token in tokens]
        )
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # Else what was deleted stays in the file until something is written over it.
            cursor.execute("PRAGMA secure_delete = ON")
        cursor.execute(f"DELETE FROM {TOKENS}")  # noqa: S608 - names of ours
        cursor.execute(f"DELETE FROM {DEVICES}")  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0016_recovery_codes"),
    ]

    operations = [migrations.RunPython(hash_codes, migrations.RunPython.noop)]
