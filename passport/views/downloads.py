"""Download my data: asked for, watched, fetched. For the patient alone."""

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import require_http_methods, require_safe

from passport import access
from passport.access import AccessRefused
from passport.models import Download, Patient, User
from passport.share_forms import SensitiveTicks
from passport.sharing import downloads
from passport.views import words
from passport.views.lines import Pages
from passport.views.record import frame, refused
from passport.views.session import account_of, logged_in

#: Of the audit row of the page; asking and fetching have their own.
READ = "downloads_read"


@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def download(request: HttpRequest, account: User) -> HttpResponse:
    now = timezone.now()
    try:
        opened = access.open_own_record(user=account, action=READ, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=None)
    form, problem = SensitiveTicks(request.POST if request.method == "POST" else None), ""
    if form.is_bound and form.is_valid():
        try:
            downloads.ask(
                patient=opened.patient,
                actor=account,
                sensitive=frozenset(form.cleaned_data["sensitive"]),
                with_hidden=form.cleaned_data["with_hidden"],
                language=get_language() or "",
                now=now,
            )
        except AccessRefused as refusal:
            problem = str(refusal)
        else:
            return HttpResponseRedirect(reverse("download"))
    last = downloads.last_of(opened.patient)
    context = frame(opened, Pages(), tab="share", now=now)
    context |= {
        "form": form,
        "problem": problem,
        "last": last,
        "asked": words.when(last.asked_at, now=now) if last else "",
        "until": words.when(last.made_at + downloads.KEEP, now=now) if last and last.made_at else "",
        "is_under_way": last is not None and last.status in downloads.UNDER_WAY,
        "version": _token(last),
    }
    return render(request, "passport/download.html", context, status=400 if problem or form.errors else 200)


@require_safe
@logged_in
def download_file(request: HttpRequest, account: User, download_id: UUID) -> HttpResponse:
    patient = Patient.objects.filter(user=account).first()
    if patient is None:
        return refused(request, account, patient_id=None)
    file = downloads.fetch(patient=patient, actor=account, download_id=download_id, now=timezone.now())
    if file is None:
        return HttpResponseRedirect(reverse("download"))
    headers = {
        "Content-Disposition": 'attachment; filename="patient-passport.zip"',
        "Content-Length": str(file.n_bytes),
    }
    answer = StreamingHttpResponse(file.content, content_type="application/zip", headers=headers)
    return cast(HttpResponse, answer)  # to what passes it on, it is an answer like any other


@require_safe
def download_version(request: HttpRequest) -> HttpResponse:
    """Changes with the progress, for `live.js`; says nothing else."""
    account = account_of(request)
    patient = Patient.objects.filter(user=account).first() if account else None
    if patient is None:
        return JsonResponse({}, status=403)
    return JsonResponse({"version": _token(downloads.last_of(patient))})


def _token(last: Download | None) -> str:
    return f"{last.pk} {last.status} {last.n_done}" if last else "none"
