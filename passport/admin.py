"""Accounts, patients with their numbers and grants, placeholders; the audit chain to read. Changes leave audit rows.

Here admins manage who there is. What is recorded about a patient they see through `access` like everyone else.
"""

import datetime as dt
from importlib import import_module
from typing import Any
from uuid import UUID

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from passport import accounts, registration, upward
from passport.admin_site import moment, short_id
from passport.audit import record_event
from passport.models import AccessGrant, AuditEvent, Patient, PatientIdentifier, PlaceholderNumber, User
from passport.models.accounts import Role

#: Their own pages would let an admin call any function, replay tasks, or read tokens.
HIDDEN = {
    "django_q": ("Schedule", "Success", "Failure", "OrmQ"),
    "token_blacklist": ("OutstandingToken", "BlacklistedToken"),
}
ADMIN_MODULES = ("django_q.admin", "rest_framework_simplejwt.token_blacklist.admin")


def hide_foreign_pages() -> None:
    """Take the pages of the queue and of the tokens out of admin. Imported first: each registers itself once."""
    for module in ADMIN_MODULES:
        import_module(module)
    for app_label, names in HIDDEN.items():
        for name in names:
            model = apps.get_model(app_label, name)
            if admin.site.is_registered(model):
                admin.site.unregister(model)


hide_foreign_pages()
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Writes to the audit chain what Django writes to the admin's own history, in the same transaction."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "added", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "changed", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            self._record(request, obj, "deleted", None)
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, obj: Model, what: str, message: Any) -> None:
        record_event(
            action=f"{obj._meta.model_name}_{what}_in_admin",
            actor=_actor(request),
            now=timezone.now(),
            patient_id=self.patient_id_of(obj),
            details={"id": str(obj.pk), "fields": _changed_fields(message)},
        )

    def patient_id_of(self, obj: Any) -> UUID | None:
        return getattr(obj, "patient_id", None)


# type-arg: Django's classes take no argument at run time.


def _actor(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _changed_fields(message: Any) -> list[str]:
    """Names of the fields that changed; never what they hold."""
    parts = message if isinstance(message, list) else []
    return [str(name) for part in parts for name in part.get("changed", {}).get("fields", [])]


# --- accounts ---------------------------------------------------------------------------------------------------------


class UsernameChecks:
    """A National ID is never a username."""

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]  # type: ignore[attr-defined]  # of the form it is mixed into
        try:
            accounts.check_username(username)
        except accounts.AccountRefused as error:
            raise ValidationError(str(error)) from None
        return username


class AddAccountForm(UsernameChecks, AdminUserCreationForm):  # type: ignore[type-arg]
    usable_password = None  # type: ignore[assignment]  # takes the field away: everyone here logs in with a password


class ChangeAccountForm(UsernameChecks, UserChangeForm):  # type: ignore[type-arg]
    pass


@admin.register(User)
class AccountAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    add_form = AddAccountForm
    form = ChangeAccountForm
    list_display = ("username", "role", "hospital", "is_active", "shown_last_login")
    list_filter = ("role", "is_active")
    list_select_related = ("hospital",)
    search_fields = ("username", "first_name", "last_name")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("role", "hospital", "is_active")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "hospital", "password1", "password2")}),)

    @admin.display(description="last log-in (UTC)", ordering="last_login")
    def shown_last_login(self, account: User) -> str:
        return moment(account.last_login)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # The role alone says what an account may do; Django's own flags follow it.
        obj.is_staff = obj.is_superuser = obj.role == Role.ADMIN
        super().save_model(request, obj, form, change)


# --- patients ---------------------------------------------------------------------------------------------------------


#: What a Patient itself holds; the number is a row of its own.
PATIENT_FIELDS = ("given_name", "family_name", "birth_date", "sex", "email", "phone")


class PatientForm(forms.ModelForm):  # type: ignore[type-arg]
    national_id = forms.CharField(
        max_length=registration.MAX_LENGTH * 2,
        required=False,
        help_text="Letters and digits count, in any writing. A reissued number is added to the ones below.",
    )

    class Meta:
        model = Patient
        fields = PATIENT_FIELDS

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
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


class IdentifierInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PatientIdentifier
    fields = readonly_fields = ("number", "created_at")
    extra = 0
    can_delete = False
    verbose_name_plural = "National IDs"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # by the field above, which knows what a number is


@admin.register(Patient)
class PatientAdmin(AuditedAdmin):
    form = PatientForm
    fields = ("national_id", "given_name", "family_name", "birth_date", "sex", "email", "phone", "user", "created_at")
    readonly_fields = ("user", "created_at")
    inlines = (IdentifierInline,)
    list_display = ("short_id", "given_name", "family_name", "birth_date", "sex", "since")
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

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Patient, form: Any, change: bool) -> None:
        national_id, now = form.cleaned_data.get("national_id", ""), timezone.now()
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name != "national_id"])
            if {"sex", "birth_date"} & set(form.changed_data):
                registration.judge_again(patient=obj, now=now)
            if national_id:
                registration.add_identifier(patient=obj, national_id=national_id, actor=_actor(request), now=now)
            return
        fields = {name: form.cleaned_data[name] for name in PATIENT_FIELDS}
        registered = registration.register_patient(national_id=national_id, actor=_actor(request), now=now, **fields)
        obj.pk, obj.created_at = registered.patient.pk, registered.patient.created_at
        obj._state.adding = False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        patient = self.get_object(request, object_id)
        if patient is not None and request.method == "GET":
            record_event(
                action="patient_opened_in_admin", actor=_actor(request), now=timezone.now(), patient_id=patient.pk
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
    search_fields = ("number",)


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = AccessGrant
        fields = ("patient", "doctor", "hospital", "ends_at")

    def clean_ends_at(self) -> dt.datetime:
        ends_at: dt.datetime = self.cleaned_data["ends_at"]
        if ends_at <= timezone.now():
            raise ValidationError("The end must lie ahead.")
        return ends_at

    def clean_doctor(self) -> User | None:
        doctor: User | None = self.cleaned_data["doctor"]
        if doctor is not None and not doctor.is_doctor:
            raise ValidationError("This account is no doctor's.")
        return doctor


@admin.register(AccessGrant)
class GrantAdmin(AuditedAdmin):
    form = GrantForm
    raw_id_fields = ("patient", "doctor")
    list_display = ("patient_short_id", "doctor", "hospital", "since", "until")
    list_select_related = ("doctor", "hospital")
    ordering = ("-created_at",)

    @admin.display(description="patient", ordering="patient_id")
    def patient_short_id(self, grant: AccessGrant) -> str:
        return short_id(grant.patient_id)

    @admin.display(description="since (UTC)", ordering="created_at")
    def since(self, grant: AccessGrant) -> str:
        return moment(grant.created_at)

    @admin.display(description="until (UTC)", ordering="ends_at")
    def until(self, grant: AccessGrant) -> str:
        return moment(grant.ends_at)

    def save_model(self, request: HttpRequest, obj: AccessGrant, form: Any, change: bool) -> None:
        if not change:
            obj.created_at = timezone.now()
        super().save_model(request, obj, form, change)


# --- the audit chain --------------------------------------------------------------------------------------------------


#: Names of models as they stand in actions → as people write them.
MODEL_WORDS = {"placeholdernumber": "placeholder number", "accessgrant": "access grant"}


@admin.register(AuditEvent)
class AuditAdmin(ModelAdmin):  # type: ignore[type-arg]
    """To read. The database refuses changes too."""

    list_display = ("seq", "shown_at", "what", "who", "whose", "where", "why")
    list_display_links = ("seq",)
    search_fields = ("^action", "=patient_id", "=actor_id")
    search_help_text = "Beginning of an action, or the whole id of a patient or account."
    ordering = ("-seq",)
    show_full_result_count = False
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """With the names of accounts and hospitals that are still there: the chain itself holds ids alone."""
        account = User.objects.filter(pk=OuterRef("actor_id")).values("username")
        hospital = upward.hospitals().filter(pk=OuterRef("hospital_id")).values("name")
        found: QuerySet[AuditEvent] = super().get_queryset(request)
        return found.annotate(actor_name=Subquery(account[:1]), hospital_name=Subquery(hospital[:1]))

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        # The list shows "login failed", the chain holds login_failed.
        return super().get_search_results(request, queryset, "_".join(search_term.split()))

    @admin.display(description="when (UTC)", ordering="seq")
    def shown_at(self, event: AuditEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="what", ordering="action")
    def what(self, event: AuditEvent) -> str:
        return " ".join(MODEL_WORDS.get(word, word) for word in event.action.split("_"))

    @admin.display(description="why")
    def why(self, event: AuditEvent) -> str:
        return event.basis.replace("_", " ") or "–"

    @admin.display(description="who")
    def who(self, event: AuditEvent) -> str:
        name = event.actor_name or short_id(event.actor_id)  # type: ignore[attr-defined]  # annotated above
        return f"{name} ({event.actor_role})" if event.actor_id else event.actor_role

    @admin.display(description="patient")
    def whose(self, event: AuditEvent) -> str:
        return short_id(event.patient_id)

    @admin.display(description="hospital")
    def where(self, event: AuditEvent) -> str:
        return event.hospital_name or short_id(event.hospital_id)  # type: ignore[attr-defined]  # annotated above

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
