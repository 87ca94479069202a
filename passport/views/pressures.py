"""Blood pressure as people write it: 148/92 in one row, where both numbers belong to one measurement. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from passport.history import RecordView, Trend
from passport.history.shapes import IN_ORDER
from passport.history.trends import PRESSURE
from passport.views.lines import Line, bare_range

UPPER, LOWER = PRESSURE
#: Hospital, group, encounter, moment and unit: where all are the same, it is one measurement.
Moment = tuple[str, int | None, int | None, str | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row. `lower`: the second number of the same measurement; None where one number stands alone."""

    record: RecordView
    lower: RecordView | None = None


def measured(found: Trend) -> Iterator[Measured]:
    """Every record of the trend once, in its order. Measured twice at one moment nobody can say which belong together:
    then each stands alone."""
    codes = {record.id: curve.code for chart in found.charts for curve in chart.curves for record in curve.records}
    pairs = dict(_pairs([record for record in found.records if record.id in codes], codes))
    lowers = {lower.id for lower in pairs.values()}
    for record in found.records:
        if record.id not in lowers:
            yield Measured(record=record, lower=pairs.get(record.id))


def _pairs(records: Sequence[RecordView], codes: Mapping[str, str]) -> Iterator[tuple[str, RecordView]]:
    of_moment: dict[Moment, dict[str, list[RecordView]]] = {}
    for record in records:
        moment = (record.hospital, record.group, record.encounter, record.at_local, record.unit)
        of_moment.setdefault(moment, {}).setdefault(codes[record.id], []).append(record)
    for numbers in of_moment.values():
        uppers, lowers = numbers.get(UPPER, []), numbers.get(LOWER, [])
        if len(uppers) == len(lowers) == 1:
            yield uppers[0].id, lowers[0]


def as_one(upper: Line, lower: Line, *, name: str) -> Line:
    """The line of both numbers; its address is that of the upper one."""
    flag, flag_words = _flag(upper, lower)
    return replace(
        upper,
        name=name,
        own_name="",
        value=f"{upper.value}/{lower.value}",
        flag=flag,
        flag_words=flag_words,
        is_hidden=upper.is_hidden or lower.is_hidden,
    )


def _flag(upper: Line, lower: Line) -> tuple[str, str]:
    """One word where it holds for both; else which number it is said of, what is out of order first."""
    if upper.flag_words == lower.flag_words:
        return upper.flag, upper.flag_words
    said = [(each, label) for each, label in ((upper, _("upper")), (lower, _("lower"))) if each.flag]
    out = [(each, label) for each, label in said if each.flag not in IN_ORDER] or said
    return out[0][0].flag, ", ".join(f"{label}: {each.flag_words}" for each, label in out)


def both_ranges(upper: RecordView, lower: RecordView) -> str:
    """`90 to 140 / 60 to 90`; empty where the hospital gives neither."""
    ranges = [bare_range(upper), bare_range(lower)]
    return " / ".join(each or "–" for each in ranges) if any(ranges) else ""
