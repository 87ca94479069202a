"""Which records may be shown, and what one looks like."""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import F, Q, QuerySet

from passport.history.shapes import KEYS_AT_ONCE, Filters, RecordView, Source, Status
from passport.models import Link, Patient, Record
from passport.models.links import LinkState


def visible_links(patient: Patient) -> list[Link]:
    return list(
        Link.objects.filter(patient=patient, state=LinkState.LINKED, epoch=F("hospital__epoch"))
        .select_related("hospital__breaker")
        .order_by("hospital__name", "pk")
    )


def visible_records(patient: Patient, links: Sequence[Link]) -> QuerySet[Record]:
    if not links:
        return Record.objects.none()
    shown = Q(link_id__in=[link.pk for link in links if not link.min_token])
    for link in links:
        if link.min_token:
            # What a worker wrote after its claim had run out.
            shown |= Q(link_id=link.pk, token__gte=link.min_token)
    return Record.objects.filter(shown, patient_id=patient.pk)


def filtered(patient: Patient, links: Sequence[Link], filters: Filters) -> QuerySet[Record]:
    """By everything but the words."""
    if filters.hospital:
        links = [link for link in links if link.hospital.code == filters.hospital]
    found = visible_records(patient, links)
    if filters.status != Status.ALL:
        found = found.filter(status=filters.status)
    if filters.category:
        found = found.filter(category=filters.category)
    if filters.from_date or filters.to_date:
        found = found.filter(at_local__isnull=False)
    if filters.from_date:
        found = found.filter(at_local__gte=filters.from_date.isoformat())
    if filters.to_date:
        found = found.filter(at_local__lte=f"{filters.to_date.isoformat()} 23:59:59")
    return found


def by_keys(patient: Patient, links: Sequence[Link], keys: Sequence[str]) -> list[Record]:
    visible = visible_records(patient, links)
    return [
        record
        for start in range(0, len(keys), KEYS_AT_ONCE)
        for record in visible.filter(key__in=keys[start : start + KEYS_AT_ONCE])
    ]


def views_of(records: Iterable[Record], links: Sequence[Link]) -> list[RecordView]:
    by_id = {link.pk: link for link in links}
    return [view(record, by_id[record.link_id]) for record in records]


def view(record: Record, link: Link) -> RecordView:
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
