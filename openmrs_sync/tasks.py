"""What the queue runs. The dotted paths `openmrs_sync.tasks.tick`, `.sync_one`, `.inspect_one`,
`.make_download`, `.publish_audit_head`, `.tell_alerts`, `.tell_emergencies`, `.follow_corrections` and `.tell_news` are
frozen: rows in queues hold them.

Tasks take ids and return counts: arguments, results and tracebacks are kept in a table.
"""

import logging
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from hospitals.errors import SourceError
from openmrs_sync import alerts, control, dry_run, inspections, pace, pipeline, queue, receipts, runs, workbench
from openmrs_sync.errors import SyncError
from openmrs_sync.models import Inspection, SyncRun
from passport import audit_heads
from passport.access import emergencies
from passport.corrections import checking, writing
from passport.logs import where
from passport.notices import telling
from passport.sharing import downloads, package
from passport.views import printing

log = logging.getLogger(__name__)

#: Seconds that a run needs to end its last batch and to save where it is.
MARGIN = 60.0

_is_stopping = False


def request_stop(*_signal: Any) -> None:
    """End the batch in hand, begin nothing new. A signal handler of the workers, for the rest of their life."""
    global _is_stopping  # noqa: PLW0603 - a signal reaches a process, not an object
    _is_stopping = True
    pipeline.request_stop()


def tick() -> dict[str, int]:
    """End dead runs, and give each hospital that is due a run of its own. Once a day: delete old runs."""
    now = timezone.now()
    queue.beat(now=now)
    n_interrupted = runs.end_dead_runs(now=now)
    queue.send_lost_again(now=now)
    for inspection in inspections.revive(now=now):
        queue.send_inspection(inspection)
    for download_id in downloads.revive(now=now):
        queue.send_download(download_id=download_id)
    downloads.clean(now=now)
    due = control.due_hospitals(now=now)
    queued = queue.enqueue(hospitals=due, trigger=SyncRun.Trigger.SCHEDULE, now=now)
    if queue.is_time_to_prune(now=now):
        log.info("old runs deleted: %d", runs.prune(now=now))
    if audit_heads.is_due(now=now):
        queue.enqueue_audit_head()  # a task of its own: a place that does not answer must not hold up the tick
    if alerts.look(now=now).n_to_tell:
        queue.enqueue_alerts()
    if emergencies.is_anyone_to_tell(now=now):
        queue.enqueue_emergencies()
    if checking.is_anything_to_check(now=now) or writing.is_any_to_write(now=now):
        queue.enqueue_corrections()
    if telling.is_anyone_to_tell(now=now):
        queue.enqueue_news()
    return {"n_interrupted": n_interrupted, "n_due": len(due), "n_queued": len(queued.runs)}


def publish_audit_head() -> dict[str, int]:
    """Tell the end of the audit chain where AUDIT_PUBLISH_TO says. Delivered twice it does nothing the second time."""
    now = timezone.now()
    if not audit_heads.is_due(now=now):
        return {}
    try:
        told = audit_heads.publish(now=now)
    except audit_heads.PublishFailed as error:
        log.error("The head of the audit chain was not published. %s", error)  # noqa: TRY400 - its sentence says all
        return {}
    return {"seq": told.seq, "missed_days": told.missed}


def tell_alerts() -> dict[str, int]:
    """Tell what began and what is over, at the places of ALERT_TO. Delivered twice it may tell twice."""
    return {"n_told": alerts.tell_all(now=timezone.now())}


def tell_emergencies() -> dict[str, int]:
    """Mail to patients whose record was opened in an emergency. Delivered twice it tells nobody twice."""
    return {"n_told": emergencies.tell_by_mail(now=timezone.now())}


def follow_corrections() -> dict[str, int]:
    """Close what hospitals have changed, and tell hospitals what waits. Delivered twice it does nothing twice."""
    now = timezone.now()
    return {"n_closed": checking.close_changed(now=now), "n_mailed": writing.write_all(now=now)}


def tell_news() -> dict[str, int]:
    """Mail or SMS to patients who asked to hear of what is new. Delivered twice it tells nobody twice."""
    return {"n_told": telling.tell_all(now=timezone.now())}


def sync_one(hospital_id: str, run_id: str) -> dict[str, int]:
    """Read one hospital, for a run that was queued. Delivered twice it does nothing the second time."""
    run = runs.take_run(run_id=UUID(run_id), now=timezone.now())
    if run is None or str(run.hospital_id) != hospital_id:
        return {}
    if _is_stopping:
        runs.interrupt(run=run, now=timezone.now())
        return {}
    if not run.hospital.is_live:
        message = "The hospital is not live. Set it live to have it read."
        runs.end_run(run=run, status=SyncRun.Status.SKIPPED, now=timezone.now(), message=message)
        return {}
    quiet_until = pace.quiet_until(hospital=run.hospital, now=run.started_at) if run.trigger in pace.UNASKED else None
    if quiet_until is not None:
        message = f"Quiet hours of this hospital, until {quiet_until:%H:%M} UTC. What is asked for by hand is read."
        runs.end_run(run=run, status=SyncRun.Status.SKIPPED, now=timezone.now(), message=message)
        return {}
    try:
        run = pipeline.sync_hospital(
            hospital=run.hospital,
            trigger=run.trigger,
            now=run.started_at,
            full=run.is_full,
            deep=True if run.is_deep else None,
            until=time.monotonic() + _budget(run),
            run=run,
        )
    except Exception as error:  # noqa: BLE001 - the entry point: whatever it was, the run must not stay "running"
        # The class only: the text of a database error may hold what was in a row.
        log.error("sync_one failed: %s in run %s", type(error).__name__, run.pk)  # noqa: TRY400
        message = "Something in Patient Passport failed. The log of the worker names it; please report it."
        runs.end_run(
            run=run,
            status=SyncRun.Status.FAILED,
            now=timezone.now(),
            error_kind="internal",
            message=message,
        )
        return {}
    if runs.is_as_we_ended_it(run=run):
        runs.record_run(run=run, actor=None, now=timezone.now())
    return {name: getattr(run, name) for name in runs.COUNTS}


def make_download(download_id: str) -> dict[str, int]:
    """Make a patient's copy of everything. Delivered twice it does nothing the second time."""
    download = downloads.take(download_id=UUID(download_id), now=timezone.now())
    if download is None:
        return {}

    def note(n_done: int, n_all: int) -> None:
        downloads.live_on(download=download, n_done=n_done, n_all=n_all, now=timezone.now())

    try:
        with package.made(download=download, paper_html=printing.paper_html, note=note, now=timezone.now()) as file:
            is_made = downloads.done(download=download, file=file, now=timezone.now())
    except Exception as error:  # noqa: BLE001 - the entry point: whatever it was, it must not stay "running"
        log.error("make_download failed: %s, download %s", where(error), download.pk)  # noqa: TRY400 - no texts
        downloads.fail(download=download, now=timezone.now())
        return {}
    return {"n_made": int(is_made)}


#: kind → what does one part of it
INSPECTORS = {
    Inspection.Kind.VERIFY: receipts.verify_part,
    Inspection.Kind.DRY_RUN: dry_run.read_part,
    Inspection.Kind.CONCEPTS: workbench.count_part,
}


def inspect_one(inspection_id: str) -> dict[str, int]:
    """Do one part of an inspection, and queue the next. Delivered twice it does nothing the second time."""
    inspection = inspections.take(inspection_id=UUID(inspection_id), now=timezone.now())
    if inspection is None:
        return {}

    def note(n_done: int, n_all: int) -> None:
        inspections.live_on(inspection=inspection, n_done=n_done, n_all=n_all, now=timezone.now())

    try:
        part = INSPECTORS[Inspection.Kind(inspection.kind)](
            hospital=inspection.hospital,
            progress=inspection.progress,
            until=time.monotonic() + inspections.PART_SECONDS,
            note=note,
        )
    except (SourceError, SyncError) as error:
        inspections.fail(inspection=inspection, error_kind=error.kind, message=str(error), now=timezone.now())
        return {}
    except Exception as error:  # noqa: BLE001 - the entry point: whatever it was, it must not stay "running"
        log.error("inspect_one failed: %s, inspection %s", where(error), inspection.pk)  # noqa: TRY400 - no texts
        message = "Something in Patient Passport failed. The worker's log names it; please report it."
        inspections.fail(inspection=inspection, error_kind="internal", message=message, now=timezone.now())
        return {}
    if inspections.keep(inspection=inspection, part=part, now=timezone.now()):
        queue.send_inspection(inspection)
    return {"n_done": part.n_done, "n_all": part.n_all, "n_source_rows": part.n_source_rows}


def _budget(run: SyncRun) -> float:
    """Seconds for one run: an interval, so that others get their turn; and less than the queue's own limit."""
    minutes = run.hospital.sync_interval_minutes or control.read_control().interval_minutes
    return min(minutes * 60.0, settings.SYNC_TASK_SECONDS - MARGIN)
