"""Hospitals in the admin: settings, the connection test, and the verbs of the registry as buttons and as actions.

What starts work is not known here: `openmrs_sync.admin` appends its verbs to `HospitalAdmin.verbs` and its columns to
`HospitalAdmin.list_display`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from hospitals.admin.looking import SIGNS, shown_steps
from hospitals.admin.verbs import VERBS, HospitalPage, HospitalVerb
from hospitals.forms import HospitalForm
from hospitals.grants import grant_script
from hospitals.models import ConnectionTest, Hospital, HospitalState
from hospitals.readiness import last_test
from hospitals.registry import (
    HospitalRefused,
    change_hospital,
    create_hospital,
)
from passport.admin_site import actor_of, moment

if TYPE_CHECKING:
    _HospitalAdmin = admin.ModelAdmin[Hospital]
else:
    _HospitalAdmin = admin.ModelAdmin


#: Boxes of the form that a first test does not need.
CAN_WAIT = frozenset({"National ID", "Corrections", "Kind to the hospital"})


class EncryptionFilter(admin.ChoicesFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "encryption"  # as the form calls it


@admin.register(Hospital)
class HospitalAdmin(_HospitalAdmin):
    when_empty = "No hospital yet. Add the first one: a test of the connection comes next, and nothing is read before."
    form = HospitalForm
    change_form_template = "admin/hospitals/hospital/change_form.html"
    list_display = ["name", "code", "shown_state", "address", "last_test"]
    list_filter = ["state", ("tls_mode", EncryptionFilter)]
    search_fields = ["name", "code", "host"]
    ordering = ["name"]
    readonly_fields = ["shown_state"]
    fieldsets = [
        (None, {"fields": ["name", "code", "shown_state"]}),
        (
            "Database",
            {
                "fields": [("host", "port"), "database", ("username", "password"), "tls_mode", "tls_ca"],
                "description": "An account that may SELECT and nothing else; its script is shown once you have saved.",
            },
        ),
        ("National ID", {"fields": ["found_types", "named_types"]}),
        ("Corrections", {"fields": ["corrections_email"]}),
        ("Reading", {"fields": ["time_zone", "languages", "is_watched", "sync_interval_minutes", "sweep_hours"]}),
        (
            "Kind to the hospital",
            {
                "fields": ["pace_rows_per_second", ("quiet_from", "quiet_to")],
                "description": "In quiet hours the schedule reads nothing, and a run under way ends at its next batch. "
                "“Sync now”, commands, and a fresh read of one patient still work.",
            },
        ),
    ]
    #: Other apps append here.
    verbs: ClassVar[list[HospitalVerb]] = [*VERBS]

    #: Here as well.
    pages: ClassVar[list[HospitalPage]] = []

    #: Where somebody goes on who has just added a hospital: what knows the next step says so.
    after_adding: ClassVar[str] = "admin:hospitals_hospital_change"

    class Media:
        css = {"all": ["passport/hospitals-admin.css"]}

    # -- what is shown --------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hospital]:
        latest = ConnectionTest.objects.filter(hospital=OuterRef("pk")).order_by("-at", "-pk")
        return (
            super()
            .get_queryset(request)
            .annotate(last_test_ok=Subquery(latest.values("is_ok")[:1]), last_test_at=Subquery(latest.values("at")[:1]))
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Most hospitals stand where the pages are read. A clock left at UTC would put every entry hours off."""
        return {"time_zone": settings.TIME_ZONE_DISPLAY, **super().get_changeform_initial_data(request)}

    def get_fieldsets(self, request: HttpRequest, obj: Hospital | None = None) -> Any:
        """For a new one, what can wait is folded."""
        if obj is not None:
            return super().get_fieldsets(request, obj)
        return [
            (title, {**box, "classes": ["collapse"]} if title in CAN_WAIT else box) for title, box in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Hospital | None = None) -> list[str]:
        # Other systems know a hospital by its code.
        return [*self.readonly_fields, "code"] if obj else list(self.readonly_fields)

    @admin.display(description="state", ordering="state")
    def shown_state(self, hospital: Hospital) -> str:
        meaning = {
            HospitalState.DRAFT: "draft: test the connection next",
            HospitalState.TESTED: "tested: it can go live",
            HospitalState.LIVE: "live",
            HospitalState.PAUSED: "paused: it is not read",
            HospitalState.RETIRED: "retired: never contacted again",
        }
        return meaning[HospitalState(hospital.state)]

    @admin.display(description="address")
    def address(self, hospital: Hospital) -> str:
        return f"{hospital.host}:{hospital.port}"

    @admin.display(description="last test (UTC)", ordering="last_test_at")
    def last_test(self, hospital: Hospital) -> str:
        ok, at = hospital.last_test_ok, hospital.last_test_at  # type: ignore[attr-defined]  # annotated above
        if at is None:
            return "never"
        return f"{SIGNS['pass'] if ok else SIGNS['fail']} {'passed' if ok else 'failed'} {moment(at)}"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), **self._panel(request, object_id)}
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except HospitalRefused as error:  # somebody else was faster between the form's check and the saving
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    def _panel(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        hospital = self.get_object(request, object_id) if object_id else None
        if hospital is None:
            return {}
        test = last_test(hospital)
        steps = shown_steps(test)
        return {
            "verbs": [verb for verb in self.verbs if verb.fits(hospital)]
            if self.has_change_permission(request, hospital)
            else [],
            "test": test,
            "steps": steps,
            "grant_script": grant_script(hospital),
            "grants_failed": any(step["name"] == "grants" and step["result"] == "fail" for step in steps),
            "chosen_uuids": set(hospital.national_id_type_uuids.values()),
        }

    # -- what is done ---------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Hospital, form: Any, change: bool) -> None:
        wanted = cast(HospitalForm, form).wanted()
        if change:
            change_hospital(hospital=obj, wanted=wanted, actor=actor_of(request), now=timezone.now())
            return
        created = create_hospital(wanted=wanted, actor=actor_of(request), now=timezone.now())
        # The admin goes on with the object of the form: it becomes the one that was created.
        obj.pk = created.pk
        obj._state.adding = False
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: Hospital, post_url_continue: str | None = None) -> HttpResponse:
        """On to the next step: the test."""
        if "_continue" in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        messages.success(
            request, "Registered as a draft: nothing is read yet. The hospital's DBA runs the grant script, then test."
        )
        return HttpResponseRedirect(reverse(self.after_adding, args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        do = self.admin_site.admin_view(require_POST(self.do_view))
        return [
            path("<path:object_id>/do/<slug:verb>/", do, name="hospitals_hospital_do"),
            *(path(f"<uuid:hospital_id>/{one.address}", self._opened(one), name=one.name) for one in self.pages),
            *super().get_urls(),
        ]

    def _opened(self, page: HospitalPage) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, hospital_id: UUID) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return page.view(request, get_object_or_404(Hospital, pk=hospital_id))

        return self.admin_site.admin_view(view)

    def do_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        hospital = self.get_object(request, object_id)
        found = next((one for one in self.verbs if one.name == verb), None)
        if hospital is None or found is None or not self.has_change_permission(request, hospital):
            raise Http404
        self._run(request, found, hospital)
        return HttpResponseRedirect(_page(hospital))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if self.has_change_permission(request):
            actions |= {
                verb.name: (_as_action(verb), verb.name, verb.label) for verb in self.verbs if not verb.is_offered
            }
        return actions

    def _run(self, request: HttpRequest, verb: HospitalVerb, hospital: Hospital) -> None:
        try:
            messages.success(request, f"{hospital.name}: {verb.run(request, hospital)}")
        except HospitalRefused as error:
            messages.error(request, f"{hospital.name}: {error}")

    def has_delete_permission(self, request: HttpRequest, obj: Hospital | None = None) -> bool:
        """Never: its number is part of every record's key, and must not be given again. Retire it instead."""
        return False


def _as_action(verb: HospitalVerb) -> Callable[[HospitalAdmin, HttpRequest, QuerySet[Hospital]], None]:
    def action(model_admin: HospitalAdmin, request: HttpRequest, queryset: QuerySet[Hospital]) -> None:
        for hospital in queryset:
            model_admin._run(request, verb, hospital)

    return action


def _page(hospital: Hospital) -> str:
    return reverse("admin:hospitals_hospital_change", args=[hospital.pk])
