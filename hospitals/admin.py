"""Hospitals in the admin: settings, the connection test, and the verbs of the registry as buttons and as actions.

What starts work is not known here: `openmrs_sync.admin` appends its verbs to `HospitalAdmin.verbs` and its columns to
`HospitalAdmin.list_display`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from hospitals.forms import HospitalForm
from hospitals.grants import grant_script
from hospitals.models import ConnectionTest, Hospital, HospitalState, Location
from hospitals.probe import test_connection
from hospitals.readiness import last_test
from hospitals.registry import (
    HospitalRefused,
    change_hospital,
    create_hospital,
    pause_hospital,
    resume_hospital,
    retire_hospital,
)
from passport.admin_site import actor_of, moment

if TYPE_CHECKING:
    _HospitalAdmin = admin.ModelAdmin[Hospital]
    _LocationAdmin = admin.ModelAdmin[Location]
    _ConnectionTestAdmin = admin.ModelAdmin[ConnectionTest]
else:
    _HospitalAdmin = _LocationAdmin = _ConnectionTestAdmin = admin.ModelAdmin

# Never by colour alone: a sign and a word.
SIGNS = {"pass": "✓", "fail": "✗", "hint": "!"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalVerb:
    """Something an admin can do to a hospital: a button on its page, and an action on the list.

    `run` returns the sentence to show, or raises HospitalRefused with it. `states`: where the button is shown.
    `is_offered` narrows that to an occasion; such a verb answers what one hospital's page says, and is no action of
    the list.
    """

    name: str
    label: str
    run: Callable[[HttpRequest, Hospital], str]
    states: frozenset[str] = frozenset(HospitalState.values)
    is_offered: Callable[[Hospital], bool] | None = None

    def fits(self, hospital: Hospital) -> bool:
        return hospital.state in self.states and (self.is_offered is None or self.is_offered(hospital))


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalPage:
    """A page of its own below a hospital's. Whoever may see the hospital gets it; `view` decides what may be done."""

    address: str
    name: str
    view: Callable[[HttpRequest, Hospital], HttpResponse]


def _shown(test: ConnectionTest | None) -> list[dict[str, str]]:
    """The steps of a test with a sign each, and their names as words."""
    steps = test.steps if test else []
    return [{**step, "sign": SIGNS[step["result"]], "label": step["name"].replace("_", " ")} for step in steps]


def _test(request: HttpRequest, hospital: Hospital) -> str:
    test = test_connection(hospital=hospital, now=timezone.now(), actor=actor_of(request))
    failed = [step["name"] for step in test.steps if step["result"] == "fail"]
    if failed:
        raise HospitalRefused(f"The connection failed at: {', '.join(failed)}. Open the hospital to see what to do.")
    return "The connection is good."


def _resume(request: HttpRequest, hospital: Hospital) -> str:
    resume_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Live: it is read from the next round on."


def _pause(request: HttpRequest, hospital: Hospital) -> str:
    pause_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Paused: it is not read until it goes live again."


def _retire(request: HttpRequest, hospital: Hospital) -> str:
    retire_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Retired: it is not contacted any more, and its records stay."


class ReadOnly:
    """Rows that only our own code writes."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Hospital)
class HospitalAdmin(_HospitalAdmin):
    form = HospitalForm
    change_form_template = "admin/hospitals/hospital/change_form.html"
    list_display = ["name", "code", "shown_state", "address", "last_test"]
    list_filter = ["state", "tls_mode"]
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
    verbs: ClassVar[list[HospitalVerb]] = [
        HospitalVerb(name="test", label="Test connection", run=_test),
        HospitalVerb(
            name="resume", label="Go live", run=_resume, states=frozenset({HospitalState.TESTED, HospitalState.PAUSED})
        ),
        HospitalVerb(
            name="pause", label="Pause", run=_pause, states=frozenset({HospitalState.LIVE, HospitalState.RETIRED})
        ),
        HospitalVerb(
            name="retire",
            label="Retire",
            run=_retire,
            states=frozenset(set(HospitalState.values) - {HospitalState.RETIRED}),
        ),
    ]

    #: Here as well.
    pages: ClassVar[list[HospitalPage]] = []

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
        steps = _shown(test)
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
        """Stay on the hospital's page: the test comes next."""
        if "_continue" in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        messages.success(request, "The hospital is registered as a draft. Run the grant script there, then test.")
        return HttpResponseRedirect(_page(obj))

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


@admin.register(Location)
class LocationAdmin(ReadOnly, _LocationAdmin):
    list_display = ["name", "hospital", "is_retired"]
    list_filter = ["hospital", "is_retired"]
    search_fields = ["name"]
    list_select_related = ["hospital"]


@admin.register(ConnectionTest)
class ConnectionTestAdmin(ReadOnly, _ConnectionTestAdmin):
    change_form_template = "admin/hospitals/connectiontest/change_form.html"
    list_display = ["shown_at", "hospital", "outcome"]
    list_filter = ["hospital", "is_ok"]
    list_select_related = ["hospital"]
    fields = ["hospital", "at", "is_ok"]

    class Media:
        css = {"all": ["passport/hospitals-admin.css"]}

    @admin.display(description="when (UTC)", ordering="at")
    def shown_at(self, test: ConnectionTest) -> str:
        return moment(test.at)

    @admin.display(description="outcome", ordering="is_ok")
    def outcome(self, test: ConnectionTest) -> str:
        if test.is_ok:
            return f"{SIGNS['pass']} passed"
        failed = [step["label"] for step in _shown(test) if step["result"] == "fail"]
        return f"{SIGNS['fail']} failed" + (f" at: {', '.join(failed)}" if failed else "")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        test = self.get_object(request, object_id)
        steps = _shown(test)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "test": test, "steps": steps}
        )
