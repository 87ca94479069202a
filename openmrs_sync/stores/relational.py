"""SQLite, PostgreSQL and MySQL, through Django's connection: everything under the claim's row, in its transaction."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, connections, transaction
from django.db.backends.utils import CursorWrapper

from openmrs_sync.claims import HeldClaim
from openmrs_sync.rows import chunks
from openmrs_sync.stores.shapes import (
    COLUMNS,
    CURRENT,
    KEYS_AT_ONCE,
    PART_OF,
    TABLE,
    WITHDRAWN,
    RecordToWrite,
    StoredRecord,
    WrittenBy,
)

#: A named tuple from a tuple, without the detour through Python that `StoredRecord(…)` takes.
new_stored = partial(tuple.__new__, StoredRecord)
# For a value that is neither number nor text Python's driver looks for an adapter, and for None, a third of a record,
# long and in vain: that was a third of what a row cost. `{}.get(None)` is None.
sqlite3.register_adapter(type(None), cast("Any", {}.get))
#: Of this connection alone.
INCOMING = "passport_record_incoming"


class RelationalStore:
    """SQLite or MySQL, and what PostgreSQL shares with them."""

    has_late_writers = False  # the claim's row is locked by whoever writes
    is_elsewhere = False

    def __init__(self, alias: str) -> None:
        self._connection = connections[alias]
        quote = self._connection.ops.quote_name
        self._names = {name: quote(name) for name in (*COLUMNS, "table")}

    def fence(self, claim: HeldClaim) -> AbstractContextManager[None]:
        return claim.fence()

    def of_links(self, link_ids: Sequence[UUID]) -> dict[str, StoredRecord]:
        found: dict[str, StoredRecord] = {}
        for part in chunks(link_ids):
            link_of = {self._raw(link_id): link_id for link_id in part}
            where = f"link_id IN ({_marks(part)})"
            for key, digest, link, status in self._fetch(f"{self._select()} WHERE {where}", list(link_of)):
                found[key] = new_stored((digest, link_of[link], status == CURRENT))
        return found

    def owners(self, keys: Sequence[str]) -> dict[str, UUID]:
        found: dict[str, UUID] = {}
        key = self._names["_id"]
        for part in chunks(keys, KEYS_AT_ONCE):
            rows = self._fetch(f"SELECT {key}, link_id FROM passport_record WHERE {key} IN ({_marks(part)})", part)
            found |= {name: link if isinstance(link, UUID) else UUID(link) for name, link in rows}
        return found

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

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy, are_new: bool = False) -> None:  # noqa: ARG002
        # what all rows share stands in the text: a value that is not bound costs nothing per row
        shared = [f"'{value}'" for value in self._shared(by)]
        text = _upsert_text(self._connection.vendor, [self._names[name] for name in COLUMNS], shared)
        with self._cursor() as cursor:
            cursor.executemany(text, self._values(records))

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

    def delete_links(self, link_ids: Sequence[UUID], *, token: int) -> None:  # noqa: ARG002 - as above
        for part in chunks(link_ids):
            where = f"link_id IN ({_marks(part)})"
            self._execute(f"DELETE FROM passport_record WHERE {where}", [self._raw(link_id) for link_id in part])

    def seize(self, link_ids: Sequence[UUID], *, token: int) -> None:
        """Nothing to do: see `has_late_writers`."""

    def drop_late(self, min_tokens: Mapping[UUID, int]) -> None:
        """Nothing to do: see `has_late_writers`."""

    def _values(self, records: Sequence[RecordToWrite]) -> list[tuple[Any, ...]]:
        """In the order of COLUMNS, without those of `_shared`."""
        # by identity: the records of a link share its uuids, and hashing a UUID is a call into Python
        known: dict[int, tuple[Any, Any]] = {}
        values: list[tuple[Any, ...]] = []
        for key, link_id, patient_id, row, part_of, digest in records:
            ids = known.get(id(link_id))
            if ids is None:
                ids = known[id(link_id)] = self._written(link_id), self._written(patient_id)
            if part_of is None:  # so is the row's
                values.append((key, *ids, *row, digest))
            else:
                values.append((key, *ids, *row[:PART_OF], part_of, *row[PART_OF + 1 :], digest))
        return values

    def _shared(self, by: WrittenBy) -> tuple[Any, ...]:
        """The last of COLUMNS: of all rows of a batch."""
        at = self._connection.ops.adapt_datetimefield_value(by.at)
        return (self._raw(by.hospital_id), CURRENT, "", at, by.token)

    def _select(self) -> str:
        return f"SELECT {self._names['_id']}, digest, link_id, status FROM passport_record"

    def _raw(self, uuid: UUID) -> UUID | str:
        """As the driver takes it and gives it back."""
        if not self._connection.features.has_native_uuid_field:
            return uuid.hex
        return str(uuid) if self._connection.vendor == "mysql" else uuid  # MariaDB from 10.7 on

    def _written(self, uuid: UUID) -> UUID | str:
        """As it stands in a row to write, many thousand times."""
        return self._raw(uuid)

    def _cursor(self) -> CursorWrapper:
        """Without Django's debug log: it would format every statement with its thousands of values, and keep it."""
        self._connection.ensure_connection()
        return self._connection.make_cursor(self._connection.create_cursor())

    def _fetch(self, sql: str, params: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        with self._cursor() as cursor:
            cursor.execute(sql, params)
            yield from cursor.fetchall()

    def _execute(self, sql: str, params: Sequence[Any]) -> None:
        with self._cursor() as cursor:
            cursor.execute(sql, params)


class PostgresStore(RelationalStore):
    """COPY, for new rows right into their table, for others into a temporary one and by one upsert from there: three
    times as fast as row by row.
    """

    is_elsewhere = True

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        names = [self._names[name] for name in COLUMNS]
        listed = ", ".join(names)
        sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        self._copy_new = f"COPY {TABLE} ({listed}) FROM STDIN"
        self._copy = f"COPY pg_temp.{INCOMING} ({listed}) FROM STDIN"
        self._merge = (
            f"INSERT INTO {TABLE} ({listed}) SELECT {listed} FROM pg_temp.{INCOMING}"
            f" ON CONFLICT ({names[0]}) DO UPDATE SET {sets}"
        )

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy, are_new: bool = False) -> None:
        with self._cursor() as cursor:
            # a crash of the server may take the last of these, but never keeps the link's mark, which comes later and
            # is waited for: the persons are read again
            cursor.execute("SET LOCAL synchronous_commit = off")
            if are_new and self._copied(cursor, records, by=by):
                return
            # once per connection: a table that is made and dropped in every transaction swells the catalogue
            cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {INCOMING} (LIKE {TABLE}) ON COMMIT DELETE ROWS")
            # what an earlier call in this transaction left there
            cursor.execute(f"DELETE FROM pg_temp.{INCOMING}")
            self._copy_rows(cursor, self._copy, records, by=by)
            cursor.execute(self._merge)

    def _copied(self, cursor: CursorWrapper, records: Sequence[RecordToWrite], *, by: WrittenBy) -> bool:
        """False, and nothing is written, when one of them was there: a row that moved here within this run."""
        try:
            with transaction.atomic(using=self._connection.alias):
                self._copy_rows(cursor, self._copy_new, records, by=by)
        except IntegrityError:
            return False
        return True

    def _copy_rows(self, cursor: CursorWrapper, sql: str, records: Sequence[RecordToWrite], *, by: WrittenBy) -> None:
        # as texts: the driver needs three times as long for a row with uuids and moments in it
        shared = tuple(str(value) for value in self._shared(by))
        with self._connection.wrap_database_errors, cursor.copy(sql) as copy:
            for values in self._values(records):
                copy.write_row(values + shared)

    def _fetch(self, sql: str, params: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """By index whatever the planner thinks: in a table that was not analysed yet it takes each link for a
        two-hundredth of all records, and would read all of them for every batch of a first sync.
        """
        with transaction.atomic(using=self._connection.alias), self._cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(sql, params)
            rows = cursor.fetchall()
        yield from rows

    def _written(self, uuid: UUID) -> str:
        return uuid.hex


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _upsert_text(vendor: str, names: Sequence[str], shared: Sequence[str]) -> str:
    """`shared`: the literals of the last columns, of our own making."""
    values = ", ".join([_marks(names[: len(names) - len(shared)]), *shared])
    insert = f"INSERT INTO passport_record ({', '.join(names)}) VALUES ({values})"
    if vendor == "mysql":
        return f"{insert} ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in names[1:])}"
    sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return f"{insert} ON CONFLICT ({names[0]}) DO UPDATE SET {sets}"
