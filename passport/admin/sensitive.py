"""The concepts that are left out for carers, in shares and in print: one by one here, or through a spreadsheet."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from passport.access import sensitive
from passport.admin.audited import AuditedAdmin, actor_of
from passport.audit import record_event
from passport.models import SensitiveConcept

LARGEST_FILE = 5_000_000


class SheetForm(forms.Form):
    sheet = forms.FileField(
        label="CSV file",
        help_text=f"First line: {','.join(sensitive.COLUMNS)}. UTF-8. What is not in the table yet is added.",
    )

    def clean_sheet(self) -> str:
        upload = self.cleaned_data["sheet"]
        if upload.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 5 MB. Send a part of it at a time.")
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("The file is not UTF-8. Export it again as “CSV UTF-8”.") from error


@admin.register(SensitiveConcept)
class SensitiveConceptAdmin(AuditedAdmin):
    change_list_template = "admin/passport/sensitive_list.html"
    list_display = ("name", "sensitive_set", "concept_uuid", "source", "code")
    list_filter = ("sensitive_set", "source")
    search_fields = ("name", "=concept_uuid", "=code")
    ordering = ("sensitive_set", "name", "pk")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("export/", view(self.export_view), name="passport_sensitiveconcept_export"),
            path("import/", view(self.import_view), name="passport_sensitiveconcept_import"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        record_event(action="sensitive_concepts_exported", actor=actor_of(request), now=timezone.now())
        # The mark at the beginning tells spreadsheets that it is UTF-8.
        answer = HttpResponse(f"\ufeff{sensitive.export_sheet()}", content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="sensitive-concepts.csv"'
        return answer

    def import_view(self, request: HttpRequest) -> HttpResponse:
        form = SheetForm(request.POST or None, request.FILES or None)
        refused: tuple[sensitive.LineRefused, ...] = ()
        if request.method == "POST" and form.is_valid():
            done = sensitive.import_sheet(form.cleaned_data["sheet"], actor=actor_of(request), now=timezone.now())
            messages.success(request, f"{done.n_added} added, {done.n_unchanged} as they were.")
            if not done.refused:
                return HttpResponseRedirect(reverse("admin:passport_sensitiveconcept_changelist"))
            refused = done.refused
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Import sensitive concepts",
            "opts": self.opts,
            "form": form,
            "refused": refused,
        }
        return TemplateResponse(request, "admin/passport/sensitive_import.html", context)
