"""sync_hospital(): claim, look, refresh whoever is due, balance, janitor. Reads like the engine's one idea.

A hospital's failure is one SyncRun, never an exception; one hospital knows nothing of the others.
"""

import gc
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from hospitals.connections import open_hospital
from hospitals.errors import NeverTheSame, SourceError
from hospitals.models import Hospital
from openmrs_sync import anchors, brake, certificate, claims, janitor, links, looks, pace, reader
from openmrs_sync.errors import ClaimBusy, PersonFailed, SourceWentQuiet, SyncError
from openmrs_sync.journal import Journal
from openmrs_sync.models import SyncRun, Watermark
from openmrs_sync.refresh import Counts, ReadAhead
from openmrs_sync.session import Session, open_session
from passport import audit
from passport.logs import where
from passport.models import Link, Patient, User
from passport.models.links import LinkState

log = logging.getLogger(__name__)

#: Source rows in one batch at most, so that memory stays small. A giant person goes alone.
BATCH_ROWS = 8_000
#: Links that are planned at once.
PLAN_LINKS = 4_000
#: A run may be so many seconds late for its end before the hospital's connection is cut under it.
LATENESS, PATIENT_LATENESS = 30.0, 2.0

#: Our own store failed as a whole (locked, full, gone): no person and no hospital is to blame.
STORE_ERRORS = (OperationalError, InterfaceError)
TOO_SLOW = (
    "This hospital answers so slowly that no five seconds are enough for a snapshot: everybody is read twice instead, "
    "and is as read when both times are the same. Ask the hospital to look at the line and the load."
)
STORE_FAILED = (
    "Patient Passport's own database did not take a write: another program holds it, or its disk is full. Make room or "
    "end that program; the next run goes on, and nothing was lost."
)

_stop = threading.Event()


def request_stop() -> None:
    """End the batch in hand, save where we are, begin nothing new. For the rest of this process's life."""
    _stop.set()


def is_stopping() -> bool:
    return _stop.is_set()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRefresh:
    """What a fresh read of one patient at one hospital gave: ok, not_found, held, unreachable, busy, failed,
    disabled.
    """

    status: str
    n_created: int = 0
    n_updated: int = 0
    n_withdrawn: int = 0
    n_unchanged: int = 0
    n_parked: int = 0
    n_excluded: int = 0


def sync_hospital(
    *,
    hospital: Hospital,
    trigger: str,
    now: datetime,
    full: bool = False,
    deep: bool | None = None,
    until: float | None = None,
    run: SyncRun | None = None,
) -> SyncRun:
    """Read one hospital and make our records equal to it; never raises for the hospital's failure.

    `until`: a moment of time.monotonic() at which the run saves where it is and ends; what is left stays marked. A
    hospital that does not let it end then is cut off a little later.
    `deep`: None means when it is due. Returns the finished SyncRun: status ok, quiet, failed or busy.
    """
    clock = claims.Clock.at(now)
    run = run or SyncRun(
        hospital=hospital, trigger=trigger, status=SyncRun.Status.RUNNING, started_at=now, is_full=full
    )
    is_asked_for = trigger not in pace.UNASKED

    def work(session: Session, counts: Counts) -> None:
        if full:
            links.mark_all(hospital=session.hospital, now=clock.now())
        session.journal.begin("look")
        # what moved may have been a void, which leaves no new row
        looks.look(session, deep=deep, now=clock.now(), with_voids=trigger == SyncRun.Trigger.WATCH)
        _refresh_due(session, counts, until=until, is_asked_for=is_asked_for)

    return _attempt(run, work, clock=clock, end_by=math.inf if until is None else until + LATENESS)


def _attempt(run: SyncRun, work: Callable[[Session, Counts], None], *, clock: claims.Clock, end_by: float) -> SyncRun:
    """Claim the hospital, open it, do the work, and end the run with what came of it. Never raises.

    When our own store takes nothing any more, the run that is returned says so, and its row is ended by a later tick.
    """
    counts = Counts()
    try:
        return _tried(run, work, counts, clock=clock, end_by=end_by)
    except STORE_ERRORS as error:  # a hospital's come as SourceError
        log.error("our own database failed: %s, hospital %s", where(error), run.hospital.code)  # noqa: TRY400
    try:
        # not counted by the breaker: no hospital is to blame, and all of them go on when there is room
        return _finished(run, counts, clock, status=SyncRun.Status.FAILED, error_kind="internal", message=STORE_FAILED)
    except STORE_ERRORS:
        run.status, run.error_kind, run.message = SyncRun.Status.FAILED, "internal", STORE_FAILED
        return run


def _tried(
    run: SyncRun, work: Callable[[Session, Counts], None], counts: Counts, *, clock: claims.Clock, end_by: float
) -> SyncRun:
    """Raises STORE_ERRORS and nothing else."""
    hospital = run.hospital
    if run._state.adding:
        run.save(force_insert=True)
    try:
        with claims.claim(hospital=hospital, clock=clock) as claim:
            SyncRun.objects.filter(pk=run.pk).update(token=claim.token)
            if run.trigger != SyncRun.Trigger.PATIENT:
                # before the hospital is contacted: a try is a try when nobody answers, too
                claims.note_try(hospital=hospital, now=clock.start)
            message = _work_at_source(run, claim, work, counts, end_by=end_by)
    except ClaimBusy as busy:
        return _finished(run, counts, clock, status=SyncRun.Status.BUSY, message=str(busy))
    except SourceWentQuiet as quiet:
        log.warning("a hospital went quiet: %s, run %s", hospital.code, run.pk)
        claims.note_failure(hospital=hospital, kind=quiet.kind, is_transient=True, now=clock.now())
        return _finished(run, counts, clock, status=SyncRun.Status.QUIET, message=str(quiet))
    except (SourceError, SyncError) as error:
        claims.note_failure(hospital=hospital, kind=error.kind, is_transient=error.is_transient, now=clock.now())
        return _finished(run, counts, clock, status=SyncRun.Status.FAILED, error_kind=error.kind, message=str(error))
    except STORE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the entry point: one hospital's failure is one run
        log.error("sync failed: %s, hospital %s", where(error), hospital.code)  # noqa: TRY400 - no texts
        claims.note_failure(hospital=hospital, kind="internal", is_transient=True, now=clock.now())
        message = "Something in Patient Passport failed. The worker's log names it; please report it. Nothing was lost."
        return _finished(run, counts, clock, status=SyncRun.Status.FAILED, error_kind="internal", message=message)
    if run.trigger != SyncRun.Trigger.PATIENT:
        claims.note_success(hospital=hospital, started_at=clock.start)
    return _finished(run, counts, clock, status=SyncRun.Status.OK, message=message)


def _work_at_source(
    run: SyncRun,
    claim: claims.HeldClaim,
    work: Callable[[Session, Counts], None],
    counts: Counts,
    *,
    end_by: float,
) -> str:
    """Do the work in an open session; returns what the admin should know of a run that went well."""
    journal = Journal()
    journal.begin("connect")
    try:
        with open_hospital(run.hospital, end_by=end_by) as source:
            try:
                session = open_session(source=source, claim=claim, journal=journal)
                work(session, counts)
            finally:
                run.n_source_rows, run.source_seconds = source.n_rows, source.seconds
    finally:
        journal.leave(run)
    told = []
    if session.n_set_aside:
        told.append(f"{session.n_set_aside} persons could not be read; they are tried again by themselves.")
    if session.n_never_the_same:
        told.append(f"Somebody was changing {session.n_never_the_same} of them all the while.")
    if session.source.is_too_slow:
        told.append(TOO_SLOW)
    return " ".join(told)


def _refresh_due(session: Session, counts: Counts, *, until: float | None, is_asked_for: bool) -> None:
    """Refresh every link that is stale after the look once.

    `is_asked_for`: a human wants it now, so neither a person's wait nor the hospital's quiet hours count.
    """
    clock = session.claim.clock
    session.journal.begin("read")
    due = links.due(hospital=session.hospital, now=clock.now(), ignore_waits=is_asked_for)
    due += links.retries(hospital=session.hospital, now=clock.now(), without=due)
    is_whole = _refresh_all(session, counts, link_ids=due, until=until, is_quiet_kept=not is_asked_for)
    session.journal.begin("finish")
    anchors.drop(hospital=session.hospital, keys=session.keys)
    if is_whole:
        brake.rearm(hospital=session.hospital, now=clock.now())
        janitor.clean(hospital=session.hospital, claim=session.claim, now=clock.now())
    session.journal.receipt = certificate.note_day(
        hospital=session.hospital, now=clock.now(), is_still=session.is_still
    )


def _refresh_all(
    session: Session,
    counts: Counts,
    *,
    link_ids: Sequence[UUID],
    until: float | None,
    is_paced: bool = True,
    is_quiet_kept: bool = False,
) -> bool:
    """Refresh these links in batches; False when the time was over before all were tried."""
    pauses = _Pauses(until=until, is_paced=is_paced, is_quiet_kept=is_quiet_kept)
    left, batches = deque(link_ids), deque[list[UUID]]()
    with ReadAhead(session) as ahead:
        while left or batches:
            part = [left.popleft() for _ in range(min(PLAN_LINKS, len(left)))]
            ahead.free_source()
            batches += _plan(session, link_ids=part)
            if not _refresh_batches(session, counts, batches=batches, ahead=ahead, pauses=pauses, is_last=not left):
                return False
            while len(batches) > 1:  # planned for another tempo; but for the first, which is read ahead
                left.extendleft(reversed(batches.pop()))
    if session.n_set_aside > session.n_never_the_same and not counts.n_persons:
        raise PersonFailed(
            f"None of {session.n_set_aside} persons could be read because of a fault in Patient Passport. "
            "They stay marked and are tried again; please report the worker's log, which names the place."
        )
    return session.n_set_aside == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pauses:
    """When a run ends before its last batch, and how it rests between two. `until`: of time.monotonic()."""

    until: float | None
    is_paced: bool
    is_quiet_kept: bool

    def is_over(self, session: Session) -> bool:
        if _stop.is_set() or (self.until is not None and time.monotonic() >= self.until) or session.is_outdated():
            return True
        now = session.claim.clock.now()
        return self.is_quiet_kept and pace.quiet_until(hospital=session.hospital, now=now) is not None

    def rest(self, session: Session, *, n_rows: int, seconds: float) -> None:
        """Outside of every snapshot and lock."""
        if self.is_paced:
            renew = session.claim.renew
            pace.rest(
                hospital=session.hospital, n_rows=n_rows, seconds=seconds, until=self.until, stop=_stop, renew=renew
            )


def _refresh_batches(
    session: Session,
    counts: Counts,
    *,
    batches: deque[list[UUID]],
    ahead: ReadAhead,
    pauses: _Pauses,
    is_last: bool,
) -> bool:
    """Refresh one batch after the other; False when the run must end before the last. `is_last`: nobody comes after
    these. Those that the source turned out too fast or too slow for are left in `batches`.
    """
    planned_for = session.tempo.rows
    while batches:
        if pauses.is_over(session):
            # what is left stays stale; an admin's change of settings must not end up half applied
            return False
        batch = batches.popleft()
        n_rows, began = session.source.n_rows, time.monotonic()
        try:
            with _collector_paused():
                counts.add(ahead.refresh(link_ids=batch, then=batches[0] if batches else ()))
        except NeverTheSame as error:
            session.n_never_the_same += len(batch) == 1
            _set_aside(session, batch, batches, error)
        except (SourceError, SyncError, *STORE_ERRORS):
            raise
        except Exception as error:  # noqa: BLE001 - one bad person must not stop the others
            _set_aside(session, batch, batches, error)
        if batches or not is_last:
            pauses.rest(session, n_rows=session.source.n_rows - n_rows, seconds=time.monotonic() - began)
        if session.tempo.rows != planned_for:
            break
    return True


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A batch makes a million tuples without a cycle: looking for cycles among them is a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _plan(session: Session, *, link_ids: Sequence[UUID]) -> list[list[UUID]]:
    """Batches of links with as many source rows each as a snapshot may have here, in the given order."""
    if not link_ids:
        return []
    person_of = dict(Link.objects.filter(pk__in=link_ids).values_list("pk", "person_id"))
    ordered = {person_of[link_id]: link_id for link_id in link_ids if link_id in person_of}
    max_rows = pace.batch_rows(hospital=session.hospital, most=min(BATCH_ROWS, session.tempo.rows))
    plan = reader.plan(session.source.fetch, session.schema, person_ids=list(ordered), max_rows=max_rows)
    return [[ordered[person_id] for person_id in batch] for batch in plan]


def _set_aside(session: Session, batch: list[UUID], batches: deque[list[UUID]], error: Exception) -> None:
    """Bisect a failed batch down to the one bad person, which waits by itself."""
    log.warning("refresh failed: %s, %d persons at %s", where(error), len(batch), session.hospital.code)
    if len(batch) == 1:
        links.wait(link_id=batch[0], now=session.claim.clock.now())
        session.n_set_aside += 1
        return
    middle = len(batch) // 2
    batches.appendleft(batch[middle:])
    batches.appendleft(batch[:middle])


def _finished(
    run: SyncRun,
    counts: Counts,
    clock: claims.Clock,
    *,
    status: str,
    error_kind: str | None = None,
    message: str = "",
) -> SyncRun:
    run.status, run.error_kind, run.message = status, error_kind, message
    run.finished_at, run.seconds = clock.now(), clock.elapsed()
    for name in Counts.__slots__:
        setattr(run, name, getattr(counts, name))
    fields = ("status", "error_kind", "message", "finished_at", "seconds", "n_source_rows", "source_seconds", "journal")
    # a worker that wakes up late must not overwrite the word of whoever ended its run
    under_way = SyncRun.objects.filter(pk=run.pk, status__in=[SyncRun.Status.QUEUED, SyncRun.Status.RUNNING])
    under_way.update(**{name: getattr(run, name) for name in (*fields, *Counts.__slots__)})
    return run


# --- one patient ------------------------------------------------------------------------------------------------------


def refresh_patient(
    *, hospital: Hospital, patient: Patient, now: datetime, until: float | None = None
) -> PatientRefresh:
    """Look for this patient at this hospital and read what is there, now. Never raises for the hospital's failure."""
    if not hospital.is_live:
        return PatientRefresh(status="disabled")
    clock = claims.Clock.at(now)
    run = SyncRun(hospital=hospital, trigger=SyncRun.Trigger.PATIENT, status=SyncRun.Status.RUNNING, started_at=now)

    def work(session: Session, counts: Counts) -> None:
        session.journal.begin("look")
        looks.look(session, deep=False, now=clock.now())
        session.journal.begin("read")
        links.mark_patient(patient=patient, hospital=hospital, now=clock.now())
        mine = links.linked(session.hospital).filter(patient=patient)
        link_ids = list(mine.values_list("pk", flat=True))
        # somebody is waiting for one patient: a few rows, at once
        if not _refresh_all(session, counts, link_ids=link_ids, until=until, is_paced=False):
            raise PersonFailed("Not everything could be read in the time that was given. Try again in a moment.")

    run = _attempt(run, work, clock=clock, end_by=math.inf if until is None else until + PATIENT_LATENESS)
    if run.status != SyncRun.Status.OK:
        is_told = run.status == SyncRun.Status.BUSY or run.error_kind == "unreachable"
        told = "busy" if run.status == SyncRun.Status.BUSY else "unreachable"
        return PatientRefresh(status=told if is_told else "failed")
    states = set(links.current(hospital).filter(patient=patient).values_list("state", flat=True))
    if LinkState.LINKED not in states:
        return PatientRefresh(status="held" if LinkState.HELD in states else "not_found")
    return PatientRefresh(
        status="ok",
        n_created=run.n_created,
        n_updated=run.n_updated,
        n_withdrawn=run.n_withdrawn,
        n_unchanged=run.n_unchanged,
        n_parked=run.n_parked,
        n_excluded=run.n_excluded,
    )


# --- what an admin confirms -------------------------------------------------------------------------------------------


@transaction.atomic
def accept_source(*, hospital: Hospital, actor: User | None, now: datetime) -> None:
    """A replaced or restored source is meant: a new epoch, everything re-read, nothing of the old one shown from
    now on.
    """
    Hospital.objects.filter(pk=hospital.pk).update(epoch=F("epoch") + 1, config_version=F("config_version") + 1)
    Link.objects.filter(hospital=hospital).exclude(state=LinkState.ENDED).update(
        state=LinkState.ENDED, reason="source_replaced", state_changed_at=now, marks=F("marks") + 1
    )
    Watermark.objects.filter(pk=hospital.pk).delete()
    audit.record_event(action="source_accepted", actor=actor, now=now, hospital_id=hospital.pk)


@transaction.atomic
def accept_changes(*, hospital: Hospital, actor: User | None, now: datetime) -> None:
    """What the brake stopped is meant, once."""
    brake.suspend(hospital=hospital)
    audit.record_event(action="changes_accepted", actor=actor, now=now, hospital_id=hospital.pk)
