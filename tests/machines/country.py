"""What the machines of a story share: hospitals in which life goes on, a PostgreSQL, settings; and the judges.

Everything that the hospitals write is there at the end, once.
"""

import contextlib
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from tests.machines.groups import N_WORKERS, Group
from tests.machines.inside import NATIONAL_IDS
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer
from tests.parts import ROOT
from tests.stores.postgres import PostgresServer

READER, PASSWORD = "passport", "read-only-please"


class Country:
    """The hospitals, the store, and what was written since."""

    def __init__(self, mariadb: MariaDBServer, postgres: PostgresServer, *, n_hospitals: int) -> None:
        self.hospitals = [PretendHospital(mariadb, f"m{n}", "2.6").create() for n in range(1, n_hospitals + 1)]
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

    def found(self, shared: dict[str, str], *, folder: Path) -> None:
        """Make the store, and register every hospital and everyone there."""
        databases = [hospital.database for hospital in self.hospitals]
        inside(shared, folder, "found", str(self.server.port), READER, PASSWORD, *databases)

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
        return self.n_read_since(moment) == len(self.hospitals)

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


def judged(country: Country, shared: dict[str, str], *, folder: Path) -> None:
    """Receipts of all hospitals are counted afresh, and the audit chain is walked."""
    assert json.loads(inside(shared, folder, "judged")) == {
        "n_hospitals": len(country.hospitals),
        "unwell": [],
        "runs_told_twice": [],
        "is_chain_whole": True,
    }
