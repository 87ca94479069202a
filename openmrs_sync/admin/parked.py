"""Parked rows in the admin: source rows that could not become a record, and reading them again."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from hospitals.admin import ReadOnly
from hospitals.models import Hospital, HospitalState
from openmrs_sync import links, queue
from openmrs_sync.admin.page import actor_of
from openmrs_sync.models import ParkedRow, SyncRun
from passport.admin_site import moment
from passport.audit import record_event
from passport.models import Link, User

if TYPE_CHECKING:
    _ParkedRowAdmin = admin.ModelAdmin[ParkedRow]
else:
    _ParkedRowAdmin = admin.ModelAdmin


@admin.register(ParkedRow)
class ParkedRowAdmin(ReadOnly, _ParkedRowAdmin):
    list_display = ["hospital", "table", "source_id", "shown_reason", "attempts", "since", "shown_tried_at"]
    list_filter = ["hospital", "table", "reason"]
    list_select_related = ["hospital"]
    ordering = ["-parked_at", "-pk"]
    actions = ["replay"]
    show_full_result_count = False

    @admin.display(description="reason", ordering="reason")
    def shown_reason(self, row: ParkedRow) -> str:
        return row.reason.replace("_", " ")

    @admin.display(description="since (UTC)", ordering="parked_at")
    def since(self, row: ParkedRow) -> str:
        return moment(row.parked_at)

    @admin.display(description="tried (UTC)", ordering="tried_at")
    def shown_tried_at(self, row: ParkedRow) -> str:
        return moment(row.tried_at)

    @admin.action(description="Replay: read these persons again now")
    def replay(self, request: HttpRequest, queryset: QuerySet[ParkedRow]) -> None:
        n_links, n_runs = _replay(rows=queryset, actor=actor_of(request))
        messages.success(request, f"{n_links} persons are marked, {n_runs} runs are queued.")


@transaction.atomic
def _replay(*, rows: QuerySet[ParkedRow], actor: User) -> tuple[int, int]:
    now = timezone.now()
    link_ids = list(rows.values_list("link", flat=True).distinct())
    hospitals = Hospital.objects.filter(parked_rows__in=rows, state=HospitalState.LIVE).distinct()
    n_links = links.mark(Link.objects.filter(pk__in=link_ids), now=now, urgent=True)
    record_event(action="parked_replayed", actor=actor, now=now, details={"n_links": n_links})
    asked = queue.request(hospitals=list(hospitals), actor=actor, trigger=SyncRun.Trigger.ADMIN, is_full=False, now=now)
    return n_links, len(asked.runs)
