"""Looks at every live, watched hospital each few seconds, and has the sync of one begin at once when something moved.

A process of its own beside the cluster, kept by the supervisor: a driver that hangs, crashes or fills the memory on
what a hospital sends takes this process with it and nothing else. In it each hospital has a thread with one connection
that stays open, so that a dead hospital delays no other; the main thread alone talks to our own database.

Of several machines' lookouts one looks (`peers.Lead`): a hospital is asked once, however many we are.

It holds no truth. Nothing is stored or marked here, and the schedule goes on as if it were not there: what the lookout
misses (an edit in place, what happens while it starts) costs one interval.
"""

import logging
import os
import queue as queues
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from hospitals.connections import Source, open_hospital
from hospitals.errors import SourceError
from hospitals.grants import check_grants
from hospitals.models import Hospital, HospitalState
from openmrs_sync import claims, control, pace, peers, queries, queue, runs, schema
from openmrs_sync.models import Breaker, SyncRun
from passport.logs import where

log = logging.getLogger(__name__)

OWN_STORE_ERRORS = (DatabaseError, InterfaceError)

REREAD_SECONDS = 2.0  # which hospitals are looked at, and how they are reached
TRUSTED_SECONDS = 60.0  # what was read of our own database; after that a hospital may have been paused
LOOK_TIMEOUT = 10.0  # for one look; every one takes milliseconds at a server that is well
OPEN_SECONDS = 900.0  # a connection; then the address, TLS and the grants are proven anew
FIRST_BACK_OFF, LONGEST_BACK_OFF = 2.0, 60.0
BUSY_SHARE = 50  # a look that took a second is followed by 50 seconds without one
REST_SHARE, LONGEST_REST = 4, 120.0  # a run that kept the source busy for a second is followed by 4 without
POLL_SECONDS = 0.2  # of the main thread: how late a moved hospital, a free one or SIGTERM is noticed
END_SECONDS = 1.0  # for the connections to be closed

#: (table, what) → (count, sum): see `queries.signs`.
Signs = Mapping[tuple[str, str], tuple[int, int]]
#: How a hospital is reached. Another value needs another connection.
REACHED_BY = ("host", "port", "database", "username", "password_sealed", "tls_mode", "tls_ca")
#: Voids here are found by every run that the lookout asks for; those of other tables by a deep look only.
VOIDS_FOUND_AT_ONCE = frozenset({"obs", "patient_identifier"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Something changed at this hospital between two looks. `is_deep`: only a deep look can find out at whom."""

    hospital_id: UUID
    is_deep: bool


def read_signs(source: Source, sql: str) -> Signs:
    """One look: a single statement, from indexes alone."""
    source.end_by = time.monotonic() + LOOK_TIMEOUT
    return {(table, what): (int(count), int(total or 0)) for table, what, count, total in source.fetch(sql)}


def needs_deep(before: Signs, after: Signs) -> bool:
    """Whether a sign moved that only a deep look can follow: voids outside of obs, stamps."""
    return any(
        what != "new" and not (what == "voids" and table in VOIDS_FOUND_AT_ONCE)
        for table, what in before.keys() | after.keys()
        if before.get((table, what)) != after.get((table, what))
    )


class Eye(threading.Thread):
    """Looks at one hospital, for as long as it is told to. Knows nothing of our own database.

    `seen`: what the last look of an earlier thread at the same hospital saw, so that nothing is missed in between.
    """

    def __init__(self, hospital: Hospital, *, tell: Callable[[Moved], None], seen: Signs | None) -> None:
        super().__init__(daemon=True, name=f"eye-{hospital.code}")
        self.hospital = hospital
        self.seen = seen
        self.n_failures = 0
        self._tell = tell
        self._closed = threading.Event()

    def close(self) -> None:
        """End soon: a look under way is finished or cut, and the connection closed."""
        self._closed.set()

    def run(self) -> None:
        while not self._closed.is_set():
            try:
                self._look_until_it_is_time_to_reconnect()
            except SourceError as error:
                self._back_off(error.kind)
            except Exception as error:  # noqa: BLE001 - the entry point of a thread: one hospital's eye, not all
                log.error("a look failed: %s, hospital %s", where(error), self.hospital.code)  # noqa: TRY400 - no texts
                self._back_off("internal")

    def _look_until_it_is_time_to_reconnect(self) -> None:
        reconnect_at = time.monotonic() + OPEN_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load
        with open_hospital(self.hospital) as source:
            source.end_by = time.monotonic() + LOOK_TIMEOUT
            check_grants(source)
            sql = queries.signs(schema.discover(source.fetch))
            while not self._closed.is_set() and time.monotonic() < reconnect_at:
                began = time.monotonic()
                self._compare(read_signs(source, sql))
                self.n_failures = 0
                took = time.monotonic() - began
                self._closed.wait(max(settings.WATCH_SECONDS - took, BUSY_SHARE * took))

    def _compare(self, signs: Signs) -> None:
        before, self.seen = self.seen, signs
        if before is not None and before != signs:
            self._tell(Moved(hospital_id=self.hospital.pk, is_deep=needs_deep(before, signs)))

    def _back_off(self, kind: str) -> None:
        """The first failure after a look is likely the server's `wait_timeout` or a restart: try again soon."""
        self.n_failures += 1
        if self.n_failures == 1:
            log.info("a look failed: %s, hospital %s", kind, self.hospital.code)
        seconds = min(FIRST_BACK_OFF * 2.0 ** min(self.n_failures - 1, 10), LONGEST_BACK_OFF)
        self._closed.wait(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, keeps no secret


class Lookout:
    """The main thread: which hospitals are looked at, and runs for those that moved. Until `close`."""

    def __init__(self) -> None:
        self._is_closing = False  # no Event: a signal may come while its lock is held
        self._moved: queues.SimpleQueue[Moved] = queues.SimpleQueue()
        self._eyes: dict[UUID, Eye] = {}
        self._seen: dict[UUID, Signs] = {}  # of hospitals that are not looked at for now
        self._wanted: dict[UUID, Hospital] = {}
        self._read_at = -TRUSTED_SECONDS
        #: hospital → whether its run must look deep
        self.pending: dict[UUID, bool] = {}
        self._is_away = False
        self._lead = peers.Lead()

    def close(self, *_signal: Any) -> None:
        self._is_closing = True

    def run(self) -> None:
        reread_at = time.monotonic()
        while not self._is_closing:
            if time.monotonic() >= reread_at:
                reread_at = time.monotonic() + REREAD_SECONDS
                self._guarded(self._read_wanted)
                self._settle()
            self._collect()
            if self.pending:
                self._guarded(self._enqueue)
        self._guarded(lambda: self._lead.let_go(now=timezone.now()))
        for eye in self._eyes.values():
            eye.close()
        deadline = time.monotonic() + END_SECONDS
        for eye in self._eyes.values():
            eye.join(max(0.0, deadline - time.monotonic()))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Our own database may be away for as long as it likes."""
        try:
            work()
        except OWN_STORE_ERRORS as error:
            if not self._is_away:
                log.warning("our own database does not answer: %s", type(error).__name__)
            self._is_away = True
            connection.close()
        else:
            self._is_away = False

    def _read_wanted(self) -> None:
        now = timezone.now()
        watched = hospitals_to_watch(now=now)
        self._wanted = {hospital.pk: hospital for hospital in watched} if self._lead.hold(now=now) else {}
        self._read_at = time.monotonic()

    def _settle(self) -> None:
        """Give each wanted hospital an eye, and close those of the others. One connection at a time to each."""
        is_trusted = time.monotonic() - self._read_at < TRUSTED_SECONDS
        wanted = self._wanted if is_trusted else {}
        for hospital_id, eye in list(self._eyes.items()):
            if hospital_id not in wanted or not is_reached_alike(eye.hospital, wanted[hospital_id]):
                eye.close()
            if not eye.is_alive():
                del self._eyes[hospital_id]
                if eye.seen is not None:
                    self._seen[hospital_id] = eye.seen
        for hospital_id in wanted.keys() - self._eyes.keys():
            eye = Eye(wanted[hospital_id], tell=self._moved.put, seen=self._seen.pop(hospital_id, None))
            self._eyes[hospital_id] = eye
            eye.start()

    def _collect(self) -> None:
        """Wait a moment for news, and take all there is."""
        timeout: float | None = POLL_SECONDS
        while True:
            try:
                moved = self._moved.get(timeout=timeout) if timeout else self._moved.get_nowait()
            except queues.Empty:
                return
            timeout = None
            self.pending[moved.hospital_id] = self.pending.get(moved.hospital_id, False) or moved.is_deep

    def _enqueue(self) -> None:
        """A run for each hospital that moved. One whose run has begun already gets its own after that, and a rest."""
        now = timezone.now()
        for hospital_id, is_deep in list(self.pending.items()):
            hospital = self._wanted.get(hospital_id)
            if hospital is None:
                del self.pending[hospital_id]  # paused, retired, quiet: the schedule's business again
                continue
            waiting = runs.under_way(hospital=hospital).filter(status=SyncRun.Status.QUEUED)
            if not is_deep and waiting.exists():
                del self.pending[hospital_id]  # that run has not looked yet
            # claimed without a run of its own: one patient is being read, and a run would end as busy
            elif not is_resting(hospital=hospital, now=now) and not claims.is_claimed(hospital=hospital, now=now):
                asked = queue.enqueue(hospitals=[hospital], trigger=SyncRun.Trigger.WATCH, now=now, is_deep=is_deep)
                if asked.runs:
                    del self.pending[hospital_id]


def hospitals_to_watch(*, now: datetime) -> list[Hospital]:
    """Live, watched, not in their quiet hours, reached by their last runs; none while the schedule is stopped."""
    if not control.read_control().is_running:
        return []
    watched = Hospital.objects.filter(state=HospitalState.LIVE, is_watched=True)
    closed = watched.exclude(breaker__state__in=[Breaker.State.OPEN, Breaker.State.HALF_OPEN])
    return [hospital for hospital in closed if pace.quiet_until(hospital=hospital, now=now) is None]


def is_reached_alike(one: Hospital, other: Hospital) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in REACHED_BY)


def is_resting(*, hospital: Hospital, now: datetime) -> bool:
    """Whether the last run kept the source busy so long that the next one waits: one that never rests is a burden."""
    last = (
        SyncRun.objects.filter(hospital=hospital, finished_at__isnull=False)
        .exclude(trigger=SyncRun.Trigger.PATIENT)
        .order_by("-started_at")
        .values_list("finished_at", "source_seconds")
        .first()
    )
    if last is None or (finished_at := last[0]) is None:
        return False
    rest = timedelta(seconds=min(REST_SHARE * last[1], LONGEST_REST))
    # an end in the future was written by a clock that was ahead
    return finished_at <= now < finished_at + rest


def run_lookout() -> None:
    """The process that the supervisor starts. Ends at SIGTERM, and when the supervisor is gone."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    lookout = Lookout()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lookout.close)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    lookout.run()
    # Threads may hang in a hospital's silence; nothing of theirs has to be kept.
    logging.shutdown()
    os._exit(0)


def _end_with_supervisor() -> None:
    """Block until the supervisor is gone: its end of the pipe is closed then."""
    while os.read(sys.stdin.fileno(), 1):
        continue
    os._exit(1)
