"""Going live, step by step: settings, test, identifier types, dry run, live. One page per hospital.

Nothing is remembered of how far somebody came: each step is judged by what is so now, so that anybody may go on later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.text import capfirst

from hospitals.admin import SIGNS, HospitalAdmin, HospitalPage
from hospitals.grants import grant_script
from hospitals.models import ConnectionTest, Hospital, HospitalState
from hospitals.probe import test_connection
from hospitals.readiness import TYPES_STEP, failed_steps, has_found_types, last_test, types_problem
from hospitals.registry import HospitalRefused, HospitalSettings, change_hospital, resume_hospital
from openmrs_sync import inspections, queue, words
from openmrs_sync.admin.page import admin_context
from openmrs_sync.models import Inspection, SyncRun
from passport.admin_site import actor_of

BEFORE_LIVE = frozenset({HospitalState.DRAFT, HospitalState.TESTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`state`: done, now, failed, running or later. `found`: what it has said so far, in sentences."""

    name: str
    title: str
    state: str
    found: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        return {"done": "done", "now": "next", "failed": "failed", "running": "under way", "later": ""}[self.state]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A hospital on its way: what is known of each step."""

    hospital: Hospital
    test: ConnectionTest | None
    asked: Inspection | None
    done: Inspection | None

    @property
    def failed(self) -> list[dict[str, str]]:
        """Steps of the last test that failed; that no type is chosen yet is a step of its own here."""
        return failed_steps(self.test)

    @property
    def is_reached(self) -> bool:
        """Whether the last test came through, under the settings of today."""
        moved = self.test is not None and self.test.is_ok and self.hospital.state == HospitalState.DRAFT
        return self.test is not None and not self.failed and not moved

    @property
    def types_problem(self) -> str:
        return types_problem(self.test)

    @property
    def has_type(self) -> bool:
        return self.is_reached and has_found_types(self.hospital, self.test)

    @property
    def is_dry_run_under_way(self) -> bool:
        return self.asked is not None and self.asked.status in inspections.UNDER_WAY

    @property
    def has_dry_run(self) -> bool:
        return self.done is not None and self.done.config_version == self.hospital.config_version

    @property
    def is_before(self) -> bool:
        return self.hospital.state in BEFORE_LIVE

    @property
    def next_step(self) -> str:
        """The one way forward."""
        if not self.is_before:
            return ""
        if not self.is_reached:
            return "test"
        if not self.has_type:
            return "types"
        return "live" if self.has_dry_run else "dry-run"


def stand(hospital: Hospital) -> Standing:
    dry_runs = inspections.of_hospital(hospital=hospital, kind=Inspection.Kind.DRY_RUN)
    return Standing(
        hospital=hospital,
        test=last_test(hospital),
        asked=dry_runs.first(),
        done=dry_runs.filter(status=Inspection.Status.DONE).first(),
    )


# --- what each step says --------------------------------------------------------------------------------------------


def steps_of(seen: Standing) -> list[Step]:
    return [_settings(seen), _test(seen), _types(seen), _dry_run(seen), _live(seen)]


def _settings(seen: Standing) -> Step:
    hospital = seen.hospital
    found = [
        f"{hospital.host}:{hospital.port}, database {hospital.database}, as {hospital.username}.",
        f"{capfirst(hospital.get_tls_mode_display())}.",
        f"Its clock: {hospital.time_zone}. Languages: {', '.join(hospital.locales) or 'en'}.",
    ]
    return Step(name="settings", title="Settings", state="done", found=found)


def _test(seen: Standing) -> Step:
    test = seen.test
    if test is None:
        state = "now" if seen.is_before else "later"
        return Step(name="test", title="Connection", state=state, found=["Not tested here yet."])
    at = f"{test.at:%Y-%m-%d %H:%M} UTC"
    if seen.failed:
        found = [f"Tested {at}."]
        tried = [step for step in seen.failed if not step["message"].startswith("Not tried")]
        found += [f"{SIGNS['fail']} {step['name'].replace('_', ' ')}: {step['message']}" for step in tried]
        return Step(name="test", title="Connection", state="failed", found=found)
    hints = [step for step in test.steps if step["result"] == "hint" and step["name"] != TYPES_STEP]
    found = [f"Passed {at}: reached, logged in, and the account can only read."]
    found += [f"{SIGNS['hint']} {step['name'].replace('_', ' ')}: {step['message']}" for step in hints]
    if not seen.is_reached:
        found.append("The settings have changed since: test once more.")
        return Step(name="test", title="Connection", state="now", found=found)
    return Step(name="test", title="Connection", state="done", found=found)


def _types(seen: Standing) -> Step:
    title = "National ID"
    if seen.has_type:
        chosen = set(seen.hospital.national_id_type_uuids.values())
        types = [one for one in (seen.test.identifier_types if seen.test else []) if one["uuid"] in chosen]
        found = [
            f"{one['name']}: {one['n_parsing']:,} of {one['n_live']:,} values can be a National ID." for one in types
        ]
        return Step(name="types", title=title, state="done", found=found or ["Chosen."])
    if not seen.is_reached:
        return Step(name="types", title=title, state="later", found=["The test lists the types there, with counts."])
    problem = [seen.types_problem] if seen.hospital.national_id_types and seen.types_problem else []
    found = [*problem, "Say which type of identifier holds the National ID. The counts tell."]
    return Step(name="types", title=title, state="now", found=found)


def _dry_run(seen: Standing) -> Step:
    title = "Dry run"
    asked = seen.asked
    if seen.is_dry_run_under_way and asked is not None:
        far = f"{asked.n_done:,} of {asked.n_all:,} persons read." if asked.n_all else "Waiting for the worker."
        return Step(name="dry-run", title=title, state="running", found=[far])
    if asked is not None and asked.status == Inspection.Status.FAILED:
        return Step(name="dry-run", title=title, state="failed", found=[asked.message])
    if seen.done is not None:
        found = [dry_run_words(seen.done.result), *nobody_words(seen.done.result)]
        if not seen.has_dry_run:
            found.append("The settings have changed since: run it again.")
        return Step(name="dry-run", title=title, state="done" if seen.has_dry_run else "now", found=found)
    is_next = seen.next_step == "dry-run"
    found = ["Reads and matches everyone as the first sync will, and stores nothing."]
    return Step(name="dry-run", title=title, state="now" if is_next else "later", found=found)


def dry_run_words(result: dict[str, Any]) -> str:
    return (
        f"Would link {result['n_linked']:,}, hold {result['n_held']:,}, store {result['n_stored']:,},"
        f" park {result['n_parked']:,}, leave out {result['n_excluded']:,}."
        f" The first sync takes {words.about(result['seconds'])}."
    )


def nobody_words(result: dict[str, Any]) -> list[str]:
    """What to do where nobody would be linked: as a rule the wrong type was chosen."""
    if result["n_linked"] or result["n_held"]:
        return []
    hint = (
        f"{SIGNS['hint']} Nobody here holds a passport by these numbers. Look whether the right type is chosen above: "
        "a hospital's own file number looks like a National ID too. Or no holder was treated here yet."
    )
    return [hint]


def _live(seen: Standing) -> Step:
    if seen.is_before:
        found = ["From then on it is read by the schedule. Pausing it takes one button."]
        return Step(name="live", title="Live", state="now" if seen.next_step == "live" else "later", found=found)
    hospital = seen.hospital
    run = hospital.runs.exclude(trigger=SyncRun.Trigger.PATIENT).order_by("started_at").first()
    found = [f"It is {hospital.get_state_display()}."]
    if run is not None and run.finished_at:
        found.append(f"First run: {run.get_status_display()}, {run.n_persons:,} persons, {run.n_created:,} records.")
    elif run is not None:
        found.append("The first run is under way.")
    return Step(name="live", title="Live", state="done" if hospital.is_live else "now", found=found)


# --- what each step does --------------------------------------------------------------------------------------------


def _do_test(request: HttpRequest, seen: Standing) -> str:
    test_connection(hospital=seen.hospital, now=timezone.now(), actor=actor_of(request))
    after = stand(Hospital.objects.get(pk=seen.hospital.pk))
    if after.failed:
        raise HospitalRefused("The connection failed. What to do stands below.")
    return "The connection is good."


def _do_types(request: HttpRequest, seen: Standing) -> str:
    """Choose the types, and test again: only a test that found them makes the hospital ready."""
    if not seen.is_reached:
        raise HospitalRefused("Test the connection first: it lists the types.")
    known = {one["uuid"] for one in seen.test.identifier_types} if seen.test else set()
    picked = [uuid for uuid in request.POST.getlist("types") if uuid in known]
    if not picked:
        raise HospitalRefused("Choose at least one type.")
    now, actor = timezone.now(), actor_of(request)
    change_hospital(hospital=seen.hospital, wanted=_with_types(seen.hospital, picked), actor=actor, now=now)
    test_connection(hospital=seen.hospital, now=now, actor=actor)
    after = stand(Hospital.objects.get(pk=seen.hospital.pk))
    if not after.has_type:
        raise HospitalRefused(after.types_problem or "The connection failed meanwhile. Test it again.")
    return "Chosen, and found at the hospital."


def _with_types(hospital: Hospital, picked: list[str]) -> HospitalSettings:
    """The settings as they are, but for the types. A name that leads to one of them stays that name."""
    known: dict[str, str] = hospital.national_id_type_uuids
    kept = [given for given in hospital.national_id_types if known.get(given, given) in picked]
    are_kept = {known.get(given, given) for given in kept}
    values = {one.name: getattr(hospital, one.name) for one in fields(HospitalSettings) if one.name != "password"}
    values |= {"locales": tuple(hospital.locales), "password": None}
    values["national_id_types"] = (*kept, *(uuid for uuid in picked if uuid not in are_kept))
    return HospitalSettings(**values)


def _do_dry_run(request: HttpRequest, seen: Standing) -> str:
    if not seen.has_type:
        raise HospitalRefused("Test the connection and choose the type first.")
    actor = actor_of(request)
    asked = queue.request_inspection(
        hospital=seen.hospital, kind=Inspection.Kind.DRY_RUN, actor=actor, now=timezone.now()
    )
    if asked is None:
        raise HospitalRefused("A dry run is under way already.")
    return "The dry run is queued. What it finds will stand here."


def _do_live(request: HttpRequest, seen: Standing) -> str:
    now, actor = timezone.now(), actor_of(request)
    resume_hospital(hospital=seen.hospital, actor=actor, now=now)
    queue.request(hospitals=[seen.hospital], actor=actor, trigger=SyncRun.Trigger.ADMIN, is_full=False, now=now)
    return "Live. The first run is queued; how far it is stands on the sync page."


DOES: dict[str, Callable[[HttpRequest, Standing], str]] = {
    "test": _do_test,
    "types": _do_types,
    "dry-run": _do_dry_run,
    "live": _do_live,
}


# --- the page -------------------------------------------------------------------------------------------------------


def going_live_view(request: HttpRequest, hospital: Hospital) -> HttpResponse:
    seen = stand(hospital)
    if request.method == "POST":
        _step(request, seen)
        return HttpResponseRedirect(request.path)
    steps = steps_of(seen)
    context = {
        **admin_context(request, title=f"Going live: {hospital.name}"),
        "opts": Hospital._meta,
        "hospital": hospital,
        "seen": seen,
        "steps": steps,
        "n_done": sum(step.state == "done" for step in steps),
        "types": _type_choices(seen),
        "grant_script": grant_script(hospital),
        "is_grants_fault": any(step["name"] == "grants" for step in seen.failed),
        "may_change": request.user.has_perm("hospitals.change_hospital"),
        "version": _version(seen),
    }
    return TemplateResponse(request, "admin/openmrs_sync/going_live.html", context)


def _step(request: HttpRequest, seen: Standing) -> None:
    do = DOES.get(request.POST.get("step", ""))
    if do is None or not request.user.has_perm("hospitals.change_hospital"):
        raise PermissionDenied
    if not seen.is_before:
        messages.warning(request, "It went live before: what is done with it now stands on its page.")
        return
    try:
        messages.success(request, do(request, seen))
    except HospitalRefused as error:
        messages.error(request, str(error))


def _type_choices(seen: Standing) -> list[dict[str, Any]]:
    """Types of the last test, the likeliest first, each with whether it is chosen."""
    known: dict[str, str] = seen.hospital.national_id_type_uuids
    chosen = {known.get(given, given) for given in seen.hospital.national_id_types}
    types = seen.test.identifier_types if seen.test else []
    ordered = sorted(types, key=lambda one: (-one["n_parsing"], one["name"]))
    return [{**one, "is_chosen": one["uuid"] in chosen or one["name"] in chosen} for one in ordered]


def _version(seen: Standing) -> str:
    asked = seen.asked
    return f"{asked.pk} {asked.status} {asked.n_done}" if asked else ""


HospitalAdmin.after_adding = "admin:hospitals_hospital_going_live"
HospitalAdmin.pages.append(
    HospitalPage(address="going-live/", name="hospitals_hospital_going_live", view=going_live_view)
)
