"""What the sync adds to a hospital's page: verbs that start work, and what an admin accepts."""

from django.http import HttpRequest
from django.utils import timezone

from hospitals.admin import HospitalAdmin, HospitalVerb
from hospitals.models import Hospital, HospitalState
from hospitals.registry import HospitalRefused
from openmrs_sync import pipeline, queue, words
from openmrs_sync.models import Breaker, SyncRun
from passport.admin_site import actor_of


def _sync(request: HttpRequest, hospital: Hospital, *, is_full: bool) -> str:
    if not hospital.is_live:
        raise HospitalRefused("It is not live, so it is not read. Test the connection and let it go live first.")
    asked = queue.request(
        hospitals=[hospital],
        actor=actor_of(request),
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
    pipeline.accept_source(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "The source is accepted: a new beginning, and everyone is read again."


def _accept_changes(request: HttpRequest, hospital: Hospital) -> str:
    _check_stopped_by(hospital, "would_erase")
    pipeline.accept_changes(hospital=hospital, actor=actor_of(request), now=timezone.now())
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
