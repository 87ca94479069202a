"""What the engine asks of a hospital's server: no scan of obs, an idle look that does not grow, short snapshots."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hospitals.connections import Source
from hospitals.models import Hospital
from openmrs_sync import pipeline
from openmrs_sync.models import Watermark
from tests.integration import world
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer
from tests.parts import ROOT

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.usefixtures("sources_on_loopback"),
    pytest.mark.timeout(600),
]

N_OBS, N_PATIENTS = 200_000, 2_000
DATABASE = "large"
OBS = re.compile(r"\bobs(?:\s+(?:AS\s+)?(?!FORCE|WHERE|LEFT|JOIN|ORDER|GROUP)(\w+))?")


@pytest.fixture(scope="module")
def large() -> Iterator[MariaDBServer]:
    """A server of its own with 200,000 generated obs of 2,000 patients."""
    with MariaDBServer() as server:
        fill(server)
        server.execute("ANALYZE TABLE obs, encounter, visit, orders", database=DATABASE)
        yield server


def fill(server: MariaDBServer) -> None:
    generator = ROOT.parent / "shared" / "bench" / "gen_openmrs.py"
    if not generator.is_file():
        fill_by_hand(server)
        return
    server.grant("generator", "generator", "ALL PRIVILEGES", "*.*")
    dsn = f"mysql://generator:generator@{server.host}:{server.port}/{DATABASE}"
    size = ["--patients", str(N_PATIENTS), "--obs", str(N_OBS), "--seed", "3"]
    subprocess.run(
        [sys.executable, str(generator), "--dsn", dsn, "--create", *size], check=True, capture_output=True, timeout=300
    )


def fill_by_hand(server: MariaDBServer) -> None:
    """The same size where the generator is not at hand."""
    hospital = PretendHospital(server, DATABASE, "2.6").create()
    for number in range(N_PATIENTS):
        with hospital.bulk():
            person = hospital.add_person(national_id=f"11990800{number:08d}")
            for _ in range(10):
                encounter = hospital.add_encounter(person)
                for _ in range(N_OBS // N_PATIENTS // 10):
                    hospital.add_obs(person, "pulse", 80.0, encounter=encounter)


def numbers(server: MariaDBServer, n: int) -> list[tuple[Any, ...]]:
    return server.execute(
        "SELECT i.identifier, p.gender, p.birthdate FROM patient_identifier i"
        " JOIN patient_identifier_type t ON t.patient_identifier_type_id = i.identifier_type"
        " JOIN person p ON p.person_id = i.patient_id WHERE i.voided = 0 AND t.name LIKE 'National%%'"
        " GROUP BY i.patient_id ORDER BY i.patient_id LIMIT %s",
        (n,),
        database=DATABASE,
    )


def enter(server: MariaDBServer, n_registered: int) -> Hospital:
    for number, sex, birth_date in numbers(server, n_registered):
        world.register(number, sex=sex, birth_date=birth_date)
    (name,) = server.execute("SELECT name FROM patient_identifier_type WHERE name LIKE 'National%'", database=DATABASE)[
        0
    ]
    return world.live_hospital(server, DATABASE, national_id_types=[name])


class Watched:
    """Every statement that is sent to a source, and how many rows it gave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, tuple[object, ...], int]] = []
        fetch = Source.fetch

        def fetch_and_note(source: Source, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
            rows = fetch(source, sql, params)
            self.sent.append((sql, tuple(params), len(rows)))
            return rows

        monkeypatch.setattr(Source, "fetch", fetch_and_note)

    def of_obs(self) -> list[tuple[str, tuple[object, ...], int]]:
        return [one for one in self.sent if re.search(r"(FROM|JOIN) obs\b", one[0])]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def scans_of_obs(server: MariaDBServer, sql: str, params: tuple[object, ...]) -> list[str]:
    """The lines of EXPLAIN that read the whole of obs, or the whole of one of its indexes."""
    names = {alias or "obs" for alias in OBS.findall(sql)} | {"obs"}
    lines = server.execute(f"EXPLAIN {sql}", params, database=DATABASE)
    return [str(line) for line in lines if line[2] in names and line[3] in ("ALL", "index")]


def handler_reads(server: MariaDBServer) -> int:
    rows = server.execute("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in rows)


@pytest.mark.parametrize("n_registered", [3, 600])
def test_no_statement_scans_obs(large: MariaDBServer, watched: Watched, n_registered: int) -> None:
    """T45: neither for few persons nor for most of them, in first syncs, deep looks, idle ticks and receipts."""
    hospital = enter(large, n_registered)
    world.synced(hospital)
    concept_id = large.execute("SELECT concept_id FROM obs WHERE voided = 0 LIMIT 1", database=DATABASE)[0][0]
    large.execute(
        "UPDATE concept_name SET name = CONCAT(name, '.') WHERE concept_id = %s", (concept_id,), database=DATABASE
    )
    large.execute("UPDATE location SET name = CONCAT(name, '.') LIMIT 1", database=DATABASE)
    large.execute("UPDATE encounter SET date_changed = NOW() LIMIT 50", database=DATABASE)
    world.synced(hospital)
    world.synced(hospital, deep=False)
    assert world.verified(hospital).is_well

    statements = {re.sub(r"\d+", "9", sql)[:200]: (sql, params) for sql, params, _ in watched.of_obs()}
    assert len(statements) > 8
    scans = [line for sql, params in statements.values() for line in scans_of_obs(large, sql, params)]
    assert not scans, "\n".join(scans)
    assert not [sql for sql, *_ in watched.sent if re.search(r"\bLOCK\b|\bFLUSH\b|FOR UPDATE", sql)]


def test_an_idle_tick_reads_about_a_thousand_rows_of_obs_and_does_not_grow_with_it(
    large: MariaDBServer, watched: Watched
) -> None:
    hospital = enter(large, 20)
    world.synced(hospital)
    world.synced(hospital, deep=False)

    def idle() -> tuple[int, int]:
        watched.sent.clear()
        before = handler_reads(large)
        run = world.synced(hospital, deep=False)
        assert run.n_persons == 0
        return sum(n_rows for *_, n_rows in watched.of_obs()), handler_reads(large) - before

    rows_before, reads_before = idle()
    assert rows_before <= 1_100
    large.execute(
        "INSERT INTO obs (person_id, concept_id, obs_datetime, value_numeric, creator, date_created, voided, uuid)"
        " SELECT person_id, concept_id, obs_datetime, value_numeric, 1, date_created, 0, UUID() FROM obs"
        " WHERE person_id > (SELECT MAX(patient_id) - 900 FROM patient)",
        database=DATABASE,
    )
    n_added = large.execute("SELECT COUNT(*) FROM obs", database=DATABASE)[0][0] - N_OBS
    world.synced(hospital)
    rows_after, reads_after = idle()
    assert n_added > 5_000
    assert rows_after <= 1_100
    assert reads_after < reads_before + 500


def test_a_first_sync_counts_right_at_size(large: MariaDBServer) -> None:
    hospital = enter(large, 300)
    run = world.synced(hospital)
    found = world.verified(hospital)
    assert found.is_well
    assert found.total is not None
    assert found.total.n_source == run.n_read > 10_000
    assert world.nothing_changed(world.synced(hospital, full=True))


def test_a_run_ends_when_its_time_is_over_and_goes_on_later(large: MariaDBServer) -> None:
    hospital = enter(large, 300)
    run = pipeline.sync_hospital(
        hospital=hospital, trigger="schedule", now=world.timezone.now(), until=time.monotonic() - 1
    )
    assert (run.status, run.n_persons) == ("ok", 0)
    assert Watermark.objects.get().heads["obs"]["mark"] > 0
    assert world.synced(hospital, deep=False).n_persons > 250
    assert world.verified(hospital).is_well


@pytest.mark.django_db(transaction=True)
def test_a_hospitals_alter_and_its_readers_wait_no_longer_than_our_bound(large: MariaDBServer) -> None:
    """T45, T89: an ALTER waits for our snapshot, and everybody's SELECT behind it."""
    hospital = enter(large, 300)
    waits: list[float] = []
    done = threading.Event()

    def live_on() -> None:
        while not done.is_set():
            started = time.monotonic()
            large.execute("ALTER TABLE obs COMMENT 'still here'", database=DATABASE)
            large.execute("SELECT MAX(obs_id) FROM obs", database=DATABASE)
            waits.append(time.monotonic() - started)
            time.sleep(0.2)

    thread = threading.Thread(target=live_on)
    thread.start()
    try:
        world.synced(hospital, full=True)
    finally:
        done.set()
        thread.join()
    assert waits
    assert max(waits) < 5
    assert world.verified(hospital).is_well
