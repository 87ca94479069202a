"""System checks: settings under which the queue would deliver tasks twice, or the web would not see the workers."""

from collections.abc import Callable
from math import ceil
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.module_loading import import_string

from passport.sms import WebhookBackend

ONE_PROCESS_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")


@register(Tags.compatibility)
def check_queue(**_: Any) -> list[CheckMessage]:
    """E001 to E003: the queue's settings."""
    queue = settings.Q_CLUSTER
    return [*_retry(queue), *_delivery(queue)]


@register(Tags.caches)
def check_cache(**_: Any) -> list[CheckMessage]:
    """E004: the queue keeps its state in the cache, so web and workers must share it."""
    if not settings.CACHES["default"]["BACKEND"].endswith(ONE_PROCESS_CACHES):
        return []
    return [
        Error(
            "The default cache is not shared between processes.",
            hint="Use the file cache, a database cache or Redis: the web does not see the workers otherwise.",
            id="passport.E004",
        )
    ]


@register(Tags.database)
def check_sqlite(**_: Any) -> list[CheckMessage]:
    """E005: the audit chain is kept from forking by transactions that begin by taking the write lock."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3") or database["OPTIONS"].get("transaction_mode") == "IMMEDIATE":
        return []
    return [
        Error(
            "SQLite's transactions do not begin IMMEDIATE.",
            hint='Set OPTIONS["transaction_mode"] = "IMMEDIATE": two writers could fork the audit chain otherwise.',
            id="passport.E005",
        )
    ]


@register(Tags.security, deploy=True)
def check_second_factor(**_: Any) -> list[CheckMessage]:
    """W001: staff and doctors without a one-time code."""
    if settings.REQUIRE_TOTP:
        return []
    return [
        Warning(
            "Staff and doctors may log in without a one-time code.",
            hint="Set REQUIRE_TOTP=true.",
            id="passport.W001",
        )
    ]


@register(Tags.compatibility)
def check_sms(**_: Any) -> list[CheckMessage]:
    """E006: notices by SMS were asked for, and cannot be sent."""
    try:
        backend = import_string(settings.SMS_BACKEND) if settings.SMS_BACKEND else None
    except ImportError:
        return [
            Error(
                "SMS_BACKEND names no class that is there.",
                hint="passport.sms.WebhookBackend, passport.sms.ConsoleBackend, or a class of yours.",
                id="passport.E006",
            )
        ]
    if backend is WebhookBackend and not settings.SMS_WEBHOOK_URL:
        return [
            Error(
                "SMS_BACKEND is the webhook, and there is no address to post to.",
                hint="Set SMS_WEBHOOK_URL to the https address of your gateway.",
                id="passport.E006",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_hosts(**_: Any) -> list[CheckMessage]:
    """E007: a host that anybody may name ends up in the letters that lead to another password."""
    if not any(host.startswith("*") for host in settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            "Any host is allowed: a forged Host header would stand in the links of our letters.",
            hint="Name the hosts of this site in ALLOWED_HOSTS.",
            id="passport.E007",
        )
    ]


def smallest_retry(*, timeout: int, queue_limit: int, workers: int) -> int:
    """Seconds that `retry` must exceed: it counts from dequeue, so a task may wait for those taken before it."""
    return timeout * (1 + ceil((queue_limit + 1) / workers))


def _retry(queue: dict[str, Any]) -> list[CheckMessage]:
    smallest = smallest_retry(timeout=queue["timeout"], queue_limit=queue["queue_limit"], workers=queue["workers"])
    if queue["retry"] > smallest:
        return []
    return [
        Error(
            "The queue would deliver a long task twice.",
            hint=f'Q_CLUSTER["retry"] must be more than {smallest}: timeout × (1 + ceil((queue_limit + 1) / workers)).',
            id="passport.E001",
        )
    ]


def _delivery(queue: dict[str, Any]) -> list[CheckMessage]:
    wanted = {"max_attempts": 1, "ack_failures": True, "catch_up": False, "bulk": 1}
    wrong = [f"{name} = {value}" for name, value in wanted.items() if queue.get(name) != value]
    found: list[CheckMessage] = []
    if wrong:
        found.append(
            Error(
                "The queue would repeat tasks: attempts are counted in SyncRun.",
                hint=f"Q_CLUSTER must have {', '.join(wrong)}.",
                id="passport.E002",
            )
        )
    if queue["queue_limit"] > queue["workers"]:
        found.append(
            Error(
                "Tasks would wait in a worker host's memory.",
                hint='Q_CLUSTER["queue_limit"] must not be more than workers.',
                id="passport.E003",
            )
        )
    return found


#: Every check of ours; a test asks that each has one.
CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    check_queue,
    check_cache,
    check_sqlite,
    check_second_factor,
    check_hosts,
)
