"""The history by visit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from passport.access.scope import Scope, Visible, visible
from passport.history.cursors import VISIT_KEY, cursor_at, position_of
from passport.history.shapes import (
    LONGEST_PAGE,
    RECORDS_OF_A_VISITS_PAGE,
    VISITS,
    Block,
    CategoryGroup,
    Entry,
    Filters,
    RecordView,
    Status,
    VisitsPage,
    VisitView,
)
from passport.history.shown import by_keys, views_of
from passport.history.words import holds, words_of
from passport.models import UNDATED
from passport.models.record import Category

_CATEGORY_ORDER = [
    Category.CONDITION,
    Category.ALLERGY,
    Category.MEDICATION,
    Category.VITAL,
    Category.TEST,
    Category.VISIT,
    Category.OTHER,
]


def visits_page(
    *, scope: Scope, filters: Filters | None = None, cursor: str | None = None, limit: int = VISITS
) -> VisitsPage:
    """The history by visit, newest first, undated last; with filters, the visits that hold a match. Raises BadCursor.

    Withdrawn visits and encounters lend their name to what is shown of them only when nothing current can.
    """
    filters = filters or Filters()
    position = position_of(cursor, VISIT_KEY) if cursor else None
    seen = visible(scope)
    outlines = _outlines(seen, filters)
    later = [outline for outline in outlines if position is None or outline.place < position]
    taken = _fitting(later, max(1, min(limit, LONGEST_PAGE)))
    keys = [key for outline in taken for key in outline.keys]
    views = {view.id: view for view in views_of(by_keys(seen, keys), seen)}
    last = taken[-1] if len(taken) < len(later) else None
    return VisitsPage(
        # One whose rows have all gone between the two queries has nothing left to say.
        results=[_visit_view(outline, views) for outline in taken if any(key in views for key in outline.keys)],
        next=cursor_at(*last.place) if last else None,
    )


class _Row(NamedTuple):
    """What is needed of a record to find its visit."""

    key: str
    order_at: int
    at_local: str | None
    category: str
    status: str
    table: str
    visit_id: int | None
    encounter_id: int | None
    part_of: str | None
    text: str


@dataclass(slots=True, kw_only=True)
class _Outline:
    """One visit before its records are read in full."""

    key: str  # hospital number and epoch; v, e or d; visit id, encounter id or day
    visit_id: int | None
    encounter_id: int | None
    headers: list[_Row] = field(default_factory=list)  # rows of the visit or encounter itself
    members: list[_Row] = field(default_factory=list)  # rows that are wanted, headers among them

    @property
    def header(self) -> _Row | None:
        return min(self.headers, key=lambda row: (row.status != Status.CURRENT, row.key), default=None)

    @property
    def place(self) -> tuple[int, str]:
        header = self.header
        if header is not None and header.order_at != UNDATED:
            return header.order_at, self.key
        return max(row.order_at for row in self.members), self.key

    @property
    def keys(self) -> list[str]:
        keys = [row.key for row in self.members]
        header = self.header
        return keys if header is None or header.key in keys else [*keys, header.key]


def _outlines(seen: Visible, filters: Filters) -> list[_Outline]:
    """Every visit that holds a record that is wanted, newest first, undated last."""
    rows = _rows(seen, filters)
    visit_of = {
        (row.key[:6], row.encounter_id): row.visit_id
        for row in rows
        if row.encounter_id is not None and row.visit_id is not None
    }
    wanted = _wanted(rows, filters)
    outlines: dict[str, _Outline] = {}
    for row in rows:
        visit_id = row.visit_id
        if visit_id is None and row.encounter_id is not None:
            visit_id = visit_of.get((row.key[:6], row.encounter_id))
        outline = _outline_of(row, visit_id)
        outline = outlines.setdefault(outline.key, outline)
        if row.table == ("visit" if outline.visit_id is not None else "encounter"):
            outline.headers.append(row)
        if row.key in wanted:
            outline.members.append(row)
    return sorted((o for o in outlines.values() if o.members), key=lambda o: o.place, reverse=True)


def _rows(seen: Visible, filters: Filters) -> list[_Row]:
    """All records of the chosen hospitals, wanted or not: what is not wanted may still name the visit."""
    names = ["key", "order_at", "at_local", "category", "status", "table", "visit_id", "encounter_id", "part_of"]
    text_names = ["concept", "value"] if filters.q else []
    return [
        _Row._make((*row[: len(names)], "\n".join(row[len(names) :])))
        for row in seen.only(filters.hospital).records.values_list(*names, *text_names)
    ]


def _wanted(rows: Iterable[_Row], filters: Filters) -> set[str]:
    """Keys of the rows that match, and of what qualifies them."""
    words = words_of(filters.q)
    first = filters.from_date.isoformat() if filters.from_date else ""
    last = f"{filters.to_date.isoformat()} 23:59:59" if filters.to_date else ""
    rows = [row for row in rows if filters.status in {Status.ALL, row.status}]
    found = {
        row.key
        for row in rows
        if (not filters.category or row.category == filters.category)
        and (not (first or last) or row.at_local is not None)
        and (not first or (row.at_local or "") >= first)
        and (not last or (row.at_local or "") <= last)
        and holds(row.text, words)
    }
    return found | {row.key for row in rows if row.part_of in found}


def _outline_of(row: _Row, visit_id: int | None) -> _Outline:
    prefix = row.key[:6]
    if visit_id is not None:
        return _Outline(key=f"{prefix}v{visit_id:010d}", visit_id=visit_id, encounter_id=None)
    if row.encounter_id is not None:
        return _Outline(key=f"{prefix}e{row.encounter_id:010d}", visit_id=None, encounter_id=row.encounter_id)
    return _Outline(key=f"{prefix}d{(row.at_local or 'undated')[:10]}", visit_id=None, encounter_id=None)


def _fitting(outlines: Sequence[_Outline], limit: int) -> list[_Outline]:
    """The first visits, as many as one page bears; at least one."""
    taken: list[_Outline] = []
    n_records = 0
    for outline in outlines[:limit]:
        n_records += len(outline.members)
        if taken and n_records > RECORDS_OF_A_VISITS_PAGE:
            break
        taken.append(outline)
    return taken


def _visit_view(outline: _Outline, views: Mapping[str, RecordView]) -> VisitView:
    header = views.get(outline.header.key) if outline.header else None
    members = sorted(
        (views[row.key] for row in outline.members if row.key in views),
        key=lambda view: (view.at_local is None, view.at_local or "", view.id),
    )
    about = header or members[0]
    inside = [view for view in members if header is None or view.id != header.id]
    return VisitView(
        key=outline.key,
        hospital=about.hospital,
        hospital_name=about.hospital_name,
        visit_id=outline.visit_id,
        encounter_id=outline.encounter_id,
        title=(header.value or header.concept) if header else "",
        at=about.at,
        date=about.date,
        location=about.location or next((view.location for view in members if view.location), ""),
        providers=list(dict.fromkeys(view.provider for view in members if view.provider)),
        groups=_grouped(inside),
        n_records=len(members),
    )


def _grouped(views: Sequence[RecordView]) -> list[CategoryGroup]:
    """By category, then by obs group; what qualifies a record stands under it."""
    here = {view.id for view in views}
    qualifiers: dict[str, list[RecordView]] = {}
    for view in views:
        if view.part_of in here:
            qualifiers.setdefault(view.part_of, []).append(view)
    blocks: dict[str, dict[tuple[str, int | str], list[Entry]]] = {}
    for view in views:
        if view.part_of not in here:
            group = (view.hospital, view.group if view.group is not None else view.id)
            entry = Entry(record=view, qualifiers=qualifiers.get(view.id, []))
            blocks.setdefault(view.category, {}).setdefault(group, []).append(entry)
    return [
        CategoryGroup(
            category=category,
            blocks=[Block(group=entries[0].record.group, entries=entries) for entries in blocks[category].values()],
        )
        for category in sorted(blocks, key=lambda category: _CATEGORY_ORDER.index(Category(category)))
    ]
