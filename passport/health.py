"""Probes: is the process there, and can it do its work. No names, no numbers, no reasons: anyone may ask."""

import logging

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from passport import upward
from passport.models import AuditHead

log = logging.getLogger(__name__)


@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers. Touches nothing else: a slow database is no reason to be restarted."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """200 when the database answers and the queue works; else 503 and which of them does not."""
    checks = {"database": "ok", "worker": "ok"}
    try:
        AuditHead.objects.exists()  # asks the database in its own words; whether there is a row does not matter
        if not upward.is_worker_alive(now=timezone.now()):
            checks["worker"] = "no tick for two intervals"
    except DatabaseError as error:
        log.warning("not ready: database error=%s", type(error).__name__)
        checks = {"database": "does not answer", "worker": "not known"}
    is_ready = set(checks.values()) == {"ok"}
    return JsonResponse(
        {"status": "ok" if is_ready else "not ready", "checks": checks}, status=200 if is_ready else 503
    )
