"""Probes: is the process there, and can it do its work. No names, no numbers, no reasons: anyone may ask.

And /metrics, which says more: for who holds METRICS_TOKEN, for this machine itself, and for everyone under DEBUG.
"""

import logging
import secrets
import threading

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connections
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
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
            _tell_of_silence()
    except DatabaseError as error:
        log.warning("not ready: database error=%s", type(error).__name__)
        checks = {"database": "does not answer", "worker": "not known"}
    is_ready = set(checks.values()) == {"ok"}
    return JsonResponse(
        {"status": "ok" if is_ready else "not ready", "checks": checks}, status=200 if is_ready else 503
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """How it stands, in Prometheus' text format; 404 for who may not ask."""
    if not _may_scrape(request):
        raise Http404
    return HttpResponse(upward.metrics(now=timezone.now()), content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_scrape(request: HttpRequest) -> bool:
    if settings.DEBUG:
        return True
    given = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN:
        return secrets.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    # Behind a proxy on this machine everybody comes from here.
    is_direct = not ({"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip"} & set(request.headers))
    return is_direct and request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"}


def _tell_of_silence() -> None:
    """Beside the answer, once a minute at most: a mail server that hangs must not hang the probe."""
    if not settings.ALERT_TO or not cache.add("told of silence", True, timeout=60):
        return

    def tell() -> None:
        try:
            upward.tell_of_silence(now=timezone.now())
        except DatabaseError as error:
            log.warning("the silence of the worker was not told: database error=%s", type(error).__name__)
        finally:
            connections.close_all()

    threading.Thread(target=tell, name="tell of silence", daemon=True).start()
