"""Keeps a django-q cluster at work. Its processes may die in ways that it never notices (see docs/operations.md).

Beside it the lookout: a process of its own, see `openmrs_sync.lookout`.

The cluster runs in a session of its own. When one of its processes vanishes, or no tick was executed for two periods,
the whole group is killed, what it had in hand is set free, and a new one starts. The same is done for a cluster of
another machine that has gone silent: see `openmrs_sync.peers`.

Signals to the group: SIGUSR1 tells the workers to end their batch. Everybody else ignores it: ignored signals are
inherited, and only workers set a handler.
"""

import logging
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.signals import post_spawn

from openmrs_sync import control, peers, queue, runs, tasks

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # at the processes
DUE_SECONDS = 5.0  # at the schedule: an interval of one minute is kept although django-q looks every 30 s
STOP_SECONDS = 25.0  # for the batch in hand; the contract says 30 in all
SILENCE_SECONDS = 2 * queue.TICK_PERIOD.total_seconds()
SHORT_LIFE_SECONDS = 30.0  # a cluster that dies younger died of its start: each next one waits longer
LONGEST_PAUSE_SECONDS = 60.0
LOOKOUT_STOP_SECONDS = 2.0


class Cluster:
    """One `qcluster` and all its processes."""

    def __init__(self) -> None:
        self.worker = f"{peers.machine()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.began = time.monotonic()
        self._seen = frozenset[int]()
        # Its standard input is a pipe from us: at its end the cluster knows that we are gone.
        self._process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "work", "--cluster"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {runs.WORKER_VARIABLE: self.worker},
        )

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def loss(self) -> str:
        """What is missing since the last look, in words; empty when nothing is."""
        if self._process.poll() is not None:
            return "its main process ended"
        before, self._seen = self._seen, group_members(self._process.pid)
        gone = before - self._seen
        return f"{len(gone)} of its processes died" if gone else ""

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to every process of the cluster."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            log.info("the cluster had ended already")

    def end(self) -> None:
        """Ask it to end after the batch in hand; kill what is left after that."""
        self.tell(signal.SIGUSR1)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the cluster did not end within %s s and is killed", STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill every process, and return when all are dead."""
        self.tell(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        deadline = time.monotonic() + 5.0
        while group_members(self._process.pid) and time.monotonic() < deadline:
            _reap_group(self._process.pid)
            time.sleep(0.05)


class Lookout:
    """The process of `openmrs_sync.lookout`, in a session of its own; started again when it is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._began = self._start_at = 0.0
        self._n_short_lives = 0

    def keep(self) -> None:
        """Start it when it does not run; one that dies of its start waits longer each time. Never blocks."""
        if settings.WATCH_SECONDS == 0 or (self._process is not None and self._process.poll() is None):
            return
        if self._process is not None:
            log.error("the lookout ended and is started again")
            is_short = time.monotonic() - self._began < SHORT_LIFE_SECONDS
            self._n_short_lives = self._n_short_lives + 1 if is_short else 0
            seconds = 2.0 ** min(self._n_short_lives - 1, 10) if self._n_short_lives > 1 else 0.0
            self._start_at = time.monotonic() + min(seconds, LONGEST_PAUSE_SECONDS)
            self._forget()
        if time.monotonic() >= self._start_at:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, str(settings.BASE_DIR / "manage.py"), "work", "--lookout"],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def tell_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Return when it is dead; it has nothing in hand that could be lost."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(LOOKOUT_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


class Supervisor:
    """The loop of `manage.py work`: until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._n_short_lives = 0
        self._lookout = Lookout()
        self._peers = peers.Watch()
        self._beat: Any = None
        self._beat_seen = self._looked_at_due = time.monotonic()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        try:
            while not self._stop.is_set():
                self._run_one_cluster()
        finally:
            self._lookout.end()

    def _run_one_cluster(self) -> None:
        cluster = self._start()
        reason = self._watch(cluster)
        if reason:
            log.error("the cluster is started again: %s", reason)
            cluster.kill()
        else:
            self._lookout.tell_to_end()  # while the cluster ends its batch
            cluster.end()
        self._recover(cluster)
        if reason:
            self._pause(cluster)

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _start(self) -> Cluster:
        try:
            now = timezone.now()
            queue.reconcile_schedule(now=now)
            queue.enqueue_tick()
        except DatabaseError as error:
            log.warning("the schedule could not be set: %s", type(error).__name__)
            connection.close()
        self._beat_seen = time.monotonic()
        return Cluster()

    def _watch(self, cluster: Cluster) -> str:
        """Return the reason when the cluster has to be started again; none when we were told to stop."""
        while not self._stop.wait(LOOK_SECONDS):
            if reason := cluster.loss():
                return reason
            self._lookout.keep()
            if time.monotonic() - self._looked_at_due < DUE_SECONDS:
                continue
            self._looked_at_due = time.monotonic()
            try:
                if self._is_silent(cluster):
                    return "no task was executed for two minutes"
                self._look_at_peers(cluster)
                self._send_tick_when_due(cluster)
            except DatabaseError as error:
                # Ours is away: nothing can be said of the cluster, which waits for it too.
                log.warning("our own database does not answer: %s", type(error).__name__)
                self._beat_seen = time.monotonic()
                self._peers.start_anew()
                connection.close()
        return ""

    def _is_silent(self, cluster: Cluster) -> bool:
        """Whether no tick was executed for too long, although a worker was free to."""
        if (beat := queue.last_beat()) != self._beat:
            # By our own monotonic clock: the machine's may step.
            self._beat, self._beat_seen = beat, time.monotonic()
        if time.monotonic() - self._beat_seen < SILENCE_SECONDS:
            return False
        return queue.n_busy(now=timezone.now(), worker=cluster.worker) < settings.Q_WORKERS

    def _look_at_peers(self, cluster: Cluster) -> None:
        for worker in self._peers.look(mine=cluster.worker, now=timezone.now()):
            n_runs = queue.recover(worker=worker, now=timezone.now())
            peers.forget(worker=worker)
            log.error("a cluster went silent: %s; %s runs were interrupted", worker, n_runs)

    def _send_tick_when_due(self, cluster: Cluster) -> None:
        now = timezone.now()
        if queue.n_busy(now=now, worker=cluster.worker) >= settings.Q_WORKERS:
            return  # ours would not take it, and they would pile up
        if any(not runs.under_way(hospital=hospital).exists() for hospital in control.due_hospitals(now=now)):
            queue.enqueue_tick()

    def _recover(self, cluster: Cluster) -> None:
        """Until it is done: what a dead cluster had in hand would stay locked for most of an hour."""
        while True:
            try:
                n_runs = queue.recover(worker=cluster.worker, now=timezone.now())
                peers.forget(worker=cluster.worker)
                log.info("the cluster ended; %s runs were interrupted", n_runs)
            except DatabaseError as error:
                log.warning("waiting for our own database: %s", type(error).__name__)
                connection.close()
                if self._stop.wait(LOOK_SECONDS):
                    return  # `end_dead_runs` of a later tick does it by time
            else:
                return

    def _pause(self, cluster: Cluster) -> None:
        self._n_short_lives = self._n_short_lives + 1 if cluster.age < SHORT_LIFE_SECONDS else 0
        if self._n_short_lives > 1:
            seconds = min(2.0 ** (self._n_short_lives - 1), LONGEST_PAUSE_SECONDS)
            self._stop.wait(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, keeps no secret


def run_cluster() -> None:
    """The main process of the cluster, started by `Cluster`: `qcluster`, with workers that can be told to stop."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    post_spawn.connect(_prepare_worker, dispatch_uid="openmrs_sync.supervisor")
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    call_command("qcluster")


def _prepare_worker(**_kwargs: Any) -> None:
    signal.signal(signal.SIGUSR1, tasks.request_stop)


def _end_with_supervisor() -> None:
    """Block until the supervisor is gone; then nobody watches this group, and a new supervisor starts another."""
    while os.read(sys.stdin.fileno(), 1):
        continue
    os.killpg(os.getpgrp(), signal.SIGKILL)


def group_members(group: int) -> frozenset[int]:
    """The live processes of this process group."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
        pairs = (line.split() for line in listed.splitlines())
        return frozenset(int(pid) for pid, pgid in pairs if int(pgid) == group)
    members = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # "pid (name) state ppid pgrp …"; the name may hold spaces and brackets
                state, _ppid, pgrp = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            if int(pgrp) == group and state != "Z":
                members.add(int(folder.name))
    return frozenset(members)


def _reap_group(group: int) -> None:
    """Bury orphans of the group that became our children: as process 1 of a container we inherit them."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
