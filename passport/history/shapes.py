"""What leaves this package, and what is asked of it: frozen shapes, filters, refusals."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from passport.models.record import Category

#: Records of one page of the history.
PAGE = 50
LONGEST_PAGE = 200
#: Visits of one page; a page ends earlier after so many records, or so much text of theirs (bytes, see `visits`).
VISITS = 10
RECORDS_OF_A_VISITS_PAGE = 70
TEXT_OF_A_VISITS_PAGE = 10_000
LONGEST_SEARCH = 200
#: A text longer than this is cut in lists; the record's own page has it in full.
LONGEST_TEXT = 600
#: Keys asked for at once: below what every store takes as one list.
KEYS_AT_ONCE = 10_000


#: Flags that nobody need look at; None is "not known".
IN_ORDER = (None, "", "normal")


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
    is_flagged: bool = False  # only what somebody or something called out of the ordinary

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
    is_hidden: bool = False  # the patient keeps it from doctors and carers; this viewer sees it all the same
    sensitive: tuple[str, ...] = ()  # the sensitive sets it belongs to


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
    """`earlier`: withdrawn answers to the same question at the same moment. `also_held_by`: names of hospitals."""

    record: RecordView
    qualifiers: Sequence[RecordView]
    earlier: Sequence[RecordView] = ()
    also_held_by: Sequence[str] = ()  # a cloned database holds the very same row


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
    n_records: int  # of this page
    also_held_by: Sequence[str] = ()  # hospitals whose cloned database holds the same visit
    n_before: int = 0  # entries of this visit that stand on the page before
    n_after: int = 0  # and on the next
    n_withdrawn: int = 0  # entries that fit the filters, but that the hospital has taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """A year of the history. `cursor`: of the page that begins with it; None for the first page."""

    year: str | None  # None: undated
    n_visits: int
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """Entries that fit all filters but the one of the same kind; of `hospitals` and `categories` by code and word.

    Counted from what this look may show, so a count says nothing of what it leaves out.
    """

    hospitals: Mapping[str, int]
    categories: Mapping[str, int]
    years: Mapping[str, int]  # newest first
    n_flagged: int
    hospital_names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitsPage:
    results: Sequence[VisitView]
    next: str | None
    years: Sequence[Year]  # of the whole history, as far as it fits the filters; newest first
    facets: Facets  # what each further choice would leave


class FreshnessState(StrEnum):
    FRESH = "fresh"
    LATE = "late"
    UNREACHABLE = "unreachable"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How far what is shown of one hospital can be trusted. `read_at`: until when it is confirmed, or None: never."""

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
    """Newest first. Of `conditions` and `medications` what is past is left out; each says if it is known to hold."""

    allergies: Sequence[RecordView]
    conditions: Sequence[Stated]
    medications: Sequence[Stated]
    latest_results: Sequence[RecordView]  # the newest of each test
    latest_vitals: Sequence[RecordView]  # the newest of each vital sign
    repeated: Collection[str]  # ids of vital signs that were measured more than once at that moment
    freshness: Sequence[Freshness]
    may_hold_more: Sequence[str]  # names of hospitals where a human still has to decide about a match
    ends_come: tuple[int, ...]  # as long as it is the same, so are the records above, however late it is


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What came in or changed after a moment. Each entry once, newest first; the list may be shorter than the count."""

    n_entries: int
    newest: Sequence[RecordView]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceVisit:
    """What was recorded anywhere since the last visit at one hospital before today. `visit`: its own record."""

    visit: RecordView
    news: News


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One row of "who looked": an audit row that names the patient, in what may be shown of it."""

    at: dt.datetime
    action: str
    was_refused: bool
    basis: str
    who: str  # the name of the account; empty for the schedule, a command, or an account that is gone
    role: str
    hospital: str | None
    hospital_name: str | None
    is_holder: bool  # whether it is the patient's own login


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksPage:
    results: Sequence[Look]
    next: str | None
