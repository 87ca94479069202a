"""One's own account: password, one-time codes, logins, how one is reached, and what one agreed to."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import segno
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp import login as otp_login

from passport import contacts, entries, letters, passwords, standing
from passport.account_forms import ChangePasswordForm, CurrentPasswordForm, EmailForm, PhoneForm, SetUpCodeForm
from passport.entries import LONGEST
from passport.forms import MarkedForm
from passport.models import Consent, Entry, Patient, User
from passport.notice_forms import NoticeForm
from passport.notices import choosing
from passport.views import credentials
from passport.views.login import begin_entry, in_fours, too_many, wrong_code
from passport.views.session import address_of, logged_in
from passport.views.words import CONSENTS, when


@require_safe
@logged_in
def account(request: HttpRequest, account: User) -> HttpResponse:
    patient = Patient.objects.filter(user=account).first()
    consent = Consent.objects.filter(patient=patient, withdrawn_at__isnull=True).first() if patient else None
    now = timezone.now()
    context = {
        "account_holder": account,
        "patient": patient,
        "consent": consent,
        "consent_day": when(consent.given_at, now=now) if consent else "",
        "consent_how": CONSENTS.get(consent.how, "") if consent else "",
        "has_codes": credentials.has_device(account),
        "must_have_codes": credentials.must_have_code(account),
        "n_spare": credentials.n_recovery_codes(account),
        "n_logins": entries.open_entries(account, now=now).count(),
    }
    return render(request, "passport/account.html", context)


# --- the password -----------------------------------------------------------------------------------------------------


@sensitive_post_parameters("current", "new", "again")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def change_password(request: HttpRequest, account: User) -> HttpResponse:
    form = ChangePasswordForm(request.POST if request.method == "POST" else None)
    status = 200
    if form.is_bound and form.is_valid():
        status = _confirm(request, account, form)
        if form.is_valid():
            try:
                passwords.set_new(
                    user=account, password=form.cleaned_data["new"], actor=account, why="changed", now=timezone.now()
                )
            except passwords.PasswordRefused as refused:
                form.add_error("new", refused.reasons)
            else:
                _stay(request, account)
                messages.success(request, _("Your password is changed. Everywhere else you are logged out."))
                return HttpResponseRedirect(reverse("account"))
    context = {"form": form, "least": passwords.shortest_for(account)}
    return render(request, "passport/change_password.html", context, status=status)


def _confirm(request: HttpRequest, account: User, form: MarkedForm) -> int:
    """Ask for the password once more: a session that was left open must not give the account away. The status."""
    try:
        credentials.confirm_password(
            account=account,
            password=form.cleaned_data["current"],
            address=address_of(request),
            now=timezone.now(),
        )
    except credentials.TooManyAttempts:
        form.add_error("current", too_many())
        return 429
    except credentials.LoginRefused:
        form.add_error("current", _("This is not your password. Check it and try again."))
    return 200


def _stay(request: HttpRequest, account: User) -> None:
    """All logins have ended, this one too; it begins anew, under another key."""
    update_session_auth_hash(request, account)
    begin_entry(request, account)


# --- one-time codes ---------------------------------------------------------------------------------------------------


@sensitive_post_parameters("current", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def set_up_codes(request: HttpRequest, account: User) -> HttpResponse:
    """A new app, in the place of the one of before if there was one."""
    device = credentials.pending_enrolment(account) if request.method == "POST" else None
    device = device or credentials.begin_enrolment(account)
    form = SetUpCodeForm(request.POST if request.method == "POST" else None)
    status = 200
    if form.is_bound and form.is_valid():
        status = _confirm(request, account, form)
        if form.is_valid():
            who = credentials.visitor(typed_name=account.username, address=address_of(request))
            try:
                codes = credentials.finish_enrolment(
                    device=device, account=account, code=form.cleaned_data["code"], who=who, now=timezone.now()
                )
            except credentials.LoginRefused as refused:
                form.add_error("code", wrong_code(refused))
            else:
                otp_login(request, device)
                return render(request, "passport/recovery_codes.html", {"codes": codes, "next": reverse("account")})
    context = {
        "form": form,
        "qr": segno.make(device.config_url, error="m").svg_data_uri(border=1),
        "secret": in_fours(device.config_url),
    }
    return render(request, "passport/set_up_codes.html", context, status=status)


@sensitive_post_parameters("current")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def renew_codes(request: HttpRequest, account: User) -> HttpResponse:
    """Fresh recovery codes, or none of this any more (`end`), for those who may go without."""
    ends = request.GET.get("end") == "1"
    if not credentials.has_device(account) or (ends and credentials.must_have_code(account)):
        raise Http404
    form = CurrentPasswordForm(request.POST if request.method == "POST" else None)
    status = 200
    if form.is_bound and form.is_valid():
        status = _confirm(request, account, form)
        if form.is_valid() and ends:
            credentials.take_devices_away(account=account, actor=account, now=timezone.now())
            messages.success(request, _("From now on your password alone opens your account."))
            return HttpResponseRedirect(reverse("account"))
        if form.is_valid():
            codes = credentials.renew_recovery_codes(account=account, now=timezone.now())
            return render(request, "passport/recovery_codes.html", {"codes": codes, "next": reverse("account")})
    return render(request, "passport/renew_codes.html", {"form": form, "ends": ends}, status=status)


# --- logins -----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def logins(request: HttpRequest, account: User) -> HttpResponse:
    """Where one is logged in, and was; each can be ended, and all at once."""
    now = timezone.now()
    if request.method == "POST":
        if request.POST.get("which") == "all":
            entries.end_all(user=account, actor=account, why="owner", now=now)
            _stay(request, account)
            messages.success(request, _("Everywhere else you are logged out."))
        elif not _end_one(request, account):
            messages.info(request, _("This login had ended before."))
        return HttpResponseRedirect(reverse("account_logins"))
    here = request.session.get(entries.ENTRY)
    context = {
        "open": [_shown(each, now=now, here=here) for each in entries.open_entries(account, now=now)],
        "past": [_shown(each, now=now, here=here) for each in entries.past_entries(account, now=now)],
    }
    return render(request, "passport/logins.html", context)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLogin:
    """A login in words."""

    id: str
    what: str
    place: str
    began: str
    seen: str
    is_here: bool
    ended: str


#: `Entry.ended_by` → why it is over.
ENDS: dict[str, Any] = {
    "owner": gettext_lazy("you ended it"),
    "admin": gettext_lazy("an administrator ended it"),
    "idle": gettext_lazy("nobody used it for a while"),
    "password": gettext_lazy("the password was changed"),
    "reuse": gettext_lazy("a token of it was used twice"),
    "merge": gettext_lazy("two passports were joined"),
    "closed": gettext_lazy("the account was closed"),
}


def _shown(entry: Entry, *, now: dt.datetime, here: str | None) -> ShownLogin:
    places = {
        "": _("an unknown place"),
        "loopback": _("this machine"),
        "private": _("the network of the house"),
    }
    kind = _("a program") if entry.kind == Entry.Kind.API else _("a browser")
    is_over = entry.ended_at is not None or now - entry.seen_at > LONGEST
    return ShownLogin(
        id=str(entry.pk),
        what=entry.device or kind,
        place=places.get(entry.place) or _("an address that begins with %(start)s") % {"start": entry.place},
        began=when(entry.started_at, now=now),
        seen=when(entry.seen_at, now=now),
        is_here=str(entry.pk) == here,
        ended=str(ENDS.get(entry.ended_by, _("it ran out"))) if is_over else "",
    )


def _end_one(request: HttpRequest, account: User) -> bool:
    try:
        entry_id = UUID(request.POST.get("which", ""))
    except ValueError:
        return False
    return entries.end(user=account, entry_id=entry_id, actor=account, now=timezone.now())


# --- how one is reached -----------------------------------------------------------------------------------------------


@sensitive_post_parameters("current", "email", "phone")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def contact(request: HttpRequest, account: User) -> HttpResponse:
    known = contacts.contact_of(account)
    is_phone, is_email = "save_phone" in request.POST, "save_email" in request.POST
    phone = PhoneForm(request.POST if is_phone else None, initial={"phone": known.phone})
    email = EmailForm(request.POST if is_email else None, initial={"email": known.email})
    status = 200
    if is_phone and phone.is_valid():
        contacts.set_phone(user=account, phone=phone.cleaned_data["phone"], now=timezone.now())
        messages.success(request, _("Your telephone number is kept."))
        return HttpResponseRedirect(reverse("account_contact"))
    if is_email and email.is_valid():
        status = _confirm(request, account, email)
        if email.is_valid():
            secret = contacts.ask_to_change_email(user=account, email=email.cleaned_data["email"], now=timezone.now())
            link = request.build_absolute_uri(reverse("account_address", args=[secret]))
            contacts.send_proof(to=email.cleaned_data["email"], link=link)
            messages.info(request, _("We have sent a letter to the new address. Open the link in it within a day."))
            return HttpResponseRedirect(reverse("account_contact"))
    context = {"phone": phone, "email": email, "can_send": letters.can_send(), "known": known}
    context["notices"] = _notices(account)
    return render(request, "passport/contact.html", context, status=status)


def _notices(account: User) -> NoticeForm | None:
    """The choice of notices: of patients, where any are sent."""
    if not choosing.ways() or not Patient.objects.filter(user=account).exists():
        return None
    chosen = choosing.chosen_by(account)
    return NoticeForm(user=account, initial={"by": chosen.by if chosen else ""})


@require_safe
@logged_in
def prove_address(request: HttpRequest, account: User, secret: str) -> HttpResponse:
    """The link of the letter. A GET that changes: it does nothing but what its owner, logged in, asked for before."""
    try:
        contacts.confirm_email(user=account, secret=secret, now=timezone.now())
    except contacts.ContactRefused:
        messages.error(request, _("This link is no longer good. Ask for a new one here."))
    else:
        messages.success(request, _("The new address is yours, and is used from now on."))
    return HttpResponseRedirect(reverse("account_contact"))


# --- what one agreed to -----------------------------------------------------------------------------------------------


@require_POST
@logged_in
def consent(request: HttpRequest, account: User) -> HttpResponse:
    patient = Patient.objects.filter(user=account).first()
    if patient is None:
        raise Http404
    now = timezone.now()
    try:
        if request.POST.get("what") == "withdraw":
            standing.withdraw_consent(patient=patient, actor=account, now=now)
            messages.success(request, _("From now on no doctor can read your record here."))
        else:
            standing.record_consent(patient=patient, how=Consent.How.ONLINE, actor=account, now=now)
            messages.success(request, _("Your agreement is recorded. Thank you."))
    except standing.StandingRefused as refused:
        messages.info(request, str(refused))
    return HttpResponseRedirect(reverse("account"))
