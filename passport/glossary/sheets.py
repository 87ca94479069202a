"""The glossary as a file that a translator can work in, out and in again."""

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import transaction

from passport.audit import record_event
from passport.glossary.words import Plain, as_plain, shipped
from passport.models import User
from passport.models.glossary import GlossaryTerm, Language
from passport.sheets import LineRefused, plain, sheet

COLUMNS = ("concept", "name", "language", "words", "more", "reviewed")
YES, NO = "yes", "no"
_LONGEST = {"concept": 38, "name": 255, "words": 200, "more": 500}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    n_changed: int
    n_unchanged: int
    refused: tuple[LineRefused, ...]


def export_sheet() -> str:
    """Every term as it counts now, one line per concept and language, as CSV with a header (`COLUMNS`)."""
    rows = (
        (concept, term.name, language, term.words, term.more, YES if term.is_reviewed else NO)
        for (concept, language), term in sorted(_all().items())
    )
    return sheet(header=COLUMNS, rows=rows)


def import_sheet(text: str, *, actor: User | None, now: dt.datetime) -> Imported:
    """Take over what differs from what counts now; lines that cannot be read are named and left out.

    Lines that say what is so already change nothing, so the same file twice changes nothing the second time.
    """
    current, n_unchanged = _all(), 0
    refused: list[LineRefused] = []
    changes: dict[tuple[str, str], Plain] = {}
    for number, line in _lines(text):
        if isinstance(line, str):
            refused.append(LineRefused(line=number, message=line))
            continue
        key, term = line
        if changes.get(key, current.get(key)) == term:
            n_unchanged += 1
        else:
            changes[key] = term
    with transaction.atomic():
        for (concept, language), term in changes.items():
            GlossaryTerm.objects.update_or_create(
                concept_uuid=concept,
                language=language,
                defaults={
                    "name": term.name,
                    "words": term.words,
                    "more": term.more,
                    "is_reviewed": term.is_reviewed,
                    "changed_at": now,
                },
            )
        if changes:
            record_event(action="glossary_imported", actor=actor, now=now, details={"n_changed": len(changes)})
    return Imported(n_changed=len(changes), n_unchanged=n_unchanged, refused=tuple(refused))


def _all() -> dict[tuple[str, str], Plain]:
    terms = {(concept, lang): term for concept, of_lang in shipped().items() for lang, term in of_lang.items()}
    own = {(term.concept_uuid, term.language): as_plain(term) for term in GlossaryTerm.objects.all()}
    return terms | own


def _lines(text: str) -> Iterator[tuple[int, str | tuple[tuple[str, str], Plain]]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            yield 1, f"The first line must name the columns; missing: {', '.join(missing)}."
            return
        for line in reader:
            yield reader.line_num, _term(line)
    except csv.Error:
        yield reader.line_num, "This line cannot be read as CSV: look for a quotation mark that is not closed."


def _term(line: Mapping[str | None, str | None]) -> str | tuple[tuple[str, str], Plain]:
    if None in line or None in line.values():
        return "This line has more or fewer cells than the first one."
    cells = {name: plain(line[name] or "").strip() for name in COLUMNS}
    if cells["language"] not in Language.values:
        return f"The language must be one of {', '.join(Language.values)}."
    if not cells["concept"] or not cells["words"]:
        return "The concept and the words must not be empty."
    if too_long := [name for name, longest in _LONGEST.items() if len(cells[name]) > longest]:
        return f"Too long: {', '.join(too_long)}."
    if cells["reviewed"].lower() not in (YES, NO):
        return "The column “reviewed” takes yes or no."
    if any(not character.isprintable() for cell in cells.values() for character in cell):
        return "There is a character in this line that cannot be shown."
    is_reviewed = cells["reviewed"].lower() == YES
    term = Plain(name=cells["name"], words=cells["words"], more=cells["more"], is_reviewed=is_reviewed)
    return (cells["concept"], cells["language"]), term
