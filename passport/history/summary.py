"""The overview: what a doctor reads first."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import QuerySet

from passport.access.scope import Scope, visible
from passport.history.fresh import freshness_of, may_hold_more
from passport.history.shapes import Overview, RecordView, Status
from passport.history.shown import by_keys, views_of
from passport.history.standing import standing
from passport.history.words import fold
from passport.models import Record
from passport.models.record import Category

LATEST_RESULTS = 12


def overview(*, scope: Scope, now: dt.datetime) -> Overview:
    """Only current records; what is past by the source's own dates and the clock is left out."""
    seen = visible(scope)
    current = seen.records.filter(status=Status.CURRENT)
    stated = list(
        current.filter(category__in=[Category.ALLERGY, Category.CONDITION, Category.MEDICATION]).order_by(
            "-order_at", "-key"
        )
    )
    newest = _newest_of_each(current)
    views = views_of(stated, seen)
    latest = views_of(sorted(by_keys(seen, newest), key=lambda r: newest.index(r.key)), seen)
    zones = {link.hospital.code: link.hospital.time_zone for link in seen.links}
    return Overview(
        allergies=_once([view for view in views if view.category == Category.ALLERGY and not view.part_of]),
        conditions=standing(views, category=Category.CONDITION, zones=zones, now=now),
        medications=standing(views, category=Category.MEDICATION, zones=zones, now=now),
        latest_results=[view for view in latest if view.category == Category.TEST],
        latest_vitals=[view for view in latest if view.category == Category.VITAL],
        freshness=freshness_of(seen.links, now=now),
        may_hold_more=may_hold_more(scope=scope),
    )


def _newest_of_each(current: QuerySet[Record]) -> list[str]:
    """Keys of the newest record of each vital sign and of each of the latest tests, newest first."""
    rows = (
        current.filter(category__in=[Category.TEST, Category.VITAL], part_of__isnull=True)
        .order_by("-order_at", "-key")
        .values_list("key", "category", "concept")
    )
    newest: dict[tuple[str, str], str] = {}
    for key, category, concept in rows:
        newest.setdefault((category, fold(concept)), key)
    tests = [key for (category, _), key in newest.items() if category == Category.TEST]
    left_out = set(tests[LATEST_RESULTS:])
    return [key for key in newest.values() if key not in left_out]


def _once(views: Iterable[RecordView]) -> list[RecordView]:
    """The newest of those that say the same."""
    newest: dict[tuple[str, str], RecordView] = {}
    for view in views:
        newest.setdefault((fold(view.concept), fold(view.value)), view)
    return list(newest.values())
