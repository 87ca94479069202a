"""/api/: tokens, a patient's records, and what patients may ask about themselves."""

from typing import Any, cast

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from passport import access, history
from passport.access import Action, Opened
from passport.api import problems, tokens
from passport.api.login import check_login
from passport.api.serializers import (
    LooksPageSerializer,
    ProblemSerializer,
    ProfileSerializer,
    RecordPageSerializer,
    RefreshRequestSerializer,
    TokenPairSerializer,
    TokenRequestSerializer,
)
from passport.history.fresh import freshness_of
from passport.history.kept import Reading
from passport.models import User
from passport.models.record import Category
from passport.views.session import origin_of

CURSOR = OpenApiParameter("cursor", str, description="`next` of the page before.")
FILTERS = [
    OpenApiParameter("category", str, enum=Category.values),
    OpenApiParameter("hospital", str, description="The hospital's code."),
    OpenApiParameter(
        "from", str, description="First day, YYYY-MM-DD, as the hospital counts days. Leaves out undated."
    ),
    OpenApiParameter("to", str, description="Last day, inclusive."),
    OpenApiParameter("q", str, description="Words that the concept or the value must hold, without case and accents."),
    OpenApiParameter("status", str, enum=[s.value for s in history.Status], description="current when left out."),
    CURSOR,
]
PRIVATE_PROBLEMS = {(code, "application/problem+json"): ProblemSerializer for code in (400, 401, 403, 429)}
OWN_PROBLEMS = {(code, "application/problem+json"): ProblemSerializer for code in (400, 401, 403)}
TOKEN_PROBLEMS = {(code, "application/problem+json"): ProblemSerializer for code in (400, 401, 403, 415, 429)}


class PublicView(APIView):
    """For those who have no token yet. Without the header, REST framework would make a wrong password a 403."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - a fixed signature
        return 'Bearer realm="api"'


class Token(PublicView):
    """Log in: a pair of tokens for a username, or a patient's National ID, and a password."""

    @extend_schema(
        request=TokenRequestSerializer,
        responses={200: TokenPairSerializer, **TOKEN_PROBLEMS},
        operation_id="auth_token",
    )
    def post(self, request: Request) -> Response:
        body = _checked(TokenRequestSerializer(data=request.data))
        now = timezone.now()
        user, has_code = check_login(request=request, now=now, **body)
        return _pair(tokens.issue(user=user, now=now, has_code=has_code, origin=origin_of(request._request)))


class Refresh(PublicView):
    """A new pair for a refresh token, which is used up by this. A second use logs out every copy."""

    @extend_schema(
        request=RefreshRequestSerializer,
        responses={200: TokenPairSerializer, **TOKEN_PROBLEMS},
        operation_id="auth_refresh",
    )
    def post(self, request: Request) -> Response:
        body = _checked(RefreshRequestSerializer(data=request.data))
        try:
            return _pair(tokens.rotate(refresh=body["refresh"], now=timezone.now()))
        except tokens.TokenRefused as error:
            raise AuthenticationFailed(str(error), code="token-not-valid") from None


class Logout(PublicView):
    """End a login: its refresh tokens are no longer good. Access tokens run out within ten minutes."""

    @extend_schema(
        request=RefreshRequestSerializer, responses={204: None, **TOKEN_PROBLEMS}, operation_id="auth_logout"
    )
    def post(self, request: Request) -> Response:
        body = _checked(RefreshRequestSerializer(data=request.data))
        tokens.end(refresh=body["refresh"], now=timezone.now())
        return Response(status=204)


class PatientRecords(APIView):
    """A patient's history from all hospitals, newest first, undated last.

    For a doctor with access and for the patient. An unknown number and a number without the right are one answer.
    The header `Record-Partial: true` says that the patient keeps some entries from the caller.
    """

    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "lookup"

    @extend_schema(
        parameters=[OpenApiParameter("national_id", str, OpenApiParameter.PATH), *FILTERS],
        responses={200: RecordPageSerializer, **PRIVATE_PROBLEMS},
        operation_id="patient_records",
    )
    def get(self, request: Request, national_id: str) -> Response:
        now = timezone.now()
        opened = access.open_record(
            user=caller(request), national_id=national_id, action=Action.RECORDS, now=now, via="api"
        )
        return _records(request, opened)


class OwnRecords(APIView):
    """The caller's own history."""

    @extend_schema(
        parameters=FILTERS, responses={200: RecordPageSerializer, **OWN_PROBLEMS}, operation_id="own_records"
    )
    def get(self, request: Request) -> Response:
        return _records(request, open_own(request, Action.RECORDS))


class OwnProfile(APIView):
    """The caller, as a patient."""

    @extend_schema(responses={200: ProfileSerializer, **OWN_PROBLEMS}, operation_id="own_profile")
    def get(self, request: Request) -> Response:
        patient, user = open_own(request, Action.PROFILE).patient, caller(request)
        body = {
            "id": patient.pk,
            "username": user.get_username(),
            "role": user.role,
            "given_name": patient.given_name,
            "family_name": patient.family_name,
            "birth_date": patient.birth_date,
            "sex": patient.sex,
            "email": patient.email,
            "phone": patient.phone,
            "national_ids": list(patient.identifiers.order_by("created_at").values_list("number", flat=True)),
        }
        return Response(ProfileSerializer(body).data)


class OwnAccess(APIView):
    """Who looked at the caller's record, newest first."""

    @extend_schema(parameters=[CURSOR], responses={200: LooksPageSerializer, **OWN_PROBLEMS}, operation_id="own_access")
    def get(self, request: Request) -> Response:
        opened = open_own(request, Action.WHO_LOOKED)
        page = history.looks_page(patient=opened.patient, cursor=request.query_params.get("cursor"))
        return Response(LooksPageSerializer(page).data)


@csrf_exempt
def nothing(request: HttpRequest) -> HttpResponseBase:
    """Everything else below /api/."""
    return problems.not_found(request, Http404())


def _records(request: Request, opened: Opened) -> Response:
    filters = history.parse_filters(request.query_params)
    reading = Reading(opened.scope)
    cursor = request.query_params.get("cursor")
    page = history.records_page(scope=opened.scope, filters=filters, cursor=cursor, reading=reading)
    fresh = freshness_of(reading.seen.links, now=timezone.now())
    body = RecordPageSerializer({"results": page.results, "next": page.next, "freshness": fresh}).data
    return Response(body, headers=partial_header(opened))


def partial_header(opened: Opened) -> dict[str, str]:
    """Said to one from whom the patient keeps something, whether or not this answer would have held any of it."""
    return {"Record-Partial": "true"} if opened.scope.is_partial else {}


def open_own(request: Request, action: Action) -> Opened:
    return access.open_own_record(user=caller(request), action=action, now=timezone.now(), via="api")


def caller(request: Request) -> User:
    """Who calls; the permission has seen to it that it is a login of ours."""
    return cast("User", request.user)


def _checked(serializer: Any) -> dict[str, Any]:
    """The body in its declared shape. Raises ValidationError (400)."""
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)


def _pair(pair: tokens.Pair) -> Response:
    return Response(TokenPairSerializer({"access": pair.access, "refresh": pair.refresh}).data)
