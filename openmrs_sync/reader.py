"""Persons → everything that the source holds about them. One plain SELECT per table; names come later, in Python.

Call at one moment (`hospitals.moments`). Errors of `fetch` pass through.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from openmrs_sync import queries
from openmrs_sync.rows import (
    TABLES,
    AllergyRow,
    ConditionRow,
    DiagnosisRow,
    EncounterRow,
    Fetch,
    IdentifierRow,
    ObsRange,
    ObsRow,
    OrderRow,
    ParentRow,
    PersonRow,
    ReactionRow,
    Schema,
    SourceBatch,
    VisitRow,
)

Row = TypeVar("Row", bound=NamedTuple)

#: About so many statements are sent for a batch, whomever it reads, with those that prove where it reads.
N_STATEMENTS = 20
#: Tables whose rows are counted to plan batches: nearly all rows are theirs.
_LARGE_TABLES = ("obs", "encounter", "visit", "orders")


class Leg(NamedTuple):
    """A part of one person's obs, read by itself. `sums`: number of rows, and sum of their hashes."""

    ids: range
    rows: list[ObsRow]
    sums: tuple[int, int]


def plan(fetch: Fetch, schema: Schema, *, person_ids: Sequence[int], max_rows: int = 15_000) -> list[list[int]]:
    """Return the persons in batches of at most `max_rows` rows each, in the given order.

    A person with more rows than that is a batch alone. Costs an index-only COUNT per person.
    """
    n_rows = dict.fromkeys(person_ids, 1)
    for table in _LARGE_TABLES:
        for person_id, n in count_rows(fetch, schema, table=table, person_ids=person_ids).items():
            n_rows[person_id] += n
    batches: list[list[int]] = []
    n_in_batch = max_rows + 1
    for person_id, n in n_rows.items():
        if n_in_batch + n > max_rows:
            batches.append([])
            n_in_batch = 0
        batches[-1].append(person_id)
        n_in_batch += n
    return batches


def read_legs(fetch: Fetch, schema: Schema, *, person_id: int, max_rows: int) -> list[Leg]:
    """The obs of a person who has more than that, in legs; of anybody else nothing. Call it before.

    Each statement is a moment of its own, so no lock outlasts it; `read_batch` takes the legs to one moment.
    """
    n_obs = count_rows(fetch, schema, table="obs", person_ids=[person_id]).get(person_id, 0)
    legs: list[Leg] = []
    after = -1
    while n_obs > max_rows:
        found = fetch(queries.obs_of_one(schema, person_id, after=after, limit=max_rows), ())
        if found:
            ids = range(after + 1, found[-1][0] + 1)
            legs.append(Leg(ids, _without_hash(found), (len(found), sum(row[-1] for row in found))))
            after = found[-1][0]
        if len(found) < max_rows:
            break
    return legs


def _join_legs(fetch: Fetch, schema: Schema, legs: Sequence[Leg], *, person_id: int) -> list[ObsRow]:
    """The person's obs as they are at this moment: a leg in which anything moved meanwhile is read again."""
    rows: list[ObsRow] = []
    for leg in legs:
        ((n, hashes),) = fetch(queries.obs_sums(schema, person_id, leg.ids), ())
        is_same = (n, int(hashes or 0)) == leg.sums
        rows += leg.rows if is_same else _without_hash(fetch(queries.obs_of_one(schema, person_id, ids=leg.ids), ()))
    newer = fetch(queries.obs_of_one(schema, person_id, after=legs[-1].ids.stop - 1), ())
    return rows + _without_hash(newer)


def _without_hash(rows: Iterable[tuple[Any, ...]]) -> list[ObsRow]:
    return [ObsRow._make(row[:-1]) for row in rows]


def read_batch(
    fetch: Fetch,
    schema: Schema,
    *,
    person_ids: Sequence[int],
    identifier_type_ids: Sequence[int],
    legs: Sequence[Leg] = (),
) -> SourceBatch:
    """Return every row of these persons, voided ones too, and what these rows hang on.

    `legs`: of the one person, what `read_legs` gave just before.
    Persons that do not exist are absent from `persons`. Raises HospitalUnreachable, SchemaMismatch.
    """
    persons, identifiers = read_identity(fetch, schema, person_ids=person_ids, identifier_type_ids=identifier_type_ids)

    def rows_of(table: str, query: Callable[[Schema, Iterable[int]], str], shape: type[Row]) -> list[Row]:
        if not schema.has(table):
            return []
        return _read(fetch, lambda ids: query(schema, ids), person_ids, shape)

    if legs:
        obs = _join_legs(fetch, schema, legs, person_id=person_ids[0])
    else:
        obs = rows_of("obs", queries.obs, ObsRow)
    encounters = rows_of("encounter", queries.encounters, EncounterRow)
    visits = rows_of("visit", queries.visits, VisitRow)
    diagnoses = rows_of("encounter_diagnosis", queries.diagnoses, DiagnosisRow)
    conditions = rows_of("conditions", queries.conditions, ConditionRow)
    orders = rows_of("orders", queries.orders, OrderRow)
    allergies = rows_of("allergy", queries.allergies, AllergyRow)
    fingerprints = {table: read_fingerprints(fetch, schema, table=table, person_ids=person_ids) for table in TABLES}
    pointing = [{row.encounter_id for row in rows} for rows in (obs, diagnoses, conditions, orders, allergies)]
    return SourceBatch(
        persons=persons,
        identifiers=identifiers,
        obs=obs,
        encounters=encounters,
        visits=visits,
        diagnoses=diagnoses,
        conditions=conditions,
        orders=orders,
        allergies=allergies,
        reactions=_read_reactions(fetch, schema, allergies),
        encounter_providers=_read_encounter_providers(fetch, schema, encounters),
        other_parents=_read_other_parents(fetch, schema, obs, encounters, visits, set().union(*pointing)),
        group_parents=_read_group_parents(fetch, schema, obs),
        counts={table: {person: sums[0] for person, sums in of.items()} for table, of in fingerprints.items()},
        fingerprints=fingerprints,
        obs_ranges=_read_obs_ranges(fetch, schema, obs),
    )


def read_identity(
    fetch: Fetch, schema: Schema, *, person_ids: Sequence[int], identifier_type_ids: Sequence[int]
) -> tuple[dict[int, PersonRow], list[IdentifierRow]]:
    """Return the persons that exist, by id, and their live identifiers of these types."""
    voided = {row[0] for row in _fetch_in(fetch, queries.voided_patients, person_ids)}
    merged = _read_merged(fetch, schema, person_ids)
    persons = {
        person_id: PersonRow(
            *(person_id, uuid, sex, birth_date, bool(is_estimated), bool(is_voided) or person_id in voided),
            merged_uuids=merged.get(person_id, ()),
        )
        for person_id, uuid, sex, birth_date, is_estimated, is_voided in _fetch_in(
            fetch, lambda ids: queries.persons(schema, ids), person_ids
        )
    }
    if not identifier_type_ids:
        return persons, []
    return persons, _read(
        fetch, lambda ids: queries.identifiers(schema, ids, identifier_type_ids), person_ids, IdentifierRow
    )


def _read_merged(fetch: Fetch, schema: Schema, person_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return person → the uuids of all who were merged into them. Whoever took nobody over is absent."""
    if not schema.has("person_merge_log"):
        return {}
    losers: dict[int, dict[int, str]] = {}
    to_ask: Iterable[int] = person_ids
    while to_ask:
        found = {person_id: dict[int, str]() for person_id in to_ask}
        for winner, loser, uuid in _fetch_in(fetch, lambda ids: queries.merged_into(schema, ids), to_ask):
            found[winner][loser] = uuid
        losers |= found
        to_ask = {loser for of_one in found.values() for loser in of_one} - losers.keys()
    return {person_id: _all_merged(losers, person_id) for person_id in person_ids if losers[person_id]}


def _all_merged(losers: Mapping[int, Mapping[int, str]], person_id: int) -> list[str]:
    """Two may have been merged into each other: nobody is taken twice."""
    found, left = dict[int, str](), [person_id]
    while left:
        for loser, uuid in losers[left.pop()].items():
            if loser not in found and loser != person_id:
                found[loser] = uuid
                left.append(loser)
    return sorted(found.values())


def read_owners(fetch: Fetch, schema: Schema, *, table: str, ids: Iterable[int]) -> dict[int, int]:
    """Return source id → person of those rows of a table that still exist: what is absent is gone, not moved."""
    if not schema.has(table):
        return {}
    return dict(_fetch_in(fetch, lambda some: queries.owners(table, some), ids))


def count_rows(fetch: Fetch, schema: Schema, *, table: str, person_ids: Iterable[int]) -> dict[int, int]:
    """Return person → number of rows of a table, voided ones too. A person without any is absent."""
    if not schema.has(table):
        return {}
    return dict(_fetch_in(fetch, lambda ids: queries.counts(schema, table, ids), person_ids))


def read_fingerprints(
    fetch: Fetch, schema: Schema, *, table: str, person_ids: Iterable[int]
) -> dict[int, tuple[int, int, int]]:
    """Return person → (number of rows, sum of ids, sum of CRC32(id)), voided ones too, from the index alone."""
    if not schema.has(table):
        return {}
    rows = _fetch_in(fetch, lambda ids: queries.fingerprints(schema, table, ids), person_ids)
    return {person_id: (int(n), int(ids), int(crcs)) for person_id, n, ids, crcs in rows}


# ----------------------------------------------------------------------------------------- what rows hang on


def _read_reactions(fetch: Fetch, schema: Schema, allergies: Sequence[AllergyRow]) -> list[ReactionRow]:
    if not schema.has("allergy_reaction"):
        return []
    ids = [allergy.allergy_id for allergy in allergies]
    return _read(fetch, lambda some: queries.reactions(schema, some), ids, ReactionRow)


def _read_encounter_providers(fetch: Fetch, schema: Schema, encounters: Sequence[EncounterRow]) -> dict[int, list[int]]:
    providers: dict[int, list[int]] = defaultdict(list)
    if schema.has("encounter_provider"):
        ids = [encounter.encounter_id for encounter in encounters]
        for encounter_id, provider_id in _fetch_in(fetch, queries.encounter_providers, ids):
            providers[encounter_id].append(provider_id)
    return dict(providers)


def _read_obs_ranges(fetch: Fetch, schema: Schema, obs: Sequence[ObsRow]) -> dict[int, ObsRange]:
    if not schema.has("obs_reference_range"):
        return {}
    ids = [row.obs_id for row in obs if row.value_numeric is not None]
    ranges = _read(fetch, lambda some: queries.obs_ranges(schema, some), ids, ObsRange)
    return {one.obs_id: one for one in ranges}


def _read_other_parents(
    fetch: Fetch,
    schema: Schema,
    obs: Sequence[ObsRow],
    encounters: Sequence[EncounterRow],
    visits: Sequence[VisitRow],
    encounter_ids: set[int | None],
) -> dict[str, dict[int, ParentRow]]:
    """Follow every pointer out of the batch, up to the root. An id that is not in the answer does not exist."""

    def parents(table: str, ids: set[int | None]) -> dict[int, ParentRow]:
        if not schema.has(table):
            return {}
        wanted = [one for one in ids if one is not None]
        rows = _read(fetch, lambda some: queries.parents(schema, table, some), wanted, ParentRow)
        return {row.source_id: row for row in rows}

    known = {row.obs_id for row in obs}
    groups: dict[int, ParentRow] = {}
    missing = {row.obs_group_id for row in obs} - known
    while found := parents("obs", missing):
        groups.update(found)
        # groups known by now are left out, so that a circle of groups ends
        missing = {group.parent_id for group in found.values()} - known - groups.keys()
    other_encounters = parents("encounter", encounter_ids - {row.encounter_id for row in encounters})
    visit_ids = {row.visit_id for row in encounters} | {row.parent_id for row in other_encounters.values()}
    return {
        "obs": groups,
        "encounter": other_encounters,
        "visit": parents("visit", visit_ids - {row.visit_id for row in visits}),
    }


def _read_group_parents(fetch: Fetch, schema: Schema, obs: Sequence[ObsRow]) -> frozenset[int]:
    """Ids of obs that have members. Asked of the source only for rows without value whose members we did not read."""
    parents = {row.obs_group_id for row in obs if row.obs_group_id is not None}
    childless = [
        row.obs_id
        for row in obs
        if row.value_numeric is None
        and row.value_coded is None
        and row.obs_id not in parents
        and not _has_other_value(row)
    ]
    found = _fetch_in(fetch, lambda ids: queries.groups_with_members(schema, ids), childless)
    return frozenset(parents | {row[0] for row in found})


def _has_other_value(row: ObsRow) -> bool:
    return (
        bool(row.value_text or row.value_complex)
        or row.value_datetime is not None
        or row.value_drug is not None
        or row.value_boolean is not None
    )


# ----------------------------------------------------------------------------------------- fetching


def _fetch_in(fetch: Fetch, query: Callable[[Sequence[int]], str], ids: Iterable[int]) -> Iterator[tuple[Any, ...]]:
    """Run a query once per `queries.MAX_IN` ids."""
    unique = list(dict.fromkeys(ids))
    for start in range(0, len(unique), queries.MAX_IN):
        yield from fetch(query(unique[start : start + queries.MAX_IN]), ())


def _read(fetch: Fetch, query: Callable[[Sequence[int]], str], ids: Iterable[int], shape: type[Row]) -> list[Row]:
    # not `_make`: it counts the columns of each row again, in Python, a million times
    return list(map(partial(tuple.__new__, shape), _fetch_in(fetch, query, ids)))
