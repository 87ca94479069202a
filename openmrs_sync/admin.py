"""The sync in the admin: links and decisions, parked rows, runs, concept rules, start and stop.

Nothing here shows what a hospital recorded, nor a name: sex and birth year of our patient, and the hospital's own ids.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import django_q.admin  # noqa: F401 - registers its pages, so that they can be taken away below
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import NotRegistered
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, F, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from hospitals.admin import HospitalAdmin, HospitalVerb, ReadOnly
from hospitals.models import Hospital, HospitalState
from hospitals.registry import HospitalRefused
from openmrs_sync import control, links, pipeline, queue, words
from openmrs_sync.models import Breaker, ConceptRule, ControlState, ParkedRow, SyncRun
from openmrs_sync.runs import ERRORS
from passport.admin_site import moment, short_id
from passport.audit import record_event
from passport.models import Link, LinkDecision, Patient, User
from passport.models.links import LinkState
from passport.models.record import Category

if TYPE_CHECKING:
    _LinkAdmin = admin.ModelAdmin[Link]
    _ParkedRowAdmin = admin.ModelAdmin[ParkedRow]
    _SyncRunAdmin = admin.ModelAdmin[SyncRun]
    _ConceptRuleAdmin = admin.ModelAdmin[ConceptRule]
    _ControlStateAdmin = admin.ModelAdmin[ControlState]
    _RuleForm = forms.ModelForm[ConceptRule]
else:
    _LinkAdmin = _ParkedRowAdmin = _SyncRunAdmin = _ConceptRuleAdmin = _ControlStateAdmin = admin.ModelAdmin
    _RuleForm = forms.ModelForm

# A Schedule row may call anything, and "resubmit" replays any task: only our code writes these rows.
for model in (Schedule, Success, Failure, OrmQ, Task):
    try:
        admin.site.unregister(model)
    except NotRegistered:
        continue

STYLES = {"all": ["passport/sync-admin.css"]}


def _actor(request: HttpRequest) -> User:
    return cast(User, request.user)


# --- links ------------------------------------------------------------------------------------------------------------


class DecisionForm(forms.Form):
    """The same human, or not; for which of the candidates; and why."""

    patient = forms.ChoiceField(widget=forms.RadioSelect, label="Which patient is meant")
    verdict = forms.ChoiceField(
        choices=LinkDecision.Verdict.choices,
        widget=forms.RadioSelect,
        label="The hospital's person and this patient are",
    )
    note = forms.CharField(
        max_length=500, required=False, label="How you know", help_text="No name and no number: this is kept for ever."
    )

    def __init__(self, *args: Any, link: Link, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted = dict.fromkeys([str(link.patient_id), *map(str, link.candidates)])
        patients = Patient.objects.in_bulk(list(wanted))
        self.candidates = [(str(pk), patient_facts(patient)) for pk, patient in patients.items()]
        cast(forms.ChoiceField, self.fields["patient"]).choices = self.candidates
        self.fields["patient"].initial = str(link.patient_id)


def patient_facts(patient: Patient) -> str:
    """As much of a patient as a decision needs: sex, birth year, and the start of our own id."""
    year = patient.birth_date.year if patient.birth_date else "year not known"
    return f"{patient.get_sex_display()}, born {year} (patient {short_id(patient.pk)})"


class ReasonFilter(admin.SimpleListFilter):
    """By the stable word, shown as the sentence."""

    title = "why"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(words.LINK_REASONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(Link)
class LinkAdmin(ReadOnly, _LinkAdmin):
    change_form_template = "admin/openmrs_sync/link.html"
    list_display = ["shown_state", "hospital", "patient_facts", "why", "since", "read_at", "figures"]
    list_filter = ["state", "hospital", ReasonFilter]
    list_select_related = ["hospital", "patient"]
    list_per_page = 50
    show_full_result_count = False

    class Media:
        css = STYLES

    def get_queryset(self, request: HttpRequest) -> QuerySet[Link]:
        """Of the present epochs; those that wait for a human first."""
        held_first = Case(When(state=LinkState.HELD, then=Value(0)), default=Value(1), output_field=IntegerField())
        found = super().get_queryset(request).filter(epoch=F("hospital__epoch"))
        return found.annotate(rank=held_first).order_by("rank", "-state_changed_at", "pk")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        undo = self.admin_site.admin_view(require_POST(self.undo_view))
        return [
            path("<uuid:link_id>/decide/", decide, name="passport_link_decide"),
            path("<uuid:link_id>/undo/<int:decision_id>/", undo, name="passport_link_undo"),
            *super().get_urls(),
        ]

    @admin.display(description="state", ordering="state")
    def shown_state(self, link: Link) -> str:
        return {"linked": "✓ linked", "held": "! held", "unlinked": "✗ unlinked", "ended": "– ended"}[link.state]

    @admin.display(description="our patient")
    def patient_facts(self, link: Link) -> str:
        return patient_facts(link.patient)

    @admin.display(description="why")
    def why(self, link: Link) -> str:
        return words.link_reason(link.reason)

    @admin.display(description="since (UTC)", ordering="state_changed_at")
    def since(self, link: Link) -> str:
        return moment(link.state_changed_at)

    @admin.display(description="read (UTC)", ordering="refreshed_at")
    def read_at(self, link: Link) -> str:
        return moment(link.refreshed_at)

    @admin.display(description="rows stored")
    def figures(self, link: Link) -> str:
        odd = {"parked": link.n_parked, "unexplained": link.n_unexplained}
        rest = "".join(f", {number} {word}" for word, number in odd.items() if number)
        return f"{link.n_stored} of {link.n_source}{rest}" if link.refreshed_at else "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        link = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if link is not None:
            context |= self._panel(link, DecisionForm(link=link))
        return super().change_view(request, object_id, form_url, context)

    def decide_view(self, request: HttpRequest, link_id: str) -> HttpResponse:
        link = self._link(request, link_id)
        form = DecisionForm(request.POST, link=link)
        if not form.is_valid():
            messages.error(request, "Say which patient is meant, and whether it is the same human.")
        else:
            given = form.cleaned_data
            links.decide(
                link=link,
                verdict=given["verdict"],
                actor=_actor(request),
                now=timezone.now(),
                note=given["note"],
                patient_id=Patient.objects.only("pk").get(pk=given["patient"]).pk,
            )
            messages.success(request, "Decided. It holds until somebody undoes it.")
        return HttpResponseRedirect(reverse("admin:passport_link_change", args=[link.pk]))

    def undo_view(self, request: HttpRequest, link_id: str, decision_id: int) -> HttpResponse:
        link = self._link(request, link_id)
        decision = get_object_or_404(self._decisions(link), pk=decision_id)
        links.undo_decision(decision=decision, actor=_actor(request), now=timezone.now())
        messages.success(request, "Undone. The next look at the hospital judges again.")
        return HttpResponseRedirect(reverse("admin:passport_link_change", args=[link.pk]))

    def _link(self, request: HttpRequest, link_id: str) -> Link:
        # Who may see the list by right of the model may still not be one who decides.
        if not request.user.has_perm("passport.change_link"):
            raise PermissionDenied
        link = self.get_object(request, str(link_id))
        if link is None:
            raise Http404
        return link

    def _panel(self, link: Link, form: DecisionForm) -> dict[str, Any]:
        return {
            "link": link,
            "why": words.link_reason(link.reason),
            "decision_form": form,
            "decisions": self._decisions(link),
            "candidates": form.candidates,
        }

    def _decisions(self, link: Link) -> QuerySet[LinkDecision]:
        same_person = LinkDecision.objects.filter(hospital=link.hospital, person_uuid=link.person_uuid)
        return same_person.select_related("decided_by").order_by("-decided_at")


# --- parked rows and runs ---------------------------------------------------------------------------------------------


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
        n_links, n_runs = _replay(rows=queryset, actor=_actor(request))
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

    @admin.display(description="seconds", ordering="seconds")
    def shown_seconds(self, run: SyncRun) -> str:
        return f"{run.seconds:.1f}"


# --- concept rules ----------------------------------------------------------------------------------------------------


class ConceptRuleForm(_RuleForm):
    category = forms.ChoiceField(choices=[("", "as it is"), *Category.choices], required=False)

    class Meta:
        model = ConceptRule
        fields = ["hospital", "concept_uuid", "category", "is_hidden", "note"]

    def clean_concept_uuid(self) -> str:
        return str(self.cleaned_data["concept_uuid"]).strip()


@admin.register(ConceptRule)
class ConceptRuleAdmin(_ConceptRuleAdmin):
    form = ConceptRuleForm
    list_display = ["concept_uuid", "where", "category", "is_hidden", "note"]
    list_filter = ["hospital", "category", "is_hidden"]
    list_select_related = ["hospital"]
    search_fields = ["concept_uuid", "note"]

    @admin.display(description="where", ordering="hospital")
    def where(self, rule: ConceptRule) -> str:
        return rule.hospital.name if rule.hospital else "every hospital"

    def save_model(self, request: HttpRequest, obj: ConceptRule, form: Any, change: bool) -> None:
        before = form.initial.get("hospital") if change else obj.hospital_id
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            _apply(hospital_ids={obj.hospital_id, before}, rule=obj, actor=_actor(request))

    def delete_model(self, request: HttpRequest, obj: ConceptRule) -> None:
        with transaction.atomic():
            _apply(hospital_ids={obj.hospital_id}, rule=obj, actor=_actor(request))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ConceptRule]) -> None:
        for rule in queryset:
            self.delete_model(request, rule)


def _apply(*, hospital_ids: set[Any], rule: ConceptRule, actor: User) -> None:
    """Make every link of these hospitals stale, so that the rule is applied by reading again. None: all hospitals."""
    touched = Hospital.objects.all() if None in hospital_ids else Hospital.objects.filter(pk__in=hospital_ids)
    touched.update(config_version=F("config_version") + 1)
    details = {"rule": rule.pk, "category": rule.category, "is_hidden": rule.is_hidden}
    record_event(
        action="concept_rule_changed",
        actor=actor,
        now=timezone.now(),
        hospital_id=rule.hospital_id,
        details=details,
    )


# --- start and stop ---------------------------------------------------------------------------------------------------


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
        return [path("do/<slug:verb>/", do, name="openmrs_sync_controlstate_do"), *super().get_urls()]

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
    word = control.start(interval_minutes=None, actor=_actor(request), now=timezone.now())
    queue.enqueue_tick()
    return f"Started: every hospital is read every {word.interval_minutes} minutes."


def _stop(request: HttpRequest) -> str:
    control.stop(actor=_actor(request), now=timezone.now())
    return "Stopped: nothing is read until you start it again. A run under way goes on to its end."


def _set_interval(request: HttpRequest) -> str:
    form = IntervalForm(request.POST)
    if not form.is_valid():
        return f"Not changed. {form.errors['interval_minutes'][0]}"
    minutes = form.cleaned_data["interval_minutes"]
    control.set_interval(interval_minutes=minutes, actor=_actor(request), now=timezone.now())
    return f"Every hospital without an interval of its own is read every {minutes} minutes."


def _sync_all(request: HttpRequest) -> str:
    asked = queue.request(
        hospitals=queue.live_hospitals(),
        actor=_actor(request),
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


# --- hospitals --------------------------------------------------------------------------------------------------------


def _sync(request: HttpRequest, hospital: Hospital, *, is_full: bool) -> str:
    if not hospital.is_live:
        raise HospitalRefused("It is not live, so it is not read. Test the connection and let it go live first.")
    asked = queue.request(
        hospitals=[hospital],
        actor=_actor(request),
        trigger=SyncRun.Trigger.ADMIN,
        is_full=is_full,
        now=timezone.now(),
    )
    if not asked.runs:
        raise HospitalRefused("A run is under way already. Its result will stand in the list of runs.")
    return "A run is queued; its result will stand in the list of runs."


def _is_stopped_by(hospital: Hospital, kind: str) -> bool:
    return Breaker.objects.filter(pk=hospital.pk, last_error_kind=kind).exists()


def _check_stopped_by(hospital: Hospital, kind: str) -> None:
    """Only what was stopped can be accepted: pressed by mistake it would hide a whole hospital, or lift the brake."""
    if not _is_stopped_by(hospital, kind):
        raise HospitalRefused(f"There is nothing to accept: no run ended because {words.error_kind(kind)}.")


def _accept_source(request: HttpRequest, hospital: Hospital) -> str:
    _check_stopped_by(hospital, "source_replaced")
    pipeline.accept_source(hospital=hospital, actor=_actor(request), now=timezone.now())
    return "The source is accepted: a new beginning, and everyone is read again."


def _accept_changes(request: HttpRequest, hospital: Hospital) -> str:
    _check_stopped_by(hospital, "would_erase")
    pipeline.accept_changes(hospital=hospital, actor=_actor(request), now=timezone.now())
    return "The changes are accepted once; the next run writes them."


LIVE = frozenset({HospitalState.LIVE})
HospitalAdmin.verbs += [
    HospitalVerb(name="sync", label="Sync now", run=lambda r, h: _sync(r, h, is_full=False), states=LIVE),
    HospitalVerb(name="full-sync", label="Full sync", run=lambda r, h: _sync(r, h, is_full=True), states=LIVE),
    HospitalVerb(
        name="accept-source",
        label="Accept the replaced source",
        run=_accept_source,
        states=LIVE,
        is_offered=lambda h: _is_stopped_by(h, "source_replaced"),
    ),
    HospitalVerb(
        name="accept-changes",
        label="Accept what the brake stopped",
        run=_accept_changes,
        states=LIVE,
        is_offered=lambda h: _is_stopped_by(h, "would_erase"),
    ),
]
