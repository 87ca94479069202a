"""One test through the years: its records, one curve for each unit."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passport.access.scope import Scope
from passport.history.kept import Reading
from passport.history.results import Concepts, Row, Subject, by_subject
from passport.history.shapes import RecordView
from passport.history.shown import by_keys, views_of
from passport.history.vitals import PRESSURE
from passport.models.record import Category

#: Records of one page: what a small screen can hold, a chart can show apart, and a slow line can carry.
LONGEST_TREND = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Records of one test in one unit, oldest first, undated ones left out."""

    code: str  # CIEL's, where it is known; else empty
    records: Sequence[RecordView]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendChart:
    """What may stand on one scale: one unit; blood pressure has two curves."""

    unit: str
    curves: Sequence[Curve]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """`records`: all that charts and table show, newest first, undated last, those without a number among them."""

    about: RecordView
    is_pressure: bool
    charts: Sequence[TrendChart]
    records: Sequence[RecordView]
    n_records: int  # in the range of days that was asked for
    n_all: int  # in any
    first_date: str  # of all dated ones, the hospital's day; empty when none is dated
    last_date: str


def trend(
    *,
    scope: Scope,
    key: str,
    from_date: dt.date | None = None,
    to_date: dt.date | None = None,
    reading: Reading | None = None,
) -> Trend | None:
    """The test that this record is of; None when the patient has no such record that may be shown.

    At most the newest `LONGEST_TREND` records of the range. The record itself may be withdrawn or outside the range.
    `reading`: of this scope, where the page has made one already.
    """
    reading = reading or Reading(scope)
    return reading.keep(
        *("trend", key, from_date, to_date),
        n_records=lambda found: 1 + len(found.records) if found else 1,
        make=lambda: _trend(reading, key=key, from_date=from_date, to_date=to_date),
    )


def _trend(reading: Reading, *, key: str, from_date: dt.date | None, to_date: dt.date | None) -> Trend | None:
    seen = reading.seen
    found = views_of(seen.records.filter(key=key, category__in=(Category.TEST, Category.VITAL)), seen)
    if not found:
        return None
    about = found[0]
    concepts, of_subject = by_subject(reading)
    names = _names(about, concepts, of_subject)
    all_rows = sorted(
        ((subject, row) for subject, rows in of_subject.items() if subject.concept in names for row in rows),
        key=lambda pair: (pair[1].order_at, pair[1].key),
        reverse=True,
    )
    wanted = [pair for pair in all_rows if _is_within(pair[1], from_date, to_date)]
    shown = wanted[:LONGEST_TREND]
    views = {view.id: view for view in views_of(by_keys(seen, [row.key for _subject, row in shown]), seen)}
    days = [row.at_local[:10] for _subject, row in all_rows if row.at_local]
    return Trend(
        about=about,
        is_pressure=any(subject.concept in _PRESSURE_NAMES for subject, _row in all_rows),
        charts=_charts(shown, views, concepts),
        records=[views[row.key] for _subject, row in shown if row.key in views],
        n_records=len(wanted),
        n_all=len(all_rows),
        first_date=min(days, default=""),
        last_date=max(days, default=""),
    )


_PRESSURE_NAMES = {f"CIEL:{code}" for code in PRESSURE}


def _names(about: RecordView, concepts: Concepts, of_subject: Mapping[Subject, Sequence[Row]]) -> set[str]:
    """The concept of the record, and with one blood pressure the other."""
    own = {subject.concept for subject, rows in of_subject.items() if any(row.key == about.id for row in rows)}
    if not own and about.concept_uuid:
        own = {concepts.name_of(about.concept_uuid)}
    return _PRESSURE_NAMES if own & _PRESSURE_NAMES else own


def _is_within(row: Row, from_date: dt.date | None, to_date: dt.date | None) -> bool:
    if from_date is None and to_date is None:
        return True
    if row.at_local is None:
        return False
    day = row.at_local[:10]
    return (not from_date or day >= from_date.isoformat()) and (not to_date or day <= to_date.isoformat())


def _charts(shown: Sequence[tuple[Subject, Row]], views: dict[str, RecordView], concepts: Concepts) -> list[TrendChart]:
    """The unit that was used last comes first. What has no date or no number stands in the table alone."""
    of_unit: dict[str, dict[str, list[RecordView]]] = {}
    codes: dict[str, str] = {}
    for subject, row in shown:
        if subject.is_number and row.at_local and row.key in views:
            of_unit.setdefault(subject.unit, {}).setdefault(subject.concept, []).append(views[row.key])
            codes[subject.concept] = concepts.code_of(row)
    return [
        TrendChart(
            unit=next(iter(curves.values()))[0].unit,
            curves=[
                Curve(code=codes[concept], records=records[::-1])
                for concept, records in sorted(curves.items(), key=lambda item: item[0])
            ],
        )
        for curves in of_unit.values()
    ]
