"""Our own store in trouble: the power goes, the disk is full, somebody holds the lock. One named run, nothing lost."""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from openmrs_sync import enricher, pipeline
from openmrs_sync.models import Breaker, SyncRun
from passport.models import Link
from tests.crashes import story
from tests.crashes.processes import FORKING, Photograph, at_write, forked, stop_self
from tests.crashes.story import LATER
from tests.integration import world
from tests.integration.world import Site

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(FORKING),
]


@pytest.fixture(autouse=True)
def _sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL and MySQL have recovery, quotas and locks of their own")


def database() -> Path:
    return Path(connection.settings_dict["NAME"])


def without_crash(site: Site) -> tuple[Photograph, dict[str, Any]]:
    """The store before the run, put back, and what the run would leave."""
    story.tell(site)
    before = Photograph()
    site.sync(now=timezone.now() + LATER)
    wanted = story.left_behind(site)
    before.put_back()
    return before, wanted


def heals(site: Site, wanted: dict[str, Any]) -> bool:
    site.sync(now=timezone.now() + LATER)
    assert story.left_behind(site) == wanted
    return world.verified(site.hospital).is_well


# --- the power --------------------------------------------------------------------------------------------------------


def copies(child: int, folder: Path) -> list[Path]:
    """The database and its log as they lie on the disk each time the child stops, until it ends."""
    found = []
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            assert os.WEXITSTATUS(status) == 0
            return found
        copy = folder / f"{len(found)}.sqlite3"
        # By another process: when this one closes the file, every lock that it has there is gone (POSIX), and the next
        # who closes it takes the log away from under our connections.
        for end in ("", "-wal"):
            subprocess.run(["cp", f"{database()}{end}", f"{copy}{end}"], check=True)
        found.append(copy)
        os.kill(child, signal.SIGCONT)


def torn(copy: Path, chance: random.Random) -> Path:
    """The same, but what was written last did not reach the disk, or only half of it."""
    other = copy.with_name(f"torn-{copy.name}")
    shutil.copy(copy, other)
    log = Path(f"{copy}-wal").read_bytes()
    cut = chance.randrange(32, len(log)) if len(log) > 32 else len(log)
    Path(f"{other}-wal").write_bytes(log[:cut] + chance.randbytes(min(512, len(log) - cut)))
    return other


@pytest.mark.slow
def test_what_lies_on_the_disk_at_any_moment_of_a_write_is_whole_and_the_engine_goes_on_from_it(
    kigali: Site, tmp_path: Path
) -> None:
    """T6: the power goes between two pages, with the log as it is, cut off and torn."""
    before, wanted = without_crash(kigali)
    with connection.cursor() as cursor:  # what was there before is in the file: the log holds the run's writes alone
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def work() -> bool:
        with connection.execute_wrapper(at_write(9, stop_self, then=True)):
            return world.sync(kigali.hospital).status == "ok"

    photographed = copies(forked(work), tmp_path)
    assert len(photographed) > 3
    chance = random.Random(7)
    states = set()
    for copy in [*photographed, *(torn(copy, chance) for copy in photographed)]:
        with sqlite3.connect(copy) as left:
            assert left.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            states.add(left.execute("SELECT COUNT(*), TOTAL(digest) FROM passport_record").fetchone())
            connection.ensure_connection()
            left.backup(connection.connection)
        left.close()
        assert heals(kigali, wanted), copy.name
    assert len(states) > 1, "they were taken before and after records had changed"
    before.close()


# --- room -------------------------------------------------------------------------------------------------------------


def test_a_store_that_may_not_grow_fails_the_run_by_name_and_goes_on_when_there_is_room(kigali: Site) -> None:
    """T6: small writes still fit, the records do not."""
    person = kigali.add_holder(story.ALICE)
    kigali.sync()
    encounter = kigali.pretend.add_encounter(person)
    with kigali.pretend.bulk():
        for n in range(600):
            kigali.pretend.add_obs(person, "note", f"{n} " * 100, encounter=encounter)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # pages that other tests have freed are room, too
        cursor.execute("PRAGMA page_count")
        (n_pages,) = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count = {n_pages + 30}")
    run = world.sync(kigali.hospital)
    assert (run.status, run.error_kind, run.message) == ("failed", "internal", pipeline.STORE_FAILED)
    assert SyncRun.objects.get(pk=run.pk).status == "failed"
    assert not kigali.values(), "nothing of the batch, not half of it"
    assert Breaker.objects.get().n_failures == 0, "no hospital is to blame"
    assert not Link.objects.filter(n_failures__gt=0).exists(), "and no person"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")
    kigali.sync()
    assert len(kigali.values()) == 600
    assert world.verified(kigali.hospital).is_well


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_order_and_the_next_one_goes_on(kigali: Site) -> None:
    """T6: not a byte can be written any more, the end of the run neither."""
    before, wanted = without_crash(kigali)
    for n_bytes in (0, 20_000, 60_000, 120_000):
        before.put_back()
        kigali.hospital.refresh_from_db()

        def work(n_bytes: int = n_bytes) -> bool:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does: the write fails instead
            with connection.cursor() as cursor:  # a log that somebody else keeps open has room to be written anew
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                assert cursor.fetchone()[0] == 0
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
            run = world.sync(kigali.hospital)
            return (run.status, run.error_kind, run.message) == ("failed", "internal", pipeline.STORE_FAILED)

        _, status = os.waitpid(forked(work), 0)
        assert (os.WIFEXITED(status), os.WEXITSTATUS(status)) == (True, 0), n_bytes
        assert heals(kigali, wanted), n_bytes
    before.close()


# --- the lock ---------------------------------------------------------------------------------------------------------


class Lock:
    """Another program that writes, and does not end."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(database(), isolation_level=None, timeout=60)

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.close()


@pytest.fixture
def impatient() -> None:
    """20 s in production."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 200")


def test_a_store_that_is_locked_from_the_beginning_is_one_clean_failure(
    kigali: Site, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    person = kigali.add_holder(story.ALICE)
    kigali.pretend.add_obs(person, "weight", 60.0)
    lock = Lock()
    lock.take()
    with pytest.raises(CommandError) as caught:
        call_command("sync")
    assert caught.value.returncode == 1
    assert pipeline.STORE_FAILED in capsys.readouterr().out
    lock.release()
    kigali.sync()
    assert list(kigali.values().values()) == ["60"]


def test_a_store_that_is_locked_in_mid_run_is_one_clean_failure_and_the_next_run_heals(
    kigali: Site, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T65, T13: the run's end cannot be written either; a later tick ends it."""
    from openmrs_sync import runs

    before, wanted = without_crash(kigali)
    before.close()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 200")
    render, lock = enricher.render, Lock()

    def lock_first(*arguments: Any, **options: Any) -> Any:
        lock.take()
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", lock_first)
    run = world.sync(kigali.hospital)
    assert (run.status, run.error_kind, run.message) == ("failed", "internal", pipeline.STORE_FAILED)
    monkeypatch.undo()
    lock.release()
    assert runs.end_dead_runs(now=timezone.now() + LATER) == 1
    assert SyncRun.objects.get(pk=run.pk).status == "interrupted"
    assert heals(kigali, wanted)
    connections.close_all()
