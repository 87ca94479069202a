"""The life of an inspection: asked for, taken by workers part by part, ended. It changes nothing at the hospital and
none of our records.

A part is short, so that ticks and syncs get their turn between two; whoever takes the next goes on where the last one
stopped. A worker that dies of it loses one part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from hospitals.models import Hospital
from openmrs_sync.models import Inspection

#: Far below the silence after which the supervisor takes its workers for dead.
PART_SECONDS = 40.0
#: No part is silent for so long: the longest statement is far shorter.
LONGEST_SILENCE = timedelta(minutes=5)
#: A task that nobody took for so long was lost with its queue.
LONGEST_QUEUE = timedelta(hours=1)
MOST_DEATHS = 3
UNDER_WAY = (Inspection.Status.QUEUED, Inspection.Status.RUNNING)

#: (persons done, persons in all): a sign of life.
Note = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part came to. `result`: None when there is more to do, from `progress` on."""

    n_done: int
    n_all: int
    n_source_rows: int
    source_seconds: float
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None


def of_hospital(*, hospital: Hospital, kind: str) -> QuerySet[Inspection]:
    """Newest first."""
    return Inspection.objects.filter(hospital=hospital, kind=kind).order_by("-asked_at", "-pk")


def ask(*, hospital: Hospital, kind: str, now: datetime) -> Inspection | None:
    """One that waits for a worker, or None when one of this kind is under way. Call it inside a transaction.

    The hospital's row is locked, so that of two who ask at once one gets an inspection.
    """
    Hospital.objects.select_for_update().only("pk").get(pk=hospital.pk)
    if of_hospital(hospital=hospital, kind=kind).filter(status__in=UNDER_WAY).exists():
        return None
    return Inspection.objects.create(
        hospital=hospital, kind=kind, asked_at=now, alive_at=now, config_version=hospital.config_version
    )


def take(*, inspection_id: UUID, now: datetime) -> Inspection | None:
    """It, ours from now on; None when somebody has it: a queue may deliver a task twice."""
    waiting = Inspection.objects.filter(pk=inspection_id, status=Inspection.Status.QUEUED)
    if not waiting.update(status=Inspection.Status.RUNNING, n_tries=F("n_tries") + 1, alive_at=now):
        return None
    return Inspection.objects.select_related("hospital").get(pk=inspection_id)


def live_on(*, inspection: Inspection, n_done: int, n_all: int, now: datetime) -> None:
    """Say how far we are, and that we live."""
    _ours(inspection).update(n_done=n_done, n_all=n_all, alive_at=now)


def keep(*, inspection: Inspection, part: Part, now: datetime) -> bool:
    """Store what a part came to. Returns whether there is more to do; False too when it is no longer ours."""
    is_done = part.result is not None
    n_kept = _ours(inspection).update(
        status=Inspection.Status.DONE if is_done else Inspection.Status.QUEUED,
        n_done=part.n_done,
        n_all=part.n_all,
        n_source_rows=F("n_source_rows") + part.n_source_rows,
        source_seconds=F("source_seconds") + part.source_seconds,
        progress={} if is_done else part.progress,
        result=part.result or {},
        alive_at=now,
        finished_at=now if is_done else None,
    )
    return bool(n_kept) and not is_done


def fail(*, inspection: Inspection, error_kind: str, message: str, now: datetime) -> None:
    _ours(inspection).update(
        status=Inspection.Status.FAILED,
        error_kind=error_kind,
        message=message,
        alive_at=now,
        finished_at=now,
        progress={},
    )


def revive(*, now: datetime) -> list[Inspection]:
    """Free what nobody works on any more; those to send again. One that kills its workers again and again is ended."""
    silent = Inspection.objects.filter(status=Inspection.Status.RUNNING, alive_at__lt=now - LONGEST_SILENCE)
    silent.filter(n_deaths__gte=MOST_DEATHS).update(
        status=Inspection.Status.FAILED,
        error_kind="internal",
        message="The worker was stopped or killed during this, several times. Nothing was changed. Ask for it again.",
        finished_at=now,
        progress={},
    )
    dead = list(silent)
    lost = list(Inspection.objects.filter(status=Inspection.Status.QUEUED, alive_at__lt=now - LONGEST_QUEUE))
    for inspection in dead:
        _ours(inspection).update(status=Inspection.Status.QUEUED, n_deaths=F("n_deaths") + 1, alive_at=now)
    Inspection.objects.filter(pk__in=[inspection.pk for inspection in lost]).update(alive_at=now)
    return [*dead, *lost]


def _ours(inspection: Inspection) -> QuerySet[Inspection]:
    """A worker that wakes up late finds another number of tries, and writes nothing."""
    return Inspection.objects.filter(pk=inspection.pk, status=Inspection.Status.RUNNING, n_tries=inspection.n_tries)
