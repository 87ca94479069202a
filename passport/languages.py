"""In which language a page speaks: the account's choice, then this browser's choice, then what the browser prefers.

The admin's pages and the API speak English: theirs are words of the field that stand in manuals and logs.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

ENGLISH_ONLY = ("/admin/", "/api/")


class Language:
    """After Django's LocaleMiddleware, which follows the cookie and the browser, and after the log-in is known."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "")
        if request.path.startswith(ENGLISH_ONLY):
            chosen = "en"
        if chosen in dict(settings.LANGUAGES):
            translation.activate(chosen)
            request.LANGUAGE_CODE = chosen
        return self.get_response(request)
