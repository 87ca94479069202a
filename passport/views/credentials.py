"""Who stands at the door. Knows no HTTP: takes what was typed, gives an account or a refusal that tells nothing.

An unknown name, a wrong password and a closed account cost the same work and get the same answer. Tries are counted
per typed name, per account and per address, under keyed hashes, in the database that all processes share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet
from django_otp import devices_for_user, match_token
from django_otp.models import Device
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import attempts, audit
from passport.models import PatientIdentifier, RecoveryCode, RecoveryDevice, User
from passport.registration import normalise_national_id

WINDOW_SECONDS = 15 * 60
WINDOW = timedelta(seconds=WINDOW_SECONDS)
MAX_FAILURES_PER_NAME = 8
MAX_FAILURES_PER_ADDRESS = 60
N_RECOVERY_CODES = 8


class LoginRefused(Exception):
    """The name and password, or the code, do not open an account."""


class TooManyAttempts(LoginRefused):
    """Too many failures for this name, this account or from this address; the password was not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """What was typed as a name and where it came from, as the two keys under which failures are counted."""

    name_key: str
    address_key: str

    @property
    def limits(self) -> Sequence[attempts.Limit]:
        return (
            attempts.Limit(key=self.name_key, most=MAX_FAILURES_PER_NAME, window=WINDOW),
            attempts.Limit(key=self.address_key, most=MAX_FAILURES_PER_ADDRESS, window=WINDOW),
        )


def visitor(*, typed_name: str, address: str) -> Visitor:
    return Visitor(
        name_key=attempts.hidden_key("login-name", normalise_national_id(typed_name) or typed_name.strip().casefold()),
        address_key=attempts.hidden_key("login-address", attempts.network(address)),
    )


def _account_limit(account: User | None, who: Visitor) -> attempts.Limit:
    """However the name was spelled. Nobody's name counts under itself once more, so that both cost the same."""
    subject = str(account.pk) if account else who.name_key
    return attempts.limit(kind="login-account", subject=subject, most=MAX_FAILURES_PER_NAME, window=WINDOW)


def forget_failures(who: Visitor, account: User) -> None:
    """After a login. The address keeps its count: one good login must not pay for guesses at others."""
    attempts.forget([who.name_key, _account_limit(account, who).key])


def check_password(*, typed_name: str, password: str, who: Visitor, now: datetime) -> User:
    """The account of this name (a username or a National ID) and password.

    Raises TooManyAttempts, LoginRefused. Each refusal is audited, with the account where there is one.
    """
    account = account_of_name(typed_name)
    limits = [*who.limits, _account_limit(account, who)]
    if not attempts.take(limits, now=now):
        audit.record_event(action="login_failed", actor=None, now=now, basis="throttled")
        raise TooManyAttempts
    if account is None:
        User().set_password(password)  # costs what a check costs, so that the time says nothing
        is_right = False
    else:
        is_right = account.check_password(password) and account.is_active
    if account is None or not is_right:
        audit.record_event(action="login_failed", actor=account, now=now, basis="password")
        raise LoginRefused
    attempts.give_back(limits)
    return account


def confirm_password(*, account: User, password: str, address: str, now: datetime) -> None:
    """The password once more, from somebody who is logged in. Raises TooManyAttempts, LoginRefused."""
    who = visitor(typed_name=account.username, address=address)
    limits = [*who.limits, _account_limit(account, who)]
    if not attempts.take(limits, now=now):
        audit.record_event(action="password_not_confirmed", actor=account, now=now, basis="throttled")
        raise TooManyAttempts
    if not account.check_password(password):
        audit.record_event(action="password_not_confirmed", actor=account, now=now, basis="password")
        raise LoginRefused
    attempts.give_back(limits)


def reset_limits(who: Visitor) -> Sequence[attempts.Limit]:
    """So often may somebody say that they forgot this password, and so often from one address."""
    return (
        attempts.Limit(key=f"reset-{who.name_key}"[:64], most=3, window=timedelta(hours=1)),
        attempts.Limit(key=f"reset-{who.address_key}"[:64], most=20, window=timedelta(hours=1)),
    )


def account_of_name(typed_name: str) -> User | None:
    """By username or by National ID. Having found an account is no right to it."""
    by_name = User.objects.filter(username=typed_name.strip()).first()
    # Asked in any case: an account found by its name must not be faster than one found by its number.
    number = normalise_national_id(typed_name)
    by_number = PatientIdentifier.objects.select_related("patient__user").filter(number=number or "-").first()
    return by_name or (by_number.patient.user if by_number else None)


# --- the second factor ------------------------------------------------------------------------------------------------


def must_have_code(account: User) -> bool:
    """Staff and doctors, where the settings say so."""
    return bool(settings.REQUIRE_TOTP and (account.is_staff or account.is_doctor or account.is_admin))


def has_device(account: User) -> bool:
    return any(True for _ in devices_for_user(account, confirmed=True))


def check_code(*, account: User, code: str, who: Visitor, now: datetime) -> Device:
    """The device that this code is from. Raises TooManyAttempts, LoginRefused."""
    limits = _take_code_try(account=account, who=who, now=now)
    device = match_token(account, code)
    if device is not None and account.is_active:
        attempts.give_back(limits)
        return device
    audit.record_event(action="login_failed", actor=account, now=now, basis="code")
    raise TooManyAttempts if attempts.is_used_up(limits, now=now) else LoginRefused


def _take_code_try(*, account: User, who: Visitor, now: datetime) -> Sequence[attempts.Limit]:
    limits = [*who.limits, _account_limit(account, who)]
    if not attempts.take(limits, now=now):
        audit.record_event(action="login_failed", actor=account, now=now, basis="throttled")
        raise TooManyAttempts
    return limits


def begin_enrolment(account: User) -> TOTPDevice:
    """A fresh secret, not yet valid: an old half-finished one may have been seen by somebody."""
    TOTPDevice.objects.filter(user=account, confirmed=False).delete()
    return TOTPDevice.objects.create(user=account, name="app", confirmed=False)


def pending_enrolment(account: User) -> TOTPDevice | None:
    return TOTPDevice.objects.filter(user=account, confirmed=False).first()


def finish_enrolment(*, device: TOTPDevice, account: User, code: str, who: Visitor, now: datetime) -> list[str]:
    """Make the device valid; return the recovery codes, which are shown once. Raises TooManyAttempts, LoginRefused."""
    limits = _take_code_try(account=account, who=who, now=now)
    codes: list[str] = []
    with transaction.atomic():
        mine = TOTPDevice.objects.select_for_update().filter(pk=device.pk, confirmed=False).first()
        if mine is not None and mine.verify_token(code):
            mine.confirmed = True
            mine.save(update_fields=["confirmed"])
            TOTPDevice.objects.filter(user=account).exclude(pk=mine.pk).delete()  # one phone: the new one
            codes = make_recovery_codes(account)
            audit.record_event(action="code_enrolled", actor=account, now=now)
    if not codes:
        audit.record_event(action="login_failed", actor=account, now=now, basis="code")
        raise TooManyAttempts if attempts.is_used_up(limits, now=now) else LoginRefused
    attempts.give_back(limits)
    return codes


def make_recovery_codes(account: User) -> list[str]:
    """Fresh ones, each good once, told here and never again; those of before are good no more."""
    codes = [RecoveryDevice.random_code() for _ in range(N_RECOVERY_CODES)]
    hashes = [make_password(code) for code in codes]
    RecoveryDevice.objects.filter(user=account).delete()
    spare = RecoveryDevice.objects.create(user=account, name="recovery codes")
    RecoveryCode.objects.bulk_create([RecoveryCode(device=spare, code_hash=code_hash) for code_hash in hashes])
    return codes


def n_recovery_codes(account: User) -> int:
    """How many are left."""
    return int(RecoveryCode.objects.filter(device__user=account).count())


def renew_recovery_codes(*, account: User, now: datetime) -> list[str]:
    with transaction.atomic():
        codes = make_recovery_codes(account)
        audit.record_event(action="recovery_codes_renewed", actor=account, now=now)
    return codes


def take_devices_away(*, account: User, actor: User, now: datetime) -> int:
    """The phone is lost, or its owner wants no codes any more: app and recovery codes are gone. Returns how many.

    Whoever must have a code sets up a new one at the next login. Audited, with whose it was.
    """
    with transaction.atomic():
        n_gone = 0
        for kind in (TOTPDevice, RecoveryDevice):
            devices: QuerySet[Device] = kind.objects.filter(user=account)
            n_gone += len(devices)
            devices.delete()
        audit.record_event(
            action="code_devices_removed", actor=actor, now=now, details={"account": account.pk, "devices": n_gone}
        )
    return n_gone
