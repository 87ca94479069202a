"""Concept rules as a sheet: everything decided and undecided goes out, and what was decided comes back.

A line counts for one concept, at one hospital or (empty) at every hospital. An empty category and `hidden` of "no" say
nothing: such a line is left out. Sent back as it was, the sheet changes nothing.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from hospitals.models import Hospital
from openmrs_sync import workbench
from openmrs_sync.models import ConceptRule
from passport.models import User
from passport.models.record import Category
from passport.sheets import LineRefused, plain, sheet

#: The first five are read; the others are for whoever decides.
READ = ("concept", "hospital", "category", "hidden", "note")
COLUMNS = (*READ, "name", "persons", "records", "suggestion", "reason")
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    n_changed: int
    n_unchanged: int
    refused: tuple[LineRefused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    concept: str
    hospital: Hospital | None
    category: str
    is_hidden: bool
    note: str


def export_sheet() -> str:
    rules = ConceptRule.objects.select_related("hospital").order_by("concept_uuid", "hospital__code", "pk")
    lines: list[tuple[object, ...]] = [
        (
            *(rule.concept_uuid, rule.hospital.code if rule.hospital else "", rule.category),
            *(YES if rule.is_hidden else NO, rule.note, "", "", "", "", ""),
        )
        for rule in rules
    ]
    for one in workbench.read_bench().concepts:
        suggestion = (one.suggestion.category, one.suggestion.reason) if one.suggestion else ("", "")
        lines.append((one.uuid, "", "", NO, "", one.name, one.n_persons, one.n_records, *suggestion))
    return sheet(header=COLUMNS, rows=lines)


@transaction.atomic
def import_sheet(text: str, *, actor: User, now: datetime) -> Imported:
    """Make the rules what the lines say; others stay. A line that cannot be read is left out and named by number."""
    rules = ConceptRule.objects.all()
    current = {(rule.concept_uuid.lower(), rule.hospital_id): rule for rule in rules}
    refused, n_changed, n_unchanged = [], 0, 0
    for number, line in _lines(text):
        if isinstance(line, str):
            refused.append(LineRefused(line=number, message=line))
            continue
        key = (line.concept.lower(), line.hospital.pk if line.hospital else None)
        rule = current.get(key)
        is_said = rule is not None and (rule.category, rule.is_hidden, rule.note) == (
            *(line.category, line.is_hidden, line.note),
        )
        if is_said or (rule is None and not line.category and not line.is_hidden):
            n_unchanged += 1
            continue
        current[key] = workbench.decide(
            concept_uuid=rule.concept_uuid if rule else line.concept,
            hospital=line.hospital,
            category=line.category,
            is_hidden=line.is_hidden,
            note=line.note,
            actor=actor,
            now=now,
        )
        n_changed += 1
    return Imported(n_changed=n_changed, n_unchanged=n_unchanged, refused=tuple(refused))


def _lines(text: str) -> Iterator[tuple[int, str | Wanted]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    hospitals = {hospital.code: hospital for hospital in Hospital.objects.all()}
    try:
        if missing := [name for name in READ if name not in (reader.fieldnames or ())]:
            yield 1, f"The first line must name the columns; missing: {', '.join(missing)}."
            return
        for line in reader:
            yield reader.line_num, _wanted(line, hospitals)
    except csv.Error:
        yield reader.line_num, "This line cannot be read as CSV: look for a quotation mark that is not closed."


def _wanted(line: Mapping[str | None, str | None], hospitals: Mapping[str, Hospital]) -> str | Wanted:
    if None in line or None in line.values():
        return "This line has more or fewer cells than the first one."
    cells = {name: plain(line[name] or "").strip() for name in READ}
    if not 0 < len(cells["concept"]) <= 38 or len(cells["note"]) > 200:
        return "The concept is a uuid of at most 38 characters, the note has at most 200."
    if cells["hospital"] and cells["hospital"] not in hospitals:
        return "There is no hospital with this code. Empty means every hospital."
    if cells["category"] and cells["category"] not in Category.values:
        return f"The category must be empty or one of {', '.join(Category.values)}."
    if cells["hidden"].lower() not in (YES, NO):
        return "The column “hidden” takes yes or no."
    return Wanted(
        concept=cells["concept"],
        hospital=hospitals.get(cells["hospital"]),
        category=cells["category"],
        is_hidden=cells["hidden"].lower() == YES,
        note=cells["note"],
    )
