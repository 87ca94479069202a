"""The life of a SyncRun row: queued, taken by one worker, ended; and what is said of it outside."""

import os
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from hospitals.models import Hospital
from openmrs_sync.claims import LEASE
from openmrs_sync.models import Claim, SyncRun
from openmrs_sync.rows import chunks
from passport.audit import record_event
from passport.models import User

#: Names the cluster to its workers; set by the supervisor.
WORKER_VARIABLE = "PASSPORT_WORKER"
#: A task that nobody took for so long was lost with its queue.
LONGEST_QUEUE = timedelta(hours=1)
UNDER_WAY = (SyncRun.Status.QUEUED, SyncRun.Status.RUNNING)
#: How long a run stays in the list. Dull: it was well and changed nothing, or there was nothing for it to do. The audit
#: chain keeps the counts of every run for ever.
KEEP_DULL, KEEP = timedelta(days=35), timedelta(days=90)
#: Of one hospital: never fewer, whatever our clock says, and never more.
FEWEST_KEPT, MOST_KEPT = 100, 20_000
DELETED_AT_ONCE = 500
COUNTS = (
    "n_persons",
    "n_read",
    "n_created",
    "n_updated",
    "n_withdrawn",
    "n_unchanged",
    "n_parked",
    "n_excluded",
)
#: What a list of errors keeps; `busy` and `skipped` are nobody's.
ERRORS = Q(status__in=[SyncRun.Status.FAILED, SyncRun.Status.QUIET, SyncRun.Status.INTERRUPTED])
#: The word of the audit chain for a run, by who asked for it.
ACTIONS = {
    SyncRun.Trigger.SCHEDULE: "openmrs_auto_sync",
    SyncRun.Trigger.WATCH: "openmrs_auto_sync",
    SyncRun.Trigger.ADMIN: "sync_admin",
    SyncRun.Trigger.API: "sync_api",
    SyncRun.Trigger.COMMAND: "sync_command",
    SyncRun.Trigger.PATIENT: "sync_patient",
}


def under_way(*, hospital: Hospital) -> QuerySet[SyncRun]:
    """Runs of the whole hospital that wait or work. One patient's refresh is not one of them."""
    return SyncRun.objects.filter(hospital=hospital, status__in=UNDER_WAY).exclude(trigger=SyncRun.Trigger.PATIENT)


def queue_run(
    *, hospital: Hospital, trigger: str, is_full: bool, now: datetime, is_deep: bool = False
) -> SyncRun | None:
    """A run that waits for a worker, or None when one is under way. Call it inside a transaction.

    The hospital's row is locked, so that of eight who ask at once one gets a run.
    """
    Hospital.objects.select_for_update().only("pk").get(pk=hospital.pk)
    if under_way(hospital=hospital).exists():
        return None
    return SyncRun.objects.create(
        hospital=hospital,
        trigger=trigger,
        status=SyncRun.Status.QUEUED,
        started_at=now,
        is_full=is_full,
        is_deep=is_deep,
    )


def take_run(*, run_id: UUID, now: datetime) -> SyncRun | None:
    """The run, ours from now on; None when somebody had it before: a queue may deliver a task twice."""
    waiting = SyncRun.objects.filter(pk=run_id, status=SyncRun.Status.QUEUED)
    taken = waiting.update(status=SyncRun.Status.RUNNING, started_at=now, worker=os.environ.get(WORKER_VARIABLE, ""))
    return SyncRun.objects.select_related("hospital").get(pk=run_id) if taken else None


def end_run(*, run: SyncRun, status: str, now: datetime, error_kind: str | None = None, message: str = "") -> bool:
    """End a run that is queued or running, with its audit row; False when it had ended before."""
    with transaction.atomic():
        n_ended = SyncRun.objects.filter(pk=run.pk, status__in=UNDER_WAY).update(
            status=status, error_kind=error_kind, message=message, finished_at=now
        )
        if n_ended:
            run.refresh_from_db()
            record_run(run=run, actor=None, now=now)
    return bool(n_ended)


def is_as_we_ended_it(*, run: SyncRun) -> bool:
    """False when somebody ended it before us, and wrote that down: we were frozen, and taken for dead."""
    return SyncRun.objects.filter(pk=run.pk, status=run.status, finished_at=run.finished_at).exists()


def end_dead_runs(*, now: datetime) -> int:
    """End the runs that nobody works on any more: their lease is over, or no worker took them for an hour."""
    leased = Claim.objects.filter(hospital=OuterRef("hospital"), lease_until__gte=now)
    # A run that has begun a moment ago may not hold its claim yet.
    is_old = Q(started_at__lt=now - LEASE) | Q(started_at__gt=now + LONGEST_QUEUE)
    is_lost = Q(started_at__lt=now - LONGEST_QUEUE) | Q(started_at__gt=now + LONGEST_QUEUE)
    dead = SyncRun.objects.filter(
        (Q(status=SyncRun.Status.RUNNING) & is_old & ~Exists(leased)) | (Q(status=SyncRun.Status.QUEUED) & is_lost)
    )
    return sum(interrupt(run=run, now=now) for run in dead)


def end_runs_of(*, worker: str, now: datetime) -> int:
    """End what this cluster's workers had in hand. Call it when all its processes are dead: their leases end too."""
    n_ended = 0
    for run in SyncRun.objects.filter(worker=worker, status=SyncRun.Status.RUNNING):
        # Over, not free: whoever takes it must look after what was under way.
        Claim.objects.filter(hospital=run.hospital_id, token=run.token, lease_until__isnull=False).update(
            lease_until=now - timedelta(seconds=1)
        )
        n_ended += interrupt(run=run, now=now)
    return n_ended


def prune(*, now: datetime) -> int:
    """Delete old runs of every hospital, so that the table stays as large as it is; returns how many.

    In parts, each a transaction of its own: the web and the workers never wait for it.
    """
    return sum(_prune_one(hospital=hospital, now=now) for hospital in Hospital.objects.only("pk"))


def _prune_one(*, hospital: Hospital, now: datetime) -> int:
    is_unchanged = Q(status=SyncRun.Status.OK, n_created=0, n_updated=0, n_withdrawn=0)
    is_dull = is_unchanged | Q(status__in=[SyncRun.Status.BUSY, SyncRun.Status.SKIPPED])
    is_old = Q(started_at__lt=now - KEEP) | (is_dull & Q(started_at__lt=now - KEEP_DULL))
    ended = SyncRun.objects.filter(hospital=hospital).exclude(status__in=UNDER_WAY).order_by("-started_at", "pk")
    newest = set(ended.values_list("pk", flat=True)[:FEWEST_KEPT])
    doomed = set(ended.filter(is_old).values_list("pk", flat=True)) - newest
    doomed.update(ended.values_list("pk", flat=True)[MOST_KEPT:])
    for part in chunks(doomed, DELETED_AT_ONCE):
        SyncRun.objects.filter(pk__in=part).delete()
    return len(doomed)


def interrupt(*, run: SyncRun, now: datetime) -> bool:
    return end_run(
        run=run,
        status=SyncRun.Status.INTERRUPTED,
        now=now,
        message="The worker was stopped or killed during this run. Nothing is lost: the next run goes on.",
    )


def as_dict(run: SyncRun) -> dict[str, Any]:
    """The object of `sync --json` and of the API: hospital, status, error_kind, n_…, seconds."""
    return {
        "hospital": run.hospital.code,
        "status": run.status,
        "error_kind": run.error_kind,
        **{name: getattr(run, name) for name in COUNTS},
        "seconds": round(run.seconds, 3),
    }


def record_run(*, run: SyncRun, actor: User | None, now: datetime) -> None:
    """The audit row of a run that has ended: its counts."""
    details = as_dict(run) | {"run": str(run.pk), "trigger": run.trigger, "is_full": run.is_full}
    record_event(
        action=ACTIONS[SyncRun.Trigger(run.trigger)],
        actor=actor,
        now=now,
        hospital_id=run.hospital_id,
        details=details,
    )
