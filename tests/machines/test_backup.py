"""The drill of docs/operations.md on PostgreSQL, by its commands: back up, go on, lose all, restore, read the gap."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_stores import Passport
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer
from tests.parts import require
from tests.stores.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.store, pytest.mark.timeout(600)]
ALICE, BOB = "1199080000000001", "1199080000000002"


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(require("postgresql")) as server:
        server.create_database("passport")
        yield server


def run(server: PostgresServer, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(server.programs / program), *arguments],
        env=os.environ | {"PGPASSWORD": server.password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_after_a_restore_of_postgresql_the_next_sync_reads_the_gap_and_nothing_is_unexplained(
    mariadb: MariaDBServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """T64"""
    where = ["--host", postgres.host, "--port", str(postgres.port), "--username", "passport"]
    pretend = PretendHospital(mariadb, "drill", "2.6").create()
    alice, bob = pretend.add_person(national_id=ALICE), pretend.add_person(national_id=BOB)
    kept = [pretend.add_obs(alice, "weight", 60.0 + n) for n in range(5)]
    (tmp_path / "static").mkdir()
    passport = Passport(folder=tmp_path, urls={"DATABASE_URL": postgres.url("passport")})
    people = [[ALICE, "Alice", "Uwase", "1990-01-01", "F"], [BOB, "Bob", "Habimana", "1990-01-01", "M"]]
    passport.set_up(pretend, people)
    passport.inside("sync")

    run(postgres, "pg_dump", *where, "--format=custom", f"--file={tmp_path / 'passport.dump'}", "passport")
    new = pretend.add_obs(bob, "weight", 80.0)
    pretend.void_obs(kept[0])
    pretend.purge_obs(kept[1])
    passport.inside("sync")
    before = passport.inside("histories", ALICE, BOB)
    assert str(new) in json.dumps(before)

    postgres.create_database("passport")  # everything is lost
    run(postgres, "pg_restore", *where, "--exit-on-error", "--dbname=passport", str(tmp_path / "passport.dump"))
    assert passport.inside("histories", ALICE, BOB) != before
    passport.manage("check", "--database", "default", "--fail-level", "ERROR")
    told = passport.inside("sync")
    assert [each["status"] for each in told["runs"]] == ["ok"]
    assert [each["n_unexplained"] for each in told["receipts"]] == [0]
    assert passport.inside("histories", ALICE, BOB) == before
    assert "whole" in passport.manage("audit_verify")
