"""Balance: what the source has of a person against what became of it, and the link's mark, which is written last.

`n_source` is the source's own count, join-free, in the snapshot that was read; `n_stored` is counted in the store after
writing. So a difference shows, whoever made it: a constraint that makes it 0 by construction would prove nothing.
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import UUID

from django.db import connections

from openmrs_sync import bulk
from openmrs_sync.claims import HeldClaim
from openmrs_sync.models import ParkedRow
from openmrs_sync.rows import LinkToWrite, Rendered, chunks
from openmrs_sync.stores import record_store

#: An unexplained difference is looked at again after this.
RETRY_AFTER = dt.timedelta(minutes=5)
#: A parked row's person is read again after this, doubling up to the longest: nothing but the hospital or an upgrade of
#: ours can mend the row, and a change at the hospital is seen anyway.
FIRST_TRY, LONGEST_TRY = dt.timedelta(hours=1), dt.timedelta(hours=24)


class Figures(TypedDict):
    """Of one link and one table. `excluded`: reason → n."""

    source: int
    stored: int
    parked: int
    excluded: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Of one link after a refresh, by table. `fingerprint`: see `SourceBatch.fingerprints`."""

    link: LinkToWrite
    is_voided: bool
    tables: Mapping[str, Figures]
    fingerprint: Mapping[str, Sequence[int]]

    @property
    def n_source(self) -> int:
        return sum(figures["source"] for figures in self.tables.values())

    @property
    def n_stored(self) -> int:
        return sum(figures["stored"] for figures in self.tables.values())

    @property
    def n_parked(self) -> int:
        return sum(figures["parked"] for figures in self.tables.values())

    @property
    def n_unexplained(self) -> int:
        n_excluded = sum(sum(figures["excluded"].values()) for figures in self.tables.values())
        return self.n_source - self.n_stored - self.n_parked - n_excluded


def draw(
    *,
    links: Mapping[int, LinkToWrite],
    rendered: Iterable[Rendered],
    counts: Mapping[str, Mapping[int, int]],
    fingerprints: Mapping[int, Mapping[str, Sequence[int]]],
    voided: frozenset[int],
) -> list[Balance]:
    """The balance of each link. `counts`: table → person → rows at the source; `voided`: persons voided there."""
    stored = record_store().count_current([link.pk for link in links.values()])
    return [
        Balance(
            link=links[person.person_id],
            is_voided=person.person_id in voided,
            tables=_tables(person, counts=counts, stored=stored.get(links[person.person_id].pk, {})),
            fingerprint=fingerprints.get(person.person_id, {}),
        )
        for person in rendered
    ]


def _tables(
    person: Rendered, *, counts: Mapping[str, Mapping[int, int]], stored: Mapping[str, int]
) -> dict[str, Figures]:
    parked = Counter(row.table for row in person.parked)
    excluded: dict[str, dict[str, int]] = {}
    for row in person.excluded:
        reasons = excluded.setdefault(row.table, {})
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    tables = {
        table: Figures(
            source=of_person.get(person.person_id, 0),
            stored=stored.get(table, 0),
            parked=parked[table],
            excluded=excluded.get(table, {}),
        )
        for table, of_person in counts.items()
    }
    return {table: figures for table, figures in tables.items() if any(figures.values())}


#: Guarded: a link that was decided otherwise, ended or re-pointed meanwhile keeps its mark and stays stale.
_FRESH = """
    UPDATE passport_link SET
        fresh_marks = %s, fresh_config_version = %s, refreshed_at = %s, next_try_at = %s, n_failures = 0, inflight = 0,
        is_urgent = CASE WHEN marks = %s THEN %s ELSE is_urgent END,
        stale_since = CASE WHEN marks = %s THEN NULL ELSE stale_since END, is_voided = %s,
        n_source = %s, n_stored = %s, n_parked = %s, n_unexplained = %s, balance = %s, fingerprint = %s,
        min_token = min_token * %s
    WHERE id = %s AND state = 'linked' AND patient_id = %s
"""


_PARKED_AGAIN = """
    UPDATE openmrs_sync_parkedrow SET reason = %s, tried_at = %s, attempts = %s, next_try_at = %s WHERE id = %s
"""


def finish(
    *,
    balances: Sequence[Balance],
    rendered: Mapping[int, Rendered],
    config_version: int,
    read_at: dt.datetime,
    claim: HeldClaim,
) -> None:
    """The last transaction of a batch: parked rows and the links' marks, together. Raises ClaimLost."""
    connection = connections["default"]
    is_native = connection.features.has_native_uuid_field
    at = connection.ops.adapt_datetimefield_value

    def raw(uuid: UUID) -> UUID | str:
        return uuid if is_native else uuid.hex

    # read since it was linked: from now on all of its records are true again. Where late writers can do harm the least
    # token shuts them out and stays; what is below it was deleted before this read
    keeps_min_token = int(record_store().has_late_writers)
    rows = []
    for each in balances:
        is_even = each.n_unexplained == 0
        # an unexplained difference leaves the link stale, to be tried again after a pause
        fresh_marks = each.link.marks if is_even else each.link.marks - 1
        retry_at = None if is_even else at(read_at + RETRY_AFTER)
        rows.append(
            (
                *(fresh_marks, config_version, at(read_at), retry_at, fresh_marks, False, fresh_marks),
                *(each.is_voided, each.n_source, each.n_stored, each.n_parked, each.n_unexplained),
                *(json.dumps(each.tables), json.dumps(each.fingerprint), keeps_min_token),
                *(raw(each.link.pk), raw(each.link.patient_id)),
            )
        )
    with claim.fence():
        _replace_parked(balances=balances, rendered=rendered, claim=claim, now=read_at)
        with connection.cursor() as cursor:
            cursor.executemany(_FRESH, rows)


def _replace_parked(
    *, balances: Sequence[Balance], rendered: Mapping[int, Rendered], claim: HeldClaim, now: dt.datetime
) -> None:
    """Make the parked rows of these links those that are parked now; attempts are counted on."""
    before = {
        (row.link_id, row.table, row.source_id): row
        for part in chunks([each.link.pk for each in balances])
        for row in ParkedRow.objects.filter(link_id__in=part)
    }
    fresh: list[Mapping[str, Any]] = []
    again: list[tuple[Any, ...]] = []
    at = connections["default"].ops.adapt_datetimefield_value
    for each in balances:
        for left_out in rendered[each.link.person_id].parked:
            known = before.pop((each.link.pk, left_out.table, left_out.source_id), None)
            attempts = known.attempts + 1 if known else 1
            next_try_at = now + _pause(attempts)
            if known:
                again.append((left_out.reason, at(now), attempts, at(next_try_at), known.pk))
                continue
            new = {"hospital_id": claim.hospital.pk, "link_id": each.link.pk, **left_out._asdict()}
            fresh.append({**new, "parked_at": now, "tried_at": now, "attempts": attempts, "next_try_at": next_try_at})
    for ended in chunks([row.pk for row in before.values()]):
        ParkedRow.objects.filter(pk__in=ended).delete()
    bulk.insert(ParkedRow, fresh)
    with connections["default"].cursor() as cursor:
        # not `bulk_update`: its CASE of a thousand branches took a sixth of a re-read
        cursor.executemany(_PARKED_AGAIN, again)


def _pause(attempts: int) -> dt.timedelta:
    """With jitter: what was parked together must not come back together."""
    pause = min(FIRST_TRY * (1 << min(attempts - 1, 10)), LONGEST_TRY)
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret
