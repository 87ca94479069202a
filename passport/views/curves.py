"""One test through the years as a page: charts, the words that say the same, and the table. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from passport import charts
from passport.history import Curve, RecordView, Trend, TrendChart
from passport.history.shapes import IN_ORDER
from passport.templatetags.pages import figure, short_day
from passport.views import pressures, words
from passport.views.lines import Line, Pages, bare_range, line, said
from passport.views.plain import PlainWords
from passport.views.pressures import Measured
from passport.views.result_lines import ChipLink
from passport.views.units import as_people_write

#: Up to so many days the axis names days, above it months.
DAYS_WITH_DAY = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """One mark of a chart and what it means."""

    mark: SafeString
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    title: str  # the unit, where there are several charts; else empty
    drawing: SafeString
    key: Sequence[KeyEntry]
    ranges: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    line: Line
    range: str
    hospital: str
    lower_url: str = ""  # of a blood pressure's second number, which has an entry of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendView:
    name: str
    own_name: str
    charts: Sequence[ChartView]
    rows: Sequence[TableRow]
    chips: Sequence[ChipLink]
    n_left_out: int  # older ones of the range that are neither drawn nor listed
    older: str  # the address with them; empty when there are none
    is_narrowed: bool
    n_all: int
    address: str


def trend_page(
    found: Trend, *, days: Mapping[str, dt.date | None], today: dt.date, pages: Pages, plain: PlainWords
) -> TrendView:
    about = said(found.about, plain=plain)
    address = pages.trend(found.about.id)
    hospitals = list(dict.fromkeys(record.hospital for record in found.records))
    n_left_out = found.n_records - len(found.records)
    return TrendView(
        name=pressures.name() if found.is_pressure else about.name or _("Entry without a name"),
        own_name="" if found.is_pressure else about.own_name,
        charts=[
            _chart_view(each, index=index, trend=found, hospitals=hospitals) for index, each in enumerate(found.charts)
        ],
        rows=[_table_row(each, pages=pages, plain=plain) for each in pressures.measured(found)],
        chips=_ranges_of_days(found, days=days, today=today, address=address),
        n_left_out=n_left_out,
        older=_older(found, days, address) if n_left_out else "",
        is_narrowed=bool(days.get("from") or days.get("to")),
        n_all=found.n_all,
        address=address,
    )


def _table_row(measured: Measured, *, pages: Pages, plain: PlainWords) -> TableRow:
    record, lower = measured.record, measured.lower
    return TableRow(
        line=pressures.line_of(measured, make=lambda each: line(each, pages=pages, plain=plain)),
        range=pressures.both_ranges(record, lower) if lower else bare_range(record),
        hospital=record.hospital_name,
        lower_url=pages.record(lower.id) if lower else "",
    )


def _older(found: Trend, days: Mapping[str, dt.date | None], address: str) -> str:
    """The same up to the oldest day that is shown here: that day is on both pages, so that nothing falls between."""
    first = min((record.date for record in found.records if record.date), default="")
    last = max((record.date for record in found.records if record.date), default="")
    if not first or first == last:
        return ""
    start = days.get("from")
    return f"{address}?{urlencode(({'from': start.isoformat()} if start else {}) | {'to': first})}"


def _ranges_of_days(
    found: Trend, *, days: Mapping[str, dt.date | None], today: dt.date, address: str
) -> list[ChipLink]:
    """Everything, five years, one year: those that would show something else than everything."""
    first, last = days.get("from"), days.get("to")
    chips = [ChipLink(words=_("Everything"), n=found.n_all, url=address, is_chosen=first is None and last is None)]
    for years, text in ((5, _("Last 5 years")), (1, _("Last year"))):
        start = today - dt.timedelta(days=round(365.25 * years))
        if found.first_date and found.first_date < start.isoformat() <= found.last_date:
            is_chosen = first == start and last is None
            url = address if is_chosen else f"{address}?{urlencode({'from': start.isoformat()})}"
            chips.append(ChipLink(words=text, n=-1, url=url, is_chosen=is_chosen))
    return chips if len(chips) > 1 or first or last else []


# --- one chart --------------------------------------------------------------------------------------------------------


def _chart_view(chart: TrendChart, *, index: int, trend: Trend, hospitals: Sequence[str]) -> ChartView:
    records = [record for curve in chart.curves for record in curve.records]
    here = [code for code in hospitals if any(record.hospital == code for record in records)]
    names = {record.hospital: record.hospital_name for record in records}
    series = [
        charts.Series(
            points=[_point(record) for record in curve.records if record.hospital == code],
            shape=hospitals.index(code),
            curve=place,
            label=_label(curve) if len(chart.curves) > 1 and code == curve.records[-1].hospital else "",
        )
        for place, curve in enumerate(chart.curves)
        for code in here
        if any(record.hospital == code for record in curve.records)
    ]
    unit = as_people_write(chart.unit) or _("no unit given")
    return ChartView(
        title=_("In %(unit)s") % {"unit": unit} if len(trend.charts) > 1 else "",
        drawing=charts.chart(
            name=f"chart-{index}",
            series=series,
            ticks=_ticks(sorted(_moment(record) for record in records)),
            words=_told(chart, records),
            figures=figure,
            unit=unit,
        ),
        key=_key(records, here=here, names=names, hospitals=hospitals),
        ranges=_range_words(chart, names),
    )


def _label(curve: Curve) -> str:
    return _("upper") if curve.code == "5085" else _("lower") if curve.code == "5086" else ""


def _moment(record: RecordView) -> float:
    """The hospital's clock as a number. Two hospitals' clocks may differ by hours, which no chart of years shows."""
    return dt.datetime.fromisoformat(record.at_local or "1970-01-01").replace(tzinfo=dt.UTC).timestamp()


def _point(record: RecordView) -> charts.Point:
    flag = record.flag or ""
    parts = [
        short_day(record.date),
        f"{record.value} {as_people_write(record.unit)}".strip(),
        str(words.FLAGS.get(flag, flag)),
    ]
    return charts.Point(
        at=_moment(record),
        value=record.value_number or 0.0,
        words=" · ".join(part for part in [*parts, record.hospital_name] if part),
        # A word that we do not know is at least out of the ordinary.
        flag=flag if flag in words.FLAGS or not flag else "abnormal",
        low=record.low,
        high=record.high,
    )


def _ticks(moments: Sequence[float]) -> list[charts.Tick]:
    """The first and the last day, and one between when there is room for it in time."""
    first, last = moments[0], moments[-1]
    if first == last:
        return [charts.Tick(at=first, words=date_format(_day(first), "j M Y"))]
    form = "j M Y" if last - first < DAYS_WITH_DAY * 86400 else "M Y"
    if last - first < 2 * 86400:
        form = "j M H:i"
    places = [first, (first + last) / 2, last] if form == "M Y" else [first, last]
    return [charts.Tick(at=at, words=date_format(_day(at), form)) for at in places]


def _day(at: float) -> dt.datetime:
    # Naive on purpose: it is the hospital's clock, and no zone must move it.
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).replace(tzinfo=None)


def _told(chart: TrendChart, records: Sequence[RecordView]) -> str:
    """What the chart shows, for who cannot see it; the table below has every number."""
    said_parts = []
    for curve in chart.curves:
        numbers = [record.value_number for record in curve.records if record.value_number is not None]
        said_parts.append(
            _("%(label)s newest %(newest)s, lowest %(low)s, highest %(high)s %(unit)s.")
            % {
                "label": f"{_label(curve)}:" if _label(curve) else "",
                "newest": figure(numbers[-1]),
                "low": figure(min(numbers)),
                "high": figure(max(numbers)),
                "unit": as_people_write(chart.unit),
            }
        )
    n_out = sum(record.flag not in IN_ORDER for record in records)
    days = sorted(record.date for record in records if record.date)
    span = _("From %(first)s to %(last)s.") % {"first": short_day(days[0]), "last": short_day(days[-1])}
    n_words = ngettext("%(n)d value.", "%(n)d values.", len(records)) % {"n": len(records)}
    out = ngettext("%(n)d is out of range.", "%(n)d are out of range.", n_out) % {"n": n_out} if n_out else ""
    parts = [n_words, span, *said_parts, out, _("The table below has every value.")]
    return " ".join(part.strip() for part in parts if part)


def _key(
    records: Sequence[RecordView], *, here: Sequence[str], names: Mapping[str, str], hospitals: Sequence[str]
) -> list[KeyEntry]:
    """The hospitals' shapes, where there are several; the arrows, where there are any."""
    found = []
    if len(here) > 1:
        found = [KeyEntry(mark=charts.key_mark(hospitals.index(code)), words=names[code]) for code in here]
    if any(record.low is not None or record.high is not None for record in records):
        found.append(KeyEntry(mark=charts.key_band(), words=_("usual range")))
    flags = {record.flag for record in records}
    shape = hospitals.index(here[0])
    for flag, text in (
        ("normal", _("in range")),
        ("high", _("high")),
        ("low", _("low")),
        ("critically_high", _("critically high")),
        ("critically_low", _("critically low")),
        ("abnormal", _("abnormal")),
    ):
        if flag in flags:
            found.append(KeyEntry(mark=charts.key_mark(shape, flag=flag), words=text))
    if None in flags and len(here) == 1:
        found.append(KeyEntry(mark=charts.key_mark(shape), words=_("no range known")))
    return found


def _range_words(chart: TrendChart, names: Mapping[str, str]) -> list[str]:
    """The newest range of each hospital, or that there is none."""
    told: dict[tuple[str, str], list[str]] = {}
    for curve in chart.curves:
        for code, record in {record.hospital: record for record in curve.records}.items():
            if usual := bare_range(record):
                label = _label(curve) if len(chart.curves) > 1 else ""
                told.setdefault((label, f"{usual} {as_people_write(record.unit)}".strip()), []).append(names[code])
    if not told:
        return [_("The hospitals give no usual range, so nothing is called high or low.")]
    return [_in_words(label, usual, hospitals) for (label, usual), hospitals in told.items()]


def _in_words(label: str, usual: str, hospitals: Sequence[str]) -> str:
    values = {"label": label, "range": usual, "hospitals": words.names(hospitals)}
    if label:
        return _("Usual range of the %(label)s number: %(range)s (%(hospitals)s)") % values
    return _("Usual range: %(range)s (%(hospitals)s)") % values
