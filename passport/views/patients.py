"""The doctor's search. The number travels in the body of a POST: an address would keep it in histories and logs."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from passport import access
from passport.forms import FindPatientForm
from passport.models import User
from passport.views.session import logged_in


@sensitive_post_parameters("national_id")
@require_http_methods(["GET", "HEAD", "POST"])
@logged_in
def find_patient(request: HttpRequest, account: User) -> HttpResponse:
    if not (account.is_doctor or account.is_admin):
        return render(request, "passport/refused.html", {"own_home": True}, status=403)
    form = FindPatientForm(request.POST if request.method == "POST" else None)
    refusal, status, may_break_glass = "", 200, False
    if form.is_bound and form.is_valid():
        try:
            opened = access.open_record(
                user=account,
                national_id=form.cleaned_data["national_id"],
                action=access.Action.FIND,
                now=timezone.now(),
            )
        except access.AskedTooOften:
            refusal, status = _("You have searched very often. Wait ten minutes, then go on."), 429
        except access.NotAllowed:
            refusal, status, may_break_glass = _not_opened(), 403, account.is_doctor
        else:
            return HttpResponseRedirect(reverse("patient_overview", args=[opened.patient.pk]))
    context = {"form": form, "refusal": refusal, "may_break_glass": may_break_glass}
    return render(request, "passport/find_patient.html", context, status=status)


def _not_opened() -> str:
    # One sentence for an unknown number and for a missing right: the page must not tell who holds a passport.
    return _(
        "No record can be opened with this number. Check it; if it is right, nobody holds a passport under it, "
        "or the patient has no recent entry from your hospital and has not let you in."
    )
