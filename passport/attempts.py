"""How often something was tried: counted in the database, so that every process sees one count.

A try is taken before the work is done and given back when it succeeded: counting failures afterwards would let many
guesses at once pass under the limit. Windows do not slide: whoever goes on guessing does not lock the owner out longer.
"""

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Greatest

from passport.models import Attempts

#: Rows whose window is over for so long are removed by whoever counts next.
KEEP = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many tries within a window, counted under `key`, a keyed hash of whom or what is counted."""

    key: str
    most: int
    window: dt.timedelta


def limit(*, kind: str, subject: str, most: int, window: dt.timedelta) -> Limit:
    return Limit(key=hidden_key(kind, subject), most=most, window=window)


def hidden_key(kind: str, subject: str) -> str:
    """A keyed hash: neither a National ID nor an address is left behind in the table."""
    digest = hashlib.blake2b(subject.encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16)
    return f"{kind}:{digest.hexdigest()}"


def network(address: str) -> str:
    """What one visitor can hardly leave: the address itself, or the /64 that a household has under IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def take(limits: Sequence[Limit], *, now: dt.datetime) -> bool:
    """Count one try under each; False when one of them had none left. Safe against any number of tries at once."""
    # All are counted in any case: which of them was over must not show in the number of queries.
    within = [_take_one(each, now=now) for each in sorted(limits, key=lambda each: each.key)]
    return all(within)


def _take_one(limit: Limit, *, now: dt.datetime) -> bool:
    is_over = When(until__lte=now, then=Value(1))
    renewed = When(until__lte=now, then=Value(now + limit.window))
    with transaction.atomic():
        mine = Attempts.objects.filter(pk=limit.key)
        if not mine.update(count=Case(is_over, default=F("count") + 1), until=Case(renewed, default=F("until"))):
            try:
                with transaction.atomic():
                    Attempts.objects.create(key=limit.key, count=1, until=now + limit.window)
                clean(now=now)
            except IntegrityError:  # somebody else was first, a moment ago
                mine.update(count=F("count") + 1)
        return mine.values_list("count", flat=True).get() <= limit.most


def give_back(limits: Sequence[Limit]) -> None:
    """The try was honest: it does not count."""
    Attempts.objects.filter(pk__in=[each.key for each in limits], count__gt=0).update(
        count=Greatest(F("count") - 1, Value(0))
    )


def forget(keys: Collection[str]) -> None:
    """After a success: what was counted under these keys is no longer held against them."""
    Attempts.objects.filter(pk__in=keys).delete()


def is_used_up(limits: Sequence[Limit], *, now: dt.datetime) -> bool:
    """Whether one of them has no try left; counts nothing."""
    counts = dict(
        Attempts.objects.filter(pk__in=[each.key for each in limits], until__gt=now).values_list("key", "count")
    )
    return any(counts.get(each.key, 0) >= each.most for each in limits)


def clean(*, now: dt.datetime) -> int:
    """Remove counts whose window has long been over; returns how many."""
    return Attempts.objects.filter(until__lt=now - KEEP).delete()[0]
