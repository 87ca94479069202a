"""The pretend hospitals that the other tests stand on: the server, the tables, the verbs, the people."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import MySQLdb
import pytest

from tests.openmrs import ddl, real
from tests.openmrs import server as server_module
from tests.openmrs.demo import hospital_by_day
from tests.openmrs.doctor import DemoDoctor
from tests.openmrs.hospital import NotInThisVersion, PretendHospital
from tests.openmrs.people import MODERN, OLD, fill, make_people, people_at
from tests.openmrs.server import CHECKOUT, MariaDBServer, ServerMissing, make_certificates
from tests.parts import require

pytestmark = pytest.mark.integration

NOON = dt.datetime(2025, 6, 2, 12, 0, 0)
TSV_VERSIONS = {"1.9": "1.9.8", "1.12": "1.12", "2.0": "2.0", "2.3": "2.3", "2.6": "2.6.4", "2.8": "2.8"}


@pytest.fixture(params=ddl.VERSIONS)
def hospital(request: pytest.FixtureRequest, mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    yield from _hospital(mariadb, request.param)


@pytest.fixture
def modern(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    yield from _hospital(mariadb, "2.6")


@pytest.fixture
def old(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    yield from _hospital(mariadb, "1.9")


def _hospital(server: MariaDBServer, version: str) -> Iterator[PretendHospital]:
    hospital = PretendHospital(server, "pretend", version).create()
    hospital.clock = lambda: NOON
    yield hospital
    hospital.close()


# -- the server -------------------------------------------------------------------------------------------


def test_a_server_leaves_no_process_and_no_file() -> None:
    with MariaDBServer() as server:
        pid, folder = server.pid, server.socket.parent
        assert server.execute("SELECT 1") == [(1,)]

    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


def test_a_server_dies_with_a_parent_that_is_killed() -> None:
    code = (
        "import signal; from tests.openmrs.server import MariaDBServer as S; s = S().start(); "
        "print(s.pid, s.socket.parent, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
    deadline = time.monotonic() + 5
    while _runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not _runs(int(pid))
    server_module.shutil.rmtree(folder.decode())  # nobody was left to do it


def _runs(pid: int) -> bool:
    """False for a process that has ended, reaped by whoever adopted it or not yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_content_and_port_survive_stop_and_a_durable_server_survives_kill() -> None:
    with MariaDBServer(durable=True) as server:
        port = server.port
        server.create_database("a")
        server.execute("CREATE TABLE t (n INT)", database="a")
        server.stop()
        server.start()
        server.execute("INSERT INTO t VALUES (7)", database="a")
        server.kill()
        server.start()

        assert server.execute("SELECT n FROM t", database="a") == [(7,)]
        assert server.port == port


def test_a_frozen_server_accepts_and_does_not_answer() -> None:
    with MariaDBServer() as server:
        server.create_database("a")
        server.grant_reader("reader", "secret", "a")
        server.freeze()
        with pytest.raises(MySQLdb.OperationalError):
            server.connect("a", user="reader", password="secret", connect_timeout=1)
        server.thaw()

        server.connect("a", user="reader", password="secret").close()


def test_a_server_can_say_that_it_is_another_version() -> None:
    with MariaDBServer(version="5.7.40", extra_args=["--default-time-zone=+02:00"]) as server:
        assert server.execute("SELECT VERSION(), @@time_zone") == [("5.7.40", "+02:00")]


def test_a_reader_can_select_and_nothing_else(mariadb: MariaDBServer) -> None:
    mariadb.create_database("readable")
    mariadb.execute("CREATE TABLE t (n INT)", database="readable")
    mariadb.grant_reader("reader", "it's secret", "readable")
    connection = mariadb.connect("readable", user="reader", password="it's secret")
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM t")

    with pytest.raises(MySQLdb.OperationalError, match="1142"):
        cursor.execute("INSERT INTO t VALUES (1)")
    connection.close()


def test_root_comes_in_through_the_socket_only(mariadb: MariaDBServer) -> None:
    with pytest.raises(MySQLdb.OperationalError, match="1045"):
        MySQLdb.connect(host=mariadb.host, port=mariadb.port, user="root")


def test_tls_is_offered_and_verified_by_name(tmp_path: Path) -> None:
    with MariaDBServer() as server:
        server.create_database("a")
        server.grant_reader("reader", "secret", "a")
        ca = server.start_with_tls()

        def cipher(ca_path: Path) -> str:
            connection = server.connect(
                "a",
                user="reader",
                password="secret",
                ssl_mode="VERIFY_IDENTITY",
                ssl={"ca": str(ca_path)},
            )
            cursor = connection.cursor()
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            found = str(cursor.fetchone()[1])
            connection.close()
            return found

        assert cipher(ca)
        make_certificates(tmp_path / "other", names=["127.0.0.1"])
        with pytest.raises(MySQLdb.OperationalError, match="2026"):
            cipher(tmp_path / "other" / "ca.pem")
        ca = server.start_with_tls(names=["db.hospital.test"])
        with pytest.raises(MySQLdb.OperationalError, match="2026"):
            cipher(ca)


def test_a_missing_server_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(server_module, "SBIN", "/nowhere")

    with pytest.raises(ServerMissing, match="mariadb-server-core mariadb-client-core"):
        MariaDBServer().start()


# -- the tables -------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("version", ddl.VERSIONS)
def test_every_column_is_one_that_real_installs_have(version: str) -> None:
    require("openmrs dumps")
    facts = real.columns()[TSV_VERSIONS[version]]
    ours = {(table, column) for table in ddl.tables_of(version) for column in ddl.columns_of(table, version)}
    known = {table for table, _column in facts}

    # The XML that 2.8 was made from does not hold liquibase's own table.
    assert {pair for pair in ours - facts if pair[0] in known} == set()
    assert {table for table, _column in ours} - known <= {"liquibasechangelog"}
    # provider_role_id belongs to the module Provider Management.
    missing = {pair for pair in facts - ours if pair[0] in ddl.read_tables()}
    assert missing <= {("provider", "provider_role_id")}


@pytest.mark.real
@pytest.mark.parametrize("version", ["1.9", "2.6"])
def test_tables_of_obs_agree_with_a_real_platform(mariadb: MariaDBServer, version: str) -> None:
    require("openmrs dumps")
    real.load(mariadb, version, "real_platform")
    hospital = PretendHospital(mariadb, "pretend", version).create()
    hospital.close()
    sql = (
        "SELECT index_name, column_name FROM information_schema.statistics "
        "WHERE table_schema = %s AND table_name = %s AND index_name NOT LIKE %s"
    )

    for table in ("obs", "encounter", "patient_identifier", "visit", "person_merge_log"):
        indexes = [set(mariadb.execute(sql, (database, table, "%uuid%"))) for database in ("pretend", "real_platform")]
        assert indexes[0] == indexes[1], table


def test_every_version_has_its_tables_and_no_others(hospital: PretendHospital) -> None:
    found = hospital.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (hospital.database,)
    )

    assert {name for (name,) in found} == set(ddl.tables_of(hospital.version))
    assert hospital.count("concept_name", locale="rw") > 0


def test_what_a_version_does_not_have_is_said(old: PretendHospital) -> None:
    alice = old.add_person()

    with pytest.raises(NotInThisVersion, match=r"1\.9 has no table allergy"):
        old.add_allergy(alice, "penicillin")
    with pytest.raises(NotInThisVersion, match=r"1\.9 has no column obs.status"):
        old.add_obs(alice, "weight", 60.0, status="FINAL")


# -- the verbs --------------------------------------------------------------------------------------------


def test_a_value_lands_in_the_column_of_its_datatype(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    cases = [
        ("weight", 61.5, "value_numeric", 61.5),
        ("malaria rdt", "positive", "value_coded", hospital.concept("positive")),
        ("smoker", True, "value_coded", hospital.concept("true")),
        ("note", "Reçu", "value_text", "Reçu"),
        ("return date", dt.date(2025, 7, 1), "value_datetime", dt.datetime(2025, 7, 1)),
        ("arrival time", dt.time(9, 30), "value_datetime", dt.datetime(1970, 1, 1, 9, 30)),
        ("x-ray", "Chest|c.jpg", "value_complex", "Chest|c.jpg"),
    ]
    for concept, value, column, stored in cases:
        row = hospital.row("obs", hospital.add_obs(alice, concept, value))
        filled = {name: row[name] for name in row if name.startswith("value_") and row[name] is not None}
        assert filled == {column: stored}, concept


def test_an_edit_is_a_new_row_and_a_void(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    first = hospital.add_obs(alice, "weight", 61.5)

    second = hospital.edit_obs(first, 62.0)

    before, after = hospital.row("obs", first), hospital.row("obs", second)
    assert (before["voided"], before["value_numeric"]) == (1, 61.5)
    assert (after["voided"], after["value_numeric"], after["previous_version"]) == (0, 62.0, first)
    assert before["uuid"] != after["uuid"]
    assert after.get("status", "AMENDED") == "AMENDED"


def test_an_edit_in_place_shows_on_the_encounter_only(old: PretendHospital) -> None:
    alice = old.add_person()
    encounter = old.add_encounter(alice)
    obs = old.add_obs(alice, "weight", 61.5, encounter=encounter)
    before = old.row("obs", obs)

    old.edit_obs_in_place(obs, 62.0)

    assert old.row("obs", obs) == before | {"value_numeric": 62.0}
    assert old.row("encounter", encounter)["date_changed"] == NOON


def test_an_unvoid_leaves_no_trace(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    group = hospital.add_obs_group_diagnosis(alice, "malaria", encounter=hospital.add_encounter(alice))
    before = hospital.rows("obs")

    hospital.void_obs(group)
    assert hospital.count("obs", voided=1) == 4
    hospital.unvoid_obs(group)

    assert hospital.rows("obs") == before


def test_a_purge_deletes_the_group_with_its_members(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    group = hospital.add_obs_group_diagnosis(alice, "Bite of a dog", encounter=hospital.add_encounter(alice))

    hospital.purge_obs(group)

    assert hospital.count("obs") == 0


def test_a_voided_patient_takes_the_encounters_along_and_comes_back(hospital: PretendHospital) -> None:
    alice = hospital.add_person(national_id="1199070000001037")
    encounter = hospital.add_encounter(alice)
    inside = hospital.add_obs(alice, "weight", 61.5, encounter=encounter)
    outside = hospital.add_obs(alice, "weight", 61.5)
    order = hospital.add_drug_order(alice, encounter=encounter, days=30)

    hospital.void_patient(alice)

    assert [hospital.row("obs", obs)["voided"] for obs in (inside, outside)] == [1, 0]
    assert hospital.row("orders", order)["voided"] == hospital.row("person", alice)["voided"] == 1
    assert hospital.identifiers_of(alice) == []
    hospital.unvoid_patient(alice)
    assert hospital.row("obs", inside)["voided"] == hospital.row("patient", alice)["voided"] == 0
    assert len(hospital.identifiers_of(alice)) == 1


@pytest.mark.parametrize("version", ["1.12", "2.6"])
def test_a_merge_copies_obs_in_2_and_moves_them_silently_in_1(mariadb: MariaDBServer, version: str) -> None:
    hospital = PretendHospital(mariadb, "pretend", version).create()
    alice, double = hospital.add_person(), hospital.add_person(national_id="1199070000001037")
    visit = hospital.add_visit(double)
    encounter = hospital.add_encounter(double, visit=visit)
    group = hospital.add_obs_group_diagnosis(double, "malaria", encounter=encounter)
    loose = hospital.add_obs(double, "weight", 61.5)
    order = hospital.add_drug_order(double, encounter=encounter)

    log = hospital.merge_patients(alice, double)

    live = hospital.rows("obs", person_id=alice, voided=0)
    assert len(live) == 5
    groups = [row["obs_id"] for row in live if row["concept_id"] == hospital.concept("diagnosis set")]
    assert sum(row["obs_group_id"] == groups[0] for row in live) == 3
    assert (groups == [group]) is (version == "1.12")
    assert hospital.row("obs", loose)["voided"] == 1
    assert hospital.row("orders", order)["patient_id"] == hospital.row("visit", visit)["patient_id"] == alice
    assert hospital.row("person", double)["void_reason"] == f"Merged with patient #{alice}"
    assert len(hospital.identifiers_of(alice)) == 1
    assert hospital.row("person_merge_log", log)["loser_person_id"] == double
    hospital.close()


def test_a_moved_encounter_takes_everything_in_it_along(hospital: PretendHospital) -> None:
    alice, bob = hospital.add_person(), hospital.add_person(sex="M")
    encounter = hospital.add_encounter(alice)
    obs = hospital.add_obs(alice, "weight", 61.5, encounter=encounter)

    hospital.move_encounter(encounter, bob)

    assert hospital.row("encounter", encounter)["patient_id"] == bob
    assert [row["value_numeric"] for row in hospital.rows("obs", person_id=bob, voided=0)] == [61.5]
    is_2x = ddl.order(hospital.version) >= (2, 0)
    assert hospital.row("obs", obs)["voided"] == int(is_2x)


def test_a_stopped_order_shows_no_stamp(modern: PretendHospital) -> None:
    alice = modern.add_person()
    order = modern.add_drug_order(alice, encounter=modern.add_encounter(alice), days=30)
    before = modern.row("orders", order)

    stop = modern.stop_order(order, NOON)

    assert modern.row("orders", order) == before | {"date_stopped": NOON}
    assert modern.row("orders", stop)["order_action"] == "DISCONTINUE"
    modern.void_order(stop)
    assert modern.row("orders", order) == before


def test_an_old_order_is_discontinued_in_place(old: PretendHospital) -> None:
    alice = old.add_person()
    order = old.add_drug_order(alice, encounter=old.add_encounter(alice), days=30)

    assert old.stop_order(order) == order

    assert old.row("orders", order)["discontinued"] == 1
    assert old.row("drug_order", order)["units"] == "tablet"


def test_an_edited_condition_is_voided_without_date_voided(modern: PretendHospital) -> None:
    alice = modern.add_person()
    first = modern.add_condition(alice, "diabetes")

    second = modern.edit_condition(first, clinical_status="INACTIVE")

    row = modern.row("conditions", first)
    assert (row["voided"], row["date_voided"], row["date_changed"]) == (1, None, NOON)
    assert modern.row("conditions", second)["previous_version"] == first


def test_a_migrated_diagnosis_is_back_dated(modern: PretendHospital) -> None:
    alice = modern.add_person()
    with modern.at(dt.datetime(2019, 1, 1)):
        group = modern.add_obs_group_diagnosis(alice, "malaria", encounter=modern.add_encounter(alice))

    diagnosis = modern.migrate_obs_group_diagnosis(group)

    assert modern.row("encounter_diagnosis", diagnosis)["date_created"] == dt.datetime(2019, 1, 1)
    assert modern.count("obs", voided=0) == 0


@pytest.mark.parametrize("version, column", [("2.3", "rank"), ("2.6", "dx_rank")])
def test_the_rank_of_a_diagnosis_changed_its_name(mariadb: MariaDBServer, version: str, column: str) -> None:
    hospital = PretendHospital(mariadb, "pretend", version).create()
    alice = hospital.add_person()

    diagnosis = hospital.add_diagnosis(alice, "malaria", encounter=hospital.add_encounter(alice), rank=2)

    assert hospital.row("encounter_diagnosis", diagnosis)[column] == 2
    hospital.close()


def test_a_late_commit_has_the_lower_id_and_is_seen_later(modern: PretendHospital) -> None:
    alice = modern.add_person()
    with modern.transaction() as late:
        low = late.add_obs(alice, "weight", 60.0)
        high = modern.add_obs(alice, "weight", 61.0)
        assert [row["obs_id"] for row in modern.rows("obs")] == [high]

    assert [row["obs_id"] for row in modern.rows("obs")] == [low, high]


def test_a_verb_that_fails_leaves_nothing_behind(old: PretendHospital) -> None:
    alice = old.add_person()
    group = old.add_obs_group_diagnosis(alice, "malaria", encounter=old.add_encounter(alice))

    with pytest.raises(NotInThisVersion):
        old.migrate_obs_group_diagnosis(group)

    assert old.count("obs", voided=1) == 0


def test_a_hospital_goes_on_after_its_server_was_away() -> None:
    with MariaDBServer() as server:
        hospital = PretendHospital(server, "pretend", "2.6").create()
        alice = hospital.add_person()
        server.stop()
        server.start()

        assert hospital.row("person", alice)["voided"] == 0
        hospital.close()


def test_a_hospital_can_be_taken_up_by_another_process(hospital: PretendHospital) -> None:
    again = PretendHospital(hospital.server, hospital.database, hospital.version).open()

    for name in ("concepts", "drugs", "locations", "providers", "provider_names", "order_types", "frequencies"):
        assert getattr(again, name) == getattr(hospital, name), name
    again.close()


def test_clones_share_uuids_and_others_do_not(mariadb: MariaDBServer) -> None:
    uuids = []
    for database, seed in (("clone_a", "template"), ("clone_b", "template"), ("clone_c", "other")):
        hospital = PretendHospital(mariadb, database, "2.6", seed=seed).create()
        alice = hospital.add_person()
        uuids.append(hospital.row("person", alice)["uuid"])
        hospital.close()

    assert uuids[0] == uuids[1] != uuids[2]


# -- the people -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version, place", [("1.9", OLD), ("2.6", MODERN)])
def test_filling_is_fast_and_the_same_every_time(mariadb: MariaDBServer, version: str, place: str) -> None:
    people = people_at(make_people(today=NOON.date()), place)
    fillings, seconds = [], []
    for _time in range(2):
        hospital = PretendHospital(mariadb, "pretend", version).create()
        started = time.monotonic()
        fill(hospital, people, place, until=NOON)
        seconds.append(time.monotonic() - started)
        fillings.append({table: hospital.rows(table) for table in ("obs", "orders", "visit", "person")})
        hospital.close()

    assert fillings[0] == fillings[1]
    assert len(fillings[0]["obs"]) > 2000
    assert min(seconds) < 3
    assert all(row["date_started"] < NOON for row in fillings[0]["visit"])


def test_the_people_are_sixty_and_twenty_five_hold_a_passport() -> None:
    people = make_people(today=NOON.date())
    holders = [person for person in people if person.has_passport]

    assert (len(people), len(holders)) == (60, 25)
    assert sum(len(person.hospitals) == 2 for person in holders) >= 5
    assert len({person.national_id for person in people}) == 60
    assert all(len(person.national_id) == 16 and person.national_id.isdigit() for person in people)


def test_the_old_hospital_has_zero_dates_and_accents(old: PretendHospital) -> None:
    people = people_at(make_people(today=NOON.date()), OLD)
    fill(old, people, OLD, until=NOON)

    assert old.execute("SELECT COUNT(*) FROM obs WHERE obs_datetime = 0") == [(2,)]
    stored = {row["given_name"] for row in old.rows("person_name")}
    assert {person.given for person in people} <= stored
    assert any(not name.isascii() for name in stored)


@pytest.mark.parametrize("version", ["1.9", "2.6"])
def test_the_demo_doctor_adds_corrects_and_voids(mariadb: MariaDBServer, version: str) -> None:
    hospital = PretendHospital(mariadb, "pretend", version).create()
    doctor = DemoDoctor(hospital, [hospital.add_person()])

    done = {doctor.act() for _time in range(40)}

    assert done == {"added", "corrected", "voided", "un-voided"}
    assert hospital.count("obs", previous_version=None) < hospital.count("obs")
    hospital.close()


def test_the_demos_doctor_never_draws_the_uuid_of_a_row_that_is_there(mariadb: MariaDBServer) -> None:
    """One that does ends the demo after a quarter of an hour."""
    by_day = hospital_by_day(mariadb)
    filled = PretendHospital(mariadb, by_day.database, by_day.version)

    assert by_day.new_uuid() != filled.new_uuid()


@pytest.mark.real
def test_a_real_dump_loads(mariadb: MariaDBServer) -> None:
    require("openmrs dumps")

    real.load(mariadb, "core-2.8", "real_core")

    assert mariadb.execute("SELECT COUNT(*) FROM patient", database="real_core")[0][0] == 10
