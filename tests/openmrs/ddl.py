"""The DDL of a pretend OpenMRS, made from `tables.txt` for any platform version from 1.9 to 2.9."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

VERSIONS = ("1.9", "1.12", "2.0", "2.3", "2.6", "2.8")  # one of each family; any version between works too

GROUPS = {
    "audit": "creator int!, date_created datetime!",
    "changed": "changed_by int, date_changed datetime",
    "void": "voided bool!=0, voided_by int, date_voided datetime, void_reason str255",
    "retire": "retired bool!=0, retired_by int, date_retired datetime, retire_reason str255",
    "uuid": "uuid char38!",
}
TYPES = {"int": "INT", "bool": "TINYINT(1)", "double": "DOUBLE", "text": "TEXT"}
FIRST, LAST = "1.9", "2.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column and the platforms that have it, both ends included."""

    name: str
    type: str
    is_required: bool
    default: str | None
    is_key: bool
    is_automatic: bool
    since: str
    until: str

    def exists_in(self, version: str) -> bool:
        return order(self.since) <= order(version) <= order(self.until)

    @property
    def is_moment(self) -> bool:
        return self.type in ("date", "datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    columns: list[Column] = field(default_factory=list)
    indexes: list[tuple[str, str]] = field(default_factory=list)  # (name, column)


def order(version: str) -> tuple[int, ...]:
    """Versions are compared by number: 1.9 comes before 1.12."""
    return tuple(int(part) for part in version.split("."))


@cache
def read_tables() -> dict[str, Table]:
    """Return the tables of `tables.txt` by name, whatever the version."""
    text = (Path(__file__).parent / "tables.txt").read_text(encoding="utf-8")
    joined = re.sub(r",\n\s+", ", ", re.sub(r"(?m)^#.*\n", "", text))
    tables: dict[str, Table] = {}
    for line in filter(str.strip, joined.splitlines()):
        if line.startswith("table "):
            table = tables[line.split()[1]] = Table(name=line.split()[1])
            continue
        span, _, items = line.strip().partition(": ")
        if span == "index":
            table.indexes.extend(re.findall(r"(\w+)\((\w+)\)", items))
        else:
            table.columns.extend(_read_columns(items, *_read_span(span)))
    return tables


@cache
def columns_of(table: str, version: str) -> dict[str, Column]:
    """Return the table's columns in this version, by name; none when the version has no such table."""
    table_or_none = read_tables().get(table)
    columns = [c for c in table_or_none.columns if c.exists_in(version)] if table_or_none else []
    return {column.name: column for column in columns} if any(column.is_key for column in columns) else {}


def tables_of(version: str) -> list[str]:
    """Return the names of the tables that exist in this version."""
    return [name for name in read_tables() if columns_of(name, version)]


def create_statements(version: str) -> list[str]:
    """Return one CREATE TABLE per table of this version.

    1.9 is latin1 and has `DEFAULT '0000-00-00 00:00:00'`: it needs a session without NO_ZERO_DATE.
    """
    return [_create_table(read_tables()[name], version) for name in tables_of(version)]


def is_old(version: str) -> bool:
    """True before the redesign of 1.10: text units, no order_action, zero dates, latin1."""
    return order(version) < order("1.10")


def _read_span(span: str) -> tuple[str, str]:
    words = span.split()
    since = words[words.index("since") + 1] if "since" in words else FIRST
    until = words[words.index("until") + 1] if "until" in words else LAST
    return since, until


def _read_columns(items: str, since: str, until: str) -> list[Column]:
    columns = []
    for item in items.split(", "):
        if item in GROUPS:
            columns.extend(_read_columns(GROUPS[item], since, until))
            continue
        name, kind, *rest = item.split()
        kind, _, default = kind.partition("=")
        columns.append(
            Column(
                name=name,
                type="int" if kind == "key" else kind.rstrip("!"),
                is_required=kind.endswith("!") or kind == "key",
                default=default or None,
                is_key=kind == "key" or rest == ["pk"],
                is_automatic=kind == "key",
                since=since,
                until=until,
            )
        )
    return columns


def _sql_type(kind: str) -> str:
    if match := re.fullmatch(r"(str|char)(\d+)", kind):
        return f"{'VARCHAR' if match[1] == 'str' else 'CHAR'}({match[2]})"
    return TYPES.get(kind, kind.upper())


def _sql_column(column: Column, version: str) -> str:
    words = [f"`{column.name}`", _sql_type(column.type), "NOT NULL" if column.is_required else "NULL"]
    if column.is_automatic:
        words.append("AUTO_INCREMENT")
    elif column.default is not None:
        words.append(f"DEFAULT '{column.default}'")
    elif column.is_required and column.is_moment and is_old(version):
        words.append("DEFAULT '0000-00-00 00:00:00'")
    return " ".join(words)


def _create_table(table: Table, version: str) -> str:
    columns = columns_of(table.name, version)
    parts = [_sql_column(column, version) for column in columns.values()]
    parts.append("PRIMARY KEY (" + ", ".join(f"`{c.name}`" for c in columns.values() if c.is_key) + ")")
    if "uuid" in columns:
        parts.append(f"UNIQUE KEY `{f'{table.name}_uuid_index' if is_old(version) else 'uuid'}` (`uuid`)")
    parts.extend(f"KEY `{name}` (`{column}`)" for name, column in table.indexes if column in columns)
    charset = "latin1" if is_old(version) else "utf8mb3"
    return f"CREATE TABLE `{table.name}` (\n  " + ",\n  ".join(parts) + f"\n) ENGINE=InnoDB DEFAULT CHARSET={charset}"
