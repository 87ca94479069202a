"""The history by visit."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from passport.access.scope import Scope, Visible, visible
from passport.history.cursors import VISIT_KEY, cursor_at, position_of
from passport.history.shapes import (
    IN_ORDER,
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
    Year,
)
from passport.history.shown import by_keys, views_of
from passport.history.twins import twins
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

#: Reasons for which a hospital no longer stands by an entry. Others only say that it stands elsewhere now.
TAKEN_BACK = {"voided", "parent_voided", "gone"}


def visits_page(
    *, scope: Scope, filters: Filters | None = None, cursor: str | None = None, limit: int = VISITS
) -> VisitsPage:
    """The history by visit, newest first, undated last; with filters, the visits that hold a match. Raises BadCursor.

    Withdrawn visits and encounters lend their name to what is shown of them only when nothing current can. A row that
    a cloned database holds too is shown once, at the hospital that was connected first.
    """
    filters = filters or Filters()
    position = position_of(cursor, VISIT_KEY) if cursor else None
    seen = visible(scope)
    outlines = _outlines(seen, filters)
    later = [outline for outline in outlines if position is None or outline.place < position]
    taken = _fitting(later, max(1, min(limit, LONGEST_PAGE)))
    keys = [key for outline in taken for key in outline.keys]
    views = {view.id: view for view in views_of(by_keys(seen, keys), seen)}
    holders = {f"{link.hospital.number:04d}": link.hospital.name for link in seen.links}
    last = taken[-1] if len(taken) < len(later) else None
    return VisitsPage(
        # One whose rows have all gone between the two queries has nothing left to say.
        results=[_visit_view(o, views, holders) for o in taken if any(row.key in views for row in o.members)],
        next=cursor_at(*last.place) if last else None,
        years=_years(outlines),
    )


class _Row(NamedTuple):
    """What is needed of a record to find its visit."""

    key: str
    order_at: int
    at_local: str | None
    category: str
    flag: str | None
    status: str
    table: str
    visit_id: int | None
    encounter_id: int | None
    part_of: str | None
    concept_id: int | None
    source_uuid: str
    entered_at_local: str | None
    withdrawn_reason: str
    text: str


@dataclass(slots=True, kw_only=True)
class _Outline:
    """One visit before its records are read in full."""

    key: str  # hospital number and epoch; v, e or d; visit id, encounter id or day
    visit_id: int | None
    encounter_id: int | None
    headers: list[_Row] = field(default_factory=list)  # rows of the visit or encounter itself
    members: list[_Row] = field(default_factory=list)  # rows that are wanted, headers among them
    earlier: dict[str, list[_Row]] = field(default_factory=dict)  # by the member's key; see `_earlier`
    twins: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of the whole history
    n_withdrawn: int = 0

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
    def date(self) -> str | None:
        """The hospital's day, as the visit's card gives it."""
        moments = [self.header.at_local] if self.header else [row.at_local for row in self.members]
        return min((moment[:10] for moment in moments if moment), default=None)

    @property
    def keys(self) -> list[str]:
        keys = [row.key for row in self.members] + [row.key for rows in self.earlier.values() for row in rows]
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
    same = twins(rows, seen)
    again = {key for keys in same.values() for key in keys}
    fitting = _fitting_rows(rows, filters)
    wanted = {row.key for row in fitting if filters.status in {Status.ALL, row.status}} - again
    earlier = _earlier(rows) if filters.status == Status.CURRENT else {}
    counted = {row.key for row in fitting if row.withdrawn_reason in TAKEN_BACK} - again
    counted -= {row.key for found in earlier.values() for row in found}
    outlines: dict[str, _Outline] = {}
    for row in rows:
        visit_id = row.visit_id
        if visit_id is None and row.encounter_id is not None:
            visit_id = visit_of.get((row.key[:6], row.encounter_id))
        outline = _outline_of(row, visit_id)
        outline = outlines.setdefault(outline.key, outline)
        outline.twins = same
        if row.table == ("visit" if outline.visit_id is not None else "encounter"):
            outline.headers.append(row)
        if row.key in wanted:
            outline.members.append(row)
            if row.key in earlier:
                outline.earlier[row.key] = earlier[row.key]
        elif row.key in counted:
            outline.n_withdrawn += 1
    return sorted((o for o in outlines.values() if o.members), key=lambda o: o.place, reverse=True)


def _earlier(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    """Key of a current obs → the withdrawn ones that answered the same question before, oldest first.

    OpenMRS edits an obs by voiding it and writing another; which replaces which is not kept here. So: the same question
    at the same moment of the same encounter, entered earlier; and only where exactly one answer is left. Two diagnoses
    that were entered together, one of them withdrawn, are no versions of each other.
    """
    answers: dict[tuple[str, int, int, str | None], list[_Row]] = {}
    for row in rows:
        if row.table == "obs" and row.encounter_id is not None and row.concept_id is not None:
            answers.setdefault((row.key[:6], row.encounter_id, row.concept_id, row.at_local), []).append(row)
    found: dict[str, list[_Row]] = {}
    for same in answers.values():
        current = [row for row in same if row.status == Status.CURRENT]
        if len(current) == 1:
            entered = current[0].entered_at_local or ""
            before = [
                row for row in same if row.withdrawn_reason == "voided" and (row.entered_at_local or "~") < entered
            ]
            if before:
                found[current[0].key] = sorted(before, key=lambda row: row.key)
    return found


def _years(outlines: Iterable[_Outline]) -> list[Year]:
    """The years in the order of the history, each with where it begins."""
    found: dict[str | None, Year] = {}
    before: _Outline | None = None
    for outline in outlines:
        name = outline.date[:4] if outline.date else None
        year = found.get(name) or Year(year=name, n_visits=0, cursor=cursor_at(*before.place) if before else None)
        found[name] = replace(year, n_visits=year.n_visits + 1)
        before = outline
    return list(found.values())


def _rows(seen: Visible, filters: Filters) -> list[_Row]:
    """All records of the chosen hospitals, wanted or not: what is not wanted may still name the visit."""
    names = _Row._fields[:-1]
    text_names = ["concept", "value"] if filters.q else []
    return [
        _Row._make((*row[: len(names)], "\n".join(row[len(names) :])))
        for row in seen.only(filters.hospital).records.values_list(*names, *text_names)
    ]


def _fitting_rows(rows: Sequence[_Row], filters: Filters) -> list[_Row]:
    """The rows that match, and what qualifies them; whether they are withdrawn is not looked at."""
    words = words_of(filters.q)
    first = filters.from_date.isoformat() if filters.from_date else ""
    last = f"{filters.to_date.isoformat()} 23:59:59" if filters.to_date else ""
    found = {
        row.key
        for row in rows
        if (not filters.category or row.category == filters.category)
        and (not filters.is_flagged or row.flag not in IN_ORDER)
        and (not (first or last) or row.at_local is not None)
        and (not first or (row.at_local or "") >= first)
        and (not last or (row.at_local or "") <= last)
        and holds(row.text, words)
    }
    return [row for row in rows if row.key in found or row.part_of in found]


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


def _visit_view(outline: _Outline, views: Mapping[str, RecordView], holders: Mapping[str, str]) -> VisitView:
    header = views.get(outline.header.key) if outline.header else None
    members = sorted(
        (views[row.key] for row in outline.members if row.key in views),
        key=lambda view: (view.at_local is None, view.at_local or "", view.id),
    )
    about = header or members[0]
    inside = [view for view in members if header is None or view.id != header.id]
    also = {key: [holders[twin[:4]] for twin in twins] for key, twins in outline.twins.items() if key in views}
    earlier = {key: [views[r.key] for r in rows if r.key in views] for key, rows in outline.earlier.items()}
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
        groups=_grouped(inside, earlier=earlier, also=also),
        n_records=len(members),
        also_held_by=also.get(header.id, []) if header else [],
        n_withdrawn=outline.n_withdrawn,
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
        category = Counter(entry.record.category for entry in entries).most_common(1)[0][0]
        blocks.setdefault(category, []).append(Block(group=entries[0].record.group, entries=entries))
    return [
        CategoryGroup(
            category=category,
            blocks=blocks[category],
        )
        for category in sorted(blocks, key=lambda category: _CATEGORY_ORDER.index(Category(category)))
    ]
