"""The certificate of a hospital in the admin: a page, the button that counts afresh, and the same as a sheet."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from hospitals.admin import ReadOnly
from hospitals.models import Hospital, HospitalState
from openmrs_sync import certificate, queue, words
from openmrs_sync.admin.page import STYLES
from openmrs_sync.models import Inspection, ReceiptDay
from passport.admin_site import actor_of
from passport.audit import record_event
from passport.sheets import encoded, sheet

if TYPE_CHECKING:
    _ReceiptDayAdmin = admin.ModelAdmin[ReceiptDay]
else:
    _ReceiptDayAdmin = admin.ModelAdmin

#: What may be asked by hand: a draft is not read, a retired one never contacted again.
COUNTABLE = frozenset({HospitalState.LIVE, HospitalState.PAUSED})

#: The drawing, in its own units: a phone shows one for one, a desk half as large again.
WIDTH, HEIGHT, FOOT = 360, 132, 112


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day of the trend: parts from below, as (class, y, height). `mark`: where the sign of unexplained rows is."""

    day: dt.date
    x: int
    parts: Sequence[tuple[str, int, int]]
    mark: int | None
    row: ReceiptDay | None


def bars(days: Sequence[tuple[dt.date, ReceiptDay | None]]) -> list[Bar]:
    """The trend as geometry: whole numbers, so that no language puts a comma into them."""
    highest = max((row.n_source for _, row in days if row), default=0) or 1
    step = WIDTH // max(len(days), 1)
    drawn = []
    for number, (day, row) in enumerate(days):
        parts, top = [], FOOT
        for name in ("stored", "excluded", "parked") if row else ():
            n = getattr(row, f"n_{name}")
            # what is there is seen, be it ever so few
            height = max(round(n * (FOOT - 20) / highest), 2) if n else 0
            if height:
                top -= height
                parts.append((name, top, height))
        mark = top - 4 if row and row.n_unexplained else None
        drawn.append(Bar(day=day, x=number * step + 1, parts=parts, mark=mark, row=row))
    return drawn


@admin.register(ReceiptDay)
class CertificateAdmin(ReadOnly, _ReceiptDayAdmin):
    """No list of rows: one line per hospital, and a page for each."""

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        return [
            path("<uuid:hospital_id>/", page(require_safe(self.page_view)), name="openmrs_sync_certificate"),
            path("<uuid:hospital_id>/verify/", page(require_POST(self.verify_view)), name="openmrs_sync_verify"),
            path(
                "<uuid:hospital_id>/version/", page(require_safe(self.version_view)), name="openmrs_sync_verify_version"
            ),
            path(
                "<uuid:hospital_id>/certificate.csv",
                page(require_safe(self.sheet_view)),
                name="openmrs_sync_certificate_csv",
            ),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._check_may_see(request)
        now = timezone.now()
        hospitals: QuerySet[Hospital] = Hospital.objects.exclude(
            state__in=[HospitalState.DRAFT, HospitalState.TESTED]
        ).order_by("name", "number")
        context = {
            **self.admin_site.each_context(request),
            "title": "Certificates",
            "opts": self.opts,
            "certificates": [certificate.read(hospital=hospital, now=now) for hospital in hospitals],
            "media": self.media,
        }
        return TemplateResponse(request, "admin/openmrs_sync/certificates.html", context)

    def page_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        hospital = self._hospital(request, hospital_id)
        now = timezone.now()
        found = certificate.read(hospital=hospital, now=now)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Certificate: {hospital.name}",
            "opts": self.opts,
            "at": now,
            "hospital": hospital,
            "certificate": found,
            "shown": found.shown,
            "tables": [(words.TABLES[table], figures) for table, figures in found.shown.tables.items()],
            "excluded": [(words.EXCLUDED.get(one, one), n) for one, n in found.shown.excluded.items()],
            "parked": [(one, *words.parked_reason(one), n) for one, n in found.shown.parked.items()],
            "persons": [(name, words.PERSONS[name], n) for name, n in found.shown.persons.items()],
            "bars": bars(found.days),
            "has_days": any(row for _, row in found.days),
            "may_verify": hospital.state in COUNTABLE and request.user.has_perm("hospitals.change_hospital"),
            "version": _version(found.latest),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/openmrs_sync/certificate.html", context)

    def verify_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        hospital = self._hospital(request, hospital_id)
        if not request.user.has_perm("hospitals.change_hospital"):
            raise PermissionDenied
        if hospital.state not in COUNTABLE:
            messages.error(request, "Only a live or paused hospital can be counted: nothing is stored of any other.")
        elif queue.request_inspection(
            hospital=hospital, kind=Inspection.Kind.VERIFY, actor=actor_of(request), now=timezone.now()
        ):
            messages.success(request, "Both sides are being counted. The outcome will stand on this page.")
        else:
            messages.warning(request, "Somebody has asked already: both sides are being counted.")
        return HttpResponseRedirect(reverse("admin:openmrs_sync_certificate", args=[hospital.pk]))

    def version_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        """A token that changes with what the page would say of a count under way."""
        hospital = self._hospital(request, hospital_id)
        latest = hospital.inspections.filter(kind=Inspection.Kind.VERIFY).order_by("-asked_at", "-pk").first()
        return JsonResponse({"version": _version(latest)})

    def sheet_view(self, request: HttpRequest, hospital_id: str) -> HttpResponse:
        hospital = self._hospital(request, hospital_id)
        now = timezone.now()
        text = sheet(header=certificate.HEADER, rows=certificate.rows(certificate.read(hospital=hospital, now=now)))
        record_event(action="certificate_exported", actor=actor_of(request), now=now, hospital_id=hospital.pk)
        name = f"certificate-{hospital.code}-{now:%Y-%m-%d}.csv"
        return HttpResponse(
            encoded(text),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    def _check_may_see(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _hospital(self, request: HttpRequest, hospital_id: str) -> Hospital:
        self._check_may_see(request)
        return get_object_or_404(Hospital, pk=hospital_id)

    class Media:
        css = STYLES


def _version(inspection: Inspection | None) -> str:
    return f"{inspection.pk} {inspection.status} {inspection.n_done}" if inspection else ""
