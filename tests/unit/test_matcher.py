"""The matcher: numbers link, sex and birth year can only speak against, humans have the last word."""

import datetime as dt
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmrs_sync.matcher import PatientFacts, PersonFacts, Verdict, match

ALICE, BOB = UUID(int=1), UUID(int=2)
BORN = dt.date(1980, 3, 1)


def patient(patient_id: UUID = ALICE, *, sex: str = "F", birth_date: dt.date | None = BORN) -> PatientFacts:
    return PatientFacts(patient_id=patient_id, sex=sex, birth_date=birth_date)


def person(*, sex: str | None = "F", birth_date: dt.date | None = BORN, is_estimated: bool = False) -> PersonFacts:
    return PersonFacts(sex=sex, birth_date=birth_date, is_birth_date_estimated=is_estimated)


def judged(
    someone: PersonFacts,
    *patients: PatientFacts,
    is_crowded: bool = False,
    decisions: dict[UUID, str] | None = None,
) -> tuple[str, str] | None:
    verdict = match(person=someone, patients=patients, is_crowded=is_crowded, decisions=decisions or {})
    return (verdict.state, verdict.reason) if verdict else None


def test_a_person_whose_number_leads_to_a_patient_is_linked() -> None:
    assert judged(person(), patient()) == ("linked", "national_id")


@given(sex=st.sampled_from(["M", "F", "", "O", None]), birth_date=st.none() | st.dates())
def test_without_a_number_nothing_ever_links(sex: str | None, birth_date: dt.date | None) -> None:
    """T48: a person who agrees with a patient in everything but the number is nobody's."""
    assert match(person=person(sex=sex, birth_date=birth_date), patients=[], is_crowded=False, decisions={}) is None


def test_opposite_sexes_are_held() -> None:
    assert judged(person(sex="M"), patient(sex="F")) == ("held", "sex_differs")


@pytest.mark.parametrize("sex", ["", None, "O", "U", "f", " F "])
def test_a_sex_that_is_not_the_opposite_one_speaks_against_nothing(sex: str | None) -> None:
    assert judged(person(sex=sex), patient(sex="F")) == ("linked", "national_id")


@pytest.mark.parametrize(
    "year,is_estimated,state",
    [
        (1981, False, "linked"),
        (1982, False, "held"),
        (1978, False, "held"),
        (1985, True, "linked"),
        (1986, True, "held"),
    ],
)
def test_birth_years_may_be_one_apart_and_estimated_ones_five(year: int, is_estimated: bool, state: str) -> None:
    someone = person(birth_date=dt.date(year, 12, 31), is_estimated=is_estimated)

    assert judged(someone, patient()) == (state, "national_id" if state == "linked" else "birth_year_differs")


def test_an_unknown_birth_date_speaks_against_nothing() -> None:
    assert judged(person(birth_date=None), patient()) == ("linked", "national_id")
    assert judged(person(), patient(birth_date=None)) == ("linked", "national_id")


def test_numbers_that_lead_to_two_patients_are_held_with_both() -> None:
    """T26: two numbers that differ never join two people, whatever else agrees."""
    verdict = match(person=person(), patients=[patient(), patient(BOB)], is_crowded=False, decisions={})

    assert verdict == Verdict(state="held", reason="two_patients", patient_id=ALICE, candidates=(ALICE, BOB))


def test_a_number_that_stands_on_many_persons_is_held() -> None:
    """T49."""
    assert judged(person(), patient(), is_crowded=True) == ("held", "crowded_number")


def test_a_human_who_said_the_same_settles_every_contradiction() -> None:
    decisions = {ALICE: "same"}

    assert judged(person(sex="M"), patient(), is_crowded=True, decisions=decisions) == ("linked", "decided_same")


def test_a_human_who_said_different_keeps_them_apart() -> None:
    """T27."""
    assert judged(person(), patient(), decisions={ALICE: "different"}) == ("unlinked", "decided_different")


def test_who_took_over_somebody_that_was_told_apart_is_held_until_a_human_speaks() -> None:
    def found(decisions: dict[UUID, str]) -> Verdict | None:
        patients = [patient()]
        return match(person=person(), patients=patients, is_crowded=False, decisions=decisions, told_apart={ALICE})

    held = Verdict(state="held", reason="merged_told_apart", patient_id=ALICE, candidates=(ALICE,))
    assert found({}) == held
    assert found({ALICE: "same"}) == Verdict(state="linked", reason="decided_same", patient_id=ALICE)
    assert found({ALICE: "different"}) == Verdict(state="unlinked", reason="decided_different", patient_id=ALICE)


def test_who_took_over_somebody_that_was_told_apart_from_another_patient_is_linked() -> None:
    found = match(person=person(), patients=[patient()], is_crowded=False, decisions={}, told_apart={BOB})
    assert found is not None
    assert found.state == "linked"


def test_of_two_candidates_the_one_that_is_left_is_judged_alone() -> None:
    verdict = match(
        person=person(), patients=[patient(), patient(BOB)], is_crowded=False, decisions={ALICE: "different"}
    )

    assert verdict is not None
    assert (verdict.state, verdict.patient_id) == ("linked", BOB)


@given(st.lists(st.sampled_from(["same", "different", ""]), max_size=3), st.booleans(), st.sampled_from(["M", "F"]))
def test_only_a_patient_of_the_numbers_is_ever_linked(words: list[str], is_crowded: bool, sex: str) -> None:
    """T92: whatever was decided of others, the verdict speaks of a patient to whom the numbers lead."""
    patients = [patient(UUID(int=number), sex="F") for number in range(1, len(words) + 1)]
    decisions = {each.patient_id: word for each, word in zip(patients, words, strict=True) if word}
    decisions[uuid4()] = "same"

    verdict = match(person=person(sex=sex), patients=patients, is_crowded=is_crowded, decisions=decisions)

    assert (verdict is None) == (not patients)
    assert verdict is None or verdict.patient_id in {each.patient_id for each in patients}
