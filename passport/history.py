"""What is shown of a patient, to pages and API alike. Reads only; who may read was decided in `access`.

Every read first asks the control plane for the patient's *linked* links and then filters records by patient and link, so
unlinking or holding a person hides everything in that one commit. Records may live in another database: no join, no
subquery, no queryset inside `__in`. Each function makes the same number of queries however long the history is.
"""

import base64
import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import F, Q, QuerySet

from passport.models import UNDATED, Link, Patient, Record
from passport.models.links import LinkState
from passport.models.record import Category

#: Records of one page of the history.
PAGE = 50
LONGEST_PAGE = 200
#: Visits of one page; a page ends earlier after so many records.
VISITS = 10
RECORDS_OF_A_VISITS_PAGE = 500
LONGEST_SEARCH = 200
#: Keys asked for at once: below what every store takes as one list.
KEYS_AT_ONCE = 10_000


class BadCursor(ValueError):
    """A cursor that we did not make. Begin again without one."""

    def __init__(self) -> None:
        super().__init__("The cursor is not one of ours. Begin again without it.")


class BadFilter(ValueError):
    """`field` says which filter; its value is not repeated."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Status(StrEnum):
    CURRENT = "current"
    WITHDRAWN = "withdrawn"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What of a history is wanted. Empty: all current records. Days are the hospital's, both inclusive."""

    category: Category | None = None
    hospital: str = ""  # its code
    from_date: dt.date | None = None
    to_date: dt.date | None = None
    q: str = ""  # each of these words is in the concept or the value; case and accents do not matter
    status: Status = Status.CURRENT

    @property
    def is_empty(self) -> bool:
        return self == Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The source row behind a record."""

    table: str
    id: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """One record as it is shown. The fields up to `received_at` are the API's contract; the rest is for pages."""

    id: str
    category: str
    hospital: str
    hospital_name: str
    concept: str
    value: str
    value_number: float | None
    unit: str
    low: float | None
    high: float | None
    flag: str | None
    status: str
    at: str | None  # ISO with the hospital's offset
    date: str | None  # the hospital's day
    visit: int | None
    encounter: int | None
    group: int | None  # obs_id of the outermost group
    part_of: str | None  # id of the record that this one qualifies
    certainty: str | None
    rank: int | None
    provider: str
    location: str
    source: Source
    received_at: dt.datetime

    concept_uuid: str
    category_rule: str
    withdrawn_reason: str
    at_local: str | None  # the hospital's clock, YYYY-MM-DD HH:MM:SS
    entered_at_local: str | None
    details: Mapping[str, Any]  # what the source says beyond the columns; keys are the enricher's


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsPage:
    results: Sequence[RecordView]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDetail:
    record: RecordView
    qualifiers: Sequence[RecordView]  # what qualifies it: certainty, abnormal flag, range
    qualified: RecordView | None  # what it qualifies
    group: Sequence[RecordView]  # the others of its obs group


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    record: RecordView
    qualifiers: Sequence[RecordView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Records of one obs group, or (group None) one record that is in none."""

    group: int | None
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryGroup:
    category: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitView:
    """One visit; or an encounter outside any visit; or what was recorded on one day outside any encounter."""

    key: str
    hospital: str
    hospital_name: str
    visit_id: int | None
    encounter_id: int | None
    title: str  # visit or encounter type; empty when the source says neither
    at: str | None
    date: str | None  # None: undated
    location: str
    providers: Sequence[str]
    groups: Sequence[CategoryGroup]
    n_records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitsPage:
    results: Sequence[VisitView]
    next: str | None


class FreshnessState(StrEnum):
    FRESH = "fresh"
    LATE = "late"
    UNREACHABLE = "unreachable"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How far what is shown of one hospital can be trusted. `read_at`: until when the hospital confirmed it, or None."""

    hospital: str
    hospital_name: str
    state: FreshnessState
    read_at: dt.datetime | None


class Standing(StrEnum):
    """Whether a condition or medicine holds now, as far as the source says."""

    CURRENT = "current"
    PAST = "past"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    record: RecordView
    standing: Standing
    qualifiers: Sequence[RecordView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Newest first. `conditions` and `medications` leave out what is past and say of each whether it is known to hold."""

    allergies: Sequence[RecordView]
    conditions: Sequence[Stated]
    medications: Sequence[Stated]
    latest_results: Sequence[RecordView]  # the newest of each test
    latest_vitals: Sequence[RecordView]  # the newest of each vital sign
    freshness: Sequence[Freshness]
    may_hold_more: Sequence[str]  # names of hospitals where a human still has to decide about a match


def records_page(
    *, patient: Patient, filters: Filters | None = None, cursor: str | None = None, limit: int = PAGE
) -> RecordsPage:
    """Newest first, undated last. Raises BadCursor."""
    raise NotImplementedError


def record_detail(*, patient: Patient, key: str) -> RecordDetail | None:
    """One record with its surroundings; None when the patient has no such record that may be shown."""
    raise NotImplementedError


def visits_page(
    *, patient: Patient, filters: Filters | None = None, cursor: str | None = None, limit: int = VISITS
) -> VisitsPage:
    """The history by visit, newest first, undated last; with filters, the visits that hold a match. Raises BadCursor."""
    raise NotImplementedError


def overview(*, patient: Patient, now: dt.datetime) -> Overview:
    raise NotImplementedError


def freshness(*, patient: Patient, now: dt.datetime) -> list[Freshness]:
    raise NotImplementedError


def parse_filters(params: Mapping[str, str]) -> Filters:
    """Filters from a URL's query: category, hospital, from, to, q, status; empty ones count as absent. Raises BadFilter."""
    raise NotImplementedError
