"""What the sync page says: what needs somebody, sorted by harm, and the last runs of a hospital as a strip."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse

from openmrs_sync import alerts, overview, words
from openmrs_sync.models import Alert, SyncRun

#: Seconds after which the page looks again: while something runs, and while nothing does.
SOON, LATER = 4, 20

Kind = Alert.Kind
#: What harms most comes first: what is wrong and shown, then what is missing, then what is late.
HARM = (
    *(Kind.UNEXPLAINED, Kind.GRANTS, Kind.STOPPED, Kind.WORKER),
    *(Kind.DISK, Kind.SILENT, Kind.BREAKER, Kind.PARKED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that waits for a human: what is so, what to do, and where. `address` may be empty."""

    what: str
    to_do: str
    address: str


def needs(seen: overview.Overview) -> list[Need]:
    """Alerts, unexplained rows, emergencies to review, held matches, parked rows …; those that harm most first."""
    ordered = sorted(seen.alerts, key=lambda alert: (HARM.index(Kind(alert.kind)), alert.began_at))
    return [
        *(_of_alert(alert) for alert in ordered),
        *_unexplained(seen),
        *_to_review(seen),
        *_failing(seen),
        *_held(seen),
        *_untold(seen),
        *_parked(seen),
    ]


def _of_alert(alert: Alert) -> Need:
    hospital = alert.hospital_id
    address = {
        Kind.UNEXPLAINED: "admin:openmrs_sync_certificate",
        Kind.GRANTS: "admin:hospitals_hospital_change",
        Kind.STOPPED: "admin:hospitals_hospital_change",
        Kind.SILENT: "admin:hospitals_hospital_change",
        Kind.BREAKER: "admin:hospitals_hospital_change",
    }.get(Kind(alert.kind))
    if alert.kind == Kind.PARKED:
        to = f"{reverse('admin:openmrs_sync_parkedrow_changelist')}?hospital__id__exact={hospital}"
    elif address and hospital:
        to = reverse(address, args=[hospital])
    else:
        to = reverse("admin:openmrs_sync_alert_changelist")
    return Need(what=alerts.title(alert), to_do=alerts.WORDS[Kind(alert.kind)][1], address=to)


def _unexplained(seen: overview.Overview) -> Iterator[Need]:
    told = {alert.hospital_id for alert in seen.alerts if alert.kind == Kind.UNEXPLAINED}
    for line in seen.lines:
        if line.balance.n_unexplained and line.hospital.pk not in told:
            yield Need(
                what=f"{_n(abs(line.balance.n_unexplained), 'unexplained row')} at {line.hospital.name}",
                to_do="Open its certificate and count afresh.",
                address=reverse("admin:openmrs_sync_certificate", args=[line.hospital.pk]),
            )


def _failing(seen: overview.Overview) -> Iterator[Need]:
    """Hospitals whose last try failed and of which no alert tells yet."""
    told = {alert.hospital_id for alert in seen.alerts}
    for line in seen.lines:
        if line.hospital.is_live and line.last_error_kind and line.hospital.pk not in told:
            yield Need(
                what=f"{line.hospital.name} is not read: {words.error_kind(line.last_error_kind)}",
                to_do=line.last_run.message if line.last_run else "",
                address=reverse("admin:hospitals_hospital_change", args=[line.hospital.pk]),
            )


def _to_review(seen: overview.Overview) -> Iterator[Need]:
    if seen.n_to_review:
        yield Need(
            what=_n(seen.n_to_review, "emergency to review", "emergencies to review"),
            to_do="A doctor opened a record with a written reason. Patients were promised that an officer looks at it.",
            address=f"{reverse('admin:passport_emergencyaccess_changelist')}?review=open",
        )


def _untold(seen: overview.Overview) -> Iterator[Need]:
    if seen.n_untold:
        yield Need(
            what=_n(seen.n_untold, "correction asked for", "corrections asked for"),
            to_do="No mail told the hospital. Export the list and hand it over, or give the hospital an address.",
            address=f"{reverse('admin:passport_correctionrequest_changelist')}?state=asked",
        )


def _held(seen: overview.Overview) -> Iterator[Need]:
    if seen.n_held:
        yield Need(
            what=_n(seen.n_held, "held match", "held matches"),
            to_do="Say whether it is the same human: until then the patient does not see what is recorded there.",
            address=f"{reverse('admin:passport_link_changelist')}?state__exact=held",
        )


def _parked(seen: overview.Overview) -> Iterator[Need]:
    if seen.n_parked:
        yield Need(
            what=_n(seen.n_parked, "parked row"),
            to_do=f"No record could be made of {'it' if seen.n_parked == 1 else 'them'}: see why, by reason.",
            address=reverse("admin:openmrs_sync_parkedrow_changelist"),
        )


def _n(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# --- the strip of runs ----------------------------------------------------------------------------------------------

STEP, HEIGHT = 8, 22
#: How a run ended → (class of its bar, its word)
ENDS = {
    SyncRun.Status.OK: ("ok", "well"),
    SyncRun.Status.QUIET: ("failed", "quiet"),
    SyncRun.Status.FAILED: ("failed", "failed"),
    SyncRun.Status.INTERRUPTED: ("failed", "interrupted"),
    SyncRun.Status.BUSY: ("skipped", "busy"),
    SyncRun.Status.SKIPPED: ("skipped", "skipped"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One run as a bar: highest when it failed, low when there was nothing to do: its height says it, not colour."""

    x: int
    y: int
    height: int
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    ticks: list[Tick]
    width: int
    words: str


def strip(line: overview.HospitalLine) -> Strip:
    """The last runs, the newest at the right. Whole numbers, so that no language puts a comma into them."""
    ticks = []
    for number, run in enumerate(line.runs):
        name, word = ENDS[SyncRun.Status(run.status)]
        height = {"ok": HEIGHT - 8, "failed": HEIGHT, "skipped": 4}[name]
        n_changed = run.n_created + run.n_updated + run.n_withdrawn
        said = f"{run.started_at:%Y-%m-%d %H:%M} UTC: {word}"
        if name == "ok":
            said += f", {n_changed:,} changed"
        elif run.error_kind:
            said += f", {words.error_kind(run.error_kind)}"
        ticks.append(Tick(x=number * STEP, y=HEIGHT - height, height=height, name=name, words=said))
    return Strip(ticks=ticks, width=overview.N_RUNS * STEP, words=_summary(line))


def _summary(line: overview.HospitalLine) -> str:
    n_bad = sum(ENDS[SyncRun.Status(run.status)][0] == "failed" for run in line.runs)
    if not line.runs:
        return "No run yet"
    of = f"the last {len(line.runs)} runs" if len(line.runs) > 1 else "the only run"
    if not n_bad:
        return f"{of[0].upper()}{of[1:]} went well" if len(line.runs) > 1 else "The only run went well"
    return f"{n_bad} of {of} failed" if len(line.runs) > 1 else "The only run failed"
