"""Concept rules in the admin: the admin's word on a concept, applied by reading everyone again."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils import timezone

from openmrs_sync import workbench
from openmrs_sync.admin.page import STYLES
from openmrs_sync.admin.workbench import urls
from openmrs_sync.models import ConceptRule
from passport.admin_site import actor_of
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
    when_empty = "No rule yet: hospitals' own classes decide. The workbench lists what they leave open."
    form = ConceptRuleForm
    list_display = ["concept_uuid", "where", "category", "is_hidden", "note"]
    list_filter = ["hospital", "category", "is_hidden"]
    list_select_related = ["hospital"]
    search_fields = ["concept_uuid", "note"]

    change_list_template = "admin/openmrs_sync/rules.html"

    class Media:
        css = STYLES

    def get_urls(self) -> list[URLPattern]:
        return [*urls(self.admin_site), *super().get_urls()]

    @admin.display(description="where", ordering="hospital")
    def where(self, rule: ConceptRule) -> str:
        return rule.hospital.name if rule.hospital else "every hospital"

    def save_model(self, request: HttpRequest, obj: ConceptRule, form: Any, change: bool) -> None:
        before = form.initial.get("hospital") if change else obj.hospital_id
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            workbench.announce(
                rule=obj, hospital_ids={obj.hospital_id, before}, actor=actor_of(request), now=timezone.now()
            )

    def delete_model(self, request: HttpRequest, obj: ConceptRule) -> None:
        with transaction.atomic():
            workbench.announce(rule=obj, hospital_ids={obj.hospital_id}, actor=actor_of(request), now=timezone.now())
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ConceptRule]) -> None:
        for rule in queryset:
            self.delete_model(request, rule)
