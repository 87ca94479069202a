"""What our live records and links must be, derived from the source's rows and from what our side knows.

Slow and plain: every table is read whole, every row is judged by itself. Nothing here comes from the engine, so that a
mistake of the engine cannot be here too (test_derivation.py holds it to that).
"""

import datetime as dt
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import MySQLdb

Row = dict[str, Any]
#: (table, source id)
Key = tuple[str, int]

#: table of records → (its key, the column that says whose row it is)
OWNED = {
    "obs": ("obs_id", "person_id"),
    "encounter": ("encounter_id", "patient_id"),
    "visit": ("visit_id", "patient_id"),
    "encounter_diagnosis": ("diagnosis_id", "patient_id"),
    "conditions": ("condition_id", "patient_id"),
    "orders": ("order_id", "patient_id"),
    "allergy": ("allergy_id", "patient_id"),
}
#: the other tables, by the key under which a row is looked up
DICTIONARIES = {
    "person": "person_id",
    "patient": "patient_id",
    "patient_identifier": "patient_identifier_id",
    "person_merge_log": "person_merge_log_id",
    "patient_identifier_type": "patient_identifier_type_id",
    "person_name": "person_name_id",
    "encounter_provider": "encounter_provider_id",
    "encounter_type": "encounter_type_id",
    "visit_type": "visit_type_id",
    "provider": "provider_id",
    "location": "location_id",
    "drug": "drug_id",
    "drug_order": "order_id",
    "order_type": "order_type_id",
    "order_frequency": "order_frequency_id",
    "concept": "concept_id",
    "concept_class": "concept_class_id",
    "concept_datatype": "concept_datatype_id",
    "concept_name": "concept_name_id",
    "concept_numeric": "concept_id",
    "concept_reference_map": "concept_map_id",
    "concept_reference_term": "concept_reference_term_id",
    "concept_reference_source": "concept_source_id",
    "allergy_reaction": "allergy_reaction_id",
    "global_property": "property",
}
CROWD = 5
NO_SUCH_TABLE = 1146


class Tables:
    """Every row of the source, by table and key: `rows["obs"][17]["voided"]`. Read when first asked for; a table that
    is not there is empty.
    """

    def __init__(self, connection: Any) -> None:
        self.rows = _Rows(connection)
        self._having: dict[tuple[str, str], dict[Any, list[Row]]] = {}

    def get(self, table: str, key: Any) -> Row | None:
        return None if key is None else self.rows[table].get(key)

    def having(self, table: str, column: str, value: Any) -> list[Row]:
        """The rows with this value, in the order of their keys."""
        if (table, column) not in self._having:
            found = self._having[table, column] = defaultdict(list)
            for row in self.rows[table].values():
                found[row[column]].append(row)
        return self._having[table, column].get(value, [])


class _Rows(dict[str, dict[Any, Row]]):
    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, table: str) -> dict[Any, Row]:
        key = OWNED[table][0] if table in OWNED else DICTIONARIES[table]
        cursor = self._connection.cursor()
        try:
            cursor.execute(f"SELECT * FROM `{table}` ORDER BY `{key}`")
        except MySQLdb.ProgrammingError as error:
            if error.args[0] != NO_SUCH_TABLE:
                raise
            rows: dict[Any, Row] = {}
        else:
            names = [column[0] for column in cursor.description]
            rows = {row[key]: row for row in (dict(zip(names, one, strict=True)) for one in cursor.fetchall())}
        self[table] = rows
        return rows


# ------------------------------------------------------------------------------------------------ our side


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A passport holder. `patient`: whatever names them; `numbers`: as registered."""

    patient: Any
    sex: str = "U"
    birth_date: dt.date | None = None
    numbers: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a human said of a person and a patient, and has not taken back. In the order in which it was said."""

    person_uuid: str
    patient: Any
    is_same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSide:
    holders: Sequence[Holder]
    decisions: Sequence[Decision]
    time_zone: str
    locales: Sequence[str]
    national_id_types: Sequence[str] = ("National ID",)
    #: normalised: they stand for no number, whoever holds one
    placeholders: frozenset[str] = frozenset()
    #: concept uuid → (category or "", is hidden)
    rules: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


def normalised(number: str) -> str | None:
    """NFKC, upper case, letters and digits only, 3 to 50 of them, not all the same."""
    text = unicodedata.normalize("NFKC", number).upper()
    text = "".join(char for char in text if char.isalnum())
    return text if 3 <= len(text) <= 50 and len(set(text)) > 1 else None


# ------------------------------------------------------------------------------------------------ who is who


@dataclass(frozen=True, slots=True)
class Match:
    """`state`: linked, held, unlinked; `patient`: of a linked one."""

    state: str
    patient: Any = None


def matches(tables: Tables, ours: OurSide) -> dict[int, Match]:
    """Person → what their link must be; absent: their numbers lead to no passport holder."""
    types = {
        row["patient_identifier_type_id"]
        for row in tables.rows["patient_identifier_type"].values()
        if row["name"] in ours.national_id_types
    }
    holder_of = {normalised(number): holder for holder in ours.holders for number in holder.numbers}
    for number in ours.placeholders:
        holder_of.pop(number, None)
    numbers: dict[int, set[str]] = defaultdict(set)
    for row in tables.rows["patient_identifier"].values():
        number = normalised(row["identifier"])
        if row["identifier_type"] in types and not row["voided"] and number in holder_of:
            numbers[row["patient_id"]].add(number)
    bearers = Counter(number for of_person in numbers.values() for number in of_person)
    return {
        person_id: _match(
            tables.rows["person"][person_id],
            {id(holder_of[number]): holder_of[number] for number in of_person}.values(),
            is_crowded=any(bearers[number] >= CROWD for number in of_person),
            decisions=ours.decisions,
            merged={tables.rows["person"][one]["uuid"] for one in _merged_into(tables, person_id)},
        )
        for person_id, of_person in numbers.items()
        if person_id in tables.rows["person"]
    }


def _merged_into(tables: Tables, person_id: int) -> set[int]:
    """Who still has a row and was merged into this person, or into one who was."""
    found: set[int] = set()
    while True:
        more = {
            row["loser_person_id"]
            for row in tables.rows["person_merge_log"].values()
            if not row["voided"] and row["winner_person_id"] in {person_id, *found}
        } & tables.rows["person"].keys()
        if more <= found:
            return found - {person_id}
        found |= more


def _match(
    person: Row,
    holders: Iterable[Holder],
    *,
    is_crowded: bool,
    decisions: Sequence[Decision],
    merged: Collection[str] = (),
) -> Match:
    said = {
        decision.patient: decision.is_same for decision in decisions if decision.person_uuid == person["uuid"]
    }  # the latest word on each
    same = [one.patient for one in holders if said.get(one.patient)]
    if same:
        spoken = [decision.patient for decision in decisions if decision.person_uuid == person["uuid"]]
        return Match("linked", max(same, key=lambda patient: _last(spoken, patient)))
    left = [one for one in holders if said.get(one.patient) is not False]
    if not left:
        return Match("unlinked")
    # the latest word on each pair counts
    of_merged = {(one.person_uuid, one.patient): one.is_same for one in decisions if one.person_uuid in merged}
    is_told_apart = any(patient == left[0].patient and not is_same for (_, patient), is_same in of_merged.items())
    if len(left) > 1 or is_crowded or is_told_apart or _contradicts(person, left[0]):
        return Match("held")
    return Match("linked", left[0].patient)


def _last(values: Sequence[Any], value: Any) -> int:
    return max(place for place, one in enumerate(values) if one == value)


def _contradicts(person: Row, holder: Holder) -> bool:
    if {(person["gender"] or "").upper(), holder.sex} == {"M", "F"}:
        return True
    if person["birthdate"] and holder.birth_date:
        apart = abs(person["birthdate"].year - holder.birth_date.year)
        return apart > (5 if person["birthdate_estimated"] else 1)
    return False


# ------------------------------------------------------------------------------------------------ which rows live


@dataclass(slots=True)
class Fate:
    """What must become of the rows of linked persons. `records`: key → what it says, its patient included."""

    records: dict[Key, Row] = field(default_factory=dict)
    excluded: dict[Key, str] = field(default_factory=dict)
    parked: dict[Key, str] = field(default_factory=dict)


class Derivation:
    """One moment of the source, as committed, against what our side knew then."""

    def __init__(self, tables: Tables, ours: OurSide) -> None:
        self.tables, self.ours = tables, ours
        self.matches = matches(tables, ours)

    @property
    def patients(self) -> dict[int, Any]:
        """Person → patient, of the linked ones."""
        return {person: match.patient for person, match in self.matches.items() if match.state == "linked"}

    def owners(self) -> dict[Key, Any]:
        """Whose each row is, of linked persons: (table, id) → patient."""
        patients = self.patients
        return {
            (table, key): patients[row[owner]]
            for table, (_, owner) in OWNED.items()
            for key, row in self.tables.rows[table].items()
            if row[owner] in patients
        }

    @cached_property
    def fate(self) -> Fate:
        from tests.histories.rendering import Renderer  # it needs what is above

        fate, renderer, patients = Fate(), Renderer(self.tables, self.ours, self.said_again), self.patients
        for table, (_, owner) in OWNED.items():
            for source_id, row in self.tables.rows[table].items():
                if row[owner] not in patients:
                    continue
                key = (table, source_id)
                if reason := self._why_excluded(table, row, renderer):
                    fate.excluded[key] = reason
                elif reason := self._why_parked(table, row, renderer):
                    fate.parked[key] = reason
                else:
                    fate.records[key] = renderer.render(table, row) | {"patient": patients[row[owner]]}
        return fate

    def _why_excluded(self, table: str, row: Row, renderer: Any) -> str:
        """The first of the closed list that holds."""
        owner = row[OWNED[table][1]]
        if row["voided"]:
            return "voided"
        if self._is_person_dead(owner) or self._is_above_dead(table, row):
            return "parent_voided"
        if table == "obs" and row["obs_id"] in self.said_again:
            return "duplicate_of_migrated"
        if table == "orders" and not renderer.is_prescription(row):
            return "not_a_prescription"
        if renderer.is_hidden(table, row):
            return "hidden_by_admin"
        if table == "obs" and renderer.value_of(row) is None and row["obs_id"] in self._groups:
            return "group_without_value"
        return ""

    def _why_parked(self, table: str, row: Row, renderer: Any) -> str:
        if renderer.says_nothing(table, row):
            return "no_value"
        if table in ("encounter", "visit"):
            return ""
        encounter = self.tables.get("encounter", row.get("encounter_id"))
        if encounter and encounter["patient_id"] != row[OWNED[table][1]]:
            return "encounter_of_another_patient"
        return ""

    @cached_property
    def _groups(self) -> set[int]:
        return {row["obs_group_id"] for row in self.tables.rows["obs"].values()}

    def _is_person_dead(self, person_id: int) -> bool:
        rows = (self.tables.get("person", person_id), self.tables.get("patient", person_id))
        return any(row and row["voided"] for row in rows)

    def _is_above_dead(self, table: str, row: Row) -> bool:
        if table == "visit":
            return False
        encounter = row if table == "encounter" else self.tables.get("encounter", row.get("encounter_id"))
        if encounter:
            visit = self.tables.get("visit", encounter["visit_id"])
            if encounter["voided"] or (visit and visit["voided"]):
                return True
        return table == "obs" and any(group["voided"] for group in groups_above(self.tables, row))

    @cached_property
    def said_again(self) -> set[int]:
        """Obs of groups whose every diagnosis stands in encounter_diagnosis, too: the migration keeps both for a
        while.
        """
        from tests.histories.rendering import is_diagnosis, is_diagnosis_set

        told = {
            (
                row["patient_id"],
                row["encounter_id"],
                row["diagnosis_coded"] or (row["diagnosis_non_coded"] or "").strip(),
            )
            for row in self.tables.rows["encounter_diagnosis"].values()
            if not row["voided"]
            and not self._is_person_dead(row["patient_id"])
            and not self._is_above_dead("encounter_diagnosis", row)
        }
        repeated: set[int] = set()
        for group_id, members in live_members(self.tables).items():
            group = self.tables.get("obs", group_id)
            if group is None or not is_diagnosis_set(self.tables, group["concept_id"]):
                continue
            said = [
                (one["person_id"], one["encounter_id"], one["value_coded"] or (one["value_text"] or "").strip())
                for one in members
                if is_diagnosis(self.tables, one["concept_id"])
            ]
            if said and all(one in told and one[2] for one in said):
                repeated |= {group_id, *(one["obs_id"] for one in members)}
        return repeated


def groups_above(tables: Tables, obs: Row) -> list[Row]:
    """The groups that an obs is in, the outermost last."""
    above: list[Row] = []
    group = tables.get("obs", obs["obs_group_id"])
    while group is not None and all(group is not one for one in above):
        above.append(group)
        group = tables.get("obs", group["obs_group_id"])
    return above


def live_members(tables: Tables) -> dict[int, list[Row]]:
    """obs_group_id → its unvoided members of the group's own person, in the order of their ids."""
    members: dict[int, list[Row]] = defaultdict(list)
    for row in tables.rows["obs"].values():
        group = tables.get("obs", row["obs_group_id"])
        if group is not None and not row["voided"] and row["person_id"] == group["person_id"]:
            members[row["obs_group_id"]].append(row)
    return members
