"""The history as one list, and one record with its surroundings."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from django.db.models import Q, QuerySet

from passport.access.scope import Scope, visible, with_codes
from passport.history.cursors import RECORD_KEY, cursor_at, position_of
from passport.history.kept import Reading
from passport.history.shapes import LONGEST_PAGE, PAGE, Filters, RecordDetail, RecordsPage, RecordView, Status
from passport.history.shown import filtered, views_of
from passport.history.words import holds, words_of
from passport.models import Record


def records_page(
    *,
    scope: Scope,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
    reading: Reading | None = None,
) -> RecordsPage:
    """Newest first, undated last. Raises BadCursor. `reading`: of this scope, where there is one already."""
    filters = filters or Filters()
    seen = reading.seen if reading else visible(scope)
    found = _after(filtered(seen, filters), cursor).order_by("-order_at", "-key")
    limit = max(1, min(limit, LONGEST_PAGE))
    records = _with_words(found, words_of(filters.q), limit + 1) if filters.q else list(found[: limit + 1])
    shown = records[:limit]
    return RecordsPage(
        results=views_of(shown, seen),
        next=cursor_at(shown[-1].order_at, shown[-1].key) if len(records) > limit else None,
    )


def record_detail(*, scope: Scope, key: str, reading: Reading | None = None) -> RecordDetail | None:
    """One record with its surroundings; None when the patient has no such record that may be shown.

    `reading`: of this scope, where there is one already.
    """
    seen = reading.seen if reading else visible(scope)
    record = seen.records.filter(key=key).first()
    if record is None or seen.scope.leaves_out(record):
        return None
    seen = replace(seen, scope=with_codes(seen.scope, [record]))
    around = Q(part_of=key)
    if record.part_of:
        around |= Q(key=record.part_of)
    if record.group_id is not None:
        around |= Q(link_id=record.link_id, table=record.table, group_id=record.group_id)
    others = list(seen.records.filter(around, status=Status.CURRENT).order_by("order_at", "key"))
    views = {view.id: view for view in views_of([record, *others], seen)}
    view = views.pop(key)
    return RecordDetail(
        record=view,
        qualified=views.pop(view.part_of, None) if view.part_of else None,
        qualifiers=[views.pop(id_) for id_ in [v.id for v in views.values() if v.part_of == key]],
        group=list(views.values()),
    )


def named_records(*, scope: Scope, rows: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[RecordView]]:
    """The records of these source rows, by `row_name`: several where a cloned database has the row too."""
    if not rows:
        return {}
    seen = visible(scope)
    uuids = sorted({uuid for _table, uuid in rows})
    found: dict[tuple[str, str], list[RecordView]] = {}
    for record in seen.records.filter(source_uuid__in=uuids).order_by("key"):
        found.setdefault((record.table, record.source_uuid), []).extend(views_of([record], seen))
    return found


def version(*, scope: Scope) -> str:
    """A token that changes when what may be shown changes, and says nothing else."""
    return Reading(scope).stamp


def match_rules(*, reading: Reading, hospital: str) -> list[str]:
    """Why persons of this hospital are taken for the patient: words of the matcher, each once."""
    return sorted({link.reason for link in reading.seen.only(hospital).links if link.reason})


def _with_words(found: QuerySet[Record], words: Sequence[str], limit: int) -> list[Record]:
    """The first `limit` that hold all the words. Compared here: no two stores agree on case and accents."""
    keys: list[str] = []
    for key, concept, value in found.values_list("key", "concept", "value").iterator(chunk_size=1000):
        if holds(f"{concept}\n{value}", words):
            keys.append(key)
            if len(keys) == limit:
                break
    return list(found.filter(key__in=keys)) if keys else []


def _after(found: QuerySet[Record], cursor: str | None) -> QuerySet[Record]:
    if not cursor:
        return found
    order_at, key = position_of(cursor, RECORD_KEY)
    # The first condition is implied by the second; it lets the store begin in the middle of the index.
    return found.filter(order_at__lte=order_at).filter(Q(order_at__lt=order_at) | Q(key__lt=key))
