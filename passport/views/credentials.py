"""Who stands at the door. Knows no HTTP: takes what was typed, gives an account or a refusal that tells nothing.

An unknown name, a wrong password and a closed account cost the same work and get the same answer. Failures are counted
per typed name and per address, under keyed hashes: a National ID is not left behind in the cache.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django_otp import devices_for_user, match_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import audit
from passport.models import PatientIdentifier, User
from passport.registration import normalise_national_id

log = logging.getLogger(__name__)

WINDOW_SECONDS = 15 * 60
MAX_FAILURES_PER_NAME = 8
MAX_FAILURES_PER_ADDRESS = 60
N_RECOVERY_CODES = 8


class LoginRefused(Exception):
    """The name and password, or the code, do not open an account."""


class TooManyAttempts(LoginRefused):
    """Too many failures for this name or from this address; the password was not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """What was typed as a name and where it came from, as the two cache keys under which failures are counted."""

    name_key: str
    address_key: str


def visitor(*, typed_name: str, address: str) -> Visitor:
    return Visitor(
        name_key=_cache_key("name", typed_name.strip().casefold()),
        address_key=_cache_key("address", address),
    )


def _cache_key(kind: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16)
    return f"login:{kind}:{digest.hexdigest()}"


def is_throttled(who: Visitor) -> bool:
    counts = cache.get_many([who.name_key, who.address_key])
    by_name, by_address = int(counts.get(who.name_key, 0)), int(counts.get(who.address_key, 0))
    return by_name >= MAX_FAILURES_PER_NAME or by_address >= MAX_FAILURES_PER_ADDRESS


def count_failure(who: Visitor) -> None:
    for key in (who.name_key, who.address_key):
        if not cache.add(key, 1, WINDOW_SECONDS):
            try:
                cache.incr(key)
            except ValueError:  # it ran out between the two calls
                cache.set(key, 1, WINDOW_SECONDS)


def forget_failures(who: Visitor) -> None:
    """After a login. The address keeps its count: one good login must not pay for guesses at others."""
    cache.delete(who.name_key)


def check_password(*, typed_name: str, password: str, who: Visitor, now: datetime) -> User:
    """The account of this name (a username or a National ID) and password.

    Raises TooManyAttempts, LoginRefused. Each refusal is audited, with the account where there is one.
    """
    if is_throttled(who):
        audit.record_event(action="login_failed", actor=None, now=now, basis="throttled")
        raise TooManyAttempts
    account = _account_of(typed_name)
    if account is None:
        User().set_password(password)  # costs what a check costs, so that the time says nothing
        is_right = False
    else:
        is_right = account.check_password(password) and account.is_active
    if account is None or not is_right:
        count_failure(who)
        audit.record_event(action="login_failed", actor=account, now=now, basis="password")
        raise LoginRefused
    return account


def _account_of(typed_name: str) -> User | None:
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
    device = None if is_throttled(who) else match_token(account, code)
    if device is not None and account.is_active:
        return device
    count_failure(who)
    audit.record_event(action="login_failed", actor=account, now=now, basis="code")
    raise TooManyAttempts if is_throttled(who) else LoginRefused


def begin_enrolment(account: User) -> TOTPDevice:
    """A fresh secret, not yet valid: an old half-finished one may have been seen by somebody."""
    TOTPDevice.objects.filter(user=account, confirmed=False).delete()
    return TOTPDevice.objects.create(user=account, name="app", confirmed=False)


def pending_enrolment(account: User) -> TOTPDevice | None:
    return TOTPDevice.objects.filter(user=account, confirmed=False).first()


def finish_enrolment(*, device: TOTPDevice, account: User, code: str, who: Visitor, now: datetime) -> list[str]:
    """Make the device valid; return the recovery codes, which are shown once. Raises TooManyAttempts, LoginRefused."""
    if is_throttled(who) or not device.verify_token(code):
        count_failure(who)
        audit.record_event(action="login_failed", actor=account, now=now, basis="code")
        raise TooManyAttempts if is_throttled(who) else LoginRefused
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    StaticDevice.objects.filter(user=account).delete()
    spare = StaticDevice.objects.create(user=account, name="recovery codes")
    codes = [StaticToken.random_token() for _ in range(N_RECOVERY_CODES)]
    StaticToken.objects.bulk_create([StaticToken(device=spare, token=code) for code in codes])
    audit.record_event(action="code_enrolled", actor=account, now=now)
    return codes
