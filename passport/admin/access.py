"""Who may see whom, as far as admins have a say."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from passport.admin.audited import AuditedAdmin
from passport.admin_site import moment, short_id
from passport.models import AccessGrant, User


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
