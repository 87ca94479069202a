"""The choice of a language, at the foot of every page."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from passport.views.session import account_of


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep it in this browser, and with the account for its other ones; back to the page, if that is one of ours."""
    language, back = request.POST.get("language", ""), request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    answer = HttpResponseRedirect(back if is_ours else "/")
    if language not in dict(settings.LANGUAGES):
        return answer
    if account := account_of(request):
        account.language = language
        account.save(update_fields=["language"])
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
    return answer
