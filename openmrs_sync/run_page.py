"""What the page of one run says: how it ended in words, what to do, where its time went, the runs before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from openmrs_sync import journal, overview, runs, words
from openmrs_sync.models import SyncRun
from openmrs_sync.receipts import Figures

#: Seconds after which the page of a run under way looks again.
SOON = 3
Status = SyncRun.Status
WHO = {
    SyncRun.Trigger.SCHEDULE: "by the schedule",
    SyncRun.Trigger.WATCH: "because something moved at the hospital",
    SyncRun.Trigger.ADMIN: "because an admin asked",
    SyncRun.Trigger.API: "because a program asked over the API",
    SyncRun.Trigger.COMMAND: "by a command",
    SyncRun.Trigger.PATIENT: "for one patient, because somebody asked for a fresh read",
}
PHASE_WORDS = {
    "connect": "connecting, proving the account, learning the tables",
    "look": "looking who is there and what moved",
    "read": "reading and writing",
    "finish": "tidying up, the receipt",
}
ICONS = {
    Status.OK: "normal",
    Status.QUEUED: "late",
    Status.RUNNING: "late",
    Status.BUSY: "info",
    Status.SKIPPED: "info",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`is_last`: the run failed or was stopped in it."""

    name: str
    seconds: float
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """`receipt`: of the whole hospital, at the end of the run; None: none was drawn. `before`, `after`: its runs."""

    run: SyncRun
    headline: str
    why: str
    progress: overview.Progress | None
    phases: Sequence[Phase]
    #: of the persons that the run read
    tables: Sequence[tuple[str, Figures]]
    receipt: Figures | None
    before: SyncRun | None
    after: SyncRun | None

    @property
    def is_under_way(self) -> bool:
        return self.run.status in runs.UNDER_WAY

    @property
    def is_bad(self) -> bool:
        return self.run.status in {Status.FAILED, Status.QUIET, Status.INTERRUPTED}

    @property
    def icon(self) -> str:
        if self.run.error_kind == "unreachable":
            return "unreachable"
        return ICONS.get(Status(self.run.status), "allergy")

    @property
    def total(self) -> Figures:
        total = Figures()
        for _, figures in self.tables:
            total.add(figures)
        return total

    @property
    def seconds_here(self) -> float:
        """Not spent waiting for the source. A first sync reads ahead, so that the two overlap."""
        return max(0.0, self.run.seconds - self.run.source_seconds)

    @property
    def rows_per_second(self) -> int | None:
        run = self.run
        return round(run.n_source_rows / run.seconds) if run.n_source_rows and run.seconds >= 0.1 else None


def read_page(*, run: SyncRun, now: datetime) -> RunPage:
    """In as many queries for a long history as for a short one."""
    progress = None
    if run.status in runs.UNDER_WAY and run.trigger != SyncRun.Trigger.PATIENT:
        progress = overview.under_way(now=now).get(run.hospital_id)
    before, after = _neighbours(run)
    return RunPage(
        run=run,
        headline=headline(run),
        why=WHO[SyncRun.Trigger(run.trigger)],
        progress=progress if progress and progress.run.pk == run.pk else None,
        phases=_phases(run),
        tables=_tables(run),
        receipt=Figures(**run.journal["receipt"]) if run.journal.get("receipt") else None,
        before=before,
        after=after,
    )


def headline(run: SyncRun) -> str:
    """How it went, in one line."""
    if run.status == Status.OK:
        return _changes(run)
    if run.status == Status.FAILED:
        return f"It failed: {words.error_kind(run.error_kind or 'internal')}"
    return {
        Status.QUEUED: "It waits for the worker",
        Status.RUNNING: "It is under way",
        Status.QUIET: f"It stopped: {words.error_kind('quiet')}",
        Status.BUSY: "It did nothing: another run was at work at this hospital",
        Status.SKIPPED: "It was skipped",
        Status.INTERRUPTED: "It was interrupted; nothing is lost",
    }[Status(run.status)]


def _changes(run: SyncRun) -> str:
    counts = {"new": run.n_created, "changed": run.n_updated, "withdrawn": run.n_withdrawn}
    told = [(n, word) for word, n in counts.items() if n]
    if not told:
        return "Nothing had changed"
    (n, word), *rest = told
    first = f"{n:,} {'record' if n == 1 else 'records'} {word}"
    return ", ".join([first, *(f"{n:,} {word}" for n, word in rest)])


def _phases(run: SyncRun) -> list[Phase]:
    seconds: dict[str, float] = run.journal.get("phases", {})
    reached = [name for name in journal.PHASES if name in seconds]
    is_cut = run.status in {Status.FAILED, Status.QUIET}
    return [
        Phase(name=PHASE_WORDS[name], seconds=seconds[name], is_last=is_cut and name == reached[-1]) for name in reached
    ]


def _tables(run: SyncRun) -> list[tuple[str, Figures]]:
    tables: dict[str, dict[str, int]] = run.journal.get("tables", {})
    return [(words.TABLES[table], _figures(found)) for table, found in tables.items()]


def _figures(found: Mapping[str, int]) -> Figures:
    figures = Figures(**{f"n_{name}": n for name, n in found.items()})
    figures.n_unexplained = figures.n_source - figures.n_stored - figures.n_parked - figures.n_excluded
    return figures


def _neighbours(run: SyncRun) -> tuple[SyncRun | None, SyncRun | None]:
    """The hospital's runs just before and after this one; of those begun in the same moment, by their ids."""
    mine = SyncRun.objects.filter(hospital=run.hospital_id).exclude(pk=run.pk).defer("journal")
    earlier = mine.filter(started_at__lt=run.started_at) | mine.filter(started_at=run.started_at, pk__lt=run.pk)
    later = mine.filter(started_at__gt=run.started_at) | mine.filter(started_at=run.started_at, pk__gt=run.pk)
    return earlier.order_by("-started_at", "-pk").first(), later.order_by("started_at", "pk").first()
