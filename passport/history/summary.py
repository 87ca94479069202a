"""The overview: what a doctor reads first."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from passport.access.scope import Scope, Visible
from passport.history.fresh import freshness_of, may_hold_more
from passport.history.kept import Reading
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
    newest = reading.keep("newest", n_records=len, make=lambda: _newest_of_each(seen))
    qualifiers = [row.key for row in rows if row.part_of in conditions or row.part_of in medications]
    # Of a long history few rows are shown: only these are read in full.
    keys = [*conditions, *medications, *qualifiers, *allergies, *newest]
    views = {view.id: view for view in views_of(by_keys(seen, keys), seen)}
    latest = [views[key] for key in newest if key in views]
    return Overview(
        allergies=[views[key] for key in allergies if key in views],
        conditions=_stated(conditions, qualifiers, views),
        medications=_stated(medications, qualifiers, views),
        latest_results=[view for view in latest if view.category == Category.TEST],
        latest_vitals=[view for view in latest if view.category == Category.VITAL],
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


def _newest_of_each(seen: Visible) -> list[str]:
    """Keys of the newest record of each vital sign and of each of the latest tests, newest first."""
    rows = (
        seen.records.filter(status=Status.CURRENT, category__in=[Category.TEST, Category.VITAL], part_of__isnull=True)
        .order_by("-order_at", "-key")
        .values_list("key", "category", "concept")
    )
    as_written: dict[tuple[str, str], str] = {}
    for key, category, concept in rows:
        as_written.setdefault((category, concept), key)
    newest: dict[tuple[str, str], str] = {}
    for (category, concept), key in as_written.items():
        newest.setdefault((category, fold(concept)), key)
    tests = [key for (category, _), key in newest.items() if category == Category.TEST]
    left_out = set(tests[LATEST_RESULTS:])
    return [key for key in newest.values() if key not in left_out]


def _allergies(rows: Iterable[_Row]) -> list[str]:
    """Keys of the newest of those that say the same."""
    newest: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.category == Category.ALLERGY and not row.part_of:
            newest.setdefault((fold(row.concept), fold(row.value)), row.key)
    return list(newest.values())
