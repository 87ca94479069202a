"""Errors as RFC 9457 problem documents: type, title, status, detail, and `errors` by field where there are any.

Two refusals of one kind are the same bytes, and no document repeats what was sent: the path may hold a National ID.
"""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from passport.access import REFUSED, AskedTooOften, NotAllowed
from passport.audit import record_event
from passport.history import BadCursor, BadFilter
from passport.models import User

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
INTERNAL = "Something went wrong on our side, and it was written down. Nothing was changed. Try again later."
UNREADABLE = "The request could not be read. See /api/docs/ for its form."
NOT_FOUND = "There is nothing at this address. See /api/docs/ for what there is."


class TotpNotEnrolled(exceptions.APIException):
    status_code = 403
    default_code = "second-factor-not-enrolled"
    default_detail = (
        "This account needs a one-time code and has no app that makes one. Log in on the web page once to set it up."
    )


class RefusalRecorded(exceptions.PermissionDenied):
    """A refusal that whoever raises it has written to the audit already."""


class OtpRequired(exceptions.AuthenticationFailed):
    default_code = "one-time-code-required"
    default_detail = "This account needs a one-time code. Send it as otp."


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """The exception handler of every API view. An error that nobody expected is logged, and its text kept back."""
    if isinstance(error, BadCursor | BadFilter):
        field = getattr(error, "field", "cursor")
        error = exceptions.ValidationError({field: [str(error)]})
    elif isinstance(error, AskedTooOften):
        error = exceptions.Throttled(detail=str(error))
    elif isinstance(error, NotAllowed):
        error = RefusalRecorded(str(error))
    elif isinstance(error, SuspiciousOperation):  # a body that is too large
        error = exceptions.ParseError(UNREADABLE)
    elif isinstance(error, Http404):
        error = exceptions.NotFound(NOT_FOUND)
    elif isinstance(error, DjangoPermissionDenied | exceptions.PermissionDenied) and not isinstance(
        error, RefusalRecorded
    ):
        _record_refusal(context)
    response = exception_handler(error, context)
    if response is None:
        log.error("API error in %s", type(context.get("view")).__name__, exc_info=error)
        return problem(status=500, code="internal", detail=INTERNAL)
    return _as_problem(error, response)


def problem(*, status: int, code: str, detail: str, errors: dict[str, Any] | None = None) -> Response:
    return Response(document(status=status, code=code, detail=detail, errors=errors), status, content_type=CONTENT_TYPE)


def document(*, status: int, code: str, detail: str, errors: dict[str, Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:patient-passport:problem:{code.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return body | ({"errors": errors} if errors else {})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404 of the whole site."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return _plain(status=404, code="not-found", detail=NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500 of the whole site, for what went wrong outside the API's views."""
    return _plain(status=500, code="internal", detail=INTERNAL) if _is_api(request) else defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400 of the whole site: a host that is not ours, a body too large."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    return _plain(status=400, code="bad-request", detail=UNREADABLE)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _plain(*, status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse(document(status=status, code=code, detail=detail), status=status, content_type=CONTENT_TYPE)


def _as_problem(error: Exception, response: Response) -> Response:
    """The answer that REST framework made, headers included, with a problem document as its body."""
    code, detail, errors = "error", "", None
    if isinstance(error, exceptions.ValidationError):
        code, detail = "invalid", "Some of what was sent cannot be used. See errors."
        errors = response.data if isinstance(response.data, dict) else {"non_field_errors": response.data}
    elif isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else error.default_code
        detail = str(error.detail) if isinstance(error.detail, str) else str(error.default_detail)
    elif isinstance(error, DjangoPermissionDenied):
        code, detail = "permission-denied", str(exceptions.PermissionDenied.default_detail)
    response.data = document(status=response.status_code, code=code, detail=detail, errors=errors)
    response.content_type = CONTENT_TYPE
    return response


def _record_refusal(context: dict[str, Any]) -> None:
    """A role that may not do this tried to. Which route, never with what: the path may hold a National ID."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if isinstance(user, User):
        route = getattr(getattr(request, "resolver_match", None), "url_name", None) or ""
        record_event(action="api_refused", actor=user, now=timezone.now(), basis=REFUSED, details={"route": str(route)})
