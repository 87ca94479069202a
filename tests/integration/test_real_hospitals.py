"""The engine on databases of real OpenMRS installs. What it did is counted by this file's own SQL, not by the engine's.

Alone in an empty passport, all together, and one hospital at three moments of its life with an upgrade in between.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hospitals.models import Hospital
from openmrs_sync.models import ParkedRow
from openmrs_sync.receipts import Receipt
from passport.models import Link, Patient, Record
from passport.registration import find_patient, normalise_national_id
from tests.integration import world
from tests.openmrs import real
from tests.openmrs.server import MariaDBServer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.integration,
    pytest.mark.real,
    pytest.mark.usefixtures("sources_on_loopback"),
]

#: Obs of linked patients that hang on another patient's encounter, or hold nothing: parked, one by one.
PARKABLE = {"encounter_of_another_patient", "no_value"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Who was registered from one database."""

    type_uuid: str
    n_numbers: int


def load(server: MariaDBServer, name: str, database: str) -> str:
    real.load(server, name, database)
    return database


def most_used_type(server: MariaDBServer, database: str) -> str:
    """The uuid of the identifier type with the most live numbers."""
    rows = server.execute(
        "SELECT t.uuid FROM patient_identifier i JOIN patient_identifier_type t"
        " ON t.patient_identifier_type_id = i.identifier_type WHERE i.voided = 0"
        " GROUP BY t.uuid ORDER BY COUNT(*) DESC, t.uuid LIMIT 1",
        database=database,
    )
    return str(rows[0][0])


def register_from(server: MariaDBServer, database: str, type_uuid: str) -> Census:
    """Register every number of this type that parses, with its person's sex and birth date; the first person wins."""
    rows = server.execute(
        "SELECT i.identifier, p.gender, p.birthdate FROM patient_identifier i JOIN patient_identifier_type t"
        " ON t.patient_identifier_type_id = i.identifier_type JOIN person p ON p.person_id = i.patient_id"
        " WHERE i.voided = 0 AND t.uuid = %s ORDER BY i.patient_id, i.patient_identifier_id",
        (type_uuid,),
        database=database,
    )
    numbers = set()
    for identifier, sex, birth_date in rows:
        number = normalise_national_id(identifier)
        if number is not None and number not in numbers:
            numbers.add(number)
            if find_patient(national_id=number) is None:
                world.register(identifier, sex=sex, birth_date=birth_date)
    return Census(type_uuid=type_uuid, n_numbers=len(numbers))


def enter(server: MariaDBServer, name: str, *, number: int = 1) -> Hospital:
    """Load a demo, register its people, make it a live hospital."""
    database = load(server, name, f"real_{name.replace('-', '_').replace('.', '_')}")
    census = register_from(server, database, most_used_type(server, database))
    assert census.n_numbers > 0
    return world.live_hospital(server, database, number=number, national_id_types=[census.type_uuid])


def linked_persons(hospital: Hospital) -> list[int]:
    return list(Link.objects.filter(hospital=hospital, state="linked").values_list("person_id", flat=True))


def live_leaves(server: MariaDBServer, hospital: Hospital) -> set[int]:
    """Every live obs of a linked person that is no group parent."""
    persons = ", ".join(map(str, linked_persons(hospital)))
    rows = server.execute(
        "SELECT o.obs_id FROM obs o LEFT JOIN obs member ON member.obs_group_id = o.obs_id"
        f" WHERE o.voided = 0 AND member.obs_id IS NULL AND o.person_id IN ({persons})",
        database=hospital.database,
    )
    return {row[0] for row in rows}


def rows_of_linked(server: MariaDBServer, hospital: Hospital) -> dict[str, int]:
    """All rows, voided too, of the seven tables."""
    persons = ", ".join(map(str, linked_persons(hospital)))
    there = {row[0].lower() for row in server.execute("SHOW TABLES", database=hospital.database)}
    owners = {"obs": "person_id"} | dict.fromkeys(
        ("encounter", "visit", "encounter_diagnosis", "conditions", "orders", "allergy"), "patient_id"
    )
    return {
        table: server.execute(f"SELECT COUNT(*) FROM {table} WHERE {owner} IN ({persons})", database=hospital.database)[
            0
        ][0]
        if table in there
        else 0
        for table, owner in owners.items()
    }


def assert_adds_up(found: Receipt) -> None:
    total = found.total
    assert total is not None
    assert total.n_unexplained == 0, found.as_dict()
    assert total.n_pending == 0, found.as_dict()
    assert total.n_source == total.n_stored + total.n_parked + total.n_excluded
    assert found.excluded is not None
    assert sum(found.excluded.values()) == total.n_excluded


def assert_every_leaf_is_accounted_for(server: MariaDBServer, hospital: Hospital) -> None:
    leaves = live_leaves(server, hospital)
    links = Link.objects.filter(hospital=hospital, state="linked").values_list("pk", flat=True)
    stored = set(
        Record.objects.filter(link_id__in=list(links), table="obs", status="current").values_list(
            "source_id", flat=True
        )
    )
    parked = dict(ParkedRow.objects.filter(link_id__in=list(links), table="obs").values_list("source_id", "reason"))
    left = leaves - stored - parked.keys()
    assert left <= excluded_by_a_parent(server, hospital), sorted(left)
    assert not stored & parked.keys()
    assert set(parked.values()) <= PARKABLE


def excluded_by_a_parent(server: MariaDBServer, hospital: Hospital) -> set[int]:
    """Live obs under a voided group (to six levels), encounter, visit, patient or person."""
    ups = " ".join(
        f"LEFT JOIN obs g{n} ON g{n}.obs_id = {'o' if n == 1 else f'g{n - 1}'}.obs_group_id" for n in range(1, 7)
    )
    dead = " OR ".join([*(f"g{n}.voided = 1" for n in range(1, 7)), "e.voided", "v.voided", "p.voided", "a.voided"])
    rows = server.execute(
        f"SELECT o.obs_id FROM obs o {ups} LEFT JOIN encounter e ON e.encounter_id = o.encounter_id"
        " LEFT JOIN visit v ON v.visit_id = e.visit_id LEFT JOIN person p ON p.person_id = o.person_id"
        f" LEFT JOIN patient a ON a.patient_id = o.person_id WHERE o.voided = 0 AND ({dead})",
        database=hospital.database,
    )
    return {row[0] for row in rows}


# ------------------------------------------------------------------------------------------------ each alone


@pytest.mark.parametrize("name", real.DEMOS)
def test_a_real_hospital_is_read_completely_and_a_second_sync_changes_nothing(
    mariadb: MariaDBServer, real_dumps: Path, name: str
) -> None:
    hospital = enter(mariadb, name)

    world.synced(hospital)

    found = world.verified(hospital)
    assert_adds_up(found)
    assert linked_persons(hospital)
    assert found.tables is not None
    assert {table: figures.n_source for table, figures in found.tables.items()} == rows_of_linked(mariadb, hospital)
    assert_every_leaf_is_accounted_for(mariadb, hospital)
    assert world.nothing_changed(world.synced(hospital))
    again = world.synced(hospital, full=True)
    assert world.nothing_changed(again)
    assert again.n_read == again.n_unchanged + again.n_parked + again.n_excluded == found.total.n_source  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------ all together


@pytest.mark.slow
def test_six_real_hospitals_share_one_passport(mariadb: MariaDBServer, real_dumps: Path) -> None:
    """T34, T35, T50: same ids, same uuids, same providers; nothing collides."""
    hospitals = {name: enter(mariadb, name, number=number) for number, name in enumerate(real.DEMOS, start=1)}

    for hospital in hospitals.values():
        world.synced(hospital)

    for name, hospital in hospitals.items():
        assert_adds_up(world.verified(hospital))
        if name != "refapp-2.3":
            assert linked_persons(hospital)
            assert_every_leaf_is_accounted_for(mariadb, hospital)
        assert world.nothing_changed(world.synced(hospital))
    states = Link.objects.filter(hospital=hospitals["refapp-2.3"]).values_list("state", flat=True)
    assert list(states) == ["held", "held"], "their numbers belong to others"
    assert not world.shown(hospitals["refapp-2.3"])


# ------------------------------------------------------------------------------------------------ three moments


@pytest.mark.slow
def test_a_hospital_that_lives_on_between_syncs_is_read_as_if_for_the_first_time(
    mariadb: MariaDBServer, real_dumps: Path
) -> None:
    """T69, T80: 24 obs deleted, 63 units changed, the platform upgraded, a type renamed, no date moving."""
    database = load(mariadb, "bahmni-t0", "bahmni_living")
    type_uuid = most_used_type(mariadb, database)
    living = world.live_hospital(mariadb, database, number=1, national_id_types=[type_uuid])
    register_from(mariadb, database, type_uuid)
    world.synced(living, full=True)
    for number, moment in enumerate(("bahmni-t1", "bahmni-t2"), start=2):
        load(mariadb, moment, database)
        register_from(mariadb, database, type_uuid)
        before = len(world.shown(living))

        run = world.synced(living, full=True)

        assert run.n_withdrawn < 0.05 * before
        fresh = world.live_hospital(mariadb, database, number=number, code=moment, national_id_types=[type_uuid])
        world.synced(fresh)
        assert_equal(world.as_values(world.shown(living)), world.as_values(world.shown(fresh)))
        assert_adds_up(world.verified(living))
        assert_every_leaf_is_accounted_for(mariadb, living)


def assert_equal(one: dict[Any, dict[str, Any]], other: dict[Any, dict[str, Any]]) -> None:
    assert one.keys() == other.keys()
    wrong = {
        key: {name: (value, other[key][name]) for name, value in one[key].items() if value != other[key][name]}
        for key in one
        if one[key] != other[key]
    }
    assert not wrong, dict(list(wrong.items())[:5])


@pytest.mark.slow
def test_a_change_between_two_moments_is_found_without_a_full_sync(mariadb: MariaDBServer, real_dumps: Path) -> None:
    """T69, T82: the deep look alone, without the sweep, finds all that changed between two real snapshots."""
    database = load(mariadb, "bahmni-t0", "bahmni_watched")
    type_uuid = most_used_type(mariadb, database)
    watched = world.live_hospital(mariadb, database, number=1, national_id_types=[type_uuid])
    register_from(mariadb, database, type_uuid)
    world.synced(watched)
    for number, moment in enumerate(("bahmni-t1", "bahmni-t2"), start=2):
        load(mariadb, moment, database)
        register_from(mariadb, database, type_uuid)
        world.synced(watched)
        fresh = world.live_hospital(mariadb, database, number=number, code=moment, national_id_types=[type_uuid])
        world.synced(fresh)
        assert_equal(world.as_values(world.shown(watched)), world.as_values(world.shown(fresh)))


def test_registered_birth_dates_do_not_hide_a_person(mariadb: MariaDBServer, real_dumps: Path) -> None:
    """Whoever is registered from the hospital's own words is linked there, never held."""
    hospital = enter(mariadb, "bahmni-t2")
    world.synced(hospital)
    assert not Link.objects.filter(hospital=hospital).exclude(state="linked").exists()
    assert Patient.objects.filter(birth_date__lt=dt.date(2100, 1, 1)).exists()
