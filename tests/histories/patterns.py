"""What chance alone would bring too seldom: a few steps in a row that try one promise, on whoever is there."""

from typing import TYPE_CHECKING
from unittest import mock

from openmrs_sync import links, watcher
from tests.histories.hospital import Edit, bystander

if TYPE_CHECKING:
    from tests.histories.stage import Stage


def quiet_days(stage: "Stage", edits: list[Edit]) -> None:
    """Between two sweeps nothing but what leaves no trace: the second brings it."""
    stage.sweep()
    stage.edits(0, edits)
    stage.sweep()


def swap_hands(stage: "Stage", pick: int, other: int) -> None:
    """Of four results with neighbouring ids, far below the newest, two persons get each the other's.

    Each has as many as before, with the same sum of ids, and of ids as BIT_XOR of their CRC32 would have it.
    """
    h = stage.pretend
    for session in list(stage.late):
        stage.commit(session)  # what is open there may hold the very rows
    found = links.linked(stage.hospital).filter(person_id__gt=bystander(h)).order_by("person_id")
    persons = list(found.values_list("person_id", flat=True))
    if len(persons) < 2:
        return
    first, second = persons[pick % len(persons)], persons[(pick + 1 + other % (len(persons) - 1)) % len(persons)]
    with mock.patch.object(watcher, "WINDOW", 0):
        while h.add_obs(first, "pulse", 70.0) % 4 != 3:
            pass
        obs = [h.add_obs(owner, "weight", 50.0) for owner in (first, second, second, first)]
        stage.note_truth()
        stage.read_until_fresh()
        for row, owner in zip(obs, (second, first, first, second), strict=True):
            h.update("obs", row, person_id=owner)
        stage.note_truth()
        stage.read_until_fresh()
    stage.check_persons([first, second])
