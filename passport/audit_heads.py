"""The end of the audit chain, told once a day where it cannot be taken back: to a file, by mail, to an https address.

Who holds the database and the key could write the whole chain anew; a head that was told elsewhere before would no
longer be in it. What is told: the day, the number of the last row and its hash. No patient, no account.
"""

import datetime as dt
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from django.conf import settings
from django.utils.dateparse import parse_date

from passport.audit import head, head_hash_at, record_event
from passport.models import AuditEvent
from passport.places import NotTold, tell

log = logging.getLogger(__name__)

PUBLISHED = "audit_head_published"
NOT_PUBLISHED = "audit_head_not_published"
#: After a failure the next try waits so long.
RETRY = dt.timedelta(hours=1)


class PublishFailed(Exception):
    """One of the places could not be told. The message names its kind and what to do, never the address."""


class NotAHead(ValueError):
    """A line of a published file that we did not write. `line` counts from 1."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"Line {line} is no published head: expected are lines of JSON with day, seq and hash.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain ended when it was told. `day`: the UTC day, `missed`: days since the last time that passed by."""

    day: str
    seq: int
    hash: str
    missed: int = 0

    @property
    def line(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A published head that is no longer in the chain. `line` counts from 1."""

    line: int
    head: Head


def is_due(*, now: dt.datetime) -> bool:
    """Whether today's head is still to be told; an hour after a failed try at the earliest."""
    if not settings.AUDIT_PUBLISH_TO:
        return False
    published, failed = _last_at(PUBLISHED), _last_at(NOT_PUBLISHED)
    if published is not None and _day(published) >= _day(now):
        return False
    # A failure stamped by a clock that was ahead must not silence us.
    return failed is None or not now - RETRY < failed <= now


def publish(*, now: dt.datetime) -> Head:
    """Tell the present end of the chain at every place, and write down that it was told.

    Days on which nothing ran are caught up by this one head: it speaks for every row before it. Raises PublishFailed;
    then that is written down, and it is tried again in an hour.
    """
    last, found = _last_at(PUBLISHED), head()
    missed = max(0, (_day(now) - _day(last)).days - 1) if last else 0
    told = Head(day=_day(now).isoformat(), seq=found.seq, hash=found.hash, missed=missed)
    try:
        for place in settings.AUDIT_PUBLISH_TO:
            tell(
                place,
                setting="AUDIT_PUBLISH_TO",
                subject=f"Patient Passport: end of the audit chain, {told.day}",
                text=f"{told.line}\n\nKeep this message: audit_verify --published compares.",
                body=told.line,
            )
    except NotTold as error:
        record_event(action=NOT_PUBLISHED, actor=None, now=now, basis="failed", details={"seq": told.seq})
        raise PublishFailed(str(error)) from None
    kinds = sorted({place.partition(":")[0] for place in settings.AUDIT_PUBLISH_TO})
    record_event(action=PUBLISHED, actor=None, now=now, details={"seq": told.seq, "missed_days": missed, "to": kinds})
    return told


def read_published(lines: Iterable[str]) -> list[Head]:
    """The heads of a published file, in its order. Raises NotAHead."""
    found: list[Head] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            one = Head(day=str(said["day"]), seq=int(said["seq"]), hash=str(said["hash"]))
            if parse_date(one.day) is None:
                raise ValueError("no day")
        except (ValueError, TypeError, KeyError):
            raise NotAHead(number) from None
        found.append(one)
    return found


def first_mismatch(heads: Iterable[Head]) -> Mismatch | None:
    """The first published head that is not a row of the chain as it stands. The chain before row 1 is never wrong."""
    for number, one in enumerate(heads, start=1):
        if one.seq and head_hash_at(one.seq) != one.hash:
            return Mismatch(line=number, head=one)
    return None


def _last_at(action: str) -> dt.datetime | None:
    return AuditEvent.objects.filter(action=action).order_by("-seq").values_list("at", flat=True).first()


def _day(moment: dt.datetime) -> dt.date:
    return moment.astimezone(dt.UTC).date()
