"""What a run has read is as it was at its snapshot: compared right after the run, before any sweep could mend it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import UUID

from hospitals.connections import Source
from openmrs_sync import refresh
from openmrs_sync.models import ParkedRow
from openmrs_sync.session import Session
from tests.histories.derivation import OWNED, Derivation, Key, Row

if TYPE_CHECKING:
    from tests.histories.stage import Stage, Truth

#: What the engine keeps for a whole run.
NAMES = (
    *("concept", "concept_name", "concept_numeric", "concept_reference_map", "drug", "location", "provider"),
    *("person", "person_name", "encounter_type", "visit_type"),
)


@dataclass(slots=True)
class Moments:
    """Of one run, with that of a worker who overtook it."""

    #: what was to be shown at each snapshot, in their order
    snapshots: list[Derivation] = field(default_factory=list)
    #: link → what was to be shown at the snapshot in which whoever overtook us read it
    overtaken: dict[UUID, Derivation] = field(default_factory=dict)
    #: (table, id, patient) that was true at some moment since the first snapshot
    once_true: "set[Truth] | None" = None
    #: link → how many snapshots there were when it was read last, that one too
    read_in: dict[UUID, int] = field(default_factory=dict)
    #: a batch is being read without a snapshot, and was read once at least
    is_reading: bool = False

    def of(self, link_id: UUID, person_id: int) -> Derivation | None:
        """The snapshot that says what this link must show now; None: another one has a say in it, too.

        That is so where a row of the person was somebody else's in one of them, or a name changed in between: entries
        of the dictionaries are remembered for a whole run.
        """
        if not self.snapshots:
            return None
        if link_id in self.overtaken:
            return self.overtaken[link_id]
        mine = self.snapshots[self.read_in.get(link_id, len(self.snapshots)) - 1]
        first, last = self.snapshots[0], self.snapshots[-1]
        if of_person(first, person_id) == of_person(mine, person_id) == of_person(last, person_id):
            return mine
        if any(one is not mine and not _agree(one, mine, person_id) for one in self.snapshots):
            return None
        return mine


def persons_of(derivation: Derivation) -> dict[Key, int]:
    """Whose each row is, linked or not."""
    rows = derivation.tables.rows
    return {(table, key): row[owner] for table, (_, owner) in OWNED.items() for key, row in rows[table].items()}


def _agree(one: Derivation, other: Derivation, person_id: int) -> bool:
    """On every name, and on whose the rows are that are this person's in one of them."""
    if any(one.tables.rows[table] != other.tables.rows[table] for table in NAMES):
        return False
    owners, others = persons_of(one), persons_of(other)
    moved = {key for key, owner in owners.items() if others.get(key, owner) != owner}
    return all(person_id not in (owners[key], others[key]) for key in moved)


def of_person(derivation: Derivation, person_id: int) -> tuple[dict[Key, Row], dict[Key, str]]:
    rows, fate = derivation.tables.rows, derivation.fate

    def is_theirs(key: Key) -> bool:
        return bool(rows[key[0]][key[1]][OWNED[key[0]][1]] == person_id)

    return (
        {key: record for key, record in fate.records.items() if is_theirs(key)},
        {key: reason for key, reason in fate.parked.items() if is_theirs(key)},
    )


@contextmanager
def noting_snapshots(stage: "Stage") -> Iterator[Moments]:
    """In the block, each snapshot is derived as it is taken. The check of a receipt is no run."""
    snapshot, one_pass, read, moments = Source.snapshot, Source.one_pass, refresh.read, Moments()

    def note() -> Derivation:
        derivation = stage.derive()
        _ = derivation.fate  # now, and not when it is asked for
        if moments.once_true is None:
            moments.once_true = stage.true_now()
        return derivation

    @contextmanager
    def noted(source: Source) -> Iterator[None]:
        with snapshot(source):
            moments.snapshots.append(note())
            yield

    @contextmanager
    def noted_pass(source: Source, tell: Any) -> Iterator[None]:
        """Of two that are the same, what was so when the second began is what was read."""
        if not moments.is_reading:
            moments.snapshots.append(note())
        else:
            moments.snapshots[-1] = note()
        moments.is_reading = True
        with one_pass(source, tell):
            yield

    def noting_links(session: Session, *, prepared: refresh.Prepared, **options: Any) -> refresh.Read:
        moments.is_reading = False
        found = read(session, prepared=prepared, **options)
        moments.is_reading = False
        moments.read_in |= {link.pk: len(moments.snapshots) for link in prepared.persons.values()}
        return found

    with (
        mock.patch.object(Source, "snapshot", noted),
        mock.patch.object(Source, "one_pass", noted_pass),
        mock.patch.object(refresh, "read", noting_links),
    ):
        yield moments


def parked_of(link_id: UUID) -> dict[Key, str]:
    rows = ParkedRow.objects.filter(link_id=link_id).values_list("table", "source_id", "reason")
    return {(table, source_id): reason for table, source_id, reason in rows}


def is_ours(step: tuple[str, tuple[Any, ...]]) -> bool:
    """Whether it changes what our side knows of who is who, or how rows are shown."""
    return step[0] not in ("edits", "rebuild", "ask", "be_overtaken")
