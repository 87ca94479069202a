"""Patients of a hospital who have no passport here: counted by reason on a page, and as a sheet for the hospital."""

from collections import Counter

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from hospitals.admin import HospitalAdmin, HospitalPage
from hospitals.errors import SourceError
from hospitals.models import Hospital
from openmrs_sync import unmatched
from openmrs_sync.admin.page import admin_context
from passport.admin_site import actor_of
from passport.audit import record_event
from passport.sheets import encoded, sheet


@require_safe
def page_view(request: HttpRequest, hospital: Hospital) -> HttpResponse:
    """The reasons with their counts; the hospital is asked now."""
    problem, counts = "", Counter[str]()
    try:
        counts = Counter(one.reason for one in unmatched.read_unmatched(hospital=hospital))
    except SourceError as error:
        problem = str(error)
    context = {
        **admin_context(request, title=f"Not linked: {hospital.name}"),
        "opts": Hospital._meta,
        "hospital": hospital,
        "problem": problem,
        "n_all": sum(counts.values()),
        "reasons": [(reason, *said, counts[reason]) for reason, said in unmatched.REASONS.items() if counts[reason]],
    }
    return TemplateResponse(request, "admin/openmrs_sync/unmatched.html", context)


@require_safe
def sheet_view(request: HttpRequest, hospital: Hospital) -> HttpResponse:
    """The list itself; `?reason=` keeps one reason."""
    reason = request.GET.get("reason", "")
    if reason and reason not in unmatched.REASONS:
        return HttpResponse("There is no such reason.", status=400, content_type="text/plain; charset=utf-8")
    try:
        found = unmatched.read_unmatched(hospital=hospital)
    except SourceError as error:
        return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
    lines = list(unmatched.rows(hospital=hospital, unmatched=found, reason=reason))
    now = timezone.now()
    record_event(
        action="unmatched_exported",
        actor=actor_of(request),
        now=now,
        hospital_id=hospital.pk,
        details={"n_patients": len(lines), "reason": reason},
    )
    answer = HttpResponse(
        encoded(sheet(header=unmatched.HEADER, rows=lines)),
        content_type="text/csv; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )
    answer["Content-Disposition"] = f'attachment; filename="not-linked-{hospital.code}-{now:%Y-%m-%d}.csv"'
    return answer


HospitalAdmin.pages += [
    HospitalPage(address="not-linked/", name="hospitals_hospital_unmatched", view=page_view),
    HospitalPage(address="not-linked.csv", name="hospitals_hospital_unmatched_csv", view=sheet_view),
]
