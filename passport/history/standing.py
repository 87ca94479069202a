"""Which conditions and medicines hold now, as far as the hospitals say. What nobody said is unknown, never current."""

import datetime as dt
from collections.abc import Mapping, Sequence

from passport.history.shapes import RecordView, Standing, Stated
from passport.history.shown import clock
from passport.history.words import fold
from passport.models.record import Category

#: `conditions.clinical_status` of what is over. Source: OpenMRS ConditionClinicalStatus, emrapi's older CONDITIONS.
ENDED = {"inactive", "history_of", "remission", "resolved"}
#: Details that hold the day from which something is over, as the hospital's clock: conditions; orders, orders.
ENDS = ("ended", "stopped", "expires")


def standing(
    views: Sequence[RecordView], *, category: Category, zones: Mapping[str, str], now: dt.datetime
) -> list[Stated]:
    """Those of a category that hold or may hold, in the order given (newest first). `zones`: by hospital code.

    Of what says the same, all different ways in which a source says that it holds; if none does, the newest, unless
    that says it is over.
    """
    told: dict[str, list[Stated]] = {}
    for view in views:
        if view.category == category and not view.part_of and view.category_rule != "class:Symptom":
            stated = Stated(
                record=view,
                standing=standing_of(view, local_now=clock(zones[view.hospital], now)),
                qualifiers=[other for other in views if other.part_of == view.id],
            )
            told.setdefault(_subject(view), []).append(stated)
    return [stated for same in told.values() for stated in _chosen(same)]


def standing_of(view: RecordView, *, local_now: str) -> Standing:
    """Whether it holds by the source's own words and dates. `local_now`: the hospital's clock, as in records."""
    details = view.details
    status = str(details.get("clinical_status", "")).lower()
    # Bahmni gives a diagnosis a status only to end it (ruled out, inactive); a revised one has a successor.
    if status in ENDED or details.get("diagnosis_status") or details.get("diagnosis_revised"):
        return Standing.PAST
    ends = [str(details[name]) for name in ENDS if details.get(name)]
    if any(end <= local_now for end in ends):
        return Standing.PAST
    # A prescription without an end is not known to be taken still: many are never closed.
    return Standing.CURRENT if ends or status == "active" else Standing.UNKNOWN


def _subject(view: RecordView) -> str:
    """What it is about: the drug; the disease that was answered; else question and answer."""
    if view.source.table == "orders":
        return fold(view.concept)
    if view.source.table in {"conditions", "encounter_diagnosis"} or view.category_rule.startswith("mapping:emrapi"):
        return fold(view.value)
    return fold(f"{view.concept}\n{view.value}")


def _chosen(same: Sequence[Stated]) -> list[Stated]:
    current: dict[tuple[str, str], Stated] = {}
    for stated in same:
        if stated.standing is Standing.CURRENT:
            current.setdefault((stated.record.concept, stated.record.value), stated)
    if current:
        return list(current.values())
    return [] if same[0].standing is Standing.PAST else [same[0]]
