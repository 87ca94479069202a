"""Rows that a cloned database holds a second time: the same uuid at two hospitals, saying the same. Shown once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from passport.access.scope import Visible
from passport.history.shapes import KEYS_AT_ONCE


class Twin(Protocol):
    """What is needed of a record to find its twins."""

    @property
    def key(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def source_uuid(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def at_local(self) -> str | None: ...


def twins(rows: Sequence[Twin], seen: Visible) -> Mapping[str, Sequence[str]]:
    """Key of the record that is shown → keys of the others that say the very same elsewhere.

    Only rows that this look may show take part. Where moment, state or value differ, the copies have gone their own
    ways since, and each is shown: a difference between two hospitals is never hidden.
    """
    if len({link.hospital_id for link in seen.links}) < 2:
        return {}
    times = Counter(row.source_uuid for row in rows)
    same: dict[tuple[str, str, str, str | None], list[str]] = {}
    for row in rows:
        if row.source_uuid and times[row.source_uuid] > 1:
            same.setdefault((row.table, row.source_uuid, row.status, row.at_local), []).append(row.key)
    several = {name: keys for name, keys in same.items() if len({key[:4] for key in keys}) > 1}
    values = _values([key for keys in several.values() for key in keys], seen)
    found: dict[str, list[str]] = {}
    for keys in several.values():
        first_of: dict[tuple[str, str], str] = {}
        for key in sorted(keys):
            if key in values:
                first = first_of.setdefault(values[key], key)
                if first[:4] != key[:4]:
                    found.setdefault(first, []).append(key)
    return found


def _values(keys: Sequence[str], seen: Visible) -> dict[str, tuple[str, str]]:
    return {
        key: (value, unit)
        for start in range(0, len(keys), KEYS_AT_ONCE)
        for key, value, unit in seen.records.filter(key__in=keys[start : start + KEYS_AT_ONCE]).values_list(
            "key", "value", "unit"
        )
    }
