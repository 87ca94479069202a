"""Real processes that die or are told to end in the middle of a real sync: a command, a cluster, the web, MariaDB."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import pipeline, queue, runs
from openmrs_sync.models import ParkedRow, SyncRun
from passport.api import tokens
from passport.models import Link, Patient, User
from tests.crashes.story import LATER
from tests.integration import world
from tests.integration.test_queue import Work, wait_for, work  # noqa: F401 - a fixture among them
from tests.integration.world import Site
from tests.openmrs.proxy import SNAPSHOT, Proxy
from tests.openmrs.server import MariaDBServer, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]

N_PERSONS, N_OBS = 12, 800  # two batches


def fill(site: Site) -> list[int]:
    """Ten thousand rows of a dozen people."""
    persons = [site.add_holder(f"11990800{number:08d}") for number in range(N_PERSONS)]
    for person in persons:
        encounter = site.pretend.add_encounter(person)
        with site.pretend.bulk():
            for n in range(N_OBS):
                site.pretend.add_obs(person, "pulse", 60.0 + n % 40, encounter=encounter)
    return persons


@pytest.fixture
def large(kigali: Site, mariadb: MariaDBServer) -> Iterator[tuple[Site, Proxy]]:
    """A hospital of two batches behind a line, never read: paused until `go_live`."""
    fill(kigali)
    with Proxy(mariadb) as line:
        Hospital.objects.update(port=line.port, state=HospitalState.PAUSED)
        kigali.hospital.refresh_from_db()
        yield kigali, line


def go_live() -> None:
    Hospital.objects.update(state=HospitalState.LIVE)


def n_fresh() -> int:
    return Link.objects.exclude(refreshed_at=None).count()


def everything_is_there(site: Site) -> None:
    assert len(site.values()) == N_PERSONS * N_OBS
    assert not ParkedRow.objects.exists()
    assert not Link.objects.filter(n_failures__gt=0).exists()
    assert world.verified(site.hospital).is_well


# --- the command ------------------------------------------------------------------------------------------------------


def test_sigterm_ends_the_batch_in_hand_and_begins_no_other_hospital(large: tuple[Site, Proxy], huye: Site) -> None:
    """T6: `manage.py sync` under systemd, or a human's Ctrl-C."""
    site, line = large
    huye.add_holder("1198570087654321")
    go_live()
    began: list[subprocess.Popen[str]] = []
    line.at_statement(1, lambda: began[0].send_signal(signal.SIGTERM), containing=SNAPSHOT)
    began.append(
        subprocess.Popen(
            [sys.executable, "manage.py", "sync", "--json"], cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True
        )
    )
    out, _ = began[0].communicate(timeout=120)
    assert began[0].returncode == 1
    lines = {each["hospital"]: each for each in json.loads(out)}
    assert (lines["kigali"]["status"], lines["huye"]["status"]) == ("ok", "skipped")
    assert lines["kigali"]["n_persons"] < N_PERSONS
    assert n_fresh() == lines["kigali"]["n_persons"]
    assert not SyncRun.objects.filter(status="running").exists()
    site.sync()
    huye.sync()
    everything_is_there(site)


# --- the cluster ------------------------------------------------------------------------------------------------------


def test_sigterm_ends_work_in_a_large_batch_within_30_seconds_and_nothing_is_lost(
    large: tuple[Site, Proxy],
    work: Work,  # noqa: F811 - the fixture
) -> None:
    """T74: the contract's half minute, whatever the batch and the hospital's slowness."""
    site, line = large
    in_batch = threading.Event()

    def slow_down() -> None:
        line.delay(1.0)  # two passes of a batch are a minute then; with more, the way in takes too long
        in_batch.set()

    line.at_statement(1, slow_down, containing=SNAPSHOT)
    go_live()
    queue.enqueue_tick()
    assert in_batch.wait(60)
    assert work.end() < 30
    assert not SyncRun.objects.filter(status="running").exists()
    assert SyncRun.objects.filter(status__in=["ok", "interrupted"]).exists()
    line.heal()
    site.sync()
    everything_is_there(site)


@pytest.mark.parametrize("victim", ["the cluster", "the worker"])
def test_a_cluster_or_worker_that_is_killed_in_mid_sync_is_followed_by_another_that_ends_it(
    large: tuple[Site, Proxy],
    work: Work,  # noqa: F811 - the fixture
    victim: str,
) -> None:
    """T13, T74: real rows under way; nobody does anything but wait."""
    site, line = large
    main, killed = work.main, threading.Event()

    def kill() -> None:
        workers = work.workers()
        if victim == "the cluster":
            os.killpg(main, signal.SIGKILL)
        else:
            for pid in workers:  # one of them has it; the other is idle
                os.kill(pid, signal.SIGKILL)
        killed.set()

    line.at_statement(2, kill, containing=SNAPSHOT)
    go_live()
    queue.enqueue_tick()
    assert killed.wait(60)
    wait_for(lambda: n_fresh() == N_PERSONS, seconds=120)
    wait_for(lambda: not SyncRun.objects.filter(status__in=["queued", "running"]).exists())
    assert SyncRun.objects.filter(status="interrupted").exists()
    assert work.main != main
    assert work.end() < 30
    everything_is_there(site)


# --- the web ----------------------------------------------------------------------------------------------------------


class Web:
    """gunicorn, as docs/operations.md starts it, in a session of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        options = "--no-control-socket --worker-class gthread --workers 1 --threads 4 --log-level warning"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "passport.wsgi", *options.split(), "--bind", f"127.0.0.1:{self.port}"],
            cwd=settings.BASE_DIR,
            start_new_session=True,
        )

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=5).status == 200)
        return False

    def refresh(self, number: str, token: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/openmrs-sync/sync-patient/{number}",
            data=b"",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_a_web_server_that_is_killed_in_mid_refresh_leaves_nothing_half_done(
    kigali: Site, mariadb: MariaDBServer
) -> None:
    """T13, T31: sync-patient reads in the web's own process."""
    number = "1199080000000000"
    person = kigali.add_holder(number)
    kigali.pretend.add_obs(person, "weight", 60.0)
    kigali.sync()
    kigali.pretend.add_obs(person, "weight", 61.0)
    token = tokens.issue(user=User.objects.create_superuser("web", password="long enough"), now=timezone.now()).access
    with Proxy(mariadb) as line:
        Hospital.objects.update(port=line.port)
        web = Web()
        try:
            wait_for(web.is_up)
            assert web.refresh(number, token)["hospitals"][0]["status"] == "ok"
            kigali.pretend.add_obs(person, "weight", 62.0)
            line.at_statement(1, web.kill, containing=SNAPSHOT)
            with pytest.raises((OSError, ValueError)):
                web.refresh(number, token)
        finally:
            web.kill()
        left = SyncRun.objects.get(status="running")
        assert (left.trigger, left.worker) == ("patient", "")
        line.heal()
        now = timezone.now() + LATER
        patient = Patient.objects.get(identifiers__number=number)
        kigali.hospital.refresh_from_db()
        found = pipeline.refresh_patient(hospital=kigali.hospital, patient=patient, now=now)
        assert (found.status, found.n_created) == ("ok", 1)
        assert runs.end_dead_runs(now=now + LATER) == 1
        assert sorted(kigali.values().values()) == ["60", "61", "62"]
        assert world.verified(kigali.hospital).is_well


# --- the hospital's own server ----------------------------------------------------------------------------------------


def test_a_mariadb_that_is_killed_in_the_middle_of_a_batch_is_read_on_when_it_is_back(
    db: None, sources_on_loopback: None
) -> None:
    """T6, T31: power cut at the hospital, while our snapshot is open."""
    with MariaDBServer(durable=True) as server:
        site = world.open_site(server, "dark")
        fill(site)
        with Proxy(server) as line:
            Hospital.objects.update(port=line.port)
            site.hospital.refresh_from_db()
            for n in (1, 2):
                line.at_statement(n, server.kill, containing=SNAPSHOT)
                run = world.sync(site.hospital)
                assert (run.status, run.error_kind) == ("failed", "unreachable")
                wait_for(lambda: not server.is_running)
                server.start()
                line.heal()
            site.sync()
            everything_is_there(site)
