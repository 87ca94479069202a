"""The overview: what a doctor reads first."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from django.db.models import F, QuerySet

from passport.history.fresh import freshness_of
from passport.history.shapes import Overview, RecordView, Standing, Stated, Status
from passport.history.shown import by_keys, clock, views_of, visible_links, visible_records
from passport.history.words import fold
from passport.models import Link, Patient, Record
from passport.models.links import LinkState
from passport.models.record import Category

LATEST_RESULTS = 12
#: Words of `conditions.clinical_status` for what is over.
ENDED = {"INACTIVE", "HISTORY_OF", "REMISSION", "RESOLVED"}
END_KEYS = ("end_date", "date_stopped", "auto_expire_date")


def overview(*, patient: Patient, now: dt.datetime) -> Overview:
    """Only current records; what is past by the source's own dates and the clock is left out."""
    links = visible_links(patient)
    current = visible_records(patient, links).filter(status=Status.CURRENT)
    stated = list(
        current.filter(category__in=[Category.ALLERGY, Category.CONDITION, Category.MEDICATION]).order_by(
            "-order_at", "-key"
        )
    )
    newest = _newest_of_each(current)
    views = views_of(stated, links)
    latest = views_of(sorted(by_keys(patient, links, newest), key=lambda r: newest.index(r.key)), links)
    zones = {link.hospital.code: link.hospital.time_zone for link in links}
    return Overview(
        allergies=_once([view for view in views if view.category == Category.ALLERGY and not view.part_of]),
        conditions=_standing(views, Category.CONDITION, zones, now),
        medications=_standing(views, Category.MEDICATION, zones, now),
        latest_results=[view for view in latest if view.category == Category.TEST],
        latest_vitals=[view for view in latest if view.category == Category.VITAL],
        freshness=freshness_of(links, now=now),
        may_hold_more=_may_hold_more(patient),
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
    return list({_saying(view): view for view in reversed(list(views))}.values())[::-1]


def _saying(view: RecordView) -> tuple[str, str]:
    return fold(view.concept), fold(view.value)


def _standing(
    views: Sequence[RecordView], category: Category, zones: Mapping[str, str], now: dt.datetime
) -> list[Stated]:
    """Newest first, each once: as current when a source says so, left out when the newest word is that it is over."""
    here = {view.id for view in views}
    said: dict[tuple[str, str], list[tuple[RecordView, Standing]]] = {}
    for view in views:
        if view.category == category and view.part_of not in here:
            standing = standing_of(view, today=clock(zones[view.hospital], now))
            said.setdefault(_saying(view), []).append((view, standing))
    found = []
    for same in said.values():
        view, standing = next((pair for pair in same if pair[1] is Standing.CURRENT), same[0])
        if standing is not Standing.PAST:
            qualifiers = [other for other in views if other.part_of == view.id]
            found.append(Stated(record=view, standing=standing, qualifiers=qualifiers))
    return found


def standing_of(view: RecordView, *, today: str) -> Standing:
    """Whether this condition or medicine holds, by the source's dates and words; `today` is the hospital's clock."""
    details = view.details
    if str(details.get("clinical_status", "")).upper() in ENDED:
        return Standing.PAST
    ends = [str(details[key]) for key in END_KEYS if details.get(key)]
    if any(end <= today for end in ends):
        return Standing.PAST
    is_said = ends or str(details.get("clinical_status", "")).upper() == "ACTIVE"
    return Standing.CURRENT if is_said else Standing.UNKNOWN


def _may_hold_more(patient: Patient) -> list[str]:
    held = Link.objects.filter(patient=patient, state=LinkState.HELD, epoch=F("hospital__epoch"))
    return sorted(set(held.values_list("hospital__name", flat=True)))
