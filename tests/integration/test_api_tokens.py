"""Tokens: who gets one, how long it is good, and what a second use of one does."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport.models import AuditEvent, User
from tests.records import PASSWORD, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NOW = dt.datetime.now(dt.UTC)
NUMBER = "1199780012345678"
TOKEN = "/api/auth/token/"


@pytest.fixture(autouse=True)
def no_failures_yet(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


def post(path: str, body: Any, **headers: str) -> Any:
    return Client().post(path, body, content_type="application/json", headers=headers)


def log_in(username: str, password: str = PASSWORD, **more: str) -> Any:
    return post(TOKEN, {"username": username, "password": password, **more})


def me(access: str) -> Any:
    return Client().get("/api/me/", headers={"Authorization": f"Bearer {access}"})


def refresh(token: str) -> Any:
    return post("/api/auth/refresh/", {"refresh": token})


def last_event() -> AuditEvent:
    event = AuditEvent.objects.order_by("seq").last()
    assert event is not None
    return event


@pytest.mark.parametrize("typed", ["alice", NUMBER, "1199 7800 1234 5678"])
@pytest.mark.parametrize("path", [TOKEN, TOKEN.rstrip("/")])
def test_a_patient_logs_in_with_username_or_number(typed: str, path: str) -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    answer = post(path, {"username": typed, "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}
    assert me(answer.json()["access"]).json()["username"] == "alice"
    assert AuditEvent.objects.filter(action="login", basis="password").count() == 1


@pytest.mark.parametrize("typed, password", [("alice", "wrong"), ("nobody", PASSWORD), (NUMBER, PASSWORD)])
def test_a_wrong_login_is_one_answer_and_written_down(typed: str, password: str) -> None:
    make_account(username="alice")
    answer = log_in(typed, password)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.content == log_in("somebody else", "x").content
    assert last_event().action == "login_failed"


def test_a_closed_account_gets_the_answer_of_a_wrong_password() -> None:
    make_account(username="alice", is_active=False)
    assert log_in("alice").content == log_in("alice", "wrong").content


def test_too_many_failures_are_told_to_wait() -> None:
    make_account(username="alice")
    for _ in range(8):
        assert log_in("alice", "wrong").status_code == 401
    answer = log_in("alice")
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize("role", ["doctor", "admin"])
def test_staff_without_a_device_are_told_to_enrol(role: str, settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    hospital = make_hospital(name="H", now=NOW) if role == "doctor" else None
    make_account(username="bob", role=role, hospital=hospital)
    answer = log_in("bob")
    assert (answer.status_code, answer.json()["type"]) == (
        403,
        "urn:patient-passport:problem:second-factor-not-enrolled",
    )
    assert "web page" in answer.json()["detail"]


def test_patients_need_no_device(settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    assert log_in("alice").status_code == 200


@pytest.mark.parametrize("is_required", [True, False])
def test_who_has_a_device_needs_its_code(is_required: bool, settings: Any) -> None:
    settings.REQUIRE_TOTP = is_required
    admin = make_account(username="admin", role="admin")
    device = TOTPDevice.objects.create(user=admin, name="app", confirmed=True)
    asked = log_in("admin")
    assert (asked.status_code, asked.json()["type"]) == (401, "urn:patient-passport:problem:one-time-code-required")
    assert log_in("admin", otp="000000").status_code == 401
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    answer = log_in("admin", otp=f"{totp(device.bin_key):06d}")
    assert answer.status_code == 200
    assert AuditEvent.objects.filter(action="login", basis="code").count() == 1


@pytest.mark.parametrize("change, status", [({"is_active": False}, 401), ({"role": "doctor"}, 200), ({}, 200)])
def test_account_and_role_are_read_at_every_request(change: dict[str, Any], status: int) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
    access = log_in("alice").json()["access"]
    if change.get("role"):
        change = {**change, "hospital": make_hospital(name="H", now=NOW)}
    User.objects.filter(pk=patient.user_id).update(**change)
    answer = me(access)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["role"] == change.get("role", "patient")


def test_a_demoted_admin_is_refused_with_the_token_of_before() -> None:
    admin = make_account(username="admin", role="admin")
    headers = {"Authorization": f"Bearer {log_in('admin').json()['access']}"}
    assert Client().get("/api/openmrs-sync/runs/", headers=headers).status_code == 200
    User.objects.filter(pk=admin.pk).update(role="patient")
    assert Client().get("/api/openmrs-sync/runs/", headers=headers).status_code == 403
    assert (last_event().action, last_event().basis) == ("api_refused", "refused")


def test_a_new_password_ends_every_token_of_before() -> None:
    alice = make_patient(national_id=NUMBER, now=NOW, username="alice").user
    pair = log_in("alice").json()
    assert alice is not None
    alice.set_password("another-long-password")
    alice.save()
    assert me(pair["access"]).status_code == 401
    assert refresh(pair["refresh"]).status_code == 401
    fresh = log_in("alice", "another-long-password").json()
    assert me(refresh(fresh["refresh"]).json()["access"]).status_code == 200


def test_a_token_without_a_code_opens_nothing_once_a_code_is_due(settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
    pair = log_in("alice").json()
    User.objects.filter(pk=patient.user_id).update(role="admin", is_staff=True)
    headers = {"Authorization": f"Bearer {pair['access']}"}
    assert Client().get("/api/openmrs-sync/runs/", headers=headers).status_code == 401
    assert refresh(pair["refresh"]).status_code == 401


def test_a_token_with_a_code_is_good_for_who_needs_one(settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    device = TOTPDevice.objects.create(user=make_account(username="admin", role="admin"), name="app", confirmed=True)
    pair = refresh(log_in("admin", otp=f"{totp(device.bin_key):06d}").json()["refresh"]).json()
    headers = {"Authorization": f"Bearer {pair['access']}"}
    assert Client().get("/api/openmrs-sync/runs/", headers=headers).status_code == 200


def test_tokens_of_a_deleted_account_are_401() -> None:
    admin = make_account(username="admin", role="admin")
    pair = log_in("admin").json()
    admin.delete()
    assert me(pair["access"]).status_code == 401
    assert refresh(pair["refresh"]).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer \u00e9 x y"])
def test_a_token_that_is_none_is_401(header: str) -> None:
    answer = Client().get("/api/me/", HTTP_AUTHORIZATION=header)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


def test_a_refresh_token_is_no_access_token() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    pair = log_in("alice").json()
    assert me(pair["refresh"]).status_code == 401
    assert refresh(pair["access"]).status_code == 401


def test_an_access_token_runs_out_after_ten_minutes() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    access = log_in("alice").json()["access"]
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=11)):
        assert me(access).status_code == 401


def test_refreshing_gives_a_new_pair_and_uses_the_old_token_up() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    first = log_in("alice").json()
    second = refresh(first["refresh"])
    assert second.status_code == 200
    assert me(second.json()["access"]).status_code == 200
    assert second.json()["refresh"] != first["refresh"]
    assert refresh(second.json()["refresh"]).status_code == 200


def test_a_second_use_ends_the_family_and_is_written_down() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    other_login = log_in("alice").json()
    stolen = log_in("alice").json()
    latest = refresh(refresh(stolen["refresh"]).json()["refresh"]).json()
    answer = refresh(stolen["refresh"])
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert refresh(latest["refresh"]).status_code == 401
    assert refresh(other_login["refresh"]).status_code == 200
    event = AuditEvent.objects.filter(action="refresh_token_reused").first()
    assert event is not None
    assert event.details == {"ended": 1}


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_at_once_one_wins_and_the_family_ends() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    token = log_in("alice").json()["refresh"]

    def use(_: int) -> Any:
        try:
            return refresh(token)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(use, range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    assert refresh(winner.json()["refresh"]).status_code == 401


def test_logging_out_ends_the_family() -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    first = log_in("alice").json()
    second = refresh(first["refresh"]).json()
    assert post("/api/auth/logout", {"refresh": second["refresh"]}).status_code == 204
    assert refresh(second["refresh"]).status_code == 401
    assert AuditEvent.objects.filter(action="logout").count() == 1
    assert post("/api/auth/logout/", {"refresh": "nonsense"}).status_code == 204


@pytest.mark.parametrize("path", ["token", "refresh", "logout"])
@pytest.mark.parametrize("body", [{}, {"username": 1}, [], {"refresh": None, "username": None, "password": []}])
def test_a_body_of_another_shape_is_400_by_field(path: str, body: Any) -> None:
    answer = post(f"/api/auth/{path}/", body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["errors"]
