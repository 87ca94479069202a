"""Asking a hospital to put an entry right: the form, the list of what was asked, taking it back."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from passport import access, history
from passport.access import AccessRefused, Action, Opened
from passport.access.shapes import DOCTORS
from passport.correction_forms import CorrectionForm
from passport.corrections import asking
from passport.models import User
from passport.views import lines
from passport.views.correction_words import asked_words
from passport.views.lines import Pages
from passport.views.plain import plain_words
from passport.views.record import frame, open_page, refused
from passport.views.session import logged_in


def _open(account: User, *, patient_id: UUID | None, action: Action) -> Opened:
    """Raises NotAllowed, for doctors too: asking is the patient's, and of those who stand in for them."""
    now = timezone.now()
    if patient_id is not None and _reads_as_doctor(account, patient_id=patient_id, now=now):
        asking.refuse(actor=account, patient_id=patient_id, now=now)
        raise access.NotAllowed
    return open_page(account, patient_id=patient_id, action=action, now=now)


def _reads_as_doctor(account: User, *, patient_id: UUID, now: dt.datetime) -> bool:
    try:
        return access.peek(user=account, patient_id=patient_id, now=now).basis in DOCTORS
    except access.NotAllowed:
        return False  # refused, and written down, at the door itself


@require_safe
@logged_in
def corrections(request: HttpRequest, account: User, *, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = _open(account, patient_id=patient_id, action=Action.CORRECTIONS)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    found = asking.asked_of(scope=opened.scope, actor=account)
    plain = plain_words([each.record for each in found if each.record])
    context = frame(opened, pages, tab="history", now=now)
    context |= {"asked": [asked_words(each, pages=pages, plain=plain, now=now) for each in found]}
    return render(request, "passport/corrections.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def ask(request: HttpRequest, account: User, *, key: str, patient_id: UUID | None = None) -> HttpResponse:
    now = timezone.now()
    try:
        opened = _open(account, patient_id=patient_id, action=Action.RECORD)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    pages = Pages(patient_id=patient_id)
    context = frame(opened, pages, tab="history", now=now)
    found = history.record_detail(scope=opened.scope, key=key)
    if found is None:
        return render(request, "passport/record_missing.html", context, status=404)
    form = CorrectionForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _was_asked(opened, account, form, key=key):
        messages.success(request, _("Asked. You see here what becomes of it."))
        return HttpResponseRedirect(pages.corrections)
    about = asking.asked_about(scope=opened.scope, actor=account, record=found.record)
    plain = plain_words([found.record])
    context |= {
        "form": form,
        "here": pages.correction(key),
        "record": found.record,
        "line": lines.line(found.record, pages=pages, plain=plain, with_day=True),
        "is_withdrawn": found.record.status != history.Status.CURRENT,
        "waiting": asked_words(about, pages=pages, plain=plain, now=now) if about and about.is_open else None,
    }
    return render(request, "passport/correction.html", context, status=400 if form.errors else 200)


def _was_asked(opened: Opened, account: User, form: CorrectionForm, *, key: str) -> bool:
    given: dict[str, Any] = form.cleaned_data
    try:
        asking.ask(
            scope=opened.scope,
            actor=account,
            key=key,
            reason=given["reason"],
            words=given["words"],
            now=timezone.now(),
        )
    except AccessRefused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        return False
    return True


@require_POST
@logged_in
def withdraw(request: HttpRequest, account: User, *, request_id: UUID, patient_id: UUID | None = None) -> HttpResponse:
    try:
        opened = _open(account, patient_id=patient_id, action=Action.CORRECTIONS)
    except access.NotAllowed:
        return refused(request, account, patient_id=patient_id)
    if asking.withdraw(scope=opened.scope, actor=account, request_id=request_id, now=timezone.now()):
        messages.success(request, _("Taken back. The hospital no longer sees it as waiting."))
    else:
        messages.info(request, _("There was nothing to take back: it is over already."))
    return HttpResponseRedirect(Pages(patient_id=patient_id).corrections)
