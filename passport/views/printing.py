"""The record on paper: a print page, the same as PDF, and the emergency card. For the patient alone."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from passport import access, attempts, history, pdf
from passport.access import AccessRefused, Opened, Scope
from passport.models import Patient, User
from passport.share_forms import CardForm, PrintForm
from passport.sharing import content, paper, shares
from passport.views import lines, share_words, words
from passport.views.cards import visit_cards
from passport.views.lines import Line, Pages
from passport.views.plain import dose_words
from passport.views.pressures import measured_lines
from passport.views.record import frame, refused
from passport.views.session import logged_in
from passport.views.shares import READ, remember, shown_of

#: Of the audit rows.
PRINTED, CARD = "record_printed", "emergency_card_read"
#: A PDF costs seconds of a processor.
MOST_PDFS, PDF_WINDOW = 10, dt.timedelta(minutes=10)
#: More would hold up a web worker: what is longer comes with "Download my data", which is made in the background.
LONGEST_PDF = 1000


@require_safe
@logged_in
def print_record(request: HttpRequest, account: User) -> HttpResponse:
    """What is to be on paper is chosen by the query, so that the page itself can be printed without a script."""
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=PRINTED, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    form = PrintForm(request.GET or None)
    is_chosen = form.is_bound and form.is_valid()
    wish = form.wish() if is_chosen else content.Wish()
    what = (form.cleaned_data["what"] if is_chosen else "") or "summary"
    scope = paper.scope_on_paper(opened.scope, wish=wish)
    context = frame(opened, Pages(), tab="share", now=now)
    context |= {"form": form if form.is_bound else PrintForm(initial={"what": "summary"})}
    if request.GET.get("as") == "pdf":
        return _as_pdf(request, account, scope, what=what, context=context, now=now)
    context |= on_paper(scope, what=what, now=now) | {"query": request.GET.urlencode()}
    return render(request, "passport/print.html", context, status=400 if form.errors else 200)


def _as_pdf(
    request: HttpRequest, account: User, scope: Scope, *, what: str, context: dict[str, Any], now: dt.datetime
) -> HttpResponse:
    problem = _no_pdf(account, scope, what=what, now=now)
    if not problem:
        try:
            made = pdf.pdf_of(paper_html(scope, what=what, now=now))
        except pdf.PdfMissing:
            problem = _("This installation cannot make PDF files. Print the page instead: every browser can.")
        else:
            name = f'attachment; filename="patient-passport-{what}.pdf"'
            return HttpResponse(made, "application/pdf", headers={"Content-Disposition": name})
    context |= on_paper(scope, what="summary", now=now) | {"problem": problem}
    return render(request, "passport/print.html", context, status=409)


def _no_pdf(account: User, scope: Scope, *, what: str, now: dt.datetime) -> str:
    """Why there is no PDF now, as a sentence; empty when there is."""
    if what == "history" and paper.n_entries(scope) > LONGEST_PDF:
        return _("Your history is too long for this page. Take “Download my data”: the PDF is in it.")
    limit = attempts.limit(kind="pdf", subject=str(account.pk), most=MOST_PDFS, window=PDF_WINDOW)
    if not attempts.take([limit], now=now):
        return _("You have made very many files. Wait ten minutes, then go on.")
    return ""


def on_paper(scope: Scope, *, what: str, now: dt.datetime) -> dict[str, Any]:
    """What a print page shows: the overview, and for the history every visit too."""
    pages = Pages()
    shown, plain = history.overview(scope=scope, now=now), dose_words()
    visits = history.all_visits(scope=scope) if what == "history" else []

    def dated(record: history.RecordView) -> Line:
        return lines.line(record, pages=pages, with_day=True, with_hospital=True)

    return {
        "what": what,
        "holder": scope.patient,
        "printed": words.when(now, now=now),
        "printed_day": words.local(now).date(),
        "freshness": [words.fresh_words(each, now=now) for each in shown.freshness],
        "may_hold_more": words.names(list(shown.may_hold_more)),
        "shown": {
            "allergies": [dated(each) for each in shown.allergies],
            "conditions": lines.stated(shown.conditions, pages=pages),
            "medications": lines.stated(shown.medications, pages=pages, plain=plain),
            "results": measured_lines(shown, make=dated),
        },
        "cards": visit_cards(visits, pages=pages, plain=plain),
        "is_partial": scope.is_partial,
    }


def paper_html(scope: Scope, *, what: str, now: dt.datetime) -> str:
    """The document from which the PDF is made: no script, no link to anything outside it."""
    return render_to_string("passport/print_paper.html", on_paper(scope, what=what, now=now))


# --- the emergency card -----------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def emergency_card(request: HttpRequest, account: User) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=CARD if request.method != "POST" else READ, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    form = CardForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            made = shares.make_card(patient=opened.patient, actor=account, ends_at=form.ends_at(now), now=now)
        except AccessRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            remember(request, made)
            return HttpResponseRedirect(reverse("emergency_card"))
    context = frame(opened, Pages(), tab="share", now=now) | _card(request, opened, now=now)
    return render(request, "passport/emergency_card.html", context | {"form": form}, status=400 if form.errors else 200)


def _card(request: HttpRequest, opened: Opened, *, now: dt.datetime) -> dict[str, Any]:
    """What stands on the card: never a sensitive or hidden entry."""
    patient: Patient = opened.patient
    scope = content.scope_of(patient=patient, wish=content.Wish())
    shown, pages = history.overview(scope=scope, now=now), Pages()
    card = shares.open_card(patient, now=now)
    return {
        "allergies": [lines.line(each, pages=pages) for each in shown.allergies],
        "conditions": _once_each(lines.stated(shown.conditions, pages=pages).current),
        "medications": _once_each(lines.stated(shown.medications, pages=pages).current),
        "blood_group": paper.blood_group(scope),
        "number": paper.number_of(patient),
        "card": share_words.share_line(card, tries=[], now=now) if card else None,
        "shown": shown_of(request, card, now=now) if card else None,
    }


def _once_each(named: Sequence[Line]) -> list[Line]:
    """A medicine of two hospitals takes one line of the six that the card has: only its name stands there."""
    return list({each.name.casefold(): each for each in reversed(named)}.values())[::-1]
