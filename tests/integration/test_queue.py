"""The queue under its supervisor, as it runs in a hospital's cellar: real processes, killed one by one."""

import contextlib
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, queue, runs, supervisor, tasks
from openmrs_sync.models import Breaker, Claim, Heartbeat, SyncRun
from passport.models import AuditEvent
from tests.openmrs.server import free_port

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)


def hospital(code: str = "kigali", *, number: int = 1, **fields: Any) -> Hospital:
    """A live hospital whose server does not answer: refused at once, unless `port` says otherwise."""
    values = {"name": code.title(), "host": "127.0.0.1", "database": "openmrs", "username": "passport"}
    return Hospital.objects.create(
        code=code,
        number=number,
        **{"state": HospitalState.LIVE, "port": free_port(), "tls_mode": "none", **values, **fields},
    )


def run_of(of: Hospital, status: str, **fields: Any) -> SyncRun:
    return SyncRun.objects.create(hospital=of, **{"trigger": "schedule", "status": status, "started_at": NOW, **fields})


@pytest.fixture(autouse=True)
def _loopback_may_be_a_hospital(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]  # the processes that tests start have DEBUG, which adds it


# --- one process ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
class TestRows:
    def test_one_schedule_row_is_left_and_it_is_ours(self) -> None:
        Schedule.objects.create(name="evil", func="os.system", args="'true'")
        queue.reconcile_schedule(now=NOW)
        queue.reconcile_schedule(now=NOW)
        (row,) = Schedule.objects.all()
        assert (row.name, row.func, row.schedule_type, row.minutes, row.repeats) == (
            "tick",
            "openmrs_sync.tasks.tick",
            "I",
            1,
            -1,
        )

    def test_a_schedule_that_a_wrong_clock_put_off_is_called_back(self) -> None:
        queue.reconcile_schedule(now=NOW + dt.timedelta(days=900))
        queue.reconcile_schedule(now=NOW)
        assert Schedule.objects.get().next_run == NOW

    def test_the_tick_gives_each_due_hospital_one_run_however_often_it_ticks(self) -> None:
        hospital("a", number=1)
        hospital("b", number=2)
        hospital("c", number=3, state=HospitalState.PAUSED)
        assert tasks.tick()["n_queued"] == 2
        assert tasks.tick()["n_queued"] == 0
        assert OrmQ.objects.count() == SyncRun.objects.filter(status="queued").count() == 2
        assert queue.last_beat() is not None

    def test_after_twelve_hours_off_each_hospital_has_exactly_one_run(self) -> None:
        """T17"""
        kigali = hospital()
        run_of(kigali, "ok", started_at=timezone.now() - dt.timedelta(hours=12))
        Breaker.objects.create(hospital=kigali, last_try_at=timezone.now() - dt.timedelta(hours=12))
        tasks.tick()
        assert SyncRun.objects.filter(status="queued").count() == 1

    def test_a_task_that_is_delivered_twice_reads_once(self) -> None:
        """T16"""
        tasks.tick()
        kigali = hospital()
        (run,) = queue.enqueue(hospitals=[kigali], trigger="schedule", now=timezone.now()).runs
        first = tasks.sync_one(str(kigali.pk), str(run.pk))
        second = tasks.sync_one(str(kigali.pk), str(run.pk))
        run.refresh_from_db()
        assert (run.status, run.error_kind) == ("failed", "unreachable")
        assert set(first) == set(runs.COUNTS)
        assert second == {}
        assert AuditEvent.objects.filter(action="openmrs_auto_sync").count() == 1

    def test_a_hospital_that_was_paused_meanwhile_is_not_contacted(self) -> None:
        kigali = hospital()
        (run,) = queue.enqueue(hospitals=[kigali], trigger="schedule", now=timezone.now()).runs
        Hospital.objects.update(state=HospitalState.PAUSED)
        tasks.sync_one(str(kigali.pk), str(run.pk))
        run.refresh_from_db()
        assert run.status == "skipped"

    def test_a_run_without_a_lease_is_ended_and_one_with_a_lease_is_not(self) -> None:
        """T13"""
        dead, alive = hospital("dead", number=1), hospital("alive", number=2)
        for each, lease in ((dead, -1), (alive, 60)):
            run_of(each, "running", started_at=NOW - dt.timedelta(minutes=10))
            Claim.objects.create(hospital=each, token=3, lease_until=NOW + dt.timedelta(seconds=lease))
        assert runs.end_dead_runs(now=NOW) == 1
        assert SyncRun.objects.get(hospital=dead).status == "interrupted"
        assert SyncRun.objects.get(hospital=alive).status == "running"

    def test_a_run_that_nobody_took_for_an_hour_is_ended(self) -> None:
        waiting = run_of(hospital(), "queued")
        assert runs.end_dead_runs(now=NOW + dt.timedelta(minutes=59)) == 0
        assert runs.end_dead_runs(now=NOW + dt.timedelta(minutes=61)) == 1
        waiting.refresh_from_db()
        assert waiting.status == "interrupted"

    def test_recovery_ends_this_clusters_runs_and_frees_the_tasks(self) -> None:
        ours, theirs = hospital("ours", number=1), hospital("theirs", number=2)
        for each, worker in ((ours, "us"), (theirs, "them")):
            run_of(each, "running", worker=worker, token=5)
            Claim.objects.create(hospital=each, token=5, lease_until=NOW + dt.timedelta(seconds=90))
        queue.enqueue_tick()
        OrmQ.objects.update(lock=NOW + dt.timedelta(hours=1))
        assert queue.recover(worker="us", now=NOW) == 1
        assert SyncRun.objects.get(hospital=ours).status == "interrupted"
        assert SyncRun.objects.get(hospital=theirs).status == "running"
        # over, but not free: who takes it must know that something was under way
        assert Claim.objects.get(hospital=ours).lease_until < NOW
        assert Claim.objects.get(hospital=theirs).lease_until > NOW
        assert OrmQ.objects.get().lock == NOW

    def test_the_worker_is_alive_by_what_it_executed_or_is_busy_with(self) -> None:
        assert not queue.is_worker_alive(now=NOW)
        Heartbeat.objects.create(name="tick", at=NOW - dt.timedelta(minutes=10))
        assert not queue.is_worker_alive(now=NOW)
        kigali = hospital()
        run_of(kigali, "running", worker="us")
        Claim.objects.create(hospital=kigali, lease_until=NOW + dt.timedelta(seconds=60))
        assert queue.is_worker_alive(now=NOW)


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_ask_at_once_one_gets_the_run() -> None:
    """T14"""
    kigali, got = hospital(), []

    def ask() -> None:
        got.append(queue.enqueue(hospitals=[kigali], trigger="api", now=timezone.now()))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each.runs) for each in got) == [0] * 7 + [1]
    assert SyncRun.objects.count() == OrmQ.objects.count() == 1


# --- real clusters ----------------------------------------------------------------------------------------------------


class BlackHole:
    """A server that accepts and never answers: whoever reads there stays busy until a time-out."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.socket.getsockname()[1]

    def close(self) -> None:
        self.socket.close()

    def clients(self, pids: frozenset[int]) -> list[int]:
        """Those of these processes that have a connection to us."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{line[9]}]" for line in lines if line[2].endswith(f":{self.port:04X}")}
        return [pid for pid in pids if inodes & _links(Path(f"/proc/{pid}/fd"))]


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    with contextlib.closing(BlackHole()) as hole:
        yield hole


def _links(folder: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found


class Work:
    """`manage.py work` as a process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "work"],
            stdout=subprocess.PIPE,
            text=True,
            # without a lookout, unless a test wants one
            env={"WATCH_SECONDS": "0"} | os.environ | {"Q_WORKERS": "2", "PYTHONUNBUFFERED": "1"},
        )

    def children(self, pid: int | None = None) -> list[int]:
        """The child processes, oldest first."""
        pid = pid or self.process.pid
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                    if int(parent) == pid and state != "Z":
                        found.append(int(folder.name))
        return sorted(found)

    @property
    def main(self) -> int:
        (main,) = [pid for pid in self.children() if b"--cluster" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return main

    def workers(self) -> list[int]:
        """django-q starts its workers first, then monitor and pusher."""
        (sentinel,) = self.children(self.main)
        return self.children(sentinel)[:2]

    def end(self) -> float:
        """SIGTERM; returns the seconds until it was over."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(40)
        return time.monotonic() - began


@pytest.fixture
def work(transactional_db: None) -> Iterator[Work]:
    control.start(interval_minutes=1, actor=None, now=timezone.now())
    running = Work()
    groups = set()
    try:
        wait_for(lambda: queue.last_beat() is not None and len(running.workers()) == 2, seconds=120)
        time.sleep(2 * supervisor.LOOK_SECONDS)  # until the supervisor has seen them all
        groups.add(running.main)
        yield running
    finally:
        with contextlib.suppress(ValueError, OSError):
            groups.add(running.main)
        if running.process.poll() is None:
            running.end()
        running.process.stdout.close()
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError, OSError):
            if found := condition():
                return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


def beats_after(moment: dt.datetime) -> None:
    queue.enqueue_tick()
    wait_for(lambda: (queue.last_beat() or moment) > moment)


@pytest.mark.slow
@pytest.mark.timeout(240)
class TestCluster:
    def test_it_ends_on_sigterm_and_leaves_no_process(self, work: Work) -> None:
        main = work.main
        members = supervisor.group_members(main)
        assert len(members) == 6  # main, sentinel, two workers, monitor, pusher
        assert work.end() < 30
        assert work.process.returncode == 0
        assert not supervisor.group_members(main)

    @pytest.mark.parametrize("victim", ["idle worker", "main", "sentinel", "monitor", "pusher"])
    def test_work_goes_on_within_a_minute_when_a_process_is_killed(self, work: Work, victim: str) -> None:
        """T74"""
        main = work.main
        (sentinel,) = work.children(main)
        first, second, monitor, pusher = work.children(sentinel)
        doomed = {"main": main, "sentinel": sentinel, "monitor": monitor, "pusher": pusher}.get(victim, first)
        killed_at = timezone.now()
        os.kill(doomed, signal.SIGKILL)
        wait_for(lambda: work.main != main)
        beats_after(killed_at)
        wait_for(lambda: not supervisor.group_members(main), seconds=10)
        assert second not in work.workers()
        # nothing that the dead had taken stays locked
        wait_for(lambda: not OrmQ.objects.filter(lock__gt=timezone.now() + dt.timedelta(minutes=1)).exists())

    def test_a_killed_busy_worker_leaves_an_interrupted_run_and_a_new_one_begins(
        self, work: Work, hole: BlackHole
    ) -> None:
        """T13, T74"""
        slow = hospital("slow", port=hole.port)
        queue.enqueue_tick()
        (busy,) = wait_for(lambda: hole.clients(supervisor.group_members(work.main)))
        first = SyncRun.objects.get(hospital=slow)
        assert first.status == "running"
        os.kill(busy, signal.SIGKILL)
        wait_for(lambda: SyncRun.objects.filter(hospital=slow).exclude(pk=first.pk, status="queued").count() > 1)
        first.refresh_from_db()
        assert first.status == "interrupted"
        assert AuditEvent.objects.filter(action="openmrs_auto_sync").count() >= 1
        wait_for(lambda: SyncRun.objects.filter(hospital=slow, error_kind="unreachable").exists())

    def test_sigterm_in_a_run_ends_within_30_seconds_and_the_run_is_not_left_running(
        self, work: Work, hole: BlackHole
    ) -> None:
        hospital("slow", port=hole.port)
        queue.enqueue_tick()
        wait_for(lambda: hole.clients(supervisor.group_members(work.main)))
        assert work.end() < 30
        assert not SyncRun.objects.filter(status="running").exists()

    def test_a_supervisor_that_is_killed_leaves_no_process_behind(self, work: Work) -> None:
        """T74"""
        main = work.main
        work.process.kill()
        wait_for(lambda: not supervisor.group_members(main), seconds=10)

    def test_a_black_hole_delays_nobody_and_an_interval_of_a_minute_is_kept(self, work: Work, hole: BlackHole) -> None:
        hospital("slow", number=1, port=hole.port)
        other = hospital("other", number=2)
        began = time.monotonic()
        queue.enqueue_tick()
        # refused twice: transient failures in a row are tried at the interval
        wait_for(lambda: SyncRun.objects.filter(hospital=other, status="failed").count() >= 2, seconds=90)
        assert time.monotonic() - began < 80


@pytest.mark.slow
def test_work_says_each_hospital_and_the_interval_first(work: Work) -> None:
    assert work.process.stdout.readline() == "No hospital yet.\n"
    assert work.process.stdout.readline() == "The schedule is running, every 1 min.\n"
