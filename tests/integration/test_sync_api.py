"""/api/openmrs-sync/: every row of the contract, by role."""

import datetime as dt
import json
import threading
import time
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import queue
from openmrs_sync.models import Breaker, Claim, ControlState, SyncRun
from passport.api import tokens
from passport.models import AccessGrant, AuditEvent, Patient, User
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer, free_port

ROOT = "/api/openmrs-sync"
NUMBER = "1199080012345678"
COUNTS = {"n_persons", "n_read", "n_created", "n_updated", "n_withdrawn", "n_unchanged", "n_parked", "n_excluded"}

pytestmark = pytest.mark.django_db


def hospital(code: str = "kigali", *, number: int = 1, **fields: Any) -> Hospital:
    """A live hospital whose server refuses connections."""
    values = {"name": code.title(), "host": "127.0.0.1", "database": "openmrs", "username": "passport"}
    return Hospital.objects.create(
        code=code,
        number=number,
        **{"state": HospitalState.LIVE, "port": free_port(), "tls_mode": "none", **values, **fields},
    )


def account(name: str, role: str, at: Hospital | None = None) -> User:
    return User.objects.create_user(name, password="long enough", role=role, hospital=at)


class Caller:
    """A client of the API with a token."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(user=user, now=timezone.now()).access}")

    def post(self, path: str, body: Any = None) -> Any:
        more = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return self.client.post(f"{ROOT}/{path}", **more)

    def get(self, path: str) -> Any:
        return self.client.get(f"{ROOT}/{path}")


@pytest.fixture(autouse=True)
def _sources(sources_on_loopback: None) -> None:
    """Pretend hospitals stand on this machine."""


@pytest.fixture
def admin() -> Caller:
    return Caller(account("alice", "admin"))


# --- start and stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_start_and_stop_say_how_it_stands(admin: Caller, slash: str) -> None:
    hospital()
    started = admin.post(f"start{slash}", {"intervalMinutes": 7})
    assert started.status_code == 200
    assert set(started.json()) == {"running", "interval_minutes", "next_due_at"}
    assert (started.json()["running"], started.json()["interval_minutes"]) == (True, 7)
    stopped = admin.post(f"stop{slash}").json()
    assert stopped == {"running": False, "interval_minutes": 7, "next_due_at": None}


def test_start_without_a_body_takes_the_stored_interval(admin: Caller) -> None:
    admin.post("start", {"intervalMinutes": 9})
    admin.post("stop")
    assert admin.post("start").json()["interval_minutes"] == 9
    assert admin.post("start", {}).json()["interval_minutes"] == 9


@pytest.mark.parametrize("interval", [0, -1, 1.5, 5.0, "x", "5", 10**9, 1441, True, None, [], {}])
def test_an_interval_that_is_no_whole_number_of_minutes_is_a_problem(admin: Caller, interval: Any) -> None:
    """T55"""
    answer = admin.post("start", {"intervalMinutes": interval})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert "intervalMinutes" in answer.json()["errors"]
    assert not ControlState.objects.exists()


@pytest.mark.parametrize("body", [[], "x", 5])
def test_a_body_that_is_no_object_is_a_problem(admin: Caller, body: Any) -> None:
    assert admin.post("start", body).status_code == 400


def test_start_has_the_schedule_looked_at_at_once(admin: Caller) -> None:
    from django_q.models import OrmQ

    admin.post("start", {"intervalMinutes": 5})
    assert [task.func() for task in OrmQ.objects.all()] == [queue.TICK]


def test_five_minutes_after_a_try_the_next_one_is_due(admin: Caller) -> None:
    """T55"""
    at = timezone.now()
    Breaker.objects.create(hospital=hospital(), last_try_at=at)
    due = dt.datetime.fromisoformat(admin.post("start", {"intervalMinutes": 5}).json()["next_due_at"])
    assert abs(due - at - dt.timedelta(seconds=300)) < dt.timedelta(milliseconds=2)


# --- roles ------------------------------------------------------------------------------------------------------------

ADMINS_ONLY = [
    ("post", "initialize"),
    ("post", "start"),
    ("post", "stop"),
    ("post", "sync-all"),
    ("get", "status"),
    ("get", "runs/"),
    ("get", "runs/00000000-0000-0000-0000-000000000000"),
]


@pytest.mark.parametrize("method,path", ADMINS_ONLY)
@pytest.mark.parametrize("role", ["doctor", "patient"])
def test_only_admins_run_the_sync(method: str, path: str, role: str) -> None:
    caller = Caller(account("bob", role, at=hospital()))
    answer = getattr(caller, method)(path)
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method,path", [*ADMINS_ONLY, ("post", f"sync-patient/{NUMBER}")])
def test_without_a_token_nothing_is_answered(method: str, path: str) -> None:
    assert getattr(Client(), method)(f"{ROOT}/{path}").status_code == 401


def test_a_patient_may_not_ask_for_a_fresh_read() -> None:
    assert Caller(account("carol", "patient")).post(f"sync-patient/{NUMBER}").status_code == 403


# --- runs -------------------------------------------------------------------------------------------------------------


def test_sync_all_starts_one_run_per_live_hospital(admin: Caller) -> None:
    hospital("a", number=1)
    hospital("b", number=2)
    hospital("c", number=3, state=HospitalState.PAUSED)
    answer = admin.post("sync-all?fullHistory=true")
    assert answer.status_code == 202
    body = answer.json()
    assert [run["hospital"] for run in body["runs"]] == ["a", "b"]
    assert body["already_running"] == []
    run = admin.client.get(body["runs"][0]["url"]).json()
    assert (run["id"], run["status"], run["trigger"], run["is_full"]) == (body["runs"][0]["id"], "queued", "api", True)


def test_a_second_sync_all_names_those_that_run_already(admin: Caller) -> None:
    hospital("a", number=1)
    admin.post("sync-all")
    hospital("b", number=2)
    second = admin.post("sync-all")
    assert (second.status_code, [run["hospital"] for run in second.json()["runs"]]) == (202, ["b"])
    assert second.json()["already_running"] == ["a"]
    third = admin.post("sync-all")
    assert (third.status_code, third["Content-Type"]) == (409, "application/problem+json")
    assert (third.json()["runs"], third.json()["already_running"]) == ([], ["a", "b"])


def test_an_unknown_word_for_full_history_is_a_problem(admin: Caller) -> None:
    hospital()
    assert admin.post("sync-all?fullHistory=maybe").status_code == 400
    assert not SyncRun.objects.exists()


def test_runs_are_paged_by_key_and_errors_can_be_picked(admin: Caller) -> None:
    at, kigali = timezone.now(), hospital()
    for n in range(120):
        SyncRun.objects.create(
            hospital=kigali,
            trigger="schedule",
            status="failed" if n % 40 == 0 else "ok",
            started_at=at - dt.timedelta(minutes=n // 2),
        )
    seen: list[str] = []
    path = "runs/"
    while path:
        page = admin.get(path).json()
        seen += [run["id"] for run in page["results"]]
        path = f"runs/?cursor={page['next']}" if page["next"] else ""
    assert len(seen) == len(set(seen)) == 120
    assert len(admin.get("runs?errors=true").json()["results"]) == 3
    assert admin.get("runs?errors=some").status_code == 400


@pytest.mark.parametrize("cursor", ["x", "0001-01-01T00:00:00%2B14:00|{}", "9999-12-31T23:59:59-14:00|{}", "%00"])
def test_a_cursor_that_is_none_is_a_problem(admin: Caller, cursor: str) -> None:
    assert admin.get(f"runs?cursor={cursor.format(UUID(int=1))}").status_code == 400


def test_a_run_that_is_not_there_is_not_found(admin: Caller) -> None:
    assert admin.get("runs/00000000-0000-0000-0000-000000000000").status_code == 404
    assert admin.get("runs/1").status_code == 404


def test_the_status_says_all_that_the_contract_names(admin: Caller, kigali: Site) -> None:
    person = kigali.add_holder(NUMBER)
    kigali.pretend.add_obs(person, "weight", 61)
    kigali.sync()
    body = admin.get("status").json()
    assert set(body) == {"running", "interval_minutes", "next_due_at", "worker_alive", "hospitals", "runs"}
    assert body["worker_alive"] is False
    (line,) = body["hospitals"]
    assert set(line) == {
        "code",
        "state",
        "lag_seconds",
        "last_success_at",
        "last_error_kind",
        "breaker",
        "receipt",
        "records",
    }
    assert (line["state"], line["breaker"], line["last_error_kind"]) == ("live", "closed", None)
    assert line["records"] == line["receipt"]["n_stored"] > 0
    assert {
        *COUNTS,
        "id",
        "hospital",
        "status",
        "error_kind",
        "trigger",
        "started_at",
        "finished_at",
        "seconds",
    } <= set(body["runs"][0])


# --- initialize -------------------------------------------------------------------------------------------------------


def test_initialize_creates_and_tests_each_hospital(admin: Caller, mariadb: MariaDBServer, kigali: Site) -> None:
    entry = {
        "code": "butare",
        "name": "Butare",
        "host": mariadb.host,
        "port": mariadb.port,
        "database": "kigali",
        "username": world.READER,
        "password": world.PASSWORD,
        "tls_mode": "none",
        "national_id_types": ["National ID"],
    }
    answer = admin.post("initialize", {"hospitals": [entry, {"code": "bad"}, 7]})
    assert answer.status_code == 200
    good, bad, worse = answer.json()["hospitals"]
    assert (good["code"], good["ok"]) == ("butare", True)
    assert {step["result"] for step in good["steps"]} <= {"pass", "hint"}
    assert (bad["code"], bad["ok"]) == ("bad", False)
    assert worse["ok"] is False
    assert world.PASSWORD not in answer.content.decode()
    assert Hospital.objects.filter(code="butare").exists()


def test_initialize_without_a_body_tests_those_that_are_there(admin: Caller) -> None:
    hospital()
    (line,) = admin.post("initialize").json()["hospitals"]
    assert (line["code"], line["ok"]) == ("kigali", False)
    assert "fail" in {step["result"] for step in line["steps"]}


def test_an_entry_that_is_null_stops_no_other(admin: Caller) -> None:
    entry = {"code": "kigali", "name": "Kigali", "host": "127.0.0.1", "port": free_port(), "database": "o"}
    answer = admin.post("initialize", {"hospitals": [None, {**entry, "username": "u", "password": "p"}]})
    assert [line["code"] for line in answer.json()["hospitals"]] == ["", "kigali"]


def test_initialize_refuses_what_is_no_list(admin: Caller) -> None:
    assert admin.post("initialize", {"hospitals": {"code": "a"}}).status_code == 400


def test_the_schema_names_what_is_answered() -> None:
    paths = json.loads(Client().get("/api/schema/?format=json").content)["paths"]
    sync_patient = paths[f"{ROOT}/sync-patient/{{national_id}}/"]["post"]
    assert [each["name"] for each in sync_patient["parameters"] if each["in"] == "path"] == ["national_id"]
    assert "429" in sync_patient["responses"]
    assert "404" in paths[f"{ROOT}/runs/{{run_id}}/"]["get"]["responses"]
    assert "Conflict" in str(paths[f"{ROOT}/sync-all/"]["post"]["responses"]["409"])


# --- sync-patient -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
class TestSyncPatient:
    def test_an_admin_gets_the_patients_rows_from_every_hospital(self, kigali: Site) -> None:
        person = kigali.add_holder(NUMBER)
        kigali.pretend.add_obs(person, "weight", 61)
        hospital("down", number=2)
        hospital("paused", number=3, state=HospitalState.PAUSED)
        answer = Caller(account("alice", "admin")).post(f"sync-patient/{NUMBER}")
        assert answer.status_code == 200
        found = {line["hospital"]: line for line in answer.json()["hospitals"]}
        assert {code: line["status"] for code, line in found.items()} == {
            "kigali": "ok",
            "down": "unreachable",
            "paused": "disabled",
        }
        assert found["kigali"]["n_created"] > 0
        assert AuditEvent.objects.filter(action="sync_patient", patient_id=Patient.objects.get().pk).exists()

    def test_a_doctor_reads_at_their_own_hospital_and_learns_nothing_else(self, kigali: Site) -> None:
        hospital("elsewhere", number=2)
        world.register(NUMBER)
        bob = Caller(account("bob", "doctor", at=kigali.hospital))
        known, unknown = bob.post(f"sync-patient/{NUMBER}"), bob.post("sync-patient/1199080099999999")
        assert known.json() == unknown.json()
        (line,) = known.json()["hospitals"]
        assert (line["hospital"], line["status"]) == ("kigali", "not_found")

    def test_a_known_number_costs_the_hospital_and_us_what_an_unknown_one_costs(self, kigali: Site) -> None:
        """By what was asked of the hospital, by the runs and by our rows: no clock is read."""
        world.register(NUMBER)
        kigali.add_holder("1199280088888888")  # somebody else is there to be looked at
        bob = Caller(account("bob", "doctor", at=kigali.hospital))
        bob.post("sync-patient/1199080077777777")  # the first look at a hospital reads more than the next
        found = []
        for number in (NUMBER, "1199080099999999"):
            SyncRun.objects.all().delete()
            bob.post(f"sync-patient/{number}")
            fields = ("status", "trigger", "n_persons", "n_source_rows", "message")
            found.append((SyncRun.objects.values_list(*fields).get(), AuditEvent.objects.latest("pk").details))
        assert found[0] == found[1]
        assert found[0][0][:2] == ("ok", "patient")

    def test_a_held_match_looks_like_nobody_to_a_doctor_without_access(self, kigali: Site) -> None:
        world.register(NUMBER, sex="M")
        kigali.pretend.add_person(national_id=NUMBER, sex="F")
        bob, grace = Caller(account("bob", "doctor", at=kigali.hospital)), Caller(account("grace", "admin"))

        seen = [who.post(f"sync-patient/{NUMBER}").json()["hospitals"][0]["status"] for who in (bob, grace)]

        assert seen == ["not_found", "held"]

    def test_at_a_hospital_that_is_down_a_known_number_looks_like_an_unknown_one(self) -> None:
        down = hospital()
        world.register(NUMBER)
        bob = Caller(account("bob", "doctor", at=down))
        assert bob.post(f"sync-patient/{NUMBER}").json() == bob.post("sync-patient/1199080099999999").json()

    def test_a_doctor_without_access_is_refused_elsewhere_and_with_a_grant_is_not(self, kigali: Site) -> None:
        elsewhere, patient = hospital("elsewhere", number=2), world.register(NUMBER)
        bob = Caller(account("bob", "doctor", at=kigali.hospital))
        assert bob.post(f"sync-patient/{NUMBER}?hospital=elsewhere").status_code == 403
        now = timezone.now()
        AccessGrant.objects.create(
            patient=patient, doctor=bob.user, created_at=now, ends_at=now + dt.timedelta(hours=1)
        )
        answer = bob.post(f"sync-patient/{NUMBER}")
        assert {line["hospital"] for line in answer.json()["hospitals"]} == {"kigali", elsewhere.code}

    def test_an_admin_is_told_of_an_unknown_hospital_and_of_none_at_all(self) -> None:
        admin = Caller(account("admin", "admin"))
        assert admin.post(f"sync-patient/{NUMBER}").json() == {"hospitals": []}
        answer = admin.post(f"sync-patient/{NUMBER}?hospital=nowhere")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["hospital"])

    def test_a_hospital_that_is_being_read_is_busy(self, kigali: Site) -> None:
        """T14"""
        kigali.add_holder(NUMBER)
        Claim.objects.create(hospital=kigali.hospital, token=1, lease_until=timezone.now() + dt.timedelta(minutes=1))
        answer = Caller(account("alice", "admin")).post(f"sync-patient/{NUMBER}")
        assert [line["status"] for line in answer.json()["hospitals"]] == ["busy"]

    @pytest.mark.slow
    def test_a_frozen_hospital_does_not_hold_up_the_others(self, kigali: Site) -> None:
        person = kigali.add_holder(NUMBER)
        kigali.pretend.add_obs(person, "weight", 61)
        with MariaDBServer() as frozen:
            world.open_site(frozen, "frozen", number=2)
            frozen.freeze()
            began = time.monotonic()
            answer = Caller(account("alice", "admin")).post(f"sync-patient/{NUMBER}")
            assert time.monotonic() - began < 20
            frozen.thaw()
        found = {line["hospital"]: line["status"] for line in answer.json()["hospitals"]}
        assert found == {"kigali": "ok", "frozen": "unreachable"}

    def test_eight_sync_alls_a_tick_and_a_sync_patient_make_one_run(self, kigali: Site) -> None:
        """T14"""
        from openmrs_sync import tasks

        kigali.add_holder(NUMBER)
        admin, statuses = Caller(account("alice", "admin")), []

        def ask() -> None:
            statuses.append(Caller(admin.user).post("sync-all").status_code)
            connections.close_all()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        tasks.tick()
        assert admin.post(f"sync-patient/{NUMBER}").status_code == 200
        for thread in threads:
            thread.join()
        assert SyncRun.objects.exclude(trigger="patient").count() == 1
        assert sorted(set(statuses)) in ([202, 409], [409])
        assert statuses.count(202) <= 1


# --- documents --------------------------------------------------------------------------------------------------------


def test_the_schema_names_every_address_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)
        ours = {path for path in schema["paths"] if path.startswith(ROOT)}
        warned = [
            message for message in GENERATOR_STATS._warn_cache | GENERATOR_STATS._error_cache if "openmrs" in message
        ]
    assert warned == []
    assert len(ours) == 8
