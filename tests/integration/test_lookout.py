"""The lookout: what it notices, what it costs, and that nothing it meets stops it. Real servers, real threads."""

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection
from django.utils import timezone

from hospitals.connections import open_hospital
from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, lookout, queries, queue, runs, schema, tasks
from openmrs_sync.models import Breaker, Claim, SyncRun
from passport.models import AuditEvent, Link
from tests.integration import world
from tests.integration.test_queue import Work, wait_for, work
from tests.integration.world import Site
from tests.openmrs.proxy import Proxy
from tests.openmrs.server import MariaDBServer

__all__ = ["work"]  # the fixture

NOBODY_ASKED = pytest.mark.django_db


@pytest.fixture
def schedule(db: None) -> None:
    control.start(interval_minutes=60, actor=None, now=timezone.now())


def signs_of(site: Site) -> lookout.Signs:
    with open_hospital(site.hospital) as source:
        return lookout.read_signs(source, queries.signs(schema.discover(source.fetch)))


@pytest.fixture(params=["kigali", "huye"])
def site(request: pytest.FixtureRequest, db: None) -> Site:  # what is asked for by name comes too late for `db`
    return request.getfixturevalue(request.param)


# --- the signs --------------------------------------------------------------------------------------------------------


def test_what_is_added_or_voided_anywhere_moves_a_sign_and_an_undisturbed_hospital_none(site: Site) -> None:
    pretend = site.pretend
    person = pretend.add_person(national_id="1199080000000001")
    encounter = pretend.add_encounter(person)
    obs = pretend.add_obs(person, "pulse", 70.0, encounter=encounter)
    numbers = pretend.identifiers_of(person)
    before = signs_of(site)
    assert signs_of(site) == before
    for change in (
        lambda: pretend.add_obs(person, "pulse", 71.0),
        lambda: pretend.void_obs(obs),
        lambda: pretend.unvoid_obs(obs),
        lambda: pretend.purge_obs(obs),
        lambda: pretend.add_visit(person),
        lambda: pretend.void_encounter(encounter),
        lambda: pretend.unvoid_encounter(encounter),
        lambda: (
            pretend.add_condition(person, "malaria") if site.pretend.version != "1.9" else pretend.add_visit(person)
        ),
        lambda: pretend.add_identifier(person, "1199080000000002"),
        lambda: pretend.void_identifier(numbers[0]),
        lambda: pretend.void_patient(person),
    ):
        change()
        after = signs_of(site)
        assert after != before
        before = after


def test_a_row_that_is_committed_late_under_a_lower_id_moves_a_sign(kigali: Site) -> None:
    person = kigali.pretend.add_person()
    low = kigali.pretend.add_obs(person, "pulse", 70.0)
    kigali.pretend.add_obs(person, "pulse", 71.0)
    (row,) = kigali.pretend.rows("obs", obs_id=low)
    kigali.pretend.purge_obs(low)
    before = signs_of(kigali)
    kigali.pretend.insert("obs", **{name: value for name, value in row.items() if value is not None})
    assert signs_of(kigali) != before


@pytest.mark.parametrize(
    "moved, is_deep",
    [
        (("obs", "new"), False),
        (("obs", "voids"), False),
        (("patient_identifier", "voids"), False),
        (("encounter", "voids"), True),
        (("conditions", "voids"), True),
        (("encounter", "date_changed"), True),
    ],
)
def test_only_what_leaves_no_other_trace_asks_for_a_deep_look(moved: tuple[str, str], is_deep: bool) -> None:
    still = {("obs", "new"): (1, 1), ("visit", "voids"): (0, 0)}
    assert lookout.needs_deep(still | {moved: (1, 1)}, still | {moved: (2, 3)}) is is_deep
    assert not lookout.needs_deep(still, still)


def test_a_look_is_one_statement_and_reads_a_tenth_of_an_idle_look(mariadb: MariaDBServer, kigali: Site) -> None:
    person = kigali.add_holder("1199080000000001")
    with kigali.pretend.bulk():
        for value in range(2_000):
            kigali.pretend.add_obs(person, "pulse", float(value % 90))
    kigali.sync()
    with open_hospital(kigali.hospital) as source:
        sql = queries.signs(schema.discover(source.fetch))

        def n_read() -> int:
            rows = source.fetch("SHOW SESSION STATUS LIKE 'Handler_read%'")
            return sum(int(value) for _, value in rows)

        lookout.read_signs(source, sql)
        own = -n_read() + n_read()  # what asking costs
        before = n_read()
        lookout.read_signs(source, sql)
        n_look = n_read() - before - own
    with mariadb.connect() as link, contextlib.closing(link.cursor()) as cursor:

        def n_all() -> int:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
            return sum(int(value) for _, value in cursor.fetchall())

        before = n_all()
        kigali.sync(deep=False)
        n_idle = n_all() - before
    assert 0 < n_look < 400
    assert n_look * 5 < n_idle


# --- what a run finds that the lookout asked for ----------------------------------------------------------------------


def test_a_run_of_the_lookout_finds_a_void_and_an_unvoid_without_a_deep_look(site: Site) -> None:
    person = site.add_holder("1199080000000001")
    obs = site.pretend.add_obs(person, "pulse", 70.0)
    site.sync()
    site.pretend.void_obs(obs)
    site.sync(deep=False)
    assert obs in site.values(), "the schedule's look does not see it: without this the next line proves nothing"
    site.sync(deep=False, trigger=SyncRun.Trigger.WATCH)
    assert obs not in site.values()
    site.pretend.unvoid_obs(obs)
    site.sync(deep=False, trigger=SyncRun.Trigger.WATCH)
    assert obs in site.values()


def test_a_run_that_was_asked_to_look_deep_finds_what_only_stamps_tell(kigali: Site) -> None:
    person = kigali.add_holder("1199080000000001")
    encounter = kigali.pretend.add_encounter(person)
    kigali.sync()
    assert encounter in kigali.values("encounter")
    kigali.pretend.void_encounter(encounter)
    for is_deep in (False, True):
        (run,) = queue.enqueue(hospitals=[kigali.hospital], trigger="watch", now=timezone.now(), is_deep=is_deep).runs
        tasks.sync_one(str(kigali.hospital.pk), str(run.pk))
        assert (encounter in kigali.values("encounter")) is not is_deep


# --- which hospitals are looked at ------------------------------------------------------------------------------------


def watched() -> list[str]:
    return [hospital.code for hospital in lookout.hospitals_to_watch(now=timezone.now())]


@NOBODY_ASKED
class TestWanted:
    @pytest.fixture(autouse=True)
    def _one_hospital(self, schedule: None) -> None:
        Hospital.objects.create(
            number=1, code="kigali", name="Kigali", state="live", host="h", database="d", username="u", tls_mode="none"
        )

    def test_a_live_hospital_is_watched_and_any_other_state_is_not(self) -> None:
        assert watched() == ["kigali"]
        for state in set(HospitalState) - {HospitalState.LIVE}:
            Hospital.objects.update(state=state)
            assert watched() == []

    def test_not_where_it_is_turned_off(self) -> None:
        Hospital.objects.update(is_watched=False)
        assert watched() == []

    def test_not_in_quiet_hours(self) -> None:
        now = timezone.now()
        hour = dt.timedelta(hours=1)
        Hospital.objects.update(time_zone="UTC", quiet_from=(now - hour).time(), quiet_to=(now + hour).time())
        assert watched() == []
        Hospital.objects.update(time_zone="UTC", quiet_from=(now + hour).time(), quiet_to=(now + 2 * hour).time())
        assert watched() == ["kigali"]

    @pytest.mark.parametrize("state, found", [("closed", ["kigali"]), ("open", []), ("half_open", [])])
    def test_not_while_the_breaker_is_open(self, state: str, found: list[str]) -> None:
        Breaker.objects.create(hospital=Hospital.objects.get(), state=Breaker.State(state))
        assert watched() == found

    def test_not_while_the_schedule_is_stopped(self) -> None:
        control.stop(actor=None, now=timezone.now())
        assert watched() == []

    def test_a_source_that_was_busy_gets_its_rest_and_a_wrong_clock_does_not_make_it_endless(self) -> None:
        hospital, now = Hospital.objects.get(), timezone.now()
        assert not lookout.is_resting(hospital=hospital, now=now)
        run = SyncRun.objects.create(
            hospital=hospital, trigger="watch", status="ok", started_at=now, finished_at=now, source_seconds=2.0
        )
        assert lookout.is_resting(hospital=hospital, now=now + dt.timedelta(seconds=7))
        assert not lookout.is_resting(hospital=hospital, now=now + dt.timedelta(seconds=9))
        run.finished_at = now + dt.timedelta(days=900)
        run.save()
        assert not lookout.is_resting(hospital=hospital, now=now)


# --- the loop, in this process ----------------------------------------------------------------------------------------


class Steps(lookout.Lookout):
    """The lookout, its main thread's round done at our word: the threads that look are real."""

    def step(self) -> None:
        self._guarded(self._read_wanted)
        self._settle()
        self._collect()
        if self.pending:
            self._guarded(self._enqueue)

    def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step()
            if found := condition():
                return found
        raise AssertionError(f"not within {seconds} s")

    def has_seen(self, code: str = "kigali") -> bool:
        return any(eye.hospital.code == code and eye.seen is not None for eye in self._eyes.values())

    def thread_of(self, code: str) -> lookout.Eye:
        return next(eye for eye in self._eyes.values() if eye.hospital.code == code)

    def end(self) -> None:
        for eye in self._eyes.values():
            eye.close()
        for eye in self._eyes.values():
            eye.join(20)


@pytest.fixture
def steps(settings: Any, schedule: None) -> Iterator[Steps]:
    settings.WATCH_SECONDS = 0.2
    found = Steps()
    yield found
    found.end()


def queued() -> list[tuple[str, str]]:
    rows = SyncRun.objects.filter(status="queued", trigger="watch").order_by("started_at")
    return list(rows.values_list("hospital__code", "trigger"))


def end_runs(status: str = "ok") -> None:
    SyncRun.objects.filter(status__in=runs.UNDER_WAY).update(status=status, finished_at=timezone.now())


def test_what_moves_is_queued_once_and_again_after_a_run_that_had_begun(kigali: Site, steps: Steps) -> None:
    person = kigali.add_holder("1199080000000001")
    steps.until(steps.has_seen)
    assert queued() == []
    kigali.pretend.add_obs(person, "pulse", 70.0)
    steps.until(queued)
    kigali.pretend.add_obs(person, "pulse", 71.0)
    time.sleep(1)
    steps.until(lambda: not steps.pending)
    assert len(queued()) == 1, "a run that waits will see it"
    SyncRun.objects.update(status="running")
    kigali.pretend.add_obs(person, "pulse", 72.0)
    steps.until(lambda: steps.pending)
    for _ in range(5):
        steps.step()
    assert queued() == []
    end_runs()
    steps.until(queued)
    assert SyncRun.objects.count() == 2


def test_nothing_is_stored_or_marked_but_the_run_that_is_asked_for(kigali: Site, steps: Steps) -> None:
    person = kigali.add_holder("1199080000000001")
    kigali.sync()

    def stored() -> list[Any]:
        return [*Link.objects.values(), *Hospital.objects.values(), *AuditEvent.objects.values("pk")]

    before = stored()
    steps.until(steps.has_seen)
    kigali.pretend.add_obs(person, "pulse", 70.0)
    steps.until(queued)
    assert stored() == before


def test_one_patients_refresh_does_not_make_the_run_end_as_busy(kigali: Site, steps: Steps) -> None:
    person = kigali.add_holder("1199080000000001")
    steps.until(steps.has_seen)
    Claim.objects.create(hospital=kigali.hospital, token=1, lease_until=timezone.now() + dt.timedelta(seconds=60))
    kigali.pretend.add_obs(person, "pulse", 70.0)
    steps.until(lambda: steps.pending)
    steps.step()
    assert queued() == []
    Claim.objects.update(lease_until=None)
    steps.until(queued)


def n_connections(server: MariaDBServer) -> int:
    rows = server.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s", (world.READER,))
    return int(rows[0][0])


def test_one_connection_stays_open_and_is_closed_when_the_hospital_is_paused(
    mariadb: MariaDBServer, kigali: Site, steps: Steps
) -> None:
    steps.until(steps.has_seen)
    ids = "SELECT id FROM information_schema.processlist WHERE user = %s"
    (before,) = mariadb.execute(ids, (world.READER,))
    time.sleep(1)
    assert mariadb.execute(ids, (world.READER,)) == [before]
    Hospital.objects.update(state=HospitalState.PAUSED)
    steps.until(lambda: n_connections(mariadb) == 0)
    Hospital.objects.update(state=HospitalState.LIVE)
    steps.until(lambda: n_connections(mariadb) == 1)


def test_what_moved_while_a_hospital_was_paused_is_queued_when_it_is_live_again(kigali: Site, steps: Steps) -> None:
    person = kigali.add_holder("1199080000000001")
    steps.until(steps.has_seen)
    Hospital.objects.update(state=HospitalState.PAUSED)
    steps.until(lambda: not steps._eyes)
    kigali.pretend.add_obs(person, "pulse", 70.0)
    steps.step()
    assert queued() == []
    Hospital.objects.update(state=HospitalState.LIVE)
    assert steps.until(queued) == [("kigali", "watch")]


def test_a_connection_that_the_server_closed_is_opened_again_and_nothing_is_missed(
    mariadb: MariaDBServer, kigali: Site, steps: Steps
) -> None:
    person = kigali.add_holder("1199080000000001")
    steps.until(steps.has_seen)
    ((number,),) = mariadb.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (world.READER,))
    mariadb.execute(f"KILL {number}")
    kigali.pretend.add_obs(person, "pulse", 70.0)
    assert steps.until(queued) == [("kigali", "watch")]


def test_changed_settings_lead_to_the_new_place_and_a_hospital_may_come_late(
    mariadb: MariaDBServer, kigali: Site, steps: Steps
) -> None:
    steps.until(steps.has_seen)
    with Proxy(mariadb) as proxy:
        Hospital.objects.update(port=proxy.port)
        steps.until(lambda: steps.thread_of("kigali").hospital.port == proxy.port and steps.has_seen())
        late = world.open_site(mariadb, "rwamagana", number=9)
        steps.until(lambda: steps.has_seen("rwamagana"))
        late.pretend.add_person()
        assert steps.until(queued) == [("rwamagana", "watch")]
        assert n_connections(mariadb) == 2


def test_an_account_that_may_write_is_not_used(mariadb: MariaDBServer, kigali: Site, steps: Steps) -> None:
    mariadb.grant_writer("writer", "secret", "kigali")
    from passport.secrets import seal

    Hospital.objects.update(username="writer", password_sealed=seal("secret"))
    steps.until(lambda: steps._eyes and steps.thread_of("kigali").n_failures)
    assert not steps.has_seen()


def test_dead_hospitals_back_off_and_the_living_are_looked_at_all_the_same(
    mariadb: MariaDBServer, kigali: Site, steps: Steps
) -> None:
    person = kigali.add_holder("1199080000000001")
    with Proxy(mariadb) as hole, Proxy(mariadb) as refusing:
        hole.black_hole()
        refusing.refuse()
        for number, dead in enumerate((hole, refusing), start=11):
            hospital = world.live_hospital(mariadb, "kigali", number=number, code=f"dead-{number}", port=dead.port)
            assert hospital.is_watched
        steps.until(lambda: steps.thread_of("dead-12").n_failures and steps.has_seen())
        assert steps.thread_of("dead-11").is_alive()
        kigali.pretend.add_obs(person, "pulse", 70.0)
        assert steps.until(queued) == [("kigali", "watch")]
        assert steps.thread_of("dead-11").seen is None
        assert steps.thread_of("dead-12").n_failures < 5, "tried without a pause"


@pytest.mark.parametrize("kind", ["black_hole", "drip"])
def test_a_hospital_that_falls_silent_is_given_up_and_found_again(
    mariadb: MariaDBServer, kigali: Site, steps: Steps, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LOOK_TIMEOUT", 1.0)
    person = kigali.add_holder("1199080000000001")
    with Proxy(mariadb) as proxy:
        Hospital.objects.update(port=proxy.port)
        steps.until(steps.has_seen)
        getattr(proxy, kind)()
        steps.until(lambda: steps.thread_of("kigali").n_failures)
        kigali.pretend.add_obs(person, "pulse", 70.0)
        proxy.heal()
        assert steps.until(queued, seconds=60) == [("kigali", "watch")]


def test_our_own_database_may_be_away_and_what_moved_meanwhile_is_queued_after(
    kigali: Site, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = kigali.add_holder("1199080000000001")
    steps.until(steps.has_seen)

    def away(execute: Any, sql: str, *rest: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "close", lambda: None)  # the test's own transaction is on it
    kigali.pretend.add_obs(person, "pulse", 70.0)
    with connection.execute_wrapper(away):
        steps.until(lambda: steps.pending)
        steps.step()
    assert steps.until(queued) == [("kigali", "watch")]


def test_what_was_read_of_our_own_database_long_ago_is_not_trusted(
    mariadb: MariaDBServer, kigali: Site, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hospital may have been paused since."""
    steps.until(steps.has_seen)
    monkeypatch.setattr(lookout, "TRUSTED_SECONDS", 0.0)
    steps.until(lambda: n_connections(mariadb) == 0)


# --- the process ------------------------------------------------------------------------------------------------------


def commands(pids: list[int]) -> dict[str, int]:
    """The last word of each process's command line → pid."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            found[words[-1].decode()] = pid
    return found


@pytest.mark.django_db(transaction=True)
def test_told_to_end_it_ends_although_a_hospital_hangs(mariadb: MariaDBServer, sources_on_loopback: None) -> None:
    control.start(interval_minutes=60, actor=None, now=timezone.now())
    with Proxy(mariadb) as hole:
        hole.black_hole()
        mariadb.create_database("hanging")
        world.live_hospital(mariadb, "hanging", port=hole.port)
        command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "work", "--lookout"]
        allowed = os.environ | {"ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8"}
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=allowed) as process:
            wait_for(lambda: hole.n_connections)
            process.terminate()
            assert process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
class TestProcess:
    @pytest.fixture(autouse=True)
    def _with_a_lookout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WATCH_SECONDS", "1")

    def lookout_of(self, work: Work) -> int:
        return int(wait_for(lambda: commands(work.children()).get("--lookout")))

    def test_killed_it_is_started_again_and_the_cluster_goes_on(self, work: Work) -> None:
        main, first = work.main, self.lookout_of(work)
        os.kill(first, signal.SIGKILL)
        second = wait_for(lambda: (found := commands(work.children()).get("--lookout")) != first and found)
        assert second
        assert work.main == main

    def test_it_ends_with_the_supervisor_even_when_that_one_is_killed(self, work: Work) -> None:
        pid = self.lookout_of(work)
        work.process.kill()
        wait_for(lambda: _state(pid) == "Z", seconds=10)

    def test_a_change_is_shown_long_before_the_interval(self, mariadb: MariaDBServer, work: Work) -> None:
        control.set_interval(interval_minutes=60, actor=None, now=timezone.now())
        site = world.open_site(mariadb, "kigali")
        person = site.add_holder("1199080000000001")
        wait_for(lambda: Breaker.objects.filter(last_success_at__isnull=False).exists())
        wait_for(lambda: n_connections(mariadb) == 1)
        time.sleep(3)
        obs = site.pretend.add_obs(person, "pulse", 70.0)
        wait_for(lambda: obs in site.values())
        site.pretend.void_obs(obs)
        wait_for(lambda: obs not in site.values())
        assert SyncRun.objects.filter(trigger="watch", status="ok").exists()


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"
