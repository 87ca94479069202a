"""Three machines, forty hospitals, one PostgreSQL. One machine dies, one stands still, one is cut off.

Everything that the hospitals write meanwhile is there at the end, once; the lag recovers while the machine is away.
"""

import contextlib
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.machines.groups import N_WORKERS, Group
from tests.machines.inside import NATIONAL_IDS
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer
from tests.parts import ROOT, require
from tests.stores.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.store, pytest.mark.timeout(1500)]

N_HOSPITALS = 40
READER, PASSWORD = "passport", "read-only-please"


class Country:
    """The hospitals, the store, and what was written since."""

    def __init__(self, mariadb: MariaDBServer, postgres: PostgresServer) -> None:
        self.hospitals = [PretendHospital(mariadb, f"m{n}", "2.6").create() for n in range(1, N_HOSPITALS + 1)]
        self.people: dict[str, list[int]] = {}
        self.n_written = 0
        for hospital in self.hospitals:
            with hospital.bulk():
                persons = [hospital.add_person(national_id=number) for number in NATIONAL_IDS]
                for person in persons:
                    for _ in range(3):
                        self._write(hospital, person)
            mariadb.grant_reader(READER, PASSWORD, hospital.database)
            self.people[hospital.database] = persons
        self._turn = itertools.cycle(self.hospitals)
        self.server, self.url = mariadb, postgres.url("passport")
        self._link = postgres.connect("passport")

    def close(self) -> None:
        self._link.close()

    def _write(self, hospital: PretendHospital, person: int) -> None:
        hospital.add_obs(person, "pulse", 60.0 + self.n_written % 40)
        self.n_written += 1

    def live_on(self) -> None:
        """Something is written at the next hospital."""
        hospital = next(self._turn)
        self._write(hospital, self.people[hospital.database][self.n_written % len(NATIONAL_IDS)])

    def ask(self, sql: str, *values: Any) -> Any:
        """One value."""
        row = self._link.execute(sql, values).fetchone()
        return row[0] if row else None

    def wait(self, is_so: Callable[[], object], *, seconds: float = 300.0, why: str) -> None:
        """Until it is so, while life goes on at the hospitals."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, why
            self.live_on()
            time.sleep(0.5)

    # -- what one may ask ---------------------------------------------------------------------------

    def now(self) -> dt.datetime:
        return self.ask("SELECT now()")

    def n_read_since(self, moment: dt.datetime) -> int:
        """Hospitals of which a look has succeeded that began after this moment."""
        return self.ask("SELECT count(*) FROM openmrs_sync_breaker WHERE last_success_at > %s", moment)

    def are_all_read_since(self, moment: dt.datetime) -> bool:
        return self.n_read_since(moment) == N_HOSPITALS

    def n_in_hand(self, group: Group) -> int:
        return self.ask(
            "SELECT count(*) FROM openmrs_sync_syncrun WHERE status = 'running' AND worker LIKE %s", group.mark
        )

    def n_done(self, group: Group, *, since: dt.datetime) -> int:
        return self.ask(
            "SELECT count(*) FROM openmrs_sync_syncrun WHERE status = 'ok' AND worker LIKE %s AND started_at > %s",
            *(group.mark, since),
        )

    def is_given_up(self, group: Group) -> bool:
        """The others have taken what it had in hand."""
        said = self.ask("SELECT count(*) FROM openmrs_sync_heartbeat WHERE name LIKE %s", group.mark)
        return not said and not self.n_in_hand(group)

    def n_there(self) -> int:
        return self.ask("SELECT count(*) FROM passport_record WHERE status = 'current' AND \"table\" = 'obs'")


def shared_settings(url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "CONTROL_DATABASE_URL": "",
        "REDIS_URL": "",
        "DEBUG": "false",
        "SECRET_KEY": "the same on every machine of this story, or nothing works",
        "AUDIT_KEY": "the same, too",
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
        "Q_WORKERS": str(N_WORKERS),
        "WATCH_SECONDS": "3",
        "LOG_LEVEL": "INFO",
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "PYTHONUNBUFFERED": "1",
    }


def inside(shared: dict[str, str], folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.machines.inside", *arguments],
        env=os.environ | shared | {"VAR_DIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(require("postgresql")) as server:
        server.create_database("passport")
        yield server


def test_machines_die_stand_still_and_are_cut_off_and_nothing_is_lost_or_done_twice(
    mariadb: MariaDBServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """T13, T16, T74: one after the other, while rows are written at all hospitals all the time."""
    shared = shared_settings(postgres.url("passport"))
    country = Country(mariadb, postgres)
    databases = [hospital.database for hospital in country.hospitals]
    inside(shared, tmp_path, "found", str(mariadb.port), READER, PASSWORD, *databases)
    with contextlib.ExitStack() as stack:
        stack.callback(country.close)
        one, two, three = (
            stack.enter_context(Group(name, shared=shared, folder=tmp_path)) for name in ("one", "two", "three")
        )
        began = country.now()
        country.wait(lambda: country.are_all_read_since(began), why="the first syncs")
        for group in (one, two, three):
            country.wait(lambda group=group: country.n_done(group, since=began), why=f"{group.name} takes part")

        country.wait(lambda: country.n_in_hand(one), why="one has something in hand")
        one.freeze()
        frozen = country.now()
        country.wait(lambda: country.is_given_up(one), why="the others notice that one stands still")
        country.wait(lambda: country.are_all_read_since(frozen), why="the lag recovers while one stands still")
        one.thaw()
        thawed = country.now()
        country.wait(lambda: country.n_done(one, since=thawed), why="one takes part again")

        country.wait(lambda: country.n_in_hand(two), why="two has something in hand")
        two.kill()
        killed = country.now()
        country.wait(lambda: country.is_given_up(two), why="the others notice that two is gone")
        country.wait(lambda: country.are_all_read_since(killed), why="the lag recovers without two")

        country.wait(lambda: country.n_in_hand(three), why="three has something in hand")
        three.line.refuse()
        cut = country.now()
        country.wait(lambda: country.are_all_read_since(cut), why="the lag recovers while three is cut off")
        three.line.heal()
        two.start_again()
        healed = country.now()
        for group in (two, three):
            country.wait(lambda group=group: country.n_done(group, since=healed), why=f"{group.name} is back")

        wait_quietly(lambda: country.n_there() == country.n_written, why="what was written is there")
        last = country.now()
        wait_quietly(lambda: country.are_all_read_since(last), why="everything is read once more")
        looked = country.ask("SELECT count(*) FROM openmrs_sync_syncrun WHERE trigger = 'watch' AND status = 'ok'")
        assert looked > 0
    nothing_was_done_twice(country)
    judged = json.loads(inside(shared, tmp_path, "judged"))
    assert judged == {
        "n_hospitals": N_HOSPITALS,
        "unwell": [],
        "runs_told_twice": [],
        "is_chain_whole": True,
    }


def wait_quietly(is_so: Callable[[], object], *, why: str) -> None:
    deadline = time.monotonic() + 300.0
    while not is_so():
        assert time.monotonic() < deadline, why
        time.sleep(0.5)


def nothing_was_done_twice(country: Country) -> None:
    with contextlib.closing(psycopg_connection(country)) as link:
        twice = link.execute(
            'SELECT count(*) FROM (SELECT 1 FROM passport_record GROUP BY hospital_id, "table", source_id'
            " HAVING count(*) > 1) doubles"
        ).fetchone()
        # two runs of one hospital that both wrote to the end must have come one after the other
        overlapping = link.execute(
            "SELECT count(*) FROM openmrs_sync_syncrun a JOIN openmrs_sync_syncrun b ON a.hospital_id = b.hospital_id"
            " AND a.id < b.id AND a.status = 'ok' AND b.status = 'ok' AND a.trigger <> 'patient'"
            " AND b.trigger <> 'patient' AND a.started_at < b.finished_at AND b.started_at < a.finished_at"
        ).fetchone()
        n_failed = link.execute("SELECT count(*) FROM passport_link WHERE n_failures > 0").fetchone()
    assert (twice, overlapping, n_failed) == ((0,), (0,), (0,))


def psycopg_connection(country: Country) -> Any:
    import psycopg

    return psycopg.connect(country.url, autocommit=True)
