"""Makes our records equal to what was read.

Order, on every store: records first, the link's mark last. Every transaction locks the claim's row first and rolls back
when the token is not ours, and holds at most 2,000 rows, so that the web never waits for long.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from openmrs_sync.claims import HeldClaim
from openmrs_sync.models import ParkedRow
from openmrs_sync.rows import RecordRow, Rendered, chunks
from openmrs_sync.stores import RecordToWrite, StoredRecord, WrittenBy, record_store
from passport.models.record import TABLE_CODES

#: Rows in one transaction.
ROWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToWrite:
    """A linked person of the batch, as it was before the snapshot was opened."""

    pk: UUID
    person_id: int
    person_uuid: str
    patient_id: UUID
    marks: int


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a batch would do to the store. Made by `compare`, carried out by `write`."""

    upserts: list[RecordToWrite] = field(default_factory=list)
    #: key → reason; the row was seen (voided, parked, …) or is gone
    withdrawals: dict[str, str] = field(default_factory=dict)
    #: key → link of the person to whom the row belongs now
    moves: dict[str, tuple[UUID, UUID]] = field(default_factory=dict)
    deletions: list[str] = field(default_factory=list)
    n_created: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_gone: int = 0

    @property
    def n_withdrawn(self) -> int:
        return len(self.withdrawals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Of one link after a refresh, per table: {"obs": {"source", "stored", "parked", "excluded": {reason: n}}}."""

    link: LinkToWrite
    is_voided: bool
    tables: Mapping[str, Mapping[str, Any]]
    fingerprint: Mapping[str, Sequence[int]]
    n_source: int
    n_stored: int
    n_parked: int
    n_unexplained: int


class Keys:
    """Makes and reads the record keys of one hospital and epoch."""

    def __init__(self, *, number: int, epoch: int) -> None:
        base = f"{number:04d}{epoch:02d}"
        self.prefix = base
        self._of_table = {table: base + code for table, code in TABLE_CODES.items()}
        self._tables = {code: table for table, code in TABLE_CODES.items()}

    def key(self, table: str, source_id: int) -> str:
        return f"{self._of_table[table]}{source_id:010d}"

    def source(self, key: str) -> tuple[str, int]:
        """The source row of a key: (table, id)."""
        return self._tables[key[6]], int(key[7:])


# --- comparing --------------------------------------------------------------------------------------------------------


def digest_of(row: RecordRow, salt: bytes) -> int:
    """64 bits over everything that is shown: labels, units, times and category, not the source row.

    `salt`: the patient's id, so that a link that was pointed to another patient is written anew.
    """
    shown = tuple.__repr__(row).encode()
    return int.from_bytes(hashlib.blake2b(shown, digest_size=8, salt=salt).digest(), "big", signed=True)


def compare(
    *,
    links: Mapping[int, LinkToWrite],
    rendered: Iterable[Rendered],
    stored: Mapping[str, StoredRecord],
    keys: Keys,
) -> Changes:
    """What must change so that the records of these links equal what was rendered.

    Records whose rows these persons no longer have are not in the result: whether they moved or are gone is not known
    here.
    """
    changes = Changes()
    fresh: list[RecordToWrite] = []
    key_of, upserts = keys.key, changes.upserts
    for person in rendered:
        link = links[person.person_id]
        link_id, salt = link.pk, link.patient_id.bytes
        for row in person.records:
            key, digest = key_of(row.table, row.source_id), digest_of(row, salt)
            known = stored.get(key)
            if known is None:
                fresh.append(_to_write(key, link, row, digest, keys))
            elif known == (digest, link_id, True):
                changes.n_unchanged += 1
            else:
                changes.n_updated += 1
                upserts.append(_to_write(key, link, row, digest, keys))
        for left_out in (*person.excluded, *person.parked):
            key = key_of(left_out.table, left_out.source_id)
            if (known := stored.get(key)) is not None and known.is_current:
                changes.withdrawals[key] = left_out.reason
    # rows that moved here from a person outside this batch have a record already, under another link
    n_moved = record_store().at_keys([record.key for record in fresh])
    changes.n_updated += n_moved
    changes.n_created += len(fresh) - n_moved
    upserts.extend(fresh)
    return changes


def _to_write(key: str, link: LinkToWrite, row: RecordRow, digest: int, keys: Keys) -> RecordToWrite:
    part_of = keys.key(row.table, row.part_of) if row.part_of is not None else None
    return RecordToWrite(key, link.pk, link.patient_id, row, part_of, digest)


# --- writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def _fenced(claim: HeldClaim) -> Iterator[None]:
    """One transaction under our claim's token: written as ours, or not at all."""
    with transaction.atomic():
        claim.renew()
        yield


def write(*, changes: Changes, claim: HeldClaim, now: dt.datetime) -> None:
    """Carry out the changes, in transactions of at most ROWS rows. Raises ClaimLost."""
    store = record_store()
    by = WrittenBy(claim.hospital.pk, claim.token, now)
    # In key order the store's index grows in few places instead of everywhere.
    changes.upserts.sort(key=lambda record: record.key)
    for part in chunks(changes.upserts, ROWS):
        with _fenced(claim):
            store.upsert(part, by=by)
    by_reason: dict[str, list[str]] = {}
    for key, reason in changes.withdrawals.items():
        by_reason.setdefault(reason, []).append(key)
    for reason, withdrawn in by_reason.items():
        for keys in chunks(withdrawn, ROWS):
            with _fenced(claim):
                store.withdraw(keys, reason=reason, by=by)
    for moved in chunks(changes.moves.items(), ROWS):
        with _fenced(claim):
            for key, (link_id, patient_id) in moved:
                store.move(key, link_id=link_id, patient_id=patient_id, by=by)
    for keys in chunks(changes.deletions, ROWS):
        with _fenced(claim):
            store.delete(keys, by=by)


# --- balance ----------------------------------------------------------------------------------------------------------


def balance(
    *,
    links: Mapping[int, LinkToWrite],
    rendered: Iterable[Rendered],
    counts: Mapping[str, Mapping[int, int]],
    fingerprints: Mapping[int, Mapping[str, Sequence[int]]],
    voided: frozenset[int],
) -> list[Balance]:
    """Per link: the source's own count against what is stored (counted after writing), parked and excluded."""
    stored = record_store().count_current([link.pk for link in links.values()])
    balances = []
    for person in rendered:
        link = links[person.person_id]
        excluded = Counter((row.table, row.reason) for row in person.excluded)
        parked = Counter(row.table for row in person.parked)
        tables = {}
        for table, of_person in counts.items():
            reasons = {reason: n for (of_table, reason), n in excluded.items() if of_table == table}
            figures = {
                "source": of_person.get(person.person_id, 0),
                "stored": stored.get(link.pk, {}).get(table, 0),
                "parked": parked[table],
                "excluded": reasons,
            }
            if any(figures.values()):
                tables[table] = figures
        n_source, n_stored = (sum(figures[side] for figures in tables.values()) for side in ("source", "stored"))
        n_parked, n_excluded = parked.total(), len(person.excluded)
        balances.append(
            Balance(
                link=link,
                is_voided=person.person_id in voided,
                tables=tables,
                fingerprint=fingerprints.get(person.person_id, {}),
                n_source=n_source,
                n_stored=n_stored,
                n_parked=n_parked,
                n_unexplained=n_source - n_stored - n_parked - n_excluded,
            )
        )
    return balances


# --- the link's mark, last --------------------------------------------------------------------------------------------

#: Guarded: a link that was decided otherwise, ended or re-pointed meanwhile keeps its mark and stays stale.
_FRESH = """
    UPDATE passport_link SET
        fresh_marks = %s, fresh_config_version = %s, refreshed_at = %s, next_try_at = %s, n_failures = 0, inflight = 0,
        is_urgent = %s, stale_since = CASE WHEN marks = %s THEN NULL ELSE stale_since END, is_voided = %s,
        n_source = %s, n_stored = %s, n_parked = %s, n_unexplained = %s, balance = %s, fingerprint = %s
    WHERE id = %s AND state = 'linked' AND patient_id = %s
"""


def finish(
    *,
    balances: Sequence[Balance],
    rendered: Mapping[int, Rendered],
    config_version: int,
    read_at: dt.datetime,
    claim: HeldClaim,
) -> None:
    """The last transaction of a batch: parked rows and the links' marks, together."""
    connection = connections["default"]
    as_uuid = (lambda uuid: uuid) if connection.features.has_native_uuid_field else (lambda uuid: uuid.hex)
    at = connection.ops.adapt_datetimefield_value
    retry_at = at(read_at + dt.timedelta(minutes=5))
    rows = []
    for each in balances:
        is_even = each.n_unexplained == 0
        # an unexplained difference leaves the link stale, to be tried again after a pause
        fresh_marks = each.link.marks if is_even else each.link.marks - 1
        rows.append(
            (
                *(fresh_marks, config_version, at(read_at), None if is_even else retry_at, False, fresh_marks),
                *(each.is_voided, each.n_source, each.n_stored, each.n_parked, each.n_unexplained),
                *(json.dumps(each.tables), json.dumps(each.fingerprint)),
                *(as_uuid(each.link.pk), as_uuid(each.link.patient_id)),
            )
        )
    with _fenced(claim):
        _replace_parked(balances=balances, rendered=rendered, claim=claim, now=read_at)
        with connection.cursor() as cursor:
            cursor.executemany(_FRESH, rows)


def _replace_parked(
    *, balances: Sequence[Balance], rendered: Mapping[int, Rendered], claim: HeldClaim, now: dt.datetime
) -> None:
    link_ids = [each.link.pk for each in balances]
    known: dict[tuple[UUID, str, int], ParkedRow] = {}
    for part in chunks(link_ids):
        for row in ParkedRow.objects.filter(link_id__in=part):
            known[row.link_id, row.table, row.source_id] = row
    fresh, again = [], []
    for each in balances:
        for left_out in rendered[each.link.person_id].parked:
            row = known.pop((each.link.pk, left_out.table, left_out.source_id), None)
            if row is None:
                row = ParkedRow(
                    hospital=claim.hospital,
                    link_id=each.link.pk,
                    table=left_out.table,
                    source_id=left_out.source_id,
                    reason=left_out.reason,
                    parked_at=now,
                    tried_at=now,
                )
                fresh.append(row)
            else:
                row.reason, row.tried_at, row.attempts = left_out.reason, now, row.attempts + 1
                again.append(row)
    for part in chunks([row.pk for row in known.values()]):
        ParkedRow.objects.filter(pk__in=part).delete()
    ParkedRow.objects.bulk_create(fresh, batch_size=100)
    ParkedRow.objects.bulk_update(again, ["reason", "tried_at", "attempts"], batch_size=100)
