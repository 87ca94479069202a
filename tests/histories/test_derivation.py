"""The derivation is nobody's child: it shares nothing with the engine that it judges."""

import ast
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.histories import derivation, rendering
from tests.histories.derivation import Decision, Derivation, Holder, OurSide, Tables, normalised
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

OURS = {"passport", "hospitals", "openmrs_sync", "django"}


@pytest.mark.parametrize("module", [derivation, rendering])
def test_the_derivation_imports_nothing_of_what_it_judges(module: object) -> None:
    imported = set(_imports(Path(module.__file__)))  # type: ignore[attr-defined]
    assert not {name for name in imported if name.split(".")[0] in OURS}
    assert {name for name in imported if name.startswith("tests.")} <= {
        "tests.histories.derivation",
        "tests.histories.rendering",
    }


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.fixture
def hospital(mariadb: MariaDBServer) -> PretendHospital:
    return PretendHospital(mariadb, "derived", "2.6").create()


def derive(hospital: PretendHospital, *decisions: Decision) -> Derivation:
    alice = Holder(patient="alice", sex="F", birth_date=dt.date(1990, 1, 1), numbers=("1199080012345678",))
    bob = Holder(
        patient="bob", sex="M", birth_date=dt.date(1985, 1, 1), numbers=("1198570087654321", "1198570000000001")
    )
    ours = OurSide(holders=(alice, bob), decisions=decisions, time_zone="Africa/Kigali", locales=("en",))
    return Derivation(Tables(hospital.connection), ours)


def test_it_says_what_one_result_must_be(hospital: PretendHospital) -> None:
    """Told field by field, so that the derivation itself rests on something."""
    person = hospital.add_person(national_id=" 1-1990 8001 2345678")
    with hospital.at(dt.datetime(2024, 3, 1, 10, 30)):
        visit = hospital.add_visit(person)
        encounter = hospital.add_encounter(person, visit=visit, provider="nurse")
        obs = hospital.add_obs(person, "temperature", 40.0, encounter=encounter)
    record = derive(hospital).fate.records["obs", obs]
    assert record == {
        "patient": "alice",
        "source_uuid": hospital.row("obs", obs)["uuid"],
        "category": "vital",
        "concept_id": hospital.concept("temperature"),
        "concept_uuid": "5088".ljust(36, "A"),
        "concept": "Temperature (C)",
        "value": "40",
        "value_number": 40.0,
        "unit": "DEG C",
        "low": 36.1,
        "high": 37.5,
        "flag": "critically_high",
        "at_local": "2024-03-01 10:30:00",
        "order_at": int(dt.datetime(2024, 3, 1, 8, 30, tzinfo=dt.UTC).timestamp()),
        "visit_id": visit,
        "encounter_id": encounter,
        "group_id": None,
        "part_of": None,
        "certainty": None,
        "rank": None,
        "provider": hospital.provider_names["nurse"],
        "provider_uuid": hospital.row("provider", hospital.provider("nurse"))["uuid"],
        "location": "Outpatient Department",
        "entered_at_local": "2024-03-01 10:30:00",
        "details": {},
    }


def test_it_says_which_rows_are_no_records_and_why(hospital: PretendHospital) -> None:
    person = hospital.add_person(national_id="1199080012345678")
    other = hospital.add_person(national_id="1198570087654321", sex="M", birth_date=dt.date(1985, 1, 1))
    encounter = hospital.add_encounter(other, visit=(visit := hospital.add_visit(other)))
    strange = hospital.add_obs(person, "weight", 60.0, encounter=encounter)
    empty = hospital.add_obs(person, "note")
    group = hospital.add_obs(person, "full blood count")
    member = hospital.add_obs(person, "haemoglobin", 9.0, group=group)
    voided = hospital.add_obs(person, "weight", 61.0)
    hospital.void_obs(voided)
    fate = derive(hospital).fate
    assert fate.parked == {("obs", strange): "encounter_of_another_patient", ("obs", empty): "no_value"}
    assert fate.excluded == {("obs", group): "group_without_value", ("obs", voided): "voided"}
    assert set(fate.records) == {("obs", member), ("encounter", encounter), ("visit", visit)}
    hospital.void("obs", group)
    hospital.void("visit", visit)
    hospital.void("person", person)
    fate = derive(hospital).fate
    assert fate.excluded["obs", member] == fate.excluded["encounter", encounter] == "parent_voided"
    assert (fate.records, fate.parked) == ({}, {})


def test_it_says_who_is_who(hospital: PretendHospital) -> None:
    alice, man, both, old, _nobody = (
        hospital.add_person(national_id=number, sex=sex, birth_date=dt.date(year, 1, 1))
        for number, sex, year in (
            ("1199080012345678", "F", 1991),
            ("1199080012345678", "M", 1990),
            ("1199080012345678", "", 1990),
            ("1198570000000001", "M", 1960),
            ("1111111111111111", "F", 1990),
        )
    )
    hospital.add_identifier(both, "1198570087654321")
    matches = derive(hospital).matches
    assert {person: match.state for person, match in matches.items()} == {
        alice: "linked",
        man: "held",
        both: "held",
        old: "held",
    }
    uuid = hospital.row("person", both)["uuid"]
    said = [Decision(person_uuid=uuid, patient=who, is_same=same) for who, same in (("alice", False), ("bob", True))]
    assert derive(hospital, *said).matches[both].patient == "bob"
    assert derive(hospital, said[0]).matches[both].state == "held", "bob is a man, born another year"
    for _ in range(4):
        hospital.add_person(national_id="1199080012345678")
    assert derive(hospital).matches[alice].state == "held", "on five persons a number proves nothing"


@pytest.mark.parametrize(
    "text, number", [(" 12-3a ", "123A"), ("１２３", "123"), ("1111", None), ("12", None), ("x" * 51, None)]
)
def test_a_number_is_normalised(text: str, number: str | None) -> None:
    assert normalised(text) == number
