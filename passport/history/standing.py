"""Which conditions and medicines hold now, as far as the hospitals say. What nobody said is unknown, never current."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from passport.history.shapes import Standing
from passport.history.words import fold
from passport.models.record import Category

#: `conditions.clinical_status` of what is over. Source: OpenMRS ConditionClinicalStatus, emrapi's older CONDITIONS.
ENDED = {"inactive", "history_of", "remission", "resolved"}
#: Details that hold the day from which something is over, as the hospital's clock: conditions; orders, orders.
ENDS = ("ended", "stopped", "expires")


class Told(Protocol):
    """What is needed of a record to see whether it holds."""

    @property
    def key(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def category_rule(self) -> str: ...
    @property
    def part_of(self) -> str | None: ...
    @property
    def concept(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def details(self) -> Mapping[str, Any]: ...


def standing(rows: Sequence[Told], *, category: Category, clocks: Mapping[str, str]) -> dict[str, Standing]:
    """Keys of those of a category that hold or may hold, in the order given (newest first).

    `clocks`: by hospital number, as in keys. Of what says the same, all different ways in which a source says that it
    holds; if none does, the newest, unless that says it is over.
    """
    told: dict[str, list[tuple[Told, Standing]]] = {}
    for row in rows:
        if row.category == category and not row.part_of and row.category_rule != "class:Symptom":
            state = standing_of(row.details, local_now=clocks[row.key[:4]])
            told.setdefault(_subject(row), []).append((row, state))
    return {row.key: state for same in told.values() for row, state in _chosen(same)}


def ends_of(details: Mapping[str, Any]) -> list[str]:
    """The days on which the source says that it is over, as the hospital's clock."""
    return [str(details[name]) for name in ENDS if details.get(name)]


class Ends:
    """When what was read of a patient comes to an end. Until the next of them has come, all of it stands as it did."""

    def __init__(self, read: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """`read`: hospital and details of each record."""
        found: dict[str, list[str]] = {}
        for hospital, details in read:
            found.setdefault(hospital, []).extend(ends_of(details))
        self._of_hospital = {hospital: sorted(ends) for hospital, ends in found.items()}

    def n_come(self, clocks: Mapping[str, str]) -> tuple[int, ...]:
        """How many have come at each hospital. `clocks`: of each of them, by what `read` called it."""
        return tuple(bisect_right(ends, clocks[hospital]) for hospital, ends in self._of_hospital.items())


def standing_of(details: Mapping[str, Any], *, local_now: str) -> Standing:
    """Whether it holds by the source's own words and dates. `local_now`: the hospital's clock, as in records."""
    status = str(details.get("clinical_status", "")).lower()
    # Bahmni gives a diagnosis a status only to end it (ruled out, inactive); a revised one has a successor.
    if status in ENDED or details.get("diagnosis_status") or details.get("diagnosis_revised"):
        return Standing.PAST
    ends = ends_of(details)
    if any(end <= local_now for end in ends):
        return Standing.PAST
    # A prescription without an end is not known to be taken still: many are never closed.
    return Standing.CURRENT if ends or status == "active" else Standing.UNKNOWN


def _subject(row: Told) -> str:
    """What it is about: the drug; the disease that was answered; else question and answer."""
    if row.table == "orders":
        return fold(row.concept)
    if row.table in {"conditions", "encounter_diagnosis"} or row.category_rule.startswith("mapping:emrapi"):
        return fold(row.value)
    return fold(f"{row.concept}\n{row.value}")


def _chosen(same: Sequence[tuple[Told, Standing]]) -> list[tuple[Told, Standing]]:
    current: dict[tuple[str, str], tuple[Told, Standing]] = {}
    for row, state in same:
        if state is Standing.CURRENT:
            current.setdefault((row.concept, row.value), (row, state))
    if current:
        return list(current.values())
    return [] if same[0][1] is Standing.PAST else [same[0]]
