"""Breaking the glass over the API. The number travels in the body: a path would keep it in logs."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from passport.access import AccessRefused, emergencies
from passport.api.serializers import ProblemSerializer
from passport.api.views import caller

PROBLEMS = {(code, "application/problem+json"): ProblemSerializer for code in (400, 401, 403, 415, 429)}


class EmergencyRequestSerializer(serializers.Serializer[Any]):
    national_id = serializers.CharField(max_length=100)
    reason = serializers.CharField(
        min_length=emergencies.SHORTEST_REASON,
        max_length=1000,
        help_text="What the emergency is. The patient and the data protection officer read it.",
    )


class EmergencySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    until = serializers.DateTimeField(help_text="Until then the record is open, if anybody holds the number.")


class Emergencies(APIView):
    """Open the record of this number for an hour, in an emergency. For doctors.

    The answer is the same whether or not anybody holds the number. The patient is told, and every emergency reviewed.
    """

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "lookup"

    @extend_schema(
        request=EmergencyRequestSerializer,
        responses={202: EmergencySerializer, **PROBLEMS},
        operation_id="emergency",
    )
    def post(self, request: Request) -> Response:
        body = EmergencyRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            opened = emergencies.break_glass(user=caller(request), now=timezone.now(), **body.validated_data)
        except AccessRefused as refusal:
            if refusal.field:
                raise ValidationError({refusal.field: [str(refusal)]}) from None
            raise Throttled(detail=str(refusal)) from None
        return Response(EmergencySerializer({"id": opened.pk, "until": opened.ends_at}).data, status=202)
