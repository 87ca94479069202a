"""Curves drawn on the server as SVG. Pure: numbers and words in, mark-up out; colours and lines are app.css's.

Places are percentages of the width and pixels of the height, so a chart fits every screen while its letters keep
their size. Nothing is said by colour alone: each hospital has a shape and a dash, out of range has an arrow.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

#: Heights in pixels: of the whole, of what is above and below the curve.
HEIGHT, ABOVE, BELOW = 250, 28, 30
#: Widths in percent: left of the curve, where the figures stand, and right of it.
LEFT, RIGHT = 13.0, 4.0
#: As many hospitals can be told apart by shape; further ones begin again.
SHAPES = ("circle", "square", "diamond", "triangle", "cross", "bar")
N_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value: when (seconds), how much, in words for whoever points at it, and how it stands to the range."""

    at: float
    value: float
    words: str
    flag: str  # empty: nobody said whether it is in range
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one hospital, oldest first. `shape`: its place in `SHAPES`. `label` stands at the last point.

    `curve`: what is measured, where two things share a chart.
    """

    points: Sequence[Point]
    shape: int
    label: str = ""
    curve: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Where a moment and a value stand."""

    first: float
    last: float
    bottom: float
    top: float

    def x(self, at: float) -> str:
        span = self.last - self.first
        part = (at - self.first) / span if span else 0.5
        return f"{LEFT + part * (100 - LEFT - RIGHT):.2f}%"

    def y(self, value: float) -> float:
        part = (value - self.bottom) / (self.top - self.bottom)
        return round(HEIGHT - BELOW - part * (HEIGHT - ABOVE - BELOW), 1)


def chart(
    *,
    name: str,
    series: Sequence[Series],
    ticks: Sequence[Tick],
    words: str,
    figures: Callable[[float], str],
    unit: str,
) -> SafeString:
    """The chart. `name`: an id for its title; `words`: what it shows, for who cannot see it; `figures`: how a
    number is written; `unit`: over the figures.

    There is at least one point.
    """
    points = [point for each in series for point in each.points]
    steps = _steps([each for point in points for each in (point.value, point.low, point.high) if each is not None])
    moments = [point.at for point in points]
    scale = _Scale(first=min(moments), last=max(moments), bottom=steps[0], top=steps[-1])
    return format_html(
        '<svg class="chart" width="100%" height="{}" role="img" aria-labelledby="{}">'
        '<title id="{}">{}</title>{}<text class="chart-unit" x="0" y="12">{}</text>{}{}{}</svg>',
        HEIGHT,
        name,
        name,
        words,
        _bands(series, scale),
        unit,
        _grid(steps, scale, figures),
        _days(ticks, scale),
        format_html_join("", "{}", ((_curve(each, scale),) for each in series)),
    )


def _steps(values: Sequence[float]) -> list[float]:
    """Round figures from below the least value to above the greatest: 4 to 6 of them."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / N_STEPS))
    step *= next(each for each in (1, 2, 2.5, 5, 10, 20) if span / (step * each) <= N_STEPS)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        first, last = first - 1, last + 1
    return [round(number * step, 10) for number in range(first, last + 1)]


def _grid(steps: Sequence[float], scale: _Scale, figures: Callable[[float], str]) -> SafeString:
    return format_html_join(
        "",
        '<line class="chart-grid" x1="{}%" x2="100%" y1="{}" y2="{}"/>'
        '<text class="chart-figure" x="{}%" y="{}">{}</text>',
        ((LEFT - 2, scale.y(step), scale.y(step), LEFT - 3.2, scale.y(step) + 4, figures(step)) for step in steps),
    )


def _days(ticks: Sequence[Tick], scale: _Scale) -> SafeString:
    """The first stands at its left end, the last at its right, so that neither is cut."""

    def anchor(index: int) -> str:
        if len(ticks) == 1:
            return "middle"
        return "start" if index == 0 else "end" if index == len(ticks) - 1 else "middle"

    return format_html_join(
        "",
        '<text class="chart-day {}" x="{}" y="{}">{}</text>',
        ((anchor(index), scale.x(tick.at), HEIGHT - 8, tick.words) for index, tick in enumerate(ticks)),
    )


def _bands(series: Sequence[Series], scale: _Scale) -> SafeString:
    """The range of each laboratory, as far as it reached: across the whole chart when there was only one."""
    return format_html_join(
        "",
        "{}",
        ((_bands_of([each for each in series if each.curve == curve], scale),) for curve in _curves(series)),
    )


def _curves(series: Sequence[Series]) -> list[int]:
    return sorted({each.curve for each in series})


def _bands_of(series: Sequence[Series], scale: _Scale) -> SafeString:
    ranges = {(point.low, point.high) for each in series for point in each.points}
    if len(ranges) == 1:
        return _band(*ranges.pop(), x="0%", width="100%", shape=0, scale=scale)
    return format_html_join(
        "",
        "{}",
        (
            (_band(low, high, x=scale.x(first), width=_width(scale, first, last), shape=each.shape, scale=scale),)
            for each in series
            for low, high, first, last in _stretches(each.points)
        ),
    )


def _stretches(points: Sequence[Point]) -> list[tuple[float | None, float | None, float, float]]:
    """Low, high, from, to: as long as the range stays the same."""
    found: list[tuple[float | None, float | None, float, float]] = []
    for point in points:
        if found and found[-1][:2] == (point.low, point.high):
            found[-1] = (*found[-1][:3], point.at)
        else:
            found.append((point.low, point.high, point.at, point.at))
    return found


def _width(scale: _Scale, first: float, last: float) -> str:
    start, end = (float(scale.x(at).rstrip("%")) for at in (first, last))
    # A range that was given once is seen too.
    return f"{max(end - start, 1.5):.2f}%"


def _band(low: float | None, high: float | None, *, x: str, width: str, shape: int, scale: _Scale) -> SafeString:
    if low is None and high is None:
        return SafeString("")
    top = scale.y(high if high is not None else scale.top)
    bottom = scale.y(low if low is not None else scale.bottom)
    end = f"{float(x.rstrip('%')) + float(width.rstrip('%')):.2f}%"
    edges = [y for y, bound in ((top, high), (bottom, low)) if bound is not None]
    return format_html(
        '<rect class="chart-band" x="{}" width="{}" y="{}" height="{}"/>{}',
        x,
        width,
        top,
        max(bottom - top, 1),
        format_html_join(
            "",
            '<line class="chart-edge dash-{}" x1="{}" x2="{}" y1="{}" y2="{}"/>',
            ((shape % len(SHAPES), x, end, y, y) for y in edges),
        ),
    )


def _curve(series: Series, scale: _Scale) -> SafeString:
    """Lines first, marks over them."""
    points = series.points
    last = points[-1]
    return format_html(
        '<g class="chart-series">{}{}{}</g>',
        format_html_join(
            "",
            '<line class="chart-line dash-{}" x1="{}" y1="{}" x2="{}" y2="{}"/>',
            (
                (series.shape % len(SHAPES), scale.x(a.at), scale.y(a.value), scale.x(b.at), scale.y(b.value))
                for a, b in pairwise(points)
            ),
        ),
        format_html_join("", "{}", ((_mark(point, series.shape, scale),) for point in points)),
        format_html(
            '<text class="chart-label" x="{}" y="{}">{}</text>',
            scale.x(last.at),
            scale.y(last.value) - 11,
            series.label,
        )
        if series.label
        else "",
    )


_OUTLINES = {
    "circle": '<circle r="4.5"/>',
    "square": '<rect x="-4.2" y="-4.2" width="8.4" height="8.4"/>',
    "diamond": '<path d="M0-6 6 0 0 6-6 0z"/>',
    "triangle": '<path d="M0-5.8 5.6 4.4H-5.6z"/>',
    "cross": '<path d="M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z"/>',
    "bar": '<rect x="-2.6" y="-6" width="5.2" height="12"/>',
}
#: Arrows away from the range; twice for what is critical.
_ARROWS = {
    "high": '<path class="chart-arrow" d="M-4-9 0-13 4-9"/>',
    "low": '<path class="chart-arrow" d="M-4 9 0 13 4 9"/>',
    "critically_high": '<path class="chart-arrow" d="M-4-9 0-13 4-9M-4-14 0-18 4-14"/>',
    "critically_low": '<path class="chart-arrow" d="M-4 9 0 13 4 9M-4 14 0 18 4 14"/>',
    "abnormal": '<path class="chart-arrow" d="M0-9V-15M0-19V-18.5"/>',
}


def _mark(point: Point, shape: int, scale: _Scale) -> SafeString:
    kind = "is-out" if point.flag in _ARROWS else "is-in" if point.flag == "normal" else "is-open"
    return format_html(
        '<svg class="chart-mark {}" x="{}" y="{}" overflow="visible"><title>{}</title>{}{}</svg>',
        kind,
        scale.x(point.at),
        scale.y(point.value),
        point.words,
        SafeString(_OUTLINES[SHAPES[shape % len(SHAPES)]]),
        SafeString(_ARROWS.get(point.flag, "")),
    )


def key_mark(shape: int, *, flag: str = "") -> SafeString:
    """The shape of a hospital, for the words beside it."""
    kind = "is-out" if flag in _ARROWS else "is-in" if flag == "normal" else "is-open"
    return format_html(
        '<svg class="chart-key" width="34" height="22" viewBox="-17 -13 34 22" aria-hidden="true" focusable="false">'
        '<line class="chart-line dash-{}" x1="-17" x2="17" y1="0" y2="0"/><g class="chart-mark {}">{}{}</g></svg>',
        shape % len(SHAPES),
        kind,
        SafeString(_OUTLINES[SHAPES[shape % len(SHAPES)]]),
        SafeString(_ARROWS.get(flag, "")),
    )


def key_band() -> SafeString:
    """The colour of the usual range, for the words beside it."""
    return SafeString(
        '<svg class="chart-key" width="34" height="22" aria-hidden="true" focusable="false">'
        '<rect class="chart-band" y="4" width="34" height="14"/><line class="chart-edge" x2="34" y1="4" y2="4"/>'
        '<line class="chart-edge" x2="34" y1="18" y2="18"/></svg>'
    )


# --- the small curve beside a line ------------------------------------------------------------------------------------

SMALL_WIDTH, SMALL_HEIGHT, SMALL_EDGE = 96, 32, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCurve:
    """At least two numbers, oldest first, and the range of the newest."""

    numbers: Sequence[float]
    low: float | None
    high: float | None
    is_out: bool


def small_curves(curves: Sequence[SmallCurve], *, words: str) -> SafeString:
    """Evenly spaced, on one scale, over their ranges. `words` say the same."""
    numbers = [number for curve in curves for number in curve.numbers]
    bounds = [bound for curve in curves for bound in (curve.low, curve.high) if bound is not None]
    # A range far away from the numbers would press them flat.
    least, most = min(numbers), max(numbers)
    span = (most - least) or abs(most) or 1.0
    near = [bound for bound in bounds if least - span <= bound <= most + span]
    bottom, top = min([least, *near]), max([most, *near])
    if bottom == top:
        bottom, top = bottom - 1, top + 1

    def y(number: float) -> float:
        part = (min(max(number, bottom), top) - bottom) / (top - bottom)
        return round(SMALL_HEIGHT - SMALL_EDGE - part * (SMALL_HEIGHT - 2 * SMALL_EDGE), 1)

    drawn = [_small_band(curve.low, curve.high, y) for curve in curves] + [_small_line(curve, y) for curve in curves]
    return format_html(
        '<svg class="small-curve" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        SMALL_WIDTH,
        SMALL_HEIGHT,
        SMALL_WIDTH,
        SMALL_HEIGHT,
        words,
        format_html_join("", "{}", ((part,) for part in drawn)),
    )


def _small_line(curve: SmallCurve, y: Callable[[float], float]) -> SafeString:
    step = (SMALL_WIDTH - 2 * SMALL_EDGE) / (len(curve.numbers) - 1)
    places = [(round(SMALL_EDGE + index * step, 1), y(number)) for index, number in enumerate(curve.numbers)]
    return format_html(
        '<polyline class="chart-line" points="{}"/><g class="chart-mark {}"><circle cx="{}" cy="{}" r="3.4"/></g>',
        " ".join(f"{x},{y_}" for x, y_ in places),
        "is-out" if curve.is_out else "is-in",
        *places[-1],
    )


def _small_band(low: float | None, high: float | None, y: Callable[[float], float]) -> SafeString:
    if low is None and high is None:
        return SafeString("")
    top = y(high) if high is not None else 0.0
    bottom = y(low) if low is not None else float(SMALL_HEIGHT)
    return format_html(
        '<rect class="chart-band" x="0" y="{}" width="{}" height="{}"/>', top, SMALL_WIDTH, max(bottom - top, 1)
    )
