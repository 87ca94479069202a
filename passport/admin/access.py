"""Who may see whom, as far as admins have a say. What patients keep back is not shown here."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from passport.access import AccessRefused, proxies
from passport.admin.audited import AuditedAdmin, ShownLookups
from passport.admin_site import actor_of, moment, short_id
from passport.models import AccessGrant, Proxy, User
from passport.models.access import SensitiveSet


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = AccessGrant
        fields = ("patient", "doctor", "hospital", "ends_at")
        help_texts = {"hospital": "With a doctor: it counts only while they work there. Alone: every doctor there."}

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
    """On a patient's signed wish, for those who have no login. Patients make their own on their pages."""

    when_empty = "Nobody has let anybody in."
    form = GrantForm
    raw_id_fields = ("patient", "doctor")
    list_display = ("patient_short_id", "to", "hospital", "since", "until", "ended")
    list_select_related = ("doctor", "hospital")
    ordering = ("-created_at",)

    @admin.display(description="patient", ordering="patient_id")
    def patient_short_id(self, grant: AccessGrant) -> str:
        return short_id(grant.patient_id)

    @admin.display(description="doctor")
    def to(self, grant: AccessGrant) -> str:
        if grant.doctor:
            return grant.doctor.get_username()
        return "a name that nobody goes by" if grant.named else "every doctor"

    @admin.display(description="since (UTC)", ordering="created_at")
    def since(self, grant: AccessGrant) -> str:
        return moment(grant.created_at)

    @admin.display(description="until (UTC)", ordering="ends_at")
    def until(self, grant: AccessGrant) -> str:
        return moment(grant.ends_at)

    @admin.display(description="ended before (UTC)", ordering="ended_at")
    def ended(self, grant: AccessGrant) -> str:
        return moment(grant.ended_at)

    def has_change_permission(self, request: HttpRequest, obj: AccessGrant | None = None) -> bool:
        # What a patient made or ended, only the patient changes.
        is_patients = obj is not None and (bool(obj.named) or obj.ended_at is not None)
        return super().has_change_permission(request, obj) and not is_patients

    def save_model(self, request: HttpRequest, obj: AccessGrant, form: Any, change: bool) -> None:
        if not change:
            obj.created_at = timezone.now()
        super().save_model(request, obj, form, change)


class ProxyForm(forms.ModelForm):  # type: ignore[type-arg]
    sensitive = forms.MultipleChoiceField(
        label="Sensitive subjects",
        choices=SensitiveSet.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What this guardian sees too. Only for a patient without a login, such as a small child.",
    )

    class Meta:
        model = Proxy
        fields = ("patient", "carer", "kind", "reason", "ends_at", "sensitive")
        help_texts = {
            "reason": "Such as: mother, birth certificate seen. No health information.",
            "carer": "The login of the one who reads for the patient.",
        }

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                proxies.check(now=timezone.now(), **{name: found[name] for name in self.Meta.fields})
            except AccessRefused as refusal:
                self.add_error(refusal.field or None, str(refusal))
        return found


@admin.register(Proxy)
class ProxyAdmin(ShownLookups):
    """Guardians by an admin, carers by the patient. Which sensitive sets a patient opened to them is theirs to know."""

    form = ProxyForm
    raw_id_fields = ("patient", "carer")
    list_display = ("patient_short_id", "carer", "kind", "reason", "since", "until", "ended")
    list_select_related = ("carer",)
    list_filter = ("kind",)
    ordering = ("-created_at",)
    actions = ("end",)

    @admin.display(description="patient", ordering="patient_id")
    def patient_short_id(self, proxy: Proxy) -> str:
        return short_id(proxy.patient_id)

    @admin.display(description="since (UTC)", ordering="created_at")
    def since(self, proxy: Proxy) -> str:
        return moment(proxy.created_at)

    @admin.display(description="until (UTC)", ordering="ends_at")
    def until(self, proxy: Proxy) -> str:
        return moment(proxy.ends_at)

    @admin.display(description="ended before (UTC)", ordering="ended_at")
    def ended(self, proxy: Proxy) -> str:
        return moment(proxy.ended_at)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        # Asked for when one is made, and shown of none: the patient may have chosen otherwise since.
        return [name for name in super().get_fields(request, obj) if obj is None or name != "sensitive"]

    @admin.action(description="End now", permissions=["view"])
    def end(self, request: HttpRequest, queryset: QuerySet[Proxy]) -> None:
        actor, now = actor_of(request), timezone.now()
        n_ended = sum(proxies.end_proxy(proxy_id=proxy.pk, actor=actor, now=now) for proxy in queryset)
        self.message_user(request, f"{n_ended} ended.")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # end it, and make another

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Proxy, form: Any, change: bool) -> None:
        made = proxies.make_proxy(actor=actor_of(request), now=timezone.now(), **form.cleaned_data)
        obj.pk, obj.created_at = made.pk, made.created_at
        obj._state.adding = False
