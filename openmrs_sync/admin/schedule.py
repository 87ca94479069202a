"""Start, stop and interval in the admin, and "sync all": buttons of the start page."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from hospitals.admin import ReadOnly
from openmrs_sync import control, queue
from openmrs_sync.admin.sync_page import part_view
from openmrs_sync.models import ControlState, SyncRun
from passport.admin_site import actor_of

if TYPE_CHECKING:
    _ControlStateAdmin = admin.ModelAdmin[ControlState]
else:
    _ControlStateAdmin = admin.ModelAdmin


class IntervalForm(forms.Form):
    interval_minutes = forms.IntegerField(
        min_value=control.SHORTEST_INTERVAL, max_value=control.LONGEST_INTERVAL, label="Every … minutes"
    )


@admin.register(ControlState)
class ControlStateAdmin(ReadOnly, _ControlStateAdmin):
    """No list of its own: the buttons stand on the start page."""

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {}

    def get_urls(self) -> list[URLPattern]:
        do = self.admin_site.admin_view(require_POST(self.do_view))
        part = self.admin_site.admin_view(require_safe(part_view))
        return [
            path("do/<slug:verb>/", do, name="openmrs_sync_controlstate_do"),
            path("part/", part, name="openmrs_sync_part_version"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:index"))

    def do_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        found = CONTROL_VERBS.get(verb)
        if found is None:
            raise Http404
        if not request.user.has_perm("openmrs_sync.change_controlstate"):
            raise PermissionDenied
        messages.success(request, found(request))
        return HttpResponseRedirect(reverse("admin:index"))


def _start(request: HttpRequest) -> str:
    word = control.start(interval_minutes=None, actor=actor_of(request), now=timezone.now())
    queue.enqueue_tick()
    return f"Started: every hospital is read every {word.interval_minutes} minutes."


def _stop(request: HttpRequest) -> str:
    control.stop(actor=actor_of(request), now=timezone.now())
    return "Stopped: nothing is read until you start it again. A run under way goes on to its end."


def _set_interval(request: HttpRequest) -> str:
    form = IntervalForm(request.POST)
    if not form.is_valid():
        return f"Not changed. {form.errors['interval_minutes'][0]}"
    minutes = form.cleaned_data["interval_minutes"]
    control.set_interval(interval_minutes=minutes, actor=actor_of(request), now=timezone.now())
    return f"Every hospital without an interval of its own is read every {minutes} minutes."


def _sync_all(request: HttpRequest) -> str:
    asked = queue.request(
        hospitals=queue.live_hospitals(),
        actor=actor_of(request),
        trigger=SyncRun.Trigger.ADMIN,
        is_full=False,
        now=timezone.now(),
    )
    return f"{len(asked.runs)} runs are queued; {len(asked.already_running)} hospitals are being read already."


CONTROL_VERBS: dict[str, Callable[[HttpRequest], str]] = {
    "start": _start,
    "stop": _stop,
    "interval": _set_interval,
    "sync-all": _sync_all,
}
