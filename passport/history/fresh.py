"""How far what is shown of each hospital can be trusted."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import F

from passport import upward
from passport.access.scope import Scope, visible_links
from passport.history.shapes import Freshness, FreshnessState
from passport.models import Link
from passport.models.links import LinkState

#: A look may take its time: late is what two intervals and this do not explain.
GRACE = dt.timedelta(minutes=2)
#: What tells how fresh a hospital is: a statement of its fifty columns takes as long to put together as to be answered.
_READ = (
    *("code", "name", "state", "sync_interval_minutes"),
    *("breaker__last_success_at", "breaker__last_error_at"),
)


def freshness(*, scope: Scope, now: dt.datetime) -> list[Freshness]:
    """Each hospital whose records are shown, and each live one that was not reached: it may hold some."""
    return freshness_of(visible_links(scope), now=now)


def freshness_of(links: Sequence[Link], *, now: dt.datetime) -> list[Freshness]:
    general_minutes = upward.control().interval_minutes
    of_hospital: dict[UUID, list[Link]] = {}
    for link in links:
        of_hospital.setdefault(link.hospital_id, []).append(link)
    found = []
    for hospital in upward.hospitals().select_related("breaker").only(*_READ).order_by("name", "code"):
        mine = of_hospital.get(hospital.pk, [])
        interval = dt.timedelta(minutes=hospital.sync_interval_minutes or general_minutes)
        state = _freshness_state(hospital, mine, interval=interval, now=now)
        # Elsewhere nothing of the patient is known; that a live hospital could not be asked must be said.
        if mine or (hospital.is_live and state is not FreshnessState.FRESH):
            found.append(
                Freshness(
                    hospital=hospital.code,
                    hospital_name=hospital.name,
                    state=state,
                    read_at=_read_at(hospital, mine),
                )
            )
    return found


def may_hold_more(*, scope: Scope) -> list[str]:
    """Hospitals where a human still has to decide whose records they are; one that is left out is not named."""
    held = Link.objects.filter(patient=scope.patient, state=LinkState.HELD, epoch=F("hospital__epoch"))
    held = held.exclude(hospital_id__in=scope.left_out.hospitals)
    return sorted(set(held.values_list("hospital__name", flat=True)))


def _freshness_state(
    hospital: Any, links: Sequence[Link], *, interval: dt.timedelta, now: dt.datetime
) -> FreshnessState:
    if not hospital.is_live:
        return FreshnessState.PAUSED
    breaker = getattr(hospital, "breaker", None)
    looked_at = breaker.last_success_at if breaker else None
    failed_at = breaker.last_error_at if breaker else None
    if failed_at is not None and (looked_at is None or failed_at > looked_at):
        return FreshnessState.UNREACHABLE
    patience = 2 * interval + GRACE
    is_looked_at = looked_at is not None and now - looked_at <= patience
    return (
        FreshnessState.FRESH
        if is_looked_at and all(_is_read(link, patience=patience, now=now) for link in links)
        else FreshnessState.LATE
    )


def _is_read(link: Link, *, patience: dt.timedelta, now: dt.datetime) -> bool:
    """Whether our records of this person are what the last look saw, or will be within the time a refresh may take."""
    if link.refreshed_at is None:
        return False
    if now - link.refreshed_at > dt.timedelta(hours=link.hospital.sweep_hours) + patience:
        return False
    return not is_stale(link) or link.stale_since is None or now - link.stale_since <= patience


def is_stale(link: Link) -> bool:
    return link.marks != link.fresh_marks or link.fresh_config_version != link.hospital.config_version


def _read_at(hospital: Any, links: Sequence[Link]) -> dt.datetime | None:
    """Until when the hospital confirmed what is shown: its last look for persons that did not move, else their read."""
    breaker = getattr(hospital, "breaker", None)
    looked_at = breaker.last_success_at if breaker else None
    moments = [
        link.refreshed_at if is_stale(link) or looked_at is None else max(link.refreshed_at, looked_at)
        for link in links
        if link.refreshed_at is not None
    ]
    if len(moments) < len(links):
        return None
    return min(moments, default=looked_at)
