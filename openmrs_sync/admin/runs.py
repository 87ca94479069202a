"""Runs in the admin: what each try at a hospital read and changed, and how it ended."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from hospitals.admin import ReadOnly
from openmrs_sync import words
from openmrs_sync.admin.page import STYLES
from openmrs_sync.models import SyncRun
from openmrs_sync.runs import ERRORS
from passport.admin_site import moment

if TYPE_CHECKING:
    _SyncRunAdmin = admin.ModelAdmin[SyncRun]
else:
    _SyncRunAdmin = admin.ModelAdmin


class ErrorsFilter(admin.SimpleListFilter):
    title = "errors"
    parameter_name = "errors"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("true", "Only errors")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(ERRORS) if self.value() == "true" else queryset


def _count(name: str, word: str) -> Callable[[SyncRun], str]:
    """A column of the list of runs, under a short heading: there are many."""

    @admin.display(description=word, ordering=name)
    def count(run: SyncRun) -> str:
        return str(getattr(run, name))

    count.__name__ = name  # the class of its cells
    return count


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnly, _SyncRunAdmin):
    list_display = [
        "shown_started_at",
        "hospital",
        "shown_status",
        "trigger",
        _count("n_persons", "persons"),
        _count("n_read", "read"),
        _count("n_created", "new"),
        _count("n_updated", "changed"),
        _count("n_withdrawn", "withdrawn"),
        _count("n_unchanged", "as before"),
        _count("n_parked", "parked"),
        _count("n_excluded", "left out"),
        "shown_seconds",
        _count("n_source_rows", "rows at the source"),
        "shown_source_seconds",
    ]
    list_filter = [ErrorsFilter, "hospital", "status", "trigger"]
    list_select_related = ["hospital"]
    ordering = ["-started_at"]
    show_full_result_count = False

    class Media:
        css = STYLES

    @admin.display(description="started (UTC)", ordering="started_at")
    def shown_started_at(self, run: SyncRun) -> str:
        return moment(run.started_at)

    @admin.display(description="status", ordering="status")
    def shown_status(self, run: SyncRun) -> str:
        sign = {"ok": "✓", "queued": "…", "running": "…"}.get(run.status, "✗")
        return f"{sign} {run.status}" + (f": {words.error_kind(run.error_kind)}" if run.error_kind else "")

    @admin.display(description="seconds at the source", ordering="source_seconds")
    def shown_source_seconds(self, run: SyncRun) -> str:
        return f"{run.source_seconds:.1f}"

    @admin.display(description="seconds", ordering="seconds")
    def shown_seconds(self, run: SyncRun) -> str:
        return f"{run.seconds:.1f}"
