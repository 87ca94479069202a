"""Who may come in without passing the door again."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from passport import entries
from passport.models import User
from passport.views import credentials

#: Set by our own log-in, which asks for the code where one is due. The admin's log-in does not set it.
ENTERED = "entered_through_the_door"

P = ParamSpec("P")


def account_of(request: HttpRequest) -> User | None:
    """The account that is logged in and owes no code; None for everyone else."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return None
    is_verified = bool(getattr(user, "is_verified", lambda: False)())
    if is_verified:
        return user
    if credentials.must_have_code(user):
        return None
    if request.session.get(ENTERED) or not credentials.has_device(user):
        return user
    return None


def logged_in(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Passes the account to the view; anyone else goes to the door and comes back here afterwards."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        account = account_of(request)
        if account is None:
            if request.user.is_authenticated:
                logout(request)  # half a log-in is none
            back = {"next": request.get_full_path()} if request.method == "GET" else {}
            return HttpResponseRedirect(reverse("home") + (f"?{urlencode(back)}" if back else ""))
        return view(request, account, *args, **kwargs)

    return guarded


def origin_of(request: HttpRequest) -> entries.Origin:
    """From where and with what, as coarse as the list of logins keeps it."""
    return entries.origin(address=address_of(request), user_agent=request.headers.get("User-Agent", ""))


def address_of(request: HttpRequest) -> str:
    """Where the request came from. Behind our own proxy: the last hop it wrote down, which nobody else can forge."""
    if settings.SECURE_PROXY_SSL_HEADER and (hops := request.headers.get("X-Forwarded-For")):
        return hops.rsplit(",", 1)[-1].strip()
    return str(request.META.get("REMOTE_ADDR", ""))
