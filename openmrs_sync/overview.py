"""How it stands: one line per hospital and one for the schedule. For the API's status and the admin's start page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum

from hospitals.models import Hospital
from openmrs_sync import control, queue, runs
from openmrs_sync.models import Alert, Breaker, ParkedRow, SyncRun
from openmrs_sync.rows import chunks
from passport.models import CorrectionRequest, EmergencyAccess, Link
from passport.models.links import LinkState

#: Runs that a line shows, oldest first.
N_RUNS = 30
#: Hospitals in one condition of a query: SQLite takes no deeper ones than a thousand.
HOSPITALS_AT_ONCE = 400
#: A request that no mail took to its hospital until then waits for somebody to take the list there.
TOLD_BY_MAIL_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Sums over the last balances of a hospital's linked persons, in source rows."""

    n_source: int = 0
    n_stored: int = 0
    n_parked: int = 0
    n_unexplained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run that waits for a worker, or is at work: persons read so far, persons still to read, source rows read.

    Told from the links' own balances, so it moves with every batch. `seconds`: since it began.
    """

    run: SyncRun
    n_done: int
    n_left: int
    n_rows: int
    seconds: float

    @property
    def n_all(self) -> int:
        return self.n_done + self.n_left

    @property
    def rows_per_second(self) -> int | None:
        """None while there is nothing to reckon with."""
        return round(self.n_rows / self.seconds) if self.n_rows and self.seconds >= 1 else None

    @property
    def seconds_left(self) -> float | None:
        """At the speed so far; None while that is not known."""
        return self.seconds / self.n_done * self.n_left if self.n_done and self.seconds >= 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalLine:
    """One hospital now. `lag_seconds`: since the start of the last look that succeeded; None: there was none."""

    hospital: Hospital
    lag_seconds: int | None
    last_success_at: datetime | None
    last_try_at: datetime | None
    last_error_kind: str | None
    breaker: str
    #: an open breaker lets nobody try before
    retry_at: datetime | None
    next_due_at: datetime | None
    balance: Balance
    last_run: SyncRun | None
    #: the last ones that ended, oldest first
    runs: Sequence[SyncRun]
    progress: Progress | None

    @property
    def is_under_way(self) -> bool:
        return self.progress is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything at once. Counts are what waits for a human."""

    control: control.Control
    is_worker_alive: bool
    next_due_at: datetime | None
    lines: list[HospitalLine]
    n_held: int
    n_parked: int
    n_unexplained: int
    n_failing: int
    alerts: Sequence[Alert]
    #: records opened in an emergency that no officer has reviewed; requests for a correction no hospital was told of
    n_to_review: int
    n_untold: int

    @property
    def needs_attention(self) -> bool:
        return bool(self.n_held or self.n_parked or self.n_unexplained or self.n_failing or self.alerts)


def read_overview(*, now: datetime) -> Overview:
    """In as many queries for one hospital as for forty."""
    due = control.next_due_by_hospital(now=now)
    balances = _balances()
    ended_runs = _whole().exclude(status__in=runs.UNDER_WAY)
    nth = ended_runs.filter(hospital=OuterRef("pk")).order_by("-started_at").values("started_at")
    hospitals = list(
        Hospital.objects.select_related("breaker")
        .annotate(shown_from=Subquery(nth[N_RUNS - 1 : N_RUNS]))
        .order_by("name", "number")
    )
    ended = _ended_runs({hospital.pk: hospital.shown_from for hospital in hospitals})
    progress = under_way(now=now)
    lines = [
        _line(
            hospital=hospital,
            due_at=due.get(hospital.code),
            balance=balances.get(hospital.number),
            ended=ended.get(hospital.pk, []),
            progress=progress.get(hospital.pk),
            now=now,
        )
        for hospital in hospitals
    ]
    return Overview(
        control=control.read_control(),
        is_worker_alive=queue.is_worker_alive(now=now),
        next_due_at=min(due.values(), default=None),
        lines=lines,
        n_held=Link.objects.filter(state=LinkState.HELD, epoch=F("hospital__epoch")).count(),
        n_parked=ParkedRow.objects.filter(link__state=LinkState.LINKED, link__epoch=F("hospital__epoch")).count(),
        n_unexplained=sum(abs(line.balance.n_unexplained) for line in lines),
        n_failing=sum(1 for line in lines if line.hospital.is_live and line.last_error_kind),
        alerts=list(Alert.objects.filter(ended_at=None).select_related("hospital").order_by("began_at")),
        n_to_review=EmergencyAccess.objects.filter(reviewed_at=None).count(),
        n_untold=CorrectionRequest.objects.filter(
            state=CorrectionRequest.State.ASKED, asked_at__lt=now - TOLD_BY_MAIL_WITHIN
        ).count(),
    )


def _whole() -> QuerySet[SyncRun]:
    """Runs of whole hospitals. One patient's refresh is not one of them."""
    return SyncRun.objects.exclude(trigger=SyncRun.Trigger.PATIENT)


def _line(
    *,
    hospital: Hospital,
    due_at: datetime | None,
    balance: Balance | None,
    ended: Sequence[SyncRun],
    progress: Progress | None,
    now: datetime,
) -> HospitalLine:
    breaker: Breaker | None = getattr(hospital, "breaker", None)
    last_success_at = breaker.last_success_at if breaker else None
    return HospitalLine(
        hospital=hospital,
        # Our clock may have stepped back: nothing is fresher than fresh.
        lag_seconds=max(0, int((now - last_success_at).total_seconds())) if last_success_at else None,
        last_success_at=last_success_at,
        last_try_at=breaker.last_try_at if breaker else None,
        last_error_kind=(breaker.last_error_kind or None) if breaker else None,
        breaker=breaker.state if breaker else Breaker.State.CLOSED,
        retry_at=breaker.retry_at if breaker else None,
        next_due_at=due_at,
        balance=balance or Balance(),
        last_run=ended[-1] if ended else None,
        runs=ended,
        progress=progress,
    )


def _ended_runs(shown_from: Mapping[UUID, datetime | None]) -> dict[UUID, list[SyncRun]]:
    """Hospital → its last runs that ended, oldest first. `shown_from`: start of the oldest one shown; None: of all.

    By each hospital's index: numbering all runs in one query reads the whole table, and it has millions of rows.
    """
    found: dict[UUID, list[SyncRun]] = {}
    for part in chunks(shown_from, HOSPITALS_AT_ONCE):
        wanted = Q()
        for hospital_id in part:
            since = shown_from[hospital_id]
            wanted |= Q(hospital=hospital_id) & (Q(started_at__gte=since) if since else Q())
        ended = _whole().filter(wanted).exclude(status__in=runs.UNDER_WAY)
        for run in ended.defer("journal").order_by("started_at"):
            found.setdefault(run.hospital_id, []).append(run)
    return {hospital_id: mine[-N_RUNS:] for hospital_id, mine in found.items()}


def under_way(*, now: datetime) -> dict[UUID, Progress]:
    """Hospital → how far its run is."""
    running = {run.hospital_id: run for run in _whole().filter(status__in=runs.UNDER_WAY)}
    if not running:
        return {}
    linked = Link.objects.filter(state=LinkState.LINKED, epoch=F("hospital__epoch"))
    read, left = Q(pk__in=[]), ~Q(marks=F("fresh_marks")) | Q(refreshed_at__isnull=True)
    left |= ~Q(fresh_config_version=F("hospital__config_version"))
    for hospital_id, run in running.items():
        read |= Q(hospital=hospital_id, refreshed_at__gte=run.started_at)
    done = linked.filter(read).values("hospital").annotate(n=Count("pk"), rows=Sum("n_source")).order_by()
    n_done = {row["hospital"]: (row["n"], row["rows"] or 0) for row in done}
    waiting = linked.filter(left, hospital__in=list(running)).values("hospital").annotate(n=Count("pk")).order_by()
    n_left = {row["hospital"]: row["n"] for row in waiting}
    return {
        hospital_id: Progress(
            run=run,
            n_done=n_done.get(hospital_id, (0, 0))[0],
            n_left=n_left.get(hospital_id, 0),
            n_rows=n_done.get(hospital_id, (0, 0))[1],
            seconds=max(0.0, (now - run.started_at).total_seconds()),
        )
        for hospital_id, run in running.items()
    }


def _balances() -> dict[int, Balance]:
    """Hospital number → its sums."""
    rows = (
        Link.objects.filter(state=LinkState.LINKED, epoch=F("hospital__epoch"))
        .values("hospital__number")
        .annotate(source=Sum("n_source"), stored=Sum("n_stored"), parked=Sum("n_parked"), rest=Sum("n_unexplained"))
    )
    return {
        row["hospital__number"]: Balance(
            n_source=row["source"], n_stored=row["stored"], n_parked=row["parked"], n_unexplained=row["rest"]
        )
        for row in rows
    }
