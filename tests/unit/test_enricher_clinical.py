"""Diagnoses, conditions, medicines, allergies, visits, and what qualifies what."""

import datetime as dt
import json

import pytest

from openmrs_sync.rows import ReactionRow, Rendered
from tests.source_rows import (
    ABNORMAL,
    CONFIRMED,
    DX_CERTAINTY,
    DX_CODED,
    DX_RANK,
    DX_SET,
    DX_STATUS,
    DX_TEXT,
    LAB,
    LATER,
    MALARIA,
    MINIMUM,
    NO,
    NOON,
    ORAL,
    OTHER_ALLERGEN,
    PRIMARY,
    RULED_OUT,
    SET,
    TABLET,
    TWICE,
    allergy,
    by_id,
    condition,
    diagnosis,
    encounter,
    left_out,
    obs,
    one_record,
    order,
    render_rows,
    visit,
)

# -- diagnoses as obs ------------------------------------------------------------------------------------------


def diagnosis_group(*extra: object, **columns: object) -> tuple[object, ...]:
    return (
        encounter(10),
        obs(1, DX_SET, encounter_id=10),
        obs(2, DX_CODED, encounter_id=10, obs_group_id=1, **({"value_coded": MALARIA} | columns)),
        obs(3, DX_CERTAINTY, encounter_id=10, obs_group_id=1, value_coded=CONFIRMED),
        obs(4, DX_RANK, encounter_id=10, obs_group_id=1, value_coded=PRIMARY),
        *extra,
    )


def test_a_diagnosis_of_an_obs_group_has_its_certainty_and_rank() -> None:
    records = by_id(render_rows(*diagnosis_group()))

    assert (records[2].category, records[2].concept, records[2].value) == ("condition", "PROBLEM LIST", "Malaria")
    assert (records[2].certainty, records[2].rank, records[2].part_of) == ("confirmed", 1, None)


def test_the_other_members_of_a_diagnosis_group_are_records_that_qualify_it() -> None:
    records = by_id(render_rows(*diagnosis_group()))

    assert {source_id: record.part_of for source_id, record in records.items() if record.table == "obs"} == {
        2: None,
        3: 2,
        4: 2,
    }
    assert {records[source_id].group_id for source_id in (2, 3, 4)} == {1}


def test_a_diagnosis_that_was_ruled_out_says_so() -> None:
    ruled_out = obs(5, DX_STATUS, encounter_id=10, obs_group_id=1, value_coded=RULED_OUT)

    records = by_id(render_rows(*diagnosis_group(ruled_out)))

    assert json.loads(records[2].details) == {
        "answer": "uuid-130",
        "diagnosis_status": "Ruled out",
        "group": "Visit Diagnoses",
    }
    assert records[5].part_of == 2


def test_a_diagnosis_in_words_is_one_too() -> None:
    rendered = render_rows(obs(1, DX_SET), obs(2, DX_TEXT, obs_group_id=1, value_text="Tired of waiting"))

    assert [(record.category, record.value) for record in rendered.records] == [("condition", "Tired of waiting")]


def test_a_certainty_that_was_voided_says_nothing() -> None:
    rendered = render_rows(
        obs(1, DX_SET),
        obs(2, DX_CODED, obs_group_id=1, value_coded=MALARIA),
        obs(3, DX_CERTAINTY, obs_group_id=1, value_coded=CONFIRMED, voided=1),
    )

    assert [record.certainty for record in rendered.records] == [None]


def test_a_migrated_diagnosis_is_shown_once() -> None:
    rendered = render_rows(*diagnosis_group(diagnosis(20, diagnosis_coded=MALARIA)))

    assert [record.table for record in rendered.records] == ["encounter", "encounter_diagnosis"]
    assert {row.reason for row in rendered.excluded} == {"duplicate_of_migrated"}
    assert {row.source_id for row in rendered.excluded} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    "migrated",
    [
        diagnosis(20, diagnosis_coded=MALARIA, voided=1),
        diagnosis(20, diagnosis_coded=NO),
        diagnosis(20, diagnosis_coded=MALARIA, encounter_id=11),
    ],
    ids=["voided", "another diagnosis", "another encounter"],
)
def test_a_diagnosis_is_not_lost_when_its_migrated_row_is_not_the_same(migrated: object) -> None:
    assert 2 in by_id(render_rows(*diagnosis_group(migrated)))


# -- results as groups -----------------------------------------------------------------------------------------


def test_the_flag_and_range_of_a_bahmni_result_qualify_its_value() -> None:
    rendered = render_rows(
        obs(1, LAB),
        obs(2, LAB, obs_group_id=1),
        obs(3, LAB, obs_group_id=2, value_numeric=7.5),
        obs(4, ABNORMAL, obs_group_id=2, value_coded=NO),
        obs(5, MINIMUM, obs_group_id=2, value_numeric=4.0),
    )

    assert {record.source_id: (record.part_of, record.group_id) for record in rendered.records} == {
        3: (None, 1),
        4: (3, 1),
        5: (3, 1),
    }


def test_a_qualifier_among_several_values_qualifies_none() -> None:
    rendered = render_rows(
        obs(1, SET),
        obs(2, LAB, obs_group_id=1, value_numeric=7.5),
        obs(3, DX_TEXT, obs_group_id=1, value_text="a note"),
        obs(4, ABNORMAL, obs_group_id=1, value_coded=NO),
    )

    assert {record.part_of for record in rendered.records} == {None}


# -- encounter_diagnosis, conditions, allergies ----------------------------------------------------------------


def test_a_diagnosis_has_the_time_and_people_of_its_encounter() -> None:
    rendered = render_rows(
        encounter(10, encounter_datetime=LATER),
        diagnosis(20, diagnosis_coded=MALARIA, certainty="PROVISIONAL", rank=2),
        encounter_providers={10: [1]},
    )
    record = by_id(rendered)[20]

    assert (record.concept, record.value, record.concept_uuid) == ("Diagnosis", "Malaria", f"uuid-{MALARIA}")
    assert (record.certainty, record.rank) == ("provisional", 2)
    assert (record.at_local, record.provider) == ("2025-06-03 08:30:00", "Dr Uwimana")


def test_a_diagnosis_whose_encounter_is_gone_has_the_time_of_its_entry() -> None:
    assert one_record(diagnosis(diagnosis_coded=MALARIA)).at_local == "2025-06-03 08:30:00"


def test_a_condition_says_since_when_and_how_it_stands() -> None:
    record = one_record(
        condition(condition_coded=MALARIA, clinical_status="ACTIVE", verification_status="CONFIRMED", onset_date=NOON)
    )

    assert (record.concept, record.value, record.at_local) == ("Condition", "Malaria", "2025-06-02 12:00:00")
    assert json.loads(record.details) == {
        "clinical_status": "active",
        "onset": "2025-06-02 12:00:00",
        "verification_status": "confirmed",
    }


def test_a_text_beside_a_code_is_not_lost() -> None:
    assert one_record(condition(condition_coded=MALARIA, condition_non_coded="cerebral")).value == "Malaria (cerebral)"


def test_statements_with_neither_code_nor_text_are_parked() -> None:
    rendered = render_rows(diagnosis(20), condition(30), allergy(50))

    assert rendered.parked == [
        ("encounter_diagnosis", 20, "no_value"),
        ("conditions", 30, "no_value"),
        ("allergy", 50, "no_value"),
    ]


def test_an_allergy_tells_severity_and_reactions() -> None:
    rendered = render_rows(
        allergy(50, coded_allergen=MALARIA, severity_concept_id=CONFIRMED, allergen_type="DRUG", comments="since 2010"),
        ReactionRow(50, NO, None),
        ReactionRow(50, OTHER_ALLERGEN, "itching"),
    )
    (record,) = rendered.records

    assert (record.category, record.value) == ("allergy", "Malaria")
    assert json.loads(record.details) == {
        "comments": "since 2010",
        "reactions": ["Non", "itching"],
        "severity": "Diagnostic confirmé",
        "type": "drug",
    }


def test_an_allergy_that_was_typed_in_shows_the_text_alone() -> None:
    assert one_record(allergy(coded_allergen=OTHER_ALLERGEN, non_coded_allergen="Plasters")).value == "Plasters"


# -- medicines -------------------------------------------------------------------------------------------------


def test_a_prescription_reads_as_a_doctor_writes_it() -> None:
    record = one_record(
        order(
            dose=1.0, dose_units=TABLET, route=ORAL, frequency=TWICE, as_needed=1, duration=5, date_stopped=LATER,
            orderer=2, order_number="ORD-7", instructions="with food",
        )
    )  # fmt: skip

    assert (record.concept, record.value) == ("Metformin 500mg", "1 Tablet, Oral, Twice daily, as needed")
    assert (record.provider, record.at_local) == ("Nurse Keza", "2025-06-02 12:00:00")
    assert json.loads(record.details) == {
        "action": "NEW", "as_needed": True, "dose": "1", "dose_units": "Tablet", "duration": "5",
        "frequency": "Twice daily", "instructions": "with food", "order_number": "ORD-7", "route": "Oral",
        "started": "2025-06-02 12:00:00", "stopped": "2025-06-03 08:30:00",
    }  # fmt: skip


@pytest.mark.parametrize("action", ["DISCONTINUE", "REVISE"])
def test_a_stopped_prescription_tells_who_stopped_it(action: str) -> None:
    stop = order(41, order_action=action, previous_order_id=40, orderer=2)

    details = json.loads(by_id(render_rows(order(date_stopped=LATER, orderer=1), stop))[40].details)

    assert (details["stopped_by"], details["stopped_action"]) == ("Nurse Keza", action)


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 1, 0)])
def test_of_two_stops_the_newer_one_counts_in_whatever_order_they_come(places: tuple[int, ...]) -> None:
    stops = [order(n, order_action="DISCONTINUE", previous_order_id=40, orderer=who) for n, who in ((41, 1), (42, 2))]
    orders = [order(date_stopped=LATER, orderer=1), *stops]

    details = json.loads(by_id(render_rows(*(orders[place] for place in places)))[40].details)

    assert details["stopped_by"] == "Nurse Keza"


@pytest.mark.parametrize(
    "earlier, stop",
    [({}, {}), ({"date_stopped": LATER}, {"voided": 1}), ({"date_stopped": LATER}, {"order_action": "RENEW"})],
    ids=["taken back in place", "voided", "renewed"],
)
def test_a_stop_that_does_not_hold_is_nobodys(earlier: dict[str, object], stop: dict[str, object]) -> None:
    follower = order(41, **{"order_action": "DISCONTINUE", "previous_order_id": 40, "orderer": 2, **stop})

    assert "stopped_by" not in json.loads(by_id(render_rows(order(**earlier), follower))[40].details)


def test_units_and_frequency_of_openmrs_1_9_are_texts() -> None:
    record = one_record(order(dose=2.5, dose_units_text="ml", frequency_text="3x/day", order_action=None))

    assert record.value == "2.5 ml, 3x/day"


def test_bahmnis_instructions_are_read_out_of_their_json() -> None:
    record = one_record(
        order(dosing_instructions='{"morningDose":1,"afternoonDose":0,"eveningDose":2,"instructions":"Before meals"}')
    )

    assert record.value == "1-0-2"
    assert json.loads(record.details)["instructions"] == "Before meals"


def test_a_prescription_of_words_alone_shows_them() -> None:
    assert one_record(order(dosing_instructions="as directed")).value == "as directed"


def test_a_scheduled_order_starts_when_it_is_scheduled() -> None:
    record = one_record(order(urgency="ON_SCHEDULED_DATE", scheduled_date=LATER))

    assert record.at_local == "2025-06-03 08:30:00"


@pytest.mark.parametrize(
    "columns,name",
    [
        ({"drug_inventory_id": None, "drug_non_coded": "Herbal tea"}, "Herbal tea"),
        ({"drug_inventory_id": None, "concept_id": MALARIA}, "Malaria"),
        ({"drug_inventory_id": None}, "Unknown drug"),
    ],
)
def test_a_drug_that_is_not_in_the_formulary_has_a_name_too(columns: dict[str, object], name: str) -> None:
    assert one_record(order(**columns)).concept == name


@pytest.mark.parametrize("columns", [{"is_drug_order": 0}, {"order_action": "DISCONTINUE"}])
def test_what_is_no_prescription_is_excluded(columns: dict[str, object]) -> None:
    assert left_out(render_rows(order(40, **columns))) == [(40, "not_a_prescription")]


# -- visits and encounters -------------------------------------------------------------------------------------


def test_a_visit_and_its_encounter_are_records_of_category_visit() -> None:
    rendered: Rendered = render_rows(visit(5, date_stopped=LATER, location_id=2), encounter(10, visit_id=5))
    records = by_id(rendered)

    assert (records[5].concept, records[5].value, records[5].location) == ("Visit", "Outpatient", "Clinic")
    assert json.loads(records[5].details) == {"stopped": "2025-06-03 08:30:00"}
    assert (records[10].concept, records[10].value, records[10].visit_id) == ("Encounter", "Consultation", 5)
    assert {record.category for record in rendered.records} == {"visit"}


def test_a_visit_without_a_date_is_undated() -> None:
    assert one_record(visit(date_started=dt.datetime(1, 1, 1))).at_local is None
