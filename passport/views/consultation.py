"""A doctor's page for a consultation: on one screen what holds, what is new, what is missing; and a fresh read."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from passport import access, history, upward
from passport.access import Action, Opened
from passport.access.shapes import DOCTORS
from passport.history import Overview
from passport.history.news import since_visit
from passport.models import User
from passport.templatetags.pages import day
from passport.upward import Answer, Asked
from passport.views import chart, words
from passport.views.lines import Pages
from passport.views.plain import NO_WORDS
from passport.views.record import frame, freshness_words, open_page, refused
from passport.views.session import account_of, logged_in

#: So often the page asks how far the hospitals are.
SECONDS_WHILE_ASKING = 2

ANSWERS: Mapping[str, "str | Promise"] = {
    "asked": gettext_lazy("Asked; no answer yet."),
    "ok": gettext_lazy("Read just now. Nothing has changed."),
    "not_found": gettext_lazy("Answered: it knows nobody with this National ID."),
    "held": gettext_lazy("Answered: somebody there still has to decide whether its patient is this person."),
    "unreachable": gettext_lazy("Not reached: newer records may be missing."),
    "busy": gettext_lazy("Is being read just now by the regular sync. Ask again in a minute."),
    "failed": gettext_lazy("Could not be read: newer records may be missing. The administrators see why."),
    "disabled": gettext_lazy("Switched off: newer records are missing."),
}
ICONS = {"ok": "fresh", "not_found": "fresh", "disabled": "paused", "unreachable": "unreachable"}


@require_safe
@logged_in
def consultation(request: HttpRequest, account: User, patient_id: UUID) -> HttpResponse:
    now = timezone.now()
    opened = _opened(account, patient_id=patient_id, now=now)
    if opened is None:
        return refused(request, account, patient_id=patient_id)
    asked = upward.asked(user=account, patient_id=patient_id, now=now)
    return render(request, "passport/consultation.html", _context(opened, account, asked, now=now))


@require_POST
@logged_in
def ask_hospitals(request: HttpRequest, account: User, patient_id: UUID) -> HttpResponse:
    """Begin a fresh read, and go back to the page, which shows how far it is."""
    now = timezone.now()
    opened = _opened(account, patient_id=patient_id, now=now)
    if opened is None:
        return refused(request, account, patient_id=patient_id)
    upward.ask_hospitals(user=account, opened=opened, now=now)
    return HttpResponseRedirect(reverse("patient_consultation", args=[patient_id]) + "#fresh-read")


@require_safe
def consultation_version(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """As the record's version, and it changes with each answer of a hospital too."""
    account, now = account_of(request), timezone.now()
    if account is None:
        return JsonResponse({}, status=403)
    try:
        opened = access.peek(user=account, patient_id=patient_id, now=now)
    except access.NotAllowed:
        return JsonResponse({}, status=403)
    if opened.basis not in DOCTORS:
        return JsonResponse({}, status=403)
    asked = upward.asked(user=account, patient_id=patient_id, now=now)
    return JsonResponse({"version": _version(opened, asked)})


def _opened(account: User, *, patient_id: UUID, now: dt.datetime) -> Opened | None:
    """The record, for a doctor. Anybody else is refused as if there were none; they have pages of their own."""
    if not account.is_doctor:
        return None
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.OVERVIEW, now=now)
    except access.NotAllowed:
        return None
    return opened if opened.basis in DOCTORS else None


def _context(opened: Opened, account: User, asked: Asked | None, *, now: dt.datetime) -> dict[str, Any]:
    pages = Pages(patient_id=opened.patient.pk)
    found = history.overview(scope=opened.scope, now=now)
    context = frame(opened, pages, tab="consultation", now=now) | freshness_words(
        found.freshness, held=found.may_hold_more, now=now
    )
    # In the hospitals' own words: a doctor reads those faster than plain ones.
    context |= chart.summary_words(found, pages=pages, plain=NO_WORDS)
    answers = list(_answers(asked, is_partial=opened.scope.is_partial))
    return context | {
        "news": _since_visit(opened, account, pages=pages, now=now),
        "missing": list(_missing(found, now=now)),
        "answers": answers,
        "is_asking": asked is not None and asked.is_under_way,
        "asked_at": words.when(asked.at, now=now) if asked else "",
        "seconds": SECONDS_WHILE_ASKING if asked and asked.is_under_way else "",
        "version": _version(opened, asked),
        "printed_at": words.when(now, now=now),
        "account": account,
    }


def _version(opened: Opened, asked: Asked | None) -> str:
    said = f"{asked.at} {[a and a.status for a in asked.answers.values()]}" if asked else ""
    text = f"{history.version(scope=opened.scope)} {said}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _since_visit(opened: Opened, account: User, *, pages: Pages, now: dt.datetime) -> chart.NewsWords:
    """What is new to the doctor's hospital."""
    found = since_visit(scope=opened.scope, hospital_id=account.hospital_id, now=now) if account.hospital_id else None
    if found is None:
        sentence = _("Your hospital has recorded no visit of this patient before today: everything may be new to it.")
        return chart.NewsWords(sentence=sentence, lines=[], more="")
    when = day(found.visit.date)
    if not found.news.n_entries:
        sentence = _("Nothing has been recorded anywhere since the last visit at your hospital (%(day)s).")
        return chart.NewsWords(sentence=sentence % {"day": when}, lines=[], more="")
    sentence = ngettext(
        "%(n)s entry since the last visit at your hospital (%(day)s).",
        "%(n)s entries since the last visit at your hospital (%(day)s).",
        found.news.n_entries,
    ) % {"n": found.news.n_entries, "day": when}
    return chart.news_words(found.news, sentence=sentence, pages=pages)


def _missing(found: Overview, *, now: dt.datetime) -> Iterator[str]:
    """What this page cannot tell, in sentences: what was not reached, not decided, never recorded."""
    if not found.freshness:
        yield _(
            "No hospital that is connected knows this National ID so far. All of them are searched again and again; "
            "what they hold appears here by itself."
        )
    for each in found.freshness:
        said = words.fresh_words(each, now=now)
        if not said.is_fresh:
            yield f"{said.hospital_name}: {said.sentence}"
    if found.may_hold_more:
        hospitals = words.names(list(found.may_hold_more))
        yield _("%(hospitals)s may hold more records: a match is being checked.") % {"hospitals": hospitals}
    if not found.allergies:
        yield _("No hospital has recorded an allergy. Ask the patient.")
    if any(each.standing is history.Standing.UNKNOWN for each in found.medications):
        yield _("For some medicines no hospital says whether they are still taken. Ask the patient.")
    if not found.medications:
        yield _("No hospital lists a medicine as current. Ask the patient what is taken.")
    if not found.latest_vitals:
        yield _("Nothing measured has been recorded yet, such as weight or blood pressure.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerWords:
    hospital_name: str
    state: str
    icon: str
    sentence: str


def _answers(asked: Asked | None, *, is_partial: bool) -> Iterator[AnswerWords]:
    """What each hospital that was asked has said so far."""
    if asked is None:
        return
    names = dict(upward.hospitals().values_list("code", "name"))
    for code, answer in asked.answers.items():
        state = answer.status if answer else "asked"
        yield AnswerWords(
            hospital_name=names.get(code, code),
            state=state,
            icon=ICONS.get(state, "late"),
            sentence=_partly(state) if is_partial else _sentence(state, answer),
        )


def _partly(state: str) -> str:
    """For one who may not see everything: whether there was something, and how much, could tell what is kept back."""
    if state == "ok":
        return _("Read just now.")
    return _("Answered: nothing of it can be shown here.") if state == "not_found" else str(ANSWERS[state])


def _sentence(state: str, answer: Answer | None) -> str:
    n_changed = answer.n_created + answer.n_updated + answer.n_withdrawn if answer else 0
    if state == "ok" and n_changed:
        text = ngettext(
            "Read just now: %(n)s entry is new or has changed.",
            "Read just now: %(n)s entries are new or have changed.",
            n_changed,
        )
        return text % {"n": n_changed}
    return str(ANSWERS.get(state, ANSWERS["failed"]))
