"""Which category a row gets, and which rule said so."""

import pytest

from openmrs_sync.categoriser import make_categorise
from openmrs_sync.rows import CategoryRule, Concept


def concept(
    *,
    concept_class: str = "Misc",
    datatype: str = "Text",
    uuid: str = "8d4a-some-uuid",
    mappings: tuple[tuple[str, str], ...] = (),
) -> Concept:
    return Concept(
        concept_id=7,
        uuid=uuid,
        name="a concept",
        concept_class=concept_class,
        datatype=datatype,
        mappings=frozenset(mappings),
    )


@pytest.mark.parametrize(
    "table,category",
    [
        ("conditions", "condition"),
        ("encounter_diagnosis", "condition"),
        ("orders", "medication"),
        ("allergy", "allergy"),
        ("visit", "visit"),
        ("encounter", "visit"),
    ],
)
def test_a_table_that_says_itself_what_it_holds_decides_before_the_concept(table: str, category: str) -> None:
    categorise = make_categorise([CategoryRule(concept_uuid="8d4a-some-uuid", category="test")])

    assert categorise(table, concept(concept_class="LabSet")) == (category, f"table:{table}", False)


@pytest.mark.parametrize(
    "concept_class,category",
    [
        ("Diagnosis", "condition"),
        ("Symptom", "condition"),
        ("Drug", "medication"),
        ("Test", "test"),
        ("LabTest", "test"),
        ("LabSet", "test"),
    ],
)
def test_an_observation_is_what_the_class_of_its_concept_says(concept_class: str, category: str) -> None:
    answer = make_categorise([])("obs", concept(concept_class=concept_class))

    assert answer == (category, f"class:{concept_class}", False)


def test_a_class_that_says_nothing_makes_other() -> None:
    assert make_categorise([])("obs", concept(concept_class="Question")) == ("other", "default", False)


@pytest.mark.parametrize("code", ["5085", "5086", "5087", "5088", "5089", "5090", "5092", "5242"])
def test_a_number_mapped_to_a_vital_sign_of_ciel_is_one_whatever_its_class(code: str) -> None:
    weighed = concept(concept_class="Test", datatype="Numeric", mappings=(("CIEL", code), ("PIH", code)))

    assert make_categorise([])("obs", weighed) == ("vital", f"mapping:CIEL:{code}", False)


def test_the_same_code_of_another_source_is_no_vital_sign() -> None:
    mapped = concept(concept_class="Test", datatype="Numeric", mappings=(("PIH", "5089"),))

    assert make_categorise([])("obs", mapped) == ("test", "class:Test", False)


def test_a_text_mapped_to_a_vital_sign_is_none() -> None:
    assert make_categorise([])("obs", concept(mappings=(("CIEL", "5089"),)))[0] == "other"


@pytest.mark.parametrize("length", [32, 36, 38])
def test_a_vital_sign_without_mapping_is_known_by_the_uuid_that_ciel_gave_it(length: int) -> None:
    weight = concept(datatype="Numeric", uuid="5089".ljust(length, "A"))

    assert make_categorise([])("obs", weight) == ("vital", "uuid:CIEL:5089", False)


def test_the_answer_to_the_question_for_a_diagnosis_is_a_condition() -> None:
    question = concept(concept_class="Question", mappings=(("org.openmrs.module.emrapi", "Coded Diagnosis"),))

    assert make_categorise([])("obs", question) == ("condition", "mapping:emrapi:Coded Diagnosis", False)


def test_the_admins_category_comes_before_mapping_and_class() -> None:
    rules = [CategoryRule(concept_uuid="8D4A-SOME-UUID", category="medication")]

    weighed = concept(concept_class="Test", datatype="Numeric", mappings=(("CIEL", "5089"),))

    assert make_categorise(rules)("obs", weighed) == ("medication", "admin", False)


def test_hiding_alone_leaves_the_category_as_it_is() -> None:
    rules = [CategoryRule(concept_uuid="8d4a-some-uuid", is_hidden=True)]

    assert make_categorise(rules)("obs", concept(concept_class="Test")) == ("test", "class:Test", True)


@pytest.mark.parametrize("table", ["conditions", "orders", "allergy", "encounter_diagnosis"])
def test_a_hidden_concept_is_hidden_in_every_table(table: str) -> None:
    rules = [CategoryRule(concept_uuid="8d4a-some-uuid", is_hidden=True)]

    assert make_categorise(rules)(table, concept())[2] is True


def test_of_two_rules_for_one_concept_the_later_wins() -> None:
    rules = [
        CategoryRule(concept_uuid="8d4a-some-uuid", category="test"),
        CategoryRule(concept_uuid="8d4a-some-uuid", category="vital"),
    ]

    assert make_categorise(rules)("obs", concept())[0] == "vital"
