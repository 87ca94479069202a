"""Which records may be shown, and what one looks like."""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import QuerySet

from passport.access.scope import Scope, Visible
from passport.history.shapes import KEYS_AT_ONCE, Filters, RecordView, Source, Status
from passport.models import Link, Record


def filtered(seen: Visible, filters: Filters) -> QuerySet[Record]:
    """By everything but the words."""
    found = seen.only(filters.hospital).records
    if filters.status != Status.ALL:
        found = found.filter(status=filters.status)
    if filters.category:
        found = found.filter(category=filters.category)
    if filters.is_flagged:
        found = found.filter(flag__isnull=False).exclude(flag__in=["", "normal"])
    if filters.from_date or filters.to_date:
        found = found.filter(at_local__isnull=False)
    if filters.from_date:
        found = found.filter(at_local__gte=filters.from_date.isoformat())
    if filters.to_date:
        found = found.filter(at_local__lte=f"{filters.to_date.isoformat()} 23:59:59")
    return found


def by_keys(seen: Visible, keys: Sequence[str]) -> list[Record]:
    return [
        record
        for start in range(0, len(keys), KEYS_AT_ONCE)
        for record in seen.records.filter(key__in=keys[start : start + KEYS_AT_ONCE])
    ]


def views_of(records: Iterable[Record], seen: Visible) -> list[RecordView]:
    """What came in between two queries and must be left out is left out here: the last look before it is shown."""
    by_id = {link.pk: link for link in seen.links}
    return [view(record, by_id[record.link_id], seen.scope) for record in records if not seen.scope.leaves_out(record)]


def view(record: Record, link: Link, scope: Scope) -> RecordView:
    return RecordView(
        id=record.key,
        category=record.category,
        hospital=link.hospital.code,
        hospital_name=link.hospital.name,
        concept=record.concept,
        value=record.value,
        value_number=record.value_number,
        unit=record.unit,
        low=record.low,
        high=record.high,
        flag=record.flag,
        status=record.status,
        at=moment(record.at_local, link.hospital.time_zone),
        date=record.at_local[:10] if record.at_local else None,
        visit=record.visit_id,
        encounter=record.encounter_id,
        group=record.group_id,
        part_of=record.part_of,
        certainty=record.certainty,
        rank=record.rank,
        provider=record.provider,
        location=record.location,
        source=Source(table=record.table, id=record.source_id, uuid=record.source_uuid),
        received_at=record.received_at,
        concept_uuid=record.concept_uuid,
        category_rule=record.category_rule,
        withdrawn_reason=record.withdrawn_reason,
        at_local=record.at_local,
        entered_at_local=record.entered_at_local,
        details=record.details,
        is_hidden=scope.is_hidden(record),
        sensitive=tuple(sorted(scope.sets_of(record))),
    )


@lru_cache(maxsize=1000)
def zone_of(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def moment(at_local: str | None, zone_name: str) -> str | None:
    """ISO with the hospital's offset at that time. None when there is no date, or the hospital's zone is not one."""
    zone = zone_of(zone_name)
    if at_local is None or zone is None:
        return None
    local = dt.datetime.fromisoformat(at_local)
    offset = local.replace(tzinfo=zone).utcoffset() or dt.timedelta()
    # Before zones there was local mean time: +02:00:16. ISO offsets have whole minutes.
    whole_minutes = dt.timedelta(minutes=round(offset.total_seconds() / 60))
    return local.replace(tzinfo=dt.timezone(whole_minutes)).isoformat()


def clock(zone_name: str, now: dt.datetime) -> str:
    """The hospital's clock now, as records hold times."""
    return now.astimezone(zone_of(zone_name) or dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
