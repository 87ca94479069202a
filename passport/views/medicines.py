"""The page of medicines. The same for the patient and for a doctor."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from passport import access, history
from passport.access import Action
from passport.history.fresh import freshness_of
from passport.history.kept import Reading
from passport.models import User
from passport.views import medicine_lines
from passport.views.kept_parts import kept_part
from passport.views.lines import Pages
from passport.views.plain import plain_words
from passport.views.record import frame, freshness_words, open_page, refused
from passport.views.session import logged_in


@require_safe
@logged_in
def medicines(request: HttpRequest, account: User, *, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = open_page(account, patient_id=patient_id, action=Action.MEDICINES, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    reading = Reading(opened.scope)
    fresh = freshness_of(reading.seen.links, now=now)
    found = history.all_medicines(scope=opened.scope, now=now, reading=reading)
    held = history.may_hold_more(scope=opened.scope)
    context = frame(opened, pages, tab="medicines", now=now) | freshness_words(fresh, held=held, now=now)
    every = [each for group in (found.current, found.unknown, found.past) for each in group]
    plain = plain_words(stated.record for each in every for stated in (*each.holding, *each.earlier))
    if every:
        context["medicines"] = kept_part(
            reading,
            "passport/parts/medicines.html",
            *(found.ends_come, pages),
            make=lambda: {"sections": medicine_lines.sections(found, pages=pages, plain=plain), "pages": pages},
            plain=plain,
        )
    return render(request, "passport/medicines.html", context)
