"""Refresh tokens: made at login, used once, and the end of their whole family when one is used twice.

A family is what descends from one login. Whoever uses a token that was used before holds a stolen copy, or its owner
does: nobody can tell, so both are out. Two honest uses at once look just the same and end the family too: a client
refreshes in one place, and logs in again when it was beaten to it. (Grace for the second would be grace for a thief.)
A new password ends all families, and so do "log out everywhere" and a role that asks for a one-time code where the
login had none. Ending one login ends its access tokens as well, at the next request.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import cast

from django.db import transaction
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token

from passport import entries
from passport.audit import record_event
from passport.models import Entry, User
from passport.views import credentials

FAMILY = "family"
#: A digest of the account's password as it was at the login.
AS_OF = "as_of"
#: Whether the login had a one-time code.
CODE = "code"


class TokenRefused(Exception):
    """Not ours, too old, used before, or its account is closed."""

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer good. Log in again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    access: str
    refresh: str


def issue(*, user: User, now: dt.datetime, has_code: bool = False, origin: entries.Origin = entries.NOWHERE) -> Pair:
    """The first pair of a new family. Also the moment of the last login."""
    token = RefreshToken()
    token["user_id"] = str(user.pk)
    token[FAMILY] = uuid.uuid4().hex
    token[AS_OF] = user.get_session_auth_hash()
    token[CODE] = has_code
    token.outstand()
    User.objects.filter(pk=user.pk).update(last_login=now)
    entries.begin(user=user, kind=Entry.Kind.API, key=token[FAMILY], origin=origin, now=now)
    return Pair(access=str(token.access_token), refresh=str(token))


def fits(*, token: Token, user: User) -> bool:
    """Whether the account still has the password and stamp of the token's login, which nobody ended, and asks for no
    code that the login lacked.
    """
    is_same_password = constant_time_compare(str(token.get(AS_OF, "")), user.get_session_auth_hash())
    has_code = token.get(CODE) is True or not credentials.must_have_code(user)
    return is_same_password and has_code and entries.is_family_open(token.get(FAMILY))


def rotate(*, refresh: str, now: dt.datetime) -> Pair:
    """A new pair for a token that was not used before. Raises TokenRefused; a second use ends the family."""
    token = _read(refresh)
    with transaction.atomic():
        user = _owner(token)
        is_first_use = _spend(token)
        if is_first_use and user is not None:
            token.set_jti()
            token.set_exp()
            token.set_iat()
            token.outstand()
            entries.touch_family(token[FAMILY], now=now)
            return Pair(access=str(token.access_token), refresh=str(token))
        n_ended = _end_family(token, by="reuse" if not is_first_use else "refused", now=now)
        if not is_first_use:
            record_event(
                action="refresh_token_reused", actor=user, now=now, basis="refused", details={"ended": n_ended}
            )
    # After the commit: the family stays ended although the request fails.
    raise TokenRefused


def end(*, refresh: str, now: dt.datetime) -> None:
    """Log out: this token and its family are spent. One that is no longer good is fine: there is nothing to end."""
    try:
        token = _read(refresh)
    except TokenRefused:
        return
    with transaction.atomic():
        user = _owner(token)
        if _spend(token):
            record_event(action="logout", actor=user, now=now, details={"via": "api"})
        _end_family(token, by="owner", now=now)


class _AnyRefreshToken(RefreshToken):
    """One whose earlier use is no error yet: it is what we look for."""

    def check_blacklist(self) -> None:
        """Leave it to `_spend`, which decides and writes in one step."""


def _read(refresh: str) -> RefreshToken:
    try:
        return _AnyRefreshToken(_raw(refresh))
    except TokenError:
        raise TokenRefused from None


def _raw(text: str) -> Token:
    """What the constructor takes: its annotation says Token and means the text."""
    return cast("Token", text)


def _owner(token: RefreshToken) -> User | None:
    user = User.objects.filter(pk=token.get("user_id"), is_active=True).first()
    return user if user is not None and fits(token=token, user=user) else None


def _spend(token: RefreshToken) -> bool:
    """Use the token up; False when it was used before. The unique key decides between two at once."""
    _, is_first_use = cast("tuple[BlacklistedToken, bool]", token.blacklist())
    return is_first_use


def _end_family(token: RefreshToken, *, by: str, now: dt.datetime) -> int:
    """Spend every token that descends from the same login; returns how many were still good."""
    entries.close_family(str(token.get(FAMILY)), by=by, now=now)
    n_ended = 0
    outstanding = OutstandingToken.objects.filter(user_id=token.get("user_id"), blacklistedtoken__isnull=True)
    for other in outstanding:
        if RefreshToken(_raw(other.token), verify=False).get(FAMILY) == token.get(FAMILY):
            BlacklistedToken.objects.get_or_create(token=other)
            n_ended += 1
    return n_ended
