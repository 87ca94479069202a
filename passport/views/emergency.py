"""Breaking the glass. Until the record itself is asked for, nothing tells whether anybody holds the number."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from passport import access
from passport.access import AccessRefused, Action, emergencies
from passport.models import User
from passport.permission_forms import EmergencyForm, EmergencyReasonForm
from passport.views import words
from passport.views.permission_words import emergency_who
from passport.views.record import refused
from passport.views.session import logged_in


@sensitive_post_parameters("national_id", "reason")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def emergency(request: HttpRequest, account: User) -> HttpResponse:
    """For a National ID. The doctor's search posts a number here without a reason: then the form is shown with it."""
    bound = request.POST if request.method == "POST" and "reason" in request.POST else None
    form = EmergencyForm(bound, initial={"national_id": request.POST.get("national_id", "")})
    return _ask(request, account, form)


@sensitive_post_parameters("reason")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def patient_emergency(request: HttpRequest, account: User, patient_id: UUID) -> HttpResponse:
    """For a record whose address is known, such as one that is open and of which something is kept back."""
    form = EmergencyReasonForm(request.POST if request.method == "POST" else None)
    return _ask(request, account, form, patient_id=patient_id)


def _ask(
    request: HttpRequest, account: User, form: EmergencyForm | EmergencyReasonForm, patient_id: UUID | None = None
) -> HttpResponse:
    if not account.is_doctor:
        return refused(request, account, patient_id=patient_id)
    status = 200
    if form.is_bound and form.is_valid():
        number = form.cleaned_data.get("national_id")
        try:
            opened = emergencies.break_glass(
                user=account,
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
                **({"patient_id": patient_id} if patient_id else {"national_id": number}),
            )
        except AccessRefused as refusal:
            form.add_error(refusal.field or None, str(refusal))
            status = 400 if refusal.field else 429
        else:
            return HttpResponseRedirect(reverse("emergency_opened", args=[opened.pk]))
    elif form.is_bound:
        status = 400
    is_named = patient_id is not None or bool(form["national_id"].value())
    form.fields["reason" if is_named else "national_id"].widget.attrs["autofocus"] = True
    context = {"form": form, "minutes": int(emergencies.LASTS.total_seconds() // 60), "address": request.path}
    context["who"] = emergency_who(doctor=account, hospital_name=account.hospital.name if account.hospital else "")
    return render(request, "passport/emergency.html", context, status=status)


@require_safe
@logged_in
def emergency_opened(request: HttpRequest, account: User, emergency_id: UUID) -> HttpResponse:
    """The same page for a number that nobody holds."""
    found = emergencies.own_emergency(user=account, emergency_id=emergency_id, now=timezone.now())
    if found is None:
        return refused(request, account, patient_id=emergency_id)
    context = {"emergency": found, "until": words.time(found.ends_at)}
    return render(request, "passport/emergency_opened.html", context)


@require_safe
@logged_in
def emergency_record(request: HttpRequest, account: User, emergency_id: UUID) -> HttpResponse:
    now = timezone.now()
    found = emergencies.own_emergency(user=account, emergency_id=emergency_id, now=now)
    patient_id = found.patient_id if found else None
    try:
        opened = access.open_record(user=account, patient_id=patient_id or access.NOBODY, action=Action.FIND, now=now)
    except access.NotAllowed:
        return refused(request, account, patient_id=emergency_id)
    return HttpResponseRedirect(reverse("patient_overview", args=[opened.patient.pk]))
