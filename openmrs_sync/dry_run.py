"""What the first sync of a hospital would do, before it goes live: reads and matches all, writes no link and no record.

Through the same rooms as the sync: discovery, matcher, reader, enricher, categoriser. So its figures are those of the
first sync, unless the hospital changes in between.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F

from hospitals.connections import Source, open_hospital
from hospitals.grants import check_grants
from hospitals.identifier_types import resolve_identifier_types
from hospitals.models import Hospital
from hospitals.moments import at_one_moment
from openmrs_sync import discovery, enricher, identity, pace, reader, schema, watcher
from openmrs_sync.categoriser import make_categorise
from openmrs_sync.dictionaries import Names
from openmrs_sync.inspections import Note, Part
from openmrs_sync.matcher import CROWD
from openmrs_sync.models import SyncRun
from openmrs_sync.rows import TABLES, Categorise, Rendered, Schema, SourceBatch, chunks
from openmrs_sync.session import category_rules
from passport.models.links import LinkState
from passport.registration import normalise_national_id, placeholder_numbers

#: Source rows in one batch; a snapshot is as long as one.
BATCH_ROWS = 2_000
PLAN_PERSONS = 4_000
MOST_CONCEPTS = 25
#: Records a second that our store takes, where no run has shown it yet.
WRITTEN_PER_SECOND = 10_000
#: A run that wrote fewer says nothing of the store's speed.
TELLING_RUN = 1_000
_FATES = ("source", "stored", "parked", "excluded")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was counted so far. `concepts`: uuid → [name, rows, persons], of records that no rule gives a category."""

    after: int = -1
    n_done: int = 0
    seconds: float = 0.0
    n_rows: int = 0
    tables: dict[str, Counter[str]] = field(default_factory=lambda: {table: Counter() for table in TABLES})
    parked: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    concepts: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, progress: Mapping[str, Any]) -> "Tally":
        if not progress:
            return cls()
        return cls(
            after=progress["after"],
            n_done=progress["n_done"],
            seconds=progress["seconds"],
            n_rows=progress["n_rows"],
            tables={table: Counter(figures) for table, figures in progress["tables"].items()},
            parked=Counter(progress["parked"]),
            excluded=Counter(progress["excluded"]),
            categories=Counter(progress["categories"]),
            concepts=dict(progress["concepts"]),
        )

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def add(self, person: Rendered) -> None:
        for record in person.records:
            self.tables[record.table]["stored"] += 1
            self.categories[record.category] += 1
        for left_out in person.parked:
            self.tables[left_out.table]["parked"] += 1
            self.parked[left_out.reason] += 1
        for left_out in person.excluded:
            self.tables[left_out.table]["excluded"] += 1
            self.excluded[left_out.reason] += 1
        unnamed = Counter(
            (record.concept_uuid, record.concept)
            for record in person.records
            if record.category == "other" and record.table == "obs" and record.concept_uuid
        )
        for (uuid, name), n_rows in unnamed.items():
            known = self.concepts.setdefault(uuid, [name, 0, 0])
            known[1] += n_rows
            known[2] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """An open hospital and what rendering needs. As `session.Session`, without the claim: nothing is written."""

    hospital: Hospital
    source: Source
    schema: Schema
    identifier_type_ids: tuple[int, ...]
    names: Names
    zone: ZoneInfo
    categorise: Categorise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """Who would be linked, in the order of reading, and everybody else by what they would be."""

    linked: Sequence[int]
    held: Mapping[str, int]
    persons: Mapping[str, int]


def read_part(*, hospital: Hospital, progress: Mapping[str, Any], until: float, note: Note) -> Part:
    """Read on for one part. `until`: a moment of time.monotonic() after which no batch begins; one is always read.

    Raises the source's errors and SchemaMismatch. `note` is called after each batch.
    """
    tally = Tally.of(progress)
    with _open(hospital) as opened:
        matched = _match(opened)
        mine = [person_id for person_id in matched.linked if person_id > tally.after]
        n_all = len(matched.linked)
        note(tally.n_done, n_all)
        is_whole = _read(opened, tally, person_ids=mine, until=until, n_all=n_all, note=note)
        source = opened.source
    return Part(
        n_done=tally.n_done,
        n_all=n_all,
        n_source_rows=source.n_rows,
        source_seconds=source.seconds,
        progress=tally.as_json(),
        result=_result(tally, matched, hospital=hospital) if is_whole else None,
    )


@contextmanager
def _open(hospital: Hospital) -> Iterator[_Opened]:
    with open_hospital(hospital) as source:
        check_grants(source)
        found = schema.discover(source.fetch)
        types = schema.identifier_types(source.fetch, found)
        chosen = resolve_identifier_types(hospital=hospital, types=types).uuids
        yield _Opened(
            hospital=hospital,
            source=source,
            schema=found,
            identifier_type_ids=tuple(each.identifier_type_id for each in types if each.uuid in chosen),
            names=Names(source.fetch, found, hospital.locales or ["en"]),
            zone=ZoneInfo(hospital.time_zone),
            categorise=make_categorise(category_rules(hospital)),
        )


def _match(opened: _Opened) -> _Matched:
    fetch, placeholders = opened.source.fetch, placeholder_numbers()

    def normalise(text: str) -> str | None:
        number = normalise_national_id(text)
        return None if number in placeholders else number

    census = discovery.take_census(
        fetch,
        identifier_type_ids=opened.identifier_type_ids,
        holders_of=identity.holders_of,
        normalise=normalise,
        crowd=CROWD,
        with_numbered=True,
    )
    states: dict[int, str] = {}
    held: Counter[str] = Counter()
    for part in chunks(sorted(census.patients)):
        persons, _ = reader.read_identity(
            fetch, opened.schema, person_ids=part, identifier_type_ids=opened.identifier_type_ids
        )
        judged = identity.judge(
            hospital=opened.hospital, persons=persons, patients=census.patients, crowded=census.crowded_persons
        )
        for person_id, verdict in judged.verdicts.items():
            if verdict is not None:
                states[person_id] = verdict.state
                held[verdict.reason] += verdict.state == LinkState.HELD
    n_patients, voided = watcher.count_patients(fetch), watcher.voided_patients(fetch)
    counted = Counter(state for person_id, state in states.items() if person_id not in voided)
    known = {str(name): counted[name] for name in (LinkState.UNLINKED, LinkState.HELD, LinkState.LINKED)}
    n_unmatched = len(census.numbered - voided - states.keys())
    n_without = n_patients - len(voided) - sum(known.values()) - n_unmatched
    return _Matched(
        linked=sorted(person_id for person_id, state in states.items() if state == LinkState.LINKED),
        held=+held,
        persons={"voided": len(voided), **known, "without_national_id": n_without, "unmatched": n_unmatched},
    )


def _read(opened: _Opened, tally: Tally, *, person_ids: Sequence[int], until: float, n_all: int, note: Note) -> bool:
    """Read these persons in batches; False when the time was over before the last."""
    fetch, never = opened.source.fetch, Event()
    max_rows = pace.batch_rows(hospital=opened.hospital, most=BATCH_ROWS)
    has_read = False
    for part in chunks(person_ids, PLAN_PERSONS):
        for batch in reader.plan(fetch, opened.schema, person_ids=part, max_rows=max_rows):
            if has_read and time.monotonic() >= until:
                return False
            n_rows, began = opened.source.n_rows, time.monotonic()
            _read_batch(opened, tally, person_ids=batch)
            n_read, seconds = opened.source.n_rows - n_rows, time.monotonic() - began
            tally.after, tally.n_done, has_read = batch[-1], tally.n_done + len(batch), True
            tally.n_rows, tally.seconds = tally.n_rows + n_read, tally.seconds + seconds
            note(tally.n_done, n_all)
            pace.rest(
                hospital=opened.hospital,
                n_rows=n_read,
                seconds=seconds,
                until=until,
                stop=never,
                renew=lambda: note(tally.n_done, n_all),
            )
    return True


def _read_batch(opened: _Opened, tally: Tally, *, person_ids: Sequence[int]) -> None:
    forget = opened.names.as_known_now()

    def read() -> SourceBatch:
        forget()
        batch = reader.read_batch(
            opened.source.fetch,
            opened.schema,
            person_ids=person_ids,
            identifier_type_ids=opened.identifier_type_ids,
        )
        opened.names.prepare(batch)
        return batch

    batch = at_one_moment(opened.source, read, n_answers=reader.N_STATEMENTS)
    for person in enricher.render(batch, dictionaries=opened.names, zone=opened.zone, categorise=opened.categorise):
        tally.add(person)
    for table, of_person in batch.counts.items():
        tally.tables[table]["source"] += sum(of_person.values())


def _result(tally: Tally, matched: _Matched, *, hospital: Hospital) -> dict[str, Any]:
    tables = {table: {name: figures[name] for name in _FATES} for table, figures in tally.tables.items()}
    totals = {name: sum(figures[name] for figures in tables.values()) for name in _FATES}
    largest = sorted(tally.concepts.items(), key=lambda entry: (-entry[1][2], -entry[1][1], entry[0]))
    return {
        "n_linked": len(matched.linked),
        "n_held": sum(matched.held.values()),
        "held": dict(sorted(matched.held.items())),
        "persons": dict(matched.persons),
        **{f"n_{name}": n for name, n in totals.items()},
        "tables": tables,
        "parked": dict(sorted(tally.parked.items())),
        "excluded": dict(sorted(tally.excluded.items())),
        "categories": dict(sorted(tally.categories.items())),
        "n_concepts": len(tally.concepts),
        "concepts": [
            {"uuid": uuid, "name": name, "n_rows": n_rows, "n_persons": n_persons}
            for uuid, (name, n_rows, n_persons) in largest[:MOST_CONCEPTS]
        ],
        "seconds": round(_estimate(tally, n_stored=totals["stored"], hospital=hospital), 1),
    }


def _estimate(tally: Tally, *, n_stored: int, hospital: Hospital) -> float:
    """Seconds of the first sync: what reading took now, writing at the speed that runs here have shown, the pace."""
    seconds = tally.seconds + n_stored / _written_per_second()
    paced = hospital.pace_rows_per_second
    return seconds if paced is None else max(seconds, tally.n_rows / paced)


def _written_per_second() -> float:
    shown = (
        SyncRun.objects.filter(status=SyncRun.Status.OK, n_created__gte=TELLING_RUN, seconds__gt=F("source_seconds"))
        .order_by("-n_created")
        .values_list("n_created", "seconds", "source_seconds")
        .first()
    )
    if shown is None:
        return WRITTEN_PER_SECOND
    n_created, seconds, source_seconds = shown
    return float(n_created / (seconds - source_seconds))
