"""The records of a patient over the API: to whom, in what shape, and what the others learn, which is nothing."""

import datetime as dt
import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from passport.api import tokens
from passport.models import AccessGrant, AuditEvent, Patient, User
from tests.records import Chart, make_account, make_hospital, make_patient, number

pytestmark = pytest.mark.django_db
NOW = dt.datetime.now(dt.UTC)
FAST_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
NUMBER = "1199780012345678"
OURS = f"/api/patients/{NUMBER}/records/"
FIELDS = {
    *("id", "category", "hospital", "hospital_name", "concept", "value", "value_number", "unit", "low", "high", "flag"),
    *("status", "at", "date", "visit", "encounter", "group", "part_of", "certainty", "rank", "provider", "location"),
    *("source", "received_at"),
}


class Cast:
    """Alice, her doctor Bob, Charlie the stranger, and an admin."""

    def __init__(self) -> None:
        self.hospital = make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW)
        elsewhere = make_hospital(name="Butare", code="butare", now=NOW)
        self.alice: Patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
        make_patient(national_id="AB1234", now=NOW, username="other")
        self.chart = Chart(patient=self.alice, hospital=self.hospital, now=NOW)
        self.chart.add(concept="HbA1c", at="2026-03-01 10:20:30", **number(9.1, "%", 4, 6.5))
        self.chart.add(concept="Weight", at="2026-03-02 10:20:30", category="vital", **number(71.5, "kg"))
        self.chart.save()
        make_account(username="bob", role="doctor", hospital=self.hospital)
        self.charlie = make_account(username="charlie", role="doctor", hospital=elsewhere)
        make_account(username="admin", role="admin")
        self.tokens: dict[str, str] = {}

    def get(self, who: str | None, path: str, query: dict[str, str] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token(who)}"} if who else {}
        return Client().get(path, query or {}, headers=headers)

    def token(self, who: str) -> str:
        if who not in self.tokens:
            self.tokens[who] = tokens.issue(user=User.objects.get(username=who), now=NOW).access
        return self.tokens[who]


@pytest.fixture
def cast(db: None, settings: Any) -> Cast:
    settings.PASSWORD_HASHERS = FAST_HASHERS
    settings.CARE_MONTHS = 120  # the days below stand still, the clock does not
    cache.clear()
    return Cast()


@pytest.mark.parametrize("who, path", [("alice", OURS), ("alice", "/api/me/records/"), ("bob", OURS)])
def test_the_patient_and_their_doctor_read_the_records(cast: Cast, who: str, path: str) -> None:
    answer = cast.get(who, path)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"results", "next", "freshness"}
    assert [record["concept"] for record in body["results"]] == ["Weight", "HbA1c"]
    assert body["next"] is None
    assert [set(line) for line in body["freshness"]] == [{"hospital", "state", "read_at"}]


def test_a_record_has_the_fields_of_the_contract_and_no_other(cast: Cast) -> None:
    """T68"""
    record = cast.get("bob", OURS).json()["results"][1]
    assert set(record) == FIELDS
    assert set(record["source"]) == {"table", "id", "uuid"}
    assert (record["value_number"], record["flag"], record["low"], record["high"]) == (9.1, "high", 4, 6.5)
    assert (record["at"], record["date"]) == ("2026-03-01T10:20:30+02:00", "2026-03-01")


def test_every_spelling_of_number_and_slash_is_the_same_answer(cast: Cast) -> None:
    answers = {
        cast.get("bob", path).content
        for path in (
            OURS,
            OURS.rstrip("/"),
            f"/api/patients/{NUMBER[:4]}-{NUMBER[4:]}/records",
            f"/api/patients/{NUMBER[:6]}%2F{NUMBER[6:8]}/{NUMBER[8:]}/records/",
        )
    }
    assert len(answers) == 1


@pytest.mark.parametrize("who", ["charlie", "admin", "other"])
def test_without_the_right_known_and_unknown_numbers_are_the_same_bytes(cast: Cast, who: str) -> None:
    answers = [
        cast.get(who, f"/api/patients/{typed}/records/", query)
        for typed in (NUMBER, "1199780012345679", "x", "%3F%3F")
        for query in ({}, {"category": "nonsense"})
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    assert len({json.dumps(dict(answer.items()), sort_keys=True) for answer in answers}) == 1
    refusals = AuditEvent.objects.filter(action="records_read_refused", basis="refused")
    assert refusals.count() == len(answers)
    assert NUMBER not in str(list(refusals.values()))


def test_a_doctor_of_nobody_learns_nothing_about_an_unknown_number(cast: Cast) -> None:
    assert cast.get("bob", "/api/patients/1199780012345679/records/").status_code == 403


def test_nobody_reads_without_a_token(cast: Cast) -> None:
    for path in (OURS, "/api/me/", "/api/me/records/", "/api/me/access/"):
        answer = cast.get(None, path)
        assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


def test_a_session_cookie_is_no_token(cast: Cast) -> None:
    browser = Client()
    browser.force_login(cast.alice.user)  # type: ignore[arg-type]
    assert browser.get("/api/me/records/").status_code == 401


def test_a_grant_lets_a_doctor_in_until_it_ends(cast: Cast) -> None:
    hour = dt.timedelta(hours=1)
    grant = AccessGrant.objects.create(
        patient=cast.alice, doctor=cast.charlie, created_at=NOW - 2 * hour, ends_at=dt.datetime.now(dt.UTC) + hour
    )
    assert cast.get("charlie", OURS).status_code == 200
    AccessGrant.objects.filter(pk=grant.pk).update(ends_at=NOW - hour)
    assert cast.get("charlie", OURS).status_code == 403


def test_a_look_is_on_the_patients_list_with_who_and_why(cast: Cast) -> None:
    cast.get("bob", OURS)
    body = cast.get("alice", "/api/me/access").json()
    look = next(line for line in body["results"] if line["who"] == "bob")
    assert (look["action"], look["basis"], look["role"], look["hospital"], look["was_refused"]) == (
        "records_read",
        "care",
        "doctor",
        "ruhengeri",
        False,
    )


def test_the_profile_holds_what_is_the_patients_own(cast: Cast) -> None:
    body = cast.get("alice", "/api/me").json()
    assert body == {
        "id": str(cast.alice.pk),
        "username": "alice",
        "role": "patient",
        "given_name": "Claudine",
        "family_name": "Uwimana",
        "birth_date": "1981-03-14",
        "sex": "F",
        "email": "",
        "phone": "",
        "national_ids": [NUMBER],
    }


@pytest.mark.parametrize("path", ["/api/me/", "/api/me/records/", "/api/me/access/"])
def test_who_is_no_patient_has_no_record_of_their_own(cast: Cast, path: str) -> None:
    assert cast.get("bob", path).status_code == 403


@pytest.mark.parametrize(
    "query, concepts",
    [
        ({"category": "vital"}, ["Weight"]),
        ({"hospital": "butare"}, []),
        ({"from": "2026-03-02"}, ["Weight"]),
        ({"to": "2026-03-01"}, ["HbA1c"]),
        ({"q": "hba1c"}, ["HbA1c"]),
        ({"status": "withdrawn"}, []),
    ],
)
def test_filters_leave_what_was_asked_for(cast: Cast, query: dict[str, str], concepts: list[str]) -> None:
    body = cast.get("alice", "/api/me/records/", query).json()
    assert [record["concept"] for record in body["results"]] == concepts


@pytest.mark.parametrize("name", ["category", "hospital", "from", "to", "cursor", "status"])
def test_an_unknown_filter_value_is_400_and_named(cast: Cast, name: str) -> None:
    answer = cast.get("bob", OURS, {name: "nonsense"})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])
    assert "nonsense" not in answer.content.decode()


def test_pages_follow_each_other_by_cursor(cast: Cast) -> None:
    for index in range(120):
        cast.chart.add(concept=f"x{index}", at="2026-01-01 10:00:00")
    cast.chart.records = cast.chart.records[2:]
    cast.chart.save()
    seen: list[str] = []
    query: dict[str, str] = {}
    while True:
        body = cast.get("alice", "/api/me/records/", query).json()
        seen += [record["id"] for record in body["results"]]
        if body["next"] is None:
            break
        query = {"cursor": body["next"]}
    assert len(seen) == len(set(seen)) == 122


def test_lookups_are_throttled_and_told_to_wait(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.throttling import ScopedRateThrottle

    monkeypatch.setattr(ScopedRateThrottle, "THROTTLE_RATES", {"lookup": "2/min"})
    statuses = [cast.get("bob", OURS).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_nothing_is_shown_when_the_audit_cannot_be_written(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.token("bob")

    def fail(**_: Any) -> None:
        raise OSError("disk full of Uwimana")

    monkeypatch.setattr("passport.access.door.record_event", fail)
    answer = cast.get("bob", OURS)
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert "HbA1c" not in answer.content.decode()
    assert "Uwimana" not in answer.content.decode()


def test_an_answer_is_kept_by_no_cache(cast: Cast) -> None:
    assert cast.get("alice", "/api/me/records/")["Cache-Control"] == "no-store"
