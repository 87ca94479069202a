"""Rows of one OpenMRS database: insert, update, void, delete, look up, with what the version's tables ask for."""

from __future__ import annotations

import copy
import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Self
from zoneinfo import ZoneInfo

from tests.openmrs import ddl
from tests.openmrs.server import MariaDBServer

ADMIN = 1  # users.user_id of whoever types here
CHUNK = 500  # rows in one multi-row INSERT


class NotInThisVersion(LookupError):
    """The table or column does not exist in this version of OpenMRS."""


class Rows:
    """One database of one version.  Every verb commits, except within transaction()."""

    def __init__(
        self, server: MariaDBServer, database: str, version: str, *, seed: str | int | None, time_zone: str
    ) -> None:
        self.server, self.database, self.version = server, database, version
        self.time_zone = time_zone
        self.random = random.Random(f"{database if seed is None else seed}")
        zone = ZoneInfo(time_zone)
        self.clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(zone).replace(tzinfo=None, microsecond=0)
        self._connection: Any = None
        self._start = 0
        self._depth = 0
        self._buffer: dict[tuple[str, tuple[str, ...]], list[tuple[Any, ...]]] | None = None
        self._next_ids: dict[str, int] = {}

    # -- connection and time --------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """Our own root connection, not to be shared between threads; opened anew after a start of the server."""
        if self._connection is None or self._start != self.server.n_starts:
            self._connection, self._start = self._connect(), self.server.n_starts
        return self._connection

    def _connect(self) -> Any:
        connection = self.server.connect(self.database, autocommit=True)
        if ddl.is_old(self.version):  # as their servers were set up: '0000-00-00' is a date
            connection.cursor().execute("SET SESSION sql_mode = ''")
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def at(self, moment: dt.datetime) -> Iterator[Self]:
        """Within the block it is this moment at the hospital."""
        before, self.clock = self.clock, lambda: moment
        try:
            yield self
        finally:
            self.clock = before

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """One verb of several statements is seen whole or not at all."""
        self.flush()
        self._depth += 1
        try:
            if self._depth == 1:
                self.connection.cursor().execute("START TRANSACTION")
            yield
            if self._depth == 1:
                self.connection.commit()
        except BaseException:
            if self._depth == 1:
                self.connection.rollback()
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def atomic_unless_bulk(self) -> Iterator[None]:
        """atomic() for verbs that only insert: bulk() writes them in one go anyway."""
        if self._buffer is not None:
            yield
            return
        with self.atomic():
            yield

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Yield this hospital on a second connection; what it does is committed when the block ends.

        Within the block .commit() and .rollback() may be called; nothing comes after them but the block's end.
        """
        other = copy.copy(self)
        other._connection, other._start = self._connect(), self.server.n_starts
        other._depth = 1  # its verbs neither begin nor commit
        other._connection.cursor().execute("START TRANSACTION")
        try:
            yield other
            other.commit()
        finally:  # an exception in the block: closing rolls back
            other.close()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    # -- plain SQL ------------------------------------------------------------------------------------

    def execute(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        self.flush()
        cursor = self.connection.cursor()
        cursor.execute(sql, arguments or None)
        return list(cursor.fetchall())

    def columns(self, table: str) -> dict[str, ddl.Column]:
        """Return the columns of a table.  Raises NotInThisVersion."""
        if columns := ddl.columns_of(table, self.version):
            return columns
        raise NotInThisVersion(f"OpenMRS {self.version} has no table {table}")

    def has(self, table: str, column: str | None = None) -> bool:
        columns = ddl.columns_of(table, self.version)
        return bool(columns) if column is None else column in columns

    def key_of(self, table: str) -> str:
        return _key_of(table, self.version)

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def insert(self, table: str, **columns: Any) -> int:
        """Insert a row and return its key; uuid, creator, date_created and voided are filled in."""
        known = self.columns(table)
        self._refuse_unknown(table, columns)
        if "uuid" in known and "uuid" not in columns:
            columns["uuid"] = self.new_uuid()
        if "date_created" in known:
            columns.setdefault("creator", ADMIN)
            columns.setdefault("date_created", self.clock())
        if table == "allergy":
            columns.setdefault("voided", 0)  # its default is 1
        return self._insert(table, columns)

    def update(self, table: str, row_id: int, **columns: Any) -> None:
        """Change columns of a row and nothing else: no stamp moves."""
        self._refuse_unknown(table, columns)
        if not columns:
            return
        changes = ", ".join(f"`{name}` = %s" for name in columns)
        self.execute(f"UPDATE `{table}` SET {changes} WHERE `{self.key_of(table)}` = %s", (*columns.values(), row_id))

    def change(self, table: str, row_id: int, **columns: Any) -> None:
        """Change a row as OpenMRS does: date_changed moves where the table has one."""
        stamps = {"changed_by": ADMIN, "date_changed": self.clock()} if self.has(table, "date_changed") else {}
        self.update(table, row_id, **columns, **stamps)

    def delete(self, table: str, row_id: int) -> None:
        self.execute(f"DELETE FROM `{table}` WHERE `{self.key_of(table)}` = %s", (row_id,))

    def void(self, table: str, row_id: int, *, reason: str | None = "entered in error") -> None:
        """Void one row, without what hangs on it."""
        self.change(table, row_id, voided=1, voided_by=ADMIN, date_voided=self.clock(), void_reason=reason)

    def unvoid(self, table: str, row_id: int) -> None:
        """Un-void one row: of the void no trace remains."""
        self.change(table, row_id, voided=0, voided_by=None, date_voided=None, void_reason=None)

    def row(self, table: str, row_id: int) -> dict[str, Any]:
        """Return the row.  Raises LookupError when there is none."""
        found = self.rows(table, **{self.key_of(table): row_id})
        if not found:
            raise LookupError(f"{table} has no such row")
        return found[0]

    def rows(self, table: str, **where: Any) -> list[dict[str, Any]]:
        """Return the rows with these values (None: IS NULL), by key."""
        names = list(self.columns(table))
        condition = " AND ".join(f"`{name}` <=> %s" for name in where) or "1"
        sql = f"SELECT `{'`, `'.join(names)}` FROM `{table}` WHERE {condition} ORDER BY `{self.key_of(table)}`"
        return [dict(zip(names, row, strict=True)) for row in self.execute(sql, tuple(where.values()))]

    def count(self, table: str, **where: Any) -> int:
        condition = " AND ".join(f"`{name}` <=> %s" for name in where) or "1"
        return int(self.execute(f"SELECT COUNT(*) FROM `{table}` WHERE {condition}", tuple(where.values()))[0][0])

    # -- bulk -----------------------------------------------------------------------------------------

    @contextmanager
    def bulk(self) -> Iterator[Self]:
        """Collect the inserts of the block and write them in one transaction; other statements flush first."""
        with self.atomic():
            self._buffer, self._next_ids = {}, {}
            try:
                yield self
                self.flush()
            finally:
                self._buffer = None

    def flush(self) -> None:
        """Write what bulk() has collected."""
        if not self._buffer:
            return
        buffer, self._buffer = self._buffer, {}
        cursor = self.connection.cursor()
        for (table, names), values in buffer.items():
            sql = f"INSERT INTO `{table}` (`{'`, `'.join(names)}`) VALUES "
            row = "(" + ", ".join(["%s"] * len(names)) + ")"
            for start in range(0, len(values), CHUNK):
                chunk = values[start : start + CHUNK]
                cursor.execute(sql + ", ".join([row] * len(chunk)), [value for one in chunk for value in one])

    def _insert(self, table: str, columns: dict[str, Any]) -> int:
        key = self.key_of(table)
        if self._buffer is None:
            marks = ", ".join(["%s"] * len(columns))
            cursor = self.connection.cursor()
            cursor.execute(
                f"INSERT INTO `{table}` (`{'`, `'.join(columns)}`) VALUES ({marks})", tuple(columns.values())
            )
            return columns[key] if key in columns else int(cursor.lastrowid)
        if self.columns(table)[key].is_automatic and key not in columns:
            columns[key] = self._next_id(table, key)
        self._buffer.setdefault((table, tuple(columns)), []).append(tuple(columns.values()))
        return columns[key]

    def _next_id(self, table: str, key: str) -> int:
        if table not in self._next_ids:
            cursor = self.connection.cursor()
            cursor.execute(f"SELECT COALESCE(MAX(`{key}`), 0) FROM `{table}`")
            self._next_ids[table] = int(cursor.fetchone()[0])
        self._next_ids[table] += 1
        return self._next_ids[table]

    def _refuse_unknown(self, table: str, columns: dict[str, Any]) -> None:
        known = self.columns(table)
        for name in columns:
            if name not in known:
                raise NotInThisVersion(f"OpenMRS {self.version} has no column {table}.{name}")


@cache
def _key_of(table: str, version: str) -> str:
    for column in ddl.columns_of(table, version).values():
        if column.is_key:
            return column.name
    raise NotInThisVersion(f"OpenMRS {version} has no table {table}")
