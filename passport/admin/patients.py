"""Passport holders with their numbers, and the numbers that stand for none."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from passport import registration
from passport.admin.audited import AuditedAdmin
from passport.admin.standing import StandingPages
from passport.admin_site import actor_of, moment, short_id
from passport.audit import record_event
from passport.models import Consent, Patient, PatientIdentifier, PlaceholderNumber

#: What a Patient itself holds; the number is a row of its own.
PATIENT_FIELDS = ("given_name", "family_name", "birth_date", "sex", "email", "phone")


class PatientForm(forms.ModelForm):  # type: ignore[type-arg]
    national_id = forms.CharField(
        label="National ID",
        max_length=registration.MAX_LENGTH * 2,
        required=False,
        help_text="Letters and digits count, in any writing. A reissued number is added to the ones below.",
    )

    consent = forms.ChoiceField(
        choices=[("", "none recorded"), *Consent.How.choices],
        required=False,
        help_text="How the holder agreed to a passport; of a new one only. Later: on the page “Standing”.",
    )

    class Meta:
        model = Patient
        fields = PATIENT_FIELDS

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.instance._state.adding and settings.REQUIRE_CONSENT and not cleaned.get("consent"):
            self.add_error("consent", str(registration.ConsentMissing()))
        self._check_number(cleaned.get("national_id", ""))
        try:
            registration.check_fields(self.instance_as_typed(cleaned), now=timezone.now())
        except registration.FieldInvalid as error:
            self.add_error(error.field_name, str(error))
        return cleaned

    def _check_number(self, national_id: str) -> None:
        if not national_id:
            if self.instance._state.adding:
                self.add_error("national_id", "A passport begins with a National ID.")
            return
        if self.instance.merged_into_id is not None:
            self.add_error("national_id", str(registration.PassportMerged()))
            return
        try:
            registration.acceptable_number(national_id)
        except registration.RegistrationRefused as error:
            self.add_error("national_id", str(error))
            return
        owner = registration.find_patient(national_id=national_id)
        if owner is not None and owner.pk != self.instance.pk:
            self.add_error("national_id", str(registration.NumberTaken()))

    def instance_as_typed(self, cleaned: dict[str, Any]) -> Patient:
        typed = {name: cleaned[name] for name in PATIENT_FIELDS if name in cleaned}
        return Patient(created_at=timezone.now(), **typed)


class ConsentFilter(admin.SimpleListFilter):
    title = "agreement"
    parameter_name = "agreed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "recorded"), ("no", "none recorded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Patient]) -> QuerySet[Patient]:
        open_ones = Consent.objects.filter(withdrawn_at__isnull=True).values("patient")
        if self.value() is None:
            return queryset
        return queryset.filter(pk__in=open_ones) if self.value() == "yes" else queryset.exclude(pk__in=open_ones)


class IdentifierInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PatientIdentifier
    fields = readonly_fields = ("number", "created_at")
    extra = 0
    can_delete = False
    verbose_name_plural = "National IDs"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # by the field above, which knows what a number is


@admin.register(Patient)
class PatientAdmin(StandingPages, AuditedAdmin):
    when_empty = "Nobody holds a passport yet. Add somebody, or register many with ./run manage register_patients."
    form = PatientForm
    fields = (
        *("national_id", "given_name", "family_name", "birth_date", "sex", "email", "phone", "consent"),
        *("user", "created_at", "died_on", "merged_into"),
    )
    readonly_fields = ("user", "created_at", "died_on", "merged_into")
    inlines = (IdentifierInline,)
    list_display = ("short_id", "given_name", "family_name", "birth_date", "sex", "since", "agreed", "stands")
    list_filter = (ConsentFilter,)
    list_display_links = ("short_id", "family_name")
    # By POST only would be better, but the address of admin's search is in nobody's log: see passport.logs.
    search_fields = ("=id", "given_name", "family_name")
    ordering = ("-created_at",)
    show_full_result_count = False

    @admin.display(description="patient", ordering="pk")
    def short_id(self, patient: Patient) -> str:
        return short_id(patient.pk)

    @admin.display(description="registered (UTC)", ordering="created_at")
    def since(self, patient: Patient) -> str:
        return moment(patient.created_at)

    @admin.display(description="agreed", boolean=True)
    def agreed(self, patient: Patient) -> bool:
        return bool(patient.has_open_consent)  # type: ignore[attr-defined]  # annotated below

    @admin.display(description="stands")
    def stands(self, patient: Patient) -> str:
        return "merged" if patient.merged_into_id else "died" if patient.died_on else "open"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Patient]:
        open_ones = Consent.objects.filter(patient=OuterRef("pk"), withdrawn_at__isnull=True)
        found: QuerySet[Patient] = super().get_queryset(request)
        return found.annotate(has_open_consent=Exists(open_ones))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Patient, form: Any, change: bool) -> None:
        national_id, now = form.cleaned_data.get("national_id", ""), timezone.now()
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in PATIENT_FIELDS])
            if {"sex", "birth_date"} & set(form.changed_data):
                registration.judge_again(patient=obj, now=now)
            if national_id:
                registration.add_identifier(patient=obj, national_id=national_id, actor=actor_of(request), now=now)
            return
        fields = {name: form.cleaned_data[name] for name in (*PATIENT_FIELDS, "consent")}
        registered = registration.register_patient(national_id=national_id, actor=actor_of(request), now=now, **fields)
        obj.pk, obj.created_at = registered.patient.pk, registered.patient.created_at
        obj._state.adding = False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        patient = self.get_object(request, object_id)
        if patient is not None and request.method == "GET":
            record_event(
                action="patient_opened_in_admin", actor=actor_of(request), now=timezone.now(), patient_id=patient.pk
            )
        return super().change_view(request, object_id, form_url, extra_context)

    def patient_id_of(self, obj: Patient) -> UUID | None:
        return obj.pk


class PlaceholderForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = PlaceholderNumber
        fields = ("number",)

    def clean_number(self) -> str:
        number = registration.normalise_national_id(self.cleaned_data["number"])
        if number is None:
            raise ValidationError("This counts as no number in any case. Nothing needs to be done.")
        if registration.find_patient(national_id=number) is not None:
            raise ValidationError("A patient is registered with this number. Find out whose it is first.")
        return number


@admin.register(PlaceholderNumber)
class PlaceholderAdmin(AuditedAdmin):
    form = PlaceholderForm
    list_display = ("number",)
    search_fields = ("number",)
