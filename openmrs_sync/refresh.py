"""Refresh: read everything about a batch of persons and make our records equal to it. The only way a record changes."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from hospitals.connections import Source
from hospitals.moments import at_one_moment
from openmrs_sync import anchors, balance, brake, discovery, enricher, identity, links, pace, reader, writer
from openmrs_sync.rows import TABLES, LinkToWrite, Rendered, SourceBatch
from openmrs_sync.session import Session
from openmrs_sync.stores import StoredRecord, conflict_target, record_store
from openmrs_sync.writer import Changes
from passport.models import Doctor, SourceConcept
from passport.models.links import LinkState
from passport.registration import normalise_national_id

#: What a batch holds for nobody but the enricher.
NO_ROWS: Mapping[str, Any] = {
    **dict.fromkeys(("obs", "encounters", "visits", "diagnoses", "conditions", "orders", "allergies", "reactions"), ()),
    **{name: {} for name in ("encounter_providers", "other_parents", "obs_ranges")},
}
#: Obs of one person that one statement reads at most; who has more is read in legs.
LEG_ROWS = 20_000


@dataclass(slots=True, kw_only=True)
class Counts:
    """What refreshes did. `n_read` is the sum of created, updated, unchanged, parked and excluded; withdrawn stands
    beside.
    """

    n_persons: int = 0
    n_read: int = 0
    n_created: int = 0
    n_updated: int = 0
    n_withdrawn: int = 0
    n_unchanged: int = 0
    n_parked: int = 0
    n_excluded: int = 0

    def add(self, other: "Counts") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`has_moves`: rows moved from person to person, so that records of links outside of the batch changed."""

    counts: Counts
    has_moves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the source said about the persons of a batch, all of it at one moment."""

    batch: SourceBatch
    read_at: datetime
    #: records of ours whose rows these persons no longer have: key → person who has the row now; absent: gone
    owners: Mapping[str, int]
    lost: Sequence[str]
    #: what its rows are to us, once somebody has rendered them; the rows are let go of then
    rendered: Sequence[Rendered] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Our side of a batch, as it was before the snapshot. `stored`: the records of these links, by key."""

    persons: Mapping[int, LinkToWrite]
    stored: Mapping[str, StoredRecord]


def prepare(session: Session, *, link_ids: Sequence[UUID]) -> Prepared:
    """Our side, before the source is asked: `marks` first, so that a mark set from now on is kept."""
    persons = _links_to_write(session, link_ids=link_ids)
    pks = [link.pk for link in persons.values()]
    links.note_inflight(link_ids=pks, token=session.claim.token)
    stored = record_store().of_links(pks)
    session.claim.renew()
    return Prepared(persons=persons, stored=stored)


def read(session: Session, *, prepared: Prepared, keep: Callable[[], object] = lambda: None) -> Read:
    """The source's side, as it is at one moment. Touches nothing of our store, so it may run in another thread.

    `keep`: called now and then, and never in a snapshot, when it takes its time.
    """
    persons, source = prepared.persons, session.source
    legs: Sequence[reader.Leg] = ()
    n_rows, began = source.n_rows, time.monotonic()
    if len(persons) == 1:  # a giant goes alone
        (person_id,) = persons
        legs = reader.read_legs(
            source.fetch, session.schema, person_id=person_id, max_rows=min(LEG_ROWS, session.tempo.rows)
        )
    forget, source.longest = session.names.as_known_now(), 0.0

    def read_all() -> Read:
        forget()
        return _read(session, persons=persons, stored=prepared.stored, legs=legs)

    found = at_one_moment(
        source, read_all, n_answers=reader.N_STATEMENTS, is_least=session.tempo.is_least, before_pass=keep
    )
    if source.is_too_slow:  # then nobody there waits for more of it than one statement
        session.tempo.note(n_rows=sum(map(len, _tables(found.batch).values())), seconds=source.longest)
    else:
        session.tempo.note(n_rows=source.n_rows - n_rows, seconds=time.monotonic() - began)
    return found


def render(session: Session, *, read: Read) -> Read:
    """The same with its rows rendered. Touches nothing of our store either."""
    with session.rendering:
        rendered = enricher.render(
            read.batch,
            dictionaries=session.names,
            zone=session.zone,
            categorise=session.categorise,
            shared=session.shared,
        )
    return replace(read, batch=replace(read.batch, **NO_ROWS), rendered=rendered)


def write(session: Session, *, prepared: Prepared, read: Read) -> Written:
    """Judge, render what is not rendered yet, compare, write, balance."""
    persons, stored = prepared.persons, prepared.stored
    if not persons:
        return Written(counts=Counts(), has_moves=False)
    session.claim.renew()
    ours = _still_ours(session, read=read, persons=persons)
    if read.rendered is None:
        read = render(session, read=read)
    rendered = [person for person in read.rendered or () if person.person_id in ours]
    own_ids = {link.pk for link in ours.values()}
    own_stored = stored if len(ours) == len(persons) else {k: s for k, s in stored.items() if s.link_id in own_ids}
    changes = writer.compare(
        links=ours, rendered=rendered, stored=own_stored, keys=session.keys, is_first=session.is_first
    )
    _lose(session, read=read, stored=own_stored, changes=changes)
    _note_losers(session, changes=changes, now=read.read_at)
    losses = brake.Losses(n_gone=changes.n_gone, n_ended=0)
    brake.check(hospital=session.hospital, losses=losses, now=read.read_at)
    _name_doctors(session, rendered=rendered, now=read.read_at)
    _keep_codes(session)
    note_gone = partial(_note_gone, session, now=read.read_at)
    writer.write(changes=changes, claim=session.claim, now=read.read_at, note_gone=note_gone)
    _finish(session, read=read, ours=ours, rendered=rendered)
    counts = _counts(rendered=rendered, changes=changes)
    return Written(counts=counts, has_moves=bool(changes.losers or changes.moves or changes.deletions))


class ReadAhead:
    """Reads the next batch while this one is written: the source's time is then nearly free.

    A batch that is read before the one before it is written must not depend on what that writes. Only a row that moved
    from person to person makes it so; then, and when the writing failed, what was read ahead is dropped and read again.
    Use as a context manager: at the end no thread is left with the source.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # with a pace the source rests between two batches
        is_unpaced = session.hospital.pace_rows_per_second is None
        is_safe = is_unpaced and not record_store().has_late_writers
        # while a server takes what is written the interpreter is free; SQLite takes it in this very process
        self._renders = record_store().is_elsewhere
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") if is_safe else None
        self._next: tuple[Sequence[UUID], Prepared, Future[Read]] | None = None

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(self, *_error: object) -> None:
        self._drop()
        if self._pool:
            self._pool.shutdown()

    def refresh(self, *, link_ids: Sequence[UUID], then: Sequence[UUID]) -> Counts:
        """Make the records of these links equal to the source. `then`: the links of the batch after it.

        Raises the source's errors, SourceReplaced, WouldErase, ClaimLost; nothing half done stays: what is not finished
        is still marked.
        """
        prepared, this = self._take(link_ids)
        if self._pool and then:
            following = prepare(self._session, link_ids=then)
            self._next = then, following, self._pool.submit(self._read, following)
        try:
            written = write(self._session, prepared=prepared, read=this)
        except BaseException:
            self._drop()
            raise
        if written.has_moves:
            self._drop()
        return written.counts

    def _take(self, link_ids: Sequence[UUID]) -> tuple[Prepared, Read]:
        if self._next and self._next[0] == link_ids:
            (_, prepared, reading), self._next = self._next, None
            self._await(reading)
            return prepared, reading.result()
        self._drop()
        prepared = prepare(self._session, link_ids=link_ids)
        return prepared, read(self._session, prepared=prepared, keep=self._session.claim.renew)

    def _read(self, prepared: Prepared) -> Read:
        """In the other thread."""
        found = read(self._session, prepared=prepared)
        return render(self._session, read=found) if self._renders else found

    def free_source(self) -> None:
        """Wait until nothing is read ahead any more: the source answers one thread at a time. What was read is kept."""
        if self._next:
            self._await(self._next[2])

    def _await(self, reading: Future[Read]) -> None:
        """Where each answer takes its time, the claim is kept meanwhile."""
        while not wait([reading], timeout=pace.RENEWED_EVERY).done:
            self._session.claim.renew()

    def _drop(self) -> None:
        """What was read ahead is read again when its turn comes."""
        if self._next:
            wait([self._next[2]])  # the claim may be what was lost
        self._next = None


def _links_to_write(session: Session, *, link_ids: Sequence[UUID]) -> dict[int, LinkToWrite]:
    """`marks` is read here, before the snapshot: a mark set from now on is kept."""
    rows = links.linked(session.hospital).filter(pk__in=link_ids)
    return {
        person_id: LinkToWrite(pk=pk, person_id=person_id, person_uuid=uuid, patient_id=patient_id, marks=marks)
        for pk, person_id, uuid, patient_id, marks in rows.values_list(
            "pk", "person_id", "person_uuid", "patient_id", "marks"
        )
    }


def _read(
    session: Session,
    *,
    persons: Mapping[int, LinkToWrite],
    stored: Mapping[str, StoredRecord],
    legs: Sequence[reader.Leg],
) -> Read:
    """Everything that must come from one and the same moment of the source."""
    fetch, keys = session.source.fetch, session.keys
    read_at = session.claim.clock.now()
    anchors.check(fetch, anchors=session.watermark.anchors)
    batch = reader.read_batch(
        fetch, session.schema, person_ids=list(persons), identifier_type_ids=session.identifier_type_ids, legs=legs
    )
    session.names.prepare(batch)
    owners: dict[str, int] = {}
    lost: list[str] = []
    if stored:
        person_of = {link.pk: person_id for person_id, link in persons.items()}
        here: dict[str, int] = {}
        for table, rows in _tables(batch).items():
            here.update(zip(keys.keys(table, (row[0] for row in rows)), (row[2] for row in rows), strict=True))
        # withdrawn ones too: a voided row may move as well, and what we keep of it must not stay behind
        lost = [key for key, record in stored.items() if here.get(key) != person_of[record.link_id]]
        owners = {key: here[key] for key in lost if key in here}
        owners |= _owners(session.source, session, [key for key in lost if key not in here])
    return Read(batch=batch, read_at=read_at, owners=owners, lost=lost)


def _tables(batch: SourceBatch) -> dict[str, Sequence[tuple[Any, ...]]]:
    rows = (
        *(batch.obs, batch.encounters, batch.visits, batch.diagnoses),
        *(batch.conditions, batch.orders, batch.allergies),
    )
    return dict(zip(TABLES, rows, strict=True))


def _owners(source: Source, session: Session, lost: Sequence[str]) -> dict[str, int]:
    """Who has these rows now, by primary key: to tell moved from gone."""
    by_table: dict[str, list[int]] = {}
    for key in lost:
        table, source_id = session.keys.source(key)
        by_table.setdefault(table, []).append(source_id)
    return {
        session.keys.key(table, source_id): person_id
        for table, ids in by_table.items()
        for source_id, person_id in reader.read_owners(source.fetch, session.schema, table=table, ids=ids).items()
    }


def _still_ours(session: Session, *, read: Read, persons: Mapping[int, LinkToWrite]) -> dict[int, LinkToWrite]:
    """Run the matcher again on what the snapshot said; links that it disagrees with are changed and not written.

    Who holds which number is asked anew: it may have been corrected, or given to one more, since the run began.
    """
    identifiers = read.batch.identifiers
    numbers = {number for row in identifiers if (number := normalise_national_id(row.identifier)) is not None}
    holders = identity.holders_of(numbers)
    patients = discovery.patients_of(identifiers, holders=holders, normalise=normalise_national_id)
    matches = identity.judge(
        hospital=session.hospital, persons=read.batch.persons, patients=patients, crowded=session.crowded_persons
    )
    ours, others = {}, {}
    for person_id, link in persons.items():
        verdict, person = matches.verdicts.get(person_id), read.batch.persons.get(person_id)
        is_same = verdict is not None and (verdict.state, verdict.patient_id) == (LinkState.LINKED, link.patient_id)
        if is_same and person is not None and person.uuid == link.person_uuid:
            ours[person_id] = link
        else:
            others[person_id] = link
    if others:
        _settle_others(session, read=read, matches=matches, others=others)
    return ours


def _settle_others(
    session: Session, *, read: Read, matches: identity.Matches, others: Mapping[int, LinkToWrite]
) -> None:
    gone = [link.pk for person_id, link in others.items() if person_id not in read.batch.persons]
    losses = brake.Losses(n_gone=0, n_ended=sum(matches.verdicts.get(person_id) is None for person_id in others))
    brake.check(hospital=session.hospital, losses=losses, now=read.read_at)
    known = identity.known_of(session.hospital, person_ids=others)
    here = {person_id: person for person_id, person in read.batch.persons.items() if person_id in others}
    with transaction.atomic():  # a crash must not leave links that ended and that the brake never counted
        identity.settle(hospital=session.hospital, persons=here, matches=matches, links=known, now=read.read_at)
        links.end(link_ids=gone, reason="person_gone", now=read.read_at)
        brake.note(hospital=session.hospital, losses=losses, now=read.read_at)


def _lose(session: Session, *, read: Read, stored: Mapping[str, StoredRecord], changes: Changes) -> None:
    """Records whose rows these persons no longer have: withdrawn when gone, following the row when it moved."""
    rendered_elsewhere = {record.key for record in changes.upserts}
    lost = [key for key in read.lost if key in stored and key not in rendered_elsewhere]
    owners = {read.owners[key] for key in lost if key in read.owners}
    linked = {
        person_id: (pk, patient_id)
        for pk, person_id, patient_id in links.linked(session.hospital)
        .filter(person_id__in=owners)
        .values_list("pk", "person_id", "patient_id")
    }
    for key in lost:
        owner = read.owners.get(key)
        if owner is None:
            if stored[key].is_current:
                changes.withdrawals[key] = writer.GONE
                changes.n_gone += 1
        elif owner in linked:
            changes.moves[key] = linked[owner]
        else:
            changes.deletions.append(key)
    if changes.moves:
        # their new owners are read next, whatever the watch saw
        links.mark_persons(hospital=session.hospital, person_ids=linked, now=read.read_at)


def _note_gone(session: Session, n_gone: int, *, now: datetime) -> None:
    brake.note(hospital=session.hospital, losses=brake.Losses(n_gone=n_gone, n_ended=0), now=now)


def _note_losers(session: Session, *, changes: Changes, now: datetime) -> None:
    """Records of theirs are about to be taken from them, so whoever takes over our claim must look at them, too."""
    if changes.losers and record_store().has_late_writers:
        links.note_inflight(link_ids=changes.losers, token=session.claim.token)
        links.mark(links.current(session.hospital).filter(pk__in=changes.losers), now=now)


def _name_doctors(session: Session, *, rendered: Sequence[Rendered], now: datetime) -> None:
    """A placeholder for every provider that signed a row: by hospital and provider, no login until claimed."""
    signed = {row.provider_uuid for person in rendered for row in person.records if row.provider_uuid}
    unknown = signed - session.doctors_named
    if not unknown:
        return
    named = {provider.uuid: provider.name for provider in session.names.providers_seen()}
    Doctor.objects.bulk_create(
        [
            Doctor(hospital=session.hospital, provider_uuid=uuid, name=named.get(uuid, "")[:255], created_at=now)
            for uuid in sorted(unknown)
        ],
        update_conflicts=True,
        unique_fields=conflict_target("hospital", "provider_uuid"),
        update_fields=["name"],
        batch_size=100,
    )
    session.doctors_named |= unknown


def _keep_codes(session: Session) -> None:
    """What the hospital maps its concepts to, for whoever wants codes. A mapping that is gone there goes here too."""
    seen = {concept.uuid: concept.codes for concept in session.names.concepts_seen() if concept.uuid}
    told = {uuid: codes for uuid, codes in seen.items() if uuid not in session.concepts_told}
    if not told:
        return
    known = dict(
        SourceConcept.objects.filter(hospital=session.hospital, concept_uuid__in=list(told)).values_list(
            "concept_uuid", "codes"
        )
    )
    as_stored = {uuid: [list(code) for code in codes] for uuid, codes in told.items()}
    SourceConcept.objects.bulk_create(
        [
            SourceConcept(hospital=session.hospital, concept_uuid=uuid, codes=codes)
            for uuid, codes in as_stored.items()
            if codes != known.get(uuid, [])
        ],
        update_conflicts=True,
        unique_fields=conflict_target("hospital", "concept_uuid"),
        update_fields=["codes"],
        batch_size=100,
    )
    session.concepts_told |= told.keys()


def _finish(session: Session, *, read: Read, ours: Mapping[int, LinkToWrite], rendered: Sequence[Rendered]) -> None:
    batch = read.batch
    fingerprints: dict[int, dict[str, Sequence[int]]] = {person_id: {} for person_id in batch.persons}
    for table, of_person in batch.fingerprints.items():
        for person_id, sums in of_person.items():
            fingerprints.setdefault(person_id, {})[table] = sums
    balances = balance.draw(
        links=ours,
        rendered=rendered,
        counts=batch.counts,
        fingerprints=fingerprints,
        voided=frozenset(person_id for person_id, person in batch.persons.items() if person.is_voided),
    )
    balance.finish(
        balances=balances,
        rendered={person.person_id: person for person in rendered},
        config_version=session.hospital.config_version,
        read_at=read.read_at,
        claim=session.claim,
    )
    _note_tables(session, balances=balances)


def _note_tables(session: Session, *, balances: Sequence[balance.Balance]) -> None:
    for one in balances:
        for table, figures in one.tables.items():
            n_excluded = sum(figures["excluded"].values())
            of_table = {"source": figures["source"], "stored": figures["stored"], "parked": figures["parked"]}
            session.journal.add(table=table, figures={**of_table, "excluded": n_excluded})


def _counts(*, rendered: Sequence[Rendered], changes: Changes) -> Counts:
    n_parked = sum(len(person.parked) for person in rendered)
    n_excluded = sum(len(person.excluded) for person in rendered)
    return Counts(
        n_persons=len(rendered),
        n_read=changes.n_created + changes.n_updated + changes.n_unchanged + n_parked + n_excluded,
        n_created=changes.n_created,
        n_updated=changes.n_updated,
        n_withdrawn=changes.n_withdrawn,
        n_unchanged=changes.n_unchanged,
        n_parked=n_parked,
        n_excluded=n_excluded,
    )
