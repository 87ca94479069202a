"""No hospital goes live before a test has passed and found its types: one rule, at every door."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.loading import Outcome, load
from hospitals.models import ConnectionTest, Hospital, HospitalState
from hospitals.registry import HospitalRefused, enable_hospital, resume_hospital
from passport.api import tokens
from passport.models import AuditEvent, User

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
FOUND = {"national_id_types": ["National ID"], "national_id_type_uuids": {"National ID": "uuid-1"}}

pytestmark = pytest.mark.django_db


def after_test(*, results: dict[str, str] | None = None, **fields: Any) -> Hospital:
    """A hospital after a test whose steps ended so; None: never tested."""
    values = {"state": HospitalState.TESTED, "host": "h.invalid", "database": "d", "username": "u", **FOUND, **fields}
    hospital = Hospital.objects.create(code="kigali", number=1, name="Kigali", **values)
    if results is not None:
        steps = [{"name": name, "result": result, "message": "so."} for name, result in results.items()]
        is_ok = "fail" not in results.values()
        ConnectionTest.objects.create(hospital=hospital, at=NOW, is_ok=is_ok, steps=steps)
    return hospital


UNREADY: dict[str, tuple[dict[str, Any], str]] = {
    "never tested": ({}, "before a test"),
    "failed at the account": ({"results": {"login": "pass", "grants": "fail"}}, "before a test"),
    "no type chosen": ({"results": {"tcp": "pass"}, "national_id_types": []}, "before the type"),
    "type not found there": ({"results": {"tcp": "pass", "identifier_types": "fail"}}, "before the type"),
    "type chosen since": ({"results": {"tcp": "pass"}, "national_id_types": ["Other"]}, "before the type"),
}


@pytest.fixture
def amina(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("amina"))
    return client


@pytest.fixture(params=UNREADY)
def unready(request: pytest.FixtureRequest) -> tuple[Hospital, str]:
    fields, sentence = UNREADY[request.param]
    return after_test(**fields), sentence


def by_button(amina: Client, hospital: Hospital) -> str:
    answer = amina.post(f"/admin/hospitals/hospital/{hospital.pk}/do/resume/", follow=True)
    return answer.content.decode()


def by_action(amina: Client, hospital: Hospital) -> str:
    chosen = {"action": "resume", "_selected_action": [str(hospital.pk)]}
    return amina.post("/admin/hospitals/hospital/", chosen, follow=True).content.decode()


def by_steps(amina: Client, hospital: Hospital) -> str:
    address = f"/admin/hospitals/hospital/{hospital.pk}/going-live/"
    return amina.post(address, {"step": "live"}, follow=True).content.decode()


def by_file(amina: Client, hospital: Hospital) -> str:
    (result,) = load([{"code": "kigali", "is_enabled": True}], NOW)
    assert result.outcome == Outcome.UNCHANGED
    return " ".join(result.messages)


def by_api(amina: Client) -> None:
    token = tokens.issue(user=User.objects.get(username="amina"), now=timezone.now()).access
    amina.post(
        "/api/openmrs-sync/initialize",
        {"hospitals": [{"code": "kigali", "is_enabled": True}]},
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )


@pytest.mark.parametrize("door", [by_button, by_action, by_steps, by_file])
def test_it_does_not_go_live_before_it_is_ready(
    amina: Client, unready: tuple[Hospital, str], door: Callable[[Client, Hospital], str]
) -> None:
    hospital, sentence = unready
    assert f"cannot go live {sentence}" in door(amina, hospital)
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.TESTED
    assert not AuditEvent.objects.filter(action="hospital_resumed").exists()


def test_the_api_does_not_let_it_go_live_either(amina: Client) -> None:
    hospital = after_test(results={"grants": "fail"})
    by_api(amina)
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.TESTED
    assert hospital.connection_tests.count() == 2  # it was reached, and only tested


@pytest.mark.parametrize("door", [by_button, by_action, by_steps])
def test_ready_it_goes_live(amina: Client, door: Callable[[Client, Hospital], str]) -> None:
    hospital = after_test(results={"tcp": "pass", "clock": "hint"})
    door(amina, hospital)
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.LIVE


def test_a_file_takes_a_ready_one_live() -> None:
    hospital = after_test(results={"tcp": "pass"})
    (result,) = load([{"code": "kigali", "is_enabled": True}], NOW)
    assert (result.outcome, result.messages) == (Outcome.UPDATED, ())
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.LIVE


def test_the_settings_of_a_file_are_kept_though_it_does_not_go_live() -> None:
    hospital = after_test()
    (result,) = load([{"code": "kigali", "name": "Kigali Central", "is_enabled": True}], NOW)
    assert result.outcome == Outcome.UPDATED
    assert "before a test" in result.messages[0]
    hospital.refresh_from_db()
    assert (hospital.name, hospital.state) == ("Kigali Central", HospitalState.TESTED)


def test_a_paused_one_comes_back_by_hand_only_when_it_is_ready() -> None:
    hospital = after_test(results={"login": "fail"}, state=HospitalState.PAUSED)
    with pytest.raises(HospitalRefused, match="before a test"):
        resume_hospital(hospital=hospital, actor=None, now=NOW)


def test_a_paused_one_comes_back_on_the_word_of_a_file() -> None:
    hospital = after_test(state=HospitalState.PAUSED)
    assert enable_hospital(hospital=hospital, is_enabled=True, actor=None, now=NOW)
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.LIVE


def test_only_the_last_test_counts() -> None:
    hospital = after_test(results={"tcp": "pass"})
    later = NOW + dt.timedelta(minutes=1)
    steps = [{"name": "tcp", "result": "fail", "message": "so."}]
    ConnectionTest.objects.create(hospital=hospital, at=later, is_ok=False, steps=steps)
    with pytest.raises(HospitalRefused, match="before a test"):
        resume_hospital(hospital=hospital, actor=None, now=NOW)
