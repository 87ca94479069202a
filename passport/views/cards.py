"""The visits of a history as cards of a page: what stands where, in which words. Pure."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from passport.forms import CATEGORY_NAMES
from passport.history import Block, CategoryGroup, RecordView, VisitView
from passport.history.vitals import pressures
from passport.models.record import Category
from passport.views import words
from passport.views.lines import Line, Pages, line
from passport.views.plain import NO_WORDS, PlainWords
from passport.views.pressures import in_pairs, line_of

#: The order inside a visit: what is wrong, what was given, what was found.
CATEGORY_ORDER = [
    Category.ALLERGY,
    Category.CONDITION,
    Category.MEDICATION,
    Category.TEST,
    Category.VITAL,
    Category.OTHER,
    Category.VISIT,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """An obs group as one card, or loose lines."""

    is_group: bool
    lines: Sequence[Line]
    title: str = ""  # what the hospital calls the outermost group


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    category: str
    title: str
    is_tiles: bool  # short values side by side
    panels: Sequence[Panel]

    @property
    def lines(self) -> list[Line]:
        return [each for panel in self.panels for each in panel.lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitCard:
    visit: VisitView
    title: str
    sections: Sequence[Section]
    year: str  # the heading above it; empty when it is the same as that of the card before
    also_held_by: str
    withdrawn_url: str  # to the entries of this day that the hospital has taken back; empty when there are none


def visit_cards(
    visits: Sequence[VisitView], *, pages: Pages, plain: PlainWords = NO_WORDS, since: dt.datetime | None = None
) -> list[VisitCard]:
    """`since`: when the reader was here last; what came in later is marked as new."""
    years = [each.date[:4] if each.date else _("Without a date") for each in visits]
    before = [None, *years[:-1]] if years else []
    return [
        VisitCard(
            visit=visit,
            title=visit.title or _("Entries outside a visit"),
            sections=[
                _section(group, pages=pages, plain=plain, visit=visit, since=since)
                for group in sorted(visit.groups, key=_place)
            ],
            year=year if year != year_before else "",
            also_held_by=words.names(visit.also_held_by),
            withdrawn_url=_withdrawn_url(visit, pages=pages),
        )
        for visit, year, year_before in zip(visits, years, before, strict=True)
    ]


def _withdrawn_url(visit: VisitView, *, pages: Pages) -> str:
    if not visit.n_withdrawn:
        return ""
    day = {"from": visit.date, "to": visit.date} if visit.date else {}
    return f"{pages.history}?{urlencode({'status': 'withdrawn', 'hospital': visit.hospital} | day)}"


def _place(group: CategoryGroup) -> int:
    known = [category.value for category in CATEGORY_ORDER]
    return known.index(group.category) if group.category in known else len(known)


def _section(
    group: CategoryGroup, *, pages: Pages, plain: PlainWords, visit: VisitView, since: dt.datetime | None
) -> Section:
    entries = {entry.record.id: entry for block in group.blocks for entry in block.entries}

    def make(record: RecordView) -> Line:
        entry = entries[record.id]
        return replace(
            line(record, pages=pages, qualifiers=entry.qualifiers, plain=plain),
            is_new=since is not None and record.received_at > since,
            # What is said above the whole visit is not repeated.
            also_held_by=words.names([name for name in entry.also_held_by if name not in visit.also_held_by]),
            earlier=[line(each, pages=pages, plain=plain) for each in entry.earlier],
        )

    pairs = pressures([entry.record for entry in entries.values()])
    panels = list(_panels(group.blocks, pairs=pairs, make=make))
    lines = [each for panel in panels for each in panel.lines]
    title = dict(CATEGORY_NAMES).get(group.category, group.category)
    return Section(
        category=group.category,
        title=_("During this visit") if group.category == Category.VISIT else str(title),
        is_tiles=group.category == Category.VITAL and not any(each.is_long for each in lines),
        panels=panels,
    )


def _panels(
    blocks: Sequence[Block], *, pairs: Mapping[str, RecordView], make: Callable[[RecordView], Line]
) -> Iterator[Panel]:
    """Groups of several stay together; single lines between them share one list."""
    loose: list[Line] = []
    for block in blocks:
        lines = [line_of(each, make=make) for each in in_pairs([entry.record for entry in block.entries], pairs)]
        if block.group is None or len(lines) < 2:
            loose.extend(lines)
            continue
        if loose:
            yield Panel(is_group=False, lines=loose)
            loose = []
        title = str(block.entries[0].record.details.get("group", ""))
        yield Panel(is_group=True, lines=lines, title=title)
    if loose:
        yield Panel(is_group=False, lines=loose)
