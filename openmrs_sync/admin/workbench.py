"""The concept workbench in the admin: what has no category, a preview of each decision, undo, and all as a sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hospitals.models import Hospital, HospitalState
from openmrs_sync import concept_sheets, queue, workbench
from openmrs_sync.admin.page import admin_context
from openmrs_sync.models import ConceptRule, Inspection, SyncRun
from passport.admin.exchange import Exchange, TakenOver, export_page, import_page
from passport.admin_site import actor_of
from passport.models import User
from passport.models.record import Category

PAGE = "admin:openmrs_sync_workbench"
#: Concepts on the page; the sheet has all.
SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a rule would move. `where`: None: at every hospital. `at`: (hospital, records, persons)."""

    concept: workbench.Undecided
    category: str
    where: Hospital | None
    at: list[tuple[Hospital, int, int]]

    @property
    def sentence(self) -> str:
        n_records = sum(n for _, n, _ in self.at)
        n_hospitals = len(self.at)
        records = "1 record" if n_records == 1 else f"{n_records:,} records"
        hospitals = "1 hospital" if n_hospitals == 1 else f"{n_hospitals} hospitals"
        return f"This would move {records} at {hospitals} from other to {self.category}."


def urls(site: AdminSite) -> list[URLPattern]:
    def page(view: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
        def checked(request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm("openmrs_sync.change_conceptrule"):
                raise PermissionDenied
            return view(request)

        return site.admin_view(checked)

    return [
        path("workbench/", page(require_safe(bench_view)), name="openmrs_sync_workbench"),
        path("workbench/version/", page(require_safe(version_view)), name="openmrs_sync_workbench_version"),
        path("workbench/count/", page(require_POST(count_view)), name="openmrs_sync_workbench_count"),
        path(
            "workbench/decide/",
            page(require_http_methods(["GET", "HEAD", "POST"])(decide_view)),
            name="openmrs_sync_workbench_decide",
        ),
        path("workbench/undo/", page(require_POST(undo_view)), name="openmrs_sync_workbench_undo"),
        path("workbench/rules.csv", page(require_safe(export_view)), name="openmrs_sync_workbench_csv"),
        path(
            "workbench/import/",
            page(require_http_methods(["GET", "HEAD", "POST"])(import_view)),
            name="openmrs_sync_workbench_import",
        ),
    ]


def bench_view(request: HttpRequest) -> HttpResponse:
    bench = workbench.read_bench()
    decided = ConceptRule.objects.exclude(category="").select_related("hospital").order_by("-pk")
    context = {
        **admin_context(request, title="Concept workbench"),
        "opts": ConceptRule._meta,
        "bench": bench,
        "shown": bench.concepts[:SHOWN],
        "n_hidden": max(0, len(bench.concepts) - SHOWN),
        "categories": [choice for choice in Category.choices if choice[0] != Category.OTHER],
        "decided": decided[:SHOWN],
        "reading": [(hospital, *counts) for hospital, counts in workbench.left_to_read().items()],
        "version": _version(bench),
    }
    return TemplateResponse(request, "admin/openmrs_sync/workbench.html", context)


def version_view(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view
    """A token that changes with what the page would say of what is under way."""
    return JsonResponse({"version": _version(workbench.read_bench())})


def _version(bench: workbench.Bench) -> str:
    reading = [f"{hospital.code} {done}" for hospital, (done, _) in workbench.left_to_read().items()]
    return " ".join([*(hospital.code for hospital in bench.under_way), str(bench.counted_at), *reading])


def count_view(request: HttpRequest) -> HttpResponse:
    """One count per hospital that has records."""
    hospitals = Hospital.objects.filter(state__in=[HospitalState.LIVE, HospitalState.PAUSED]).order_by("number")
    now, actor, kind = timezone.now(), actor_of(request), Inspection.Kind.CONCEPTS
    asked = [queue.request_inspection(hospital=one, kind=kind, actor=actor, now=now) for one in hospitals]
    n_asked = sum(one is not None for one in asked)
    if n_asked:
        messages.success(request, f"{n_asked} {'hospital is' if n_asked == 1 else 'hospitals are'} being counted.")
    else:
        messages.warning(request, "There is nothing to count: no hospital is live or paused, or all are being counted.")
    return HttpResponseRedirect(reverse(PAGE))


def decide_view(request: HttpRequest) -> HttpResponse:
    """First what the rule would do, then, by its button, the rule."""
    asked = request.POST if request.method == "POST" else request.GET
    preview = _preview(asked.get("concept", ""), asked.get("category", ""), asked.get("hospital", ""))
    if preview is None:
        messages.error(request, "Choose a concept of the list and its category. Somebody may have decided already.")
        return HttpResponseRedirect(reverse(PAGE))
    if request.method == "POST":
        _decide(request, preview)
        return HttpResponseRedirect(reverse(PAGE))
    context = {
        **admin_context(request, title=f"Decide: {preview.concept.name}"[:120]),
        "opts": ConceptRule._meta,
        "preview": preview,
        "hospitals": [
            hospital
            for hospital in Hospital.objects.filter(pk__in=list(preview.concept.at)).order_by("name")
            if len(preview.concept.at) > 1
        ],
    }
    return TemplateResponse(request, "admin/openmrs_sync/workbench_decide.html", context)


def _preview(uuid: str, category: str, code: str) -> Preview | None:
    concept = workbench.read_bench().find(uuid)
    where = Hospital.objects.filter(code=code).first() if code else None
    if concept is None or category not in Category.values or (code and where is None):
        return None
    hospitals = Hospital.objects.in_bulk(list(concept.at))
    at = [(hospitals[pk], *counts) for pk, counts in concept.at.items() if where is None or pk == where.pk]
    return Preview(concept=concept, category=category, where=where, at=sorted(at, key=lambda one: one[0].name))


@transaction.atomic
def _decide(request: HttpRequest, preview: Preview) -> None:
    workbench.decide(
        concept_uuid=preview.concept.uuid,
        hospital=preview.where,
        category=preview.category,
        note=preview.concept.name[:200],
        actor=actor_of(request),
        now=timezone.now(),
    )
    _read_again(actor=actor_of(request), only=preview.where)
    messages.success(request, "Decided. Those it touches are being read again; the workbench shows how far that is.")


def undo_view(request: HttpRequest) -> HttpResponse:
    given = request.POST.get("rule", "")
    rule = get_object_or_404(ConceptRule, pk=int(given) if given.isdecimal() else 0)
    with transaction.atomic():
        where = rule.hospital
        workbench.undo(rule=rule, actor=actor_of(request), now=timezone.now())
        _read_again(actor=actor_of(request), only=where)
    messages.success(request, "Undone. Those it touched are being read again without it.")
    return HttpResponseRedirect(reverse(PAGE))


def export_view(request: HttpRequest) -> HttpResponse:
    return export_page(request, RULES)


def import_view(request: HttpRequest) -> HttpResponse:
    return import_page(request, RULES)


def _take_over(text: str, actor: User, now: datetime) -> TakenOver:
    done = concept_sheets.import_sheet(text, actor=actor, now=now)
    if done.n_changed:
        _read_again(actor=actor, only=None)
    return TakenOver(sentence=f"{done.n_changed} changed, {done.n_unchanged} as they were.", refused=done.refused)


RULES = Exchange(
    filename="concept-rules.csv",
    exported="concept_rules_exported",
    export_sheet=concept_sheets.export_sheet,
    title="Import concept rules",
    intro=(
        "Export the list, write a category into the lines that you decide, and send it here. A line counts for one"
        " concept, at the hospital whose code it names or, where that is empty, everywhere. What it already says"
        " changes nothing."
    ),
    help_text=f"First line: {','.join(concept_sheets.READ)}; more columns do no harm. UTF-8.",
    largest_megabytes=2,
    back=PAGE,
    back_label="Workbench",
    import_sheet=_take_over,
)


def _read_again(*, actor: User, only: Hospital | None) -> None:
    """A run of each live hospital that the rule may touch; one that runs already ends by itself and begins anew."""
    hospitals = [one for one in queue.live_hospitals() if only is None or one.pk == only.pk]
    queue.request(hospitals=hospitals, actor=actor, trigger=SyncRun.Trigger.ADMIN, is_full=False, now=timezone.now())
