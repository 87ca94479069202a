"""Everything we ask of django-q: one schedule, tasks with ids, and their rows set free when a cluster dies.

The rows of the queue decide nothing. A SyncRun is taken by one guarded update, so a task may be delivered twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from hospitals.models import Hospital, HospitalState
from openmrs_sync import inspections, runs
from openmrs_sync.models import Claim, Heartbeat, Inspection, SyncRun
from passport.audit import record_event
from passport.models import User

TICK = "openmrs_sync.tasks.tick"
SYNC_ONE = "openmrs_sync.tasks.sync_one"
INSPECT_ONE = "openmrs_sync.tasks.inspect_one"
PUBLISH_AUDIT_HEAD = "openmrs_sync.tasks.publish_audit_head"
MAKE_DOWNLOAD = "openmrs_sync.tasks.make_download"
TELL_ALERTS = "openmrs_sync.tasks.tell_alerts"
TELL_EMERGENCIES = "openmrs_sync.tasks.tell_emergencies"
FOLLOW_CORRECTIONS = "openmrs_sync.tasks.follow_corrections"
TELL_NEWS = "openmrs_sync.tasks.tell_news"
TICK_PERIOD = timedelta(minutes=1)
HEARTBEAT = "tick"
PRUNE_PERIOD = timedelta(days=1)
PRUNED = "old runs deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What came of asking for runs: the new ones, and the hospitals that have one under way."""

    runs: list[SyncRun]
    already_running: list[Hospital]


def enqueue(
    *, hospitals: Iterable[Hospital], trigger: str, now: datetime, is_full: bool = False, is_deep: bool = False
) -> Enqueued:
    """Queue one run for each of these hospitals that has none under way."""
    queued: list[SyncRun] = []
    busy: list[Hospital] = []
    for hospital in hospitals:
        run = _enqueue_one(hospital=hospital, trigger=trigger, is_full=is_full, is_deep=is_deep, now=now)
        if run is None:
            busy.append(hospital)
        else:
            queued.append(run)
    return Enqueued(runs=queued, already_running=busy)


@transaction.atomic
def _enqueue_one(*, hospital: Hospital, trigger: str, is_full: bool, is_deep: bool, now: datetime) -> SyncRun | None:
    run = runs.queue_run(hospital=hospital, trigger=trigger, is_full=is_full, is_deep=is_deep, now=now)
    if run is not None:
        _send_run(run)
    return run


def _send_run(run: SyncRun) -> None:
    def send() -> None:
        async_task(SYNC_ONE, str(run.hospital_id), str(run.pk), task_name=f"sync {run.pk}", group="sync")

    if _is_in_database():
        send()  # in the transaction of the run: both or neither
    else:
        transaction.on_commit(send)


@transaction.atomic
def request(*, hospitals: Iterable[Hospital], actor: User, trigger: str, is_full: bool, now: datetime) -> Enqueued:
    """Somebody asks for runs now, whatever interval, breaker and the schedule say; with the audit row of who did."""
    # In one order: each hospital's row is locked until the commit.
    ordered = sorted(hospitals, key=lambda hospital: hospital.number)
    enqueued = enqueue(hospitals=ordered, trigger=trigger, now=now, is_full=is_full)
    record_event(
        action="sync_requested",
        actor=actor,
        now=now,
        details={"runs": [str(run.pk) for run in enqueued.runs], "is_full": is_full, "trigger": trigger},
    )
    return enqueued


@transaction.atomic
def request_inspection(*, hospital: Hospital, kind: str, actor: User, now: datetime) -> Inspection | None:
    """Somebody wants a receipt counted afresh, or a dry run; None when one is under way. With its audit row."""
    asked = inspections.ask(hospital=hospital, kind=kind, now=now)
    if asked is not None:
        send_inspection(asked)
        record_event(
            action=f"{kind}_requested", actor=actor, now=now, hospital_id=hospital.pk, details={"id": str(asked.pk)}
        )
    return asked


def send_inspection(inspection: Inspection) -> None:
    """Queue its next part."""

    def send() -> None:
        async_task(INSPECT_ONE, str(inspection.pk), task_name=f"inspect {inspection.pk}", group="inspect")

    if _is_in_database():
        send()
    else:
        transaction.on_commit(send)


def send_download(*, download_id: UUID) -> None:
    """Queue the making of a patient's copy of everything."""

    def send() -> None:
        async_task(MAKE_DOWNLOAD, str(download_id), task_name=f"download {download_id}", group="download")

    if _is_in_database():
        send()
    else:
        transaction.on_commit(send)


def send_lost_again(*, now: datetime) -> int:
    """Queue runs once more that wait while the queue is empty: it was lost, or we died between the two writes.

    Only where the queue is apart from our database; elsewhere both are one transaction. Returns how many were sent.
    """
    if _is_in_database() or get_broker().queue_size():
        return 0
    waiting = list(SyncRun.objects.filter(status=SyncRun.Status.QUEUED, started_at__lt=now - TICK_PERIOD))
    for run in waiting:
        _send_run(run)
    return len(waiting)


def live_hospitals() -> list[Hospital]:
    return list(Hospital.objects.filter(state=HospitalState.LIVE).order_by("number"))


def enqueue_tick() -> None:
    """Have the schedule looked at now, and not within the next half minute."""
    async_task(TICK, group="tick")


def enqueue_alerts() -> None:
    async_task(TELL_ALERTS, task_name="tell alerts", group="alerts")


def enqueue_emergencies() -> None:
    async_task(TELL_EMERGENCIES, task_name="tell emergencies", group="emergencies")


def enqueue_corrections() -> None:
    async_task(FOLLOW_CORRECTIONS, task_name="follow corrections", group="corrections")


def enqueue_news() -> None:
    async_task(TELL_NEWS, task_name="tell news", group="news")


def enqueue_audit_head() -> None:
    async_task(PUBLISH_AUDIT_HEAD, group="audit")


def beat(*, now: datetime) -> None:
    """Say that a worker executed something; that its process is alive would mean nothing."""
    Heartbeat.objects.update_or_create(name=HEARTBEAT, defaults={"at": now})


def is_time_to_prune(*, now: datetime) -> bool:
    """Whether nobody deleted old runs for a day; who is told so does it, and nobody else is told."""
    Heartbeat.objects.get_or_create(name=PRUNED, defaults={"at": now - 2 * PRUNE_PERIOD})
    # A clock that was ahead must not put it off.
    is_due = Q(at__lte=now - PRUNE_PERIOD) | Q(at__gt=now + PRUNE_PERIOD)
    return Heartbeat.objects.filter(is_due, name=PRUNED).update(at=now) == 1


def last_beat() -> datetime | None:
    return Heartbeat.objects.filter(name=HEARTBEAT).values_list("at", flat=True).first()


def is_worker_alive(*, now: datetime) -> bool:
    """Whether a tick was executed within two periods, or workers are busy with runs whose lease is good."""
    at = last_beat()
    # The scheduler of django-q looks every 30 seconds only.
    if at is not None and now - at <= 2 * TICK_PERIOD + timedelta(seconds=30):
        return True
    return n_busy(now=now) > 0


def n_busy(*, now: datetime, worker: str | None = None) -> int:
    """Runs that workers (of this cluster) are at: running, with a lease."""
    leased = Claim.objects.filter(lease_until__gte=now).values("hospital")
    busy = SyncRun.objects.filter(status=SyncRun.Status.RUNNING, hospital__in=leased).exclude(worker="")
    return (busy.filter(worker=worker) if worker is not None else busy).count()


@transaction.atomic
def reconcile_schedule(*, now: datetime) -> None:
    """Leave exactly one Schedule row, ours: a bad one blocks all, and a stranger's could call anything."""
    wanted: dict[str, Any] = {
        "func": TICK,
        "schedule_type": Schedule.MINUTES,
        "minutes": int(TICK_PERIOD.total_seconds() // 60),
        "repeats": -1,
        "args": None,
        "kwargs": None,
        "hook": None,
        "cron": None,
        "cluster": None,
        "intended_date_kwarg": None,
    }
    row = Schedule.objects.filter(name=HEARTBEAT, func=TICK).order_by("pk").first()
    if row is None:
        row = Schedule.objects.create(name=HEARTBEAT, next_run=now, **wanted)
    else:
        Schedule.objects.filter(pk=row.pk).update(**wanted)
        # A clock that was ahead must not silence the schedule.
        Schedule.objects.filter(pk=row.pk, next_run__gt=now + 2 * TICK_PERIOD).update(next_run=now)
    Schedule.objects.exclude(pk=row.pk).delete()


def recover(*, worker: str, now: datetime) -> int:
    """After this cluster died: end its runs, and free the tasks that it had taken. Returns how many runs were ended.

    Tasks of other clusters may be freed too and delivered twice; `runs.take_run` lets one of the two do the work.
    """
    n_ended = runs.end_runs_of(worker=worker, now=now)
    if _is_in_database():
        OrmQ.objects.filter(key=get_broker().list_key, lock__gt=now).update(lock=now)
    else:
        # Redis forgets a task that a worker took.
        for run in SyncRun.objects.filter(status=SyncRun.Status.QUEUED):
            _send_run(run)
    return n_ended


def _is_in_database() -> bool:
    return "orm" in settings.Q_CLUSTER
