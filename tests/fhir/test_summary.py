"""The International Patient Summary: whole, valid, and never saying more than the hospitals said."""

import copy
import datetime as dt
import json
from dataclasses import replace

import pytest
from django.utils import timezone

from openmrs_sync.models import Breaker
from passport.access.scope import Choice
from passport.fhir import patient_summary
from passport.models import Link, SourceConcept
from tests import parts
from tests.fhir import ips
from tests.fhir.validator import errors_of
from tests.records import (
    Chart,
    fill_district_hospital,
    fill_health_centre,
    fill_oddly,
    make_hospital,
    make_patient,
    number,
    own_scope,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def alice(now):
    return make_patient(national_id="1198170012345678", now=now)


@pytest.fixture
def chart(alice, now):
    return Chart(patient=alice, hospital=make_hospital(name="District Hospital", code="district", now=now), now=now)


def summary(patient, now):
    return patient_summary(scope=own_scope(patient), now=now)


def resources(bundle, kind):
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def fill(patient, now, *fills):
    for n, fill_chart in enumerate(fills):
        chart = Chart(patient=patient, hospital=make_hospital(name=f"Hospital {n}", now=now), now=now)
        fill_chart(chart)
        chart.save()


CASES = {
    "a full record": (fill_district_hospital, fill_health_centre),
    "odd data": (fill_oddly,),
    "all at once": (fill_district_hospital, fill_health_centre, fill_oddly),
    "nothing at all": (),
}


@pytest.mark.parametrize("fills", CASES.values(), ids=CASES)
def test_the_document_keeps_the_rules_of_the_ips(fills, alice, now):
    fill(alice, now, *fills)
    assert ips.broken_rules(summary(alice, now)) == []


@pytest.mark.parametrize("fills", CASES.values(), ids=CASES)
def test_a_validator_that_we_did_not_write_finds_no_error(fills, alice, now):
    parts.require("fhir-validator")
    fill(alice, now, *fills)
    assert errors_of(summary(alice, now)) == []


def test_the_validator_would_notice(alice, now):
    parts.require("fhir-validator")
    bundle = summary(alice, now)
    resources(bundle, "Patient")[0]["gender"] = "xx"
    del bundle["type"]
    resources(bundle, "Composition")[0]["nonsense"] = True
    assert len(errors_of(bundle)) >= 3


def test_our_rules_would_notice(alice, now):
    good = summary(alice, now)
    for spoil in (
        lambda bundle: bundle["entry"].append(bundle["entry"][0]),
        lambda bundle: bundle["entry"].pop(),
        lambda bundle: bundle["entry"][0]["resource"]["section"].pop(0),
        lambda bundle: bundle["entry"][1]["resource"].pop("gender"),
        lambda bundle: bundle["entry"][1]["resource"].update(birthDate=""),
    ):
        bundle = copy.deepcopy(good)
        spoil(bundle)
        assert ips.broken_rules(bundle)


def test_nothing_told_is_coded_as_no_information_not_as_nothing(alice, now):
    bundle = summary(alice, now)
    codes = {
        resource.get("code", resource.get("medicationCodeableConcept"))["coding"][0]["code"]
        for kind in ("AllergyIntolerance", "MedicationStatement", "Condition")
        for resource in resources(bundle, kind)
    }
    assert codes == {"no-allergy-info", "no-medication-info", "no-problem-info"}


def test_codes_are_those_of_the_hospitals_dictionary(chart, alice, now):
    chart.add(concept="HbA1c", concept_uuid="own-uuid", **number(9.1, "%", 4, 6.5), at=chart.moment(1, "08:00:00"))
    chart.save()
    SourceConcept.objects.create(
        hospital=chart.hospital,
        concept_uuid="own-uuid",
        codes=[["LOINC", "4548-4"], ["SNOMED CT", "43396009"], ["org.openmrs.module.emrapi", "x"], ["LOINC", "a  b"]],
    )
    (observation,) = resources(summary(alice, now), "Observation")
    assert observation["code"] == {
        "coding": [
            {"system": "http://loinc.org", "code": "4548-4"},
            {"system": "http://snomed.info/sct", "code": "43396009"},
        ],
        "text": "HbA1c",
    }


def test_another_hospitals_codes_are_not_borrowed(chart, alice, now):
    chart.add(concept="HbA1c", concept_uuid="own-uuid", **number(9.1, "%"), at=chart.moment(1, "08:00:00"))
    chart.save()
    other = make_hospital(name="Other", now=now)
    SourceConcept.objects.create(hospital=other, concept_uuid="own-uuid", codes=[["LOINC", "4548-4"]])
    (observation,) = resources(summary(alice, now), "Observation")
    assert observation["code"] == {"text": "HbA1c"}


def test_a_measured_value_has_its_unit_range_and_flag(chart, alice, now):
    chart.add(concept="Potassium", **number(6.9, "mmol/L", 3.5, 5.1), at=chart.moment(1, "08:00:00"))
    chart.save()
    (observation,) = resources(summary(alice, now), "Observation")
    ucum = {"unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    assert observation["valueQuantity"] == {"value": 6.9, **ucum}
    assert observation["referenceRange"] == [{"low": {"value": 3.5, **ucum}, "high": {"value": 5.1, **ucum}}]
    assert observation["interpretation"][0]["coding"][0]["code"] == "H"


def test_a_coded_answer_carries_its_own_code(chart, alice, now):
    answer = "703".ljust(36, "A")
    chart.add(concept="Malaria test", value="Positive", details={"answer": answer}, at=chart.moment(1, "08:00:00"))
    chart.save()
    (observation,) = resources(summary(alice, now), "Observation")
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == "703"
    assert "interpretation" not in observation


def test_an_undated_result_says_that_its_date_is_not_known(chart, alice, now):
    chart.add(concept="Blood group", value="O+", at=None)
    chart.save()
    (observation,) = resources(summary(alice, now), "Observation")
    assert "effectiveDateTime" not in observation
    assert observation["_effectiveDateTime"]["extension"][0]["valueCode"] == "unknown"


def test_a_medicine_whose_end_nobody_told_is_of_unknown_status(chart, alice, now):
    chart.add(
        concept="Aspirin", value="1 Tablet", table="orders", category="medication", category_rule="table:orders",
        at=chart.moment(9, "08:00:00"),
    )  # fmt: skip
    chart.save()
    assert [one["status"] for one in resources(summary(alice, now), "MedicationRequest")] == ["unknown"]


def test_what_was_withdrawn_or_is_over_is_not_in_it(chart, alice, now):
    chart.add(concept="Haemoglobin", status="withdrawn", withdrawn_reason="voided", **number(1.2, "g/dL"))
    chart.add(
        concept="Coartem", value="4", table="orders", category="medication", category_rule="table:orders",
        details={"expires": chart.moment(2, "08:00:00")}, at=chart.moment(9, "08:00:00"),
    )  # fmt: skip
    chart.save()
    bundle = summary(alice, now)
    assert not resources(bundle, "Observation")
    assert not resources(bundle, "MedicationRequest")


def test_an_unlinked_persons_records_are_not_in_it(chart, alice, now):
    fill_district_hospital(chart)
    chart.save()
    Link.objects.filter(pk=chart.link.pk).update(state="unlinked")
    bundle = summary(alice, now)
    assert not resources(bundle, "Observation")
    assert "district" not in json.dumps(bundle["entry"][1:]).lower()  # the first says which hospitals were read


def sources(bundle):
    (found,) = [
        one for one in bundle["entry"][0]["resource"]["section"] if one["code"]["coding"][0]["code"] == "sources"
    ]
    return found["text"]["div"]


def test_a_hospital_that_was_not_reached_is_named_with_what_that_means(chart, alice, now):
    fill_district_hospital(chart)
    chart.save()
    read_at = now - dt.timedelta(days=3)
    Breaker.objects.update_or_create(
        hospital=chart.hospital, defaults={"last_success_at": read_at, "last_error_at": now}
    )
    Link.objects.update(refreshed_at=read_at)
    told = sources(summary(alice, now))
    at = read_at.astimezone(dt.UTC).isoformat(timespec="seconds")
    assert f"<td>District Hospital</td><td>Not reached since {at}: newer records may be missing.</td>" in told


def test_a_hospital_that_is_left_out_is_not_spoken_of(chart, alice, now):
    chart.save()
    scope = own_scope(alice)
    assert "District Hospital" in sources(patient_summary(scope=scope, now=now))
    make_hospital(name="Nyungwe", now=now, reached_ago=dt.timedelta(days=1))  # and nothing of her is known there
    hidden = replace(scope, left_out=scope.left_out | Choice(hospitals=frozenset({chart.hospital.pk})))
    told = sources(patient_summary(scope=hidden, now=now))
    assert "District Hospital" not in told
    assert "<td>Nyungwe</td><td>Not reached since" in told


def test_the_same_record_has_the_same_id_in_every_document(chart, alice, now):
    fill_district_hospital(chart)
    chart.save()
    first, second = (
        {resource["id"] for resource in resources(summary(alice, moment), "Observation")}
        for moment in (now, now + dt.timedelta(hours=1))
    )
    assert first == second
    assert first


def test_mark_up_in_a_hospitals_text_stays_text(chart, alice, now):
    chart.add(concept="<script>x</script>", value="<b>1</b>\x07", category="test", at=chart.moment(1, "08:00:00"))
    chart.save()
    divs = [section["text"]["div"] for section in resources(summary(alice, now), "Composition")[0]["section"]]
    assert not any("<script" in div or "<b>" in div or "\x07" in div for div in divs)


def test_the_number_of_queries_does_not_grow_with_the_record(chart, alice, now, django_assert_max_num_queries):
    fill_district_hospital(chart)
    fill_health_centre(chart)
    chart.save()
    with django_assert_max_num_queries(20):
        summary(alice, now)
