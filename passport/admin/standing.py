"""What becomes of a passport: codes of the desk, corrected numbers, merges, death, consent, deletion by law."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters

from passport import claiming, erasure, merging, registration, standing
from passport.admin_site import actor_of
from passport.audit import record_event
from passport.models import Consent, Merge, Patient, PatientIdentifier, User
from passport.views import credentials
from passport.views.session import address_of

REFUSALS = (
    claiming.CodeNotIssued,
    erasure.ErasureRefused,
    merging.MergeRefused,
    registration.RegistrationRefused,
    standing.StandingRefused,
)
DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class CodeForm(forms.Form):
    """Nothing to type."""


class NumberForm(forms.Form):
    identifier = forms.ModelChoiceField(PatientIdentifier.objects.none(), label="Wrong number")
    national_id = forms.CharField(label="Right number", max_length=registration.MAX_LENGTH * 2)
    keeps_old = forms.BooleanField(label="The old number was this person's too: keep it as an alias", required=False)

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["identifier"]
        field.queryset = patient.identifiers.order_by("created_at")
        field.label_from_instance = lambda identifier: identifier.number


class MergeForm(forms.Form):
    other = forms.UUIDField(label="Id of the other passport, which ends")
    confirmation = forms.UUIDField(label="The same id once more")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("other") != cleaned.get("confirmation"):
            raise forms.ValidationError("The two ids are not the same. Compare both passports first.")
        return cleaned


class UndoMergeForm(forms.Form):
    merge = forms.ModelChoiceField(Merge.objects.none(), label="Which")

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["merge"]
        field.queryset = Merge.objects.filter(kept=patient, undone_at__isnull=True)
        field.label_from_instance = lambda merge: f"{merge.merged_id} of {merge.merged_at:%Y-%m-%d %H:%M} UTC"


class DeathForm(forms.Form):
    died_on = forms.DateField(label="Day of death", widget=DAY)


class ConsentForm(forms.Form):
    how = forms.ChoiceField(label="How it was given", choices=Consent.How.choices)


class EraseForm(forms.Form):
    confirmation = forms.CharField(label="The whole id of this passport", max_length=40)
    password = forms.CharField(label="Your own password", strip=False, widget=forms.PasswordInput, max_length=4096)


class StandingPages(ModelAdmin):  # type: ignore[type-arg]
    """Adds the page “Standing” to a patient's page. Each of its forms posts `what`."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(sensitive_post_parameters()(self.standing))
        return [
            path("<uuid:patient_id>/standing/", view, name="passport_patient_standing"),
            *super().get_urls(),
        ]

    def standing(self, request: HttpRequest, patient_id: UUID) -> HttpResponse:
        actor = actor_of(request)
        if not self.has_change_permission(request):
            raise PermissionDenied
        patient = Patient.objects.select_related("user").filter(pk=patient_id).first()
        if patient is None:
            raise Http404
        if request.method == "POST":
            return self._do(request, patient, actor)
        record_event(action="patient_opened_in_admin", actor=actor, now=timezone.now(), patient_id=patient.pk)
        return self._page(request, patient)

    def _do(self, request: HttpRequest, patient: Patient, actor: User) -> HttpResponse:
        verb = VERBS.get(request.POST.get("what", ""))
        if verb is None:
            raise Http404
        form = verb.form(request.POST, patient)
        if not form.is_valid():
            return self._page(request, patient, spoiled=form, what=request.POST["what"])
        try:
            said = verb.do(request, patient, actor, form.cleaned_data)
        except REFUSALS as refused:
            form.add_error(None, str(refused))
            return self._page(request, patient, spoiled=form, what=request.POST["what"])
        if verb.is_shown_once:
            # not as a message, which would lie in the session: on this page and nowhere else
            return self._page(request, patient, said=said)
        messages.success(request, said)
        if not Patient.objects.filter(pk=patient.pk).exists():
            return HttpResponseRedirect(reverse("admin:passport_patient_changelist"))
        return HttpResponseRedirect(reverse("admin:passport_patient_standing", args=[patient.pk]))

    def _page(
        self,
        request: HttpRequest,
        patient: Patient,
        *,
        spoiled: forms.Form | None = None,
        what: str = "",
        said: str = "",
    ) -> HttpResponse:
        shown = [
            {
                "what": name,
                "title": verb.title,
                "help": verb.help,
                "button": verb.button,
                "form": _with_own_ids(
                    name, spoiled if spoiled is not None and name == what else verb.form(None, patient)
                ),
            }
            for name, verb in VERBS.items()
            if verb.fits(patient)
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "Standing of a passport",
            "opts": self.opts,
            "patient": patient,
            "consents": Consent.objects.filter(patient=patient).order_by("-given_at"),
            "verbs": shown,
            "said": said,
        }
        return TemplateResponse(request, "admin/passport/standing.html", context)


def _with_own_ids(name: str, form: forms.Form) -> forms.Form:
    """Several forms share a page, and some of their fields a name."""
    form.auto_id = f"id_{name}_%s"
    return form


# --- the verbs --------------------------------------------------------------------------------------------------------


class Verb:
    """One form of the page, and what it does."""

    def __init__(
        self,
        title: str,
        help: str,
        button: str,
        form: Callable[[Any, Patient], forms.Form],
        do: Callable[[HttpRequest, Patient, User, dict[str, Any]], str],
        fits: Callable[[Patient], bool] = lambda patient: patient.merged_into_id is None,
        *,
        is_shown_once: bool = False,
    ) -> None:
        self.title, self.help, self.button, self.form, self.do, self.fits = title, help, button, form, do, fits
        self.is_shown_once = is_shown_once


def _issue_code(_request: HttpRequest, patient: Patient, actor: User, _typed: dict[str, Any]) -> str:
    return claiming.issue_code(patient=patient, actor=actor, now=timezone.now())


def _correct(_request: HttpRequest, _patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    registration.correct_identifier(**typed, actor=actor, now=timezone.now())
    return "The number is corrected. What was linked is hidden until each hospital was looked at again."


def _merge(_request: HttpRequest, patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    other = Patient.objects.filter(pk=typed["other"]).first()
    if other is None:
        raise merging.MergeRefused("There is no passport with this id. Copy it from its page.")
    merging.merge(kept=patient, merged=other, actor=actor, now=timezone.now())
    return "The two are one. Entries of the other come back as each hospital is looked at again."


def _undo_merge(_request: HttpRequest, _patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    merging.undo(merge=typed["merge"], actor=actor, now=timezone.now())
    return "The two are apart again. Entries come back as each hospital is looked at again."


def _record_death(_request: HttpRequest, patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    standing.record_death(patient=patient, died_on=typed["died_on"], actor=actor, now=timezone.now())
    return "The death is recorded and the login closed. The record stays."


def _take_back_death(_request: HttpRequest, patient: Patient, actor: User, _typed: dict[str, Any]) -> str:
    standing.take_back_death(patient=patient, actor=actor, now=timezone.now())
    return "The passport and its login are open again."


def _record_consent(_request: HttpRequest, patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    standing.record_consent(patient=patient, how=typed["how"], actor=actor, now=timezone.now())
    return "The agreement is recorded."


def _withdraw_consent(_request: HttpRequest, patient: Patient, actor: User, _typed: dict[str, Any]) -> str:
    standing.withdraw_consent(patient=patient, actor=actor, now=timezone.now())
    return "The agreement is withdrawn. No doctor reads the record any more, except in an emergency."


def _erase(request: HttpRequest, patient: Patient, actor: User, typed: dict[str, Any]) -> str:
    try:
        credentials.confirm_password(
            account=actor, password=typed["password"], address=address_of(request), now=timezone.now()
        )
    except credentials.LoginRefused:
        raise erasure.ErasureRefused(
            "This is not your password, or it was tried too often. Nothing was deleted."
        ) from None
    erased = erasure.erase(patient=patient, confirmation=typed["confirmation"], actor=actor, now=timezone.now())
    return f"Deleted: {erased.n_records} entries, {erased.n_links} links, {erased.n_identifiers} numbers."


def _plain(form: type[forms.Form]) -> Callable[[Any, Patient], forms.Form]:
    return lambda typed, _patient: form(typed)


VERBS: dict[str, Verb] = {
    "code": Verb(
        "Code for the patient",
        "See the identity card first. The code is shown once, good for one use, and ends the ones before.",
        "Issue a code",
        _plain(CodeForm),
        _issue_code,
        lambda patient: patient.merged_into_id is None and patient.died_on is None,
        is_shown_once=True,
    ),
    "number": Verb(
        "Correct a number",
        "What is linked is hidden until each hospital was looked at again. Without the tick the old number is free: "
        "another passport may have it.",
        "Correct",
        lambda typed, patient: NumberForm(typed, patient=patient),
        _correct,
    ),
    "merge": Verb(
        "Another passport of the same person",
        "Its numbers, links, permissions and, where this one has none, its login come here. It can be undone.",
        "Merge into this one",
        _plain(MergeForm),
        _merge,
    ),
    "undo_merge": Verb(
        "Take two passports apart again",
        "Everything that came with the merge goes back.",
        "Undo the merge",
        lambda typed, patient: UndoMergeForm(typed, patient=patient),
        _undo_merge,
        lambda patient: Merge.objects.filter(kept=patient, undone_at__isnull=True).exists(),
    ),
    "death": Verb(
        "Death",
        "The record stays, the login is closed. Doctors may read for the time in READ_AFTER_DEATH_DAYS.",
        "Record the death",
        _plain(DeathForm),
        _record_death,
        lambda patient: patient.died_on is None and patient.merged_into_id is None,
    ),
    "undo_death": Verb(
        "Death",
        "If it was a mistake: the passport and its login are open again.",
        "Take back the death",
        _plain(CodeForm),
        _take_back_death,
        lambda patient: patient.died_on is not None,
    ),
    "consent": Verb(
        "Agreement",
        "That the holder agreed to a passport.",
        "Record the agreement",
        _plain(ConsentForm),
        _record_consent,
        lambda patient: not standing.has_consent(patient),
    ),
    "withdraw": Verb(
        "Agreement",
        "From then on no doctor reads the record, except in an emergency.",
        "Withdraw the agreement",
        _plain(CodeForm),
        _withdraw_consent,
        standing.has_consent,
    ),
    "erase": Verb(
        "Deletion by law",
        "Deletes patient, numbers, links, entries, permissions and login for good, also from passports merged into "
        "this one. The audit keeps ids only. Hospitals keep what is theirs.",
        "Delete for good",
        _plain(EraseForm),
        _erase,
    ),
}
