"""The table of sensitive concepts: what it begins with, and out and in again as a file.

It begins with concepts of CIEL, the dictionary most OpenMRS hospitals start from, whose uuids are the number padded
with A to 36 characters; and the same numbers as codes, for dictionaries that only map to CIEL. What a hospital invented
itself an admin adds here: nothing is guessed from names.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from passport.audit import record_event
from passport.models import SensitiveConcept, User
from passport.models.access import SensitiveSet
from passport.sheets import LineRefused, plain, sheet

COLUMNS = ("set", "concept_uuid", "source", "code", "name")
_LONGEST = {"concept_uuid": 38, "source": 50, "code": 50, "name": 255}


def ciel_uuid(number: int) -> str:
    return f"{number}".ljust(36, "A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    n_added: int
    n_unchanged: int
    refused: tuple[LineRefused, ...]


def export_sheet() -> str:
    rows = SensitiveConcept.objects.order_by("sensitive_set", "concept_uuid", "source", "code")
    return sheet(header=COLUMNS, rows=rows.values_list("sensitive_set", "concept_uuid", "source", "code", "name"))


def import_sheet(text: str, *, actor: User | None, now: datetime) -> Imported:
    """Add what is not in the table. A file takes nothing out: a row forgotten in it would open what was closed."""
    refused: list[LineRefused] = []
    n_added = n_unchanged = 0
    with transaction.atomic():
        for number, line in _lines(text):
            if isinstance(line, str):
                refused.append(LineRefused(line=number, message=line))
                continue
            key = {name: line[name] for name in ("sensitive_set", "concept_uuid", "source", "code")}
            _row, is_new = SensitiveConcept.objects.get_or_create(**key, defaults={"name": line["name"]})
            n_added, n_unchanged = n_added + is_new, n_unchanged + (not is_new)
        if n_added:
            record_event(action="sensitive_concepts_imported", actor=actor, now=now, details={"n_added": n_added})
    return Imported(n_added=n_added, n_unchanged=n_unchanged, refused=tuple(refused))


def _lines(text: str) -> Iterator[tuple[int, str | dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            yield 1, f"The first line must name the columns; missing: {', '.join(missing)}."
            return
        for line in reader:
            yield reader.line_num, _concept(line)
    except csv.Error:
        yield reader.line_num, "This line cannot be read as CSV: look for a quotation mark that is not closed."


def _concept(line: Mapping[str | None, str | None]) -> str | dict[str, str]:
    if None in line or None in line.values():
        return "This line has more or fewer cells than the first one."
    found = {name: plain(str(line[name])).strip() for name in COLUMNS}
    if found["set"] not in SensitiveSet.values:
        return f"The set must be one of: {', '.join(SensitiveSet.values)}."
    if long := [name for name, most in _LONGEST.items() if len(found[name]) > most]:
        return f"Too long: {', '.join(long)}."
    if bool(found["concept_uuid"]) == bool(found["source"]) or bool(found["source"]) != bool(found["code"]):
        return "Give either a concept uuid, or a source and a code."
    found["sensitive_set"] = found.pop("set")
    return found
