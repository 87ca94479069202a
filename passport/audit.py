"""The hash chain: what happened, by whom, to whom, and why it was allowed or refused.

Each row carries the HMAC-SHA256 of a canonical JSON of all its fields and of the previous row's hash, under
`settings.AUDIT_KEY`. So a row that is altered, removed or slipped in breaks the chain there, and one who can write to
the database but does not hold the key cannot mend it. The database itself refuses UPDATE and DELETE (migration 0002).
"""

import datetime as dt
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from uuid import UUID

from django.conf import settings
from django.db import transaction

from passport.models import AuditEvent, AuditHead, User

FIRST_PREVIOUS_HASH = "0" * 64
PAGE = 1000
#: So many of the first rows decide whether the key is another one.
ROWS_UNDER_ONE_KEY = 10

#: `actor_role` of what nobody did by hand: the schedule, a command without a login.
SYSTEM = "system"


class Break(StrEnum):
    ALTERED = "altered"  # the row's hash is not that of its fields
    MISSING = "missing"  # a number of the sequence is not there
    UNCHAINED = "unchained"  # the row names another predecessor than the one before it
    HEAD = "head"  # the end of the chain is not where the head says
    OTHER_KEY = "other_key"  # the oldest rows hang together, but under a key that is none of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What a walk along the chain found. `first_broken` is the seq of the first row that is not as it was written."""

    n_rows: int
    head_seq: int
    head_hash: str
    first_broken: int | None = None
    problem: Break | None = None

    @property
    def is_whole(self) -> bool:
        return self.problem is None


def record_event(
    *,
    action: str,
    actor: User | None,
    now: dt.datetime,
    patient_id: UUID | None = None,
    hospital_id: UUID | None = None,
    basis: str = "",
    details: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Add a row to the chain, in the caller's transaction if there is one: both are kept or neither is.

    The head stays locked until that transaction ends, so keep it short. `details` holds counts and ids, never a name,
    number or value; ids and moments in it become text, and so do fractions (stores round them differently).
    Raises ValueError for an action or basis that does not fit its column, TypeError for a detail JSON has no word for.
    """
    if not 0 < len(action) <= 60 or len(basis) > 40:
        raise ValueError("An audit action has 1 to 60 characters and a basis at most 40.")
    with transaction.atomic():
        head = _locked_head()
        event = AuditEvent(
            seq=head.seq + 1,
            at=now.astimezone(dt.UTC),
            action=action,
            actor_id=actor.pk if actor else None,
            actor_role=actor.role if actor else SYSTEM,
            patient_id=patient_id,
            hospital_id=hospital_id,
            basis=basis,
            details=_plain(details or {}),
            previous_hash=head.hash,
        )
        event.hash = hash_of(event)
        event.save(force_insert=True)
        AuditHead.objects.filter(pk=head.pk).update(seq=event.seq, hash=event.hash)
    return event


def verify() -> AuditReport:
    """Walk the whole chain, oldest row first, and name the first row that is not as it was written.

    Reads in pages; only the last rows are read under the head's lock, so that writers are not held up.
    """
    walk = _Walk()
    for event in _rows_after(0):
        if not walk.step(event):
            return walk.report(_head())
    with transaction.atomic():
        head = _locked_head()
        for event in _rows_after(walk.seq):
            if not walk.step(event):
                return walk.report(head)
        walk.end(head)
        return walk.report(head)


def head_hash_at(seq: int) -> str | None:
    """The hash of this row as it stands now; None where there is no such row."""
    return AuditEvent.objects.filter(seq=seq).values_list("hash", flat=True).first()


def head() -> AuditHead:
    """Where the chain ends now: of one moment, and not locked."""
    return _head()


def is_signed_by_us() -> bool:
    """Whether the last row of the chain was signed under one of our keys; True when there is none."""
    last = AuditEvent.objects.order_by("-seq").first()
    keys = [*settings.AUDIT_OLD_KEYS, settings.AUDIT_KEY]
    return last is None or any(hmac.compare_digest(last.hash, hash_of(last, key=key)) for key in keys)


def hash_of(event: AuditEvent, *, key: str | None = None) -> str:
    """HMAC-SHA256, in hex, of every field of the row but the hash itself; under `settings.AUDIT_KEY`, or this key."""
    fields = {
        "seq": event.seq,
        "at": event.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "action": event.action,
        "actor_id": _text(event.actor_id),
        "actor_role": event.actor_role,
        "patient_id": _text(event.patient_id),
        "hospital_id": _text(event.hospital_id),
        "basis": event.basis,
        "details": event.details,
        "previous_hash": event.previous_hash,
    }
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    signing = settings.AUDIT_KEY if key is None else key
    return hmac.new(signing.encode(), canonical.encode(), sha256).hexdigest()


class _Walk:
    """Where a walk along the chain is, and the first thing that was wrong.

    Keys are tried from the oldest of AUDIT_OLD_KEYS to AUDIT_KEY, and never back: once a row is signed under a newer
    key, one who holds only an older one cannot add or alter rows behind it.
    """

    def __init__(self) -> None:
        self._keys: list[str] = [*settings.AUDIT_OLD_KEYS, settings.AUDIT_KEY]
        self.seq = 0
        self.hash = FIRST_PREVIOUS_HASH
        self.first_broken: int | None = None
        self.problem: Break | None = None

    def step(self, event: AuditEvent) -> bool:
        """Take one row; False when the chain breaks at it."""
        if event.seq != self.seq + 1:
            return self._broken(self.seq + 1, Break.MISSING)
        if not self._is_signed(event):
            return self._broken(event.seq, Break.OTHER_KEY if _begins_under_another_key(event) else Break.ALTERED)
        if event.previous_hash != self.hash:
            return self._broken(event.seq, Break.UNCHAINED)
        self.seq, self.hash = event.seq, event.hash
        return True

    def _is_signed(self, event: AuditEvent) -> bool:
        for position, key in enumerate(self._keys):
            if hmac.compare_digest(event.hash, hash_of(event, key=key)):
                del self._keys[:position]
                return True
        return False

    def end(self, head: AuditHead) -> None:
        if head.seq > self.seq:
            self._broken(self.seq + 1, Break.MISSING)
        elif (head.seq, head.hash) != (self.seq, self.hash):
            self._broken(self.seq, Break.HEAD)

    def report(self, head: AuditHead) -> AuditReport:
        return AuditReport(
            n_rows=self.seq,
            head_seq=head.seq,
            head_hash=head.hash,
            first_broken=self.first_broken,
            problem=self.problem,
        )

    def _broken(self, seq: int, problem: Break) -> bool:
        self.first_broken, self.problem = seq, problem
        return False


def _begins_under_another_key(event: AuditEvent) -> bool:
    """Whether not this row alone but the whole beginning of the chain is signed by a key that we do not have.

    One altered row is followed by rows that are as they were written; a key that was changed left none such before it.
    It stays a break either way: whoever alters all of the first rows looks like this, too, until the old key is given.
    """
    if event.seq != 1:
        return False
    first = list(AuditEvent.objects.order_by("seq")[:ROWS_UNDER_ONE_KEY])
    hang_together = all(after.previous_hash == before.hash for before, after in pairwise(first))
    is_ours = [row.hash == hash_of(row) for row in first]
    n_foreign = is_ours.index(True) if True in is_ours else len(first)
    return hang_together and n_foreign > 1 and all(is_ours[n_foreign:])


def _rows_after(seq: int) -> Iterator[AuditEvent]:
    while page := list(AuditEvent.objects.filter(seq__gt=seq).order_by("seq")[:PAGE]):
        yield from page
        seq = page[-1].seq


def _head() -> AuditHead:
    return AuditHead.objects.filter(pk=1).first() or AuditHead(pk=1, seq=0, hash=FIRST_PREVIOUS_HASH)


def _locked_head() -> AuditHead:
    """The head, locked until the transaction ends. SQLite has no row locks: its transactions begin IMMEDIATE."""
    heads = AuditHead.objects.select_for_update()
    head = heads.filter(pk=1).first()
    if head is None:
        AuditHead.objects.get_or_create(pk=1)
        head = heads.get(pk=1)
    return head


def _text(value: UUID | None) -> str | None:
    # A row just made holds what it was given, a row read back holds a UUID: both must hash alike.
    return None if value is None else str(UUID(str(value)))


def _plain(value: object) -> object:
    """What every store gives back exactly as it was written."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str | float | UUID):
        return str(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(part) for part in parts]
    raise TypeError(f"An audit detail cannot be of type {type(value).__name__}: give counts and ids.")
