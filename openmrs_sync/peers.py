"""Which clusters are at work, on whatever machine. Each says so every few seconds; the others notice its silence.

A machine that lost its power cannot set free what its cluster had in hand: its tasks would stay locked in the queue for
most of an hour, and their hospitals waiting. Whoever notices does it, and may do it for a cluster that is only frozen:
runs are taken, ended and fenced by guarded updates.
"""

import socket
import time
from datetime import datetime, timedelta

from django.db.models import Q

from openmrs_sync.models import Heartbeat

AT_WORK = "at work: "
#: By the watching machine's own monotonic clock: wall clocks of two machines may differ.
SILENCE_SECONDS = 60.0
#: One of all lookouts looks; another takes over when it has said nothing for so long.
LEAD = "lookout"
LEAD_PATIENCE = timedelta(seconds=10)


def machine() -> str:
    """This machine's name, as it stands in front of the names of its clusters."""
    return socket.gethostname()[:60]


def machines_at_work() -> set[str]:
    names = Heartbeat.objects.filter(name__startswith=AT_WORK).values_list("name", flat=True)
    return {name.removeprefix(AT_WORK).rpartition(":")[0].rpartition(":")[0] for name in names}


class Watch:
    """What one supervisor knows of the clusters of all machines."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime, float]] = {}

    def look(self, *, mine: str, now: datetime) -> list[str]:
        """Say that `mine` is at work; return those that have said nothing for too long."""
        Heartbeat.objects.update_or_create(name=AT_WORK + mine, defaults={"at": now})
        said = dict(Heartbeat.objects.filter(name__startswith=AT_WORK).values_list("name", "at"))
        clock, before = time.monotonic(), self._seen
        self._seen = {
            name: before[name] if name in before and before[name][0] == at else (at, clock) for name, at in said.items()
        }
        return [
            name.removeprefix(AT_WORK)
            for name, (_, since) in self._seen.items()
            if clock - since > SILENCE_SECONDS and name != AT_WORK + mine
        ]

    def start_anew(self) -> None:
        """We did not hear for a while ourselves: nobody's silence before now counts."""
        self._seen = {}


def forget(*, worker: str) -> None:
    """It ended, and nothing of it is left."""
    Heartbeat.objects.filter(name=AT_WORK + worker).delete()


class Lead:
    """Held by one lookout of all machines, for as long as it goes on saying so."""

    def __init__(self) -> None:
        self._said: datetime | None = None

    def hold(self, *, now: datetime) -> bool:
        """Whether it is ours, from now on or still. The moment that we wrote last is our token."""
        row = Heartbeat.objects.filter(name=LEAD)
        if self._said is not None and row.filter(at=self._said).update(at=now):
            self._said = now
            return True
        Heartbeat.objects.get_or_create(name=LEAD, defaults={"at": now - 2 * LEAD_PATIENCE})
        # a moment in the future was written by a clock that is ahead of ours
        is_over = Q(at__lt=now - LEAD_PATIENCE) | Q(at__gt=now + LEAD_PATIENCE)
        self._said = now if row.filter(is_over).update(at=now) else None
        return self._said is not None

    def let_go(self, *, now: datetime) -> None:
        if self._said is not None:
            Heartbeat.objects.filter(name=LEAD, at=self._said).update(at=now - 2 * LEAD_PATIENCE)
            self._said = None
