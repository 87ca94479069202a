"""The pages of one record: overview, history, one entry, who looked. The same for the patient and for a doctor."""

import datetime as dt
import math
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from passport import access, history
from passport.access import Action, Basis, Opened, emergencies, proxies
from passport.access.shapes import DOCTORS, PROXIES
from passport.corrections import asking
from passport.forms import CATEGORY_NAMES, HistoryFilterForm
from passport.history import Filters, Freshness, Overview, RecordView, VisitView
from passport.history.fresh import freshness_of
from passport.history.kept import Reading
from passport.models import User
from passport.models.record import Category
from passport.views import chart, lines, permission_words, words
from passport.views.cards import visit_cards
from passport.views.choices import choices
from passport.views.correction_words import AskedWords, asked_words
from passport.views.kept_parts import kept_part
from passport.views.lines import Pages
from passport.views.plain import NO_WORDS, explained, plain_words
from passport.views.session import account_of, logged_in


def open_page(account: User, *, patient_id: UUID | None, action: Action, now: dt.datetime) -> Opened:
    """The record of this page's patient: a doctor names one, everyone else has their own. Raises NotAllowed."""
    if patient_id is None:
        return access.open_own_record(user=account, action=action, now=now)
    return access.open_record(user=account, patient_id=patient_id, action=action, now=now)


def refused(request: HttpRequest, account: User, *, patient_id: UUID | None) -> HttpResponse:
    """The same page for a record that is not there and for one without the right, with the ways on that there are."""
    context = {
        "no_passport": patient_id is None,
        "patient_id": patient_id,
        "reads_for_others": bool(proxies.people_of(account, now=timezone.now())),
    }
    return render(request, "passport/refused.html", context, status=403)


def frame(opened: Opened, pages: Pages, *, tab: str, now: dt.datetime) -> dict[str, Any]:
    """What every page of a record shows around its content."""
    patient = opened.patient
    return {
        "holder": patient,
        "holder_sex": words.SEXES.get(patient.sex, ""),
        "basis": opened.basis,
        "basis_words": words.BASES_TO_DOCTOR[opened.basis],
        "is_proxy": opened.basis in PROXIES,
        "is_doctor": opened.basis in DOCTORS,
        "is_partial": opened.scope.is_partial,
        "emergency_until": words.time(opened.until) if opened.until else "",
        "emergency_minutes": math.ceil((opened.until - now).total_seconds() / 60) if opened.until else 0,
        "pages": pages,
        "tab": tab,
        "today": words.local(now).date(),
    }


def freshness_words(found: Sequence[Freshness], *, held: Sequence[str], now: dt.datetime) -> dict[str, Any]:
    """How far each hospital can be trusted; `held`: where a human still decides about a match."""
    all_words = [words.fresh_words(each, now=now) for each in found]
    return {
        "freshness": all_words,
        "not_fresh": [each for each in all_words if not each.is_fresh],
        "up_to_date": chart.up_to_date(found, now=now),
        "may_hold_more": words.names(list(held)),
    }


@require_safe
@logged_in
def overview(request: HttpRequest, account: User, *, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.OVERVIEW, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    reading = Reading(opened.scope)
    found = history.overview(scope=opened.scope, now=now, reading=reading)
    held = found.may_hold_more
    context = frame(opened, pages, tab="overview", now=now) | freshness_words(found.freshness, held=held, now=now)
    context |= _cards(reading, found, pages=pages)
    context |= {
        "news": chart.own_news(opened, account, reading=reading, pages=pages, now=now),
        "unseen": _unseen(opened, now=now),
        "version": reading.stamp,
    }
    return render(request, "passport/overview.html", context)


def _cards(reading: Reading, found: Overview, *, pages: Pages) -> dict[str, SafeString]:
    """What holds, and what was found last, as HTML."""
    plain = plain_words(chart.records_of(found))

    @cache
    def shown() -> dict[str, Any]:
        return chart.summary_words(found, pages=pages, plain=plain) | {"pages": pages}

    def part(template: str) -> SafeString:
        return kept_part(reading, template, *(found.ends_come, pages), make=shown, plain=plain)

    return {
        "stated": part("passport/parts/overview_stated.html"),
        "measured": part("passport/parts/overview_measured.html"),
    }


def _unseen(opened: Opened, *, now: dt.datetime) -> list[permission_words.EmergencyLine]:
    """Emergencies that the patient has not read about yet; told to the patient alone."""
    if opened.basis != Basis.ONESELF:
        return []
    return [permission_words.emergency_line(each, now=now) for each in emergencies.unseen_by(opened.patient)]


@require_safe
@logged_in
def history_page(request: HttpRequest, account: User, *, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.VISITS, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    reading = Reading(opened.scope)
    fresh = freshness_of(reading.seen.links, now=now)
    hospitals = [(each.hospital, each.hospital_name) for each in fresh]
    form = HistoryFilterForm(request.GET, hospitals=hospitals)
    held = history.may_hold_more(scope=opened.scope)
    context = frame(opened, pages, tab="history", now=now) | freshness_words(fresh, held=held, now=now)
    context["version"] = reading.stamp
    since = chart.since_last_here(opened, account, now=now)
    context |= _visits(request, reading, form, pages=pages, since=since)
    return render(request, "passport/history.html", context, status=400 if context["problem"] else 200)


def _visits(
    request: HttpRequest, reading: Reading, form: HistoryFilterForm, *, pages: Pages, since: dt.datetime | None
) -> dict[str, Any]:
    """The visits of this page of the history, or the sentence that says why there are none."""
    nothing = {"form": form, "is_filtered": True}
    if not form.is_valid():
        return nothing | {"problem": _("One of the filters cannot be read, so nothing is listed. Correct it below.")}
    filters = form.filters()
    query = {name: str(value) for name, value in request.GET.items() if name in form.fields and value}
    cursor = request.GET.get("cursor") or None
    try:
        page = history.visits_page(scope=reading.seen.scope, reading=reading, filters=filters, cursor=cursor)
    except history.BadCursor:
        return nothing | {"problem": _("The address of this page is damaged. Begin again with the newest entries.")}
    older = f"{pages.history}?{urlencode(query | {'cursor': page.next})}" if page.next else ""
    return {
        "visits": page.results,
        "timeline": _timeline(reading, page.results, asked=(filters, cursor), older=older, pages=pages, since=since),
        "years": chart.year_links(page.years, here=_years_of(page.results), query=query, pages=pages),
        "older": older,
        "newest": f"{pages.history}?{urlencode(query)}" if cursor else "",
        "filters": kept_part(
            reading,
            "passport/parts/filters.html",
            *(tuple(query.items()), tuple(form.hospital_names.items()), pages),
            make=lambda: {
                "form": form,
                "pages": pages,
                "chips": _chips(form, query, filters, pages=pages),
                "choices": choices(page.facets, filters=filters, query=query, pages=pages),
            },
        ),
        "is_filtered": not filters.is_empty,
        "problem": "",
    }


def _timeline(
    reading: Reading,
    visits: Sequence[VisitView],
    *,
    asked: tuple[Filters, str | None],
    older: str,
    pages: Pages,
    since: dt.datetime | None,
) -> SafeString:
    """The visits as HTML, kept like what it was made of: half of a long page's time. Empty where there are none.

    `asked`: which visits these are, as long as no record changes; what else the cards say is named beside it.
    """
    if not visits:
        return SafeString()
    records = _inside(visits)
    plain = plain_words(records)
    new = frozenset(record.id for record in records if since is not None and record.received_at > since)

    return kept_part(
        reading,
        "passport/parts/cards.html",
        *(asked, older, pages, new),
        make=lambda: {"cards": visit_cards(visits, pages=pages, plain=plain, since=since), "older": older},
        plain=plain,
    )


def _inside(visits: Sequence[VisitView]) -> list[RecordView]:
    entries = [entry for visit in visits for group in visit.groups for block in group.blocks for entry in block.entries]
    return [record for entry in entries for record in (entry.record, *entry.qualifiers, *entry.earlier)]


def _years_of(visits: Sequence[VisitView]) -> list[str | None]:
    return [visit.date[:4] if visit.date else None for visit in visits]


def _chips(form: HistoryFilterForm, query: dict[str, str], filters: Filters, *, pages: Pages) -> list[tuple[str, str]]:
    """(words, address without this filter) for each filter that is set."""
    return [
        (text, f"{pages.history}?{urlencode({key: value for key, value in query.items() if key != name})}")
        for name, text in form.in_words(filters)
    ]


@require_safe
@logged_in
def record_page(request: HttpRequest, account: User, *, key: str, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.RECORD, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    context = frame(opened, pages, tab="history", now=now)
    reading = Reading(opened.scope)
    found = history.record_detail(scope=opened.scope, key=key, reading=reading)
    if found is None:
        return render(request, "passport/record_missing.html", context, status=404)
    record = found.record
    qualified = [found.qualified] if found.qualified else []
    plain = plain_words([record, *found.qualifiers, *found.group, *qualified])
    context |= {
        "detail": found,
        "record": record,
        "said": lines.said(record, plain=plain),
        "line": lines.line(record, pages=pages, qualifiers=found.qualifiers, plain=plain),
        "explained": explained(record, plain),
        "trend": pages.trend(key) if record.category in history.MEASURED else "",
        "category": dict(CATEGORY_NAMES).get(Category(record.category), record.category),
        "range": lines.bare_range(record),
        "category_rule": words.category_rule(record.category_rule),
        "certainty": words.code(record.certainty or ""),
        "details": list(words.details(record.details)),
        "match_rule": _match_rule(reading, record.hospital),
        "table": words.TABLES.get(record.source.table, record.source.table),
        "received": words.when(record.received_at, now=now),
        "group": [lines.line(each, pages=pages, plain=plain) for each in found.group],
        "qualified": lines.line(found.qualified, pages=pages, plain=plain) if found.qualified else None,
        "sensitive": permission_words.set_names(record.sensitive),
        "asked": _asked(opened, account, record, pages=pages, now=now),
        "ask_url": pages.correction(key),
        "may_ask": opened.basis in asking.ASKERS and record.status == history.Status.CURRENT,
    }
    return render(request, "passport/record.html", context)


def _asked(opened: Opened, account: User, record: RecordView, *, pages: Pages, now: dt.datetime) -> AskedWords | None:
    """That a correction of this entry was asked for, and how far that is."""
    found = asking.asked_about(scope=opened.scope, actor=account, record=record)
    return asked_words(found, pages=pages, plain=NO_WORDS, now=now) if found else None


def _match_rule(reading: Reading, hospital: str) -> list[str]:
    """Why this hospital's person is taken for this patient, in sentences."""
    found = history.match_rules(reading=reading, hospital=hospital)
    return [str(words.MATCHES[rule]) for rule in found if rule in words.MATCHES]


@require_safe
def version(request: HttpRequest, *, patient_id: UUID | None = None) -> HttpResponse:
    """A token that changes with what may be shown, for `live.js`. Says nothing else, so it leaves no audit row.

    The right is checked as on the page: who may not read learns nothing, not even that something changed.
    """
    account = account_of(request)
    if account is None:
        return JsonResponse({}, status=403)
    try:
        opened = access.peek(user=account, patient_id=patient_id, now=timezone.now())
    except access.NotAllowed:
        return JsonResponse({}, status=403)
    return JsonResponse({"version": history.version(scope=opened.scope)})
