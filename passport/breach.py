"""What a data protection officer must tell after a breach: whose records were opened, by whom, on what basis.

Ids and counts only: names are looked up by whoever is to be told.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Max, Min

from passport.access import REFUSED
from passport.models import AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One patient, one account and one basis: how often, with what, and when first and last (UTC)."""

    patient_id: UUID
    actor_id: UUID
    actor_role: str
    hospital_id: UUID | None
    action: str
    basis: str
    n: int
    first_at: dt.datetime
    last_at: dt.datetime


def openings(
    *, begin: dt.datetime, end: dt.datetime, actor_id: UUID | None = None, hospital_id: UUID | None = None
) -> Iterator[Opening]:
    """Everything that an account did with somebody's record from `begin` until before `end`.

    Refused tries are left out: they opened nothing. What nobody did by hand (the sync) is, too.
    """
    events = AuditEvent.objects.filter(at__gte=begin, at__lt=end, patient_id__isnull=False, actor_id__isnull=False)
    events = events.exclude(basis=REFUSED)
    if actor_id is not None:
        events = events.filter(actor_id=actor_id)
    if hospital_id is not None:
        events = events.filter(hospital_id=hospital_id)
    by = ("patient_id", "actor_id", "actor_role", "hospital_id", "action", "basis")
    counted = events.values(*by).annotate(n=Count("seq"), first_at=Min("at"), last_at=Max("at"))
    for row in counted.order_by("patient_id", "actor_id", "action", "basis", "hospital_id", "actor_role").iterator():
        yield Opening(**row)
