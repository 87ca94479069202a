"""Many new rows of one table of the control plane at once."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from django.db import connections, models
from django.db.models.constants import OnConflict


def insert(model: type[models.Model], rows: Sequence[Mapping[str, Any]], *, ignore_conflicts: bool = False) -> None:
    """What `bulk_create` does, without an object for every row and an expression for every value of it: for a link
    those were half of what its first read cost.

    `rows`: column (`hospital_id`, not `hospital`) → value, the same columns in each; for the others their defaults.
    `ignore_conflicts`: a row whose key or unique fields are there already is left out.
    """
    if not rows:
        return
    connection = connections["default"]
    fields = [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]
    columns: list[Iterable[Any]] = []
    for field in fields:
        if field.attname not in rows[0] and not field.primary_key:
            columns.append(repeat(field.get_db_prep_save(field.get_default(), connection), len(rows)))
            continue
        values = [row[field.attname] if field.attname in row else field.get_default() for row in rows]
        # what is one and the same object, as the moment is, is made ready for the driver once
        ready: dict[int, Any] = {}
        for value in values:
            if id(value) not in ready:
                ready[id(value)] = field.get_db_prep_save(value, connection)
        columns.append([ready[id(value)] for value in values])
    on_conflict, ops = OnConflict.IGNORE if ignore_conflicts else None, connection.ops
    names, marks = ", ".join(ops.quote_name(field.column or "") for field in fields), ", ".join(["%s"] * len(fields))
    into = f"{ops.insert_statement(on_conflict=on_conflict)} {ops.quote_name(model._meta.db_table)} ({names})"
    with connection.cursor() as cursor:
        cursor.executemany(
            f"{into} VALUES ({marks}) {ops.on_conflict_suffix_sql(fields, on_conflict, [], [])}",
            list(zip(*columns, strict=True)),
        )
