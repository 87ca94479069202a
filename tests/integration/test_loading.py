"""Hospitals from JSON and from the environment: created, updated, or refused one by one with every reason."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from hospitals import registry
from hospitals.loading import (
    LoadResult,
    NotALoad,
    Outcome,
    dump_hospitals,
    hospitals_from_environment,
    hospitals_from_json,
    load,
    settings_of,
)
from hospitals.models import Hospital, HospitalState
from passport.models import AuditEvent
from passport.secrets import open_sealed

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
PASSWORD = "tr0ub4dor&3"

pytestmark = pytest.mark.django_db


def kigali(**changes: Any) -> dict[str, Any]:
    entry = {
        "code": "kigali",
        "name": "Kigali",
        "host": "db.kigali.example",
        "database": "openmrs",
        "username": "passport",
        "password": PASSWORD,
        "national_id_types": ["National ID"],
    }
    return {key: value for key, value in {**entry, **changes}.items() if value != "LEFT OUT"}


def load_one(**changes: Any) -> LoadResult:
    (result,) = load([kigali(**changes)], NOW)
    return result


def test_a_hospital_is_created_with_the_defaults() -> None:
    result = load_one()
    hospital = Hospital.objects.get()
    assert (result.outcome, result.hospital_id, result.code) == (Outcome.CREATED, hospital.pk, "kigali")
    assert (hospital.port, hospital.tls_mode, hospital.locales) == (3306, "verified", ["en"])
    assert (hospital.state, hospital.number, hospital.config_version) == (HospitalState.LIVE, 1, 1)
    assert PASSWORD not in hospital.password_sealed
    assert open_sealed(hospital.password_sealed) == PASSWORD


def test_every_hospital_gets_a_number_of_its_own() -> None:
    load([kigali(), kigali(code="huye"), kigali(code="musanze")], NOW)
    assert list(Hospital.objects.order_by("number").values_list("number", "code")) == [
        (1, "kigali"),
        (2, "huye"),
        (3, "musanze"),
    ]


def test_loading_the_same_again_changes_nothing() -> None:
    load_one()
    n_events = AuditEvent.objects.count()
    assert load_one().outcome == Outcome.UNCHANGED
    assert AuditEvent.objects.count() == n_events


@pytest.mark.parametrize(
    "changes, bumps",
    [
        ({"name": "CHUK"}, False),
        ({"sweep_hours": 12}, False),
        ({"time_zone": "Africa/Kigali"}, True),
        ({"locales": ["fr", "en"]}, True),
        ({"national_id_types": ["NIDA"]}, True),
    ],
)
def test_what_alters_records_makes_every_link_stale(changes: dict[str, Any], bumps: bool) -> None:
    load_one()
    assert load_one(**changes).outcome == Outcome.UPDATED
    assert Hospital.objects.get().config_version == 1 + bumps


def test_only_the_names_of_what_changed_are_in_the_audit() -> None:
    load_one()
    load_one(name="CHUK", password="another password")
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.details) == ("hospital_changed", {"fields": ["name", "password"]})


def test_a_type_that_is_chosen_no_longer_forgets_its_uuid() -> None:
    load_one(national_id_types=["A", "B"])
    Hospital.objects.update(national_id_type_uuids={"A": "uuid-a", "B": "uuid-b"})
    load_one(national_id_types=["B", "C"])
    assert Hospital.objects.get().national_id_type_uuids == {"B": "uuid-b"}


def test_what_is_left_out_stays() -> None:
    load_one(time_zone="Africa/Kigali", sync_interval_minutes=7)
    (result,) = load([{"code": "kigali", "name": "CHUK"}], NOW)
    hospital = Hospital.objects.get()
    assert result.outcome == Outcome.UPDATED
    assert (hospital.name, hospital.time_zone, hospital.sync_interval_minutes) == ("CHUK", "Africa/Kigali", 7)
    assert open_sealed(hospital.password_sealed) == PASSWORD


def test_the_interval_can_be_taken_back() -> None:
    load_one(sync_interval_minutes=7)
    load_one(sync_interval_minutes=None)
    assert Hospital.objects.get().sync_interval_minutes is None


@pytest.mark.parametrize(
    "changes", [{"host": "mallory.example"}, {"port": 3307}, {"username": "root"}, {"tls_mode": "none"}]
)
def test_the_stored_password_is_not_sent_elsewhere(changes: dict[str, Any]) -> None:
    load_one()
    result = load_one(password="LEFT OUT", **changes)
    assert result.outcome == Outcome.REFUSED
    assert "password" in result.messages[0]
    assert Hospital.objects.get().host == "db.kigali.example"
    assert load_one(**changes).outcome == Outcome.UPDATED


def test_nor_is_what_a_reference_leads_to() -> None:
    load_one(password="env:KIGALI_PASSWORD")
    assert load_one(password="LEFT OUT", host="mallory.example").outcome == Outcome.REFUSED


def test_enabled_means_live_and_disabled_paused() -> None:
    load_one(is_enabled=False)
    assert Hospital.objects.get().state == HospitalState.PAUSED
    assert load_one(is_enabled=True).outcome == Outcome.UPDATED
    assert Hospital.objects.get().state == HospitalState.LIVE


def test_what_an_admin_paused_stays_paused_when_the_file_does_not_say() -> None:
    load_one()
    registry.pause_hospital(hospital=Hospital.objects.get(), actor=None, now=NOW)
    assert load_one().outcome == Outcome.UNCHANGED
    assert Hospital.objects.get().state == HospitalState.PAUSED


def test_a_retired_hospital_stays_retired() -> None:
    load_one()
    registry.retire_hospital(hospital=Hospital.objects.get(), actor=None, now=NOW)
    assert "retired" in load_one(is_enabled=True).messages[0]
    assert Hospital.objects.get().state == HospitalState.RETIRED


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"code": "Kigali!"}, "code must be"),
        ({"code": 7}, "code must be"),
        ({"code": "k" * 51}, "code must be"),
        ({"name": ""}, "name is missing"),
        ({"name": "K\nigali"}, "name must be"),
        ({"name": "K\ud800igali"}, "name must be"),
        ({"code": None, "name": {"password": "p"}}, "name must be"),
        ({"username": "u\ud800"}, "username must be"),
        ({"national_id_types": ["\ud800"]}, "national_id_types must be"),
        ({"password": "p\ud800"}, "password must be"),
        ({"host": "LEFT OUT"}, "host is missing"),
        ({"host": "db.example:3306"}, "host must be"),
        ({"host": "mysql://db.example/"}, "host must be"),
        ({"host": "/run/mysqld.sock"}, "host must be"),
        ({"port": 0}, "port must be"),
        ({"port": 65536}, "port must be"),
        ({"port": "abc"}, "port must be"),
        ({"port": True}, "port must be"),
        ({"port": 3306.5}, "port must be"),
        ({"password": "LEFT OUT"}, "password is missing"),
        ({"password": 12345678}, "password must be"),
        ({"password": "file:relative"}, "password is no reference"),
        ({"password": "env:SECRET_KEY"}, "password is no reference"),
        ({"tls_mode": "sometimes"}, "tls_mode must be"),
        ({"tls_ca": "not a certificate"}, "tls_ca must be"),
        ({"time_zone": "Kigali"}, "time_zone must be"),
        ({"time_zone": "../../etc/passwd"}, "time_zone must be"),
        ({"locales": []}, "locales must be"),
        ({"locales": ["english language"]}, "locales must be"),
        ({"locales": {"en": 1}}, "locales must be"),
        ({"national_id_types": [7]}, "national_id_types must be"),
        ({"sync_interval_minutes": 0}, "sync_interval_minutes must be"),
        ({"sweep_hours": 10_000}, "sweep_hours must be"),
        ({"is_enabled": "perhaps"}, "is_enabled must be"),
        ({"pasword": "x"}, "pasword is not a setting"),
        ({"code": None, "name": "日本"}, "code is missing"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_its_reason(changes: dict[str, Any], words: str) -> None:
    result = load_one(**changes)
    assert result.outcome == Outcome.REFUSED
    assert any(words in message for message in result.messages), result.messages
    assert not Hospital.objects.exists()


def test_a_refusal_names_all_that_is_wrong_and_repeats_no_value() -> None:
    result = load_one(port=PASSWORD, time_zone=PASSWORD, password=["x"])
    assert len(result.messages) == 3
    assert PASSWORD not in str(result)


def test_one_bad_entry_does_not_stop_the_others() -> None:
    results = load([kigali(port=0), "nonsense", None, kigali(code="huye")], NOW)
    assert [result.outcome for result in results] == ["refused", "refused", "refused", "created"]
    assert [result.position for result in results] == [1, 2, 3, 4]


def test_a_code_that_stands_twice_is_loaded_once() -> None:
    results = load([kigali(), kigali(name="Another")], NOW)
    assert [result.outcome for result in results] == ["created", "refused"]
    assert Hospital.objects.get().name == "Kigali"


@pytest.mark.parametrize(
    "name, code",
    [("Hôpital de Ruhengeri", "hopital-de-ruhengeri"), ("CHUK_2", "chuk-2"), ("x" * 80, "x" * 50)],
)
def test_a_code_is_made_from_the_name(name: str, code: str) -> None:
    assert load_one(code="LEFT OUT", name=name).code == code


@pytest.mark.parametrize("text", ["", "{", '{"code": "x"}', "null", "[" * 100_000])
def test_what_is_no_list_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(NotALoad, match="list of hospitals"):
        hospitals_from_json(text)


def test_a_byte_order_mark_does_not_matter() -> None:
    assert hospitals_from_json('\ufeff[{"code": "x"}]') == [{"code": "x"}]


def test_the_environment_may_have_gaps_and_empty_variables() -> None:
    environ = {
        "HOSPITAL_10_NAME": "Huye Hospital",
        "HOSPITAL_10_DB_HOST": "huye.example",
        "HOSPITAL_10_DB_PORT": "3307",
        "HOSPITAL_10_DB_NAME": "openmrs",
        "HOSPITAL_10_DB_USER": "passport",
        "HOSPITAL_10_DB_PASSWORD_FILE": "/run/secrets/huye",
        "HOSPITAL_10_ENABLED": "no",
        "HOSPITAL_10_NATIONAL_ID_TYPES": "National ID, NIDA",
        "HOSPITAL_10_LOCALES": "fr,en",
        "HOSPITAL_2_ID": "kigali",
        "HOSPITAL_2_NAME": "Kigali",
        "HOSPITAL_2_DB_HOST": "kigali.example",
        "HOSPITAL_2_DB_PORT": "",
        "HOSPITAL_2_DB_NAME": "openmrs",
        "HOSPITAL_2_DB_USER": "passport",
        "HOSPITAL_2_DB_PASSWORD": PASSWORD,
        "HOSPITAL_2_TIME_ZONE": "Africa/Kigali",
        "HOSPITAL_2_TLS_MODE": "none",
        "HOSPITALITY": "yes",
    }
    results = load(hospitals_from_environment(environ), NOW)
    assert [(result.code, result.outcome) for result in results] == [
        ("kigali", "created"),
        ("huye-hospital", "created"),
    ]
    huye = Hospital.objects.get(code="huye-hospital")
    assert (huye.port, huye.state, huye.locales) == (3307, "paused", ["fr", "en"])
    assert (huye.national_id_types, huye.password_sealed) == (["National ID", "NIDA"], "file:/run/secrets/huye")
    kigali = Hospital.objects.get(code="kigali")
    assert (kigali.port, kigali.time_zone, kigali.tls_mode) == (3306, "Africa/Kigali", "none")


def test_a_variable_that_is_not_known_refuses_its_hospital() -> None:
    (result,) = load(hospitals_from_environment({"HOSPITAL_3_DB_PASWORD": PASSWORD}), NOW)
    assert result.outcome == Outcome.REFUSED
    assert any("HOSPITAL_3_DB_PASWORD" in message for message in result.messages)
    assert PASSWORD not in str(result)


def test_what_is_dumped_can_be_loaded_and_holds_no_secret() -> None:
    load([kigali(is_enabled=False), kigali(code="huye", password="env:HUYE", locales=["fr"])], NOW)
    dumped = dump_hospitals()
    assert PASSWORD not in json.dumps(dumped)
    assert [entry.get("password") for entry in dumped] == [None, "env:HUYE"]
    assert [result.outcome for result in load(dumped, NOW)] == ["unchanged", "unchanged"]


def test_settings_that_are_read_back_change_nothing() -> None:
    load_one()
    hospital = Hospital.objects.get()
    assert registry.change_hospital(hospital=hospital, wanted=settings_of(hospital), actor=None, now=NOW) == ()


def test_a_tested_hospital_that_is_reached_elsewhere_is_a_draft_again() -> None:
    load_one()
    Hospital.objects.update(state=HospitalState.TESTED)
    load_one(database="another")
    assert Hospital.objects.get().state == HospitalState.DRAFT


# ------------------------------------------------------------------------------------------------- the commands


def run(command: str, *arguments: str) -> tuple[int, str]:
    """The exit status and the standard output."""
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def test_load_hospitals_tells_by_its_status_how_it_went(tmp_path: Path) -> None:
    file = tmp_path / "hospitals.json"
    file.write_text(json.dumps([kigali()]), encoding="utf-8-sig")
    assert run("load_hospitals", str(file)) == (0, "kigali: created.\n")
    file.write_text(json.dumps([kigali(), kigali(code="huye", port=0)]))
    status, out = run("load_hospitals", str(file))
    assert (status, out.splitlines()[0]) == (1, "kigali: unchanged.")
    assert out.splitlines()[1].startswith("huye: refused. port must be")
    file.write_text('{"code": "kigali"}')
    assert run("load_hospitals", str(file))[0] == 2
    file.write_bytes(b"\xff\xfe[]")
    assert run("load_hospitals", str(file))[0] == 2
    assert run("load_hospitals", str(tmp_path / "nowhere.json"))[0] == 2


def test_load_hospitals_without_a_file_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("load_hospitals") == (0, "There is no hospital to load.\n")
    for name, value in {
        "NAME": "Kigali",
        "DB_HOST": "h",
        "DB_NAME": "d",
        "DB_USER": "u",
        "DB_PASSWORD": "p",
    }.items():
        monkeypatch.setenv(f"HOSPITAL_1_{name}", value)
    assert run("load_hospitals") == (0, "kigali: created.\n")


def test_dump_hospitals_writes_json() -> None:
    load_one(name="Hôpital")
    status, out = run("dump_hospitals")
    assert status == 0
    assert "Hôpital" in out
    assert json.loads(out) == dump_hospitals()


# ------------------------------------------------------------------------------------------------- pace, quiet hours


def test_pace_and_quiet_hours_are_loaded_dumped_and_taken_back_by_null() -> None:
    load_one(pace_rows_per_second=500, quiet_from="22:00", quiet_to="06:30")
    hospital = Hospital.objects.get()
    assert (hospital.pace_rows_per_second, hospital.quiet_from, hospital.quiet_to) == (
        *(500, dt.time(22)),
        dt.time(6, 30),
    )
    (dumped,) = dump_hospitals()
    assert (dumped["pace_rows_per_second"], dumped["quiet_from"], dumped["quiet_to"]) == (500, "22:00", "06:30")
    assert load([dumped], NOW)[0].outcome == "unchanged"
    assert load_one(pace_rows_per_second=None, quiet_from=None, quiet_to=None).outcome == "updated"
    hospital.refresh_from_db()
    assert (hospital.pace_rows_per_second, hospital.quiet_from, hospital.quiet_to) == (None, None, None)
    assert hospital.config_version == 1, "how a row is shown does not depend on them"


@pytest.mark.parametrize(
    "wrong",
    [
        {"quiet_from": "22:00"},
        {"quiet_to": "06:00"},
        {"quiet_from": "22:00", "quiet_to": "22:00"},
        {"quiet_from": "24:00", "quiet_to": "06:00"},
        {"quiet_from": 22, "quiet_to": "06:00"},
        {"pace_rows_per_second": 0},
        {"pace_rows_per_second": "fast"},
    ],
)
def test_half_of_the_quiet_hours_and_no_pace_at_all_are_refused(wrong: dict[str, Any]) -> None:
    assert load([kigali(**wrong)], NOW)[0].outcome == "refused"
    assert not Hospital.objects.exists()


def test_a_hospital_is_watched_until_it_is_told_not_to_be() -> None:
    load_one()
    assert Hospital.objects.get().is_watched
    assert load_one(is_watched=False).outcome == "updated"
    assert not Hospital.objects.get().is_watched
    (dumped,) = dump_hospitals()
    assert dumped["is_watched"] is False
    assert load_one(is_watched=None).outcome == "unchanged"
    assert "is_watched must be" in load_one(is_watched="sometimes").messages[0]
