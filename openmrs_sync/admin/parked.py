"""Parked rows in the admin: source rows that could not become a record, why, and reading them again."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from hospitals.admin import ReadOnly
from hospitals.models import Hospital, HospitalState
from openmrs_sync import links, queue, words
from openmrs_sync.admin.page import STYLES
from openmrs_sync.models import ParkedRow, SyncRun
from openmrs_sync.rows import chunks
from passport.admin_site import actor_of, moment
from passport.audit import record_event
from passport.models import Link, User

if TYPE_CHECKING:
    _ParkedRowAdmin = admin.ModelAdmin[ParkedRow]
else:
    _ParkedRowAdmin = admin.ModelAdmin


class WhyFilter(admin.SimpleListFilter):
    """By the stable word, shown as the sentence; one that has no words yet is offered too."""

    title = "why"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        there = ParkedRow.objects.order_by("reason").values_list("reason", flat=True).distinct()
        return [(reason, words.parked_reason(reason)[0]) for reason in dict.fromkeys([*words.PARKED, *there])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(ParkedRow)
class ParkedRowAdmin(ReadOnly, _ParkedRowAdmin):
    when_empty = "No row is parked."
    change_list_template = "admin/openmrs_sync/parked_rows.html"
    change_form_template = "admin/openmrs_sync/parked_row.html"
    list_display = ["row", "hospital", "why", "since", "tried", "shown_next_try_at"]
    list_filter = ["hospital", "table", WhyFilter]
    list_select_related = ["hospital"]
    ordering = ["-parked_at", "-pk"]
    actions = ["replay"]
    show_full_result_count = False

    class Media:
        css = STYLES

    def get_urls(self) -> list[URLPattern]:
        every = self.admin_site.admin_view(require_POST(self.replay_all_view))
        one = self.admin_site.admin_view(require_POST(self.replay_one_view))
        return [
            path("replay/", every, name="openmrs_sync_parkedrow_replay_all"),
            path("<int:row_id>/replay/", one, name="openmrs_sync_parkedrow_replay"),
            *super().get_urls(),
        ]

    @admin.display(description="row", ordering="source_id")
    def row(self, row: ParkedRow) -> str:
        return f"{row.table} {row.source_id}"

    @admin.display(description="why", ordering="reason")
    def why(self, row: ParkedRow) -> SafeString:
        return format_html('{} <span class="sync-note">{}</span>', *words.parked_reason(row.reason))

    @admin.display(description="since (UTC)", ordering="parked_at")
    def since(self, row: ParkedRow) -> str:
        return moment(row.parked_at)

    @admin.display(description="attempts", ordering="attempts")
    def tried(self, row: ParkedRow) -> SafeString:
        return format_html('{} <span class="sync-note">last {}</span>', row.attempts, moment(row.tried_at))

    @admin.display(description="next try (UTC)", ordering="next_try_at")
    def shown_next_try_at(self, row: ParkedRow) -> str:
        return moment(row.next_try_at) if row.next_try_at else "with the next run"

    @admin.action(description="Replay: read these persons again now")
    def replay(self, request: HttpRequest, queryset: QuerySet[ParkedRow]) -> None:
        self._replay(request, queryset)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._check_may_replay(request)
        row = self.get_object(request, object_id)
        if row is None:
            # Good news as a rule: Django's own "perhaps it was deleted" would frighten.
            self.message_user(
                request, "This row is not parked any more: it was read, or the hospital has changed it.", messages.INFO
            )
            return HttpResponseRedirect(reverse("admin:openmrs_sync_parkedrow_changelist"))
        why, next_step = words.parked_reason(row.reason)
        context = {**(extra_context or {}), "row": row, "why": why, "next_step": next_step}
        return super().change_view(request, object_id, form_url, context)

    def replay_all_view(self, request: HttpRequest) -> HttpResponse:
        """All that the list shows under its filters, on every page of it."""
        self._check_may_replay(request)
        self._replay(request, self.get_changelist_instance(request).get_queryset(request))
        address = reverse("admin:openmrs_sync_parkedrow_changelist")
        return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")

    def replay_one_view(self, request: HttpRequest, row_id: int) -> HttpResponse:
        self._check_may_replay(request)
        row = get_object_or_404(ParkedRow, pk=row_id)
        self._replay(request, ParkedRow.objects.filter(pk=row.pk))
        return HttpResponseRedirect(reverse("admin:openmrs_sync_parkedrow_change", args=[row.pk]))

    def _check_may_replay(self, request: HttpRequest) -> None:
        # Everybody who may see the rows may have them read again, as by the list's own action.
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _replay(self, request: HttpRequest, rows: QuerySet[ParkedRow]) -> None:
        n_links, n_runs = _replay(rows=rows, actor=actor_of(request))
        message = f"{n_links} {'person is' if n_links == 1 else 'persons are'} marked, "
        messages.success(request, message + f"{n_runs} {'run is' if n_runs == 1 else 'runs are'} queued.")


@transaction.atomic
def _replay(*, rows: QuerySet[ParkedRow], actor: User) -> tuple[int, int]:
    """Mark the rows' persons as urgent, and have their hospitals read: a job of the queue, one run per hospital."""
    now = timezone.now()
    plain = rows.order_by()
    link_ids = set(plain.values_list("link", flat=True).distinct())
    hospital_ids = list(plain.values_list("hospital", flat=True).distinct())
    hospitals = Hospital.objects.filter(pk__in=hospital_ids, state=HospitalState.LIVE)
    n_links = sum(links.mark(Link.objects.filter(pk__in=part), now=now, urgent=True) for part in chunks(link_ids))
    record_event(action="parked_replayed", actor=actor, now=now, details={"n_links": n_links})
    asked = queue.request(hospitals=list(hospitals), actor=actor, trigger=SyncRun.Trigger.ADMIN, is_full=False, now=now)
    return n_links, len(asked.runs)
