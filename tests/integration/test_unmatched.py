"""The list of patients without a passport, which goes back to the hospital: its own ids and the reason."""

import csv
import io

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import unmatched
from passport.models import AuditEvent, PlaceholderNumber, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]
NUMBERS = ("1197060012345678", "99990012")


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def furnish(site: Site) -> dict[int, str]:
    """Patient id → why it is not linked."""
    hospital = site.pretend
    PlaceholderNumber.objects.create(number="99990012")
    site.add_holder("1199080012345678")
    hospital.void_patient(site.add_holder("1199080011112222"))
    world.register("1198070012345678", sex="M")
    expected = {
        hospital.add_person(national_id="1198070012345678", sex="F"): "held",
        hospital.add_person(national_id=NUMBERS[0]): "no_passport",
        hospital.add_person(national_id="99990012"): "placeholder",
        hospital.add_person(national_id="??"): "unusable_number",
        hospital.add_person(): "no_number",
    }
    site.sync()
    return expected


def lines(alice: Client, hospital: Hospital, what: str = "") -> list[dict[str, str]]:
    text = alice.get(f"/admin/hospitals/hospital/{hospital.pk}/not-linked.csv{what}").content.decode("utf-8-sig")
    assert not any(number in text for number in NUMBERS)
    return list(csv.DictReader(io.StringIO(text)))


def test_everybody_who_is_not_linked_stands_there_once_with_the_reason(alice: Client, kigali: Site) -> None:
    expected = furnish(kigali)
    found = lines(alice, kigali.hospital)
    assert {int(line["patient_id"]): line["reason"] for line in found} == expected
    assert len(found) == len(expected)
    assert all(line["hospital"] == "kigali" and line["next_step"] for line in found)


def test_an_old_hospital_gets_the_same_list(alice: Client, huye: Site) -> None:
    expected = furnish(huye)
    assert {int(line["patient_id"]): line["reason"] for line in lines(alice, huye.hospital)} == expected


def test_the_reasons_agree_with_the_receipt(kigali: Site) -> None:
    furnish(kigali)
    persons = world.verified(kigali.hospital).persons
    assert persons is not None
    found = [one.reason for one in unmatched.read_unmatched(hospital=kigali.hospital)]
    assert found.count("no_passport") == persons["unmatched"]
    assert found.count("held") == persons["held"]
    without = found.count("no_number") + found.count("placeholder") + found.count("unusable_number")
    assert without == persons["without_national_id"]


def test_one_reason_can_be_asked_for_and_each_sheet_leaves_a_row(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    assert [line["reason"] for line in lines(alice, kigali.hospital, "?reason=held")] == ["held"]
    event = AuditEvent.objects.get(action="unmatched_exported")
    assert (event.hospital_id, event.details) == (kigali.hospital.pk, {"n_patients": 1, "reason": "held"})
    assert alice.get(f"/admin/hospitals/hospital/{kigali.hospital.pk}/not-linked.csv?reason=x").status_code == 400


def test_the_page_counts_by_reason(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    page = alice.get(f"/admin/hospitals/hospital/{kigali.hospital.pk}/not-linked/").content.decode()
    assert "5 patients of Hospital 1 are not linked" in " ".join(page.split())
    for reason in unmatched.REASONS:
        assert (f"?reason={reason}" in page) == (reason != "unlinked")


def test_a_hospital_that_does_not_answer_is_a_sentence(alice: Client, kigali: Site) -> None:
    Hospital.objects.filter(pk=kigali.hospital.pk).update(port=1)
    address = f"/admin/hospitals/hospital/{kigali.hospital.pk}/not-linked"
    assert "cannot be asked now" in alice.get(f"{address}/").content.decode()
    assert alice.get(f"{address}.csv").status_code == 503
    assert not AuditEvent.objects.filter(action="unmatched_exported", at__lte=timezone.now()).exists()
