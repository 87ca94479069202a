"""A blood pressure is one thing on every page, upper number first, wherever both belong to one measurement."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport import history
from passport.fhir import patient_summary
from passport.models import Patient, Record
from tests.records import Chart, make_hospital, make_patient, number, own_scope

pytestmark = pytest.mark.django_db

UPPER, LOWER = ("Systolic blood pressure", 5085, (90, 130)), ("Diastolic blood pressure", 5086, (60, 85))
AT, LATER = "2026-01-01 08:00:00", "2026-02-01 08:00:00"
BOTH = "148/82"


@pytest.fixture
def chart() -> Chart:
    now = timezone.now()
    alice = make_patient(national_id="1198180012345678", username="alice", now=now)
    chart = Chart(patient=alice, hospital=make_hospital(name="District Hospital", code="district", now=now), now=now)
    chart.visit(title="Clinic", at=AT)
    return chart


def measured(chart: Chart, what: tuple[str, int, tuple[int, int]], n: float, at: str = AT, **more: Any) -> Record:
    name, code, usual = what
    fields: dict[str, Any] = {"unit": "mmHg", "concept_uuid": str(code).ljust(36, "A"), "visit_id": 1} | more
    fields = number(n, fields.pop("unit"), *usual) | fields
    rule = f"uuid:CIEL:{code}"
    return chart.add(concept=name, at=at, category="vital", category_rule=rule, **fields)


def shown(patient: Patient, name: str, query: str = "") -> str:
    client = Client()
    client.force_login(patient.user)
    answer = client.get(reverse(name) + query)
    assert answer.status_code == 200
    text = re.sub(r"<(script|svg).*?</\1>", " ", answer.content.decode(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def pages(patient: Patient) -> dict[str, str]:
    found = {name: shown(patient, name) for name in ("home", "own_history", "own_results", "print_record")}
    return found | {"print": shown(patient, "print_record", "?what=history")}


def test_every_page_shows_both_numbers_as_one(chart: Chart) -> None:
    """The lower one was written first, as some forms do."""
    measured(chart, LOWER, 82)
    measured(chart, UPPER, 148)
    chart.save()
    for name, page in pages(chart.patient).items():
        assert f"Blood pressure {BOTH} mmHg" in page, name
        assert "upper: high" in page, name
        assert "Diastolic" not in page, name
    assert "usual there: 90 to 130 / 60 to 85" in shown(chart.patient, "own_results")
    assert "usual range 90 to 130 / 60 to 85" in shown(chart.patient, "print_record")


@pytest.mark.parametrize(
    "lower",
    [
        {"at": LATER},
        {"unit": "kPa"},
        {"encounter_id": 9},
        {"group_id": 9},
        {"details": {"status": "preliminary"}},
        {"value_number": None, "value": "not heard"},
    ],
    ids=["another moment", "another unit", "another encounter", "another group", "not final", "no number"],
)
def test_numbers_of_two_measurements_stay_apart(lower: dict[str, Any], chart: Chart) -> None:
    measured(chart, UPPER, 148)
    measured(chart, LOWER, 82, **lower)
    chart.save()
    for name, page in pages(chart.patient).items():
        assert "148/" not in page, name
        assert "Systolic blood pressure 148" in page, name
        assert "Diastolic blood pressure" in page, name


def test_a_lone_upper_number_stays_one(chart: Chart) -> None:
    measured(chart, UPPER, 148)
    chart.save()
    for name, page in pages(chart.patient).items():
        assert "Systolic blood pressure 148 mmHg" in page, name
        assert "148/" not in page, name


def test_measured_twice_at_one_moment_nobody_can_say_which_belong_together(chart: Chart) -> None:
    for upper, lower in ((148, 82), (136, 78)):
        measured(chart, UPPER, upper)
        measured(chart, LOWER, lower)
    chart.save()
    for name, page in pages(chart.patient).items():
        assert not re.search(r"\b1(48|36)/", page), name
    told = patient_summary(scope=own_scope(chart.patient), now=timezone.now())
    assert "85354-9" not in str(told)


def test_of_two_names_of_one_vital_sign_the_overview_has_the_newest(chart: Chart) -> None:
    measured(chart, UPPER, 148)
    measured(chart, LOWER, 82)
    measured(chart, ("TA systolique", *UPPER[1:]), 126, LATER)
    measured(chart, ("TA diastolique", *LOWER[1:]), 74, LATER)
    chart.save()
    page = shown(chart.patient, "home")
    assert "Blood pressure 126/74 mmHg" in page
    assert BOTH not in page
    assert "before: 148/82 mmHg" in shown(chart.patient, "own_results")


def test_values_before_that_were_measured_apart_say_which_they_are(chart: Chart) -> None:
    measured(chart, UPPER, 120, "2025-12-01 08:00:00")
    measured(chart, LOWER, 70, "2025-11-01 08:00:00")
    measured(chart, UPPER, 148)
    measured(chart, LOWER, 82)
    chart.save()
    assert "before: upper: 120 mmHg · 1 Dec 2025; lower: 70 mmHg · 1 Nov 2025" in shown(chart.patient, "own_results")


@pytest.mark.parametrize("words", ["systolic", "diastolic", "blood pressure", "82"])
def test_either_name_finds_the_row(words: str, chart: Chart) -> None:
    upper = measured(chart, UPPER, 148)
    measured(chart, LOWER, 82)
    measured(chart, ("Weight", 5089, (40, 90)), 61)
    chart.save()
    client = Client()
    client.force_login(chart.patient.user)
    page = client.get(reverse("own_results"), {"q": words}).content.decode()
    assert BOTH in page
    assert "Weight" not in page
    # The curves of both are one page, with the entry of each behind its number.
    assert f'href="{reverse("own_trend", args=[upper.key])}"' in page
    assert client.get(reverse("own_trend", args=[upper.key])).content.decode().count("chart-label") == 2


def test_a_corrected_number_keeps_what_stood_there_before(chart: Chart) -> None:
    here = {"encounter_id": 3, "concept_id": 5085}
    was = {"status": "withdrawn", "withdrawn_reason": "voided", "entered_at_local": AT}
    measured(chart, UPPER, 184, **here, **was)
    measured(chart, UPPER, 148, **here, entered_at_local=LATER)
    measured(chart, LOWER, 82, encounter_id=3)
    chart.save()
    page = shown(chart.patient, "own_history")
    assert f"Blood pressure {BOTH} mmHg" in page
    assert "What stood here before 184 mmHg" in page


def test_what_is_shared_holds_one_observation_of_both_numbers(chart: Chart) -> None:
    lower, upper = measured(chart, LOWER, 82), measured(chart, UPPER, 148)
    chart.save()
    told = patient_summary(scope=own_scope(chart.patient), now=timezone.now())
    [found] = [each["resource"] for each in told["entry"] if each["resource"]["resourceType"] == "Observation"]
    assert found["code"]["coding"][0]["code"] == "85354-9"
    parts = found["component"]
    assert [part["valueQuantity"]["value"] for part in parts] == [148, 82]
    assert [part["code"]["coding"][-1]["code"] for part in parts] == ["8480-6", "8462-4"]
    assert [part["interpretation"][0]["coding"][0]["code"] for part in parts] == ["H", "N"]
    assert [part["referenceRange"][0]["high"]["value"] for part in parts] == [130, 85]
    assert [each["value"] for each in found["identifier"]] == [upper.source_uuid, lower.source_uuid]
    assert not {"valueQuantity", "interpretation", "referenceRange"} & set(found)
    assert "148/82 mmHg" in str(told)


def test_the_api_gives_each_number_by_itself(chart: Chart) -> None:
    measured(chart, UPPER, 148)
    measured(chart, LOWER, 82)
    chart.save()
    found = history.overview(scope=own_scope(chart.patient), now=timezone.now())
    assert {each.value for each in found.latest_vitals} == {"148", "82"}
