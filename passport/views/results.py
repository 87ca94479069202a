"""The pages of tests: all of them, one row each, and one through the years. The same for the patient and a doctor."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from passport import access, history
from passport.access import Action
from passport.forms import TrendForm
from passport.history.fresh import freshness_of
from passport.history.kept import Reading
from passport.models import User
from passport.views import curves, result_lines
from passport.views.kept_parts import kept_part
from passport.views.lines import Pages
from passport.views.plain import explained_once, plain_words
from passport.views.record import frame, freshness_words, open_page, refused
from passport.views.session import logged_in


@require_safe
@logged_in
def results(request: HttpRequest, account: User, *, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.RESULTS, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    reading = Reading(opened.scope)
    fresh = freshness_of(reading.seen.links, now=now)
    held = history.may_hold_more(scope=opened.scope)
    context = frame(opened, pages, tab="results", now=now) | freshness_words(fresh, held=held, now=now)
    found = history.result_rows(scope=opened.scope, reading=reading)
    plain = plain_words(record for row in found for record in (row.newest, row.previous) if record)
    wanted = result_lines.Wanted.of(request.GET)
    if found:
        context["results"] = kept_part(
            reading,
            "passport/parts/results.html",
            *(wanted, pages),
            make=lambda: {
                "shown": result_lines.shown(found, wanted=wanted, pages=pages, plain=plain),
                "pages": pages,
            },
            plain=plain,
        )
    return render(request, "passport/results.html", context)


@require_safe
@logged_in
def trend(request: HttpRequest, account: User, *, key: str, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.RESULTS, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    context = frame(opened, pages, tab="results", now=now)
    form = TrendForm(request.GET)
    is_valid = form.is_valid()
    days = form.cleaned_data if is_valid else {}
    first, last = days.get("from"), days.get("to")
    reading = Reading(opened.scope)
    found = history.trend(scope=opened.scope, key=key, from_date=first, to_date=last, reading=reading)
    if found is None:
        return render(request, "passport/record_missing.html", context, status=404)
    plain = plain_words([found.about, *found.records])
    newest = [found.about, *(curve.records[0] for chart in found.charts for curve in chart.curves)]
    today = context["today"]
    # A day that cannot be read stands there as it was typed.
    typed = () if is_valid else tuple(request.GET.items())
    context["trend"] = kept_part(
        reading,
        "passport/parts/trend.html",
        *(key, first, last, typed, today, pages),
        make=lambda: {
            "form": form,
            "explained": explained_once(newest, plain),
            "trend": curves.trend_page(found, days=days, today=today, pages=pages, plain=plain),
        },
        plain=plain,
    )
    return render(request, "passport/trend.html", context, status=200 if is_valid else 400)
