"""What makes a password acceptable, and how one is changed. After NIST SP 800-63B: length, and not a known one.

No rules about kinds of characters, no expiry, every character allowed, spaces too; up to 128 of them. How long: 15
where the password is the only thing that is asked for, 8 where a one-time code stands beside it.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_otp import devices_for_user

from passport import entries
from passport.audit import record_event
from passport.models import User

LONGEST = 128
#: Words that stand on our own pages: the first that somebody would try.
OUR_WORDS = ("patientpassport", "passport", "patient", "openmrs", "hospital", "password", "medical", "health")
#: What may stand around such a word without making it another password.
_FILLING = re.compile(r"[\W_\d]+")


class PasswordRefused(ValueError):
    """The password cannot be used. `reasons` are whole sentences that do not repeat it."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__(" ".join(reasons))


class LengthValidator:
    """Long enough for the company it keeps, and not so long that hashing it is an attack."""

    def validate(self, password: str, user: Any = None) -> None:
        least = shortest_for(user)
        if len(password) < least:
            raise ValidationError(
                ngettext(
                    "The password needs at least %(n)d character. Several words are easy to remember.",
                    "The password needs at least %(n)d characters. Several words are easy to remember.",
                    least,
                )
                % {"n": least},
                code="password_too_short",
            )
        if len(password) > LONGEST:
            raise ValidationError(
                _("The password can have at most %(n)d characters.") % {"n": LONGEST}, code="password_too_long"
            )

    def get_help_text(self) -> str:
        return _("At least %(n)d characters. Several words are easy to remember.") % {
            "n": settings.PASSWORD_ONLY_MIN_LENGTH
        }


class ContextValidator:
    """Not what everybody here would try first: our own name, one's own name, number or birthday, one repeated thing."""

    def validate(self, password: str, user: Any = None) -> None:
        letters = _FILLING.sub("", unicodedata.normalize("NFKC", password).casefold())
        digits = re.sub(r"\D", "", password)
        if len(set(password)) < 3 or letters in OUR_WORDS or _is_a_sequence(password):
            raise ValidationError(_("This password is too easy to guess. Choose another."), code="password_too_common")
        plain = re.sub(r"[\W_]+", "", password.casefold())
        for known in _known_of(user):
            if known and (plain == known or (digits and digits == known) or _is_only_this(plain, known)):
                raise ValidationError(
                    _("This password is what others know about you. Choose another."), code="password_too_similar"
                )

    def get_help_text(self) -> str:
        return _("Not your name, number or birthday, and none that many people use.")


def _is_a_sequence(password: str) -> bool:
    """`abcdefgh`, `87654321`, and pieces that are repeated: `abcabcabc`."""
    steps = {ord(after) - ord(before) for before, after in pairwise(password)}
    if len(steps) == 1 and steps <= {1, -1}:
        return True
    # a text that repeats itself is found in its double before its own length
    period = (password + password).find(password, 1)
    return period <= 4 and period < len(password)


def _is_only_this(plain: str, known: str) -> bool:
    """Whether little more than the known thing is there."""
    return len(known) >= 4 and known in plain and len(plain) - len(known) <= 4


def _known_of(user: Any) -> Iterator[str]:
    """What others know of this account's owner, in small letters and digits only."""
    if user is None:
        return
    names = [user.username, user.first_name, user.last_name, user.email.partition("@")[0]]
    patient = getattr(user, "patient", None) if user.pk else None
    if patient is not None and patient.pk:
        names += [patient.given_name, patient.family_name, patient.full_name, patient.email.partition("@")[0]]
        names += [patient.phone, *patient.identifiers.values_list("number", flat=True)]
        if patient.birth_date:
            names += [f"{patient.birth_date:{form}}" for form in ("%Y%m%d", "%d%m%Y", "%m%d%Y", "%d%m%y", "%y%m%d")]
    for name in names:
        yield re.sub(r"[\W_]+", "", str(name).casefold())


def shortest_for(user: Any) -> int:
    """Characters that this account's password needs: fewer where a one-time code is asked for beside it."""
    return settings.PASSWORD_MIN_LENGTH if _has_second_factor(user) else settings.PASSWORD_ONLY_MIN_LENGTH


def _has_second_factor(user: Any) -> bool:
    if not isinstance(user, User):
        return False
    if settings.REQUIRE_TOTP and (user.is_staff or user.is_doctor or user.is_admin):
        return True
    return not user._state.adding and any(True for _device in devices_for_user(user, confirmed=True))


def check(password: str, *, user: User | None) -> None:
    """Raises PasswordRefused."""
    if any("\ud800" <= char <= "\udfff" for char in password):
        raise PasswordRefused([_("The password cannot be read. Type it again.")])
    try:
        validate_password(unicodedata.normalize("NFKC", password), user=user)
    except ValidationError as error:
        raise PasswordRefused(list(error.messages)) from None


@transaction.atomic
def set_new(*, user: User, password: str, actor: User | None, why: str, now: dt.datetime) -> None:
    """Give the account another password; every session and token of before ends. Raises PasswordRefused.

    `why`: changed, forgotten, claimed: stands in the audit row.
    """
    check(password, user=user)
    user.set_password(password)
    user.save(update_fields=["password"])
    record_event(action="password_changed", actor=actor, now=now, basis=why, details={"account": user.pk})
    entries.end_all(user=user, actor=actor, why="password", now=now)
