"""How it stands: one line per hospital and one for the schedule. For the API's status and the admin's start page."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Sum

from hospitals.models import Hospital
from openmrs_sync import control, queue
from openmrs_sync.models import Breaker, ParkedRow, SyncRun
from passport.models import Link
from passport.models.links import LinkState


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Sums over the last balances of a hospital's linked persons, in source rows."""

    n_source: int = 0
    n_stored: int = 0
    n_parked: int = 0
    n_unexplained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalLine:
    """One hospital now. `lag_seconds`: since the start of the last look that succeeded; None: there was none."""

    hospital: Hospital
    lag_seconds: int | None
    last_success_at: datetime | None
    last_error_kind: str | None
    breaker: str
    next_due_at: datetime | None
    balance: Balance
    last_run: SyncRun | None
    is_under_way: bool


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

    @property
    def needs_attention(self) -> bool:
        return bool(self.n_held or self.n_parked or self.n_unexplained or self.n_failing)


def read_overview(*, now: datetime) -> Overview:
    due = control.next_due_by_hospital(now=now)
    balances = _balances()
    lines = [
        _line(hospital=hospital, due_at=due.get(hospital.code), balance=balances.get(hospital.number), now=now)
        for hospital in Hospital.objects.select_related("breaker").order_by("name", "number")
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
    )


def _line(*, hospital: Hospital, due_at: datetime | None, balance: Balance | None, now: datetime) -> HospitalLine:
    breaker: Breaker | None = getattr(hospital, "breaker", None)
    last_success_at = breaker.last_success_at if breaker else None
    whole = hospital.runs.exclude(trigger=SyncRun.Trigger.PATIENT)
    last_run = whole.exclude(status__in=[SyncRun.Status.QUEUED, SyncRun.Status.RUNNING]).first()
    return HospitalLine(
        hospital=hospital,
        # Our clock may have stepped back: nothing is fresher than fresh.
        lag_seconds=max(0, int((now - last_success_at).total_seconds())) if last_success_at else None,
        last_success_at=last_success_at,
        last_error_kind=(breaker.last_error_kind or None) if breaker else None,
        breaker=breaker.state if breaker else Breaker.State.CLOSED,
        next_due_at=due_at,
        balance=balance or Balance(),
        last_run=last_run,
        is_under_way=whole.filter(status__in=[SyncRun.Status.QUEUED, SyncRun.Status.RUNNING]).exists(),
    )


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
