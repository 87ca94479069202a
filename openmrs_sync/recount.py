"""Both sides of a receipt counted afresh: what the source has, and what our store has. Used by `receipt --verify` only.

Not by the engine's own reading: the SQL is that of `receipt_queries`, and what it says is judged here again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, Q, QuerySet, Sum

from openmrs_sync import receipt_queries
from openmrs_sync.models import ParkedRow
from openmrs_sync.rows import TABLES, Fetch, Schema, chunks
from passport.models import Link, Record

#: Persons in one look at the source: bounds our memory and the length of a snapshot.
PERSONS = 100
PATIENTS_PAGE = 10_000
_CURRENT = "current"


@dataclass(slots=True)
class SourceRows:
    """One person's rows in one table: which must be a record or parked, and which are excluded, why."""

    live: set[int] = field(default_factory=set)
    excluded: dict[int, str] = field(default_factory=dict)


#: (person, table) → rows
Counted = dict[tuple[int, str], SourceRows]


# --- the source -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What must be known of the source's dictionaries to judge its rows."""

    hidden: frozenset[int]
    diagnosis_sets: frozenset[int]
    diagnosis_questions: frozenset[int]


def read_facts(fetch: Fetch, *, schema: Schema, hidden_uuids: Iterable[str]) -> Facts:
    """`hidden_uuids`: of concepts that the admin hides."""
    wanted = sorted({uuid.lower() for uuid in hidden_uuids})
    hidden: set[int] = set()
    for part in chunks(wanted, 100):
        hidden.update(row[0] for row in fetch(receipt_queries.concepts_by_uuid(len(part)), part))

    def mapped(*codes: str) -> frozenset[int]:
        if not (schema.has("encounter_diagnosis") and schema.has("concept_reference_map")):
            return frozenset()
        return frozenset(row[0] for code in codes for row in fetch(receipt_queries.CONCEPTS_BY_EMRAPI_CODE, [code]))

    return Facts(
        hidden=frozenset(hidden),
        diagnosis_sets=mapped("Diagnosis Concept Set"),
        diagnosis_questions=mapped("Coded Diagnosis", "Non-Coded Diagnosis"),
    )


def count_source(fetch: Fetch, *, schema: Schema, person_ids: Sequence[int], facts: Facts) -> Counted:
    """Every row of these persons, voided ones too. Call it at one moment, with at most PERSONS persons."""
    counted: Counted = {(person_id, table): SourceRows() for person_id in person_ids for table in TABLES}
    for table in TABLES:
        if not schema.has(table):
            continue
        found = fetch(receipt_queries.rows_with_standing(schema, table, person_ids), ())
        if table == "obs":
            _judge_obs(fetch, schema=schema, person_ids=person_ids, facts=facts, found=found, counted=counted)
            continue
        for source_id, person_id, standing, concept_id in found:
            reason = standing or ("hidden_by_admin" if concept_id in facts.hidden else "")
            _put(counted[person_id, table], source_id, reason)
    return counted


def _put(rows: SourceRows, source_id: int, reason: str) -> None:
    if reason:
        rows.excluded[source_id] = reason
    else:
        rows.live.add(source_id)


def _judge_obs(
    fetch: Fetch,
    *,
    schema: Schema,
    person_ids: Sequence[int],
    facts: Facts,
    found: Sequence[tuple[object, ...]],
    counted: Counted,
) -> None:
    above = {row[0]: (row[4], row[2] == "voided") for row in found}
    is_under_voided = _walker(fetch, above)
    repeated = _repeated_diagnoses(fetch, schema=schema, person_ids=person_ids, facts=facts)
    for obs_id, person_id, standing, concept_id, group_id, is_bare_group in found:
        if standing:
            reason = str(standing)
        elif group_id is not None and is_under_voided(group_id):
            reason = "parent_voided"
        elif obs_id in repeated:
            reason = "duplicate_of_migrated"
        elif concept_id in facts.hidden:
            reason = "hidden_by_admin"
        else:
            reason = "group_without_value" if is_bare_group else ""
        _put(counted[person_id, "obs"], obs_id, reason)  # type: ignore[index, arg-type]  # rows of ids


def _walker(fetch: Fetch, above: dict[object, tuple[object, bool]]) -> Callable[[object], bool]:
    """The function that says whether a group, or any group above it, is voided. `above`: obs → (group, is voided)."""
    missing = {group for group, _ in above.values() if group is not None} - above.keys()
    while missing:
        rows = [row for part in chunks(missing, 500) for row in fetch(receipt_queries.groups(part), ())]  # type: ignore[arg-type]
        above.update({obs_id: (group_id, bool(is_voided)) for obs_id, group_id, is_voided in rows})
        missing = {group_id for _, group_id, _ in rows if group_id is not None} - above.keys()

    def is_under_voided(group_id: object) -> bool:
        seen = set()
        while group_id is not None and group_id not in seen:
            seen.add(group_id)
            group_id, is_voided = above.get(group_id, (None, False))
            if is_voided:
                return True
        return False

    return is_under_voided


def _repeated_diagnoses(fetch: Fetch, *, schema: Schema, person_ids: Sequence[int], facts: Facts) -> set[int]:
    """Obs of groups whose diagnoses all stand in encounter_diagnosis too."""
    if not facts.diagnosis_sets or not facts.diagnosis_questions:
        return set()
    groups: dict[int, list[tuple[int, bool, bool]]] = {}
    query = receipt_queries.said_again(
        schema, person_ids, sets=facts.diagnosis_sets, diagnoses=facts.diagnosis_questions
    )
    for group_id, member_id, is_diagnosis, is_said_again in fetch(query, ()):
        groups.setdefault(group_id, []).append((member_id, bool(is_diagnosis), bool(is_said_again)))
    repeated: set[int] = set()
    for group_id, members in groups.items():
        said = [is_said_again for _, is_diagnosis, is_said_again in members if is_diagnosis]
        if said and all(said):
            repeated.update((group_id, *(member_id for member_id, _, _ in members)))
    return repeated


# --- our store --------------------------------------------------------------------------------------------------------

#: Two remainders multiplied: unlike a plain sum it tells {1, 4} from {2, 3}, and every store can compute it.
_MODULI = (1_000_003, 999_983)


@dataclass(frozen=True, slots=True)
class IdSum:
    """A set of source ids, as far as an aggregate can tell it."""

    n: int = 0
    total: int = 0
    hashed: int = 0

    def __add__(self, other: "IdSum") -> "IdSum":
        return IdSum(self.n + other.n, self.total + other.total, self.hashed + other.hashed)


def sum_ids(ids: Iterable[int]) -> IdSum:
    values = list(ids)
    first, second = _MODULI
    return IdSum(len(values), sum(values), sum((value % first) * (value % second) for value in values))


@dataclass(slots=True)
class OurRows:
    """(link, table) → what is stored and what is parked."""

    stored: dict[tuple[UUID, str], IdSum] = field(default_factory=dict)
    parked: dict[tuple[UUID, str], IdSum] = field(default_factory=dict)


def _current(links: Sequence[Link]) -> QuerySet[Record]:
    """What may be seen of these links: not what a late writer left under a token that the link refuses."""
    shown = Q(link_id__in=[link.pk for link in links if not link.min_token])
    for link in links:
        if link.min_token:
            shown |= Q(link_id=link.pk, token__gte=link.min_token)
    return Record.objects.filter(shown, status=_CURRENT)


def sum_ours(links: Sequence[Link]) -> OurRows:
    """What is stored and parked of these links. A record under another patient is not shown, so it does not count."""
    ours = OurRows()
    patients = {link.pk: link.patient_id for link in links}
    for row in _summed(_current(links), "link_id", "patient_id"):
        if patients[row["link_id"]] == row["patient_id"]:
            ours.stored[row["link_id"], row["table"]] = _id_sum(row)
    for row in _summed(ParkedRow.objects.filter(link_id__in=list(patients)), "link_id"):
        ours.parked[row["link_id"], row["table"]] = _id_sum(row)
    return ours


def _summed(rows: "QuerySet[Record] | QuerySet[ParkedRow]", *fields: str) -> Iterator[dict[str, Any]]:
    first, second = _MODULI
    product = ExpressionWrapper((F("source_id") % first) * (F("source_id") % second), output_field=BigIntegerField())
    summed = rows.values(*fields, "table").annotate(n=Count("pk"), total=Sum("source_id"), hashed=Sum(product))
    return iter(summed)


def _id_sum(row: Mapping[str, Any]) -> IdSum:
    # Sum is a Decimal on MySQL
    return IdSum(row["n"], int(row["total"]), int(row["hashed"]))


def ids_of(link: Link) -> dict[str, tuple[set[int], set[int]]]:
    """table → (stored ids, parked ids) of one link."""
    ids: dict[str, tuple[set[int], set[int]]] = {table: (set(), set()) for table in TABLES}
    stored = _current([link]).filter(patient_id=link.patient_id)
    for table, source_id in stored.values_list("table", "source_id").iterator(chunk_size=5_000):
        ids[table][0].add(source_id)
    for table, source_id in ParkedRow.objects.filter(link_id=link.pk).values_list("table", "source_id"):
        ids[table][1].add(source_id)
    return ids


# --- persons ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`patients`: (id, is voided), in the order of their ids; `numbers`: (id, text) of each of the chosen types."""

    patients: Sequence[tuple[int, bool]]
    numbers: Sequence[tuple[int, str]]


def read_patients(fetch: Fetch, *, after: int, type_uuids: Sequence[str]) -> Page:
    """The next PATIENTS_PAGE of a hospital's patients. Call it at one moment; an empty page is after the last."""
    patients = [(row[0], bool(row[1])) for row in fetch(receipt_queries.PATIENTS, (after, PATIENTS_PAGE))]
    numbers: list[tuple[int, str]] = []
    if patients and type_uuids:
        bounds = (patients[0][0], patients[-1][0], *type_uuids)
        asked = receipt_queries.numbers_of_patients(len(type_uuids))
        numbers = [(patient_id, number) for patient_id, number in fetch(asked, bounds)]
    return Page(patients=patients, numbers=numbers)


def count_patients(
    fetch: Fetch,
    *,
    at_one_moment: Callable[[Callable[[], Page]], Page],
    type_uuids: Sequence[str],
    states_between: Callable[[int, int], Mapping[int, str]],
    is_number: Callable[[str], bool],
) -> Counter[str]:
    """Each patient there in the first that fits: voided, unlinked, held, linked, without_national_id, unmatched.

    `states_between`: the states of our open links from one patient id to another.
    """
    counted: Counter[str] = Counter()
    after = -1
    while True:
        # one moment a page: one snapshot over a million patients would be longer than a hospital can bear
        page = at_one_moment(partial(read_patients, fetch, after=after, type_uuids=type_uuids))
        if not page.patients:
            return counted
        first, after = page.patients[0][0], page.patients[-1][0]
        states = states_between(first, after)
        numbered = {patient_id for patient_id, number in page.numbers if is_number(number)}
        for patient_id, is_voided in page.patients:
            otherwise = "unmatched" if patient_id in numbered else "without_national_id"
            counted["voided" if is_voided else states.get(patient_id, otherwise)] += 1
