"""Plain words for concepts: corrected one by one here, or all at once through a spreadsheet."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from passport import glossary
from passport.admin.audited import AuditedAdmin, actor_of
from passport.audit import record_event
from passport.models import GlossaryTerm

#: Some ten thousand terms; more is not a glossary.
LARGEST_FILE = 5_000_000


class SheetForm(forms.Form):
    sheet = forms.FileField(
        label="CSV file",
        help_text=f"First line: {','.join(glossary.COLUMNS)}. UTF-8. What a line already says changes nothing.",
    )

    def clean_sheet(self) -> str:
        upload = self.cleaned_data["sheet"]
        if upload.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 5 MB. Send a part of it at a time.")
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("The file is not UTF-8. Export it again as “CSV UTF-8”.") from error


@admin.register(GlossaryTerm)
class GlossaryAdmin(AuditedAdmin):
    """What admins changed. What comes with the passport is in the export, and stands where nothing was changed."""

    change_list_template = "admin/passport/glossary_list.html"
    fields = ("concept_uuid", "name", "language", "words", "more", "is_reviewed")
    list_display = ("words", "language", "name", "is_reviewed", "changed_at")
    list_filter = ("language", "is_reviewed")
    search_fields = ("words", "name", "=concept_uuid")
    ordering = ("name", "language")

    def save_model(self, request: HttpRequest, obj: GlossaryTerm, form: Any, change: bool) -> None:
        obj.changed_at = timezone.now()
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("export/", view(self.export_view), name="passport_glossaryterm_export"),
            path("import/", view(self.import_view), name="passport_glossaryterm_import"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        record_event(action="glossary_exported", actor=actor_of(request), now=timezone.now())
        # The mark at the beginning tells spreadsheets that it is UTF-8.
        answer = HttpResponse(f"\ufeff{glossary.export_sheet()}", content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="glossary.csv"'
        return answer

    def import_view(self, request: HttpRequest) -> HttpResponse:
        form = SheetForm(request.POST or None, request.FILES or None)
        refused: tuple[glossary.LineRefused, ...] = ()
        if request.method == "POST" and form.is_valid():
            done = glossary.import_sheet(form.cleaned_data["sheet"], actor=actor_of(request), now=timezone.now())
            messages.success(request, f"{done.n_changed} changed, {done.n_unchanged} as they were.")
            if not done.refused:
                return HttpResponseRedirect(reverse("admin:passport_glossaryterm_changelist"))
            refused = done.refused
        context = {
            **self.admin_site.each_context(request),
            "title": "Import plain words",
            "opts": self.opts,
            "form": form,
            "refused": refused,
        }
        return TemplateResponse(request, "admin/passport/glossary_import.html", context)
