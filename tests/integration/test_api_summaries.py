"""The overview and the FHIR document over the API: to whom, in what shape, and what the others learn."""

import json
from typing import Any

import pytest
from django.core.cache import cache

from passport.models import AuditEvent, Hide
from tests.integration.test_api_records import FIELDS, NOW, NUMBER, Cast

pytestmark = pytest.mark.django_db
SUMMARY, FHIR = f"/api/patients/{NUMBER}/summary/", f"/api/patients/{NUMBER}/fhir/"


@pytest.fixture
def cast(db: None, settings: Any) -> Cast:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    return Cast()


@pytest.mark.parametrize("who, path", [("alice", "/api/me/summary/"), ("alice", SUMMARY), ("bob", SUMMARY)])
def test_the_patient_and_their_doctor_read_the_overview(cast: Cast, who: str, path: str) -> None:
    answer = cast.get(who, path)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        *("allergies", "conditions", "medications", "latest_results", "latest_vitals", "freshness", "may_hold_more"),
        "is_partial",
    }
    assert [record["concept"] for record in body["latest_results"]] == ["HbA1c"]
    assert set(body["latest_results"][0]) == FIELDS
    assert body["is_partial"] is False


@pytest.mark.parametrize("who, path", [("alice", "/api/me/fhir"), ("alice", FHIR), ("bob", FHIR)])
@pytest.mark.parametrize("accept", ["application/fhir+json", "application/json", "text/html", "*/*"])
def test_the_patient_and_their_doctor_read_the_fhir_document(
    cast: Cast,
    who: str,
    path: str,
    accept: str,
) -> None:
    answer = cast.get(who, path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/fhir+json")
    kinds = [entry["resource"]["resourceType"] for entry in json.loads(answer.content)["entry"]]
    assert (kinds[:2], kinds.count("Observation")) == (["Composition", "Patient"], 2)


@pytest.mark.parametrize("path", [SUMMARY, FHIR])
@pytest.mark.parametrize("who", ["charlie", "admin", "other"])
def test_without_the_right_known_and_unknown_numbers_are_one_answer(cast: Cast, who: str, path: str) -> None:
    answers = [cast.get(who, path.replace(NUMBER, number)) for number in (NUMBER, "1199780012345679", "x")]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0]["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", [SUMMARY, FHIR, "/api/me/summary/", "/api/me/fhir/"])
def test_nobody_without_a_login_reads_either(cast: Cast, path: str) -> None:
    answer = cast.get(None, path)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("path, action", [(SUMMARY, "overview_read"), (FHIR, "fhir_exported")])
def test_each_look_is_written_down(cast: Cast, path: str, action: str) -> None:
    cast.get("bob", path)
    cast.get("charlie", path)
    rows = AuditEvent.objects.filter(patient_id=cast.alice.pk).values_list("action", "basis")
    assert {(action, "care"), (f"{action}_refused", "refused")} <= set(rows)


@pytest.mark.parametrize("path", [SUMMARY, FHIR])
def test_what_the_patient_hides_is_in_neither(cast: Cast, path: str) -> None:
    Hide.objects.create(patient=cast.alice, kind="category", category="test", created_at=NOW)
    body: Any = cast.get("bob", path).content.decode()
    assert "HbA1c" not in body
    assert "Weight" in body
    assert "HbA1c" in cast.get("alice", path).content.decode()
