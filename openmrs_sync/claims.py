"""Who may write for a hospital now, and whether a hospital may be tried at all.

A claim is one guarded update that sets a growing token and a lease. There is no status flag: a killed holder frees the
hospital by time. Every write of the engine names its token (`hold`), so a worker that was frozen past its lease and
wakes up writes nothing.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest

from hospitals.models import Hospital
from openmrs_sync.errors import ClaimBusy, ClaimLost
from openmrs_sync.models import Breaker, Claim

#: Renewed between the stages of a batch; at least twice as long as the longest bounded one (a statement: 30 s).
LEASE = timedelta(seconds=120)
#: Failures in a row after which the breaker opens; the pause doubles from the first to the longest.
FAILURES_TO_OPEN = 3
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, from one moment that was passed in: steps of the machine's clock in mid-run change nothing."""

    start: datetime
    began: float

    @classmethod
    def at(cls, now: datetime) -> "Clock":
        return cls(now, time.monotonic())

    def now(self) -> datetime:
        return self.start + timedelta(seconds=time.monotonic() - self.began)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldClaim:
    """Our right to write for one hospital, as long as the store still has our token."""

    hospital: Hospital
    token: int
    clock: Clock

    def renew(self) -> None:
        """Extend the lease. Raises ClaimLost when somebody else holds the hospital.

        Inside `transaction.atomic()` this also locks the claim's row: what is written with it is written under our
        token or not at all.
        """
        ours = Claim.objects.filter(pk=self.hospital.pk, token=self.token, lease_until__isnull=False)
        if ours.update(lease_until=self.clock.now() + LEASE) != 1:
            raise ClaimLost(
                "The claim on this hospital ran out during a batch. Nothing was lost: the next run goes on."
            )

    @contextmanager
    def fence(self) -> Iterator[None]:
        """One transaction under our token: written as ours, or not at all. Raises ClaimLost."""
        with transaction.atomic():
            self.renew()
            yield


@contextmanager
def claim(*, hospital: Hospital, clock: Clock) -> Iterator[HeldClaim]:
    """Hold the hospital for the length of the block. Raises ClaimBusy when another worker does."""
    now = clock.now()
    Claim.objects.get_or_create(pk=hospital.pk)
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now) | Q(lease_until__gt=now + 10 * LEASE)
    with transaction.atomic():
        # also above whatever was written since the copy of our database that may have been put back meanwhile
        next_token = Greatest(F("token") + 1, int(now.timestamp()))
        taken = Claim.objects.filter(free, pk=hospital.pk).update(token=next_token, lease_until=now + LEASE)
        token = Claim.objects.values_list("token", flat=True).get(pk=hospital.pk)
    if not taken:
        raise ClaimBusy("Another worker is reading this hospital. Its result will appear in the list of runs.")
    try:
        yield HeldClaim(hospital=hospital, token=token, clock=clock)
    finally:
        Claim.objects.filter(pk=hospital.pk, token=token).update(lease_until=None)


def is_claimed(*, hospital: Hospital, now: datetime) -> bool:
    return Claim.objects.filter(pk=hospital.pk, lease_until__gte=now).exists()


def may_try(*, hospital: Hospital, now: datetime) -> bool:
    """Whether the breaker lets the schedule try this hospital now."""
    return lets_try(breaker=Breaker.objects.filter(pk=hospital.pk).first(), now=now)


def lets_try(*, breaker: Breaker | None, now: datetime) -> bool:
    """The same, of a breaker that was read already."""
    if breaker is None or breaker.state == Breaker.State.CLOSED or breaker.retry_at is None:
        return True
    # a pause longer than any we set: our clock was in the future when it was written
    return breaker.retry_at <= now or breaker.retry_at > now + 2 * LONGEST_PAUSE


def note_try(*, hospital: Hospital, now: datetime) -> None:
    """A try begins: an open breaker becomes half open."""
    Breaker.objects.get_or_create(pk=hospital.pk)
    Breaker.objects.filter(pk=hospital.pk).update(last_try_at=now)
    Breaker.objects.filter(pk=hospital.pk, state=Breaker.State.OPEN).update(state=Breaker.State.HALF_OPEN)


def note_success(*, hospital: Hospital, started_at: datetime) -> None:
    Breaker.objects.filter(pk=hospital.pk).update(
        state=Breaker.State.CLOSED, n_failures=0, retry_at=None, last_error_kind="", last_success_at=started_at
    )


def note_failure(*, hospital: Hospital, kind: str, is_transient: bool, now: datetime) -> None:
    """Back off with jitter. What only a human can mend waits for the longest pause at once; "sync now" ignores it."""
    breaker, _ = Breaker.objects.get_or_create(pk=hospital.pk)
    n_failures = breaker.n_failures + 1
    is_open = not is_transient or n_failures >= FAILURES_TO_OPEN or breaker.state == Breaker.State.HALF_OPEN
    doublings = min(max(n_failures - FAILURES_TO_OPEN, 0), 10)
    pause = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE) if is_transient else LONGEST_PAUSE
    jittered = pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret
    Breaker.objects.filter(pk=hospital.pk).update(
        state=Breaker.State.OPEN if is_open else Breaker.State.CLOSED,
        n_failures=n_failures,
        retry_at=now + jittered if is_open else None,
        last_error_kind=kind,
        last_error_at=now,
    )
