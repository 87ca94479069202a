"""The history by visit: page by page, or whole."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from passport.access.scope import Scope, Visible, visible
from passport.history.chips import facets_of
from passport.history.cursors import cursor_at, place_in_visits
from passport.history.kept import Reading
from passport.history.outlines import Outline, Outlines, Row, all_rows, outlines_of, read_rows, with_words, years_of
from passport.history.shapes import (
    LONGEST_PAGE,
    LONGEST_TEXT,
    RECORDS_OF_A_VISITS_PAGE,
    TEXT_OF_A_VISITS_PAGE,
    VISITS,
    Block,
    CategoryGroup,
    Entry,
    Filters,
    RecordView,
    VisitsPage,
    VisitView,
)
from passport.history.shown import by_keys, views_of
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
    *,
    scope: Scope,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = VISITS,
    reading: Reading | None = None,
) -> VisitsPage:
    """The history by visit, newest first, undated last; with filters, the visits that hold a match. Raises BadCursor.

    Withdrawn visits and encounters lend their name to what is shown of them only when nothing current can. A row that
    a cloned database holds too is shown once, at the hospital that was connected first. A visit that is longer than
    a page goes on on the next one; what came into it between two pages may be missed there, what was there is not.
    `reading`: of this scope, where the page has made one already.
    """
    filters = filters or Filters()
    place = place_in_visits(cursor) if cursor else (None, "", "")
    reading = reading or Reading(scope)
    return reading.keep(
        *("visits", filters, place, limit),
        n_records=lambda page: sum(visit.n_records for visit in page.results),
        make=lambda: _visits_page(reading, filters, place=place, limit=limit),
    )


def _visits_page(reading: Reading, filters: Filters, *, place: tuple[int | None, str, str], limit: int) -> VisitsPage:
    order_at, at_visit, at_entry = place
    seen, rows = reading.seen, read_rows(reading, filters)
    found = with_words(rows, filters)
    outlines = outlines_of(rows, found=found, filters=filters, seen=seen)
    later = [
        visit
        for visit in outlines.visits
        if order_at is None or visit.place < (order_at, at_visit) or (at_entry and visit.place == (order_at, at_visit))
    ]
    drafted = _parts(later, limit=max(1, min(limit, LONGEST_PAGE)), first_entry=at_entry)
    views = _views(drafted, seen)
    parts = _light(drafted, views)
    return VisitsPage(
        results=_shown(parts, views, outlines=outlines, seen=seen),
        next=_next(parts, n_later=len(later)),
        years=years_of(outlines.visits),
        facets=facets_of(rows, found=found, filters=filters, seen=seen),
    )


def all_visits(*, scope: Scope) -> Sequence[VisitView]:
    """Every visit with its current entries, newest first: for paper."""
    seen, filters = visible(scope), Filters()
    outlines = outlines_of(all_rows(seen), found=None, filters=filters, seen=seen)
    parts = [_Part(visit=visit, blocks=_blocks(visit)) for visit in outlines.visits]
    return _shown(parts, _views(parts, seen), outlines=outlines, seen=seen)


# --- what fits on a page ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A visit as far as one page shows it. `blocks`: the rows of each obs group, or one row with what qualifies it."""

    visit: Outline
    blocks: Sequence[Sequence[Row]]
    n_before: int = 0
    rest: Sequence[Sequence[Row]] = ()  # blocks for the next page

    @property
    def n_rows(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def keys(self) -> list[str]:
        """Of all that is read in full for it."""
        shown = [row.key for block in self.blocks for row in block]
        earlier = [row.key for key in shown for row in self.visit.earlier.get(key, ())]
        header = self.visit.header
        return [*shown, *earlier, *([header.key] if header else [])]

    def cut(self, n_blocks: int) -> "_Part":
        return replace(self, blocks=self.blocks[:n_blocks], rest=[*self.blocks[n_blocks:], *self.rest])


def _parts(visits: Sequence[Outline], *, limit: int, first_entry: str) -> list[_Part]:
    """As many visits as one page bears; at least one, cut where it alone is too long."""
    parts: list[_Part] = []
    n_rows = 0
    for visit in visits[:limit]:
        part = _Part(visit=visit, blocks=_blocks(visit))
        if first_entry and not parts:
            part = _from(part, first_entry)
        n_rows += part.n_rows
        if n_rows <= RECORDS_OF_A_VISITS_PAGE:
            parts.append(part)
        else:
            return parts or [part.cut(_n_fitting([len(b) for b in part.blocks], most=RECORDS_OF_A_VISITS_PAGE))]
    return parts


def _from(part: _Part, first_entry: str) -> _Part:
    """From the block that begins with this entry on; the whole where it is gone: rather twice than not at all."""
    for position, block in enumerate(part.blocks):
        if block[0].key == first_entry:
            n_before = sum(len(before) for before in part.blocks[:position])
            return replace(part, blocks=part.blocks[position:], n_before=n_before)
    return part


def _light(parts: Sequence[_Part], views: Mapping[str, RecordView]) -> Sequence[_Part]:
    """The same without what would make the page too heavy: many long notes."""
    weight = 0
    for position, part in enumerate(parts):
        weights = [sum(_weight(views[row.key]) for row in block if row.key in views) for block in part.blocks]
        weight += sum(weights)
        if weight > TEXT_OF_A_VISITS_PAGE:
            return parts[:position] or [part.cut(_n_fitting(weights, most=TEXT_OF_A_VISITS_PAGE))]
    return parts


def _n_fitting(sizes: Sequence[int], *, most: int) -> int:
    """How many of the first make no more than this together; at least one."""
    total = 0
    for position, size in enumerate(sizes):
        total += size
        if total > most:
            return max(1, position)
    return len(sizes)


def _weight(view: RecordView) -> int:
    """Bytes of its texts, as far as a page shows them."""
    texts = [view.concept, view.value, *map(str, view.details.values())]
    return sum(len(text[:LONGEST_TEXT].encode()) for text in texts)


def _blocks(visit: Outline) -> list[list[Row]]:
    """What stands together, in an order that does not change: by category, moment, key. The header is not among it."""
    header = visit.header
    members = sorted(
        (row for row in visit.members if header is None or row.key != header.key),
        key=lambda row: (row.at_local is None, row.at_local or "", row.key),
    )
    by_key = {row.key: row for row in members}
    blocks: dict[int | str, list[Row]] = {}
    for row in members:
        whole = by_key.get(row.part_of or "", row)
        blocks.setdefault(whole.key if whole.group_id is None else whole.group_id, []).append(row)
    in_order = sorted(blocks.values(), key=lambda block: _CATEGORY_ORDER.index(Category(_category_of(block))))
    # A group longer than a page is no card any more.
    most = RECORDS_OF_A_VISITS_PAGE
    return [block[start : start + most] for block in in_order for start in range(0, len(block), most)]


def _category_of(rows: Sequence[Row] | Sequence[RecordView]) -> str:
    """The category of most of them."""
    return Counter(row.category for row in rows).most_common(1)[0][0]


def _next(parts: Sequence[_Part], *, n_later: int) -> str | None:
    if not parts:
        return None
    last = parts[-1]
    if last.rest:
        return cursor_at(*last.visit.place, last.rest[0][0].key)
    return cursor_at(*last.visit.place) if len(parts) < n_later else None


# --- how it is shown --------------------------------------------------------------------------------------------------


def _views(parts: Sequence[_Part], seen: Visible) -> dict[str, RecordView]:
    keys = [key for part in parts for key in part.keys]
    return {view.id: view for view in views_of(by_keys(seen, keys), seen)}


def _shown(
    parts: Sequence[_Part], views: Mapping[str, RecordView], *, outlines: Outlines, seen: Visible
) -> list[VisitView]:
    """One whose rows have all gone between the two queries has nothing left to say."""
    holders = {f"{link.hospital.number:04d}": link.hospital.name for link in seen.links}
    also = {key: [holders[twin[:4]] for twin in same] for key, same in outlines.twins.items() if key in views}
    return [_visit_view(part, views, also) for part in parts if any(row.key in views for row in part.visit.members)]


def _visit_view(part: _Part, views: Mapping[str, RecordView], also: Mapping[str, Sequence[str]]) -> VisitView:
    visit = part.visit
    header = views.get(visit.header.key) if visit.header else None
    inside = sorted(
        (views[row.key] for block in part.blocks for row in block if row.key in views),
        key=lambda view: (view.at_local is None, view.at_local or "", view.id),
    )
    wanted = {row.key for row in visit.members}
    members = [header, *inside] if header and header.id in wanted else inside
    about = header or members[0]
    earlier = {key: [views[r.key] for r in rows if r.key in views] for key, rows in visit.earlier.items()}
    return VisitView(
        key=visit.key,
        hospital=about.hospital,
        hospital_name=about.hospital_name,
        visit_id=visit.visit_id,
        encounter_id=visit.encounter_id,
        title=(header.value or header.concept) if header else "",
        at=about.at,
        date=about.date,
        location=about.location or next((view.location for view in members if view.location), ""),
        providers=list(dict.fromkeys(view.provider for view in members if view.provider)),
        groups=_grouped(inside, earlier=earlier, also=also),
        n_records=len(members),
        also_held_by=also.get(header.id, []) if header else [],
        n_withdrawn=visit.n_withdrawn,
        n_before=part.n_before,
        n_after=sum(len(block) for block in part.rest),
    )


def _grouped(
    views: Sequence[RecordView],
    *,
    earlier: Mapping[str, Sequence[RecordView]],
    also: Mapping[str, Sequence[str]],
) -> list[CategoryGroup]:
    """By category, then by obs group; what qualifies a record stands under it.

    An obs group stays whole: under the category of most of its members, not torn apart over several.
    """
    here = {view.id for view in views}
    qualifiers: dict[str, list[RecordView]] = {}
    for view in views:
        if view.part_of in here:
            qualifiers.setdefault(view.part_of, []).append(view)
    groups: dict[tuple[str, int | str], list[Entry]] = {}
    for view in views:
        if view.part_of not in here:
            entry = Entry(
                record=view,
                qualifiers=qualifiers.get(view.id, []),
                earlier=earlier.get(view.id, []),
                also_held_by=also.get(view.id, []),
            )
            group = (view.hospital, view.group if view.group is not None else view.id)
            groups.setdefault(group, []).append(entry)
    blocks: dict[str, list[Block]] = {}
    for entries in groups.values():
        category = _category_of([entry.record for entry in entries])
        blocks.setdefault(category, []).append(Block(group=entries[0].record.group, entries=entries))
    return [
        CategoryGroup(
            category=category,
            blocks=blocks[category],
        )
        for category in sorted(blocks, key=lambda category: _CATEGORY_ORDER.index(Category(category)))
    ]
