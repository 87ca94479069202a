"""The encounters in which records were made, as records of their own."""

from collections.abc import Iterable, Sequence

from passport.access.scope import Scope, visible
from passport.history.shapes import RecordView
from passport.history.shown import by_keys, views_of
from passport.models.record import TABLE_CODES


def encounters_of(views: Iterable[RecordView], *, scope: Scope) -> Sequence[RecordView]:
    """The encounters of these records, as far as this look may show them, oldest first."""
    keys = {encounter_key(view) for view in views if view.encounter is not None}
    seen = visible(scope)
    records = sorted(by_keys(seen, sorted(keys)), key=lambda record: (record.order_at, record.key))
    return views_of(records, seen)


def encounter_key(view: RecordView) -> str:
    """The key of the encounter's own record: the same hospital and epoch as this record's."""
    return f"{view.id[:6]}{TABLE_CODES['encounter']}{view.encounter:010d}"
