"""Makes our records equal to what was read.

Order, on every store: records first, the link's mark last. Every write stands inside the store's fence: on a relational
store a transaction that locks the claim's row first and rolls back when the token is not ours. At most 2,000 rows each,
so that the web never waits for long.
"""

import datetime as dt
import hashlib
import marshal
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from uuid import UUID

from openmrs_sync.claims import HeldClaim
from openmrs_sync.rows import LinkToWrite, RecordRow, Rendered, chunks
from openmrs_sync.stores import RecordToWrite, StoredRecord, WrittenBy, record_store
from passport.models.record import TABLE_CODES, key_prefix

#: Rows in one transaction.
ROWS = 2_000
#: Why a record is withdrawn whose row the source no longer has; every other reason is of a row that was seen.
GONE = "gone"
#: A named tuple from a tuple, without the detour through Python that `RecordToWrite(…)` takes.
new_record = partial(tuple.__new__, RecordToWrite)
_as_integer = struct.Struct(">q").unpack


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a batch would do to the store. Made by `compare`, carried out by `write`."""

    upserts: list[RecordToWrite] = field(default_factory=list)
    #: key → reason; the row was seen (voided, parked, …) or is gone
    withdrawals: dict[str, str] = field(default_factory=dict)
    #: key → link of the person to whom the row belongs now
    moves: dict[str, tuple[UUID, UUID]] = field(default_factory=dict)
    deletions: list[str] = field(default_factory=list)
    #: links outside the batch whose records will follow their rows to a link of the batch
    losers: set[UUID] = field(default_factory=set)
    n_created: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_gone: int = 0

    @property
    def n_withdrawn(self) -> int:
        return len(self.withdrawals)


class Keys:
    """Makes and reads the record keys of one hospital and epoch."""

    def __init__(self, *, number: int, epoch: int) -> None:
        base = key_prefix(number=number, epoch=epoch)
        self.prefix = base
        self._of_table = {table: base + code for table, code in TABLE_CODES.items()}
        self._tables = {code: table for table, code in TABLE_CODES.items()}

    def key(self, table: str, source_id: int) -> str:
        return f"{self._of_table[table]}{source_id:010d}"

    def keys(self, table: str, source_ids: Iterable[int]) -> list[str]:
        """The keys of many rows of one table, in their order."""
        start = self._of_table[table]
        return [f"{start}{source_id:010d}" for source_id in source_ids]

    def source(self, key: str) -> tuple[str, int]:
        """The source row of a key: (table, id)."""
        return self._tables[key[6]], int(key[7:])


# --- comparing --------------------------------------------------------------------------------------------------------


def digest_of(row: RecordRow, salted: "hashlib.blake2b") -> int:
    """64 bits over everything that is shown: labels, units, times and category, not the source row."""
    digest = salted.copy()
    # Format 2 has no references: equal rows give equal bytes. Twice as fast as repr, 200,000 times.
    digest.update(marshal.dumps(tuple(row), 2))
    return _as_integer(digest.digest())[0]  # type: ignore[no-any-return]


def salted_by(patient_id: UUID) -> "hashlib.blake2b":
    """What digests begin with: so that a link that was pointed to another patient is written anew."""
    return hashlib.blake2b(digest_size=8, salt=patient_id.bytes)


def compare(
    *,
    links: Mapping[int, LinkToWrite],
    rendered: Iterable[Rendered],
    stored: Mapping[str, StoredRecord],
    keys: Keys,
    is_first: bool = False,
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
        link_id, patient_id, salted = link.pk, link.patient_id, salted_by(link.patient_id)
        for row in person.records:
            table, source_id, part_of = row[0], row[1], row.part_of
            key, digest = key_of(table, source_id), digest_of(row, salted)
            known = stored.get(key)
            above = None if part_of is None else key_of(table, part_of)
            if known is None:
                fresh.append(new_record((key, link_id, patient_id, row, above, digest)))
            elif known == (digest, link_id, True):
                changes.n_unchanged += 1
            else:
                changes.n_updated += 1
                upserts.append(new_record((key, link_id, patient_id, row, above, digest)))
        for left_out in (*person.excluded, *person.parked) if stored else ():
            key = key_of(left_out.table, left_out.source_id)
            if (known := stored.get(key)) is not None and known.is_current:
                changes.withdrawals[key] = left_out.reason
    # rows that moved here from a person outside this batch have a record already, under another link; when nothing was
    # stored before the run there are none to look for
    store = record_store()
    owners = {} if is_first and not store.has_late_writers else store.owners([record.key for record in fresh])
    changes.losers.update(owners.values())
    changes.n_updated += len(owners)
    changes.n_created += len(fresh) - len(owners)
    upserts.extend(fresh)
    return changes


# --- writing ----------------------------------------------------------------------------------------------------------


def write(*, changes: Changes, claim: HeldClaim, now: dt.datetime, note_gone: Callable[[int], None]) -> None:
    """Carry out the changes, in transactions of at most ROWS rows. Raises ClaimLost.

    `note_gone`: told how many rows are gone in the transaction that withdraws them, so that a crash between the two
    leaves neither.
    """
    store = record_store()
    by = WrittenBy(claim.hospital.pk, claim.token, now)
    # In key order the store's index grows in few places instead of everywhere.
    changes.upserts.sort(key=itemgetter(0))
    for part in chunks(changes.upserts, ROWS):
        with store.fence(claim):
            store.upsert(part, by=by, are_new=not changes.n_updated)
    by_reason: dict[str, list[str]] = {}
    for key, reason in changes.withdrawals.items():
        by_reason.setdefault(reason, []).append(key)
    for reason, withdrawn in by_reason.items():
        for keys in chunks(withdrawn, ROWS):
            with store.fence(claim):
                if reason == GONE:
                    note_gone(len(keys))
                store.withdraw(keys, reason=reason, by=by)
    for moved in chunks(changes.moves.items(), ROWS):
        with store.fence(claim):
            for key, (link_id, patient_id) in moved:
                store.move(key, link_id=link_id, patient_id=patient_id, by=by)
    for keys in chunks(changes.deletions, ROWS):
        with store.fence(claim):
            store.delete(keys, by=by)
