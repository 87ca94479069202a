"""Kind to the hospital's server: its quiet hours, short snapshots, and the pauses that keep to its pace."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hospitals.models import Hospital

#: The schedule's own triggers: what nobody asked for does not begin in quiet hours.
UNASKED = frozenset({"schedule", "watch"})
#: Rows in one batch at most, as seconds of the pace: a slow pace means small bites, not long pauses after large ones.
BITE_SECONDS = 5
SMALLEST_BITE = 200
#: The claim is renewed so often while we wait; far below its lease.
RENEWED_EVERY = 20.0
#: What a snapshot is meant to last: five seconds are its limit, and rows are not alike. Or a statement without one.
SNAPSHOT_SECONDS = 2.0
#: Rows of a run's first snapshot, when nobody knows how fast this server is; of the slowest's, and of the fastest's.
FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 500, 250, 8_000
#: Of one snapshot so many times as much as of the one before it, at most.
GROWTH = 4


class Tempo:
    """`rows`: how many one snapshot may read at this source, by how long the ones before it lasted.

    A hospital's ALTER TABLE waits for our snapshot, and everybody else there waits behind the ALTER. From 100 rows a
    second on all that is asked for is had within a snapshot's limit; what is not is read without one.
    """

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    @property
    def is_least(self) -> bool:
        """Whether no fewer rows will ever be asked for at once."""
        return self.rows <= FEWEST_ROWS

    def note(self, *, n_rows: int, seconds: float) -> None:
        """What was read of a batch, with the legs before its snapshot, and how long that took. Without a snapshot: what
        was read, and how long the longest statement took.
        """
        fitting = int(n_rows * SNAPSHOT_SECONDS / max(seconds, 0.001))
        is_telling = n_rows > self.rows / 2  # of one that was half empty we learn nothing
        if is_telling and fitting >= 2 * self.rows:  # not for a little more: what was planned is planned again
            self.rows = min(MOST_ROWS, GROWTH * self.rows, fitting)
        elif seconds > SNAPSHOT_SECONDS:
            self.rows = max(FEWEST_ROWS, min(self.rows, fitting))


def quiet_until(*, hospital: Hospital, now: datetime) -> datetime | None:
    """The end of the quiet hours that this moment falls into, by the hospital's own clock; None outside of them."""
    start, end = hospital.quiet_from, hospital.quiet_to
    if start is None or end is None:
        return None
    local = now.astimezone(ZoneInfo(hospital.time_zone))
    at = local.time()
    is_over_midnight = end < start
    is_quiet = (at >= start or at < end) if is_over_midnight else start <= at < end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=1) if is_over_midnight and at >= start else local.date()
    ends_at = datetime.combine(day, end, tzinfo=local.tzinfo).astimezone(now.tzinfo)
    # in the hour that comes twice the end may seem to have passed: a minute later it is asked again
    return max(ends_at, now + timedelta(minutes=1))


def batch_rows(*, hospital: Hospital, most: int) -> int:
    """Rows in one batch: fewer where the pace is slow."""
    pace = hospital.pace_rows_per_second
    return most if pace is None else min(most, max(SMALLEST_BITE, pace * BITE_SECONDS))


def rest(
    *,
    hospital: Hospital,
    n_rows: int,
    seconds: float,
    until: float | None,
    stop: threading.Event,
    renew: Callable[[], None],
) -> None:
    """Wait until `n_rows`, read and written in `seconds`, are no more than the hospital's pace allows.

    Call it between batches, outside of every snapshot and lock; `renew` keeps the claim meanwhile. Ends early when
    `stop` is set or at `until`, a moment of time.monotonic().
    """
    if hospital.pace_rows_per_second is None:
        return
    end = time.monotonic() + n_rows / hospital.pace_rows_per_second - seconds
    if until is not None:
        end = min(end, until)
    while (left := end - time.monotonic()) > 0 and not stop.wait(min(left, RENEWED_EVERY)):
        renew()
