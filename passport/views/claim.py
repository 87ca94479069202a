"""Without a log-in: taking one's passport with a code from the desk, and a forgotten password."""

import datetime as dt
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from passport import attempts, claiming, contacts, letters, passwords, standing
from passport.account_forms import ClaimForm, ClaimPasswordForm, ForgottenForm, NewPasswordForm
from passport.models import OneTimeCode, User
from passport.views import credentials
from passport.views.login import go_on
from passport.views.session import address_of

PROVED, PROVED_SECONDS = "proved_code", 15 * 60
RESET = "reset_link"
NOBODY = UUID(int=0)


# --- taking one's passport --------------------------------------------------------------------------------------------


@sensitive_post_parameters("national_id", "birth_date", "code")
@require_http_methods(["GET", "HEAD", "POST"])
def claim(request: HttpRequest) -> HttpResponse:
    form = ClaimForm(request.POST if request.method == "POST" else None)
    refusal, status = "", 200
    if form.is_bound and form.is_valid():
        now = timezone.now()
        try:
            code = claiming.prove(**form.cleaned_data, address=address_of(request), now=now)
        except claiming.TooManyClaims:
            refusal, status = _("There were too many tries. Wait an hour, then try again."), 429
        except claiming.ClaimRefused:
            refusal = _(
                "These do not fit together, or the code is no longer good. Check all three; "
                "a new code can be had at the hospital's desk."
            )
        else:
            # a session of its own: whoever knew the key of the one before has nothing
            request.session.flush()
            request.session[PROVED] = {"code": str(code.pk), "at": now.timestamp()}
            return HttpResponseRedirect(reverse("claim_password"))
    return render(request, "passport/claim.html", {"form": form, "refusal": refusal}, status=status)


@sensitive_post_parameters("new", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def claim_password(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    code = _proved(request, now=now)
    if code is None:
        return HttpResponseRedirect(reverse("claim"))
    form = ClaimPasswordForm(request.POST if request.method == "POST" else None)
    asks_consent = not standing.has_consent(code.patient)
    form.fields["consents"].required = asks_consent and settings.REQUIRE_CONSENT
    if form.is_bound and form.is_valid():
        try:
            account = claiming.take(
                code_id=code.pk, password=form.cleaned_data["new"], consents=form.cleaned_data["consents"], now=now
            )
        except passwords.PasswordRefused as refused:
            form.add_error("new", refused.reasons)
        except claiming.ClaimRefused:
            return HttpResponseRedirect(reverse("claim"))
        else:
            who = credentials.visitor(typed_name=account.username, address=address_of(request))
            return go_on(request, account, who, "")
    least = passwords.shortest_for(code.patient.user)
    context = {"form": form, "least": least, "asks_consent": asks_consent, "is_new": code.patient.user_id is None}
    return render(request, "passport/claim_password.html", context)


def _proved(request: HttpRequest, *, now: dt.datetime) -> OneTimeCode | None:
    """The code that was proved in this session, less than a quarter of an hour ago."""
    found = request.session.get(PROVED)
    if not found or not 0 <= now.timestamp() - found["at"] <= PROVED_SECONDS:
        return None
    return claiming.open_code(code_id=UUID(found["code"]), now=now)


# --- a forgotten password ---------------------------------------------------------------------------------------------


@sensitive_post_parameters("name")
@sensitive_variables("account")
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """The same answer and the same work whether or not there is such an account, and whether it has an address."""
    form = ForgottenForm(request.POST if request.method == "POST" else None)
    context = {"form": form, "can_send": letters.can_send(), "is_asked": False}
    if form.is_bound and form.is_valid():
        now, name = timezone.now(), form.cleaned_data["name"]
        who = credentials.visitor(typed_name=name, address=address_of(request))
        if not attempts.take(credentials.reset_limits(who), now=now):
            return render(request, "passport/forgotten.html", {**context, "is_throttled": True}, status=429)
        account = credentials.account_of_name(name)
        asked = account or User(id=NOBODY, password="!")  # noqa: S106 - of nobody
        token = contacts.reset_tokens.make_token(asked)
        link = request.build_absolute_uri(reverse("reset_link", args=[asked.pk, token]))
        contacts.send_reset(account=account, link=link, now=now)
        context["is_asked"] = True
    return render(request, "passport/forgotten.html", context)


@require_safe
def reset_link(request: HttpRequest, account_id: UUID, token: str) -> HttpResponse:
    """Out of the address at once: nothing that opens an account stays in a history or a referrer."""
    request.session.flush()
    request.session[RESET] = {"account": str(account_id), "token": token[:100]}
    return HttpResponseRedirect(reverse("reset_password"))


@sensitive_post_parameters("new", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def reset_password(request: HttpRequest) -> HttpResponse:
    found = request.session.get(RESET)
    account = User.objects.filter(pk=found["account"], is_active=True).first() if found else None
    if found is None or account is None or not contacts.reset_tokens.check_token(account, found["token"]):
        return render(request, "passport/reset_password.html", {"is_used_up": True}, status=410)
    form = NewPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            contacts.reset(user=account, token=found["token"], password=form.cleaned_data["new"], now=timezone.now())
        except passwords.PasswordRefused as refused:
            form.add_error("new", refused.reasons)
        except contacts.ContactRefused:
            return render(request, "passport/reset_password.html", {"is_used_up": True}, status=410)
        else:
            # logged in by the door alone: a letter is no second factor
            request.session.flush()
            return render(request, "passport/reset_password.html", {"is_done": True})
    context = {"form": form, "least": passwords.shortest_for(account)}
    return render(request, "passport/reset_password.html", context)
