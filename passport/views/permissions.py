"""Who may see me, what they do not see, and for whom I read. Every change is a POST to an address of its own."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from passport import access, attempts, upward
from passport.access import AccessRefused, Action, emergencies, grants, hides, proxies
from passport.models import Patient, User
from passport.permission_forms import InvitationCodeForm, InviteForm, LetInForm, SensitiveForm
from passport.views import permission_words
from passport.views.lines import Pages
from passport.views.record import frame, refused
from passport.views.session import logged_in

#: Where the code of an invitation waits until it was shown, once.
SHOW_CODE = "invitation_code"
MOST_CODES = 10
CODES_WINDOW = dt.timedelta(hours=1)


@require_safe
@logged_in
def permissions(request: HttpRequest, account: User) -> HttpResponse:
    return _page(request, account)


def _page(
    request: HttpRequest,
    account: User,
    *,
    let_in: LetInForm | None = None,
    invite: InviteForm | None = None,
) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=Action.PERMISSIONS, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    patient = opened.patient
    context = frame(opened, Pages(), tab="permissions", now=now)
    context |= {
        "grants": [permission_words.grant_line(grant, now=now) for grant in grants.grants_of(patient, now=now)],
        "proxies": [
            (permission_words.proxy_line(proxy, now=now), _sensitive_form(proxy.sensitive, str(proxy.pk)))
            for proxy in proxies.proxies_for(patient, now=now)
        ],
        "emergencies": [permission_words.emergency_line(each, now=now) for each in emergencies.of(patient)],
        "n_hides": len(hides.hides_for(patient)),
        "let_in": let_in or LetInForm(hospitals=_hospitals(), initial={"term": "month"}),
        "invite": invite or InviteForm(initial={"term": "quarter"}),
        "code": request.session.pop(SHOW_CODE, ""),
    }
    is_wrong = bool((let_in and let_in.errors) or (invite and invite.errors))
    return render(request, "passport/permissions.html", context, status=400 if is_wrong else 200)


def _sensitive_form(chosen: list[str], key: str) -> SensitiveForm:
    return SensitiveForm(initial={"sensitive": chosen}, auto_id=f"id_{key}_%s")


def _hospitals() -> list[Any]:
    return list(upward.hospitals().filter(state__in=["live", "paused"]).order_by("name", "code"))


def _own(account: User) -> Patient | None:
    return Patient.objects.filter(user=account).first()


@require_POST
@logged_in
def let_in(request: HttpRequest, account: User) -> HttpResponse:
    patient, now = _own(account), timezone.now()
    if patient is None:
        return refused(request, account, patient_id=None)
    form = LetInForm(request.POST, hospitals=_hospitals())
    if not form.is_valid():
        return _page(request, account, let_in=form)
    chosen = form.cleaned_data
    try:
        grants.let_in(
            patient=patient,
            actor=account,
            hospital=form.hospitals[chosen["hospital"]],
            doctor_name=chosen["doctor"],
            ends_at=form.ends_at(now),
            now=now,
        )
    except AccessRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, account, let_in=form)
    messages.success(request, _("Done. The list below says until when."))
    return _back("permissions")


@require_POST
@logged_in
def end_grant(request: HttpRequest, account: User, grant_id: UUID) -> HttpResponse:
    patient = _own(account)
    if patient is None:
        return refused(request, account, patient_id=None)
    if grants.end_grant(patient=patient, actor=account, grant_id=grant_id, now=timezone.now()):
        messages.success(request, _("Ended. From now on this permission opens nothing."))
    return _back("permissions")


@require_POST
@logged_in
def invite(request: HttpRequest, account: User) -> HttpResponse:
    patient, now = _own(account), timezone.now()
    if patient is None:
        return refused(request, account, patient_id=None)
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _page(request, account, invite=form)
    chosen = form.cleaned_data
    try:
        _proxy, code = proxies.invite(
            patient=patient,
            actor=account,
            named=chosen["named"],
            ends_at=form.ends_at(now),
            sensitive=chosen["sensitive"],
            now=now,
        )
    except AccessRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, account, invite=form)
    request.session[SHOW_CODE] = code
    return _back("permissions")


@require_POST
@logged_in
def choose_sensitive(request: HttpRequest, account: User, proxy_id: UUID) -> HttpResponse:
    patient, form = _own(account), SensitiveForm(request.POST)
    if patient is None:
        return refused(request, account, patient_id=None)
    if form.is_valid() and proxies.choose_sensitive(
        patient=patient,
        actor=account,
        proxy_id=proxy_id,
        sensitive=form.cleaned_data["sensitive"],
        now=timezone.now(),
    ):
        messages.success(request, _("Done. It counts from their next look on."))
    return _back("permissions")


@require_POST
@logged_in
def end_proxy(request: HttpRequest, account: User, proxy_id: UUID) -> HttpResponse:
    """By the patient, or by the one who reads for them; each comes back to their own page."""
    if proxies.end_proxy(proxy_id=proxy_id, actor=account, now=timezone.now()):
        messages.success(request, _("Ended. From now on this permission opens nothing."))
    return _back("people" if request.POST.get("from") == "people" else "permissions")


@require_POST
@logged_in
def emergency_seen(request: HttpRequest, account: User, emergency_id: UUID) -> HttpResponse:
    patient = _own(account)
    if patient is None:
        return refused(request, account, patient_id=None)
    outcome = request.POST.get("outcome", "")
    emergencies.mark_seen(
        patient=patient, actor=account, emergency_id=emergency_id, outcome=outcome, now=timezone.now()
    )
    return _back("permissions")


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def people(request: HttpRequest, account: User) -> HttpResponse:
    """For whom this login reads, and where the code of an invitation is entered."""
    now = timezone.now()
    form = InvitationCodeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        limit = attempts.limit(kind="invitation", subject=str(account.pk), most=MOST_CODES, window=CODES_WINDOW)
        if not attempts.take([limit], now=now):
            form.add_error("code", _("You have tried very often. Wait an hour, then go on."))
        else:
            try:
                proxies.accept(user=account, code=form.cleaned_data["code"], now=now)
            except AccessRefused as refusal:
                form.add_error("code", str(refusal))
            else:
                return _back("people")
    found = [permission_words.person_line(proxy, now=now) for proxy in proxies.people_of(account, now=now)]
    context = {"people": found, "form": form, "has_passport": _own(account) is not None}
    return render(request, "passport/people.html", context, status=400 if form.errors else 200)


def _back(name: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse(name))
