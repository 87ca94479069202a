"""Runs in the admin: what each try at a hospital read and changed, and how it ended; a page for each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_safe

from hospitals.admin import ReadOnly
from openmrs_sync import run_page, words
from openmrs_sync.admin.page import STYLES, admin_context
from openmrs_sync.models import SyncRun
from openmrs_sync.runs import ERRORS

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
    when_empty = "Nothing was read yet. The first run begins when a hospital goes live."
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
        _count("n_parked", "parked"),
        "shown_seconds",
    ]
    list_filter = [ErrorsFilter, "hospital", "status", "trigger"]
    list_select_related = ["hospital"]
    ordering = ["-started_at"]
    show_full_result_count = False

    class Media:
        css = STYLES

    def get_queryset(self, request: HttpRequest) -> QuerySet[SyncRun]:
        return super().get_queryset(request).defer("journal")

    def get_urls(self) -> list[URLPattern]:
        part = self.admin_site.admin_view(require_safe(self.part_view))
        # `_version`: asked for by the page itself, it is no use of a login
        return [path("<uuid:run_id>/part/", part, name="openmrs_sync_run_version"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        page = self._read(request, object_id)
        title = f"Run of {page.run.started_at:%Y-%m-%d %H:%M:%S} UTC: {page.run.hospital.name}"
        context = {**admin_context(request, title=title), **self._context(request, page)}
        return TemplateResponse(request, "admin/openmrs_sync/run.html", context)

    def part_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """The living part of the page alone."""
        context = self._context(request, self._read(request, run_id))
        return TemplateResponse(request, "admin/openmrs_sync/run_part.html", context)

    def _read(self, request: HttpRequest, run_id: str | UUID) -> run_page.RunPage:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, str(run_id))
        if found is None:
            raise Http404
        return run_page.read_page(run=found, now=timezone.now())

    def _context(self, request: HttpRequest, page: run_page.RunPage) -> dict[str, Any]:
        return {
            "page": page,
            "run": page.run,
            "hospital": page.run.hospital,
            "opts": self.opts,
            "soon": run_page.SOON,
            "at": timezone.now(),
            "may_sync": page.run.hospital.is_live and request.user.has_perm("hospitals.change_hospital"),
        }

    @admin.display(description="started (UTC)", ordering="started_at")
    def shown_started_at(self, run: SyncRun) -> str:
        return f"{run.started_at:%Y-%m-%d %H:%M:%S}"  # the lookout may begin several in a minute

    @admin.display(description="status", ordering="status")
    def shown_status(self, run: SyncRun) -> str:
        sign = {"ok": "✓", "queued": "…", "running": "…"}.get(run.status, "✗")
        return f"{sign} {run.status}" + (f": {words.error_kind(run.error_kind)}" if run.error_kind else "")

    @admin.display(description="seconds", ordering="seconds")
    def shown_seconds(self, run: SyncRun) -> str:
        return f"{run.seconds:.1f}"
