"""What becomes of one source row: a record, excluded or parked, and how it reads."""

import datetime as dt
import json
import logging
from zoneinfo import ZoneInfo

import pytest

from openmrs_sync.categoriser import make_categorise
from openmrs_sync.enricher import render
from openmrs_sync.rows import UNDATED, CategoryRule, ObsRange, ParentRow, SourceBatch
from passport.models.record import UNDATED as STORED_UNDATED
from tests.source_rows import (
    ALICE,
    ANSWER,
    BOB,
    DAY,
    HB,
    HOUR,
    KIGALI,
    LATER,
    MALARIA,
    NOTE,
    RATE,
    SCAN,
    SET,
    YES,
    YES_NO,
    Book,
    allergy,
    by_id,
    condition,
    diagnosis,
    encounter,
    left_out,
    obs,
    one_record,
    order,
    person,
    render_rows,
    visit,
)

# -- values --------------------------------------------------------------------------------------------------


def test_a_number_has_its_unit_and_no_trailing_zero() -> None:
    record = one_record(obs(1, value_numeric=61.0))

    assert (record.concept, record.value, record.value_number, record.unit) == ("Weight", "61", 61.0, "kg")
    assert (record.category, record.category_rule) == ("vital", "mapping:CIEL:5089")


@pytest.mark.parametrize(
    "number,shown", [(36.6, "36.6"), (0.1, "0.1"), (-5.0, "-5"), (1e6, "1000000"), (120.125, "120.125"), (0.0, "0")]
)
def test_a_number_reads_as_it_was_entered(number: float, shown: str) -> None:
    assert one_record(obs(1, value_numeric=number)).value == shown


def test_a_modifier_stands_before_the_number() -> None:
    assert one_record(obs(1, HB, value_numeric=5.0, value_modifier="< ")).value == "<5"


def test_a_coded_answer_shows_the_name_that_the_clinician_chose() -> None:
    assert one_record(obs(1, ANSWER, value_coded=MALARIA, value_coded_name_id=900)).value == "Palu"


def test_a_chosen_name_that_no_longer_exists_gives_way_to_the_label() -> None:
    assert one_record(obs(1, ANSWER, value_coded=MALARIA, value_coded_name_id=901)).value == "Malaria"


def test_an_answer_that_is_a_drug_shows_the_drug() -> None:
    assert one_record(obs(1, ANSWER, value_coded=MALARIA, value_drug=1)).value == "Metformin 500mg"


def test_an_unknown_answer_gets_a_placeholder_and_is_no_reason_to_park() -> None:
    assert one_record(obs(1, ANSWER, value_coded=4711)).value == "Unknown concept 4711"


@pytest.mark.parametrize("concept_id,shown", [(DAY, "2025-06-03"), (HOUR, "08:30"), (NOTE, "2025-06-03 08:30")])
def test_a_moment_shows_what_its_datatype_means(concept_id: int, shown: str) -> None:
    assert one_record(obs(1, concept_id, value_datetime=LATER)).value == shown


@pytest.mark.parametrize(
    "stored,shown",
    [("Chest |abc.png", "Chest"), ("/opt/openmrs/complex_obs/scan.jpg", "scan.jpg"), (" |folder/b.png", "b.png")],
)
def test_a_complex_value_shows_its_title_and_never_a_path(stored: str, shown: str) -> None:
    assert one_record(obs(1, SCAN, value_complex=stored)).value == shown


def test_a_text_of_a_megabyte_is_kept_whole_without_its_nul() -> None:
    text = "Grüße 🩺 \x00" + "x" * 1_000_000

    assert one_record(obs(1, NOTE, value_text=text)).value == text.replace("\x00", "")


@pytest.mark.parametrize("stored,shown", [(1, "Oui"), (0, "Non")])
def test_a_boolean_of_an_old_openmrs_is_the_hospitals_own_yes_or_no(stored: int, shown: str) -> None:
    assert one_record(obs(1, YES_NO, value_boolean=stored)).value == shown


def test_the_filled_column_decides_when_the_datatype_has_changed_since() -> None:
    record = one_record(obs(1, ANSWER, value_numeric=4.0))

    assert (record.value, record.value_number) == ("4", 4.0)


def test_of_two_filled_columns_the_one_of_the_datatype_is_shown() -> None:
    assert one_record(obs(1, NOTE, value_numeric=4.0, value_text="four")).value == "four"


def test_comments_and_an_amended_status_are_in_the_details() -> None:
    record = one_record(obs(1, value_numeric=61.0, comments="with\x00 shoes", status="AMENDED"))

    assert json.loads(record.details) == {"comments": "with shoes", "status": "amended"}


def test_an_obs_with_nothing_to_add_has_empty_details() -> None:
    assert one_record(obs(1, value_numeric=61.0, status="FINAL")).details == "{}"


# -- flags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number,flag",
    [
        (7.0, "critically_low"),
        (7.1, "low"),
        (10.9, "low"),
        (11.0, "normal"),
        (17.0, "normal"),
        (17.1, "high"),
        (19.9, "high"),
        (20.0, "critically_high"),
    ],
)
def test_a_number_is_flagged_by_the_range_of_its_concept(number: float, flag: str) -> None:
    record = one_record(obs(1, HB, value_numeric=number))

    assert (record.flag, record.low, record.high) == (flag, 11.0, 17.0)


def test_no_range_means_no_flag() -> None:
    """T52"""
    record = one_record(obs(1, value_numeric=500.0))

    assert (record.flag, record.low, record.high) == (None, None, None)


@pytest.mark.parametrize("number,flag", [(71.0, "high"), (70.0, None), (5.0, None)])
def test_with_one_bound_alone_nothing_is_normal(number: float, flag: str | None) -> None:
    assert one_record(obs(1, RATE, value_numeric=number)).flag == flag


@pytest.mark.parametrize(
    "modifier,number,flag",
    [("<", 5.0, "critically_low"), ("<", 11.0, "low"), ("<", 15.0, None), (">", 15.0, None), (">", 17.0, "high")],
)
def test_a_modifier_leaves_open_what_it_leaves_open(modifier: str, number: float, flag: str | None) -> None:
    assert one_record(obs(1, HB, value_numeric=number, value_modifier=modifier)).flag == flag


@pytest.mark.parametrize(
    "interpretation,flag",
    [("NORMAL", "normal"), ("CRITICALLY_HIGH", "critically_high"), ("OFF_SCALE_LOW", "low"), ("ABNORMAL", "abnormal")],
)
def test_the_stored_interpretation_comes_before_the_range(interpretation: str, flag: str) -> None:
    assert one_record(obs(1, HB, value_numeric=18.0, interpretation=interpretation)).flag == flag


def test_an_interpretation_that_is_no_flag_goes_into_the_details() -> None:
    record = one_record(obs(1, ANSWER, value_coded=YES, interpretation="RESISTANT"))

    assert (record.flag, json.loads(record.details)) == (
        None,
        {"answer": "uuid-133", "interpretation": "resistant"},
    )


def test_the_range_stored_with_an_obs_comes_before_the_concepts() -> None:
    record = one_record(obs(1, HB, value_numeric=18.0), obs_ranges={1: ObsRange(1, 14.0, 19.0, None, None)})

    assert (record.flag, record.low, record.high) == ("normal", 14.0, 19.0)


# -- time, place, people ---------------------------------------------------------------------------------------


def test_the_hospitals_clock_is_shown_and_utc_orders() -> None:
    record = one_record(obs(1, value_numeric=1.0))

    assert (record.at_local, record.entered_at_local) == ("2025-06-02 12:00:00", "2025-06-03 08:30:00")
    assert record.order_at == dt.datetime(2025, 6, 2, 10, tzinfo=dt.UTC).timestamp()


def test_an_hour_that_came_twice_is_the_first_of_the_two() -> None:
    record = one_record(
        obs(1, value_numeric=1.0, obs_datetime=dt.datetime(2025, 10, 26, 2, 30)), zone=ZoneInfo("Europe/Brussels")
    )

    assert record.order_at == dt.datetime(2025, 10, 26, 0, 30, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize("moment", [None, dt.datetime(1, 1, 1), dt.datetime(1879, 12, 31), dt.datetime(9999, 12, 31)])
def test_a_bad_date_makes_an_undated_record(moment: dt.datetime | None) -> None:
    record = one_record(obs(1, value_numeric=1.0, obs_datetime=moment))

    assert (record.at_local, record.order_at) == (None, UNDATED)


def test_undated_is_one_number_in_the_engine_and_in_the_store() -> None:
    assert UNDATED == STORED_UNDATED


def test_a_record_has_the_providers_visit_and_place_of_its_encounter() -> None:
    rendered = render_rows(
        encounter(10, visit_id=5, location_id=1),
        visit(5),
        obs(1, value_numeric=1.0, encounter_id=10),
        encounter_providers={10: [1, 2, 1]},
    )
    record = by_id(rendered)[1]

    assert (record.provider, record.provider_uuid) == ("Dr Uwimana, Nurse Keza", "provider-1")
    assert (record.visit_id, record.encounter_id, record.location) == (5, 10, "Ward")


@pytest.mark.parametrize(
    "of_obs,of_encounter,of_visit,place",
    [(1, 2, 3, "Ward"), (None, 2, 3, "Clinic"), (None, None, 3, "Hospital"), (None, None, None, "")],
)
def test_the_place_is_the_nearest_one_known(
    of_obs: int | None, of_encounter: int | None, of_visit: int | None, place: str
) -> None:
    rendered = render_rows(
        visit(5, location_id=of_visit),
        encounter(10, visit_id=5, location_id=of_encounter),
        obs(1, value_numeric=1.0, encounter_id=10, location_id=of_obs),
    )

    assert by_id(rendered)[1].location == place


def test_a_reference_to_nothing_is_no_reason_to_park() -> None:
    record = one_record(obs(1, 4711, value_text="x", encounter_id=99, location_id=98, obs_group_id=97))

    assert (record.concept, record.location) == ("Unknown concept 4711", "Unknown location 98")
    assert (record.encounter_id, record.visit_id, record.group_id) == (99, None, 97)


# -- left out --------------------------------------------------------------------------------------------------


def test_a_voided_row_is_excluded() -> None:
    assert render_rows(obs(1, value_numeric=1.0, voided=1)).excluded == [("obs", 1, "voided")]


def test_a_row_under_a_voided_encounter_is_excluded() -> None:
    rendered = render_rows(encounter(10, voided=1), obs(1, value_numeric=1.0, encounter_id=10))

    assert left_out(rendered) == [(1, "parent_voided"), (10, "voided")]


def test_a_row_under_a_voided_visit_is_excluded() -> None:
    rendered = render_rows(
        visit(5, voided=1),
        encounter(10, visit_id=5),
        obs(1, value_numeric=1.0, encounter_id=10),
        condition(30, condition_coded=MALARIA, encounter_id=10),
        allergy(50, coded_allergen=MALARIA, encounter_id=10),
        order(40, encounter_id=10),
        diagnosis(20, diagnosis_coded=MALARIA),
    )

    assert {row.reason for row in rendered.excluded} == {"voided", "parent_voided"}
    assert (len(rendered.excluded), rendered.records, rendered.parked) == (7, [], [])


def test_a_row_under_a_voided_group_is_excluded_at_any_depth() -> None:
    rendered = render_rows(
        obs(1, SET, voided=1), obs(2, SET, obs_group_id=1), obs(3, value_numeric=1.0, obs_group_id=2)
    )

    assert left_out(rendered) == [(1, "voided"), (2, "parent_voided"), (3, "parent_voided")]


def test_a_voided_group_of_another_person_excludes_its_members_too() -> None:
    parents = {"obs": {8: ParentRow(8, BOB, 0, 9), 9: ParentRow(9, BOB, 1, None)}, "encounter": {}, "visit": {}}

    rendered = render_rows(obs(1, value_numeric=1.0, obs_group_id=8), other_parents=parents)

    assert left_out(rendered) == [(1, "parent_voided")]


def test_groups_in_a_circle_end() -> None:
    rendered = render_rows(obs(1, SET, obs_group_id=2), obs(2, value_numeric=1.0, obs_group_id=1))

    assert left_out(rendered) == [(1, "group_without_value")]
    assert len(rendered.records) == 1


def test_every_row_of_a_voided_person_is_excluded() -> None:
    rendered = render_rows(
        obs(1, value_numeric=1.0),
        visit(),
        condition(condition_coded=MALARIA),
        people={ALICE: person(is_voided=True)},
    )

    assert [row.reason for row in rendered.excluded] == ["parent_voided"] * 3


def test_a_group_without_value_is_excluded_and_its_members_name_the_outermost_group() -> None:
    rendered = render_rows(obs(1, SET), obs(2, SET, obs_group_id=1), obs(3, value_numeric=1.0, obs_group_id=2))

    assert left_out(rendered) == [(1, "group_without_value"), (2, "group_without_value")]
    assert [record.group_id for record in rendered.records] == [1]
    assert "group" in json.loads(rendered.records[0].details)


def test_a_group_whose_members_are_all_voided_is_still_a_group() -> None:
    rendered = render_rows(obs(1, SET), obs(2, value_numeric=1.0, obs_group_id=1, voided=1))

    assert left_out(rendered) == [(1, "group_without_value"), (2, "voided")]


def test_a_group_with_a_value_is_a_record() -> None:
    rendered = render_rows(obs(1, HB, value_numeric=12.0), obs(2, value_numeric=1.0, obs_group_id=1))

    assert [(record.source_id, record.group_id) for record in rendered.records] == [(1, None), (2, 1)]


def test_an_obs_with_neither_value_nor_members_is_parked() -> None:
    rendered = render_rows(obs(1, HB), obs(2, NOTE, value_text=""))

    assert rendered.parked == [("obs", 1, "no_value"), ("obs", 2, "no_value")]


def test_a_row_of_another_patients_encounter_is_parked() -> None:
    parents = {"obs": {}, "encounter": {11: ParentRow(11, BOB, 0, None)}, "visit": {}}

    rendered = render_rows(
        obs(1, value_numeric=1.0, encounter_id=11), order(40, encounter_id=11), other_parents=parents
    )

    assert rendered.parked == [
        ("obs", 1, "encounter_of_another_patient"),
        ("orders", 40, "encounter_of_another_patient"),
    ]


def test_another_patients_encounter_that_is_voided_excludes_before_it_parks() -> None:
    parents = {"obs": {}, "encounter": {11: ParentRow(11, BOB, 1, None)}, "visit": {}}

    rendered = render_rows(obs(1, value_numeric=1.0, encounter_id=11), other_parents=parents)

    assert left_out(rendered) == [(1, "parent_voided")]


def test_a_concept_that_the_admin_hid_is_excluded() -> None:
    rules = (CategoryRule(concept_uuid=f"uuid-{MALARIA}", is_hidden=True),)

    rendered = render_rows(obs(1, MALARIA, value_text="x"), condition(condition_coded=MALARIA), rules=rules)

    assert {row.reason for row in rendered.excluded} == {"hidden_by_admin"}
    assert rendered.records == []


def test_a_row_that_cannot_be_read_is_parked_and_its_value_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rendered = render_rows(obs(1, ANSWER, value_coded=666), obs(2, value_numeric=1.0))

    assert rendered.parked == [("obs", 1, "unreadable")]
    assert [record.source_id for record in rendered.records] == [2]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_every_person_of_the_batch_is_answered_even_without_rows() -> None:
    batch = SourceBatch(
        persons={ALICE: person(), BOB: person(BOB)},
        identifiers=[], obs=[obs(1, value_numeric=1.0, person_id=BOB)], encounters=[], visits=[], diagnoses=[],
        conditions=[], orders=[], allergies=[], reactions=[], encounter_providers={}, other_parents={},
        group_parents=frozenset(), counts={},
    )  # fmt: skip

    alice, bob = render(batch, dictionaries=Book(), zone=KIGALI, categorise=make_categorise([]))

    assert (alice.person_id, alice.records) == (ALICE, [])
    assert (bob.person_id, len(bob.records)) == (BOB, 1)
