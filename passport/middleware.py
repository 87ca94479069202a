"""Headers that every answer carries, logins that nobody uses any more, and what would be an empty page."""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.utils import timezone

from passport import entries
from passport.audit import record_event
from passport.models import User

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


#: Django's own middleware sets some of these, but not on what is answered before it is asked: a redirect to https, a
#: static file, a host that is not ours.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Strict CSP without exceptions, and `no-store` on everything that is not a static file.

    The outermost: what another middleware answers passes here too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not request.path.startswith("/static/"):
            # The back button after a log-out must not show somebody's record.
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class IdleSessions:
    """Ends a login of the pages that nobody used for `SESSION_IDLE_MINUTES`. The view then sends to the door, which
    leads back to the page afterwards.

    What a page asks by itself (`…version`: is there something newer?) is not use: a record left open on a desk closes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> None:
        if entries.ENTRY not in request.session:
            return
        now = timezone.now()
        idle = now.timestamp() - float(request.session.get(entries.SEEN_AT, 0))
        if idle > settings.SESSION_IDLE_MINUTES * 60:
            self._close(request, now)
        elif not (request.resolver_match and str(request.resolver_match.url_name).endswith("_version")):
            entries.touch(request.session, now=now)

    def _close(self, request: HttpRequest, now: datetime) -> None:
        account = request.user if isinstance(request.user, User) else None
        entries.close_session(request.session, by="idle", now=now)
        record_event(action="login_ended", actor=account, now=now, basis="idle")
        logout(request)


class ForButtonsOnly:
    """A page for who opens an address that only takes forms: Django answers with nothing at all.

    People come there when their login ended before they pressed a button: the door leads back to where it led to.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and not response.content:
            response.content = render_to_string("405.html", request=request).encode()
        return response
