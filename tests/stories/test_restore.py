"""Our own database is put back to a copy of three days ago, in the way that docs/operations.md says."""

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from openmrs_sync import control, queue, runs, tasks
from openmrs_sync.models import Claim, SyncRun
from passport import audit
from passport.models import Link, Patient
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"
DAY = dt.timedelta(days=1)


@pytest.fixture
def backed_up(tmp_path: Path) -> Callable[[], Callable[[], None]]:
    """Call it to take a copy while everything runs, as `.backup` of sqlite3 does; call what it returns to restore."""
    if connection.vendor != "sqlite":
        pytest.skip("the copy of a SQLite file; the others' tools copy theirs")
    file, copy = str(connection.settings_dict["NAME"]), tmp_path / "passport-backup.sqlite3"

    def restore() -> None:
        connection.close()
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)

    def back_up() -> Callable[[], None]:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return restore

    return back_up


def read(site: Site, *, now: dt.datetime) -> SyncRun:
    """As the schedule does: a deep look when it is due, the sweep when it is due, nothing asked for."""
    return site.sync(now=now, deep=None, trigger=SyncRun.Trigger.SCHEDULE)


def test_after_a_restore_the_gap_is_read_again_and_nothing_is_unexplained(
    kigali: Site, backed_up: Callable[[], Callable[[], None]]
) -> None:
    """T64: three days of a hospital's life that our copy does not know, read without being told to."""
    now, h = timezone.now(), kigali.pretend
    alice, bob = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    encounter, moving = h.add_encounter(alice), h.add_encounter(alice)
    rows = [h.add_obs(alice, "weight", 60.0 + n, encounter=encounter) for n in range(6)]
    h.add_obs(alice, "pulse", 70.0, encounter=moving)
    order = h.add_drug_order(alice, encounter=encounter, days=100)
    read(kigali, now=now - 3 * DAY)
    # a run under way and a task in the queue are in the copy, too
    Claim.objects.update(token=41, lease_until=now - 3 * DAY + dt.timedelta(minutes=2))
    under_way = SyncRun.objects.create(
        hospital=kigali.hospital, trigger="schedule", status="running", started_at=now - 3 * DAY, worker="gone"
    )
    queue.enqueue_tick()
    restore = backed_up()

    Claim.objects.update(lease_until=None)
    for day in (2, 1):
        h.void_obs(rows[day])
        h.edit_obs(rows[day + 2], 80.0 + day)
        with h.bulk():
            for _ in range(700):
                h.add_obs(bob, "pulse", 80.0)
        read(kigali, now=now - day * DAY)
    h.purge_obs(rows[5])
    h.move_encounter(moving, bob)
    h.update("orders", order, date_stopped=h.clock())  # no trace but the sweep
    carol = h.add_person(national_id=CAROL)
    h.add_obs(carol, "weight", 50.0)
    world.register(CAROL)
    read(kigali, now=now)
    ahead = world.as_values(world.shown(kigali.hospital))

    restore()

    assert Patient.objects.count() == 2, "who registered since must register again"
    tasks.tick()
    under_way.refresh_from_db()
    assert under_way.status == "interrupted"
    world.register(CAROL)
    assert read(kigali, now=now).status == "ok"
    assert world.as_values(world.shown(kigali.hospital)) == ahead
    assert world.verified(kigali.hospital).is_well
    assert world.nothing_changed(kigali.sync(full=True))


def test_after_a_restore_the_schedule_runs_and_the_audit_chain_is_whole(
    kigali: Site, backed_up: Callable[[], Callable[[], None]]
) -> None:
    """T64: one run each, no catching up, and an account of what was done before the copy."""
    now = timezone.now()
    control.start(interval_minutes=5, actor=None, now=now - 3 * DAY)
    queue.reconcile_schedule(now=now - 3 * DAY)
    read(kigali, now=now - 3 * DAY)
    restore = backed_up()
    read(kigali, now=now)
    restore()
    OrmQ.objects.all().delete()
    queue.reconcile_schedule(now=now)
    for _ in range(3):
        tasks.tick()
    assert Schedule.objects.count() == 1
    assert SyncRun.objects.filter(status="queued").count() == 1
    assert runs.end_dead_runs(now=timezone.now()) == 0
    assert audit.verify().is_whole
    assert not Link.objects.filter(inflight__gt=Claim.objects.get().token).exists()
