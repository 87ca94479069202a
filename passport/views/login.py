"""The door: password, one-time code where one is due, enrolment of the app that shows it, log-out."""

from dataclasses import asdict

import segno
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp import login as otp_login
from django_otp.models import Device

from passport import audit, entries
from passport.forms import CodeForm, LoginForm
from passport.models import Entry, User
from passport.views import credentials, record
from passport.views.session import ENTERED, account_of, address_of, origin_of

PENDING = "pending_login"
PENDING_SECONDS = 10 * 60
BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password", "name")
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """`/`: the door for strangers, then each role's first page."""
    if request.method == "POST":
        return _log_in(request)
    account = account_of(request)
    if account is None:
        form = LoginForm(initial={"next": _safe_next(request, request.GET.get("next", ""))})
        return render(request, "passport/login.html", {"form": form})
    if account.is_admin or account.is_doctor:
        return HttpResponseRedirect(_first_page(account))
    return record.overview(request)


def _log_in(request: HttpRequest) -> HttpResponse:
    form = LoginForm(request.POST)
    if not form.is_valid():
        return _door(request, form, refusal="")
    typed = form.cleaned_data["name"]
    who = credentials.visitor(typed_name=typed, address=address_of(request))
    try:
        account = credentials.check_password(
            typed_name=typed, password=form.cleaned_data["password"], who=who, now=timezone.now()
        )
    except credentials.TooManyAttempts:
        return _door(request, form, refusal=too_many(), status=429)
    except credentials.LoginRefused:
        return _door(request, form, refusal=_("This name and password do not fit together. Check both and try again."))
    return go_on(request, account, who, _safe_next(request, form.cleaned_data["next"]))


def go_on(request: HttpRequest, account: User, who: credentials.Visitor, back: str) -> HttpResponse:
    """After the password, or what stands for it: ask for the code where one is due, else come in."""
    if credentials.has_device(account):
        return _ask_more(request, account, who, back, step="log_in_code")
    if credentials.must_have_code(account):
        credentials.begin_enrolment(account)
        return _ask_more(request, account, who, back, step="log_in_enrol")
    return _enter(request, account, who, back)


def _door(request: HttpRequest, form: LoginForm, *, refusal: str, status: int = 200) -> HttpResponse:
    return render(request, "passport/login.html", {"form": form, "refusal": refusal}, status=status)


def too_many() -> str:
    return _("There were too many failed attempts. Wait a quarter of an hour, then try again.")


def _safe_next(request: HttpRequest, target: str) -> str:
    is_ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if target and is_ours else ""


def _first_page(account: User) -> str:
    if account.is_admin:
        return reverse("admin:index")
    return reverse("find_patient") if account.is_doctor else reverse("home")


# --- after the password -----------------------------------------------------------------------------------------------


def _ask_more(request: HttpRequest, account: User, who: credentials.Visitor, back: str, *, step: str) -> HttpResponse:
    """Remember that the password was right, in a new session that is nobody's yet."""
    request.session.flush()
    request.session[PENDING] = {
        "account": str(account.pk),
        "at": timezone.now().timestamp(),
        "next": back,
        "step": step,
        "who": asdict(who),
    }
    return HttpResponseRedirect(reverse(step))


def _pending(request: HttpRequest, *, step: str) -> tuple[User, credentials.Visitor, str] | None:
    """The account whose password was right less than ten minutes ago, and what goes with it."""
    found = request.session.get(PENDING)
    if not found or found["step"] != step or timezone.now().timestamp() - found["at"] > PENDING_SECONDS:
        return None
    account = User.objects.filter(pk=found["account"], is_active=True).first()
    return (account, credentials.Visitor(**found["who"]), found["next"]) if account else None


@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    pending = _pending(request, step="log_in_code")
    if pending is None:
        return HttpResponseRedirect(reverse("home"))
    account, who, back = pending
    form = CodeForm(request.POST if request.method == "POST" else None)
    refusal = ""
    if form.is_bound and form.is_valid():
        try:
            device = credentials.check_code(
                account=account, code=form.cleaned_data["code"], who=who, now=timezone.now()
            )
        except credentials.LoginRefused as refused:
            refusal = wrong_code(refused)
        else:
            return _enter(request, account, who, back, device=device)
    return render(request, "passport/code.html", {"form": form, "refusal": refusal})


@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    pending = _pending(request, step="log_in_enrol")
    device = credentials.pending_enrolment(pending[0]) if pending else None
    if pending is None or device is None:
        return HttpResponseRedirect(reverse("home"))
    account, who, back = pending
    form = CodeForm(request.POST if request.method == "POST" else None)
    refusal = ""
    if form.is_bound and form.is_valid():
        try:
            codes = credentials.finish_enrolment(
                device=device, account=account, code=form.cleaned_data["code"], who=who, now=timezone.now()
            )
        except credentials.LoginRefused as refused:
            refusal = wrong_code(refused)
        else:
            _enter(request, account, who, back, device=device)
            target = back or _first_page(account)
            return render(request, "passport/recovery_codes.html", {"codes": codes, "next": target})
    context = {
        "form": form,
        "refusal": refusal,
        "qr": segno.make(device.config_url, error="m").svg_data_uri(border=1),
        "secret": in_fours(device.config_url),
    }
    return render(request, "passport/enrol.html", context)


def in_fours(config_url: str) -> str:
    secret = config_url.split("secret=", 1)[1].split("&", 1)[0]
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def wrong_code(refused: credentials.LoginRefused) -> str:
    if isinstance(refused, credentials.TooManyAttempts):
        return too_many()
    return _("This code is not right, or it is too old. Wait for the next one and type it again.")


def _enter(
    request: HttpRequest, account: User, who: credentials.Visitor, back: str, *, device: Device | None = None
) -> HttpResponse:
    """Log in, in a session of its own: whoever knew the old session's key has nothing."""
    request.session.flush()
    login(request, account, backend=BACKEND)
    if device is not None:
        otp_login(request, device)
    request.session[ENTERED] = True
    begin_entry(request, account)
    credentials.forget_failures(who, account)
    audit.record_event(action="login", actor=account, now=timezone.now(), basis="code" if device else "password")
    return HttpResponseRedirect(back or _first_page(account))


def begin_entry(request: HttpRequest, account: User) -> None:
    """Put this session on the list of the account's logins, under the key by which it can be ended."""
    request.session.save()  # now it has one
    now = timezone.now()
    entry = entries.begin(
        user=account,
        kind=Entry.Kind.PAGE,
        key=request.session.session_key or "",
        origin=origin_of(request),
        now=now,
    )
    request.session[entries.ENTRY] = str(entry.pk)
    request.session[entries.SEEN_AT] = now.timestamp()


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    account = request.user if isinstance(request.user, User) else None
    if account is not None:
        entries.close_session(request.session, by="owner", now=timezone.now())
        audit.record_event(action="logout", actor=account, now=timezone.now())
    logout(request)
    return HttpResponseRedirect(reverse("logged_out" if account else "home"))


@require_safe
def logged_out(request: HttpRequest) -> HttpResponse:
    return render(request, "passport/logged_out.html")
