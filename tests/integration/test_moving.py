"""A passport moves from one store to another: the same receipts, histories and audit, and it goes on from there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_stores import NOON, Passport, mongo, passport_with, postgres  # noqa: F401 - fixtures
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.people import MODERN, fill, make_people
from tests.openmrs.server import MariaDBServer
from tests.parts import ROOT

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def lived_in(mariadb: MariaDBServer, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Passport, list[str]]:
    """A passport on SQLite with a hospital that was read, and the numbers of its patients."""
    people = [each for each in make_people(today=NOON.date()) if MODERN in each.hospitals][:3]
    pretend = PretendHospital(mariadb, "moving_hospital", "2.6", seed=5).create()
    fill(pretend, people, MODERN, until=NOON, years=1)
    passport = passport_with("sqlite", "moving", tmp_path / "from", request)
    passport.set_up(
        pretend,
        [[each.national_id, each.given, each.family, each.birth_date.isoformat(), each.sex] for each in people],
    )
    passport.inside("sync")
    return passport, [each.national_id for each in people]


def refused(passport: Passport, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=passport.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def moved(passport: Passport, target: Passport) -> Passport:
    """The same passport, with its settings on the other store; keys and secrets lie in its own folder."""
    return Passport(folder=passport.folder, urls=passport.urls | target.urls)


def same(before: Passport, after: Passport, numbers: list[str]) -> None:
    assert after.inside("histories", *numbers) == before.inside("histories", *numbers)
    told: Any = after.inside("sync")
    (run,), (receipt,) = told["runs"], told["receipts"]
    assert (run["status"], run["n_created"], run["n_updated"], run["n_withdrawn"]) == ("ok", 0, 0, 0)
    assert (receipt["n_unexplained"], receipt["n_pending"]) == (0, 0)
    assert receipt["n_stored"] > 100
    assert "whole" in after.manage("audit_verify")


@pytest.mark.parametrize("store", ["postgres", "mariadb"])
def test_everything_moves_to_another_relational_store(
    store: str, lived_in: tuple[Passport, list[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    passport, numbers = lived_in
    target = passport_with(store, "moved_here", tmp_path / "to", request)
    after = moved(passport, target)
    assert "migrate" in refused(passport, "copy_records", "--to", target.urls["DATABASE_URL"])
    after.manage("migrate", "--verbosity", "0")
    assert "copied and compared" in passport.manage("copy_records", "--to", target.urls["DATABASE_URL"])
    same(passport, after, numbers)
    # numbers that a sequence gives do not begin again
    after.manage("register_patients", str(_one_more(tmp_path)))
    assert "Somebody lives" in refused(passport, "copy_records", "--to", target.urls["DATABASE_URL"])


def test_the_records_move_to_mongodb(
    lived_in: tuple[Passport, list[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    passport, numbers = lived_in
    target = passport_with("mongodb", "moved_here", tmp_path / "to", request)
    urls = {"DATABASE_URL": target.urls["DATABASE_URL"], "CONTROL_DATABASE_URL": passport.urls["DATABASE_URL"]}
    after = Passport(folder=passport.folder, urls=urls)
    after.manage("migrate", "--verbosity", "0")
    passport.manage("copy_records", "--to", urls["DATABASE_URL"])
    same(passport, after, numbers)
    assert "There are records in the target" in refused(passport, "copy_records", "--to", urls["DATABASE_URL"])


def test_nonsense_and_a_worker_at_work_are_refused(lived_in: tuple[Passport, list[str]]) -> None:
    passport, _ = lived_in
    assert "must begin with" in refused(passport, "copy_records", "--to", "ftp://nowhere")
    passport.python("-m", "tests.stores.inside", "beat")
    assert "A worker is at work" in refused(passport, "copy_records", "--to", "sqlite:////tmp/nowhere.sqlite3")


def _one_more(folder: Path) -> Path:
    file = folder / "one.csv"
    file.write_text("national_id,given_name,family_name,birth_date,sex\n1199000000000123,A,B,1990-01-01,F\n")
    return file
