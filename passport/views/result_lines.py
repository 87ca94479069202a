"""Tests as rows of a page: what stands where, in which words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from passport import charts
from passport.forms import CATEGORY_NAMES
from passport.history import RecordView, ResultRow
from passport.history.vitals import VITAL_ORDER, code_of, moment_of, pressures
from passport.history.words import fold, holds, words_of
from passport.models.record import Category
from passport.templatetags.pages import figure, short_day
from passport.views.lines import Line, Pages, answer_of, bare_range, line
from passport.views.plain import PlainWords
from passport.views.pressures import Measured, both_ranges, in_pairs, line_of
from passport.views.pressures import name as pressure_name

#: Rows of one page: about 40 KB of it.
ROWS_OF_A_PAGE = 35
LONGEST_SEARCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of the tests is asked for, as it stands in the URL. What cannot be read counts as not asked."""

    q: str = ""
    hospital: str = ""
    is_flagged: bool = False
    page: int = 1

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "Wanted":
        page = params.get("page", "")
        return cls(
            q=params.get("q", "").strip().replace("\x00", "")[:LONGEST_SEARCH],
            hospital=params.get("hospital", ""),
            is_flagged=params.get("flagged", "") == "1",
            page=int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 6 else 1,
        )

    @property
    def query(self) -> str:
        named = {"q": self.q, "hospital": self.hospital, "flagged": "1" if self.is_flagged else ""}
        named["page"] = str(self.page) if self.page > 1 else ""
        return "?" + urlencode({name: value for name, value in named.items() if value})

    @property
    def is_empty(self) -> bool:
        return not (self.q or self.hospital or self.is_flagged)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLink:
    """One choice: its words, how many it would leave, where it leads; chosen ones lead back to without it."""

    words: str
    n: int
    url: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One test on a page."""

    line: Line
    trend_url: str
    range: str
    hospital: str
    before: str  # the value before, with its day; empty when there is none
    curve: SafeString


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPanel:
    """Tests that were asked for together, or (without a title) loose ones between them."""

    title: str
    lines: Sequence[ResultLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSection:
    category: str
    title: str
    panels: Sequence[ResultPanel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    wanted: Wanted
    sections: Sequence[ResultSection]
    chips: Sequence[ChipLink]
    n_all: int
    n_found: int
    earlier: str  # where the page before begins; empty when this is the first
    later: str

    @property
    def is_filtered(self) -> bool:
        return not self.wanted.is_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One test; `lower`: the second number of a blood pressure, where both newest ones are of one measurement."""

    row: ResultRow
    lower: ResultRow | None = None

    @property
    def rows(self) -> Sequence[ResultRow]:
        return (self.row, self.lower) if self.lower else (self.row,)

    @property
    def newest(self) -> RecordView:
        return self.row.newest

    @property
    def is_flagged(self) -> bool:
        return any(row.is_flagged for row in self.rows)

    @property
    def hospitals(self) -> set[str]:
        return {code for row in self.rows for code in row.hospitals}


def _in_pairs(rows: Sequence[ResultRow]) -> list[Tested]:
    of_newest = {row.newest.id: row for row in rows}
    # Measured twice at that moment: nobody can say which belong together.
    once = [row.newest for row in rows if row.previous is None or moment_of(row.previous) != moment_of(row.newest)]
    pairs = pressures(once, code=lambda record: of_newest[record.id].code or code_of(record))
    return [
        Tested(row=of_newest[each.record.id], lower=of_newest[each.lower.id] if each.lower else None)
        for each in in_pairs([row.newest for row in rows], pairs)
    ]


def shown(rows: Sequence[ResultRow], *, wanted: Wanted, pages: Pages, plain: PlainWords) -> Shown:
    words = words_of(wanted.q)
    every = _in_pairs(rows)
    named = [row for row in every if not words or holds(_text(row, plain), words)]
    found = [row for row in named if _fits(row, wanted)]
    start = (wanted.page - 1) * ROWS_OF_A_PAGE
    ordered = _in_order(found)[start : start + ROWS_OF_A_PAGE]
    return Shown(
        wanted=wanted,
        sections=[
            ResultSection(category=category, title=str(dict(CATEGORY_NAMES)[category]), panels=panels)
            for category in (Category.TEST.value, Category.VITAL.value)
            if (panels := _panels([row for row in ordered if row.newest.category == category], pages, plain))
        ],
        chips=_chips(named, wanted, pages),
        n_all=len(every),
        n_found=len(found),
        earlier=pages.results + replace(wanted, page=wanted.page - 1).query if wanted.page > 1 else "",
        later=(
            pages.results + replace(wanted, page=wanted.page + 1).query if start + ROWS_OF_A_PAGE < len(found) else ""
        ),
    )


def _text(tested: Tested, plain: PlainWords) -> str:
    """What is searched: both names of a blood pressure too, and what its row is called."""
    found = [pressure_name()] if tested.lower else []
    for record in (row.newest for row in tested.rows):
        known = plain.get(record.concept_uuid)
        found += [record.concept, record.value, known.words if known else ""]
    return "\n".join(found)


def _fits(row: Tested, wanted: Wanted) -> bool:
    return (not wanted.hospital or wanted.hospital in row.hospitals) and (not wanted.is_flagged or row.is_flagged)


def _in_order(rows: Sequence[Tested]) -> list[Tested]:
    """Tests newest first, then the measurements in the order in which they are read."""

    def place(tested: Tested) -> tuple[bool, int]:
        is_vital, code = tested.newest.category == Category.VITAL, tested.row.code or code_of(tested.newest)
        known = VITAL_ORDER.index(code) if code in VITAL_ORDER else len(VITAL_ORDER)
        return is_vital, known if is_vital else 0

    return sorted(rows, key=place)


def _chips(tested: Sequence[Tested], wanted: Wanted, pages: Pages) -> list[ChipLink]:
    """Each count is of what the choice would leave, with the other choices as they are."""

    def chip(words: str, **change: object) -> ChipLink:
        is_chosen = all(getattr(wanted, name) == value for name, value in change.items())
        undone = {name: type(value)() for name, value in change.items()} if is_chosen else change
        then = replace(wanted, page=1, **change)  # type: ignore[arg-type]
        link = replace(wanted, page=1, **undone)  # type: ignore[arg-type]
        n = sum(_fits(each, then) for each in tested)
        return ChipLink(words=words, n=n, url=pages.results + link.query, is_chosen=is_chosen)

    rows = [row for each in tested for row in each.rows]
    names = {row.newest.hospital: row.newest.hospital_name for row in rows}
    names |= {row.previous.hospital: row.previous.hospital_name for row in rows if row.previous}
    hospitals = sorted({code for row in rows for code in row.hospitals}, key=lambda code: names.get(code, code))
    found = [chip(_("Out of range only"), is_flagged=True)]
    if len(hospitals) > 1 or wanted.hospital:
        found += [chip(names.get(code, code), hospital=code) for code in hospitals]
    return found


# --- rows and panels --------------------------------------------------------------------------------------------------


def _panels(rows: Sequence[Tested], pages: Pages, plain: PlainWords) -> list[ResultPanel]:
    """Rows whose newest values were asked for together share a panel, where the first of them stands."""
    of_panel: dict[tuple[str, str], list[Tested]] = {}
    for row in rows:
        of_panel.setdefault(_panel_of(row.newest), []).append(row)
    panels: list[ResultPanel] = []
    loose: list[ResultLine] = []
    for (_hospital, name), members in of_panel.items():
        made = [result_line(each, pages=pages, plain=plain) for each in members]
        if not name or len(made) < 2:
            loose += made
            continue
        if loose:
            panels.append(ResultPanel(title="", lines=loose))
            loose = []
        title = str(members[0].newest.details.get("group", "")) or _("Tested together")
        panels.append(ResultPanel(title=title, lines=made))
    if loose:
        panels.append(ResultPanel(title="", lines=loose))
    return panels


def _panel_of(record: RecordView) -> tuple[str, str]:
    """The same panel asked for twice is one, even where the second time a test of it was left out."""
    if title := str(record.details.get("group", "")):
        return record.hospital, fold(title)
    if record.group is not None:
        return record.hospital, str(record.group)
    return record.id, ""


def result_line(tested: Tested, *, pages: Pages, plain: PlainWords) -> ResultLine:
    record, lower = tested.newest, tested.lower.newest if tested.lower else None
    return ResultLine(
        line=line_of(Measured(record=record, lower=lower), make=lambda each: line(each, pages=pages, plain=plain)),
        trend_url=pages.trend(record.id),
        range=both_ranges(record, lower) if lower else bare_range(record),
        hospital=record.hospital_name,
        before=_before(tested, plain),
        curve=_small_curve(tested),
    )


def _before(tested: Tested, plain: PlainWords) -> str:
    """The value before; of a blood pressure where both numbers before are of one measurement too, else that of each."""
    told = [_told_before(row, plain) for row in tested.rows]
    if tested.lower is None:
        return told[0]
    upper, lower = tested.row.previous, tested.lower.previous
    if upper and lower and moment_of(upper) == moment_of(lower):
        return f"{upper.value}/{told[1]}"
    both = zip((_("upper"), _("lower")), told, strict=True)
    return "; ".join(f"{label}: {each}" for label, each in both if each)


def _told_before(row: ResultRow, plain: PlainWords) -> str:
    if (before := row.previous) is None:
        return ""
    place = f", {before.hospital_name}" if before.hospital != row.newest.hospital else ""
    return f"{answer_of(before, plain)[:60]} · {short_day(before.date)}{place}"


def _small_curve(tested: Tested) -> SafeString:
    rows = [row for row in tested.rows if len(row.numbers) > 1]
    if not rows:
        return SafeString("")
    told = "; ".join(", ".join(figure(number) for number in row.numbers) for row in rows)
    return charts.small_curves(
        [
            charts.SmallCurve(numbers=row.numbers, low=row.newest.low, high=row.newest.high, is_out=row.is_flagged)
            for row in rows
        ],
        words=_("Last values, the newest at the end: %(values)s") % {"values": told},
    )
