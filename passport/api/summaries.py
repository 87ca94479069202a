"""A patient's record on one page: as JSON, and as a FHIR document."""

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from passport import access, fhir, history
from passport.access import Action, Opened
from passport.api.serializers import FreshnessSerializer, RecordSerializer
from passport.api.views import OWN_PROBLEMS, PRIVATE_PROBLEMS, caller, open_own

NATIONAL_ID = OpenApiParameter("national_id", str, OpenApiParameter.PATH)


class StatedSerializer(serializers.Serializer[Any]):
    record = RecordSerializer()
    standing = serializers.ChoiceField(
        choices=[s.value for s in history.Standing], help_text="By the source's own dates and the clock."
    )


class SummarySerializer(serializers.Serializer[Any]):
    allergies = RecordSerializer(many=True)
    conditions = StatedSerializer(many=True, help_text="Current, and those of which nobody says whether they hold.")
    medications = StatedSerializer(many=True, help_text="As conditions.")
    latest_results = RecordSerializer(many=True, help_text="The newest of each test.")
    latest_vitals = RecordSerializer(many=True)
    freshness = FreshnessSerializer(many=True)
    may_hold_more = serializers.ListField(
        child=serializers.CharField(), help_text="Names of hospitals where a match is still being checked."
    )
    is_partial = serializers.BooleanField(help_text="The patient keeps something back from this caller.")


class PatientSummary(APIView):
    """What a doctor reads first. For a doctor with access and for the patient."""

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "lookup"

    @extend_schema(
        parameters=[NATIONAL_ID],
        responses={200: SummarySerializer, **PRIVATE_PROBLEMS},
        operation_id="patient_summary",
    )
    def get(self, request: Request, national_id: str) -> Response:
        return _summary(_open(request, national_id, Action.OVERVIEW))


class OwnSummary(APIView):
    """The caller's own overview."""

    @extend_schema(responses={200: SummarySerializer, **OWN_PROBLEMS}, operation_id="own_summary")
    def get(self, request: Request) -> Response:
        return _summary(open_own(request, Action.OVERVIEW))


class FhirRenderer(JSONRenderer):
    media_type = fhir.MEDIA_TYPE
    format = "fhir"


class AnyFhir(BaseContentNegotiation):
    """One form, whatever was asked for: FHIR has its own media type, and few clients know it."""

    def select_parser(self, request: Request, parsers: Any) -> Any:  # noqa: ARG002 - a fixed signature
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        return renderers[0], renderers[0].media_type


class FhirView(APIView):
    renderer_classes = (FhirRenderer,)
    content_negotiation_class = AnyFhir


class PatientFhir(FhirView):
    """International Patient Summary (FHIR R4). For a doctor with access and for the patient."""

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "lookup"

    @extend_schema(
        parameters=[NATIONAL_ID],
        responses={(200, fhir.MEDIA_TYPE): OpenApiTypes.OBJECT, **PRIVATE_PROBLEMS},
        operation_id="patient_fhir",
    )
    def get(self, request: Request, national_id: str) -> Response:
        return _document(_open(request, national_id, Action.FHIR))


class OwnFhir(FhirView):
    """The caller's own International Patient Summary (FHIR R4)."""

    @extend_schema(responses={(200, fhir.MEDIA_TYPE): OpenApiTypes.OBJECT, **OWN_PROBLEMS}, operation_id="own_fhir")
    def get(self, request: Request) -> Response:
        return _document(open_own(request, Action.FHIR))


def _open(request: Request, national_id: str, action: Action) -> Opened:
    return access.open_record(
        user=caller(request), national_id=national_id, action=action, now=timezone.now(), via="api"
    )


def _summary(opened: Opened) -> Response:
    shown = history.overview(scope=opened.scope, now=timezone.now())
    names = ("allergies", "conditions", "medications", "latest_results", "latest_vitals", "freshness", "may_hold_more")
    body = {name: getattr(shown, name) for name in names} | {"is_partial": opened.scope.is_partial}
    return Response(SummarySerializer(body).data)


def _document(opened: Opened) -> Response:
    return Response(fhir.patient_summary(scope=opened.scope, now=timezone.now()))
