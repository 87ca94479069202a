"""The patient's pages about what they give out; and the page and addresses where somebody opens it."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import segno
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from passport import access, attempts, fhir, history
from passport.access import AccessRefused, hides
from passport.models import Patient, Share, User
from passport.secrets import SecretUnavailable, open_sealed, seal
from passport.share_forms import ShareForm
from passport.sharing import content, links, opening, shares
from passport.views import lines, share_words
from passport.views.lines import Pages
from passport.views.plain import dose_words
from passport.views.pressures import measured_lines
from passport.views.record import frame, refused
from passport.views.session import address_of, logged_in

#: Of the audit row of the patient's own pages about shares.
READ = "shares_read"
#: Which share this login has just made, and its passcode, sealed: shown for a while, never again.
NEW_SHARE = "new_share"
SHOWN_FOR = dt.timedelta(minutes=10)
#: Tries of one network, and at one share, whatever comes of them.
MOST_OF_NETWORK, MOST_OF_SHARE = 40, 60
TRIES_WINDOW = dt.timedelta(minutes=10)
LONGEST_BODY = 4096


# --- the patient ------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def share(request: HttpRequest, account: User) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=READ, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    form = ShareForm(request.POST if request.method == "POST" else None, hospitals=hides.hospitals_of(opened.scope))
    preview: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        if "make" in request.POST:
            made = _make(request, account, opened.patient, form, now=now)
            if made is not None:
                return made
        else:
            preview = _preview(opened.patient, form, now=now)
    context = frame(opened, Pages(), tab="share", now=now)
    context |= {"form": form, "preview": preview, "shares": _listed(opened.patient, now=now)}
    return render(request, "passport/share.html", context, status=400 if form.errors else 200)


def _make(
    request: HttpRequest, account: User, patient: Patient, form: ShareForm, *, now: dt.datetime
) -> HttpResponse | None:
    """To the page that shows the new link; None when it was refused, which the form then says."""
    try:
        made = shares.make_share(
            patient=patient,
            actor=account,
            wish=form.wish(),
            ends_at=form.ends_at(now),
            label=form.cleaned_data["label"],
            most_openings=form.most_openings,
            now=now,
        )
    except AccessRefused as refusal:
        form.add_error(None, str(refusal))
        return None
    remember(request, made)
    return HttpResponseRedirect(reverse("share_made", args=[made.share.pk]))


def _preview(patient: Patient, form: ShareForm, *, now: dt.datetime) -> dict[str, Any]:
    """What somebody would see who opened it now."""
    pages = Pages()
    scope = content.scope_of(patient=patient, wish=form.wish())
    shown = history.overview(scope=scope, now=now)

    def dated(record: history.RecordView) -> lines.Line:
        return lines.line(record, pages=pages, with_day=True, with_hospital=True)

    return {
        "allergies": [dated(each) for each in shown.allergies],
        "conditions": lines.stated(shown.conditions, pages=pages),
        "medications": lines.stated(shown.medications, pages=pages, plain=dose_words()),
        "results": measured_lines(shown, make=dated),
    }


def _listed(patient: Patient, *, now: dt.datetime) -> list[share_words.ShareLine]:
    tries = shares.openings_of(patient)
    return [share_words.share_line(each, tries=tries.get(each.pk, []), now=now) for each in shares.shares_of(patient)]


def remember(request: HttpRequest, made: shares.Made) -> None:
    request.session[NEW_SHARE] = {"share": str(made.share.pk), "passcode": seal(made.passcode)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown of a new share, for a few minutes, to the login that made it."""

    link: str
    qr: str
    passcode: str


def shown_of(request: HttpRequest, one: Share, *, now: dt.datetime) -> Shown | None:
    new = request.session.get(NEW_SHARE, {})
    if new.get("share") != str(one.pk) or now - one.created_at > SHOWN_FOR:
        return None
    page, manifest = (
        request.build_absolute_uri(reverse(name, args=[one.token])) for name in ("shared_page", "shared_manifest")
    )
    link = links.link_to(one, page=page, manifest=manifest)
    return Shown(
        link=link, qr=segno.make(link, error="l").svg_data_uri(border=2), passcode=open_sealed(new["passcode"])
    )


@require_safe
@logged_in
def share_made(request: HttpRequest, account: User, share_id: UUID) -> HttpResponse:
    """The link, once. Afterwards the list of shares is all there is."""
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=READ, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    one = shares.shares_of(opened.patient).filter(pk=share_id).first()
    shown = shown_of(request, one, now=now) if one else None
    if one is None or shown is None:
        return HttpResponseRedirect(reverse("share"))
    context = frame(opened, Pages(), tab="share", now=now)
    context |= {"shown": shown, "line": share_words.share_line(one, tries=[], now=now)}
    return render(request, "passport/share_made.html", context)


@require_POST
@logged_in
def end_share(request: HttpRequest, account: User, share_id: UUID) -> HttpResponse:
    patient = Patient.objects.filter(user=account).first()
    if patient is None:
        return refused(request, account, patient_id=None)
    if shares.end_share(patient=patient, actor=account, share_id=share_id, now=timezone.now()):
        messages.success(request, _("Ended. This link opens nothing from now on."))
    return HttpResponseRedirect(reverse("share"))


# --- whoever was given it ---------------------------------------------------------------------------------------------


@require_safe
def shared_page(request: HttpRequest, token: str) -> HttpResponse:
    """The same page for every address: it asks nothing of the database. What opens the share is behind the `#`."""
    response = render(request, "passport/share_open.html", {"token": token, "codes": share_words.codes()})
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@csrf_exempt  # programs of others post here; there is no session that could be ridden on
@require_http_methods(["POST", "OPTIONS"])
def shared_manifest(request: HttpRequest, token: str) -> HttpResponse:
    """The manifest request of a SMART Health Link."""
    if request.method == "OPTIONS":
        return _for_anybody(HttpResponse(status=204))
    return _for_anybody(_manifest(request, token, now=timezone.now()))


def _manifest(request: HttpRequest, token: str, *, now: dt.datetime) -> HttpResponse:
    if not _may_try(request, token, now=now):
        wait = int(TRIES_WINDOW.total_seconds())
        return JsonResponse({"error": "Too many tries. Wait ten minutes."}, status=429, headers={"Retry-After": wait})
    asked = _asked(request)
    if asked is None:
        return JsonResponse({"error": "Post JSON with a recipient: who you are, in words."}, status=400)
    try:
        handed = opening.open_share(
            token=token,
            recipient=asked.recipient,
            passcode=asked.passcode,
            say=share_words.wording(now=now),
            now=now,
        )
    except opening.WrongPasscode as wrong:
        return JsonResponse({"remainingAttempts": wrong.n_left}, status=401)
    except (opening.ShareClosed, SecretUnavailable):
        return _closed()
    file = {"contentType": fhir.MEDIA_TYPE, "embedded": handed.jwe}
    if asked.longest_embedded is not None and len(handed.jwe) > asked.longest_embedded:
        where = reverse("shared_file", args=[token, handed.ticket])
        file = {"contentType": fhir.MEDIA_TYPE, "location": request.build_absolute_uri(where)}
    return JsonResponse({"files": [file]})


@require_safe
def shared_file(request: HttpRequest, token: str, ticket: str) -> HttpResponse:
    """What was too long to be embedded, once."""
    now = timezone.now()
    if not _may_try(request, token, now=now):
        return _for_anybody(HttpResponse(status=429))
    try:
        jwe = opening.collect(ticket=ticket, token=token, say=share_words.wording(now=now), now=now)
    except (opening.ShareClosed, SecretUnavailable):
        return _for_anybody(_closed())
    return _for_anybody(HttpResponse(jwe, "application/jose"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    recipient: str
    passcode: str
    longest_embedded: int | None


def _asked(request: HttpRequest) -> Asked | None:
    """The body of a manifest request; None when it is none."""
    if len(request.body) > LONGEST_BODY:
        return None
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    recipient, passcode, longest = (body.get(name) for name in ("recipient", "passcode", "embeddedLengthMax"))
    if not isinstance(recipient, str) or not isinstance(passcode, str | None):
        return None
    if isinstance(longest, bool) or not isinstance(longest, int | None):
        return None
    # what cannot be printed no store takes
    said = "".join(char for char in recipient if char.isprintable()).strip()
    typed = "".join(char for char in passcode or "" if char.isascii() and char.isprintable()).strip()
    return Asked(recipient=said, passcode=typed, longest_embedded=longest) if said else None


def _may_try(request: HttpRequest, token: str, *, now: dt.datetime) -> bool:
    network = attempts.network(address_of(request))
    limits = [
        attempts.limit(kind="share-from", subject=network, most=MOST_OF_NETWORK, window=TRIES_WINDOW),
        attempts.limit(kind="share-at", subject=token, most=MOST_OF_SHARE, window=TRIES_WINDOW),
    ]
    return attempts.take(limits[:1], now=now) and attempts.take(limits[1:], now=now)


def _closed() -> HttpResponse:
    return JsonResponse({"error": "This link is not open. Ask whoever gave it to you for another."}, status=404)


def _for_anybody(response: HttpResponse) -> HttpResponse:
    """Viewers of others run on other sites. No cookie is asked for, so nothing of a login can be used."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = "content-type"
    return response
