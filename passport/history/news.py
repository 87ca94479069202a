"""What is new: since one's own last visit here, and since the patient's last visit at a hospital."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from passport.access import Action
from passport.access.scope import Scope, Visible, visible
from passport.history.kept import recalled, remember
from passport.history.shapes import News, SinceVisit, Status
from passport.history.shown import by_keys, clock, views_of
from passport.models import AuditEvent, Record, User
from passport.models.record import Category

#: Looks that lie closer together are one visit of these pages.
PAUSE = dt.timedelta(minutes=30)
#: Nobody looks so often without a pause.
LOOKS_BACK = 500
NEWEST = 6
#: Actions of the pages on which a record is read.
PAGES = (Action.OVERVIEW, Action.VISITS, Action.RECORD, "results_read", "medicines_read")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at a record, and when the visit before that of this look had ended. No row of the audit ever changes."""

    seq: int
    at: dt.datetime
    before: dt.datetime | None


def last_here(*, scope: Scope, user: User, now: dt.datetime) -> dt.datetime | None:
    """When this account ended its previous visit to this record; None on the first. Only its own looks are asked.

    Of a long visit only the looks since the one that was asked about last are read.
    """
    name = ("looks", user.pk, scope.patient.pk)
    known: _Look | None = recalled(name)
    looks = AuditEvent.objects.filter(patient_id=scope.patient.pk, actor_id=user.pk, action__in=PAGES)
    later = looks.filter(seq__gt=known.seq) if known else looks
    rows = list(later.order_by("-seq").values_list("seq", "at")[:LOOKS_BACK])
    before = _end_of_visit_before([at for _seq, at in rows], known, now=now)
    if rows and now - rows[0][1] <= PAUSE:
        remember(name, _Look(seq=rows[0][0], at=rows[0][1], before=before))
    return before


def _end_of_visit_before(later: Iterable[dt.datetime], known: _Look | None, *, now: dt.datetime) -> dt.datetime | None:
    """`later`: looks after the known one, newest first."""
    following = now
    for at in (*later, *([known.at] if known else [])):
        if following - at > PAUSE:
            return at
        following = at
    return known.before if known else None


def news(*, seen: Visible, since: dt.datetime) -> News:
    """What came in, or changed at the hospital, after this moment. A change of names or categories counts too."""
    return _news(seen, seen.records.filter(status=Status.CURRENT, received_at__gt=since))


def since_visit(*, scope: Scope, hospital_id: UUID, now: dt.datetime) -> SinceVisit | None:
    """What was recorded anywhere after the last visit at this hospital that began before its today; None without one.

    What belongs to that visit itself is no news to the hospital.
    """
    seen = visible(scope)
    links = [link for link in seen.links if link.hospital_id == hospital_id]
    if not links:
        return None
    today = clock(links[0].hospital.time_zone, now)[:10]
    visits = seen.records.filter(
        link_id__in=[link.pk for link in links],
        table__in=["visit", "encounter"],
        status=Status.CURRENT,
        at_local__lt=today,
    )
    last = visits.order_by("-order_at", "-key").first()
    found = views_of([last], seen) if last is not None else []
    if last is None or not found:
        return None
    later = seen.records.filter(status=Status.CURRENT, order_at__gt=last.order_at)
    if last.visit_id is not None:
        # Not as one exclude(): there a record without a visit would go too.
        inside = list(later.filter(link_id=last.link_id, visit_id=last.visit_id).values_list("key", flat=True))
        later = later.exclude(key__in=inside)
    return SinceVisit(visit=found[0], news=_news(seen, later))


def _news(seen: Visible, records: QuerySet[Record]) -> News:
    """Visits and encounters are only the frame of what was recorded; what qualifies an entry stands with it."""
    rows = (
        records.filter(part_of__isnull=True)
        .exclude(category=Category.VISIT)
        .order_by("-order_at", "-key")
        .values_list("key", "table", "source_uuid", "category", "concept", "value")
    )
    entries: set[tuple[str, str]] = set()
    newest: dict[tuple[str, str, str], str] = {}
    for key, table, uuid, category, concept, value in rows:
        # A cloned database holds the same row twice.
        if (table, uuid or key) not in entries:
            entries.add((table, uuid or key))
            # Of one measurement the newest is enough; of diagnoses the answer is what differs.
            is_measured = category in {Category.TEST, Category.VITAL}
            newest.setdefault((category, concept, "" if is_measured else value), key)
    keys = list(newest.values())[:NEWEST]
    views = {view.id: view for view in views_of(by_keys(seen, keys), seen)}
    return News(n_entries=len(entries), newest=[views[key] for key in keys if key in views])
