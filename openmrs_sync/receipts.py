"""The receipt of a hospital: source rows = stored + parked + excluded + pending; the rest is unexplained.

Without `verify` it says what each link's last balance said, and the source is not contacted: what is pending there is
not known, so `n_pending` is 0 and links that were never read count for nothing. With `verify` both sides are counted
afresh (`recount`), link by link; nothing is changed.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Count

from hospitals.connections import Source, open_hospital
from hospitals.errors import SourceError
from hospitals.models import Hospital
from hospitals.moments import at_one_moment
from openmrs_sync import links, recount, schema
from openmrs_sync.inspections import Note, Part
from openmrs_sync.models import Breaker, ConceptRule, ParkedRow, Watermark
from openmrs_sync.recount import IdSum, OurRows, SourceRows, sum_ids
from openmrs_sync.rows import TABLES, Schema, chunks
from passport.audit import record_event
from passport.models import Link
from passport.models.links import LinkState
from passport.registration import normalise_national_id, placeholder_numbers

__all__ = ["FIGURES", "PERSONS", "Figures", "Receipt", "receipt", "show", "verify_part"]

PERSONS = ("voided", "unlinked", "held", "linked", "without_national_id", "unmatched")


@dataclass(slots=True, kw_only=True)
class Figures:
    """Source rows by what became of them. `n_unexplained` counts a row that we have and should not have, too."""

    n_source: int = 0
    n_stored: int = 0
    n_parked: int = 0
    n_excluded: int = 0
    n_pending: int = 0
    n_unexplained: int = 0

    def add(self, other: "Figures") -> None:
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in FIGURES}


FIGURES = tuple(each.name for each in fields(Figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`tables`, `excluded`, `persons`: None when the source could not be asked. A None in `persons`: not known."""

    hospital: str
    tables: Mapping[str, Figures] | None
    excluded: Mapping[str, int] | None
    persons: Mapping[str, int | None] | None
    lag_seconds: int | None
    last_success_at: datetime | None
    #: why the source could not be asked: one sentence with the next step
    problem: str = ""

    @property
    def total(self) -> Figures | None:
        if self.tables is None:
            return None
        total = Figures()
        for figures in self.tables.values():
            total.add(figures)
        return total

    @property
    def is_well(self) -> bool:
        return (total := self.total) is not None and total.n_unexplained == 0

    def as_dict(self) -> dict[str, Any]:
        """The object of `receipt --json` and of the API."""
        total, tables = self.total, self.tables
        return {
            "hospital": self.hospital,
            **(total.as_dict() if total is not None else dict.fromkeys(FIGURES)),
            "excluded": dict(self.excluded) if self.excluded is not None else None,
            "tables": {table: figures.as_dict() for table, figures in tables.items()} if tables is not None else None,
            "persons": dict(self.persons) if self.persons is not None else None,
            "lag_seconds": self.lag_seconds,
            "last_success_at": self.last_success_at.isoformat() if self.last_success_at else None,
        }


def receipt(*, hospital: Hospital, verify: bool, now: datetime) -> Receipt:
    """The receipt as of the last balances, or counted afresh; without figures when the source cannot be asked."""
    breaker = Breaker.objects.filter(pk=hospital.pk).first()
    last_success_at = breaker.last_success_at if breaker else None
    # our clock may have stepped back: nothing is fresher than fresh
    lag = max(0, int((now - last_success_at).total_seconds())) if last_success_at else None
    counts, problem = _Counts(), ""
    persons: Mapping[str, int | None] | None
    if verify:
        try:
            persons = _count_afresh(hospital, counts).persons
        except SourceError as error:
            problem, persons = str(error), None
    else:
        persons = _sum_balances(hospital, counts)
    is_known = not problem
    return Receipt(
        hospital=hospital.code,
        tables=counts.tables if is_known else None,
        excluded=dict(sorted(counts.excluded.items())) if is_known else None,
        persons=persons,
        lag_seconds=lag,
        last_success_at=last_success_at,
        problem=problem,
    )


def show(*, hospital: Hospital, verify: bool, now: datetime) -> Receipt:
    """The receipt for somebody at the command line, with its audit row."""
    found = receipt(hospital=hospital, verify=verify, now=now)
    total = found.total
    record_event(
        action="receipt_command",
        actor=None,
        now=now,
        hospital_id=hospital.pk,
        details={"verify": verify, **(total.as_dict() if total is not None else {})},
    )
    return found


def verify_part(*, hospital: Hospital, progress: Mapping[str, Any], until: float, note: Note) -> Part:
    """Count afresh for one part, from where the last one stopped. `until`: a moment of time.monotonic().

    The result: `tables`, `excluded`, `parked` (reason → n) and `persons` as in a receipt. Raises the source's errors.
    """
    counts = _Counts.of(progress)
    counted = _count_afresh(hospital, counts, until=until, note=note)
    parked = ParkedRow.objects.filter(link__in=links.linked(hospital)).values_list("reason")
    result = {
        "tables": {table: figures.as_dict() for table, figures in counts.tables.items()},
        "excluded": dict(sorted(counts.excluded.items())),
        "parked": dict(parked.annotate(n=Count("pk")).order_by("reason")),
        "persons": counted.persons,
    }
    return Part(
        n_done=counts.n_done,
        n_all=counted.n_all,
        n_source_rows=counted.n_source_rows,
        source_seconds=counted.source_seconds,
        progress=counts.as_json(),
        result=None if counted.persons is None else result,
    )


class _Counts:
    """What a receipt adds up. `after`, `n_done`: the last person that was counted, and how many were."""

    def __init__(self) -> None:
        self.tables = {table: Figures() for table in TABLES}
        self.excluded: Counter[str] = Counter()
        self.after = -1
        self.n_done = 0

    @classmethod
    def of(cls, progress: Mapping[str, Any]) -> "_Counts":
        counts = cls()
        if progress:
            counts.tables = {table: Figures(**figures) for table, figures in progress["tables"].items()}
            counts.excluded = Counter(progress["excluded"])
            counts.after, counts.n_done = progress["after"], progress["n_done"]
        return counts

    def as_json(self) -> dict[str, Any]:
        tables = {table: figures.as_dict() for table, figures in self.tables.items()}
        return {"tables": tables, "excluded": self.excluded, "after": self.after, "n_done": self.n_done}


# --- the last balances ------------------------------------------------------------------------------------------------


def _sum_balances(hospital: Hospital, counts: _Counts) -> dict[str, int | None]:
    for balance in links.linked(hospital).values_list("balance", flat=True).iterator(chunk_size=2_000):
        for table, figures in balance.items():
            n_excluded = sum(figures["excluded"].values())
            counts.excluded.update(figures["excluded"])
            rest = figures["source"] - figures["stored"] - figures["parked"] - n_excluded
            counts.tables[table].add(
                Figures(
                    n_source=figures["source"],
                    n_stored=figures["stored"],
                    n_parked=figures["parked"],
                    n_excluded=n_excluded,
                    n_unexplained=abs(rest),
                )
            )
    watermark = Watermark.objects.filter(pk=hospital.pk, epoch=hospital.epoch).only("persons").first()
    known: Mapping[str, int] = watermark.persons if watermark else {}
    return {name: known.get(name) for name in PERSONS}


# --- counted afresh ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An open hospital and what is needed to judge its rows. `heads`: table → the largest id that a look has seen."""

    source: Source
    schema: Schema
    facts: recount.Facts
    heads: Mapping[str, int]
    config_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """`persons`: None when the time was over before the last link."""

    persons: dict[str, int | None] | None
    n_all: int
    n_source_rows: int
    source_seconds: float


def _count_afresh(
    hospital: Hospital, counts: _Counts, *, until: float = math.inf, note: Note | None = None
) -> _Counted:
    """Count from `counts.after` on; always one part of the links at least."""
    watermark = Watermark.objects.filter(pk=hospital.pk, epoch=hospital.epoch).only("heads").first()
    heads = {table: head["mark"] for table, head in watermark.heads.items()} if watermark else {}
    waiting = links.linked(hospital).filter(person_id__gt=counts.after).order_by("person_id")
    wanted = list(waiting.values_list("person_id", "pk"))
    n_all = counts.n_done + len(wanted)
    with open_hospital(hospital) as source:
        found = schema.discover(source.fetch)
        asked = _Asked(
            source=source,
            schema=found,
            facts=recount.read_facts(source.fetch, schema=found, hidden_uuids=_hidden_uuids(hospital)),
            heads=heads,
            config_version=hospital.config_version,
        )
        is_whole = True
        for part in chunks(wanted, recount.PERSONS):
            again = _compare_sums(asked, hospital=hospital, link_ids=[pk for _, pk in part], counts=counts)
            if again:
                _compare_rows(asked, hospital=hospital, link_ids=again, counts=counts)
            counts.after, counts.n_done = part[-1][0], counts.n_done + len(part)
            if note:
                note(counts.n_done, n_all)
            if time.monotonic() >= until and counts.n_done < n_all:
                is_whole = False
                break
        return _Counted(
            persons=_count_persons(hospital, source) if is_whole else None,
            n_all=n_all,
            n_source_rows=source.n_rows,
            source_seconds=source.seconds,
        )


def _hidden_uuids(hospital: Hospital) -> list[str]:
    """Of two rules on one concept the hospital's own wins."""
    hidden: dict[str, bool] = {}
    rules = ConceptRule.objects.values_list("hospital_id", "concept_uuid", "is_hidden")
    for hospital_id, uuid, is_hidden in sorted(rules, key=lambda rule: rule[0] is not None):
        if hospital_id in (None, hospital.pk):
            hidden[uuid.lower()] = is_hidden
    return [uuid for uuid, is_hidden in hidden.items() if is_hidden]


def _read_links(hospital: Hospital, link_ids: Iterable[UUID]) -> list[Link]:
    """Of these the ones that are linked now."""
    wanted = [
        *("person_id", "patient_id", "marks", "fresh_marks", "fresh_config_version"),
        *("refreshed_at", "n_unexplained", "min_token"),
    ]
    return list(links.linked(hospital).filter(pk__in=list(link_ids)).only(*wanted))


def _ask(asked: _Asked, mine: Sequence[Link]) -> recount.Counted:
    count = partial(
        recount.count_source,
        asked.source.fetch,
        schema=asked.schema,
        person_ids=[link.person_id for link in mine],
        facts=asked.facts,
    )
    return at_one_moment(asked.source, count, n_answers=sum(map(asked.schema.has, TABLES)))


def _compare_sums(asked: _Asked, *, hospital: Hospital, link_ids: Sequence[UUID], counts: _Counts) -> list[UUID]:
    """Add the links whose counts and sums of ids agree; return the others."""
    mine = _read_links(hospital, link_ids)
    there = _ask(asked, mine)
    ours = recount.sum_ours(mine)
    differing = []
    for link in mine:
        rows = {table: there[link.person_id, table] for table in TABLES}
        if all(_is_even(rows[table], ours, link, table) for table in TABLES):
            for table in TABLES:
                _add(counts, table, rows[table], n_parked=ours.parked.get((link.pk, table), IdSum()).n)
        else:
            differing.append(link.pk)
    return differing


def _is_even(rows: SourceRows, ours: OurRows, link: Link, table: str) -> bool:
    nothing = IdSum()
    here = ours.stored.get((link.pk, table), nothing) + ours.parked.get((link.pk, table), nothing)
    return here == sum_ids(rows.live)


def _add(counts: _Counts, table: str, rows: SourceRows, *, n_parked: int) -> None:
    counts.excluded.update(rows.excluded.values())
    counts.tables[table].add(
        Figures(
            n_source=len(rows.live) + len(rows.excluded),
            n_stored=len(rows.live) - n_parked,
            n_parked=n_parked,
            n_excluded=len(rows.excluded),
        )
    )


def _compare_rows(asked: _Asked, *, hospital: Hospital, link_ids: Sequence[UUID], counts: _Counts) -> None:
    """Once more, in a new snapshot and row by row: a sync may have written between the two sides."""
    mine = _read_links(hospital, link_ids)
    there = _ask(asked, mine)
    for link in mine:
        ids = recount.ids_of(link)
        is_marked = _is_marked(link, config_version=asked.config_version)
        for table in TABLES:
            stored, parked = ids[table]
            rows = there[link.person_id, table]
            _add_differing(
                counts, table, rows, stored=stored, parked=parked, is_marked=is_marked, head=asked.heads.get(table, -1)
            )


def _is_marked(link: Link, *, config_version: int) -> bool:
    """Whether it was marked since its last balance. A difference left by that balance keeps it stale by one mark, and
    is unexplained, never pending.
    """
    left_stale = 1 if link.n_unexplained else 0
    is_outdated = link.refreshed_at is None or link.fresh_config_version != config_version
    return is_outdated or link.marks - link.fresh_marks > left_stale


def _add_differing(
    counts: _Counts,
    table: str,
    rows: SourceRows,
    *,
    stored: set[int],
    parked: set[int],
    is_marked: bool,
    head: int,
) -> None:
    missing = rows.live - stored - parked
    n_pending = len(missing) if is_marked else sum(source_id > head for source_id in missing)
    n_surplus = 0 if is_marked else len((stored | parked) - rows.live) + len(stored & parked)
    # of a marked link a row that died is still what we have made of it
    excluded = {
        source_id: reason
        for source_id, reason in rows.excluded.items()
        if not (is_marked and source_id in stored | parked)
    }
    counts.excluded.update(excluded.values())
    counts.tables[table].add(
        Figures(
            n_source=len(rows.live) + len(rows.excluded),
            n_stored=len(stored),
            n_parked=len(parked),
            n_excluded=len(excluded),
            n_pending=n_pending,
            n_unexplained=len(missing) - n_pending + n_surplus,
        )
    )


def _count_persons(hospital: Hospital, source: Source) -> dict[str, int | None]:
    placeholders = placeholder_numbers()

    def is_number(text: str) -> bool:
        number = normalise_national_id(text)
        return number is not None and number not in placeholders

    def states_between(first: int, last: int) -> dict[int, str]:
        found = links.current(hospital).filter(person_id__gte=first, person_id__lte=last)
        return dict(found.exclude(state=LinkState.ENDED).values_list("person_id", "state"))

    counted = recount.count_patients(
        source.fetch,
        at_one_moment=partial(at_one_moment, source, n_answers=2),
        type_uuids=sorted(set(hospital.national_id_type_uuids.values())),
        states_between=states_between,
        is_number=is_number,
    )
    return {name: counted[name] for name in PERSONS}
