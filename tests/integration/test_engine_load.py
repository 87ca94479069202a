"""What the engine asks of a hospital's server: no scan of obs, an idle look that does not grow, short snapshots."""

import contextlib
import datetime as dt
import inspect
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

from hospitals.connections import Source, open_hospital
from hospitals.models import Hospital
from openmrs_sync import dry_run, pace, pipeline, queries, receipt_queries, schema, watcher
from openmrs_sync.models import Watermark
from openmrs_sync.rows import Schema
from tests.integration import world
from tests.openmrs import ddl
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.proxy import Proxy
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


#: Of each, with the columns that have no default.
PRESCRIBED = {
    "orders": "order_id, order_type_id, concept_id, orderer, encounter_id, patient_id, order_number, order_action,"
    " care_setting, creator, date_created, uuid",
    "drug_order": "order_id, drug_non_coded",
    "conditions": "condition_id, patient_id, condition_non_coded, clinical_status, creator, date_created, uuid",
    "encounter_diagnosis": "diagnosis_id, encounter_id, patient_id, diagnosis_non_coded, certainty, dx_rank, creator,"
    " date_created, uuid",
    "allergy": "allergy_id, patient_id, coded_allergen, non_coded_allergen, allergen_type, creator, date_created,"
    " voided, uuid",
    "allergy_reaction": "allergy_reaction_id, allergy_id, reaction_concept_id, uuid",
}
OF_AN_ENCOUNTER = {
    "order_id": "encounter_id",
    "condition_id": "encounter_id",
    "diagnosis_id": "encounter_id",
    "allergy_id": "encounter_id",
    "allergy_reaction_id": "encounter_id",
    "order_number": "CONCAT('ORD-', encounter_id)",
    "order_action": "'NEW'",
    "clinical_status": "'ACTIVE'",
    "certainty": "'CONFIRMED'",
    "allergen_type": "'DRUG'",
    "voided": "0",
    "creator": "1",
    "uuid": "UUID()",
    **dict.fromkeys(("order_type_id", "concept_id", "orderer", "care_setting", "dx_rank"), "1"),
    **dict.fromkeys(("coded_allergen", "reaction_concept_id"), "1"),
    **dict.fromkeys(("drug_non_coded", "condition_non_coded", "diagnosis_non_coded", "non_coded_allergen"), "'a herb'"),
}


@pytest.fixture(scope="module")
def prescribing(large: MariaDBServer) -> MariaDBServer:
    """The same with an order, a condition, a diagnosis and an allergy for each encounter: the generator has none."""
    hospital = PretendHospital(large, DATABASE, "2.6")
    there = {name for (name,) in hospital.execute("SHOW TABLES")}
    for statement in ddl.create_statements("2.6"):
        if statement.split("`")[1] not in there:
            hospital.execute(statement)
    for table, columns in PRESCRIBED.items():
        values = ", ".join(OF_AN_ENCOUNTER.get(column, column) for column in columns.split(", "))
        hospital.execute(f"INSERT INTO {table} ({columns}) SELECT {values} FROM encounter WHERE voided = 0")
    hospital.close()
    return large


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


# --- a hospital that lives on -----------------------------------------------------------------------------------------

#: What looks at a hospital, however long it takes in all.
LOOKS: dict[str, Callable[[Hospital], object]] = {
    "a full sync": lambda hospital: world.synced(hospital, full=True),
    "a deep look": lambda hospital: world.synced(hospital, deep=True),
    "a receipt counted afresh": world.verified,
    "a dry run": lambda hospital: dry_run.read_part(
        hospital=hospital, progress={}, until=time.monotonic() + 600, note=lambda _done, _all: None
    ),
}


@contextlib.contextmanager
def living_on(server: MariaDBServer) -> Iterator[list[float]]:
    """A hospital that alters obs again and again, with a reader behind each ALTER: how long both took, in seconds."""
    waits: list[float] = []
    done = threading.Event()

    def live_on() -> None:
        while not done.is_set():
            started = time.monotonic()
            server.execute("ALTER TABLE obs COMMENT 'still here'", database=DATABASE)
            server.execute("SELECT MAX(obs_id) FROM obs", database=DATABASE)
            waits.append(time.monotonic() - started)
            time.sleep(0.2)

    thread = threading.Thread(target=live_on)
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("look", LOOKS)
def test_a_hospitals_alter_and_its_readers_wait_no_longer_than_our_bound(large: MariaDBServer, look: str) -> None:
    """T45, T89: an ALTER waits for our snapshot, and everybody's SELECT behind it."""
    hospital = enter(large, 300)
    world.synced(hospital)
    with living_on(large) as waits:
        LOOKS[look](hospital)
    assert waits
    assert max(waits) < 5
    assert world.verified(hospital).is_well


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_a_sync_over_a_line_where_every_answer_takes_its_time(
    large: MariaDBServer, watched: Watched
) -> None:
    """T45, T89: no batch is small enough for a snapshot there, and everybody is read all the same."""
    hospital = enter(large, 2)
    with Proxy(large) as line:
        line.delay(0.3)
        Hospital.objects.update(port=line.port)
        hospital.refresh_from_db()
        with living_on(large) as waits:
            run = world.sync(hospital, deep=False)
        Hospital.objects.update(port=large.port)
    assert waits
    assert max(waits) < 5
    assert not [sql for sql, *_ in watched.sent if "SNAPSHOT" in sql]
    assert (run.status, run.n_persons, run.message) == ("ok", 2, pipeline.TOO_SLOW)
    hospital.refresh_from_db()
    assert world.verified(hospital).is_well


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_logging", [False, True], ids=["no binary log", "binary log"])
def test_who_alters_a_table_waits_no_longer_than_a_snapshot_may_last(
    monkeypatch: pytest.MonkeyPatch, is_logging: bool
) -> None:
    """T45, T89: it is as long as it may be, again and again, and the server may not be one that lets go of tables."""
    with MariaDBServer(extra_args=["--log-bin=b", "--server-id=1"] if is_logging else []) as server:
        site = world.open_site(server, DATABASE)
        for number in range(2):
            person = site.add_holder(f"119908001234567{number}")
            site.pretend.add_obs(person, "weight", 60.0)
        lasted = lasting(monkeypatch, seconds=0.3)
        monkeypatch.setattr(pace.Tempo, "is_least", False)
        monkeypatch.setattr(pace, "FEWEST_ROWS", 1)
        monkeypatch.setattr(pipeline, "BATCH_ROWS", 1)
        with living_on(server) as waits:
            assert world.sync(site.hospital).status == "ok"
        assert waits
        assert max(waits) < 6  # five, and what the ALTER and the reader take themselves
        assert len(lasted) == 2
        assert 4 < min(lasted) <= max(lasted) < 5
        assert sorted(site.values().values()) == ["60"] * 2


def lasting(monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> list[float]:
    """Every answer in a snapshot takes so long more: how long each lasts that is opened from now on."""
    fetch, snapshot, lasted = Source.fetch, Source.snapshot, []

    def slowly(source: Source, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        time.sleep(seconds if source._in_snapshot else 0.0)
        return fetch(source, sql, params)

    @contextlib.contextmanager
    def timed(source: Source) -> Iterator[None]:
        began = time.monotonic()
        try:
            with snapshot(source):
                yield
        finally:
            lasted.append(time.monotonic() - began)

    monkeypatch.setattr(Source, "fetch", slowly)
    monkeypatch.setattr(Source, "snapshot", timed)
    return lasted


def test_no_lock_is_asked_of_a_hospital(large: MariaDBServer) -> None:
    """T45: by the server's own log of what we sent, not by ours."""
    hospital = enter(large, 100)
    large.execute("SET GLOBAL log_output = 'TABLE'")
    large.execute("TRUNCATE mysql.general_log")
    large.execute("SET GLOBAL general_log = 1")
    try:
        world.synced(hospital)
        for look in LOOKS.values():
            look(hospital)
    finally:
        large.execute("SET GLOBAL general_log = 0")
    rows = large.execute("SELECT user_host, command_type, argument FROM mysql.general_log")
    ours = [str(text) for host, kind, text in rows if host.startswith(world.READER) and kind in ("Query", "Execute")]
    assert len(ours) > 100
    kinds = {re.sub(r"\W.*", "", text.strip(), flags=re.DOTALL).upper() for text in ours}
    assert kinds <= {"SELECT", "SHOW", "SET", "START", "COMMIT", "ROLLBACK"}, kinds
    locking = r"\bLOCK\b|\bFLUSH\b|\bFOR\s+UPDATE\b|\bLOCK\s+IN\s+SHARE|\bGET_LOCK\b|\bHANDLER\b"
    assert not [text for text in ours if re.search(locking, text, re.IGNORECASE)]


# --- every SQL text, explained ----------------------------------------------------------------------------------------

#: Ids as a batch has them, and as a few persons have.
MANY, FEW = range(1, 1 + queries.MAX_IN), range(1, 4)
PART = range(watcher.PART_IDS)
NOW = dt.datetime(2020, 1, 1)
#: Read whole only by the deep look, each below `watcher.PART_IDS` ids in one statement.
IN_PARTS = {*watcher.STAMPED}
#: As large as the dictionary is, not as the hospital is.
DICTIONARIES = {
    *("concept", "concept_name", "concept_numeric", "drug", "location", "provider", "patient_identifier_type"),
    *("concept_reference_source", "concept_reference_term", "concept_reference_map", "encounter_type", "visit_type"),
    *("concept_class", "concept_datatype", "order_type", "order_frequency", "global_property", "person_name"),
}
#: A table with so few rows is read whole by every server, whatever is asked.
TINY = 1_000

Sent = Sequence[tuple[str, Sequence[object]]]
#: SQL text → what is sent of it (for these ids), and which tables of more than TINY rows it may read whole. None: asks
#: the catalogue only. A new text without an entry fails.
EXPECTED: dict[str, tuple[Callable[[Schema, range], Sent], set[str]] | None] = {
    "queries.COLUMNS": None,
    "queries.INDEXES": None,
    "queries.source_now": None,
    "queries.SETTINGS": (lambda _s, _i: [(queries.SETTINGS, ())], DICTIONARIES),
    "queries.identifier_types": (lambda s, _i: [(queries.identifier_types(s), ())], DICTIONARIES),
    "queries.persons": (lambda s, i: [(queries.persons(s, i), ())], set()),
    "queries.voided_patients": (lambda _s, i: [(queries.voided_patients(i), ())], set()),
    "queries.merged_into": (lambda s, i: [(queries.merged_into(s, i), ())], set()),
    "queries.identifiers": (lambda s, i: [(queries.identifiers(s, i, FEW), ())], set()),
    **{
        f"queries.{name}": (lambda s, i, name=name: [(getattr(queries, name)(s, i), ())], set())
        for name in ("obs", "encounters", "visits", "diagnoses", "conditions", "orders", "allergies", "reactions")
    },
    "queries.encounter_providers": (lambda _s, i: [(queries.encounter_providers(i), ())], set()),
    "queries.obs_ranges": (lambda s, i: [(queries.obs_ranges(s, i), ())], set()),
    "queries.parents": (
        lambda s, i: [(queries.parents(s, table, i), ()) for table in ("obs", "encounter", "visit")],
        set(),
    ),
    "queries.groups_with_members": (lambda s, i: [(queries.groups_with_members(s, i), ())], set()),
    "queries.obs_of_one": (
        lambda s, i: [
            (queries.obs_of_one(s, i.start, after=100, limit=20_000), ()),
            (queries.obs_of_one(s, i.start, ids=range(100, 20_000)), ()),
        ],
        set(),
    ),
    "queries.obs_sums": (lambda s, i: [(queries.obs_sums(s, i.start, range(100, 20_000)), ())], set()),
    "queries.owners": (lambda s, i: [(queries.owners(one, i), ()) for one in tables(s)], set()),
    "queries.counts": (lambda s, i: [(queries.counts(s, one, i), ()) for one in tables(s)], set()),
    "queries.entries": (
        lambda s, i: [
            (queries.entries(s, "concept", "concept_id uuid class_id", i), ()),
            (queries.entries(s, "concept_class", "concept_class_id name"), ()),
        ],
        {"concept_class"},
    ),
    "queries.concept_names": (lambda s, i: [(queries.concept_names(s, i), ())], set()),
    "queries.concept_mappings": (lambda _s, i: [(queries.concept_mappings(i, FEW), ())], DICTIONARIES - {"concept"}),
    "queries.person_names": (lambda s, i: [(queries.person_names(s, i), ())], set()),
    "queries.identifier_sums": (lambda _s, _i: [(queries.identifier_sums(FEW), (55_000, 5_000, 55_000))], set()),
    "queries.live_identifiers": (lambda _s, _i: [(queries.live_identifiers(FEW), (5_000, 50_000))], set()),
    "queries.largest_id": (lambda s, _i: [(queries.largest_id(one), ()) for one in tables(s)], set()),
    "queries.ids_above": (lambda s, _i: [(queries.ids_above(one), (1_000, 1_000)) for one in tables(s)], set()),
    "queries.signs": (lambda s, _i: [(queries.signs(s), ())], set()),
    "queries.merges_above": (lambda _s, _i: [(queries.merges_above(), (0, 1_000))], set()),
    "queries.fingerprints": (lambda s, i: [(queries.fingerprints(s, one, i), ()) for one in tables(s)], set()),
    "queries.voided_obs_ids": (lambda s, _i: [(queries.voided_obs_ids(s), ())], set()),
    "queries.changed_since": (
        lambda s, _i: [
            (queries.changed_since(one, key=key, columns=stamps(s, one), ids=ids), [NOW] * len(stamps(s, one)))
            for one, (key, _) in watcher.STAMPED.items()
            for ids in (None, PART)
            if stamps(s, one)
        ],
        IN_PARTS,
    ),
    "queries.largest_stamps": (
        lambda s, _i: [
            (queries.largest_stamps(one, columns=stamps(s, one), ids=PART), [NOW] * len(stamps(s, one)))
            for one in watcher.STAMPED
            if stamps(s, one)
        ],
        IN_PARTS,
    ),
    "queries.persons_of_encounters": (
        lambda s, i: [
            (queries.persons_of_encounters(s, one, i), ())
            for one in ("encounter", "obs", "orders", "encounter_diagnosis")
            if s.has(one, "encounter_id")
        ],
        set(),
    ),
    "queries.encounters_of": (
        lambda _s, _i: [(queries.encounters_of("encounter_provider", column="provider_id", ids=FEW), ())],
        IN_PARTS,
    ),
    "queries.persons_using": (
        lambda s, _i: [
            (queries.persons_using(s, one, column=column, ids=FEW), ())
            for uses in watcher.USES.values()
            for one, column in uses
            if (one, column) in s.indexes
        ],
        set(),
    ),
    "queries.persons_among": (
        lambda s, i: [
            (queries.persons_among(s, one, i, column=column, ids=FEW), ())
            for uses in watcher.USES.values()
            for one, column in uses
            if s.has(one, column) and (one, column) not in s.indexes
        ],
        set(),
    ),
    "queries.dictionary_hashes": (
        lambda s, _i: [(queries.dictionary_hashes(one), ()) for one in watcher.HASHED if s.has(one)],
        DICTIONARIES,
    ),
    "queries.provider_names": (lambda _s, _i: [(queries.provider_names(), ())], DICTIONARIES),
    "queries.all_locations": (lambda _s, _i: [(queries.all_locations(), ())], DICTIONARIES),
    "queries.anchor_uuids": (
        lambda _s, _i: [(queries.anchor_uuids(one, range(1, 25)), ()) for one in ("person", "encounter", "obs")],
        set(),
    ),
    "queries.voided_among_patients": (lambda _s, _i: [(queries.voided_among_patients(PART), ())], {"patient"}),
    "queries.count_patients": (lambda _s, _i: [(queries.count_patients(PART), ())], {"patient"}),
    "receipt_queries.rows_with_standing": (
        lambda s, i: [(receipt_queries.rows_with_standing(s, one, i), ()) for one in tables(s)],
        set(),
    ),
    "receipt_queries.groups": (lambda _s, i: [(receipt_queries.groups(i), ())], set()),
    "receipt_queries.concepts_by_uuid": (lambda _s, _i: [(receipt_queries.concepts_by_uuid(1), ["x"])], DICTIONARIES),
    "receipt_queries.CONCEPTS_BY_EMRAPI_CODE": (
        lambda _s, _i: [(receipt_queries.CONCEPTS_BY_EMRAPI_CODE, ["Coded Diagnosis"])],
        DICTIONARIES,
    ),
    "receipt_queries.said_again": (
        lambda s, i: (
            [(receipt_queries.said_again(s, i, sets=FEW, diagnoses=FEW), ())] if s.has("encounter_diagnosis") else []
        ),
        set(),
    ),
    "receipt_queries.PATIENTS": (lambda _s, _i: [(receipt_queries.PATIENTS, (100, 10_000))], {"patient"}),
    "receipt_queries.numbers_of_patients": (
        lambda _s, _i: [(receipt_queries.numbers_of_patients(1), (1, 10_000, "x"))],
        {"patient_identifier_type"},
    ),
}


def tables(found: Schema) -> list[str]:
    return [table for table in watcher.WATCHED if found.has(table)]


def stamps(found: Schema, table: str) -> list[str]:
    return [column for column in watcher.STAMPS if found.has(table, column)]


def texts_of(module: ModuleType) -> set[str]:
    """Every SQL text of a module: its public functions, and its constants that begin as one."""
    functions = {
        name for name, one in inspect.getmembers(module, inspect.isfunction) if one.__module__ == module.__name__
    }
    constants = {name for name, one in vars(module).items() if isinstance(one, str) and one.startswith("SELECT ")}
    name = module.__name__.rpartition(".")[2]
    return {f"{name}.{one}" for one in functions | constants if not one.startswith("_")}


def test_every_sql_text_has_its_expectation() -> None:
    assert texts_of(queries) | texts_of(receipt_queries) == set(EXPECTED)


def full_scans(server: MariaDBServer, sql: str, params: Sequence[object], n_rows: dict[str, int]) -> set[str]:
    """The tables of more than TINY rows that EXPLAIN reads whole, or by a whole index."""
    aliases = dict(re.findall(r"(?:FROM|JOIN) (\w+) (?:AS )?(?!FORCE|WHERE|LEFT|JOIN|ORDER|GROUP|ON\b)(\w+)", sql))
    table_of = {alias: table for table, alias in aliases.items()}
    lines = server.execute(f"EXPLAIN {sql}", tuple(params), database=DATABASE)
    scanned = {table_of.get(str(line[2]), str(line[2])) for line in lines if line[3] in ("ALL", "index")}
    return {table for table in scanned if n_rows.get(table, 0) > TINY}


def test_no_sql_text_reads_a_large_table_whole(prescribing: MariaDBServer) -> None:
    """T45: of few ids and of many, on 200,000 obs: obs and orders never, others only where it is said."""
    large = prescribing
    hospital = enter(large, 3)
    listed = [row[0] for row in large.execute("SHOW TABLES", database=DATABASE)]
    n_rows = {one: large.execute(f"SELECT COUNT(*) FROM `{one}`", database=DATABASE)[0][0] for one in listed}
    large.execute(f"ANALYZE TABLE {', '.join(f'`{one}`' for one in listed)}", database=DATABASE)
    assert n_rows["obs"] >= N_OBS
    with open_hospital(hospital) as source:
        found = schema.discover(source.fetch)
    assert min(n_rows[one] for one in tables(found)) > TINY, "of a tiny table nothing would be seen"
    wrong = []
    for name, expected in EXPECTED.items():
        if expected is None:
            continue
        make, may_scan = expected
        assert not may_scan & {"obs", "orders"}
        for ids in (FEW, MANY):
            for sql, params in make(found, ids):
                if any(table not in n_rows for table in re.findall(r"(?:FROM|JOIN) (\w+)", sql)):
                    continue  # this version has no such table, so it is never sent
                wrong += [f"{name}: {one}" for one in full_scans(large, sql, params, n_rows) - may_scan]
    assert not wrong, "\n".join(wrong)


def test_a_large_table_is_looked_at_in_parts_and_nothing_of_it_is_missed(
    large: MariaDBServer, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement of the deep look reads more than one part of encounter, and each part has its turn."""
    largest = large.execute("SELECT MAX(encounter_id) FROM encounter", database=DATABASE)[0][0]
    n_parts = 3
    monkeypatch.setattr(watcher, "PART_IDS", largest // n_parts + 1)
    hospital = enter(large, 50)
    world.synced(hospital)
    mine = "SELECT encounter_id FROM encounter WHERE voided = 0 AND patient_id IN"
    persons = ", ".join(str(one) for one in world.Link.objects.values_list("person_id", flat=True))
    encounters = [row[0] for row in large.execute(f"{mine} ({persons})", database=DATABASE)]
    changed = [encounters[0], encounters[-1]]
    large.execute(
        "UPDATE encounter SET encounter_datetime = encounter_datetime - INTERVAL 1 DAY, date_changed = NOW()"
        " WHERE encounter_id IN (%s, %s)",
        tuple(changed),
        database=DATABASE,
    )
    watched.sent.clear()
    n_persons = sum(world.synced(hospital, deep=True).n_persons for _ in range(n_parts))
    looks = [
        sql for sql, *_ in watched.sent if "FROM encounter WHERE encounter_id >=" in sql and "date_changed >=" in sql
    ]
    assert len(set(re.findall(r"encounter_id >= (\d+)", " ".join(looks)))) == n_parts
    assert n_persons >= 1
    assert world.verified(hospital).is_well
    days = dict(
        large.execute(
            "SELECT encounter_id, DATE_FORMAT(encounter_datetime, '%%Y-%%m-%%d') FROM encounter"
            " WHERE encounter_id IN (%s, %s)",
            tuple(changed),
            database=DATABASE,
        )
    )
    shown = world.shown(hospital)
    assert {one: shown["encounter", one].at_local[:10] for one in changed} == days
