"""What "Test connection" says about real servers, and what it leaves behind."""

import datetime as dt
import socket
from typing import Any

import pytest

from hospitals.errors import HospitalMisconfigured
from hospitals.identifier_types import resolve_identifier_types
from hospitals.models import ConnectionTest, Hospital, HospitalState, TlsMode
from hospitals.probe import STEPS, TESTS_KEPT, TypeCount
from hospitals.probe import test_connection as run_probe
from hospitals.registry import HospitalSettings, change_hospital, create_hospital
from passport.models import AuditEvent
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer, free_port

NOW = dt.datetime.now(dt.UTC)
PASSWORD = "tr0ub4dor&3"

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _private_servers_may_be_hospitals(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture(scope="module")
def kigali(mariadb: MariaDBServer) -> PretendHospital:
    hospital = PretendHospital(mariadb, "probe_kigali", "2.6").create()
    hospital.grant_reader("probe", PASSWORD)
    alice = hospital.add_person(national_id="1199080012345678")
    hospital.add_person(national_id="n/a")
    gone = hospital.add_person(national_id="1199080012345679")
    for identifier in hospital.identifiers_of(gone):
        hospital.void_identifier(identifier)
    hospital.add_obs(alice, "weight", 61.5, encounter=hospital.add_encounter(alice))
    return hospital


def settings_of(kigali: PretendHospital, **changes: Any) -> HospitalSettings:
    fields: dict[str, Any] = {
        "code": "kigali",
        "name": "Kigali",
        "host": "127.0.0.1",
        "port": kigali.server.port,
        "database": kigali.database,
        "username": "probe",
        "password": PASSWORD,
        "tls_mode": TlsMode.NONE,
        "time_zone": "Africa/Kigali",
        "national_id_types": ("National ID",),
    }
    return HospitalSettings(**{**fields, **changes})


def registered(kigali: PretendHospital, **changes: Any) -> Hospital:
    return create_hospital(wanted=settings_of(kigali, **changes), actor=None, now=NOW)


def results(test: ConnectionTest) -> dict[str, str]:
    return {step["name"]: step["result"] for step in test.steps}


def message(test: ConnectionTest, name: str) -> str:
    return next(step["message"] for step in test.steps if step["name"] == name)


def test_a_good_hospital_passes_every_step_and_is_tested(kigali: PretendHospital) -> None:
    hospital = registered(kigali)
    test = run_probe(hospital=hospital, now=NOW)
    assert [step["name"] for step in test.steps] == list(STEPS)
    assert {name for name, result in results(test).items() if result == "fail"} == set()
    assert test.is_ok
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.TESTED
    assert hospital.national_id_type_uuids == {"National ID": kigali.national_id_type_uuid}
    assert "2.2 or later" in message(test, "openmrs")
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {
        "hospital_created",
        "hospital_tested",
        "hospital_passed_its_test",
    }


def test_identifier_types_are_counted_by_fact(kigali: PretendHospital) -> None:
    test = run_probe(hospital=registered(kigali), now=NOW)
    counted = {one["name"]: one for one in test.identifier_types}
    assert set(counted) >= {"OpenMRS ID", "National ID", "Old Identification Number"}
    assert (counted["National ID"]["n_live"], counted["National ID"]["n_parsing"]) == (2, 1)
    assert "1 of 2 values" in message(test, "identifier_types")


def test_identifiers_are_read_in_pages(kigali: PretendHospital, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_probe(hospital=registered(kigali), now=NOW).identifier_types
    monkeypatch.setattr("hospitals.probe.IDENTIFIERS_A_PAGE", 1)
    assert run_probe(hospital=Hospital.objects.get(), now=NOW).identifier_types == whole


@pytest.mark.parametrize(
    "changes, failed, not_tried",
    [
        ({"host": "no-such-host.invalid"}, "name", 8),
        ({"port": 1}, "tcp", 7),
        ({"tls_mode": TlsMode.VERIFIED}, "tls", 6),
        ({"tls_mode": TlsMode.UNVERIFIED}, "tls", 6),
        ({"password": "another one"}, "login", 6),
        ({"database": "nowhere"}, "login", 6),
        ({"database": "information_schema"}, "openmrs", 3),
        ({"username": "careless"}, "grants", 4),
    ],
)
def test_the_step_that_fails_is_named_and_the_rest_is_not_tried(
    kigali: PretendHospital, changes: dict[str, Any], failed: str, not_tried: int
) -> None:
    kigali.server.grant_writer("careless", PASSWORD, kigali.database)
    if changes.get("port"):
        changes = {"port": free_port()}
    hospital = registered(kigali, **changes)
    test = run_probe(hospital=hospital, now=NOW)
    assert [name for name, result in results(test).items() if result == "fail"] == [failed]
    assert [step["message"].startswith("Not tried") for step in test.steps].count(True) == not_tried
    assert len(test.steps) == len(STEPS)
    assert not test.is_ok
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.DRAFT
    assert PASSWORD not in str(test.steps)


def test_a_silent_port_fails_the_login_in_time(kigali: PretendHospital, settings: Any) -> None:
    settings.SOURCE_CONNECT_TIMEOUT = 1
    with socket.create_server(("127.0.0.1", 0)) as silent:
        test = run_probe(hospital=registered(kigali, port=silent.getsockname()[1]), now=NOW)
    assert results(test)["tcp"] == "pass"
    assert results(test)["login"] == "fail"


def test_no_type_chosen_fails_but_lists_the_types(kigali: PretendHospital) -> None:
    test = run_probe(hospital=registered(kigali, national_id_types=()), now=NOW)
    assert results(test)["identifier_types"] == "fail"
    assert results(test)["timed_read"] == "pass"
    assert "National ID" in {one["name"] for one in test.identifier_types}


def test_a_type_without_a_single_number_is_a_hint(kigali: PretendHospital) -> None:
    test = run_probe(hospital=registered(kigali, national_id_types=("Old Identification Number",)), now=NOW)
    assert results(test)["identifier_types"] == "hint"


@pytest.mark.parametrize(
    "zone, moved, result, words",
    [
        ("Asia/Tokyo", dt.timedelta(0), "hint", "hours against"),
        ("ours", dt.timedelta(minutes=11), "hint", "minutes off"),
        ("ours", dt.timedelta(minutes=2), "pass", "agrees"),
    ],
)
def test_the_clock_is_compared_in_the_hospitals_zone(
    kigali: PretendHospital, zone: str, moved: dt.timedelta, result: str, words: str
) -> None:
    """T61"""
    empty = PretendHospital(kigali.server, "probe_clock", "2.6").create()
    empty.grant_reader("probe", PASSWORD)
    # The private server shows this machine's clock, whatever zone that is in. Etc counts hours to the west.
    east = round((dt.datetime.now().astimezone().utcoffset() or dt.timedelta()) / dt.timedelta(hours=1))
    ours = f"Etc/GMT{-east:+d}"
    hospital = registered(kigali, database="probe_clock", time_zone=ours if zone == "ours" else zone)
    test = run_probe(hospital=hospital, now=dt.datetime.now(dt.UTC) + moved)
    assert results(test)["clock"] == result
    assert words in message(test, "clock")


def test_a_row_from_the_future_makes_the_zone_suspicious(kigali: PretendHospital) -> None:
    """T61"""
    test = run_probe(hospital=registered(kigali, time_zone="America/Lima"), now=NOW)
    assert "entered in the future" in message(test, "clock")


def test_a_type_renamed_at_the_hospital_keeps_its_uuid(kigali: PretendHospital) -> None:
    """T80"""
    hospital = registered(kigali)
    run_probe(hospital=hospital, now=NOW)
    types = [
        TypeCount(uuid=kigali.national_id_type_uuid, name="NID (old)", is_retired=True, n_live=2, n_parsing=1),
        TypeCount(uuid="another-uuid", name="National ID", is_retired=False, n_live=0, n_parsing=0),
    ]
    resolved = resolve_identifier_types(hospital=hospital, types=types)
    assert resolved.uuids == (kigali.national_id_type_uuid,)
    assert "retired" in resolved.hints[0]


def test_a_type_removed_at_the_hospital_stops_it(kigali: PretendHospital) -> None:
    hospital = registered(kigali)
    run_probe(hospital=hospital, now=NOW)
    types = [TypeCount(uuid="another-uuid", name="National ID", is_retired=False, n_live=0, n_parsing=0)]
    with pytest.raises(HospitalMisconfigured, match="removed"):
        resolve_identifier_types(hospital=hospital, types=types)
    hospital.refresh_from_db()
    assert hospital.national_id_type_uuids == {"National ID": kigali.national_id_type_uuid}


def test_a_name_resolved_while_the_settings_moved_is_not_remembered(kigali: PretendHospital) -> None:
    stale = registered(kigali)
    change_hospital(
        hospital=Hospital.objects.get(),
        wanted=settings_of(kigali, national_id_types=("OpenMRS ID",), password=None),
        actor=None,
        now=NOW,
    )
    types = [TypeCount(uuid="some-uuid", name="National ID", is_retired=False, n_live=0, n_parsing=0)]
    assert resolve_identifier_types(hospital=stale, types=types).uuids == ("some-uuid",)
    assert Hospital.objects.get().national_id_type_uuids == {}


def test_only_the_last_tests_are_kept(kigali: PretendHospital) -> None:
    hospital = registered(kigali, host="no-such-host.invalid")
    for _ in range(TESTS_KEPT + 2):
        run_probe(hospital=hospital, now=NOW)
    assert ConnectionTest.objects.count() == TESTS_KEPT
