"""What machines tell one another through the database, each played by objects of its own in one process."""

import datetime as dt
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ

from openmrs_sync import alerts, peers, queue, runs, supervisor, tasks
from openmrs_sync.lookout import Lookout
from openmrs_sync.models import Alert, Claim, Heartbeat, SyncRun
from passport import checks
from passport.audit import record_event
from passport.models import AuditEvent
from passport.secrets import seal
from tests.integration.test_queue import hospital, run_of

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


class Clock:
    """The watching machine's monotonic one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(peers.time, "monotonic", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# --- clusters ---------------------------------------------------------------------------------------------------------


def test_a_cluster_that_says_nothing_for_a_minute_is_noticed_by_the_others(clock: Clock) -> None:
    one, other = peers.Watch(), peers.Watch()
    other.look(mine="b:1:x", now=NOW)
    assert one.look(mine="a:1:x", now=NOW) == []
    clock.seconds += peers.SILENCE_SECONDS + 1
    assert one.look(mine="a:1:x", now=NOW) == ["b:1:x"]


def test_a_cluster_whose_wall_clock_is_wrong_is_not_taken_for_dead(clock: Clock) -> None:
    one, other = peers.Watch(), peers.Watch()
    for step in range(10):
        clock.seconds += peers.SILENCE_SECONDS / 2
        assert other.look(mine="b:1:x", now=NOW - dt.timedelta(days=1) + step * SECOND) == []
        assert one.look(mine="a:1:x", now=NOW + step * SECOND) == []


def test_who_was_away_itself_takes_nobody_for_dead(clock: Clock) -> None:
    one = peers.Watch()
    peers.Watch().look(mine="b:1:x", now=NOW)
    one.look(mine="a:1:x", now=NOW)
    clock.seconds += 10 * peers.SILENCE_SECONDS
    one.start_anew()
    assert one.look(mine="a:1:x", now=NOW) == []


def test_what_a_silent_cluster_had_in_hand_is_set_free(clock: Clock) -> None:
    """T13, T74: its run ends, its claim is over, and what waited in its memory is delivered again."""
    now = timezone.now()
    at_work, waiting = hospital("at-work", number=1), hospital("waiting", number=2)
    run_of(at_work, "running", worker="b:1:x", token=5)
    Claim.objects.create(hospital=at_work, token=5, lease_until=now + 90 * SECOND)
    queue.enqueue(hospitals=[waiting], trigger="schedule", now=now)
    OrmQ.objects.update(lock=now + dt.timedelta(minutes=46))
    peers.Watch().look(mine="b:1:x", now=now)
    alive = supervisor.Supervisor()
    cluster: Any = type("Ours", (), {"worker": "a:1:x"})()
    alive._look_at_peers(cluster)
    assert OrmQ.objects.get().lock > now
    clock.seconds += peers.SILENCE_SECONDS + 1
    alive._look_at_peers(cluster)
    assert SyncRun.objects.get(hospital=at_work).status == "interrupted"
    assert Claim.objects.get(hospital=at_work).lease_until < timezone.now()
    assert OrmQ.objects.get().lock <= timezone.now()
    assert peers.machines_at_work() == {"a"}


def test_a_worker_that_wakes_up_late_does_not_tell_of_its_run_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """T13: whoever ended it told of it. Seen with three groups of workers, one of them stopped and woken."""
    site = hospital()
    (run,) = queue.enqueue(hospitals=[site], trigger="schedule", now=timezone.now()).runs
    original = tasks.pipeline.sync_hospital

    def ended_by_another(**arguments: Any) -> SyncRun:
        runs.interrupt(run=SyncRun.objects.get(pk=run.pk), now=timezone.now())
        return original(**arguments)

    monkeypatch.setattr(tasks.pipeline, "sync_hospital", ended_by_another)
    tasks.sync_one(str(site.pk), str(run.pk))
    assert SyncRun.objects.get(pk=run.pk).status == "interrupted"
    (told,) = AuditEvent.objects.filter(action="openmrs_auto_sync")
    assert told.details["status"] == "interrupted"


def test_a_supervisor_sends_ticks_while_its_own_workers_are_free(settings: Any) -> None:
    """Others may be as busy as they like: with as many runs under way as one machine has workers, it did not."""
    settings.Q_WORKERS = 1
    elsewhere, _due = hospital("elsewhere", number=1), hospital("due", number=2)
    run_of(elsewhere, "running", worker="b:1:x", started_at=timezone.now())
    Claim.objects.create(hospital=elsewhere, lease_until=timezone.now() + 90 * SECOND)
    cluster: Any = type("Ours", (), {"worker": "a:1:x"})()
    supervisor.Supervisor()._send_tick_when_due(cluster)
    assert OrmQ.objects.count() == 1
    SyncRun.objects.update(worker="a:1:x")
    OrmQ.objects.all().delete()
    supervisor.Supervisor()._send_tick_when_due(cluster)
    assert not OrmQ.objects.exists()


def test_tasks_are_taken_in_the_order_in_which_they_came_wherever_their_rows_lie() -> None:
    """PostgreSQL puts new rows where deleted ones were: a tick behind them was never executed."""
    now = timezone.now()
    for payload, ago in (("second", 20), ("first", 30), ("third", 10)):
        OrmQ.objects.create(key="passport", payload=payload, lock=now - ago * SECOND)
    broker = get_broker("passport")
    assert [broker.dequeue()[0][1] for _ in range(3)] == ["first", "second", "third"]


# --- one lookout ------------------------------------------------------------------------------------------------------


def test_of_two_lookouts_one_looks_and_the_other_takes_over_when_it_is_gone() -> None:
    first, second = peers.Lead(), peers.Lead()
    assert first.hold(now=NOW)
    assert not second.hold(now=NOW + SECOND)
    assert first.hold(now=NOW + 2 * SECOND)
    assert not second.hold(now=NOW + 11 * SECOND)
    assert second.hold(now=NOW + 13 * SECOND)
    assert not first.hold(now=NOW + 14 * SECOND)


def test_a_lookout_that_ends_lets_the_next_one_look_at_once() -> None:
    first, second = peers.Lead(), peers.Lead()
    assert first.hold(now=NOW)
    first.let_go(now=NOW + SECOND)
    assert second.hold(now=NOW + SECOND)


def test_a_clock_that_was_ahead_does_not_keep_the_lead_for_ever() -> None:
    assert peers.Lead().hold(now=NOW + dt.timedelta(days=900))
    assert peers.Lead().hold(now=NOW)


def test_a_lookout_without_the_lead_looks_at_nobody() -> None:
    hospital(is_watched=True)
    first, second = Lookout(), Lookout()
    first._read_wanted()
    second._read_wanted()
    assert (len(first._wanted), len(second._wanted)) == (1, 0)


# --- alerts -----------------------------------------------------------------------------------------------------------


def test_a_full_disk_of_one_machine_is_not_ended_by_another_that_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "DISK_BYTES", 2**62)
    monkeypatch.setattr(alerts, "DISK_PART", 1.0)
    peers.Watch().look(mine=f"{socket.gethostname()}:1:x", now=NOW)
    peers.Watch().look(mine="other-machine:1:x", now=NOW)
    assert alerts.look(now=NOW).n_began == 1
    monkeypatch.setattr(alerts, "DISK_BYTES", 0)
    monkeypatch.setattr(peers, "machine", lambda: "other-machine")
    assert alerts.look(now=NOW) == alerts.Looked(n_began=0, n_ended=0, n_to_tell=0)
    peers.forget(worker=f"{socket.gethostname()}:1:x")
    assert alerts.look(now=NOW).n_ended == 1
    assert not Alert.objects.filter(ended_at=None).exists()


# --- keys, clock, cache -----------------------------------------------------------------------------------------------


def test_a_machine_with_another_audit_key_is_refused(settings: Any) -> None:
    assert checks.check_keys(databases=["default"]) == []
    record_event(action="tested", actor=None, now=NOW)
    assert checks.check_keys(databases=["default"]) == []
    right, settings.AUDIT_KEY = settings.AUDIT_KEY, "another"
    assert [found.id for found in checks.check_keys(databases=["default"])] == ["passport.E010"]
    settings.AUDIT_OLD_KEYS = [right]
    assert checks.check_keys(databases=["default"]) == []


def test_a_machine_that_cannot_open_the_passwords_is_refused_and_says_whose(settings: Any) -> None:
    hospital("kigali", number=1, password_sealed=seal("secret"))
    hospital("huye", number=2, password_sealed="env:NOT_HERE")
    hospital("draft", number=3, state="draft", password_sealed="not for any key")
    assert checks.check_keys(databases=["default"]) == []
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    (found,) = checks.check_keys(databases=["default"])
    assert found.id == "passport.E011"
    assert "kigali" in found.msg
    assert "huye" not in found.msg


def test_work_does_not_start_with_other_keys(settings: Any) -> None:
    record_event(action="tested", actor=None, now=NOW)
    settings.AUDIT_KEY = "another"
    with pytest.raises(CommandError, match=r"passport\.E010"):
        call_command("work")


def test_checks_without_a_database_ask_none(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert [*checks.check_keys(), *checks.check_clock()] == []


def test_a_database_that_is_not_migrated_yet_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> bool:
        raise OperationalError("no such table")

    monkeypatch.setattr(checks.audit, "is_signed_by_us", away)
    assert checks.check_keys(databases=["default"]) == []


def test_a_clock_that_differs_from_the_databases_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_clock(databases=["default"]) == []
    ahead = timezone.now() + dt.timedelta(minutes=2)
    monkeypatch.setattr(checks.timezone, "now", lambda: ahead)
    assert [found.id for found in checks.check_clock(databases=["default"])] == ["passport.W002"]


def test_the_table_of_the_shared_cache_is_there_and_keeps_what_is_put_into_it(settings: Any) -> None:
    """Whatever the cache of this machine is: another's settings may name the table."""
    assert settings.CACHE_TABLE in connection.introspection.table_names()
    database = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": settings.CACHE_TABLE}
    settings.CACHES = settings.CACHES | {"shared": database}
    assert caches["shared"].add("limit", 1)
    assert not caches["shared"].add("limit", 2)
    assert caches["shared"].get("limit") == 1


@pytest.mark.parametrize(
    "database, redis, backend",
    [
        ("sqlite:////tmp/nowhere/passport.sqlite3", "", "FileBasedCache"),
        ("postgres://a:b@db/passport", "", "DatabaseCache"),
        ("mysql://a:b@db/passport", "", "DatabaseCache"),
        ("postgres://a:b@db/passport", "redis://cache:6379/0", "RedisCache"),
    ],
)
def test_limits_count_together_on_all_machines_that_share_a_database(
    database: str, redis: str, backend: str, tmp_path: Path
) -> None:
    import os
    import subprocess
    import sys

    told = "from django.conf import settings; print(settings.CACHES['default']['BACKEND'])"
    database = database.replace("/tmp/nowhere", str(tmp_path))
    environment = os.environ | {"DATABASE_URL": database, "REDIS_URL": redis, "VAR_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(backend)


def test_a_word_of_a_cluster_fits_whatever_the_machine_is_called() -> None:
    name = f"{'x' * 60}:4194304:0123abcd"
    peers.Watch().look(mine=name, now=NOW)
    assert Heartbeat.objects.filter(name=peers.AT_WORK + name).exists()
    assert len(peers.AT_WORK + name) <= Heartbeat._meta.get_field("name").max_length
