"""Plain words for concepts: corrected one by one here, or all at once through a spreadsheet."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from passport import glossary
from passport.admin.exchange import Exchange, ExchangedAdmin, TakenOver
from passport.models import GlossaryTerm, User


def _take_over(text: str, actor: User, now: datetime) -> TakenOver:
    done = glossary.import_sheet(text, actor=actor, now=now)
    return TakenOver(sentence=f"{done.n_changed} changed, {done.n_unchanged} as they were.", refused=done.refused)


@admin.register(GlossaryTerm)
class GlossaryAdmin(ExchangedAdmin):
    """What admins changed. What comes with the passport is in the export, and stands where nothing was changed."""

    when_empty = "Nothing was changed here: the plain words that come with the passport hold. “Export all” lists them."
    fields = ("concept_uuid", "name", "language", "words", "more", "is_reviewed")
    list_display = ("words", "language", "name", "is_reviewed", "changed_at")
    list_filter = ("language", "is_reviewed")
    search_fields = ("words", "name", "=concept_uuid")
    ordering = ("name", "language")
    exchange = Exchange(
        filename="glossary.csv",
        exported="glossary_exported",
        export_sheet=glossary.export_sheet,
        title="Import plain words",
        intro=(
            "Export the whole list, change it in a spreadsheet, and send it here. A line counts for one concept and"
            " language; what it already says changes nothing. A speaker who has read a line puts “yes” into “reviewed”."
        ),
        help_text=f"First line: {','.join(glossary.COLUMNS)}. UTF-8. What a line already says changes nothing.",
        largest_megabytes=5,  # some ten thousand terms; more is not a glossary
        back="admin:passport_glossaryterm_changelist",
        back_label="Plain words",
        import_sheet=_take_over,
    )

    def save_model(self, request: HttpRequest, obj: GlossaryTerm, form: Any, change: bool) -> None:
        obj.changed_at = timezone.now()
        super().save_model(request, obj, form, change)
