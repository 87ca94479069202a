"""What a hospital's settings may be. One function a field: takes what was given, gives the value or says what is wrong.

Used for JSON, the environment and the admin's form alike. Text is taken for numbers and lists where it reads as one,
because the environment knows nothing else. No sentence repeats what was given: it might be a password in the wrong
field.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography import x509
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.text import slugify

from hospitals.models import TlsMode
from passport.secrets import SecretUnavailable, check_reference

_CODE = re.compile(r"[a-z0-9-]{1,50}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{2,8})*")
# Control characters; halves of a character, which JSON can hold and no database can store; and what turns the direction
# of writing or breaks lines unseen: with it one hospital could be shown under the name of another.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_NEVER_IN_PASSWORD = re.compile(r"[\0\ud800-\udfff]")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_YES = frozenset({"true", "1", "yes", "on"})
_NO = frozenset({"false", "0", "no", "off"})


class Unacceptable(ValueError):
    """This value cannot be. The message is a sentence on what is wanted, without the field's name or the value."""


def code(value: object) -> str:
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise Unacceptable("must be 1 to 50 lower-case letters, digits and dashes.")
    return value


def code_of_name(name: str) -> str:
    """A code made from the hospital's name; the empty string where the name has no letter that a code may have."""
    return slugify(name)[:50].strip("-_").replace("_", "-")


def host(value: object) -> str:
    text = _text(value, longest=255)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise Unacceptable("must be a host's name or an IP address, without port or path.") from None
    return text


def port(value: object) -> int:
    return whole_number(value, low=1, high=65535)


def name(value: object) -> str:
    return _text(value, longest=200)


def database(value: object) -> str:
    return _text(value, longest=64)


def username(value: object) -> str:
    return _text(value, longest=80)


def password(value: object) -> str:
    if not isinstance(value, str) or not value or _NEVER_IN_PASSWORD.search(value) or len(value) > 1000:
        raise Unacceptable("must be text of 1 to 1,000 characters.")
    try:
        check_reference(value)
    except SecretUnavailable as error:
        raise Unacceptable(f"is no reference that can be used. {error}") from None
    return value


def tls_mode(value: object) -> str:
    if not isinstance(value, str) or value.strip().lower() not in TlsMode.values:
        raise Unacceptable(f"must be one of {', '.join(TlsMode.values)}.")
    return value.strip().lower()


def tls_ca(value: object) -> str:
    if not isinstance(value, str):
        raise Unacceptable("must be a certificate in PEM form.")
    if value.strip():
        try:
            x509.load_pem_x509_certificates(value.encode())
        except ValueError:
            raise Unacceptable("must be a certificate in PEM form, from -----BEGIN CERTIFICATE----- on.") from None
    return value.strip()


def time_zone(value: object) -> str:
    text = _text(value, longest=64)
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unacceptable("must be a time zone such as Africa/Kigali.") from None
    return text


def locales(value: object) -> tuple[str, ...]:
    found = _texts(value, longest=20)
    if not found or not all(_LOCALE.fullmatch(one) for one in found):
        raise Unacceptable("must be a list of languages, best first, such as en, fr.")
    return found


def national_id_types(value: object) -> tuple[str, ...]:
    return _texts(value, longest=255)


def sync_interval_minutes(value: object) -> int | None:
    return None if value is None else whole_number(value, low=1, high=1440)


def sweep_hours(value: object) -> int:
    return whole_number(value, low=1, high=24 * 31)


def pace_rows_per_second(value: object) -> int | None:
    return None if value is None else whole_number(value, low=1, high=1_000_000)


def time_of_day(value: object) -> time | None:
    """`"22:00"`; a time as the store has it goes through."""
    if value is None or isinstance(value, time):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not _TIME.fullmatch(text):
        raise Unacceptable("must be a time of the day such as 22:00.")
    return time.fromisoformat(text)


def check_quiet_hours(start: time | None, end: time | None) -> None:
    """Raises Unacceptable, worded for the end."""
    if (start is None) != (end is None):
        raise Unacceptable("must be given together with quiet_from, or both left empty.")
    if start is not None and start == end:
        raise Unacceptable("must be another time than quiet_from: the hospital would never be read.")


def email(value: object) -> str:
    """One address, or "" for none."""
    text = value.strip() if isinstance(value, str) else "?"
    try:
        if text:
            validate_email(text)
    except ValidationError:
        raise Unacceptable("must be one e-mail address, such as records@hospital.example.org.") from None
    return text


def yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _YES | _NO:
        return value.strip().lower() in _YES
    raise Unacceptable("must be true or false.")


def whole_number(value: object, *, low: int, high: int) -> int:
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise Unacceptable(f"must be a whole number from {low:,} to {high:,}.")
    return int(text)


def _text(value: object, *, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > longest or _CONTROL.search(text):
        raise Unacceptable(f"must be text of 1 to {longest} characters.")
    return text


def _texts(value: object, *, longest: int) -> tuple[str, ...]:
    """A list of texts, or one text with commas between; each once, in order."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise Unacceptable("must be a list.")
    return tuple(dict.fromkeys(_text(one, longest=longest) for one in value))


#: Every key of a hospital in JSON, in the order in which it is written.
FIELDS: Mapping[str, Callable[[object], object]] = {
    "code": code,
    "name": name,
    "host": host,
    "port": port,
    "database": database,
    "username": username,
    "password": password,
    "tls_mode": tls_mode,
    "tls_ca": tls_ca,
    "time_zone": time_zone,
    "locales": locales,
    "national_id_types": national_id_types,
    "sync_interval_minutes": sync_interval_minutes,
    "sweep_hours": sweep_hours,
    "pace_rows_per_second": pace_rows_per_second,
    "quiet_from": time_of_day,
    "quiet_to": time_of_day,
    "is_watched": yes_or_no,
    "corrections_email": email,
    "is_enabled": yes_or_no,
}
