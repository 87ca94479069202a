"""Concept rules in the admin: the admin's word on a concept, applied by reading everyone again."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync.admin.page import actor_of
from openmrs_sync.models import ConceptRule
from passport.audit import record_event
from passport.models import User
from passport.models.record import Category

if TYPE_CHECKING:
    _ConceptRuleAdmin = admin.ModelAdmin[ConceptRule]
    _RuleForm = forms.ModelForm[ConceptRule]
else:
    _ConceptRuleAdmin = admin.ModelAdmin
    _RuleForm = forms.ModelForm


class ConceptRuleForm(_RuleForm):
    category = forms.ChoiceField(choices=[("", "as it is"), *Category.choices], required=False)

    class Meta:
        model = ConceptRule
        fields = ["hospital", "concept_uuid", "category", "is_hidden", "note"]

    def clean_concept_uuid(self) -> str:
        return str(self.cleaned_data["concept_uuid"]).strip()


@admin.register(ConceptRule)
class ConceptRuleAdmin(_ConceptRuleAdmin):
    form = ConceptRuleForm
    list_display = ["concept_uuid", "where", "category", "is_hidden", "note"]
    list_filter = ["hospital", "category", "is_hidden"]
    list_select_related = ["hospital"]
    search_fields = ["concept_uuid", "note"]

    @admin.display(description="where", ordering="hospital")
    def where(self, rule: ConceptRule) -> str:
        return rule.hospital.name if rule.hospital else "every hospital"

    def save_model(self, request: HttpRequest, obj: ConceptRule, form: Any, change: bool) -> None:
        before = form.initial.get("hospital") if change else obj.hospital_id
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            _apply(hospital_ids={obj.hospital_id, before}, rule=obj, actor=actor_of(request))

    def delete_model(self, request: HttpRequest, obj: ConceptRule) -> None:
        with transaction.atomic():
            _apply(hospital_ids={obj.hospital_id}, rule=obj, actor=actor_of(request))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ConceptRule]) -> None:
        for rule in queryset:
            self.delete_model(request, rule)


def _apply(*, hospital_ids: set[Any], rule: ConceptRule, actor: User) -> None:
    """Make every link of these hospitals stale, so that the rule is applied by reading again. None: all hospitals."""
    touched = Hospital.objects.all() if None in hospital_ids else Hospital.objects.filter(pk__in=hospital_ids)
    touched.update(config_version=F("config_version") + 1)
    details = {"rule": rule.pk, "category": rule.category, "is_hidden": rule.is_hidden}
    record_event(
        action="concept_rule_changed",
        actor=actor,
        now=timezone.now(),
        hospital_id=rule.hospital_id,
        details=details,
    )
