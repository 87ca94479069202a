"""The shapes that cross the borders between rooms. No Django, no SQL.

Source rows are named tuples in the order of their SELECT, because a first sync makes millions of them; columns that
this source does not have are None. Times are naive and in the hospital's zone, exactly as MySQL stores them (None for
zero dates).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

T = TypeVar("T")

#: Runs one SELECT at the source and returns all its rows. Raises the errors of `hospitals.errors`.
Fetch = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]

#: `order_at` of a record without a usable date: sorts after every dated one. The same number as in
#: `passport.models.record`.
UNDATED = -(2**53)

#: The tables whose rows become records, in the order in which they are read.
TABLES = ("obs", "encounter", "visit", "encounter_diagnosis", "conditions", "orders", "allergy")


#: Ids in one statement; below the limit of every store.
CHUNK = 900


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Which tables and columns this source has, so that every SELECT names only what is there."""

    #: table → its columns, all in lower case
    columns: Mapping[str, frozenset[str]]
    #: (table, first column of an index) → the index's name
    indexes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    #: "1.9", "2.6", …: a guess from the columns, for display only
    platform: str = ""

    def has(self, table: str, column: str | None = None) -> bool:
        columns = self.columns.get(table)
        return columns is not None and (column is None or column in columns)


class Head(NamedTuple):
    """The top of a source table at the last look. `mark`: its largest id, -1 when empty. `window`: id → owner below
    it.
    """

    mark: int
    window: Mapping[int, int]


class IdentifierType(NamedTuple):
    identifier_type_id: int
    uuid: str
    name: str
    is_retired: bool


class IdentifierRow(NamedTuple):
    """A live identifier of a chosen type. `identifier` as typed at the hospital."""

    person_id: int
    identifier: str


class PersonRow(NamedTuple):
    """A person at the source. `sex` is the raw column ('M', 'F', '', 'O', …)."""

    person_id: int
    uuid: str
    sex: str | None
    birth_date: dt.date | None
    is_birth_date_estimated: bool
    is_voided: bool  # the person's row, or the patient's
    merged_uuids: Sequence[str] = ()  # of all who were merged into this person, in however many steps


class ObsRow(NamedTuple):
    obs_id: int
    uuid: str
    person_id: int
    concept_id: int
    encounter_id: int | None
    order_id: int | None
    obs_datetime: dt.datetime | None
    location_id: int | None
    obs_group_id: int | None
    value_coded: int | None
    value_coded_name_id: int | None
    value_drug: int | None
    value_datetime: dt.datetime | None
    value_numeric: float | None
    value_modifier: str | None
    value_text: str | None
    value_complex: str | None
    value_boolean: int | None
    comments: str | None
    status: str | None
    interpretation: str | None
    previous_version: int | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class EncounterRow(NamedTuple):
    encounter_id: int
    uuid: str
    patient_id: int
    encounter_type: int
    encounter_datetime: dt.datetime | None
    location_id: int | None
    visit_id: int | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class VisitRow(NamedTuple):
    visit_id: int
    uuid: str
    patient_id: int
    visit_type_id: int
    date_started: dt.datetime | None
    date_stopped: dt.datetime | None
    location_id: int | None
    indication_concept_id: int | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class DiagnosisRow(NamedTuple):
    """A row of encounter_diagnosis (2.2+). `rank`: 1 primary, 2 secondary (`rank`, later `dx_rank`)."""

    diagnosis_id: int
    uuid: str
    patient_id: int
    encounter_id: int | None
    diagnosis_coded: int | None
    diagnosis_coded_name: int | None
    diagnosis_non_coded: str | None
    certainty: str | None
    rank: int | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class ConditionRow(NamedTuple):
    """A row of `conditions`: core's (2.2+) or emrapi's older table of the same name."""

    condition_id: int
    uuid: str
    patient_id: int
    encounter_id: int | None
    condition_coded: int | None
    condition_coded_name: int | None
    condition_non_coded: str | None
    clinical_status: str | None
    verification_status: str | None
    onset_date: dt.datetime | None
    end_date: dt.datetime | None
    end_reason: str | int | None  # emrapi's table: a concept
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class OrderRow(NamedTuple):
    """A row of `orders` with its drug_order, whose columns are None for other orders.

    1.9: date_activated is start_date, date_stopped is discontinued_date, dose units and frequency are text.
    """

    order_id: int
    uuid: str
    patient_id: int
    encounter_id: int | None
    concept_id: int | None
    orderer: int | None  # provider_id (1.10+); a user before
    order_action: str | None
    urgency: str | None
    date_activated: dt.datetime | None
    scheduled_date: dt.datetime | None
    auto_expire_date: dt.datetime | None
    date_stopped: dt.datetime | None
    fulfiller_status: str | None
    instructions: str | None
    order_number: str | None
    previous_order_id: int | None
    is_drug_order: bool  # by order_type.java_class_name or by having a drug_order row
    drug_inventory_id: int | None
    drug_non_coded: str | None
    dose: float | None
    dose_units: int | None
    dose_units_text: str | None
    frequency: int | None  # concept of the order_frequency
    frequency_text: str | None
    route: int | None
    as_needed: int | None
    quantity: float | None
    quantity_units: int | None
    duration: int | None
    duration_units: int | None
    dosing_instructions: str | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class AllergyRow(NamedTuple):
    """A row of `allergy` with its reactions."""

    allergy_id: int
    uuid: str
    patient_id: int
    encounter_id: int | None
    coded_allergen: int | None
    non_coded_allergen: str | None
    allergen_type: str | None
    severity_concept_id: int | None
    comments: str | None
    date_created: dt.datetime | None
    voided: int
    void_reason: str | None


class ReactionRow(NamedTuple):
    allergy_id: int
    reaction_concept_id: int | None
    reaction_non_coded: str | None


class ObsRange(NamedTuple):
    """A row of obs_reference_range (2.7+): the range that was valid for this very obs, before the concept's own."""

    obs_id: int
    low_normal: float | None
    high_normal: float | None
    low_critical: float | None
    high_critical: float | None


class ParentRow(NamedTuple):
    """A row that ours point to but that belongs to someone else or was not read: obs group, encounter or visit."""

    source_id: int
    person_id: int
    voided: int
    parent_id: int | None  # obs: obs_group_id; encounter: visit_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBatch:
    """Everything the source holds about a batch of persons, voided rows too, read in one snapshot."""

    persons: Mapping[int, PersonRow]
    identifiers: Sequence[IdentifierRow]
    obs: Sequence[ObsRow]
    encounters: Sequence[EncounterRow]
    visits: Sequence[VisitRow]
    diagnoses: Sequence[DiagnosisRow]
    conditions: Sequence[ConditionRow]
    orders: Sequence[OrderRow]
    allergies: Sequence[AllergyRow]
    reactions: Sequence[ReactionRow]
    #: encounter_id → provider ids of its unvoided encounter_provider rows, in their order
    encounter_providers: Mapping[int, Sequence[int]]
    #: parents that belong to other persons or were not among the rows: {"obs" | "encounter" | "visit": {id: row}}
    other_parents: Mapping[str, Mapping[int, ParentRow]]
    #: ids of group parents: obs that have members (voided ones count), whoever the members belong to
    group_parents: frozenset[int]
    #: {table: {person_id: n}}: a separate, join-free COUNT in the same snapshot, voided rows included
    counts: Mapping[str, Mapping[int, int]]
    #: {table: {person_id: [n, sum of ids, sum of CRC32(id)]}}: what the deep look compares with later
    fingerprints: Mapping[str, Mapping[int, Sequence[int]]] = field(default_factory=dict)
    #: obs_id → the range that was valid for it; empty before 2.7
    obs_ranges: Mapping[int, ObsRange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A concept as this hospital names it. Numbers are None where the source has no range."""

    concept_id: int
    uuid: str
    name: str
    concept_class: str
    datatype: str
    #: its fully specified name, whatever the locale: by it Bahmni's qualifiers (LAB_ABNORMAL, …) are known
    full_name: str = ""
    unit: str = ""
    low_normal: float | None = None
    high_normal: float | None = None
    low_critical: float | None = None
    high_critical: float | None = None
    #: (source name, code) of its mappings, e.g. ("CIEL", "5089"), ("org.openmrs.module.emrapi", "Coded Diagnosis")
    mappings: frozenset[tuple[str, str]] = frozenset()
    #: those of them that mean the very same thing (SAME-AS), in code systems that others know; sorted
    codes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    provider_id: int
    uuid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    location_id: int
    uuid: str
    name: str
    parent_location_id: int | None
    is_retired: bool


class Dictionaries(Protocol):
    """Names by id, loaded as they are needed and kept for one run. An unknown id gives a placeholder, never an
    error.
    """

    def concept(self, concept_id: int) -> Concept: ...
    def concept_name(self, concept_name_id: int) -> str | None: ...
    def drug(self, drug_id: int) -> str: ...
    def provider(self, provider_id: int) -> Provider: ...
    def location(self, location_id: int) -> Place: ...
    def encounter_type(self, encounter_type_id: int) -> str: ...
    def visit_type(self, visit_type_id: int) -> str: ...
    def setting(self, name: str) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRule:
    """The admin's word on a concept. An empty category leaves the category as it is."""

    concept_uuid: str
    category: str = ""
    is_hidden: bool = False


class RecordRow(NamedTuple):
    """One record, rendered, in the order of the store's columns that are part of the digest."""

    table: str
    source_id: int
    source_uuid: str
    category: str
    category_rule: str
    concept_id: int | None
    concept_uuid: str
    concept: str
    value: str
    value_number: float | None
    unit: str
    low: float | None
    high: float | None
    flag: str | None
    at_local: str | None  # YYYY-MM-DD HH:MM:SS, the hospital's clock
    order_at: int  # UTC seconds, or record.UNDATED
    visit_id: int | None
    encounter_id: int | None
    group_id: int | None  # obs_id of the outermost group
    part_of: int | None  # source id, in the same table, of the record that this one qualifies
    certainty: str | None
    rank: int | None
    provider: str
    provider_uuid: str
    location: str
    entered_at_local: str | None
    details: str  # JSON object with sorted keys, "{}" when empty


class LeftOut(NamedTuple):
    """A source row that is no record: excluded (closed list of PRODUCT.md) or parked, and why."""

    table: str
    source_id: int
    reason: str


@dataclass(slots=True, kw_only=True)
class Rendered:
    """What became of one person's rows. Every row of the batch is in exactly one of the three."""

    person_id: int
    records: list[RecordRow] = field(default_factory=list)
    excluded: list[LeftOut] = field(default_factory=list)
    parked: list[LeftOut] = field(default_factory=list)


#: (table, concept or None) → (category, the rule that fired, is hidden by the admin)
Categorise = Callable[[str, Concept | None], tuple[str, str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToWrite:
    """A linked person of the batch, as it was before the snapshot was opened."""

    pk: UUID
    person_id: int
    person_uuid: str
    patient_id: UUID
    marks: int
