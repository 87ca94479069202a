"""Which database holds what: `Record` may live in a store of its own, everything else is the control plane."""

from typing import Any

from django.conf import settings


def records_alias() -> str:
    """The alias of the database that holds `Record`."""
    return "records" if "records" in settings.DATABASES else "default"


class RecordsRouter:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        # by two names: the cache's table asks too, and has no label
        is_record = (model._meta.app_label, model._meta.model_name) == ("passport", "record")
        return records_alias() if is_record else "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        is_record = (app_label, model_name) == ("passport", "record")
        return db == (records_alias() if is_record else "default")
