"""How often a hospital is tried, what that leaves behind, and many hospitals at once."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, enricher, pipeline, queue, runs, tasks
from openmrs_sync.models import Breaker, Heartbeat, SyncRun
from passport.audit import record_event
from passport.models import AuditEvent, Doctor, Link, Patient
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer, free_port

pytestmark = pytest.mark.django_db

ALICE = "1199080012345678"
NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def silent_hospital(*, number: int = 1) -> Hospital:
    """A live hospital whose port is closed."""
    where = {"host": "127.0.0.1", "port": free_port(), "database": "openmrs", "username": "passport"}
    return Hospital.objects.create(
        number=number, code=f"silent-{number}", name="Silent", state=HospitalState.LIVE, tls_mode="none", **where
    )


# ------------------------------------------------------------------------------------------- a day without an answer


def test_a_day_of_silence_makes_few_tries_and_no_two_pauses_alike(sources_on_loopback: None) -> None:
    """T12: a simulated day of ticks, one a minute, and every try is made for real."""
    hospital = silent_hospital()
    control.start(interval_minutes=5, actor=None, now=NOW)
    tried_at: list[dt.datetime] = []
    now = NOW
    while now < NOW + dt.timedelta(days=1):
        if control.due_hospitals(now=now):
            tried_at.append(now)
            pipeline.sync_hospital(hospital=hospital, trigger=SyncRun.Trigger.SCHEDULE, now=now)
        due_at = control.next_due_at(now=now)
        assert due_at is not None
        now += max(MINUTE, (due_at - now) // MINUTE * MINUTE)
    pauses = [later - earlier for earlier, later in pairwise(tried_at)]
    assert pauses[:2] == [5 * MINUTE, 5 * MINUTE], "a hiccup costs nobody an hour"
    assert 24 <= len(tried_at) <= 24 / 0.8 + 10
    assert max(pauses) <= 60 * 1.2 * MINUTE + MINUTE
    assert len(set(pauses)) > 8, "jittered"
    breaker = Breaker.objects.get()
    assert (breaker.state, breaker.n_failures) == ("open", len(tried_at))


def test_after_half_a_day_without_scheduler_each_hospital_has_one_run(sources_on_loopback: None) -> None:
    """T17: and the ticks that were missed are not made up for."""
    hospitals = [silent_hospital(number=number) for number in range(1, 6)]
    control.start(interval_minutes=5, actor=None, now=NOW)
    for hospital in hospitals:
        Breaker.objects.create(hospital=hospital, last_try_at=timezone.now() - dt.timedelta(hours=12))
    for _ in range(3):
        tasks.tick()
    assert sorted(SyncRun.objects.values_list("hospital__number", flat=True)) == [1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------- what runs leave behind


def runs_of(hospital: Hospital, *, n: int, every: dt.timedelta, **fields: Any) -> None:
    """So many runs that are over, the newest one `every` ago."""
    SyncRun.objects.bulk_create(
        [
            SyncRun(hospital=hospital, started_at=NOW - position * every, **({"trigger": "schedule"} | fields))
            for position in range(1, n + 1)
        ],
        batch_size=500,
    )


def test_old_runs_are_deleted_and_the_audit_chain_is_not_touched() -> None:
    """T41: ten thousand runs of five months."""
    busy, idle = silent_hospital(number=1), silent_hospital(number=2)
    runs_of(busy, n=8_000, every=dt.timedelta(minutes=30), status="ok", n_created=1)  # 166 days
    runs_of(busy, n=2_000, every=dt.timedelta(hours=1), status="ok")  # 83 days
    runs_of(idle, n=50, every=dt.timedelta(days=10), status="failed", error_kind="unreachable")
    SyncRun.objects.create(hospital=idle, trigger="api", status="running", started_at=NOW - dt.timedelta(days=400))
    record_event(action="sync_requested", actor=None, now=NOW - dt.timedelta(days=400))
    n_told = AuditEvent.objects.count()
    n_deleted = runs.prune(now=NOW)
    left = SyncRun.objects.filter(hospital=busy)
    assert n_deleted == 10_000 - left.count() > 4_000
    assert left.filter(n_created=1).count() == 90 * 48
    assert left.filter(n_created=0).count() == 35 * 24
    assert SyncRun.objects.filter(hospital=idle).count() == 51, "the last hundred stay, and what is under way"
    assert AuditEvent.objects.count() == n_told
    assert runs.prune(now=NOW) == 0


def test_no_hospital_keeps_more_runs_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """T41: nor does a clock that is a century ahead delete the last ones."""
    monkeypatch.setattr(runs, "MOST_KEPT", 300)
    hospital = silent_hospital()
    runs_of(hospital, n=500, every=dt.timedelta(seconds=1), status="failed")
    runs.prune(now=NOW)
    newest = NOW - dt.timedelta(seconds=300)
    assert list(SyncRun.objects.filter(started_at__lt=newest)) == []
    assert SyncRun.objects.count() == 300
    runs.prune(now=NOW + dt.timedelta(days=36_500))
    assert SyncRun.objects.count() == runs.FEWEST_KEPT


def test_the_tick_deletes_old_runs_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """T41"""
    monkeypatch.setattr(runs, "FEWEST_KEPT", 1)
    hospital = silent_hospital()
    Hospital.objects.update(state=HospitalState.PAUSED)
    for _ in range(2):
        runs_of(hospital, n=3, every=dt.timedelta(days=400), status="failed")
        tasks.tick()
    assert SyncRun.objects.count() == 1 + 3
    Heartbeat.objects.filter(name=queue.PRUNED).update(at=timezone.now() + dt.timedelta(days=900))
    tasks.tick()
    assert SyncRun.objects.count() == 1


# ------------------------------------------------------------------------------------------- connections


@pytest.fixture
def impatient(db: None, sources_on_loopback: None) -> Iterator[MariaDBServer]:
    """A server that drops whoever says nothing for a second."""
    with MariaDBServer(extra_args=["--wait-timeout=1", "--interactive-timeout=1"]) as server:
        yield server


def open_connections(server: MariaDBServer) -> int:
    return sum(row[1] == world.READER for row in server.execute("SHOW PROCESSLIST"))


@pytest.mark.integration
@pytest.mark.slow
def test_two_hundred_runs_at_twenty_hospitals_leave_no_connection_open(impatient: MariaDBServer) -> None:
    """T43"""
    site = world.open_site(impatient, "shared_host")
    site.add_holder(ALICE)
    numbers = range(2, 21)
    others = [world.live_hospital(impatient, "shared_host", number=number, code=f"h{number}") for number in numbers]
    before = impatient.execute("SHOW GLOBAL STATUS LIKE 'Max_used_connections'")[0][1]
    for _ in range(10):
        for hospital in (site.hospital, *others):
            assert world.sync(hospital, deep=None).status == "ok"
            assert open_connections(impatient) <= 1, "one that was closed a moment ago may still be listed"
    (most_at_once,) = (int(row[1]) for row in impatient.execute("SHOW GLOBAL STATUS LIKE 'Max_used_connections'"))
    assert most_at_once <= int(before) + 3
    deadline = time.monotonic() + 10
    while open_connections(impatient) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert open_connections(impatient) == 0


@pytest.mark.integration
def test_a_server_that_drops_the_idle_does_not_drop_us_while_we_write(
    impatient: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T43: between two batches we say nothing for longer than its patience."""
    site = world.open_site(impatient, "impatient")
    for number in range(3):
        site.pretend.add_obs(site.add_holder(f"119908000000{number:04d}"), "weight", 60.0)
    render = enricher.render

    def dawdle(*arguments: Any, **options: Any) -> Any:
        time.sleep(1.5)
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", dawdle)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 1)
    assert site.sync().n_persons == 3


# ------------------------------------------------------------------------------------------- all at once


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_ten_hospitals_that_write_at_once_all_succeed_and_nothing_is_doubled(
    mariadb: MariaDBServer, sources_on_loopback: None
) -> None:
    """T65: the same patient and the same doctors, which came from one template."""
    sites = [hospital_of(mariadb, number) for number in range(1, 11)]
    together = threading.Barrier(len(sites))
    found: list[SyncRun] = []

    def read(site: Site) -> None:
        together.wait()
        found.append(world.sync(site.hospital))
        connections.close_all()

    threads = [threading.Thread(target=read, args=(site,)) for site in sites]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(run.status, run.message) for run in found] == [("ok", "")] * len(sites)
    patient = Patient.objects.get()
    assert Link.objects.filter(patient=patient, state="linked").count() == len(sites)
    assert Doctor.objects.count() == len(sites) * Doctor.objects.filter(hospital=sites[0].hospital).count() > 0
    for site in sites:
        assert len(site.values()) == 300
        assert world.verified(site.hospital).is_well


def hospital_of(server: MariaDBServer, number: int) -> Site:
    site = world.open_site(server, f"parallel_{number}", number=number, seed="template")
    person = site.add_holder(ALICE)
    encounter = site.pretend.add_encounter(person)
    with site.pretend.bulk():
        for _ in range(300):
            site.pretend.add_obs(person, "pulse", 70.0, encounter=encounter)
    return site
