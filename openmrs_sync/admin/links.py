"""Links in the admin: who is which patient, and what a human decides."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, F, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from hospitals.admin import ReadOnly
from hospitals.errors import SourceError
from openmrs_sync import comparison, links, words
from openmrs_sync.admin.page import STYLES
from openmrs_sync.errors import SyncError
from passport.admin_site import actor_of, moment, short_id
from passport.audit import record_event
from passport.models import Link, LinkDecision, Patient
from passport.models.links import LinkState

if TYPE_CHECKING:
    _LinkAdmin = admin.ModelAdmin[Link]
else:
    _LinkAdmin = admin.ModelAdmin


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
        found = Patient.objects.in_bulk(list(wanted))
        self.patients = [found[UUID(pk)] for pk in wanted if UUID(pk) in found]
        choices = [(str(patient.pk), patient_facts(patient)) for patient in self.patients]
        cast(forms.ChoiceField, self.fields["patient"]).choices = choices
        self.fields["patient"].initial = str(link.patient_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of our patients, as far as a decision needs it. `linked_at`: hospital's name, rows of the person there."""

    patient: Patient
    short_id: str
    linked_at: list[tuple[str, int]]


def _side(link: Link, patient: Patient) -> Side:
    elsewhere = Link.objects.filter(patient=patient, state=LinkState.LINKED, epoch=F("hospital__epoch"))
    rows = (
        elsewhere.exclude(pk=link.pk).order_by("hospital__name", "person_id").values_list("hospital__name", "n_source")
    )
    return Side(patient=patient, short_id=short_id(patient.pk), linked_at=list(rows))


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
    when_empty = "Nobody is matched yet: hospitals are looked through when they are live and somebody holds a passport."
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
            if "compare" in request.GET:
                context |= self._compared(request, link)
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
                actor=actor_of(request),
                now=timezone.now(),
                note=given["note"],
                patient_id=Patient.objects.only("pk").get(pk=given["patient"]).pk,
            )
            messages.success(request, "Decided. It holds until somebody undoes it.")
        return HttpResponseRedirect(reverse("admin:passport_link_change", args=[link.pk]))

    def undo_view(self, request: HttpRequest, link_id: str, decision_id: int) -> HttpResponse:
        link = self._link(request, link_id)
        decision = get_object_or_404(self._decisions(link), pk=decision_id)
        links.undo_decision(decision=decision, actor=actor_of(request), now=timezone.now())
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
        held = Link.objects.filter(state=LinkState.HELD, epoch=F("hospital__epoch"))
        others = held.exclude(pk=link.pk).order_by("state_changed_at", "pk")
        return {
            "link": link,
            "why": words.link_reason(link.reason),
            "meaning": words.LINK_STATES[link.state],
            "decision_form": form,
            "decisions": self._decisions(link),
            "sides": [_side(link, patient) for patient in form.patients],
            "n_held": held.count(),
            "next_held": others.values_list("pk", flat=True).first(),
        }

    def _compared(self, request: HttpRequest, link: Link) -> dict[str, Any]:
        """Both sides, read from the hospital now, and the audit row that says who looked."""
        wanted = dict.fromkeys([str(link.patient_id), *map(str, link.candidates)])
        patients = Patient.objects.in_bulk(list(wanted))
        try:
            lines = comparison.compare(link=link, patients=list(patients.values()))
        except (SourceError, SyncError) as error:
            return {"compare_problem": str(error)}
        if not lines:
            return {"compare_problem": "The hospital no longer has this person."}
        record_event(
            action="match_compared",
            actor=actor_of(request),
            now=timezone.now(),
            hospital_id=link.hospital_id,
            details={"link": str(link.pk)},
        )
        return {"compared": [(patient_facts(patients[UUID(pk)]), found) for pk, found in lines.items()]}

    def _decisions(self, link: Link) -> QuerySet[LinkDecision]:
        same_person = LinkDecision.objects.filter(hospital=link.hospital, person_uuid=link.person_uuid)
        return same_person.select_related("decided_by").order_by("-decided_at")
