"""Where records are kept, and how each store is spoken to in bulk. Chosen by `record_store`; nothing else knows the
vendor.

Plain cursors instead of the ORM: a first sync writes millions of rows, and building querysets of thousands of keys
costs more than the query.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import connections

from openmrs_sync.rows import RecordRow, chunks
from passport.router import records_alias

CURRENT, WITHDRAWN = "current", "withdrawn"
#: Keys in one IN list; below SQLite's limit of variables.
KEYS_AT_ONCE = 5_000


class StoredRecord(NamedTuple):
    """What equal-making compares."""

    digest: int
    link_id: UUID
    is_current: bool


class RecordToWrite(NamedTuple):
    """One record to create or replace. `part_of` is a key here, not a source id."""

    key: str
    link_id: UUID
    patient_id: UUID
    row: RecordRow
    part_of: str | None
    digest: int


class WrittenBy(NamedTuple):
    """Who writes, under which claim, when: the same for a whole batch."""

    hospital_id: UUID
    token: int
    at: dt.datetime


class RecordStore(Protocol):
    """What the writer needs of a store."""

    def of_links(self, link_ids: Sequence[UUID]) -> dict[str, StoredRecord]:
        """The records of these links, withdrawn ones too, by key."""
        ...

    def at_keys(self, keys: Sequence[str]) -> int:
        """How many of these keys are stored, whoever they belong to."""
        ...

    def count_current(self, link_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        """Current records, counted in the store: link → table → n."""
        ...

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy) -> None: ...

    def withdraw(self, keys: Sequence[str], *, reason: str, by: WrittenBy) -> None:
        """Mark as withdrawn. The digest is forgotten, so that a row that comes back is written."""
        ...

    def move(self, key: str, *, link_id: UUID, patient_id: UUID, by: WrittenBy) -> None:
        """Give a record to another link; withdrawn until the refresh of its new owner has rendered it."""
        ...

    def delete(self, keys: Sequence[str], *, by: WrittenBy) -> None: ...


#: The columns written, in the order of `RelationalStore._values`.
COLUMNS = (
    *("_id", "link_id", "patient_id", *RecordRow._fields, "digest"),
    *("hospital_id", "status", "withdrawn_reason", "received_at", "token"),
)
_PART_OF = RecordRow._fields.index("part_of")


class RelationalStore:
    """SQLite, PostgreSQL or MySQL, through Django's connection. Transactions are the caller's."""

    def __init__(self, alias: str) -> None:
        self._connection = connections[alias]
        quote = self._connection.ops.quote_name
        self._names = {name: quote(name) for name in (*COLUMNS, "table")}
        self._upsert = _upsert_text(self._connection.vendor, [quote(name) for name in COLUMNS])

    def of_links(self, link_ids: Sequence[UUID]) -> dict[str, StoredRecord]:
        found: dict[str, StoredRecord] = {}
        for part in chunks(link_ids):
            link_of = {self._raw(link_id): link_id for link_id in part}
            where = f"link_id IN ({_marks(part)})"
            for key, digest, link, status in self._fetch(f"{self._select()} WHERE {where}", list(link_of)):
                found[key] = StoredRecord(digest, link_of[link], status == CURRENT)
        return found

    def at_keys(self, keys: Sequence[str]) -> int:
        n = 0
        for part in chunks(keys, KEYS_AT_ONCE):
            where = f"{self._names['_id']} IN ({_marks(part)})"
            ((found,),) = self._fetch(f"SELECT COUNT(*) FROM passport_record WHERE {where}", part)
            n += found
        return n

    def count_current(self, link_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        found: dict[UUID, dict[str, int]] = {}
        table = self._names["table"]
        for part in chunks(link_ids):
            link_of = {self._raw(link_id): link_id for link_id in part}
            sql = (
                f"SELECT link_id, {table}, COUNT(*) FROM passport_record"
                f" WHERE link_id IN ({_marks(part)}) AND status = %s GROUP BY link_id, {table}"
            )
            for link, name, n in self._fetch(sql, [*link_of, CURRENT]):
                found.setdefault(link_of[link], {})[name] = n
        return found

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy) -> None:
        raw = cache(self._raw)
        at = self._connection.ops.adapt_datetimefield_value(by.at)
        last = (raw(by.hospital_id), CURRENT, "", at, by.token)
        values = [
            (key, raw(link_id), raw(patient_id), *row[:_PART_OF], part_of, *row[_PART_OF + 1 :], digest, *last)
            for key, link_id, patient_id, row, part_of, digest in records
        ]
        with self._connection.cursor() as cursor:
            cursor.executemany(self._upsert, values)

    def withdraw(self, keys: Sequence[str], *, reason: str, by: WrittenBy) -> None:
        for part in chunks(keys, KEYS_AT_ONCE):
            self._execute(
                "UPDATE passport_record SET status = %s, withdrawn_reason = %s, digest = 0, token = %s"
                f" WHERE {self._names['_id']} IN ({_marks(part)})",
                [WITHDRAWN, reason, by.token, *part],
            )

    def move(self, key: str, *, link_id: UUID, patient_id: UUID, by: WrittenBy) -> None:
        self._execute(
            "UPDATE passport_record SET link_id = %s, patient_id = %s, status = %s, withdrawn_reason = %s,"
            f" digest = 0, token = %s WHERE {self._names['_id']} = %s",
            [self._raw(link_id), self._raw(patient_id), WITHDRAWN, "moved", by.token, key],
        )

    def delete(self, keys: Sequence[str], *, by: WrittenBy) -> None:  # noqa: ARG002 - the caller holds the claim's row
        for part in chunks(keys, KEYS_AT_ONCE):
            self._execute(f"DELETE FROM passport_record WHERE {self._names['_id']} IN ({_marks(part)})", part)

    def _select(self) -> str:
        return f"SELECT {self._names['_id']}, digest, link_id, status FROM passport_record"

    def _raw(self, uuid: UUID) -> UUID | str:
        return uuid if self._connection.features.has_native_uuid_field else uuid.hex

    def _fetch(self, sql: str, params: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            yield from cursor.fetchall()

    def _execute(self, sql: str, params: Sequence[Any]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _upsert_text(vendor: str, names: Sequence[str]) -> str:
    insert = f"INSERT INTO passport_record ({', '.join(names)}) VALUES ({_marks(names)})"
    if vendor == "mysql":
        return f"{insert} ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in names[1:])}"
    sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return f"{insert} ON CONFLICT ({names[0]}) DO UPDATE SET {sets}"


def record_store() -> RecordStore:
    """The store of `Record`, for this thread."""
    return RelationalStore(records_alias())
