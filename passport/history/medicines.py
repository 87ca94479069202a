"""Medicines: what is taken, what was, and what nobody can say; what two hospitals prescribe side by side."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passport.access.scope import Scope, Visible
from passport.history.kept import Reading
from passport.history.results import Concepts, concepts_of_rows
from passport.history.shapes import RecordView, Standing, Stated, Status
from passport.history.shown import clock, views_of
from passport.history.standing import Ends, standing_of
from passport.history.words import fold
from passport.models.record import Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Medicine:
    """One drug. `holding`: what may still count; `earlier`: all other prescriptions. Each newest first."""

    standing: Standing
    holding: Sequence[Stated]
    earlier: Sequence[Stated]

    @property
    def newest(self) -> Stated:
        return (self.holding or self.earlier)[0]

    @property
    def n_hospitals(self) -> int:
        """How many prescribe it, as far as anyone can say."""
        return len({stated.record.hospital for stated in self.holding})


@dataclass(frozen=True, slots=True, kw_only=True)
class Medicines:
    """Each newest first. `ends_come`: as long as it is the same, so is the rest, however late it is."""

    current: Sequence[Medicine]
    unknown: Sequence[Medicine]
    past: Sequence[Medicine]
    ends_come: tuple[int, ...]


def all_medicines(*, scope: Scope, now: dt.datetime, reading: Reading | None = None) -> Medicines:
    """Every medicine of the current records, by the hospitals' own dates and their clocks now.

    `reading`: of this scope, where the page has made one already.
    """
    reading = reading or Reading(scope)
    clocks = {link.hospital.code: clock(link.hospital.time_zone, now) for link in reading.seen.links}
    read = reading.keep("prescriptions", n_records=lambda found: len(found.views), make=lambda: _read(reading.seen))
    return reading.keep(
        *("medicines", ends_come := read.ends.n_come(clocks)),
        n_records=lambda _found: 1 + len(read.views) // 10,  # the views are those that are kept already
        make=lambda: _medicines(read, clocks=clocks, ends_come=ends_come),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The records, to which drug each belongs, by its id, and when they end: what does not depend on the clock."""

    views: Sequence[RecordView]
    drugs: Mapping[str, str]
    ends: Ends


def _read(seen: Visible) -> _Read:
    records = seen.records.filter(status=Status.CURRENT, category=Category.MEDICATION).order_by("-order_at", "-key")
    views = views_of(records, seen)
    ends = Ends((view.hospital, view.details) for view in views)
    return _Read(views=views, drugs=_names(views, concepts_of_rows(views)), ends=ends)


def _medicines(read: _Read, *, clocks: Mapping[str, str], ends_come: tuple[int, ...]) -> Medicines:
    of_drug: dict[str, list[Stated]] = {}
    for stated in _all_stated(read.views, clocks=clocks):
        of_drug.setdefault(read.drugs[stated.record.id], []).append(stated)
    found = [_medicine(same) for same in of_drug.values()]
    return Medicines(
        current=[each for each in found if each.standing is Standing.CURRENT],
        unknown=[each for each in found if each.standing is Standing.UNKNOWN],
        past=[each for each in found if each.standing is Standing.PAST],
        ends_come=ends_come,
    )


def _all_stated(views: Sequence[RecordView], *, clocks: Mapping[str, str]) -> list[Stated]:
    qualifiers: dict[str, list[RecordView]] = {}
    for view in views:
        if view.part_of:
            qualifiers.setdefault(view.part_of, []).append(view)
    here = {view.id for view in views}
    return [
        Stated(
            record=view,
            standing=standing_of(view.details, local_now=clocks[view.hospital]),
            qualifiers=qualifiers.get(view.id, []),
        )
        for view in views
        if view.part_of not in here
    ]


def _names(views: Sequence[RecordView], concepts: Concepts) -> dict[str, str]:
    """Record id → what makes two prescriptions one drug: its concept, and failing that its name in words.

    A name counts across hospitals here, and so does a concept: to ask about one drug too many does no harm.
    """
    of_words: dict[str, str] = {}
    found: dict[str, str] = {}
    for view in views:
        words = fold(view.concept if _is_drug(view) else f"{view.concept}\n{view.value}")
        code = concepts.code_of(view)
        concept = (f"CIEL:{code}" if code else view.concept_uuid.lower()) if _is_drug(view) else ""
        found[view.id] = of_words.setdefault(words, concept or words)
    return found


def _is_drug(view: RecordView) -> bool:
    """Whether the concept is the drug; of an observation it may be only the question."""
    return view.source.table == "orders"


def _medicine(same: Sequence[Stated]) -> Medicine:
    """`same`: all prescriptions of one drug, newest first."""
    holding = _holding(same)
    states = {stated.standing for stated in holding}
    standing = Standing.CURRENT if Standing.CURRENT in states else Standing.UNKNOWN if states else Standing.PAST
    kept = {stated.record.id for stated in holding}
    return Medicine(
        standing=standing,
        holding=[stated for stated in same if stated.record.id in kept],
        earlier=[stated for stated in same if stated.record.id not in kept],
    )


def _holding(same: Sequence[Stated]) -> list[Stated]:
    """What may still count: for each preparation at each hospital every current dose, or the newest word if open."""
    of_preparation: dict[tuple[str, str], list[Stated]] = {}
    for stated in same:
        key = (stated.record.hospital, fold(stated.record.concept))
        of_preparation.setdefault(key, []).append(stated)
    found: list[Stated] = []
    for stateds in of_preparation.values():
        current: dict[str, Stated] = {}
        for stated in stateds:
            if stated.standing is Standing.CURRENT:
                current.setdefault(fold(stated.record.value), stated)
        found += current.values()
        if not current and stateds[0].standing is Standing.UNKNOWN:
            found.append(stateds[0])
    return found
