"""The same hospital read into each store that we know, by processes with settings of their own: the same history."""

import csv
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.openmrs.hospital import PretendHospital
from tests.openmrs.people import MODERN, fill, make_people
from tests.openmrs.server import MariaDBServer
from tests.parts import ROOT, require
from tests.stores.mongodb import MongoServer
from tests.stores.postgres import PostgresServer

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(900)]

STORES = ["sqlite", "postgres", "mongodb", "mariadb"]
NOON = dt.datetime(2026, 3, 1, 12, 0)
LONGEST_START = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """A Patient Passport with a store of its own."""

    folder: Path
    urls: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"VAR_DIR": str(self.folder)} | {"CONTROL_DATABASE_URL": ""} | self.urls

    def python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.python("manage.py", *arguments)

    def inside(self, *arguments: str) -> Any:
        return json.loads(self.python("-m", "tests.stores.inside", *arguments))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.stores.inside", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self, pretend: PretendHospital, patients: list[list[str]]) -> None:
        """From nothing, as docs/quickstart.md says: migrate, hospital, patients."""
        self.set_up_many({"kigali": pretend}, patients)

    def set_up_many(self, pretends: dict[str, PretendHospital], patients: list[list[str]]) -> None:
        """`pretends`: by code."""
        self.manage("migrate", "--verbosity", "0")
        read_as = {"time_zone": "Africa/Kigali", "locales": ["en"], "tls_mode": "none"}
        entries = [
            pretend.grant_reader()
            | {"code": code, "name": code.title(), "is_enabled": True, "national_id_types": ["National ID"]}
            | read_as
            for code, pretend in pretends.items()
        ]
        (self.folder / "hospitals.json").write_text(json.dumps(entries))
        self.manage("load_hospitals", str(self.folder / "hospitals.json"))
        with (self.folder / "patients.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["national_id", "given_name", "family_name", "birth_date", "sex"])
            writer.writerows(patients)
        self.manage("register_patients", str(self.folder / "patients.csv"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(require("postgresql")) as server:
        yield server


@pytest.fixture(scope="module")
def mongo() -> Iterator[MongoServer]:
    with MongoServer(require("mongodb")) as server:
        yield server


def passport_with(store: str, name: str, folder: Path, request: pytest.FixtureRequest) -> Passport:
    """A fresh one with this kind of store; a database of this name. Skips where the server is missing."""
    (folder / "static").mkdir(parents=True, exist_ok=True)
    control = f"sqlite:///{folder / 'passport.sqlite3'}"
    if store == "sqlite":
        urls = {"DATABASE_URL": control}
    elif store == "postgres":
        server = request.getfixturevalue("postgres")
        server.create_database(name)
        urls = {"DATABASE_URL": server.url(name)}
    elif store == "mongodb":
        urls = {"DATABASE_URL": request.getfixturevalue("mongo").url(name), "CONTROL_DATABASE_URL": control}
    else:
        server = request.getfixturevalue("mariadb")
        server.create_database(name)
        server.grant("own", "own", "ALL", f"`{name}`.*")
        urls = {"DATABASE_URL": f"mysql://own:own@{server.host}:{server.port}/{name}"}
    return Passport(folder=folder, urls=urls)


# --- one hospital, one year -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a store said after the first sync, and after the hospital's changes and the second."""

    first: dict[str, Any]
    first_histories: dict[str, Any]
    second: dict[str, Any]
    second_histories: dict[str, Any]


@pytest.fixture(scope="module")
def story(mariadb: MariaDBServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> "Story":
    return Story(mariadb, tmp_path_factory, request)


class Story:
    """A hospital that each store meets anew: made of one seed, so that it is the same for all; read, changed, read."""

    def __init__(self, server: MariaDBServer, folders: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
        self._server, self._folders, self._request = server, folders, request
        self._told: dict[str, Told] = {}
        people = [each for each in make_people(today=NOON.date()) if MODERN in each.hospitals][:5]
        self.numbers = [each.national_id for each in people]
        self.patients = [
            [each.national_id, each.given, each.family, each.birth_date.isoformat(), each.sex] for each in people
        ]
        self._people = people

    def told(self, store: str) -> Told:
        if store not in self._told:
            self._told[store] = self._tell(store)
        return self._told[store]

    def _tell(self, store: str) -> Told:
        passport = passport_with(store, "story", self._folders.mktemp(store), self._request)
        pretend = PretendHospital(self._server, "story_hospital", "2.6", seed=5).create()
        persons = fill(pretend, self._people, MODERN, until=NOON, years=1)
        passport.set_up(pretend, self.patients)
        first, first_histories = passport.inside("sync"), passport.inside("histories", *self.numbers)
        with pretend.at(NOON):
            change(pretend, [persons[number] for number in self.numbers])
        second, second_histories = passport.inside("sync"), passport.inside("histories", *self.numbers)
        return Told(first=first, first_histories=first_histories, second=second, second_histories=second_histories)


def change(pretend: PretendHospital, persons: list[int]) -> None:
    """A row is voided, one is gone, one is edited, one is new, and an encounter moves to another person."""
    alice, bob = persons[0], persons[1]
    obs = [row["obs_id"] for row in pretend.rows("obs", person_id=alice, voided=0) if row["value_numeric"] is not None]
    pretend.void_obs(obs[0])
    pretend.purge_obs(obs[1])
    pretend.edit_obs_in_place(obs[2], value_numeric=39.5)
    pretend.add_obs(alice, "weight", 61.5)
    # silently, with its id, as 1.x does: the record follows its row
    pretend.update("obs", obs[3], person_id=bob, encounter_id=None)
    encounters = pretend.rows("encounter", patient_id=bob, voided=0)
    pretend.move_encounter(encounters[0]["encounter_id"], alice)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def unexplained(told: dict[str, Any]) -> list[int]:
    return [each["n_unexplained"] for each in told["receipts"]]


def test_a_first_sync_stores_everything(story: Story, store: str) -> None:
    told = story.told(store)
    (run,) = told.first["runs"]
    assert (run["status"], run["n_persons"]) == ("ok", len(story.numbers))
    assert run["n_created"] > 100
    assert unexplained(told.first) == [0]


def test_changes_at_the_hospital_arrive(story: Story, store: str) -> None:
    told = story.told(store)
    (run,) = told.second["runs"]
    assert run["status"] == "ok"
    assert run["n_created"] > 0
    assert run["n_updated"] > 0
    assert run["n_withdrawn"] > 1
    assert unexplained(told.second) == [0]
    records = {each["id"]: each for each in told.second_histories[story.numbers[0]]["all"]}
    reasons = {each["withdrawn_reason"] for each in records.values() if each["status"] == "withdrawn"}
    assert {"voided", "gone"} <= reasons


def test_the_second_sync_leaves_untouched_what_did_not_change(story: Story, store: str) -> None:
    (run,) = story.told(store).second["runs"]
    assert run["n_updated"] < run["n_unchanged"]


@pytest.mark.parametrize("store", STORES[1:])
def test_a_history_reads_the_same_as_from_sqlite(story: Story, store: str) -> None:
    told, sqlite = story.told(store), story.told("sqlite")
    assert told.first_histories == sqlite.first_histories
    assert told.second_histories == sqlite.second_histories
    assert len(sqlite.second_histories[story.numbers[0]]["all"]) > 40
    assert sqlite.first_histories != sqlite.second_histories
    for part in ("searched", "tests", "details"):  # each of them was asked something that has an answer
        assert any(history[part] for history in sqlite.second_histories.values())


# --- a worker that was frozen past its lease --------------------------------------------------------------------------

ALICE, BOB = "1199070000000011", "1198080000000022"


def test_what_a_frozen_worker_writes_late_has_no_effect(
    store: str, mariadb: MariaDBServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """T15, T79"""
    pretend = PretendHospital(mariadb, "late_hospital", "2.6", seed=6).create()
    born = {"sex": "F", "birth_date": dt.date(1990, 1, 1)}
    alice, bob = pretend.add_person(national_id=ALICE, **born), pretend.add_person(national_id=BOB, **born)
    weights = [pretend.add_obs(alice, "weight", 60 + n) for n in range(4)]
    wandering = pretend.add_obs(bob, "weight", 80)
    passport = passport_with(store, "late", tmp_path, request)
    passport.set_up(pretend, [[number, "A", "B", "1990-01-01", "F"] for number in (ALICE, BOB)])
    assert passport.inside("sync")["runs"][0]["status"] == "ok"

    pretend.edit_obs_in_place(weights[0], value_numeric=99)  # what the late worker reads, and is wrong by then
    added = pretend.add_obs(alice, "weight", 98)
    moving = pretend.add_obs(alice, "weight", 97)
    pretend.update("obs", wandering, person_id=alice)
    with passport.start("frozen", "kigali", ALICE) as late:
        try:
            wait_until_stopped(late)
            pretend.edit_obs_in_place(weights[0], value_numeric=60)
            pretend.purge_obs(added)
            pretend.update("obs", moving, person_id=bob)
            pretend.update("obs", wandering, person_id=bob)
            pretend.void_obs(weights[1])
            (run,) = passport.inside("later", "1")
            assert run["status"] == "ok"
            assert run["n_unchanged"] > 2  # taken over, not made anew: what is withdrawn must stay known
            before = passport.inside("histories", ALICE, BOB)
            late.send_signal(signal.SIGCONT)
            out, errors = late.communicate(timeout=120)
        finally:
            late.kill()
    assert late.returncode == 0, errors[-4000:]
    assert json.loads(out) == "failed"  # the claim was lost
    assert passport.inside("histories", ALICE, BOB) == before
    assert weights_of(before[ALICE]) == {weights[0]: "60", weights[2]: "62", weights[3]: "63"}
    assert weights_of(before[BOB]) == {wandering: "80", moving: "97"}
    after = passport.inside("sync")
    assert after["runs"][0]["status"] == "ok"
    assert unexplained(after) == [0]
    assert passport.inside("histories", ALICE, BOB) == before


def weights_of(history: dict[str, Any]) -> dict[int, str]:
    """Of the current ones: source id → value."""
    return {each["source"]["id"]: each["value"] for each in history["current"] if each["source"]["table"] == "obs"}


def wait_until_stopped(process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + LONGEST_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"it did not come to write: {process.communicate()[1][-4000:]}")


# --- an outage --------------------------------------------------------------------------------------------------------


def test_an_outage_of_mongodb_is_the_stores_failure_and_no_persons(
    mariadb: MariaDBServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pretend = PretendHospital(mariadb, "outage_hospital", "2.6", seed=7).create()
    alice = pretend.add_person(national_id=ALICE, sex="F", birth_date=dt.date(1990, 1, 1))
    pretend.add_obs(alice, "weight", 60)
    with MongoServer(require("mongodb")) as server:
        urls = {"DATABASE_URL": server.url("outage"), "CONTROL_DATABASE_URL": f"sqlite:///{tmp_path / 'p.sqlite3'}"}
        (tmp_path / "static").mkdir()
        passport = Passport(folder=tmp_path, urls=urls)
        passport.set_up(pretend, [[ALICE, "A", "B", "1990-01-01", "F"]])
        server.stop()
        run = passport.inside("down")
        assert (run["status"], run["error_kind"], run["n_failed_links"]) == ("failed", "internal", 0)
        server.start()
        after = passport.inside("sync")
    assert (after["runs"][0]["status"], unexplained(after)) == ("ok", [0])


# --- ten hospitals at once --------------------------------------------------------------------------------------------


def test_ten_hospitals_that_are_written_at_once_all_succeed(
    store: str, mariadb: MariaDBServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """T65: the same patient, and the same doctors under the uuids of one template; nothing is doubled or refused."""
    pretends = {
        f"h{number}": PretendHospital(mariadb, f"at_once_{number}", "2.6", seed="template").create()
        for number in range(10)
    }
    for pretend in pretends.values():
        alice = pretend.add_person(national_id=ALICE, sex="F", birth_date=dt.date(1990, 1, 1))
        encounter = pretend.add_encounter(alice)
        with pretend.bulk():
            for _ in range(60):
                pretend.add_obs(alice, "pulse", 70.0, encounter=encounter)
    passport = passport_with(store, "at_once", tmp_path, request)
    passport.set_up_many(pretends, [[ALICE, "A", "B", "1990-01-01", "F"]])
    found = passport.inside("together")
    assert [run["status"] for run in found["runs"]] == ["ok"] * len(pretends), found
    assert (found["n_links"], found["n_patients"], found["n_doctors"]) == (10, 1, 10)
    assert found["n_records"] == 10 * 61
    after = passport.inside("sync")
    assert unexplained(after) == [0] * len(pretends)
    assert {run["n_created"] + run["n_updated"] + run["n_withdrawn"] for run in after["runs"]} == {0}


def test_rows_that_were_taken_for_new_and_are_not_are_replaced(
    mariadb: MariaDBServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A row that moves, within a first sync, to a person of a later batch has a record already."""
    pretend = PretendHospital(mariadb, "as_new", "2.6").create()
    alice = pretend.add_person(national_id=ALICE, sex="F", birth_date=dt.date(1990, 1, 1))
    pulses = [pretend.add_obs(alice, "pulse", 70.0) for _ in range(20)]
    passport = passport_with("postgres", "as_new", tmp_path, request)
    passport.set_up(pretend, [[ALICE, "A", "B", "1990-01-01", "F"]])
    passport.inside("sync")
    assert '"70"' in json.dumps(passport.inside("histories", ALICE))
    for pulse in pulses:
        pretend.update("obs", pulse, value_numeric=71.0)
    (run,) = passport.inside("again_as_new")
    assert (run["status"], run["n_updated"], run["n_created"]) == ("ok", 20, 0)
    told = json.dumps(passport.inside("histories", ALICE))
    assert ('"71"' in told, '"70"' in told) == (True, False)
    for plan in passport.inside("plans"):
        assert "Seq Scan" not in plan, "a table that was not analysed is read by index all the same"
