"""What a human should know: seen with every tick, told once when it begins and once when it is over.

    look    compares what is so now with the alerts that are open, and opens and ends
    tell    tells what is not told yet, at the places of ALERT_TO

An alert holds counts and kinds of errors; what it means and what to do is in docs/operations.md, under its kind.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Sum

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, pace, peers, queue
from openmrs_sync.models import Alert, Breaker, ReceiptDay
from passport.audit import record_event
from passport.models import Link
from passport.models.links import LinkState
from passport.places import NotTold, tell

log = logging.getLogger(__name__)

Kind = Alert.Kind
#: A hospital is silent after so many intervals without a look that succeeded, and not before so long.
SILENT_INTERVALS, SILENT_AT_LEAST = 3, timedelta(minutes=30)
#: Parked rows grow when there are so many more, and by so much, than at the end of an earlier day of the last week.
PARKED_MORE, PARKED_FACTOR = 10, 1.1
#: The disk is nearly full below the smaller of these: bytes, and a part of the whole.
DISK_BYTES, DISK_PART = 2 * 1024**3, 0.05
#: After a failed try to tell: 1, 2, 4 … minutes, at most an hour.
LONGEST_WAIT = timedelta(hours=1)
#: Errors by which the hospital's account has changed what it may do.
GRANTS = {"writable_account", "quiet"}
#: Errors that end with the next try, if they end at all; the others wait for a human.
PASSING = {"unreachable", "internal", "busy", ""}

#: kind → (when it begins, what to do first)
WORDS = {
    Kind.SILENT: ("was not read for a long time", "Look at its last run; test the connection."),
    Kind.BREAKER: (
        "cannot be reached",
        "It is tried again by itself, less and less often. Ask whoever runs its server.",
    ),
    Kind.STOPPED: ("is stopped until somebody decides", "Open its page in admin: the last run says what to do."),
    Kind.GRANTS: (
        "lets our account do or see something else than before",
        "Show its DBA the GRANT script on its page, and test the connection.",
    ),
    Kind.UNEXPLAINED: (
        "has rows that are neither stored, parked nor excluded",
        "Open its certificate. They are read again by themselves; if they stay, report it.",
    ),
    Kind.PARKED: ("has more and more rows that cannot be stored", "Look at the parked rows by reason."),
    Kind.WORKER: ("No worker is at work: nothing is read", "Start it: python manage.py work."),
    Kind.DISK: ("The disk is nearly full", "Make room, or nothing new can be stored."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is so now. `hospital` None: it is ours, of one machine where `machine` names one."""

    kind: Kind
    hospital: Hospital | None = None
    machine: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.hospital.pk if self.hospital else self.machine}"[:60]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    n_began: int
    n_ended: int
    n_to_tell: int


def look(*, now: datetime) -> Looked:
    """Open what began and end what is over. Two looks at once open one alert."""
    found = {condition.key: condition for condition in conditions(now=now)}
    is_open = {alert.open_key: alert for alert in Alert.objects.filter(ended_at=None)}
    n_began = sum(_begin(condition, now=now) for key, condition in found.items() if key not in is_open)
    elsewhere = peers.machines_at_work() - {peers.machine()}
    over = [
        alert for key, alert in is_open.items() if key not in found and alert.details.get("machine") not in elsewhere
    ]
    n_ended = sum(_end(alert, now=now) for alert in over)
    return Looked(n_began=n_began, n_ended=n_ended, n_to_tell=to_tell(now=now).count())


def conditions(*, now: datetime) -> Iterator[Condition]:
    """Everything that is so now."""
    interval = control.read_control().interval_minutes
    unexplained = _unexplained()
    live = Hospital.objects.filter(state=HospitalState.LIVE).select_related("breaker").order_by("number")
    for hospital in live:
        breaker: Breaker | None = getattr(hospital, "breaker", None)
        if breaker is not None:
            yield from _of_breaker(hospital, breaker, interval=interval, now=now)
        if n_rows := unexplained.get(hospital.pk):
            yield Condition(kind=Kind.UNEXPLAINED, hospital=hospital, details={"n_unexplained": n_rows})
        yield from _of_parked(hospital, now=now)
    if control.read_control().is_running and live and not queue.is_worker_alive(now=now):
        yield Condition(kind=Kind.WORKER)
    yield from _of_disk(Path(settings.VAR_DIR))


def _of_breaker(hospital: Hospital, breaker: Breaker, *, interval: int, now: datetime) -> Iterator[Condition]:
    kind = breaker.last_error_kind or ""
    details = {"error_kind": kind}
    if kind in GRANTS:
        yield Condition(kind=Kind.GRANTS, hospital=hospital, details=details)
    elif kind not in PASSING:
        yield Condition(kind=Kind.STOPPED, hospital=hospital, details=details)
    elif breaker.state != Breaker.State.CLOSED:
        yield Condition(kind=Kind.BREAKER, hospital=hospital, details=details)
    minutes = hospital.sync_interval_minutes or interval
    patience = max(SILENT_INTERVALS * timedelta(minutes=minutes), SILENT_AT_LEAST)
    is_asked = control.read_control().is_running and pace.quiet_until(hospital=hospital, now=now) is None
    if is_asked and breaker.last_success_at is not None and now - breaker.last_success_at > patience:
        yield Condition(kind=Kind.SILENT, hospital=hospital, details=details)


def _of_parked(hospital: Hospital, *, now: datetime) -> Iterator[Condition]:
    days = list(
        ReceiptDay.objects.filter(hospital=hospital, read_at__gte=now - timedelta(days=7))
        .order_by("-day")
        .values_list("n_parked", flat=True)
    )
    if len(days) < 2:
        return
    newest, least = days[0], min(days[1:])
    if newest > least + PARKED_MORE and newest > least * PARKED_FACTOR:
        yield Condition(kind=Kind.PARKED, hospital=hospital, details={"n_parked": newest, "n_before": least})


def _of_disk(folder: Path) -> Iterator[Condition]:
    disk = shutil.disk_usage(folder)
    if disk.free < min(DISK_BYTES, disk.total * DISK_PART):
        # Each machine sees its own only.
        details = {"free_mb": disk.free // 1024**2, "machine": peers.machine()}
        yield Condition(kind=Kind.DISK, machine=peers.machine(), details=details)


def _unexplained() -> dict[object, int]:
    sums = (
        Link.objects.filter(~Q(n_unexplained=0), state=LinkState.LINKED, epoch=F("hospital__epoch"))
        .values_list("hospital_id")
        .annotate(n=Sum("n_unexplained"))
    )
    return dict(sums)


def _begin(condition: Condition, *, now: datetime) -> bool:
    try:
        with transaction.atomic():
            Alert.objects.create(
                kind=condition.kind,
                hospital=condition.hospital,
                open_key=condition.key,
                details=dict(condition.details),
                began_at=now,
            )
            _record("alert_began", condition.kind, condition.hospital, now=now)
    except IntegrityError:
        return False  # somebody else's look was faster
    log.warning("alert began: %s hospital=%s", condition.kind, condition.hospital.pk if condition.hospital else None)
    return True


def _end(alert: Alert, *, now: datetime) -> bool:
    with transaction.atomic():
        ended = Alert.objects.filter(pk=alert.pk, ended_at=None).update(
            ended_at=now, open_key=None, n_tries=0, next_tell_at=None
        )
        if ended:
            _record("alert_ended", alert.kind, alert.hospital, now=now)
    return bool(ended)


def _record(action: str, kind: str, hospital: Hospital | None, *, now: datetime) -> None:
    hospital_id = hospital.pk if hospital else None
    record_event(action=action, actor=None, now=now, hospital_id=hospital_id, details={"kind": str(kind)})


# ----------------------------------------------------------------------------------------- telling


def to_tell(*, now: datetime) -> QuerySet[Alert]:
    """Alerts whose beginning or end is still to be told and whose turn it is. Nothing while there is no place."""
    if not settings.ALERT_TO:
        return Alert.objects.none()
    is_new = Q(told_at=None)
    is_over = Q(ended_at__isnull=False, told_end_at=None)
    is_turn = Q(next_tell_at=None) | Q(next_tell_at__lte=now)
    return Alert.objects.filter(is_new | is_over, is_turn).select_related("hospital").order_by("began_at")


def tell_all(*, now: datetime) -> int:
    """Tell everything that waits; how many alerts were told. What fails is tried again later, for as long as it takes.

    Told at least once: a worker that dies after telling and before noting it tells again.
    """
    n_told = 0
    for alert in to_tell(now=now):
        is_over = alert.ended_at is not None
        try:
            for place in settings.ALERT_TO:
                tell(
                    place,
                    setting="ALERT_TO",
                    subject=_subject(alert, is_over=is_over),
                    text=_text(alert, is_over=is_over),
                    body=_body(alert, is_over=is_over),
                )
        except NotTold as error:
            wait = min(timedelta(minutes=2 ** min(alert.n_tries, 10)), LONGEST_WAIT)
            Alert.objects.filter(pk=alert.pk).update(n_tries=F("n_tries") + 1, next_tell_at=now + wait)
            log.error("An alert was not told. %s", error)  # noqa: TRY400 - its sentence says all
            continue
        done = {"told_at": alert.told_at or now, "n_tries": 0, "next_tell_at": None}
        Alert.objects.filter(pk=alert.pk).update(**done | ({"told_end_at": now} if is_over else {}))
        n_told += 1
    return n_told


def title(alert: Alert) -> str:
    """One line: whose and what."""
    words = WORDS[Kind(alert.kind)][0]
    return f"{alert.hospital.name} {words}" if alert.hospital else words


def _subject(alert: Alert, *, is_over: bool) -> str:
    # A hospital's name is typed by an admin; a line's end in a subject would be a second header.
    return " ".join(f"Patient Passport: {'over: ' if is_over else ''}{title(alert)}".split())


def _text(alert: Alert, *, is_over: bool) -> str:
    lines = [title(alert) + "."]
    if is_over:
        lines += [f"This is over since {alert.ended_at:%Y-%m-%d %H:%M} UTC."]
    else:
        lines += [f"What to do: {WORDS[Kind(alert.kind)][1]}"]
    lines += [f"It began {alert.began_at:%Y-%m-%d %H:%M} UTC."]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in sorted(alert.details.items()) if value != ""]
    lines += [f"More: docs/operations.md, alert “{alert.kind}”."]
    return "\n".join(lines)


def _body(alert: Alert, *, is_over: bool) -> str:
    return json.dumps(
        {
            "alert": alert.kind,
            "state": "over" if is_over else "begun",
            "hospital": alert.hospital.code if alert.hospital else None,
            "began_at": alert.began_at.isoformat(),
            "ended_at": alert.ended_at.isoformat() if alert.ended_at else None,
            "details": alert.details,
        },
        sort_keys=True,
    )
