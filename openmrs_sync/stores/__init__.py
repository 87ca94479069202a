"""Where records are kept, and how each store is spoken to in bulk. Chosen by `record_store`; nothing else knows the
vendor.

Plain cursors and collections instead of the ORM: a first sync writes millions of rows, and building querysets of
thousands of keys costs more than the query.

    shapes       what goes in and out, and what the writer needs of a store
    relational   SQLite, PostgreSQL, MySQL: transactions under the claim's row
    mongodb      MongoDB: no transactions; every record carries the token of the claim that wrote it
"""

from collections.abc import Sequence

from django.db import connections

from openmrs_sync.stores.relational import PostgresStore, RelationalStore
from openmrs_sync.stores.shapes import RecordStore, RecordToWrite, StoredRecord, WrittenBy
from passport.router import records_alias

__all__ = ["RecordStore", "RecordToWrite", "StoredRecord", "WrittenBy", "conflict_target", "record_store"]


def record_store() -> RecordStore:
    """The store of `Record`, for this thread."""
    alias = records_alias()
    vendor = connections[alias].vendor
    if vendor == "mongodb":
        from openmrs_sync.stores.mongodb import MongoStore  # the driver is an extra

        return MongoStore(alias)
    return PostgresStore(alias) if vendor == "postgresql" else RelationalStore(alias)


def conflict_target(*fields: str) -> Sequence[str] | None:
    """`unique_fields` of a bulk_create that updates, in the control plane: MySQL must not be told them."""
    return fields if connections["default"].features.supports_update_conflicts_with_target else None
