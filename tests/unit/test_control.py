"""Which hospital is due, and what counts as start, stop and interval."""

import datetime as dt
from typing import Any

import pytest

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control
from openmrs_sync.models import Breaker, ControlState, SyncRun
from passport.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)


def minutes(number: float) -> dt.timedelta:
    return dt.timedelta(minutes=number)


def hospital(code: str = "kigali", *, number: int = 1, **fields: Any) -> Hospital:
    values = {"name": code.title(), "host": "127.0.0.1", "database": "openmrs", "username": "passport"}
    return Hospital.objects.create(code=code, number=number, **{"state": HospitalState.LIVE, **values, **fields})


def tried(of: Hospital, ago: float, status: str = SyncRun.Status.OK, **breaker: Any) -> SyncRun:
    """A run that began so many minutes ago, as the engine leaves it."""
    at = NOW - minutes(ago)
    Breaker.objects.update_or_create(hospital=of, defaults={"last_try_at": at, **breaker})
    return SyncRun.objects.create(hospital=of, trigger="schedule", status=status, started_at=at)


def due_codes() -> list[str]:
    return [found.code for found in control.due_hospitals(now=NOW)]


def test_the_environment_counts_until_something_was_set(settings: Any) -> None:
    settings.OPENMRS_AUTO_START_SYNC, settings.OPENMRS_SYNC_INTERVAL = False, 7
    assert control.read_control() == control.Control(is_running=False, interval_minutes=7)
    control.start(interval_minutes=None, actor=None, now=NOW)
    settings.OPENMRS_SYNC_INTERVAL = 9
    assert control.read_control() == control.Control(is_running=True, interval_minutes=7)


def test_stop_keeps_the_interval_and_start_takes_it_up_again() -> None:
    control.start(interval_minutes=15, actor=None, now=NOW)
    assert control.stop(actor=None, now=NOW) == control.Control(is_running=False, interval_minutes=15)
    assert control.start(interval_minutes=None, actor=None, now=NOW).interval_minutes == 15


@pytest.mark.parametrize("interval", [0, -1, 1441, 10**9])
def test_an_interval_outside_a_minute_to_a_day_is_refused(interval: int) -> None:
    with pytest.raises(control.IntervalRefused):
        control.start(interval_minutes=interval, actor=None, now=NOW)
    assert not ControlState.objects.exists()
    assert not AuditEvent.objects.exists()


def test_start_stop_and_interval_each_write_an_audit_row() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    control.stop(actor=None, now=NOW)
    control.set_interval(interval_minutes=6, actor=None, now=NOW)
    actions = list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))
    assert actions == ["sync_started", "sync_stopped", "sync_interval_set"]


def test_a_hospital_is_due_at_once_and_then_once_per_interval() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    kigali = hospital()
    assert due_codes() == ["kigali"]
    tried(kigali, ago=4.5)
    assert due_codes() == []
    assert control.next_due_at(now=NOW) == NOW + minutes(0.5)
    tried(kigali, ago=5)
    assert due_codes() == ["kigali"]


def test_the_hospitals_own_interval_comes_before_the_general_one() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    tried(hospital(sync_interval_minutes=60), ago=30)
    assert due_codes() == []
    assert control.next_due_at(now=NOW) == NOW + minutes(30)


def test_nothing_is_due_when_stopped_or_when_no_hospital_is_live() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    hospital(state=HospitalState.PAUSED)
    assert (due_codes(), control.next_due_at(now=NOW)) == ([], None)
    hospital("butare", number=2)
    control.stop(actor=None, now=NOW)
    assert (due_codes(), control.next_due_at(now=NOW)) == ([], None)


def test_an_open_breaker_keeps_the_schedule_away_until_its_pause_is_over() -> None:
    control.start(interval_minutes=1, actor=None, now=NOW)
    tried(hospital(), ago=5, state=Breaker.State.OPEN, retry_at=NOW + minutes(20))
    assert due_codes() == []
    assert control.next_due_at(now=NOW) == NOW + minutes(20)
    Breaker.objects.update(retry_at=NOW)
    assert due_codes() == ["kigali"]


def test_who_waits_longest_comes_first() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    tried(hospital("a", number=1), ago=6)
    tried(hospital("b", number=2), ago=9)
    assert due_codes() == ["b", "a"]


def test_a_killed_run_is_tried_again_at_once_but_a_second_one_waits() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    kigali = hospital()
    tried(kigali, ago=2)
    tried(kigali, ago=1, status=SyncRun.Status.INTERRUPTED)
    assert due_codes() == ["kigali"]
    tried(kigali, ago=0.5, status=SyncRun.Status.INTERRUPTED)
    assert due_codes() == []


def test_a_try_that_a_wrong_clock_put_into_the_future_does_not_silence_a_hospital() -> None:
    control.start(interval_minutes=5, actor=None, now=NOW)
    tried(hospital(), ago=-60 * 24)
    assert due_codes() == ["kigali"]
