"""Start, stop and interval: which hospital is due, and when. The environment counts until somebody said otherwise."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from hospitals.models import Hospital, HospitalState
from openmrs_sync import pace
from openmrs_sync.claims import lets_try, may_try
from openmrs_sync.models import Breaker, ControlState, SyncRun
from openmrs_sync.runs import UNDER_WAY
from passport.audit import record_event
from passport.models import User

SHORTEST_INTERVAL, LONGEST_INTERVAL = 1, 1440
#: Ticks come a little early as often as a little late. Without this an interval of one minute would be two.
SLACK = timedelta(seconds=5)


class IntervalRefused(ValueError):
    """Not a whole number of minutes from 1 to 1440."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What holds for all hospitals: whether the schedule runs, and how often each is read."""

    is_running: bool
    interval_minutes: int


def read_control() -> Control:
    state = ControlState.objects.first()
    if state is None:
        return Control(is_running=settings.OPENMRS_AUTO_START_SYNC, interval_minutes=settings.OPENMRS_SYNC_INTERVAL)
    return Control(is_running=state.is_running, interval_minutes=state.interval_minutes)


def start(*, interval_minutes: int | None, actor: User | None, now: datetime) -> Control:
    """Let the schedule run, with this interval or the stored one. Raises IntervalRefused."""
    return _set(is_running=True, interval_minutes=interval_minutes, action="sync_started", actor=actor, now=now)


def stop(*, actor: User | None, now: datetime) -> Control:
    """No run begins by itself from now on. A run under way goes on to its end; "sync now" still works."""
    return _set(is_running=False, interval_minutes=None, action="sync_stopped", actor=actor, now=now)


def set_interval(*, interval_minutes: int, actor: User | None, now: datetime) -> Control:
    """Change the general interval and nothing else. Raises IntervalRefused."""
    return _set(is_running=None, interval_minutes=interval_minutes, action="sync_interval_set", actor=actor, now=now)


@transaction.atomic
def _set(
    *, is_running: bool | None, interval_minutes: int | None, action: str, actor: User | None, now: datetime
) -> Control:
    """Store the word and its audit row in one commit. None: as it was."""
    if interval_minutes is not None and not SHORTEST_INTERVAL <= interval_minutes <= LONGEST_INTERVAL:
        raise IntervalRefused(
            f"The interval must be a whole number of minutes from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL}."
        )
    before = read_control()
    control = Control(
        is_running=before.is_running if is_running is None else is_running,
        interval_minutes=interval_minutes or before.interval_minutes,
    )
    ControlState.objects.update_or_create(
        pk=1,
        defaults={
            "is_running": control.is_running,
            "interval_minutes": control.interval_minutes,
            "changed_at": now,
        },
    )
    record_event(action=action, actor=actor, now=now, details={"interval_minutes": control.interval_minutes})
    return control


def due_hospitals(*, now: datetime) -> list[Hospital]:
    """Live hospitals whose interval has passed since their last try began, longest waiting first.

    A hospital whose breaker does not allow a try, or whose quiet hours these are, is left out.
    """
    control = read_control()
    if not control.is_running:
        return []
    due = [
        (due_at, hospital)
        for hospital in _live_hospitals()
        if (due_at := _due_at(hospital=hospital, control=control, now=now)) <= now + SLACK
        and may_try(hospital=hospital, now=now)
        and pace.quiet_until(hospital=hospital, now=now) is None
    ]
    return _with_room([hospital for _, hospital in sorted(due, key=lambda pair: (pair[0], pair[1].number))])


def _with_room(due: list[Hospital]) -> list[Hospital]:
    """Those whose last try failed come last, and only so many that half of the workers are left to the others.

    Each may hold its worker until a time-out: without this a few dead hospitals would hold all of them.
    """
    under_way = SyncRun.objects.filter(status__in=UNDER_WAY, hospital__breaker__n_failures__gt=0)
    held = set(under_way.exclude(trigger=SyncRun.Trigger.PATIENT).values_list("hospital", flat=True))
    failing = [hospital for hospital in due if hasattr(hospital, "breaker") and hospital.breaker.n_failures]
    well = [hospital for hospital in due if hospital not in failing]
    room = max(0, max(1, settings.Q_WORKERS // 2) - len(held))
    return well + [hospital for hospital in failing if hospital.pk not in held][:room]


def next_due_at(*, now: datetime) -> datetime | None:
    """When the next hospital is due, `now` at the earliest. None: the schedule is stopped, or no hospital is live."""
    return min(next_due_by_hospital(now=now).values(), default=None)


def next_due_by_hospital(*, now: datetime) -> dict[str, datetime]:
    """Code of each live hospital → when it is due, its breaker's pause and its quiet hours included. Empty when the
    schedule is stopped.
    """
    control = read_control()
    if not control.is_running:
        return {}
    return {hospital.code: _next_due_at(hospital, control=control, now=now) for hospital in _live_hospitals()}


def _next_due_at(hospital: Hospital, *, control: Control, now: datetime) -> datetime:
    due_at = max(now, _due_at(hospital=hospital, control=control, now=now), _pause_ends_at(hospital, now))
    return pace.quiet_until(hospital=hospital, now=due_at) or due_at


def _live_hospitals() -> QuerySet[Hospital]:
    """Live hospitals with how their last two runs by the schedule or by hand ended."""
    runs = (
        SyncRun.objects.filter(hospital=OuterRef("pk"))
        .exclude(trigger=SyncRun.Trigger.PATIENT)
        .exclude(status=SyncRun.Status.QUEUED)
        .order_by("-started_at")
        .values("status")
    )
    return (
        Hospital.objects.filter(state=HospitalState.LIVE)
        .select_related("breaker")
        .annotate(last_status=Subquery(runs[:1]), status_before=Subquery(runs[1:2]))
    )


def _due_at(*, hospital: Hospital, control: Control, now: datetime) -> datetime:
    """One interval after the last try began; at once when there was none, or when it was killed for the first time."""
    breaker: Breaker | None = getattr(hospital, "breaker", None)
    last_try_at = breaker.last_try_at if breaker else None
    interval = timedelta(minutes=hospital.sync_interval_minutes or control.interval_minutes)
    if last_try_at is None:
        return now
    # Written by a clock that was ahead of ours now: it must not keep the hospital waiting.
    if last_try_at > now + SLACK:
        return now
    last, before = getattr(hospital, "last_status", None), getattr(hospital, "status_before", None)
    # Not twice in a row: a hospital that kills its worker waits like any other, so that the others are read.
    if last == SyncRun.Status.INTERRUPTED != before:
        return now
    return last_try_at + interval


def _pause_ends_at(hospital: Hospital, now: datetime) -> datetime:
    breaker: Breaker | None = getattr(hospital, "breaker", None)
    if breaker is None or breaker.retry_at is None or lets_try(breaker=breaker, now=now):
        return now
    return breaker.retry_at
