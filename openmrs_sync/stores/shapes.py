"""What goes into a store and comes out of it, and what the engine needs of one."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol
from uuid import UUID

from openmrs_sync.claims import HeldClaim
from openmrs_sync.rows import RecordRow

TABLE = "passport_record"
CURRENT, WITHDRAWN = "current", "withdrawn"
#: Keys in one IN list; below SQLite's limit of variables.
KEYS_AT_ONCE = 5_000
#: The columns written, in the order in which the stores put a record together.
COLUMNS = (
    *("_id", "link_id", "patient_id", *RecordRow._fields, "digest"),
    *("hospital_id", "status", "withdrawn_reason", "received_at", "token"),
)
PART_OF = RecordRow._fields.index("part_of")


class StoredRecord(NamedTuple):
    """What equal-making compares."""

    digest: int
    link_id: UUID
    is_current: bool


class RecordToWrite(NamedTuple):
    """One record to create or replace. `part_of` is a key here, not a source id."""

    key: str
    link_id: UUID
    patient_id: UUID
    row: RecordRow
    part_of: str | None
    digest: int


class WrittenBy(NamedTuple):
    """Who writes, under which claim, when: the same for a whole batch."""

    hospital_id: UUID
    token: int
    at: dt.datetime


class RecordStore(Protocol):
    """What the engine needs of a store. Every write happens inside `fence`. All raise OperationalError when the store
    does not answer.
    """

    #: Whether a worker that lost its claim may still write: then links must be taken over (`links.take_over`).
    has_late_writers: bool
    #: Whether the next batch is rendered while this one is written: where writing is mostly waiting for another
    #: process, as was measured with PostgreSQL.
    is_elsewhere: bool

    def fence(self, claim: HeldClaim) -> AbstractContextManager[None]:
        """What is written inside is written under our claim, or has no effect. Raises ClaimLost."""
        ...

    def of_links(self, link_ids: Sequence[UUID]) -> dict[str, StoredRecord]:
        """The records of these links, withdrawn ones too, by key."""
        ...

    def owners(self, keys: Sequence[str]) -> dict[str, UUID]:
        """Those of these keys that are stored: key → link."""
        ...

    def count_current(self, link_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        """Current records, counted in the store: link → table → n."""
        ...

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy, are_new: bool = False) -> None:
        """`are_new`: none of them was stored when it was asked last; those that are nevertheless are replaced."""
        ...

    def withdraw(self, keys: Sequence[str], *, reason: str, by: WrittenBy) -> None:
        """Mark as withdrawn. The digest is forgotten, so that a row that comes back is written."""
        ...

    def move(self, key: str, *, link_id: UUID, patient_id: UUID, by: WrittenBy) -> None:
        """Give a record to another link; withdrawn until the refresh of its new owner has rendered it."""
        ...

    def delete(self, keys: Sequence[str], *, by: WrittenBy) -> None: ...

    def delete_links(self, link_ids: Sequence[UUID], *, token: int) -> None:
        """Delete all records of these links."""
        ...

    def seize(self, link_ids: Sequence[UUID], *, token: int) -> None:
        """Make the records of these links carry our token, so that earlier claims can no longer change them."""
        ...

    def drop_late(self, min_tokens: Mapping[UUID, int]) -> None:
        """Delete what was written under a smaller token than the link's least."""
        ...
