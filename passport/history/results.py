"""Tests and measurements, one row each: the newest value, the one before, and how it went."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from uuid import UUID

from passport.access.scope import Scope, Visible
from passport.history.kept import Reading
from passport.history.shapes import IN_ORDER, RecordView, Status
from passport.history.shown import by_keys, views_of
from passport.history.words import fold
from passport.models import SourceConcept
from passport.models.record import Category

MEASURED = (Category.TEST, Category.VITAL)
#: Numbers of one small curve.
CURVE = 12
#: Concepts asked for at once: below what every store takes as one list.
AT_ONCE = 10_000


class Row(NamedTuple):
    """What is needed of a record to see which test it is of."""

    key: str
    link_id: UUID
    category: str
    category_rule: str
    concept_uuid: str
    concept: str
    value_number: float | None
    unit: str
    flag: str | None
    order_at: int
    at_local: str | None


class Subject(NamedTuple):
    """One test in one unit. Units are never mixed; words, which have none, are a subject of their own."""

    concept: str
    unit: str
    is_number: bool


#: Which concepts are the same, and the rows of each test.
BySubject: TypeAlias = tuple["Concepts", Mapping[Subject, Sequence[Row]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One test: its newest record, the one before it, and the last numbers, oldest first, the newest among them."""

    newest: RecordView
    previous: RecordView | None
    numbers: Sequence[float]
    n_records: int
    code: str  # CIEL's, where it is known; else empty
    hospitals: Sequence[str]  # codes of all that have measured it

    @property
    def is_flagged(self) -> bool:
        return self.newest.flag not in IN_ORDER


def result_rows(*, scope: Scope, reading: Reading | None = None) -> list[ResultRow]:
    """Every test and measurement, the newest first, undated ones last. Only current records.

    Hospitals share a row only where the concept is the same by uuid or CIEL code and the unit is the same.
    `reading`: of this scope, where the page has made one already.
    """
    reading = reading or Reading(scope)
    return reading.keep("results", n_records=_n_numbers, make=lambda: _result_rows(reading))


def _n_numbers(rows: Sequence["ResultRow"]) -> int:
    return sum(2 + len(row.numbers) for row in rows)


def _result_rows(reading: Reading) -> list[ResultRow]:
    seen, (concepts, of_subject) = reading.seen, by_subject(reading)
    newest = [row.key for rows in of_subject.values() for row in rows[:2]]
    views = {view.id: view for view in views_of(by_keys(seen, newest), seen)}
    codes = {link.pk: link.hospital.code for link in seen.links}
    return [
        _result_row(views[rows[0].key], views.get(rows[1].key) if len(rows) > 1 else None, rows, concepts, codes)
        for rows in of_subject.values()
        if rows[0].key in views
    ]


def _result_row(
    newest: RecordView,
    previous: RecordView | None,
    rows: Sequence[Row],
    concepts: "Concepts",
    codes: Mapping[UUID, str],
) -> ResultRow:
    numbers = [row.value_number for row in rows[:CURVE] if row.value_number is not None]
    return ResultRow(
        newest=newest,
        previous=previous,
        numbers=numbers[::-1],
        n_records=len(rows),
        code=concepts.code_of(rows[0]),
        hospitals=sorted({codes[row.link_id] for row in rows}),
    )


def by_subject(reading: Reading) -> BySubject:
    """The rows of each test through all the years, newest first."""
    return reading.keep("subjects", n_records=_n_rows, make=lambda: _by_subject(reading.seen))


def _n_rows(made: BySubject) -> int:
    return sum(len(rows) for rows in made[1].values())


def _by_subject(seen: Visible) -> BySubject:
    found = seen.records.filter(status=Status.CURRENT, category__in=MEASURED, part_of__isnull=True)
    rows = [Row._make(row) for row in found.order_by("-order_at", "-key").values_list(*Row._fields)]
    concepts = concepts_of_rows(rows)
    of_subject: dict[Subject, list[Row]] = {}
    for row in rows:
        of_subject.setdefault(concepts.subject_of(row), []).append(row)
    return concepts, of_subject


# --- which concepts are the same --------------------------------------------------------------------------------------

CIEL_UUID = re.compile(r"([1-9][0-9]{0,7})A+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concepts:
    """Which concepts are one: by uuid, or by a CIEL code that one of the hospitals gives it alone."""

    codes: Mapping[str, str]  # concept uuid in lower case → CIEL code

    def code_of(self, row: "Row | RecordView") -> str:
        return self.codes.get(row.concept_uuid.lower(), "")

    def subject_of(self, row: Row) -> Subject:
        is_number = row.value_number is not None and math.isfinite(row.value_number)
        return Subject(self._name_of(row), unit_of(row.unit) if is_number else "", is_number)

    def _name_of(self, row: Row) -> str:
        # Without a uuid only the hospital's own word is left, and that is good for its own patient alone.
        return self.name_of(row.concept_uuid) or f"{row.link_id}:{fold(row.concept)}"

    def name_of(self, uuid: str) -> str:
        """What a subject of this concept is called; empty for no concept."""
        code = self.codes.get(uuid.lower())
        return f"CIEL:{code}" if code else uuid.lower()


def code_said(*, rule: str, concept_uuid: str) -> str:
    """CIEL's code, as the rule of the category or the concept's uuid tells it; else empty."""
    kind, _colon, rest = rule.partition(":CIEL:")
    if rest and kind in {"mapping", "uuid"}:
        return rest
    found = CIEL_UUID.fullmatch(concept_uuid) if len(concept_uuid) == 36 else None
    return found[1] if found else ""


def concepts_of_rows(rows: Iterable["Row | RecordView"]) -> Concepts:
    """One query for every ten thousand concepts."""
    codes: dict[str, str] = {}
    asked: set[str] = set()
    for uuid, rule in {(row.concept_uuid, row.category_rule) for row in rows if row.concept_uuid}:
        if code := code_said(rule=rule, concept_uuid=uuid):
            codes[uuid.lower()] = code
        else:
            asked.add(uuid)
    wanted = sorted(asked)
    for start in range(0, len(wanted), AT_ONCE):
        known = SourceConcept.objects.filter(concept_uuid__in=wanted[start : start + AT_ONCE])
        for uuid, mappings in known.values_list("concept_uuid", "codes"):
            mapped = {code for source, code in mappings if source.upper() == "CIEL"}
            # Two codes: it is wider than either of them, so it is not the same as what another hospital calls so.
            if len(mapped) == 1:
                codes.setdefault(uuid.lower(), mapped.pop())
    return Concepts(codes=codes)


@lru_cache(maxsize=1000)
def unit_of(text: str) -> str:
    """The unit as it is compared: `mmol / l` and `mmol/L` are one, `mg/dL` and `mmol/L` never."""
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    return re.sub(r"/([dcmμ]?)l\b", r"/\1L", plain)
