"""The concepts that are left out for carers, in shares and in print: one by one here, or through a spreadsheet."""

from datetime import datetime

from django.contrib import admin

from passport.access import sensitive
from passport.admin.exchange import Exchange, ExchangedAdmin, TakenOver
from passport.models import SensitiveConcept, User


def _take_over(text: str, actor: User, now: datetime) -> TakenOver:
    done = sensitive.import_sheet(text, actor=actor, now=now)
    return TakenOver(sentence=f"{done.n_added} added, {done.n_unchanged} as they were.", refused=done.refused)


@admin.register(SensitiveConcept)
class SensitiveConceptAdmin(ExchangedAdmin):
    when_empty = "Nothing was changed here: the concepts that come with the passport hold. “Export all” lists them."
    list_display = ("name", "sensitive_set", "concept_uuid", "source", "code")
    list_filter = ("sensitive_set", "source")
    search_fields = ("name", "=concept_uuid", "=code")
    ordering = ("sensitive_set", "name", "pk")
    exchange = Exchange(
        filename="sensitive-concepts.csv",
        exported="sensitive_concepts_exported",
        export_sheet=sensitive.export_sheet,
        title="Import sensitive concepts",
        intro=(
            "Export the whole list, add lines in a spreadsheet, and send it here. Each line names one concept of a set:"
            " by its uuid, or by a source and a code that the hospitals' dictionaries map it to. Lines taken out of the"
            " file stay in the table: take them out there."
        ),
        help_text=f"First line: {','.join(sensitive.COLUMNS)}. UTF-8. What is not in the table yet is added.",
        largest_megabytes=5,
        back="admin:passport_sensitiveconcept_changelist",
        back_label="Sensitive concepts",
        import_sheet=_take_over,
    )
