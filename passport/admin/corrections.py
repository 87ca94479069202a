"""Requests for a correction, for a hospital's records officer: which row, what the patient says; the answer to them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import Truncator

from passport.access import AccessRefused
from passport.admin_site import actor_of, moment, short_id
from passport.corrections import OPEN, State, answering
from passport.models import CorrectionRequest
from passport.sheets import encoded


class AnswerForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = CorrectionRequest
        fields = ("state", "answer")
        widgets = {"answer": forms.Textarea(attrs={"rows": 4})}
        labels = {"state": "Outcome", "answer": "Words to the patient"}
        help_texts = {
            "answer": "They read it on their pages. Answered: it was looked at, and what was done. Declined: why not. "
            "A request whose row is changed at the source closes by itself and needs no answer."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "state" in self.fields:  # not on the page of one that is over
            field: Any = self.fields["state"]
            field.choices = [("", "Choose one"), *((one.value, one.label) for one in answering.OUTCOMES)]
            self.initial["state"] = ""

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        current = CorrectionRequest.objects.get(pk=self.instance.pk)
        if self.errors:
            return found
        try:
            answering.check_answer(request=current, outcome=found.get("state", ""), words=found.get("answer", ""))
        except AccessRefused as refusal:
            self.add_error(refusal.field if refusal.field in self.fields else None, str(refusal))
        return found


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "waiting for the hospital"), *State.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(state__in=OPEN)
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(CorrectionRequest)
class CorrectionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    when_empty = "Nobody has asked for a correction."
    form = AnswerForm
    list_display = ("asked", "hospital", "row", "reason", "said", "state", "changed", "patient_short_id")
    list_display_links = ("asked",)
    list_select_related = ("hospital",)
    list_filter = (StateFilter, "hospital", "reason")
    search_fields = ("=source_uuid", "=source_id")
    search_help_text = "The id or the uuid of the hospital's row."
    ordering = ("-asked_at",)
    actions = ("export",)
    show_full_result_count = False

    @admin.display(description="asked (UTC)", ordering="asked_at")
    def asked(self, request: CorrectionRequest) -> str:
        return moment(request.asked_at)

    @admin.display(description="state since (UTC)", ordering="state_at")
    def changed(self, request: CorrectionRequest) -> str:
        return moment(request.state_at)

    @admin.display(description="row")
    def row(self, request: CorrectionRequest) -> str:
        return f"{request.table} {request.source_id}"

    @admin.display(description="words")
    def said(self, request: CorrectionRequest) -> str:
        return Truncator(request.words).chars(80)

    @admin.display(description="uuid of the row")
    def uuid(self, request: CorrectionRequest) -> str:
        return "–" if "/" in request.source_uuid else request.source_uuid

    @admin.display(description="patient")
    def patient_short_id(self, request: CorrectionRequest) -> str:
        return short_id(request.patient_id)

    @admin.display(description="hospital told (UTC)")
    def told(self, request: CorrectionRequest) -> str:
        return moment(request.mailed_at) if request.mailed_at else "not by mail"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("asked", "hospital", "row", "uuid", "reason", "words", "patient_short_id", "told", "changed")
        return [(None, {"fields": fields}), ("Answer", {"fields": ("state", "answer")})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = ("asked", "hospital", "row", "uuid", "reason", "words", "patient_short_id", "told", "changed")
        return shown if obj is None or obj.state in OPEN else (*shown, "state", "answer")

    @admin.action(description="Export as CSV for the hospital", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[CorrectionRequest]) -> HttpResponse:
        now = timezone.now()
        text = answering.export(requests=queryset.select_related("hospital"), actor=actor_of(request), now=now)
        answer = HttpResponse(
            encoded(text), content_type="text/csv; charset=utf-8", headers={"Cache-Control": "no-store"}
        )
        answer["Content-Disposition"] = f'attachment; filename="corrections-{now:%Y-%m-%d}.csv"'
        return answer

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.state in OPEN)

    def save_model(self, request: HttpRequest, obj: CorrectionRequest, form: Any, change: bool) -> None:
        given = form.cleaned_data
        answering.answer(
            request=obj,
            actor=actor_of(request),
            outcome=given["state"],
            words=given["answer"],
            now=timezone.now(),
        )
