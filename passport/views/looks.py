"""Who looked: the page for the patient, and the same as a file, for the patient and for the data protection officer."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from passport import access, audit, history, sheets
from passport.access import REFUSED, Action
from passport.models import Patient, User
from passport.views import look_words
from passport.views.lines import Pages
from passport.views.record import frame, refused
from passport.views.session import logged_in

#: Of the audit row of a file. By an administrator it holds who looked and no entry of the record.
EXPORTED = "audit_exported"
BY_ADMIN = "admin"
COLUMNS = ("at", "who", "role", "hospital", "what", "why", "was_refused", "action", "basis")


@require_safe
@logged_in
def who_looked(request: HttpRequest, account: User) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=Action.WHO_LOOKED, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    context = frame(opened, Pages(), tab="who_looked", now=now)
    cursor, with_own = request.GET.get("cursor") or None, request.GET.get("own") == "1"
    try:
        page = history.looks_page(patient=opened.patient, cursor=cursor, with_own=with_own)
    except history.BadCursor:
        return HttpResponseRedirect(reverse("who_looked"))
    kept = {"own": "1"} if with_own else {}
    context |= {
        "sittings": look_words.sittings(page.results, now=now),
        "older": f"{reverse('who_looked')}?{urlencode(kept | {'cursor': page.next})}" if page.next else "",
        "newest": f"{reverse('who_looked')}?{urlencode(kept)}".rstrip("?") if cursor else "",
        "with_own": with_own,
    }
    return render(request, "passport/who_looked.html", context)


@require_safe
@logged_in
def who_looked_file(request: HttpRequest, account: User, kind: str) -> HttpResponse:
    """Everything that the audit knows about oneself, as CSV or JSON."""
    try:
        opened = access.open_own_record(user=account, action=EXPORTED, now=timezone.now())
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    return _file(opened.patient, kind)


@require_safe
@logged_in
def patient_looks_file(request: HttpRequest, account: User, patient_id: UUID, kind: str) -> HttpResponse:
    """The same about somebody, for an administrator who answers for data protection. No entry of the record."""
    now, is_admin = timezone.now(), account.is_admin
    audit.record_event(
        action=EXPORTED if is_admin else f"{EXPORTED}_refused",
        actor=account,
        now=now,
        patient_id=patient_id if Patient.objects.filter(pk=patient_id).exists() else None,
        hospital_id=account.hospital_id,
        basis=BY_ADMIN if is_admin else REFUSED,
    )
    if not is_admin:
        return refused(request, account, patient_id=patient_id)
    return _file(get_object_or_404(Patient, pk=patient_id), kind)


def _file(patient: Patient, kind: str) -> HttpResponse:
    rows = [_row(look) for look in history.all_looks(patient=patient)]
    name = f'attachment; filename="who-looked.{kind}"'
    if kind == "json":
        return JsonResponse({"patient": str(patient.pk), "events": rows}, headers={"Content-Disposition": name})
    text = sheets.sheet(header=COLUMNS, rows=([row[column] for column in COLUMNS] for row in rows))
    return HttpResponse(sheets.encoded(text), "text/csv; charset=utf-8", headers={"Content-Disposition": name})


def _row(look: history.Look) -> dict[str, Any]:
    said = look_words.look_words(look, now=look.at)
    return {
        "at": look.at.isoformat(),
        "who": look.who,
        "role": look.role,
        "hospital": look.hospital_name or "",
        "what": said.what,
        "why": said.why,
        "was_refused": "yes" if look.was_refused else "no",
        "action": look.action,
        "basis": look.basis,
    }
