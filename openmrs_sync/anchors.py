"""Old rows that must stay themselves. Two of them with another uuid mean another database, or one restored from
elsewhere.

Only person, encounter and obs: entries of dictionaries are replaced in normal life. A missing row is no contradiction,
nor is a re-used id near the top: anchors are the oldest rows that we know.
"""

from collections.abc import Sequence

from hospitals.models import Hospital
from openmrs_sync import queries
from openmrs_sync.errors import SourceReplaced
from openmrs_sync.links import linked
from openmrs_sync.models import Watermark
from openmrs_sync.rows import Fetch
from openmrs_sync.writer import Keys
from passport.models import Record

PER_TABLE = {"person": 24, "encounter": 20, "obs": 20}
CONTRADICTIONS = 2

Anchor = Sequence[object]  # [table, id, uuid]


def drop(*, hospital: Hospital, keys: Keys) -> None:
    """Choose anchors among the oldest rows that are stored, until there are enough of each table."""
    watermark = Watermark.objects.get(pk=hospital.pk)
    anchors = [list(anchor) for anchor in watermark.anchors]
    for table, wanted in PER_TABLE.items():
        have = {anchor[1] for anchor in anchors if anchor[0] == table}
        if len(have) < wanted:
            fresh = [row for row in _oldest(hospital=hospital, table=table, keys=keys, n=wanted) if row[0] not in have]
            anchors += [[table, source_id, uuid] for source_id, uuid in fresh[: wanted - len(have)]]
    if len(anchors) != len(watermark.anchors):
        Watermark.objects.filter(pk=hospital.pk).update(anchors=anchors)


def _oldest(*, hospital: Hospital, table: str, keys: Keys, n: int) -> list[tuple[int, str]]:
    if table == "person":
        persons = linked(hospital).exclude(refreshed_at=None).order_by("person_id")
        return list(persons.values_list("person_id", "person_uuid")[:n])
    start, stop = keys.key(table, 0), keys.key(table, 9_999_999_999)
    rows = Record.objects.filter(key__gte=start, key__lte=stop).order_by("key")
    return list(rows.values_list("source_id", "source_uuid")[:n])


def check(fetch: Fetch, *, anchors: Sequence[Anchor]) -> None:
    """Raise SourceReplaced when two anchors carry another uuid now. Three reads by primary key."""
    n_contradictions = 0
    for table in PER_TABLE:
        expected = {int(str(anchor[1])): anchor[2] for anchor in anchors if anchor[0] == table}
        if expected:
            rows = fetch(queries.anchor_uuids(table, expected), ())
            n_contradictions += sum(uuid != expected[source_id] for source_id, uuid in rows)
    if n_contradictions >= CONTRADICTIONS:
        raise SourceReplaced(
            "Old rows of this hospital carry other identities than before: another database, or a restored one. "
            "Nothing was written. If it is meant, run: manage.py accept_source followed by the hospital's code."
        )
