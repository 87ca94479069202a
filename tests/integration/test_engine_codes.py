"""The codes that a hospital maps its concepts to come with its records, and follow when they change."""

import pytest

from passport.fhir import patient_summary
from passport.models import Patient, Record, SourceConcept
from tests.integration.world import Site
from tests.records import own_scope

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
NUMBER = "1199080012345678"
RDT, POSITIVE, MALARIA = ("1643".ljust(36, "A"), "703".ljust(36, "A"), "116128".ljust(36, "A"))


@pytest.fixture
def tested(kigali: Site) -> Site:
    """A holder with a malaria test that was positive, and the diagnosis."""
    person = kigali.add_holder(NUMBER)
    encounter = kigali.pretend.add_encounter(person)
    kigali.pretend.add_obs(person, "malaria rdt", "positive", encounter=encounter)
    kigali.pretend.add_diagnosis(person, "malaria", encounter=encounter)
    kigali.sync()
    return kigali


def codes(site: Site) -> dict[str, list[list[str]]]:
    return dict(SourceConcept.objects.filter(hospital=site.hospital).values_list("concept_uuid", "codes"))


def test_a_coded_answer_is_known_by_its_concept(tested: Site) -> None:
    assert Record.objects.get(concept_uuid=RDT).details["answer"] == POSITIVE


def test_the_codes_of_questions_answers_and_diagnoses_are_kept(tested: Site) -> None:
    known = codes(tested)
    assert known[RDT] == [["CIEL", "1643"]]
    assert known[POSITIVE] == [["CIEL", "703"]]
    assert known[MALARIA] == [["CIEL", "116128"]]


def test_only_what_means_the_very_same_is_a_code_of_it(tested: Site) -> None:
    tested.pretend.execute(
        "UPDATE concept_reference_map SET concept_map_type_id = "
        "(SELECT concept_map_type_id FROM concept_map_type WHERE name = 'NARROWER-THAN') WHERE concept_id = %s",
        (tested.pretend.concept("malaria rdt"),),
    )
    tested.sync(full=True)
    assert RDT not in {uuid for uuid, found in codes(tested).items() if found}
    assert codes(tested)[POSITIVE] == [["CIEL", "703"]]


def test_a_mapping_corrected_at_the_hospital_is_corrected_here_by_the_sweep(tested: Site) -> None:
    tested.pretend.execute(
        "UPDATE concept_reference_term t JOIN concept_reference_map m USING (concept_reference_term_id)"
        " SET t.code = '1366' WHERE m.concept_id = %s",
        (tested.pretend.concept("malaria rdt"),),
    )
    tested.sync(full=True)
    assert codes(tested)[RDT] == [["CIEL", "1366"]]


def test_a_second_read_changes_no_record(tested: Site) -> None:
    run = tested.sync(full=True)
    assert (run.n_created, run.n_updated, run.n_withdrawn) == (0, 0, 0)


def test_the_document_carries_the_hospitals_codes(tested: Site) -> None:
    patient = Patient.objects.get()
    bundle = patient_summary(scope=own_scope(patient), now=tested.hospital.breaker.last_success_at)
    found = {
        (kind, coding["code"])
        for entry in bundle["entry"]
        for kind in ("code", "valueCodeableConcept")
        for coding in entry["resource"].get(kind, {}).get("coding", [])
    }
    assert {("code", "1643"), ("valueCodeableConcept", "703"), ("code", "116128")} <= found
