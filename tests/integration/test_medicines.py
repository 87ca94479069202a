"""Medicines: current, past, unknown by the hospitals' own dates; and two hospitals that prescribe one drug."""

import datetime as dt
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hospitals.models import Hospital
from passport import history
from passport.models import Patient
from tests.records import Chart, fill_oddly, make_hospital, make_patient, own_scope

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)
METFORMIN = "79651AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> Iterator[None]:
    """On the day of these prescriptions, whatever day it is: they grow old."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    with time_machine.travel(NOW):
        yield


@pytest.fixture
def alice() -> Patient:
    return make_patient(national_id="1198180012345678", username="alice", now=NOW)


def chart_at(patient: Patient, name: str) -> Chart:
    return Chart(patient=patient, hospital=make_hospital(name=name, now=timezone.now()), now=timezone.now())


def prescribe(chart: Chart, drug: str, at: str = "2026-10-01 09:00:00", **details: Any) -> Any:
    fields = {key: details.pop(key) for key in ("concept_uuid", "provider", "value") if key in details}
    return chart.add(
        concept=drug,
        at=at,
        table="orders",
        category="medication",
        category_rule="table:orders",
        details=details,
        **fields,
    )


def found_for(patient: Patient) -> history.Medicines:
    return history.all_medicines(scope=own_scope(patient), now=NOW)


def page_of(patient: Patient) -> str:
    client = Client()
    client.force_login(patient.user)
    answer = client.get(reverse("own_medicines"))
    assert answer.status_code == 200
    return unescape(answer.content.decode())


@pytest.mark.parametrize(
    "details, where",
    [
        ({"expires": "2027-01-01 00:00:00"}, "current"),
        ({"expires": "2026-11-22 09:59:59"}, "past"),  # Kigali's clock says 10:00
        ({"expires": "2026-11-22 10:00:01"}, "current"),
        ({"expires": "2027-01-01 00:00:00", "stopped": "2026-10-05 00:00:00"}, "past"),
        ({}, "unknown"),
    ],
)
def test_the_hospitals_dates_and_its_clock_say_whether_a_medicine_is_current(
    details: dict[str, str], where: str, alice: Patient
) -> None:
    chart = chart_at(alice, "Kigali")
    prescribe(chart, "Metformin", **details)
    chart.save()
    found = found_for(alice)
    assert {name: len(getattr(found, name)) for name in ("current", "unknown", "past")} == {
        "current": 0,
        "unknown": 0,
        "past": 0,
    } | {where: 1}


@pytest.mark.parametrize(
    "other, uuid", [("Metformin 500 mg tablet", ""), ("Glucophage", METFORMIN), ("METFORMIN 500 MG TABLET", "")]
)
def test_two_hospitals_that_prescribe_one_drug_stand_side_by_side(other: str, uuid: str, alice: Patient) -> None:
    for hospital, name in (("Kigali", "Metformin 500 mg tablet"), ("Remera", other)):
        chart = chart_at(alice, hospital)
        own = METFORMIN if uuid or hospital == "Kigali" else ""
        prescribe(chart, name, concept_uuid=own, expires="2027-01-01 00:00:00")
        chart.save()
    [medicine] = found_for(alice).current
    assert medicine.n_hospitals == 2
    assert "Two hospitals prescribe this. Ask which one counts." in page_of(alice)


def test_two_doses_of_one_hospital_are_both_shown(alice: Patient) -> None:
    chart = chart_at(alice, "Kigali")
    for value in ("1 Tablet", "2 Tablet"):
        prescribe(chart, "Metformin", value=value, expires="2027-01-01 00:00:00")
    chart.save()
    [medicine] = found_for(alice).current
    assert {stated.record.value for stated in medicine.holding} == {"1 Tablet", "2 Tablet"}
    assert "It is prescribed more than once." in page_of(alice)


def test_one_hospital_that_ended_it_does_not_count_as_prescribing(alice: Patient) -> None:
    for hospital, end in (("Kigali", "2027-01-01 00:00:00"), ("Remera", "2026-10-02 00:00:00")):
        chart = chart_at(alice, hospital)
        prescribe(chart, "Metformin", expires=end)
        chart.save()
    page = page_of(alice)
    assert "Ask which one counts" not in page
    assert "1 earlier prescription" in page


def test_dose_route_and_times_stand_in_words_with_who_and_where(alice: Patient) -> None:
    chart = chart_at(alice, "Kigali")
    how = {"dose": "2", "dose_units": "Tablet", "route": "Oral", "frequency": "Twice daily", "as_needed": True}
    prescribe(chart, "Metformin", provider="Dr Aline", expires="2027-01-31 00:00:00", **how)
    prescribe(chart, "Aspirin", provider="", stopped="2026-10-05 00:00:00")
    chart.save()
    page = page_of(alice)
    for words in (
        "2 tablets",
        "by mouth",
        "twice a day",
        "Only when needed",
        "Until 31 Jan 2027.",
        "Prescribed by Dr Aline, Kigali",
        "Stopped on 5 Oct 2026. Who stopped it is not recorded.",
        "Prescribed at Kigali; by whom is not recorded",
    ):
        assert words in page


@pytest.mark.parametrize(
    "told, sentence",
    [
        ({"stopped_by": "Dr Aline"}, "Stopped on 5 Oct 2026 by Dr Aline."),
        ({"stopped_by": "Dr Aline", "stopped_action": "REVISE"}, "Changed on 5 Oct 2026 by Dr Aline: a newer"),
        ({"stopped_action": "REVISE"}, "Changed on 5 Oct 2026: a newer prescription took its place."),
    ],
)
def test_who_stopped_a_medicine_is_said_where_it_is_known(alice: Patient, told: dict[str, str], sentence: str) -> None:
    chart = chart_at(alice, "Kigali")
    prescribe(chart, "Aspirin", stopped="2026-10-05 00:00:00", **told)
    chart.save()
    assert sentence in page_of(alice)


def test_a_patient_without_medicines_reads_why(alice: Patient) -> None:
    assert "No hospital has been found yet" in page_of(alice)
    chart_at(alice, "Kigali").save()
    assert "none has recorded a prescription" in page_of(alice)
    Hospital.objects.update(state="retired")
    make_hospital(name="Far", now=timezone.now(), reached_ago=dt.timedelta(days=3))
    assert "This does not mean that none was prescribed" in page_of(alice)


def test_what_is_withdrawn_is_not_listed(alice: Patient) -> None:
    chart = chart_at(alice, "Kigali")
    prescribe(chart, "Metformin")
    chart.records[0].status = "withdrawn"
    chart.save()
    assert "Metformin" not in page_of(alice)


def test_odd_medicines_make_a_whole_page_of_constant_queries(
    alice: Patient, django_assert_max_num_queries: Any
) -> None:
    chart = chart_at(alice, "Kigali")
    fill_oddly(chart)
    for record in chart.records:
        record.category, record.table, record.concept_uuid = "medication", "orders", "u"
    chart.save()
    client = Client()
    client.force_login(alice.user)

    def n_queries() -> int:
        with django_assert_max_num_queries(22) as found:
            assert client.get(reverse("own_medicines")).status_code == 200
        return len(found)

    before = n_queries()
    more = chart_at(alice, "Remera")
    for index in range(300):
        prescribe(more, f"Drug {index % 90}", concept_uuid=f"u{index % 90}")
    more.save()
    assert n_queries() == before
