"""Dry runs in the admin: what the first sync of a hospital would do; and the list of all inspections."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from hospitals.admin import ReadOnly
from hospitals.models import Hospital, HospitalState
from openmrs_sync import inspections, queue, words
from openmrs_sync.admin.page import STYLES
from openmrs_sync.models import Inspection
from openmrs_sync.receipts import Figures
from passport.admin_site import actor_of, moment

if TYPE_CHECKING:
    _InspectionAdmin = admin.ModelAdmin[Inspection]
else:
    _InspectionAdmin = admin.ModelAdmin

#: Before a hospital was ever live its first sync is still to come.
BEFORE_LIVE = frozenset({HospitalState.DRAFT, HospitalState.TESTED})


@admin.register(Inspection)
class InspectionAdmin(ReadOnly, _InspectionAdmin):
    when_empty = "Nothing was tried yet. A hospital's page leads to its dry run."
    list_display = ["shown_asked_at", "hospital", "kind", "shown_status", "shown_persons", "shown_cost"]
    list_filter = ["hospital", "kind", "status"]
    list_select_related = ["hospital"]
    show_full_result_count = False

    class Media:
        css = STYLES

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(require_http_methods(["GET", "HEAD", "POST"])(self.dry_run_view))
        version = self.admin_site.admin_view(require_safe(self.version_view))
        return [
            path("dry-run/<uuid:hospital_id>/", page, name="openmrs_sync_dry_run"),
            path("dry-run/<uuid:hospital_id>/version/", version, name="openmrs_sync_dry_run_version"),
            *super().get_urls(),
        ]

    @admin.display(description="asked for (UTC)", ordering="asked_at")
    def shown_asked_at(self, inspection: Inspection) -> str:
        return moment(inspection.asked_at)

    @admin.display(description="status", ordering="status")
    def shown_status(self, inspection: Inspection) -> str:
        sign = {"done": "✓", "failed": "✗"}.get(inspection.status, "…")
        kind = f": {words.error_kind(inspection.error_kind)}" if inspection.error_kind else ""
        return f"{sign} {inspection.get_status_display()}{kind}"

    @admin.display(description="persons")
    def shown_persons(self, inspection: Inspection) -> str:
        return f"{inspection.n_done} of {inspection.n_all}" if inspection.n_all else "–"

    @admin.display(description="at the source")
    def shown_cost(self, inspection: Inspection) -> str:
        return words.cost(n_rows=inspection.n_source_rows, seconds=inspection.source_seconds)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its page is the hospital's: there the latest of its kind is shown in words."""
        inspection = get_object_or_404(Inspection, pk=object_id)
        if inspection.kind == Inspection.Kind.CONCEPTS:
            return HttpResponseRedirect(reverse("admin:openmrs_sync_workbench"))
        is_count = inspection.kind == Inspection.Kind.VERIFY
        page = "admin:openmrs_sync_certificate" if is_count else "admin:openmrs_sync_dry_run"
        return HttpResponseRedirect(reverse(page, args=[inspection.hospital_id]))

    def dry_run_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        hospital = self._hospital(request, hospital_id)
        may_ask = hospital.state in BEFORE_LIVE and request.user.has_perm("hospitals.change_hospital")
        if request.method == "POST":
            if not may_ask:
                raise PermissionDenied
            self._ask(request, hospital)
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run: {hospital.name}",
            "opts": self.opts,
            "hospital": hospital,
            "may_ask": may_ask,
            "media": self.media,
            **_shown(hospital),
        }
        return TemplateResponse(request, "admin/openmrs_sync/dry_run.html", context)

    def version_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        """A token that changes with what the page would say."""
        return JsonResponse({"version": _version(_latest(self._hospital(request, hospital_id)))})

    def _ask(self, request: HttpRequest, hospital: Hospital) -> None:
        asked = queue.request_inspection(
            hospital=hospital, kind=Inspection.Kind.DRY_RUN, actor=actor_of(request), now=timezone.now()
        )
        if asked:
            messages.success(request, "The dry run is queued. What it finds will stand on this page.")
        else:
            messages.warning(request, "A dry run is under way already.")

    def _hospital(self, request: HttpRequest, hospital_id: str) -> Hospital:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Hospital, pk=hospital_id)


def _latest(hospital: Hospital) -> Inspection | None:
    return inspections.of_hospital(hospital=hospital, kind=Inspection.Kind.DRY_RUN).first()


def _version(inspection: Inspection | None) -> str:
    return f"{inspection.pk} {inspection.status} {inspection.n_done}" if inspection else ""


def _figures(found: Mapping[str, int], *, prefix: str = "") -> Figures:
    names = ("source", "stored", "parked", "excluded")
    return Figures(**{f"n_{name}": found.get(f"{prefix}{name}", 0) for name in names})


def _shown(hospital: Hospital) -> dict[str, Any]:
    latest = _latest(hospital)
    mine = inspections.of_hospital(hospital=hospital, kind=Inspection.Kind.DRY_RUN)
    done = mine.filter(status=Inspection.Status.DONE).first()
    result = done.result if done else {}
    return {
        "latest": latest,
        "is_under_way": latest is not None and latest.status in inspections.UNDER_WAY,
        "done": done,
        "is_outdated": done is not None and done.config_version != hospital.config_version,
        "result": result,
        "duration": words.about(result["seconds"]) if result else "",
        "held": [(words.link_reason(reason), n) for reason, n in result.get("held", {}).items()],
        "total": _figures(result, prefix="n_"),
        "tables": [(words.TABLES[table], _figures(found)) for table, found in result.get("tables", {}).items()],
        "parked": [(*words.parked_reason(reason), n) for reason, n in result.get("parked", {}).items()],
        "excluded": [(words.EXCLUDED.get(reason, reason), n) for reason, n in result.get("excluded", {}).items()],
        "persons": [(words.PERSONS[name], n) for name, n in result.get("persons", {}).items()],
        "version": _version(latest),
    }
