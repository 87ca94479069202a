"""The API's door: the same as the page's, in the words of HTTP."""

import datetime as dt

from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from passport.api.problems import OtpRequired, TotpNotEnrolled
from passport.audit import record_event
from passport.models import User
from passport.views import credentials
from passport.views.session import address_of

WRONG = "This name and password, or the one-time code, do not fit together."


def check_login(
    *, request: Request, username: str, password: str, now: dt.datetime, otp: str = ""
) -> tuple[User, bool]:
    """The account, and whether it gave a one-time code.

    Raises AuthenticationFailed (401), OtpRequired (401), TotpNotEnrolled (403), Throttled (429).
    """
    who = credentials.visitor(typed_name=username, address=address_of(request._request))
    try:
        user = credentials.check_password(typed_name=username, password=password, who=who, now=now)
        has_code = _check_second_factor(user=user, otp=otp, who=who, now=now)
    except credentials.TooManyAttempts:
        raise Throttled(wait=credentials.WINDOW_SECONDS) from None
    except credentials.LoginRefused:
        raise AuthenticationFailed(WRONG, code="login-failed") from None
    credentials.forget_failures(who, user)
    record_event(action="login", actor=user, now=now, basis="code" if has_code else "password", details={"via": "api"})
    return user, has_code


def _check_second_factor(*, user: User, otp: str, who: credentials.Visitor, now: dt.datetime) -> bool:
    """Whether a code was due, and right. Who has a device is always asked: a factor that is not asked is none."""
    if credentials.has_device(user):
        if not otp:
            raise OtpRequired
        credentials.check_code(account=user, code=otp, who=who, now=now)
        return True
    if credentials.must_have_code(user):
        record_event(action="login_failed", actor=user, now=now, basis="no_device")
        raise TotpNotEnrolled
    return False
