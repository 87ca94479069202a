"""The brake: a half-restored dump or a filtered view must not erase history.

Counted over `sweep_hours` since the last confirmation, this run included: records whose rows are *gone* (rows seen
voided do not count) and links that ended. The batch that would cross a limit is not written; an admin confirms or the
hospital repairs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from hospitals.models import Hospital
from openmrs_sync import links
from openmrs_sync.errors import WouldErase
from openmrs_sync.models import Watermark

SHARE = 0.05
RECORDS, LINKS = 50, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    n_gone: int
    n_ended: int


def recent(*, watermark: Watermark, sweep_hours: int, now: datetime) -> Losses:
    """What was lost within the window and since the last confirmation."""
    start = now - timedelta(hours=sweep_hours)
    if watermark.losses_accepted_at:
        start = max(start, watermark.losses_accepted_at)
    counted = [entry for entry in watermark.losses if entry[0] > start.timestamp()]
    return Losses(n_gone=sum(entry[1] for entry in counted), n_ended=sum(entry[2] for entry in counted))


def check(*, hospital: Hospital, losses: Losses, now: datetime) -> None:
    """Raise WouldErase when these losses, with the recent ones, would cross a limit."""
    if not (losses.n_gone or losses.n_ended):
        return
    watermark = Watermark.objects.filter(pk=hospital.pk).first()
    if watermark is None or watermark.is_brake_suspended:
        return
    before = recent(watermark=watermark, sweep_hours=hospital.sweep_hours, now=now)
    n_gone, n_ended = before.n_gone + losses.n_gone, before.n_ended + losses.n_ended
    linked = links.linked(hospital)
    n_records = (linked.aggregate(n=Sum("n_stored"))["n"] or 0) + before.n_gone
    n_links = linked.count() + before.n_ended
    if (n_gone > RECORDS and n_gone > SHARE * n_records) or (n_ended > LINKS and n_ended > SHARE * n_links):
        raise WouldErase(
            f"{n_gone} records and {n_ended} links of this hospital would be lost, more than a normal day explains. "
            f"Ask the hospital what happened; if it is meant, run: manage.py accept_changes {hospital.code}"
        )


def note(*, hospital: Hospital, losses: Losses, now: datetime) -> None:
    """Remember what was lost."""
    if not (losses.n_gone or losses.n_ended):
        return
    watermark = Watermark.objects.get(pk=hospital.pk)
    start = (now - timedelta(hours=hospital.sweep_hours)).timestamp()
    kept = [entry for entry in watermark.losses if entry[0] > start]
    kept.append([now.timestamp(), losses.n_gone, losses.n_ended])
    Watermark.objects.filter(pk=hospital.pk).update(losses=kept)


def suspend(*, hospital: Hospital) -> None:
    """An admin said that it is meant: the brake is off until one whole pass over the hospital has succeeded."""
    Watermark.objects.get_or_create(pk=hospital.pk, defaults={"epoch": hospital.epoch})
    Watermark.objects.filter(pk=hospital.pk).update(is_brake_suspended=True)


def rearm(*, hospital: Hospital, now: datetime) -> None:
    """A whole pass has succeeded: what was lost in it is confirmed."""
    Watermark.objects.filter(pk=hospital.pk, is_brake_suspended=True).update(
        is_brake_suspended=False, losses=[], losses_accepted_at=now
    )
