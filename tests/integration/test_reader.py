"""Schema, queries, reader, names and enricher against real servers: every version, every real dump."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from MySQLdb.connections import Connection

from hospitals.errors import SchemaMismatch
from openmrs_sync import queries, reader, schema
from openmrs_sync.categoriser import make_categorise
from openmrs_sync.dictionaries import Names, label, locale_order
from openmrs_sync.enricher import render
from openmrs_sync.rows import TABLES, Fetch, RecordRow, Rendered, Schema, SourceBatch
from tests.openmrs import ddl, real
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

pytestmark = pytest.mark.integration

NOON = dt.datetime(2025, 6, 2, 12, 0, 0)
KIGALI = ZoneInfo("Africa/Kigali")


class Eyes:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.asked: list[str] = []

    def fetch(self, sql: str, params: Sequence[object]) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())


@pytest.fixture(scope="module", params=ddl.VERSIONS)
def hospital(request: pytest.FixtureRequest, mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    """A hospital of each version. Shared: tests add persons of their own and leave the rest alone."""
    yield from _hospital(mariadb, request.param)


@pytest.fixture(scope="module")
def modern(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    yield from _hospital(mariadb, "2.6", "reader_modern")


@pytest.fixture
def breakable(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    """A hospital for one test alone."""
    yield from _hospital(mariadb, "2.6", "reader_breakable")


@pytest.fixture(scope="module")
def broken(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    """A hospital whose tables are renamed away and back."""
    yield from _hospital(mariadb, "2.6", "reader_broken")


@pytest.fixture
def newest(mariadb: MariaDBServer) -> Iterator[PretendHospital]:
    yield from _hospital(mariadb, "2.8", "reader_newest")


def _hospital(server: MariaDBServer, version: str, database: str = "reader_each") -> Iterator[PretendHospital]:
    hospital = PretendHospital(server, database, version).create()
    hospital.clock = lambda: NOON
    yield hospital
    hospital.close()


def eyes_on(hospital: PretendHospital) -> Eyes:
    return Eyes(hospital.server.connect(hospital.database))


def read(hospital: PretendHospital, *person_ids: int, types: Sequence[str] = ("National ID",)) -> SourceBatch:
    fetch = eyes_on(hospital).fetch
    type_ids = [hospital.identifier_type(name) for name in types]
    return reader.read_batch(fetch, schema.discover(fetch), person_ids=person_ids, identifier_type_ids=type_ids)


def render_persons(
    fetch: Fetch, found: Schema, person_ids: Sequence[int], locales: Sequence[str] = ("en",)
) -> tuple[SourceBatch, list[Rendered]]:
    batch = reader.read_batch(fetch, found, person_ids=person_ids, identifier_type_ids=[])
    names = Names(fetch, found, locales)
    names.prepare(batch)
    return batch, render(batch, dictionaries=names, zone=KIGALI, categorise=make_categorise([]))


def records_of(
    hospital: PretendHospital, person: int, *, locales: Sequence[str] = ("en",)
) -> dict[tuple[str, int], RecordRow]:
    fetch = eyes_on(hospital).fetch
    _, (rendered,) = render_persons(fetch, schema.discover(fetch), [person], locales)
    return {(record.table, record.source_id): record for record in rendered.records}


# -- what is there ---------------------------------------------------------------------------------------------


def test_the_platform_is_guessed_from_its_columns(hospital: PretendHospital) -> None:
    found = schema.discover(eyes_on(hospital).fetch)

    # the pretend one lacks the table by which 2.6 differs from 2.5, as we do not read it
    assert found.platform == {"2.6": "2.5"}.get(hospital.version, hospital.version)
    assert found.has("obs", "uuid")
    assert not found.has("obs", "no_such_column")


@pytest.mark.parametrize("table", sorted(schema.INDISPENSABLE))
def test_a_missing_table_is_named_with_the_next_step(broken: PretendHospital, table: str) -> None:
    broken.execute(f"RENAME TABLE {table} TO away")
    try:
        with pytest.raises(SchemaMismatch, match=rf"table {table} is not there\. Check"):
            schema.discover(eyes_on(broken).fetch)
    finally:
        broken.execute(f"RENAME TABLE away TO {table}")


def test_a_missing_column_is_named(breakable: PretendHospital) -> None:
    breakable.execute("ALTER TABLE obs DROP COLUMN value_coded")

    with pytest.raises(SchemaMismatch, match=r"obs\.value_coded"):
        schema.discover(eyes_on(breakable).fetch)


def test_tables_that_came_later_may_be_absent(breakable: PretendHospital) -> None:
    alice = breakable.add_person()
    breakable.add_obs(alice, "weight", 61)
    for table in ("visit", "orders", "drug_order", "conditions", "allergy", "allergy_reaction", "encounter_diagnosis",
                  "encounter_provider", "concept_numeric", "concept_reference_map", "global_property"):  # fmt: skip
        breakable.execute(f"DROP TABLE {table}")

    (record,) = records_of(breakable, alice).values()

    assert (record.value, record.unit) == ("61", "")


def test_identifier_types_are_listed_retired_ones_too(breakable: PretendHospital) -> None:
    type_id = breakable.identifier_type("National ID")
    breakable.update("patient_identifier_type", type_id, retired=1)
    fetch = eyes_on(breakable).fetch

    types = {one.identifier_type_id: one for one in schema.identifier_types(fetch, schema.discover(fetch))}

    assert (types[type_id].name, types[type_id].is_retired) == ("National ID", True)
    assert types[type_id].uuid == breakable.national_id_type_uuid


# -- identity --------------------------------------------------------------------------------------------------


def test_a_person_is_voided_when_the_patient_is(hospital: PretendHospital) -> None:
    alice, bob = hospital.add_person(sex="F", birth_date=dt.date(1990, 5, 1)), hospital.add_person(sex="M")
    hospital.update("patient", bob, voided=1)

    persons = read(hospital, alice, bob, 999_999).persons

    assert set(persons) == {alice, bob}
    assert (persons[alice].sex, persons[alice].birth_date) == ("F", dt.date(1990, 5, 1))
    assert (persons[alice].is_voided, persons[bob].is_voided) == (False, True)


def test_only_live_identifiers_of_the_chosen_types_are_read(modern: PretendHospital) -> None:
    alice = modern.add_person(national_id="1199080012345678")
    modern.add_identifier(alice, "OLD-1", type="Old Identification Number")
    modern.void_identifier(modern.add_identifier(alice, "1199080099999999"))

    assert read(modern, alice).identifiers == [(alice, "1199080012345678")]
    assert len(read(modern, alice, types=("National ID", "Old Identification Number")).identifiers) == 2


# -- rows ------------------------------------------------------------------------------------------------------


def test_every_column_lands_in_its_place(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    encounter = hospital.add_encounter(alice, visit=hospital.add_visit(alice))
    obs = hospital.add_obs(alice, "weight", 61.5, encounter=encounter, comments="with shoes")
    stored = hospital.row("obs", obs)

    (row,) = read(hospital, alice).obs

    for column, value in row._asdict().items():
        if column in stored:
            assert value == stored[column], column
        else:
            assert value is None, column


def test_a_row_is_as_long_as_its_shape_in_every_version(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    encounter = hospital.add_encounter(alice, visit=hospital.add_visit(alice))
    hospital.add_obs(alice, "weight", 61.5, encounter=encounter)
    hospital.add_drug_order(alice, encounter=encounter)
    if hospital.has("allergy"):
        hospital.add_allergy(alice, "penicillin")
    if hospital.has("encounter_diagnosis"):
        hospital.add_diagnosis(alice, "malaria", encounter=encounter)
    if hospital.has("conditions"):
        hospital.add_condition(alice, "diabetes")
    batch = read(hospital, alice)

    for rows in (batch.obs, batch.encounters, batch.visits, batch.orders, batch.allergies, batch.diagnoses,
                 batch.conditions, batch.reactions):  # fmt: skip
        for row in rows:
            assert len(row) == len(row._fields)


def test_voided_rows_are_read_and_counted(modern: PretendHospital) -> None:
    alice = modern.add_person()
    modern.void_obs(modern.add_obs(alice, "weight", 61))
    modern.add_obs(alice, "weight", 62)

    batch = read(modern, alice)

    assert sorted(row.voided for row in batch.obs) == [0, 1]
    assert batch.counts["obs"] == {alice: 2}
    assert set(batch.counts) == set(TABLES)


def test_parents_that_are_anothers_are_found_up_to_the_root(modern: PretendHospital) -> None:
    alice, bob = modern.add_person(), modern.add_person()
    visit = modern.add_visit(bob)
    encounter = modern.add_encounter(bob, visit=visit)
    root = modern.add_obs(bob, "full blood count")
    group = modern.add_obs(bob, "full blood count", group=root)
    modern.add_obs(alice, "haemoglobin", 12, group=group, encounter=encounter)
    modern.void("obs", root)

    parents = read(modern, alice).other_parents

    assert {(row.source_id, row.person_id, row.voided, row.parent_id) for row in parents["obs"].values()} == {
        (group, bob, 0, root),
        (root, bob, 1, None),
    }
    assert parents["encounter"] == {encounter: (encounter, bob, 0, visit)}
    assert parents["visit"] == {visit: (visit, bob, 0, None)}


def test_groups_in_a_circle_do_not_hang_the_reader(modern: PretendHospital) -> None:
    alice, bob = modern.add_person(), modern.add_person()
    one = modern.add_obs(bob, "full blood count")
    two = modern.add_obs(bob, "full blood count", group=one)
    modern.update("obs", one, obs_group_id=two)
    modern.add_obs(alice, "haemoglobin", 12, group=two)

    assert set(read(modern, alice).other_parents["obs"]) == {one, two}


def test_a_group_whose_members_are_anothers_is_a_group(modern: PretendHospital) -> None:
    alice, bob = modern.add_person(), modern.add_person()
    group, alone = modern.add_obs(alice, "full blood count"), modern.add_obs(alice, "full blood count")
    modern.add_obs(bob, "haemoglobin", 12, group=group)

    batch = read(modern, alice)

    assert group in batch.group_parents
    assert alone not in batch.group_parents


def test_the_range_stored_with_an_obs_is_read(newest: PretendHospital) -> None:
    alice = newest.add_person()
    obs = newest.add_obs(alice, "haemoglobin", 18)
    newest.insert("obs_reference_range", obs_id=obs, low_normal=14.0, hi_normal=19.0)

    record = records_of(newest, alice)["obs", obs]

    assert (record.low, record.high, record.flag) == (14.0, 19.0, "normal")


def test_a_row_that_moved_is_told_from_one_that_is_gone(hospital: PretendHospital) -> None:
    alice, bob = hospital.add_person(), hospital.add_person()
    moved, gone = hospital.add_obs(alice, "weight", 61), hospital.add_obs(alice, "weight", 62)
    hospital.update("obs", moved, person_id=bob)
    hospital.delete("obs", gone)
    fetch = eyes_on(hospital).fetch
    found = schema.discover(fetch)

    assert reader.read_owners(fetch, found, table="obs", ids=[moved, gone]) == {moved: bob}
    assert reader.read_owners(fetch, found, table="obs", ids=[]) == {}


@pytest.mark.parametrize("table", TABLES)
def test_owners_and_counts_of_every_table_can_be_asked_in_every_version(hospital: PretendHospital, table: str) -> None:
    fetch = eyes_on(hospital).fetch
    found = schema.discover(fetch)

    assert reader.read_owners(fetch, found, table=table, ids=[1_000_000]) == {}
    assert reader.count_rows(fetch, found, table=table, person_ids=[1_000_000]) == {}


# -- batches ---------------------------------------------------------------------------------------------------


def test_batches_keep_the_order_and_a_giant_is_alone(modern: PretendHospital) -> None:
    small = [modern.add_person() for _ in range(4)]
    giant = modern.add_person()
    with modern.bulk():
        for _ in range(30):
            modern.add_obs(giant, "weight", 61)
        for person in small:
            modern.add_obs(person, "weight", 61)
    fetch = eyes_on(modern).fetch
    persons = [*small[:2], giant, *small[2:]]

    plan = reader.plan(fetch, schema.discover(fetch), person_ids=persons, max_rows=10)

    assert plan == [small[:2], [giant], small[2:]]


def test_more_persons_than_fit_into_one_query_are_all_read(modern: PretendHospital) -> None:
    persons = [modern.add_person() for _ in range(3)]
    for person in persons:
        modern.add_obs(person, "weight", 61)
    absent = range(1_000_000, 1_000_000 + 2 * queries.MAX_IN)

    batch = read(modern, persons[0], *absent, *persons[1:])

    assert sorted(row.person_id for row in batch.obs) == persons


def test_obs_is_never_scanned(modern: PretendHospital) -> None:
    with modern.bulk():
        for _ in range(40):
            modern.add_obs(modern.add_person(), "weight", 61)
    people = [row["person_id"] for row in modern.rows("person")]
    eyes = eyes_on(modern)
    render_persons(eyes.fetch, schema.discover(eyes.fetch), people)

    plans = [
        (row[2], row[3]) for sql in tuple(eyes.asked) if " FROM obs" in sql for row in eyes.fetch(f"EXPLAIN {sql}", ())
    ]

    assert len(plans) >= 2
    assert {how for table, how in plans if table == "obs"} <= {"range", "ref", "eq_ref", "const"}


# -- names -----------------------------------------------------------------------------------------------------


def test_locales_are_followed_by_their_bare_language() -> None:
    assert locale_order(["en-GB", "fr", "fr_CA", "en"]) == ["en_GB", "en", "fr", "fr_CA"]


@pytest.mark.parametrize(
    "names,shown",
    [
        ([(1, "full", "en", 0, "FULLY_SPECIFIED"), (2, "preferred", "en", 1, None)], "preferred"),
        ([(1, "synonym", "fr", 0, None), (2, "full", "en", 0, "FULLY_SPECIFIED")], "full"),
        ([(1, "English", "en", 1, "FULLY_SPECIFIED"), (2, "French", "fr", 0, "FULLY_SPECIFIED")], "French"),
        ([(1, "British", "en_GB", 1, None), (2, "Dutch", "nl", 1, "FULLY_SPECIFIED")], "British"),
        ([(2, "short", "nl", 0, "SHORT"), (3, "synonym", "nl", 0, None)], "synonym"),
        ([], ""),
    ],
)
def test_a_label_is_chosen_as_openmrs_chooses_it(names: list[tuple[Any, ...]], shown: str) -> None:
    assert label(names, ["fr", "en"]) == shown


def test_names_are_in_the_hospitals_language(modern: PretendHospital) -> None:
    alice = modern.add_person()
    obs = modern.add_obs(alice, "temperature", 39)

    english, french = (records_of(modern, alice, locales=[one])["obs", obs] for one in ("en", "fr"))

    assert (english.concept, french.concept) == ("Temperature (C)", "Température (C)")


def test_a_voided_name_that_the_clinician_chose_is_still_shown(breakable: PretendHospital) -> None:
    alice = breakable.add_person()
    (name, *_) = breakable.rows("concept_name", concept_id=breakable.concept("malaria"), locale="fr")
    breakable.update("concept_name", name["concept_name_id"], voided=1)
    obs = breakable.add_obs(alice, "symptom", "malaria", value_coded_name_id=name["concept_name_id"])

    assert records_of(breakable, alice)["obs", obs].value == "Paludisme"


def test_a_provider_without_person_name_has_the_providers_own(modern: PretendHospital) -> None:
    alice = modern.add_person()
    encounter = modern.add_encounter(alice, provider="lab")

    assert records_of(modern, alice)["encounter", encounter].provider == modern.provider_names["lab"]


def test_names_are_loaded_once_a_run(modern: PretendHospital) -> None:
    alice = modern.add_person()
    modern.add_obs(alice, "weight", 61, encounter=modern.add_encounter(alice))
    eyes = eyes_on(modern)
    found = schema.discover(eyes.fetch)
    batch = reader.read_batch(eyes.fetch, found, person_ids=[alice], identifier_type_ids=[])
    names = Names(eyes.fetch, found, ["en"])
    names.prepare(batch)
    eyes.asked.clear()

    names.prepare(batch)

    assert eyes.asked == []


# -- all of it -------------------------------------------------------------------------------------------------


def test_a_consultation_arrives_in_every_version(hospital: PretendHospital) -> None:
    alice = hospital.add_person()
    encounter = hospital.add_encounter(alice, visit=hospital.add_visit(alice))
    weight = hospital.add_obs(alice, "weight", 61.5, encounter=encounter)
    smoker = hospital.add_obs(alice, "smoker", True, encounter=encounter)
    order = hospital.add_drug_order(alice, "metformin", encounter=encounter, dose=2)

    records = records_of(hospital, alice)

    assert (records["obs", weight].value, records["obs", weight].unit) == ("61.5", "kg")
    assert records["obs", weight].category_rule == "mapping:CIEL:5089"
    assert records["obs", smoker].value == "True"
    assert records["orders", order].concept == "Metformin 500mg tablet"
    assert records["orders", order].value.startswith("2 ")
    assert len({record.visit_id for record in records.values()}) == 1


def test_a_stopped_prescription_says_when_and_its_stop_is_none(modern: PretendHospital) -> None:
    alice = modern.add_person()
    order = modern.add_drug_order(alice, encounter=modern.add_encounter(alice))
    stop = modern.stop_order(order)

    records = records_of(modern, alice)

    assert '"stopped":"2025-06-02' in records["orders", order].details
    assert ("orders", stop) not in records


def test_a_migrated_obs_group_diagnosis_is_shown_once(modern: PretendHospital) -> None:
    alice = modern.add_person()
    group = modern.add_obs_group_diagnosis(alice, "malaria", encounter=modern.add_encounter(alice))
    before = [record.table for record in records_of(modern, alice).values() if record.value == "Malaria"]
    modern.migrate_obs_group_diagnosis(group)

    after = [record.table for record in records_of(modern, alice).values() if record.value == "Malaria"]

    assert (before, after) == (["obs"], ["encounter_diagnosis"])


def test_an_unvoided_migrated_group_is_a_duplicate(modern: PretendHospital) -> None:
    alice = modern.add_person()
    group = modern.add_obs_group_diagnosis(alice, "malaria", encounter=modern.add_encounter(alice))
    modern.migrate_obs_group_diagnosis(group)
    modern.unvoid_obs(group)
    fetch = eyes_on(modern).fetch

    _, (rendered,) = render_persons(fetch, schema.discover(fetch), [alice])

    assert Counter(row.reason for row in rendered.excluded) == {"duplicate_of_migrated": 4}
    assert [record.table for record in rendered.records if record.value == "Malaria"] == ["encounter_diagnosis"]


@pytest.mark.parametrize("name", sorted(real.DEMOS))
def test_every_row_of_a_real_hospital_is_in_exactly_one_place(
    mariadb: MariaDBServer, real_dumps: Path, name: str
) -> None:
    real.load(mariadb, name, "reader_real")
    fetch = Eyes(mariadb.connect("reader_real")).fetch
    found = schema.discover(fetch)
    person_ids = [row[0] for row in fetch("SELECT person_id FROM person", ())]

    batch, people = render_persons(fetch, found, person_ids)

    rendered = Counter(
        (row.table, row.source_id) for one in people for row in (*one.records, *one.excluded, *one.parked)
    )
    in_source = {
        (table, row[0])
        for table in TABLES
        if found.has(table)
        for row in fetch(f"SELECT {queries.KEYS[table][0]} FROM {table}", ())
    }
    assert set(rendered) == in_source
    assert set(rendered.values()) == {1}
    assert sum(n for counts in batch.counts.values() for n in counts.values()) == len(in_source)
    assert not any(row.reason == "unreadable" for one in people for row in one.parked)


def test_the_vitals_and_diagnoses_of_refapp_are_told_apart(mariadb: MariaDBServer, real_dumps: Path) -> None:
    real.load(mariadb, "refapp-1.11", "reader_real")
    fetch = Eyes(mariadb.connect("reader_real")).fetch
    person_ids = [row[0] for row in fetch("SELECT person_id FROM person", ())]

    _, people = render_persons(fetch, schema.discover(fetch), person_ids)

    records = [record for one in people for record in one.records]
    assert Counter(record.category for record in records if record.table == "obs") == {
        "vital": 8 * 166,
        "condition": 251,
        "other": 166 + 2 * 251,
    }
    assert all(record.certainty and record.rank for record in records if record.category == "condition")


@pytest.mark.parametrize("name", sorted(real.SCHEMAS))
def test_an_empty_platform_can_be_read(mariadb: MariaDBServer, real_dumps: Path, name: str) -> None:
    real.load(mariadb, name, "reader_real")
    fetch = Eyes(mariadb.connect("reader_real")).fetch
    found = schema.discover(fetch)

    _, people = render_persons(fetch, found, [1, 2])

    assert found.platform[:3] == name
    assert not any(one.records for one in people)
