"""Blood pressure as people write it: 148/92 in one row, where both numbers belong to one measurement. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from passport.history import Overview, RecordView, Trend
from passport.history.shapes import IN_ORDER
from passport.history.vitals import pressures, vitals_in_order
from passport.views.lines import Line, bare_range, usual_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row. `lower`: the second number of the same measurement; None where one number stands alone."""

    record: RecordView
    lower: RecordView | None = None


def measured(found: Trend) -> Iterator[Measured]:
    """Every record of the trend once."""
    codes = {record.id: curve.code for chart in found.charts for curve in chart.curves for record in curve.records}
    return in_pairs(found.records, pressures(found.records, code=lambda record: codes.get(record.id, "")))


def in_pairs(records: Sequence[RecordView], pairs: Mapping[str, RecordView]) -> Iterator[Measured]:
    """Every record once, in its order, each lower number with its upper one."""
    lowers = {lower.id for lower in pairs.values()}
    for record in records:
        if record.id not in lowers:
            yield Measured(record=record, lower=pairs.get(record.id))


def lines_of(
    records: Sequence[RecordView], *, make: Callable[[RecordView], Line], lone: Collection[str] = ()
) -> list[Line]:
    """A line for each record, in this order; both numbers of a blood pressure share that of the upper one.

    `lone`: ids of those that share none.
    """
    pairs = pressures([record for record in records if record.id not in lone])
    return [line_of(each, make=make) for each in in_pairs(records, pairs)]


def measured_lines(found: Overview, *, make: Callable[[RecordView], Line]) -> list[Line]:
    """The newest tests, then the measurements in the order in which they are read."""
    return lines_of([*found.latest_results, *vitals_in_order(found.latest_vitals)], make=make, lone=found.repeated)


def line_of(one: Measured, *, make: Callable[[RecordView], Line]) -> Line:
    upper = make(one.record)
    return as_one(upper, make(one.lower), of=one) if one.lower else upper


def name() -> str:
    return _("Blood pressure")


def as_one(upper: Line, lower: Line, *, of: Measured) -> Line:
    """The line of both numbers; its address is that of the upper one."""
    flag, flag_words = _flag(upper, lower)
    return replace(
        upper,
        name=name(),
        own_name="",
        value=f"{upper.value}/{lower.value}",
        flag=flag,
        flag_words=flag_words,
        about=_about(upper, lower, of=of),
        parts=[*upper.parts, *(each for each in lower.parts if each not in upper.parts)],
        is_hidden=upper.is_hidden or lower.is_hidden,
        is_new=upper.is_new or lower.is_new,
        # Of a number that the other hospital does not hold, nobody can say so.
        also_held_by=upper.also_held_by if upper.also_held_by == lower.also_held_by else "",
        earlier=[*upper.earlier, *lower.earlier],
    )


def _about(upper: Line, lower: Line, *, of: Measured) -> list[str]:
    """What is said of either number once, after both ranges."""
    if of.lower is None:
        return list(upper.about)
    ranges = both_ranges(of.record, of.lower)
    told = [_("usual range %(range)s") % {"range": ranges}] if ranges else []
    own_ranges = {usual_range(of.record), usual_range(of.lower)}
    return told + [each for each in dict.fromkeys([*upper.about, *lower.about]) if each not in own_ranges]


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
