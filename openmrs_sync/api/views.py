"""/api/openmrs-sync/: start, stop and watch the sync. Admins only, but for sync-patient."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from hospitals import loading
from hospitals.models import ConnectionTest, Hospital, HospitalState
from hospitals.probe import test_connections
from openmrs_sync import control, overview, queue, receipts
from openmrs_sync.api import patient_refresh
from openmrs_sync.api.permissions import IsAdmin, IsDoctorOrAdmin
from openmrs_sync.api.serializers import (
    ControlSerializer,
    InitializedSerializer,
    InitializeSerializer,
    RunPageSerializer,
    RunSerializer,
    StartSerializer,
    StatusSerializer,
    SyncAllConflictSerializer,
    SyncAllSerializer,
    SyncPatientSerializer,
)
from openmrs_sync.models import SyncRun
from openmrs_sync.runs import ERRORS
from passport.access import NOBODY, AskedTooOften, NotAllowed, Scope, lookups, peek
from passport.api import problems
from passport.api.parsing import JSONParser
from passport.api.serializers import ProblemSerializer
from passport.audit import record_event
from passport.models import Patient, User
from passport.registration import find_patient

PAGE = 50
N_LATEST_RUNS = 20
ELSEWHERE = "You may refresh this person from your own hospital only."
#: Of every address here.
PROBLEMS = {(code, problems.CONTENT_TYPE): ProblemSerializer for code in (400, 401, 403)}
NOT_FOUND = {(404, problems.CONTENT_TYPE): ProblemSerializer}
CONFLICT = {(409, problems.CONTENT_TYPE): SyncAllConflictSerializer}
OTHER_BODY = {(415, problems.CONTENT_TYPE): ProblemSerializer}
TOO_OFTEN = {(429, problems.CONTENT_TYPE): ProblemSerializer}


class AdminView(APIView):
    permission_classes = [IsAdmin]
    # Many clients send an empty form where no body is meant; `checked` refuses one that holds something.
    parser_classes = [JSONParser, FormParser, MultiPartParser]


class Initialize(AdminView):
    """Create or update these hospitals and test each; without a body test those that are there."""

    @extend_schema(
        request=InitializeSerializer,
        responses={200: InitializedSerializer, **PROBLEMS, **OTHER_BODY},
        operation_id="sync_initialize",
    )
    def post(self, request: Request) -> Response:
        body, actor, now = checked(InitializeSerializer, request), caller(request), timezone.now()
        if "hospitals" in body:
            # As they came: what is wrong with an entry is said beside it, and stops no other.
            results = loading.load(body["hospitals"], now, actor=actor)
        else:
            known = Hospital.objects.exclude(state=HospitalState.RETIRED).order_by("number")
            results = [
                loading.LoadResult(position=n, code=h.code, outcome=loading.Outcome.UNCHANGED, hospital_id=h.pk)
                for n, h in enumerate(known, start=1)
            ]
        answer = {"hospitals": tested(results, actor=actor, now=timezone.now())}
        return Response(InitializedSerializer(answer).data)


class Start(AdminView):
    """Let the schedule run, with this interval or the stored one."""

    @extend_schema(
        request=StartSerializer, responses={200: ControlSerializer, **PROBLEMS, **OTHER_BODY}, operation_id="sync_start"
    )
    def post(self, request: Request) -> Response:
        body = checked(StartSerializer, request)
        now = timezone.now()
        control.start(interval_minutes=body.get("intervalMinutes"), actor=caller(request), now=now)
        queue.enqueue_tick()
        return Response(ControlSerializer(control_values(now=now)).data)


class Stop(AdminView):
    """No run begins by itself any more. A run under way goes on to its end."""

    @extend_schema(request=None, responses={200: ControlSerializer, **PROBLEMS}, operation_id="sync_stop")
    def post(self, request: Request) -> Response:
        now = timezone.now()
        control.stop(actor=caller(request), now=now)
        return Response(ControlSerializer(control_values(now=now)).data)


class SyncAll(AdminView):
    """Queue a run for every live hospital that has none under way."""

    @extend_schema(
        request=None,
        parameters=[OpenApiParameter("fullHistory", bool, description="Read every linked person again.")],
        responses={202: SyncAllSerializer, **PROBLEMS, **CONFLICT},
        operation_id="sync_all",
    )
    def post(self, request: Request) -> Response:
        enqueued = queue.request(
            hospitals=queue.live_hospitals(),
            actor=caller(request),
            trigger=SyncRun.Trigger.API,
            is_full=yes_or_no(request, "fullHistory"),
            now=timezone.now(),
        )
        body = {
            "runs": [{"hospital": run.hospital.code, "id": run.pk, "url": run_url(run)} for run in enqueued.runs],
            "already_running": [hospital.code for hospital in enqueued.already_running],
        }
        data = SyncAllSerializer(body).data
        if enqueued.runs:
            return Response(data, status=status.HTTP_202_ACCEPTED)
        return conflict("No run could be started: none of the hospitals is live and idle.", data)


def _scope_of(user: User, patient: Patient | None, *, now: datetime) -> Scope | None:
    """What this doctor may see of this patient; None: nothing. A patient that nobody is costs the same queries."""
    try:
        return peek(user=user, now=now, patient_id=patient.pk if patient else NOBODY).scope
    except NotAllowed:
        return None


class SyncPatient(APIView):
    """Ask the hospitals for one patient's rows now; answers within 20 seconds."""

    permission_classes = [IsDoctorOrAdmin]
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "lookup"

    @extend_schema(
        request=None,
        parameters=[
            OpenApiParameter("national_id", OpenApiTypes.STR, OpenApiParameter.PATH),
            OpenApiParameter("hospital", str, description="The code of one hospital; all when left out."),
        ],
        responses={200: SyncPatientSerializer, **PROBLEMS, **TOO_OFTEN},
        operation_id="sync_patient",
    )
    def post(self, request: Request, national_id: str) -> Response:
        user, now = caller(request), timezone.now()
        patient = find_patient(national_id=national_id)
        scope = None if user.is_admin else _scope_of(user, patient, now=now)
        basis = "admin" if user.is_admin else scope and scope.basis
        hospitals = patient_refresh.hospitals_to_ask(user=user, may_read=bool(basis))
        named = request.query_params.get("hospital")
        asked = [hospital for hospital in hospitals if named in (None, hospital.code)]
        if named is not None and not asked and user.is_admin:
            raise ValidationError({"hospital": ["No hospital that is live or paused has this code."]})
        record = partial(record_event, actor=user, now=now, patient_id=patient.pk if patient else None)
        # What their own hospital answers tells a doctor without access something: counted like a refusal.
        is_often = not basis and lookups.is_too_often(user=user, national_id=national_id, now=now)
        if is_often or (not asked and not user.is_admin):
            record(action="sync_patient_refused", basis="refused")
            raise AskedTooOften if is_often else problems.RefusalRecorded(ELSEWHERE)
        record(action="sync_patient", basis=basis or "own_hospital")
        # Their own hospital a doctor may always ask: they work with its files.
        hidden = scope.left_out.hospitals - {user.hospital_id} if scope else frozenset()
        answers = patient_refresh.refresh_everywhere(patient=patient, hospitals=asked, now=now, hidden=hidden)
        if not basis:
            answers = [answer.untold() for answer in answers]
        if scope and scope.is_partial:
            answers = [answer.uncounted() for answer in answers]
        details = {answer.hospital: answer.as_dict() for answer in answers}
        record(action="sync_patient_done", details=details)
        return Response(SyncPatientSerializer({"hospitals": [answer.as_dict() for answer in answers]}).data)


class Status(AdminView):
    """The schedule, the worker, every hospital, and the last 20 runs."""

    @extend_schema(responses={200: StatusSerializer, **PROBLEMS}, operation_id="sync_status")
    def get(self, request: Request) -> Response:  # noqa: ARG002 - a fixed signature
        now = timezone.now()
        seen = overview.read_overview(now=now)
        body = {
            **control_values(now=now),
            "worker_alive": seen.is_worker_alive,
            "hospitals": [hospital_values(line, now=now) for line in seen.lines],
            "runs": SyncRun.objects.select_related("hospital")[:N_LATEST_RUNS],
        }
        return Response(StatusSerializer(body).data)


class Runs(AdminView):
    """All runs, the latest first."""

    @extend_schema(
        parameters=[
            OpenApiParameter("errors", bool, description="Only runs that failed, went quiet or were interrupted."),
            OpenApiParameter("cursor", str, description="`next` of the page before."),
        ],
        responses={200: RunPageSerializer, **PROBLEMS},
        operation_id="sync_runs",
    )
    def get(self, request: Request) -> Response:
        found = SyncRun.objects.select_related("hospital").order_by("-started_at", "-pk")
        if yes_or_no(request, "errors"):
            found = found.filter(ERRORS)
        page = list(after_cursor(found, request.query_params.get("cursor"))[: PAGE + 1])
        last = page[PAGE - 1] if len(page) > PAGE else None
        # Z, not +00:00: whoever puts it into an address as it is would send a space.
        following = f"{last.started_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}|{last.pk}" if last else None
        return Response(RunPageSerializer({"results": page[:PAGE], "next": following}).data)


class Run(AdminView):
    """One run."""

    @extend_schema(responses={200: RunSerializer, **PROBLEMS, **NOT_FOUND}, operation_id="sync_run")
    def get(self, request: Request, run_id: str) -> Response:  # noqa: ARG002 - a fixed signature
        try:
            pk = UUID(run_id)
        except ValueError:
            raise Http404 from None
        return Response(RunSerializer(get_object_or_404(SyncRun.objects.select_related("hospital"), pk=pk)).data)


def caller(request: Request) -> User:
    """Who calls; the permission has seen to it that it is a login of ours."""
    return cast("User", request.user)


def checked(serializer_class: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body in its declared shape; a missing one counts as empty. Raises ValidationError (400)."""
    is_filled_form = isinstance(request.data, QueryDict) and bool(request.data)
    if is_filled_form or not isinstance(request.data, dict):
        raise ValidationError("The body must be a JSON object.")
    serializer = serializer_class(data=dict(request.data))
    if set(request.data) - set(serializer.fields):
        # Not repeated: it may be anything. A misspelt key that is passed over does something else than was asked for.
        known = ", ".join(serializer.fields)
        raise ValidationError(f"The body has a key that is not known here. Known: {known}.")
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)


def yes_or_no(request: Request, name: str) -> bool:
    word = request.query_params.get(name, "false").lower()
    if word not in {"true", "false"}:
        raise ValidationError({name: ["Must be true or false."]})
    return word == "true"


def after_cursor(runs: QuerySet[SyncRun], cursor: str | None) -> QuerySet[SyncRun]:
    if not cursor:
        return runs
    try:
        moment, _, key = cursor.partition("|")
        started_at, pk = datetime.fromisoformat(moment), UUID(key)
        if started_at.tzinfo is None:
            raise ValueError("no zone")
        started_at = started_at.astimezone(UTC)
    except (ValueError, OverflowError):  # overflow: year 1 or 9999, in a zone that leads out of it
        raise ValidationError({"cursor": ["This is not the `next` of a page."]}) from None
    return runs.filter(Q(started_at__lt=started_at) | Q(started_at=started_at, pk__lt=pk))


def conflict(detail: str, more: dict[str, Any]) -> Response:
    """409 as a problem document that carries the lists too."""
    response = problems.problem(status=status.HTTP_409_CONFLICT, code="already-running", detail=detail)
    response.data |= more
    return response


def run_url(run: SyncRun) -> str:
    return reverse("openmrs-sync-run", args=[run.pk])


def tested(results: Sequence[loading.LoadResult], *, actor: User, now: datetime) -> list[dict[str, Any]]:
    """The steps of each hospital's connection test. `settings` comes first: what `load` said of the entry."""
    loaded = Hospital.objects.in_bulk([result.hospital_id for result in results if result.hospital_id])
    tests = {test.hospital_id: test for test in test_connections(hospitals=list(loaded.values()), now=now, actor=actor)}
    return [tested_one(result, test=tests[result.hospital_id] if result.hospital_id else None) for result in results]


def tested_one(result: loading.LoadResult, *, test: ConnectionTest | None) -> dict[str, Any]:
    said_as = "fail" if test is None else "hint"
    said = [{"name": "settings", "result": said_as, "message": message} for message in result.messages]
    if test is None:
        return {"code": result.code, "ok": False, "steps": said}
    return {"code": result.code, "ok": test.is_ok, "steps": said + test.steps}


def control_values(*, now: datetime) -> dict[str, Any]:
    word = control.read_control()
    return {
        "running": word.is_running,
        "interval_minutes": word.interval_minutes,
        "next_due_at": control.next_due_at(now=now),
    }


def hospital_values(line: overview.HospitalLine, *, now: datetime) -> dict[str, Any]:
    return {
        "code": line.hospital.code,
        "state": line.hospital.state,
        "lag_seconds": line.lag_seconds,
        "last_success_at": line.last_success_at,
        "last_error_kind": line.last_error_kind,
        "breaker": line.breaker,
        "receipt": receipts.receipt(hospital=line.hospital, verify=False, now=now).as_dict(),
        "records": line.balance.n_stored,
    }
