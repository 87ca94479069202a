"""System checks: settings under which the queue would deliver tasks twice, or the web would not see the workers.

And, where a database is named (`check --database default`, `migrate`, the start of `work`): whether this machine has
the keys and the time of those that are at work already.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string

from passport import audit, secrets, upward
from passport.sms import WebhookBackend

#: Half a lease: two machines whose clocks differ by more take each other for dead.
LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=30)
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


@register(Tags.database)
def check_keys(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E010, E011: a machine whose keys are not those of the others would spoil what they share."""
    if "default" not in (databases or ()):
        return []
    found: list[CheckMessage] = []
    try:
        if not audit.is_signed_by_us():
            found.append(
                Error(
                    "The audit chain ends under another AUDIT_KEY than this machine has.",
                    hint="Give every machine the same AUDIT_KEY (or SECRET_KEY, where it is left out), and the one "
                    "before in AUDIT_OLD_KEYS. Is it lost for good? python manage.py sync writes the first row under "
                    "the new one.",
                    id="passport.E010",
                )
            )
        if sealed := _codes_that_stay_sealed():
            found.append(
                Error(
                    f"The passwords of these hospitals cannot be opened on this machine: {', '.join(sealed)}.",
                    hint="Give every machine the same CREDENTIAL_KEYS. If the key is lost, pause these hospitals and "
                    "enter their passwords again.",
                    id="passport.E011",
                )
            )
    except DatabaseError:
        return []  # not migrated yet, or away: whoever asked will hear of that
    return found


@register(Tags.database)
def check_clock(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W002: leases end by each machine's own clock."""
    if "default" not in (databases or ()):
        return []
    try:
        theirs = ContentType.objects.annotate(theirs=Now()).values_list("theirs", flat=True).first()
    except DatabaseError:
        return []
    if theirs is None or abs(timezone.now() - theirs) <= LARGEST_CLOCK_DIFFERENCE:
        return []
    return [
        Warning(
            "This machine's clock differs from the database's by more than half a minute.",
            hint="Let every machine keep its time by NTP. Nothing is lost meanwhile, but work is done twice.",
            id="passport.W002",
        )
    ]


def _codes_that_stay_sealed() -> list[str]:
    """Of live hospitals, those whose password was sealed with a key that this machine has not. References are not
    followed: a web host may do without them.
    """
    found = []
    for code, sealed in (
        upward.hospitals().filter(state="live").order_by("number").values_list("code", "password_sealed")
    ):
        try:
            if not secrets.is_reference(sealed):
                secrets.open_sealed(sealed)
        except secrets.SecretUnavailable:
            found.append(code)
    return found


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
    check_keys,
    check_clock,
    check_second_factor,
    check_hosts,
)
