"""Dead hospitals hold no more than half of the workers, whoever waits longest."""

import datetime as dt
from typing import Any

import pytest

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control
from openmrs_sync.models import Breaker, SyncRun

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _four_workers(settings: Any) -> None:
    settings.Q_WORKERS = 4
    control.start(interval_minutes=5, actor=None, now=NOW)


def hospital(number: int, *, n_failures: int = 0, minutes_ago: int = 10) -> Hospital:
    made = Hospital.objects.create(
        number=number, code=f"h{number}", name=f"H{number}", state=HospitalState.LIVE, host="127.0.0.1", database="o"
    )
    Breaker.objects.create(hospital=made, n_failures=n_failures, last_try_at=NOW - dt.timedelta(minutes=minutes_ago))
    return made


def due() -> list[str]:
    return [each.code for each in control.due_hospitals(now=NOW)]


def test_of_those_that_failed_last_time_half_as_many_as_workers_are_due_and_they_come_last() -> None:
    """T18"""
    for number in (1, 2, 3):
        hospital(number, n_failures=1, minutes_ago=60 - number)
    hospital(4)
    hospital(5, minutes_ago=11)
    assert due() == ["h5", "h4", "h1", "h2"]


def test_those_under_way_take_up_the_room() -> None:
    """T18"""
    for number in (1, 2):
        dead = hospital(number, n_failures=2)
        SyncRun.objects.create(hospital=dead, trigger="schedule", status="running", started_at=NOW)
    hospital(3, n_failures=1)
    hospital(4)
    assert due() == ["h4"]
    SyncRun.objects.filter(hospital__code="h1").update(status="failed")
    assert due() == ["h4", "h1"]


def test_with_one_worker_a_dead_hospital_has_its_turn_all_the_same(settings: Any) -> None:
    settings.Q_WORKERS = 1
    hospital(1, n_failures=1)
    assert due() == ["h1"]


def test_a_run_for_one_patient_takes_up_no_room() -> None:
    """It is the web's, not a worker's."""
    for number in (1, 2):
        dead = hospital(number, n_failures=2)
        SyncRun.objects.create(hospital=dead, trigger="patient", status="running", started_at=NOW)
    assert due() == ["h1", "h2"]
