"""The overview: what a doctor reads first."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from passport.access.scope import Scope, Visible
from passport.history.fresh import freshness_of, may_hold_more
from passport.history.kept import Reading
from passport.history.results import code_said
from passport.history.shapes import Overview, RecordView, Standing, Stated, Status
from passport.history.shown import by_keys, clock, views_of
from passport.history.standing import Ends, standing
from passport.history.words import fold
from passport.models.record import Category

LATEST_RESULTS = 12


class _Row(NamedTuple):
    """What is needed of an allergy, condition or medicine to see whether it is shown."""

    key: str
    table: str
    category: str
    category_rule: str
    part_of: str | None
    concept: str
    value: str
    details: Mapping[str, Any]


def overview(*, scope: Scope, now: dt.datetime, reading: Reading | None = None) -> Overview:
    """Only current records; what is past by the source's own dates and the clock is left out.

    `reading`: of this scope, where the page has made one already.
    """
    reading = reading or Reading(scope)
    seen = reading.seen
    clocks = {f"{link.hospital.number:04d}": clock(link.hospital.time_zone, now) for link in seen.links}
    rows, ends = reading.keep("stated", n_records=lambda found: len(found[0]), make=lambda: _stated_rows(seen))
    found = reading.keep(
        *("overview", ends_come := ends.n_come(clocks)),
        n_records=_n_shown,
        make=lambda: _shown(reading, rows=rows, clocks=clocks, ends_come=ends_come),
    )
    return replace(found, freshness=freshness_of(seen.links, now=now), may_hold_more=may_hold_more(scope=scope))


def _n_shown(found: Overview) -> int:
    parts = found.allergies, found.conditions, found.medications, found.latest_results, found.latest_vitals
    return sum(len(part) for part in parts)


def _shown(
    reading: Reading, *, rows: Sequence[_Row], clocks: Mapping[str, str], ends_come: tuple[int, ...]
) -> Overview:
    """All that follows from the records and from which of their ends have come; how fresh they are does not."""
    seen = reading.seen
    conditions = standing(rows, category=Category.CONDITION, clocks=clocks)
    medications = standing(rows, category=Category.MEDICATION, clocks=clocks)
    allergies = _allergies(rows)
    newest = reading.keep("newest", n_records=lambda found: len(found.keys), make=lambda: _newest_of_each(seen))
    qualifiers = [row.key for row in rows if row.part_of in conditions or row.part_of in medications]
    # Of a long history few rows are shown: only these are read in full.
    keys = [*conditions, *medications, *qualifiers, *allergies, *newest.keys]
    views = {view.id: view for view in views_of(by_keys(seen, keys), seen)}
    latest = [views[key] for key in newest.keys if key in views]
    return Overview(
        allergies=[views[key] for key in allergies if key in views],
        conditions=_stated(conditions, qualifiers, views),
        medications=_stated(medications, qualifiers, views),
        latest_results=[view for view in latest if view.category == Category.TEST],
        latest_vitals=[view for view in latest if view.category == Category.VITAL],
        repeated=newest.repeated,
        freshness=(),
        may_hold_more=(),
        ends_come=ends_come,
    )


def _stated_rows(seen: Visible) -> tuple[list[_Row], Ends]:
    current = seen.records.filter(status=Status.CURRENT)
    found = current.filter(category__in=[Category.ALLERGY, Category.CONDITION, Category.MEDICATION])
    rows = [_Row._make(row) for row in found.order_by("-order_at", "-key").values_list(*_Row._fields)]
    return rows, Ends((row.key[:4], row.details) for row in rows)


def _stated(
    standings: Mapping[str, Standing], qualifiers: Sequence[str], views: Mapping[str, RecordView]
) -> list[Stated]:
    of_record: dict[str, list[RecordView]] = {}
    for key in qualifiers:
        if (view := views.get(key)) and view.part_of:
            of_record.setdefault(view.part_of, []).append(view)
    return [
        Stated(record=views[key], standing=state, qualifiers=of_record.get(key, []))
        for key, state in standings.items()
        if key in views
    ]


class _Measured(NamedTuple):
    """What is needed of a test or vital sign to see whether it is the newest of its kind."""

    key: str
    category: str
    concept: str
    category_rule: str
    concept_uuid: str
    order_at: int
    group_id: int | None

    @property
    def name(self) -> str:
        """As hospitals call it, or, for a vital sign that is known everywhere, its code."""
        code = code_said(rule=self.category_rule, concept_uuid=self.concept_uuid)
        return f"CIEL:{code}" if code and self.category == Category.VITAL else fold(self.concept)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newest:
    keys: Sequence[str]
    repeated: frozenset[str]


def _newest_of_each(seen: Visible) -> _Newest:
    """The newest record of each vital sign and of each of the latest tests, newest first."""
    measured = seen.records.filter(
        status=Status.CURRENT, category__in=[Category.TEST, Category.VITAL], part_of__isnull=True
    )
    rows = [_Measured._make(row) for row in measured.order_by("-order_at", "-key").values_list(*_Measured._fields)]
    as_written: dict[tuple[str, ...], _Measured] = {}
    for row in rows:
        as_written.setdefault((row.category, row.concept, row.category_rule, row.concept_uuid), row)
    newest: dict[tuple[str, str], _Measured] = {}
    for row in as_written.values():
        newest.setdefault((row.category, row.name), row)
    tests = [row.key for row in newest.values() if row.category == Category.TEST]
    left_out = set(tests[LATEST_RESULTS:])
    kept = [row for row in newest.values() if row.key not in left_out]
    return _Newest(keys=[row.key for row in kept], repeated=_repeated(kept, rows))


def _repeated(kept: Sequence[_Measured], rows: Sequence[_Measured]) -> frozenset[str]:
    """Keys of those vital signs that stand more than once at their moment, in one group or outside any."""

    def moment(row: _Measured) -> tuple[str, int, int | None]:
        return row.key[:6], row.order_at, row.group_id

    vitals = {(moment(row), row.name): row.key for row in kept if row.category == Category.VITAL}
    moments = {found for found, _name in vitals}
    n_there = Counter((moment(row), row.name) for row in rows if moment(row) in moments)
    return frozenset(key for place, key in vitals.items() if n_there[place] > 1)


def _allergies(rows: Iterable[_Row]) -> list[str]:
    """Keys of the newest of those that say the same."""
    newest: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.category == Category.ALLERGY and not row.part_of:
            newest.setdefault((fold(row.concept), fold(row.value)), row.key)
    return list(newest.values())
