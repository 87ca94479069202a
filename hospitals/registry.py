"""The verbs on a hospital. Each is one transaction: the change, and its row in the audit.

Admin, loading and the API all come through here, so that a number is given once, a change that alters how rows are
rendered or matched makes every link stale (`config_version`), and a password cannot be sent to another server.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time

from django.db import IntegrityError, transaction
from django.db.models import Max

from hospitals import readiness, validation
from hospitals.models import Hospital, HospitalState, TlsMode
from passport.audit import record_event
from passport.models import User
from passport.secrets import SecretUnavailable, is_reference, open_sealed, seal

# Whoever may edit a hospital could point it at a server of their own and read the password there.
NEEDS_PASSWORD = frozenset({"host", "port", "username", "tls_mode", "tls_ca"})
# What decides how a row is shown or whom it belongs to.
ALTERS_RECORDS = frozenset({"time_zone", "locales", "national_id_types"})
REACHES_ELSEWHERE = NEEDS_PASSWORD | {"database", "password"}


class HospitalRefused(Exception):
    """The change is not made. The message says why and what to do."""


class PasswordNeeded(HospitalRefused):
    """Where the password is sent would change, so it must be given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalSettings:
    """Validated settings. `password`: the text or a reference; None keeps the one that is stored."""

    code: str
    name: str
    host: str
    database: str
    username: str
    port: int = 3306
    password: str | None = None
    tls_mode: str = TlsMode.VERIFIED
    tls_ca: str = ""
    time_zone: str = "UTC"
    locales: tuple[str, ...] = ("en",)
    national_id_types: tuple[str, ...] = ()
    sync_interval_minutes: int | None = None
    sweep_hours: int = 24
    pace_rows_per_second: int | None = None
    quiet_from: time | None = None
    quiet_to: time | None = None
    is_watched: bool = True
    corrections_email: str = ""


@transaction.atomic
def create_hospital(
    *,
    wanted: HospitalSettings,
    actor: User | None,
    now: datetime,
    state: HospitalState = HospitalState.DRAFT,
) -> Hospital:
    """Register a hospital under the next number.

    Raises HospitalRefused when the code is taken or half of the quiet hours is missing;
    passport.secrets.SecretUnavailable for a bad reference.
    """
    _check_quiet_hours(wanted)
    if Hospital.objects.filter(code=wanted.code).exists():
        raise HospitalRefused("There is a hospital with this code already. Choose another code.")
    # Hospitals are retired and never deleted, so the highest number is the last one given.
    last = Hospital.objects.aggregate(last=Max("number"))["last"] or 0
    sealed = seal(wanted.password or "")
    try:
        with transaction.atomic():
            hospital = Hospital.objects.create(**_columns(wanted), number=last + 1, state=state, password_sealed=sealed)
    except IntegrityError:
        raise HospitalRefused("Somebody else added a hospital at the same moment. Try again.") from None
    record_event(
        action="hospital_created",
        actor=actor,
        now=now,
        hospital_id=hospital.pk,
        details={"state": state.value},
    )
    return hospital


@transaction.atomic
def change_hospital(
    *, hospital: Hospital, wanted: HospitalSettings, actor: User | None, now: datetime
) -> tuple[str, ...]:
    """Make the hospital's settings equal to `wanted`; return the names of the fields that changed.

    A tested hospital that is now reached elsewhere or otherwise is a draft again.
    Raises PasswordNeeded; HospitalRefused when the code is another or half of the quiet hours is missing;
    passport.secrets.SecretUnavailable.
    """
    _check_quiet_hours(wanted)
    hospital.refresh_from_db(from_queryset=Hospital.objects.select_for_update())
    if wanted.code != hospital.code:
        raise HospitalRefused("A hospital's code never changes: other systems know it by the code.")
    columns = _columns(wanted)
    changed = {name for name, value in columns.items() if getattr(hospital, name) != value}
    check_password_given(changed=changed, password=wanted.password, hospital=hospital)
    if wanted.password is not None and not _is_stored(hospital, wanted.password):
        columns["password_sealed"] = seal(wanted.password)
        changed.add("password")
    if not changed:
        return ()
    if "national_id_types" in changed:
        known: dict[str, str] = hospital.national_id_type_uuids
        columns["national_id_type_uuids"] = {
            given: uuid for given, uuid in known.items() if given in wanted.national_id_types
        }
    if changed & ALTERS_RECORDS:
        columns["config_version"] = hospital.config_version + 1
    if changed & REACHES_ELSEWHERE and hospital.state == HospitalState.TESTED:
        columns["state"] = HospitalState.DRAFT
    _store(hospital, columns)
    names = tuple(sorted(changed))
    record_event(
        action="hospital_changed",
        actor=actor,
        now=now,
        hospital_id=hospital.pk,
        details={"fields": list(names)},
    )
    return names


def check_password_given(*, changed: Collection[str], password: str | None, hospital: Hospital) -> None:
    """Raises PasswordNeeded when the stored password would go where it was not meant to go."""
    moved = NEEDS_PASSWORD & set(changed)
    if moved and password is None and hospital.password_sealed:
        raise PasswordNeeded(
            f"Give the password again, because {', '.join(sorted(moved))} changed: "
            "the stored one is sent only where it was meant for."
        )


def _check_quiet_hours(wanted: HospitalSettings) -> None:
    try:
        validation.check_quiet_hours(wanted.quiet_from, wanted.quiet_to)
    except validation.Unacceptable as error:
        raise HospitalRefused(f"quiet_to {error}") from None


def mark_tested(*, hospital: Hospital, actor: User | None, now: datetime) -> bool:
    """draft → tested, after a test that passed. Returns whether it moved."""
    return _move(hospital, {HospitalState.DRAFT}, HospitalState.TESTED, "hospital_passed_its_test", actor, now)


def resume_hospital(*, hospital: Hospital, actor: User | None, now: datetime) -> None:
    """tested or paused → live, when nothing is missing.  Raises HospitalRefused."""
    hospital.refresh_from_db()
    before = {HospitalState.TESTED, HospitalState.PAUSED}
    if hospital.state in before and (why_not := readiness.missing(hospital)):
        raise HospitalRefused(why_not)
    if not _move(hospital, before, HospitalState.LIVE, "hospital_resumed", actor, now):
        raise HospitalRefused(
            "Only a tested or paused hospital can go live. Test the connection first; a retired one is paused first."
        )


def pause_hospital(*, hospital: Hospital, actor: User | None, now: datetime) -> None:
    """live → paused; a retired one comes back as paused.  Raises HospitalRefused."""
    if not _move(
        hospital, {HospitalState.LIVE, HospitalState.RETIRED}, HospitalState.PAUSED, "hospital_paused", actor, now
    ):
        raise HospitalRefused("Only a live or retired hospital can be paused.")


def retire_hospital(*, hospital: Hospital, actor: User | None, now: datetime) -> None:
    """Any state but retired → retired: never contacted again, its records stay.  Raises HospitalRefused."""
    before = set(HospitalState) - {HospitalState.RETIRED}
    if not _move(hospital, before, HospitalState.RETIRED, "hospital_retired", actor, now):
        raise HospitalRefused("This hospital is retired already.")


def enable_hospital(*, hospital: Hospital, is_enabled: bool, actor: User | None, now: datetime) -> bool:
    """What `is_enabled` in a file asks for: live or paused, from any state but retired. Returns whether it moved.

    Raises HospitalRefused for a draft or tested one that lacks something: in the admin somebody is on the way with it.
    A paused one goes live on the file's word alone: its first look proves account and types before anything is read.
    """
    hospital.refresh_from_db()
    is_on_its_way = hospital.state in {HospitalState.DRAFT, HospitalState.TESTED}
    if is_enabled and is_on_its_way and (why_not := readiness.missing(hospital)):
        raise HospitalRefused(why_not)
    target = HospitalState.LIVE if is_enabled else HospitalState.PAUSED
    before = set(HospitalState) - {HospitalState.RETIRED, target}
    action = "hospital_resumed" if is_enabled else "hospital_paused"
    return _move(hospital, before, target, action, actor, now)


@transaction.atomic
def _move(
    hospital: Hospital,
    before: Collection[HospitalState],
    after: HospitalState,
    action: str,
    actor: User | None,
    now: datetime,
) -> bool:
    if not Hospital.objects.filter(pk=hospital.pk, state__in=list(before)).update(state=after):
        return False
    hospital.state = after
    record_event(action=action, actor=actor, now=now, hospital_id=hospital.pk)
    return True


def _is_stored(hospital: Hospital, password: str) -> bool:
    """Whether this is the password there is: loading the same file at every start is no change."""
    stored = hospital.password_sealed
    if is_reference(password) or is_reference(stored):
        return stored == password
    try:
        return open_sealed(stored) == password
    except SecretUnavailable:  # sealed with a lost key: whatever is given is new
        return False


def _columns(wanted: HospitalSettings) -> dict[str, object]:
    """The settings as the model keeps them; the password is not among them."""
    columns = {field.name: getattr(wanted, field.name) for field in fields(wanted) if field.name != "password"}
    columns["locales"] = list(wanted.locales)
    columns["national_id_types"] = list(wanted.national_id_types)
    columns["tls_ca"] = wanted.tls_ca.strip()
    return columns


def _store(hospital: Hospital, columns: Mapping[str, object]) -> None:
    for name, value in columns.items():
        setattr(hospital, name, value)
    hospital.save(update_fields=list(columns))
