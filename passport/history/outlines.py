"""The whole history in outline: which record belongs to which visit, and which of them are wanted. One query."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from passport.access.scope import Visible
from passport.history.cursors import cursor_at
from passport.history.kept import Reading
from passport.history.shapes import IN_ORDER, Filters, Status, Year
from passport.history.twins import twins
from passport.history.words import Searched, words_of
from passport.models import UNDATED

#: Reasons for which a hospital no longer stands by an entry. Others only say that it stands elsewhere now.
TAKEN_BACK = {"voided", "parent_voided", "gone"}


class Row(NamedTuple):
    """What is needed of a record to find its visit. Its texts are read only where words are searched for."""

    key: str
    order_at: int
    at_local: str | None
    category: str
    flag: str | None
    status: str
    table: str
    visit_id: int | None
    encounter_id: int | None
    group_id: int | None
    part_of: str | None
    concept_id: int | None
    source_uuid: str
    entered_at_local: str | None
    withdrawn_reason: str
    concept: str = ""
    value: str = ""


@dataclass(slots=True, kw_only=True)
class Outline:
    """One visit before its records are read in full."""

    key: str  # hospital number and epoch; v, e or d; visit id, encounter id or day
    visit_id: int | None
    encounter_id: int | None
    headers: list[Row] = field(default_factory=list)  # rows of the visit or encounter itself
    members: list[Row] = field(default_factory=list)  # rows that are wanted, headers among them
    earlier: dict[str, list[Row]] = field(default_factory=dict)  # by the member's key; see `_earlier`
    n_withdrawn: int = 0

    @property
    def header(self) -> Row | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """`visits`: those that hold a wanted record, newest first, undated last. `twins`: see there, of the history."""

    visits: Sequence[Outline]
    twins: Mapping[str, Sequence[str]]


def read_rows(reading: Reading, filters: Filters) -> Sequence[Row]:
    """All records, wanted or not: what is not wanted may still name the visit, and is counted beside its filter."""
    with_texts = bool(filters.q)
    return reading.keep(
        *("rows", with_texts), n_records=len, make=lambda: all_rows(reading.seen, with_texts=with_texts)
    )


def all_rows(seen: Visible, *, with_texts: bool = False) -> list[Row]:
    if with_texts:
        return [Row._make(row) for row in seen.records.values_list(*Row._fields)]
    return [Row(*row) for row in seen.records.values_list(*Row._fields[:-2])]


def with_words(rows: Sequence[Row], filters: Filters) -> set[str] | None:
    """Keys of those that hold all the words; None where none are searched for."""
    if not filters.q:
        return None
    searched = Searched(words_of(filters.q))
    return {row.key for row in rows if searched.is_in(row.concept, row.value)}


def outlines_of(rows: Sequence[Row], *, found: set[str] | None, filters: Filters, seen: Visible) -> Outlines:
    """The visits of the chosen hospitals. `found`: see `with_words`."""
    if filters.hospital:
        numbers = {f"{link.hospital.number:04d}" for link in seen.only(filters.hospital).links}
        rows = [row for row in rows if row.key[:4] in numbers]
    same = twins(rows, seen)
    again = {key for keys in same.values() for key in keys}
    fitting = _fitting(rows, found=found, filters=filters)
    earlier = _earlier(rows) if filters.status == Status.CURRENT else {}
    counted = {row.key for row in fitting if row.withdrawn_reason in TAKEN_BACK} - again
    counted -= {row.key for before in earlier.values() for row in before}
    wanted = {row.key for row in fitting if filters.status in {Status.ALL, row.status}} - again
    visits: dict[tuple[str, str, int | str], Outline] = {}
    for row, name in zip(rows, _names(rows), strict=True):
        visit = visits.get(name)
        if visit is None:
            visit = visits[name] = _outline(name)
        if row.table == "visit" if name[1] == "v" else row.table == "encounter":
            visit.headers.append(row)
        if row.key in wanted:
            visit.members.append(row)
            if row.key in earlier:
                visit.earlier[row.key] = earlier[row.key]
        elif row.key in counted:
            visit.n_withdrawn += 1
    placed = [(visit.place, visit) for visit in visits.values() if visit.members]
    return Outlines(visits=[visit for _place, visit in sorted(placed, key=lambda p: p[0], reverse=True)], twins=same)


def years_of(visits: Iterable[Outline]) -> list[Year]:
    """The years in the order of the history, each with where it begins."""
    found: dict[str | None, Year] = {}
    before: Outline | None = None
    for visit in visits:
        name = visit.date[:4] if visit.date else None
        year = found.get(name) or Year(year=name, n_visits=0, cursor=cursor_at(*before.place) if before else None)
        found[name] = replace(year, n_visits=year.n_visits + 1)
        before = visit
    return list(found.values())


def _names(rows: Sequence[Row]) -> list[tuple[str, str, int | str]]:
    """Of each row the visit it belongs to: by its visit, else its encounter, else its day; hospital and epoch first."""
    visit_of: dict[tuple[str, int | None], int] = {
        (row.key[:6], row.encounter_id): row.visit_id
        for row in rows
        if row.visit_id is not None and row.encounter_id is not None
    }
    names: list[tuple[str, str, int | str]] = []
    for row in rows:
        prefix, encounter_id = row.key[:6], row.encounter_id
        visit_id = row.visit_id if row.visit_id is not None else visit_of.get((prefix, encounter_id))
        if visit_id is not None:
            names.append((prefix, "v", visit_id))
        elif encounter_id is not None:
            names.append((prefix, "e", encounter_id))
        else:
            names.append((prefix, "d", (row.at_local or "undated")[:10]))
    return names


def _outline(name: tuple[str, str, int | str]) -> Outline:
    prefix, kind, which = name
    if isinstance(which, str):
        return Outline(key=f"{prefix}{kind}{which}", visit_id=None, encounter_id=None)
    is_visit = kind == "v"
    return Outline(
        key=f"{prefix}{kind}{which:010d}",
        visit_id=which if is_visit else None,
        encounter_id=None if is_visit else which,
    )


def _fitting(rows: Sequence[Row], *, found: set[str] | None, filters: Filters) -> Sequence[Row]:
    """The rows that match, and what qualifies them; whether they are withdrawn is not looked at."""
    if replace(filters, hospital="", status=Status.CURRENT).is_empty:
        return rows
    first = filters.from_date.isoformat() if filters.from_date else ""
    last = f"{filters.to_date.isoformat()} 23:59:59" if filters.to_date else ""
    fitting = {
        row.key
        for row in rows
        if (found is None or row.key in found)
        and (not filters.category or row.category == filters.category)
        and (not filters.is_flagged or row.flag not in IN_ORDER)
        and (not (first or last) or row.at_local is not None)
        and (not first or (row.at_local or "") >= first)
        and (not last or (row.at_local or "") <= last)
    }
    return [row for row in rows if row.key in fitting or row.part_of in fitting]


def _earlier(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Key of a current obs → the withdrawn ones that answered the same question before, oldest first.

    OpenMRS edits an obs by voiding it and writing another; which replaces which is not kept here. So: the same question
    at the same moment of the same encounter, entered earlier; and only where exactly one answer is left. Two diagnoses
    that were entered together, one of them withdrawn, are no versions of each other.
    """
    obs = [row for row in rows if row.table == "obs" and row.encounter_id is not None and row.concept_id is not None]
    # Most histories hold few that were voided: only their questions are looked at.
    questions = {_question(row) for row in obs if row.withdrawn_reason == "voided"}
    if not questions:
        return {}
    answers: dict[tuple[str, int | None, int | None, str | None], list[Row]] = {}
    for row in obs:
        if (question := _question(row)) in questions:
            answers.setdefault(question, []).append(row)
    found: dict[str, list[Row]] = {}
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


def _question(row: Row) -> tuple[str, int | None, int | None, str | None]:
    return row.key[:6], row.encounter_id, row.concept_id, row.at_local
