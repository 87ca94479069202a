"""Emergencies, for the data protection officer: who broke the glass, why, what they looked at; and the review."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from passport.access import AccessRefused, emergencies
from passport.admin.audited import ShownLookups
from passport.admin_site import actor_of, moment, short_id
from passport.models import AuditEvent, EmergencyAccess
from passport.views import look_words


def _done(action: str) -> str:
    """`overview_read` → `opened the overview`. The patient's list says "your"."""
    words = str(look_words.ACTIONS.get(action, action.replace("_", " ")))
    return words.replace("your ", "the ")


class ReviewForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = EmergencyAccess
        fields = ("outcome", "review_note")
        help_texts = {
            "outcome": "The patient reads it in plain words, and that you follow it up. Unclear: ask the doctor, and "
            "come back. Not justified: the account can be closed under Accounts, and the hospital told.",
            "review_note": "For other officers, never shown to the patient: what you found out, and from whom. No name "
            "of a patient.",
        }

    reviewer: Any = None  # set per request

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        try:
            emergencies.check_review(emergency=self.instance, actor=self.reviewer, outcome=found.get("outcome", ""))
        except AccessRefused as refusal:
            self.add_error(refusal.field or None, str(refusal))
        return found


class ReviewedFilter(admin.SimpleListFilter):
    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "still to review"), ("done", "reviewed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reviewed_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(EmergencyAccess)
class EmergencyAdmin(ShownLookups):
    when_empty = "No record was opened in an emergency."
    form = ReviewForm
    list_display = ("begun", "doctor", "hospital", "patient_short_id", "reason", "verdict", "reviewed_by", "reviewed")
    list_display_links = ("begun",)
    list_select_related = ("doctor", "hospital", "reviewed_by")
    list_filter = (ReviewedFilter, "outcome", "hospital")
    ordering = ("reviewed_at", "-created_at")  # nulls first on SQLite and MySQL; the filter finds them everywhere
    readonly_fields = (
        *("begun", "until", "doctor", "hospital", "patient_short_id", "reason", "looks"),
        *("told", "reviewed_by", "reviewed"),
    )
    fieldsets = (
        (None, {"fields": ("begun", "until", "doctor", "hospital", "patient_short_id", "reason", "looks", "told")}),
        ("Review", {"fields": ("outcome", "review_note", "reviewed_by", "reviewed")}),
    )
    actions = None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.reviewer = actor_of(request)
        return form

    @admin.display(description="begun (UTC)", ordering="created_at")
    def begun(self, emergency: EmergencyAccess) -> str:
        return moment(emergency.created_at)

    @admin.display(description="until (UTC)", ordering="ends_at")
    def until(self, emergency: EmergencyAccess) -> str:
        return moment(emergency.ends_at)

    @admin.display(description="reviewed (UTC)", ordering="reviewed_at")
    def reviewed(self, emergency: EmergencyAccess) -> str:
        return moment(emergency.reviewed_at)

    @admin.display(description="outcome", ordering="outcome")
    def verdict(self, emergency: EmergencyAccess) -> str:
        return emergency.get_outcome_display() or "still to review"

    @admin.display(description="patient")
    def patient_short_id(self, emergency: EmergencyAccess) -> str:
        return short_id(emergency.patient_id) if emergency.patient_id else "nobody holds the number"

    @admin.display(description="looks in that hour")
    def looks(self, emergency: EmergencyAccess) -> str:
        """How many, by what was looked at, in the words that the patient reads; counted in the audit chain."""
        events = AuditEvent.objects.filter(
            patient_id=emergency.patient_id,
            actor_id=emergency.doctor_id,
            basis="break_glass",
            at__gte=emergency.created_at,
            at__lt=emergency.ends_at,
        ).exclude(action__startswith="break_glass")
        counted: dict[str, int] = {}
        for action in events.values_list("action", flat=True) if emergency.patient_id else ():
            counted[action] = counted.get(action, 0) + 1
        told = [f"{_done(action)}{f' ({n} times)' if n > 1 else ''}" for action, n in sorted(counted.items())]
        return ", ".join(told) or "none: the record was not opened"

    @admin.display(description="patient told")
    def told(self, emergency: EmergencyAccess) -> str:
        if emergency.patient_id is None:
            return "nobody: no passport has this number"
        by_mail = f"mail {moment(emergency.mailed_at)} UTC" if emergency.mailed_at else "no mail sent"
        seen = f"read {moment(emergency.seen_at)} UTC" if emergency.seen_at else "not read yet"
        if emergency.seen_at and not emergencies.is_read(emergency):
            seen += ", the outcome not yet"
        return f"on their pages ({seen}); {by_mail}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: EmergencyAccess, form: Any, change: bool) -> None:
        given = form.cleaned_data
        actor = actor_of(request)
        if actor is not None:  # the site lets nobody else in
            emergencies.review(
                emergency=obj,
                actor=actor,
                outcome=given["outcome"],
                note=given["review_note"],
                now=timezone.now(),
            )
