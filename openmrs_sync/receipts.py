"""The receipt of a hospital: source rows = stored + parked + excluded + pending; the rest is unexplained.

Without `verify` it says what each link's last balance said, and the source is not contacted: what is pending there is
not known, so `n_pending` is 0 and links that were never read count for nothing. With `verify` both sides are counted
afresh (`recount`), link by link; nothing is changed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from hospitals.connections import Source, open_hospital
from hospitals.errors import SourceError
from hospitals.models import Hospital
from openmrs_sync import links, recount, schema
from openmrs_sync.models import Breaker, ConceptRule, Watermark
from openmrs_sync.recount import IdSum, OurRows, SourceRows, sum_ids
from openmrs_sync.rows import TABLES, Schema, chunks
from passport.audit import record_event
from passport.models import Link
from passport.models.links import LinkState
from passport.registration import normalise_national_id, placeholder_numbers

__all__ = ["FIGURES", "PERSONS", "Figures", "Receipt", "receipt", "show"]

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
            persons = _count_afresh(hospital, counts)
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


class _Counts:
    """What a receipt adds up."""

    def __init__(self) -> None:
        self.tables = {table: Figures() for table in TABLES}
        self.excluded: Counter[str] = Counter()


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


def _count_afresh(hospital: Hospital, counts: _Counts) -> dict[str, int | None]:
    watermark = Watermark.objects.filter(pk=hospital.pk, epoch=hospital.epoch).only("heads").first()
    heads = {table: head["mark"] for table, head in watermark.heads.items()} if watermark else {}
    link_ids = list(links.linked(hospital).order_by("person_id").values_list("pk", flat=True))
    with open_hospital(hospital) as source:
        found = schema.discover(source.fetch)
        asked = _Asked(
            source=source,
            schema=found,
            facts=recount.read_facts(source.fetch, schema=found, hidden_uuids=_hidden_uuids(hospital)),
            heads=heads,
            config_version=hospital.config_version,
        )
        for part in chunks(link_ids, recount.PERSONS):
            again = _compare_sums(asked, hospital=hospital, link_ids=part, counts=counts)
            if again:
                _compare_rows(asked, hospital=hospital, link_ids=again, counts=counts)
        with source.snapshot():
            return _count_persons(hospital, source)


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
    with asked.source.snapshot():
        return recount.count_source(
            asked.source.fetch, schema=asked.schema, person_ids=[link.person_id for link in mine], facts=asked.facts
        )


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
        type_uuids=sorted(set(hospital.national_id_type_uuids.values())),
        states_between=states_between,
        is_number=is_number,
    )
    return {name: counted[name] for name in PERSONS}
