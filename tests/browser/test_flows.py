"""Whole flows in Chromium: an emergency, a copy of everything, reading for somebody, the workbench, a used-up link."""

import datetime as dt
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from hospitals.models import Hospital
from openmrs_sync import tasks
from openmrs_sync.models import ConceptRule, Inspection
from passport.models import Download, EmergencyAccess, Patient, Record
from passport.sharing import content, links, package, shares
from tests.browser import test_walks
from tests.browser.conftest import OpenPage
from tests.browser.faults import faults
from tests.browser.test_sharing import unlock
from tests.browser.test_walks import NUMBER, log_in
from tests.records import make_account, make_patient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]
alice = test_walks.alice  # fixture

#: A page on which somebody is logged in, by their username.
Enter = Callable[[str], Page]
REASON = "Unconscious after a road accident, no relatives here"


@pytest.fixture
def enter(open_page: OpenPage) -> Enter:
    def logged_in(name: str) -> Page:
        page = open_page()
        log_in(page, name)
        page.wait_for_load_state()
        return page

    return logged_in


def look(page: Page, words: str, *, is_ours: bool = True) -> None:
    """These words can be read, and nothing is wrong with the page."""
    expect(page.get_by_text(words).first).to_be_visible()
    assert list(faults(page, is_ours=is_ours)) == []


def test_an_emergency_is_opened_told_to_the_patient_and_reviewed(enter: Enter, alice: Patient) -> None:
    make_account(username="stranger", role="doctor", hospital=Hospital.objects.get(name="Kibagabaga"))
    make_account(username="admin", role="admin", is_superuser=True)
    doctor = enter("stranger")
    doctor.get_by_label("National ID").fill(NUMBER)
    doctor.get_by_role("button", name="Open the record").click()
    doctor.get_by_role("button", name="This is an emergency").click()
    doctor.get_by_label("What the emergency is").fill("Help")
    doctor.get_by_role("button", name="Open in an emergency").click()
    look(doctor, "in 15 characters or more")
    doctor.get_by_label("What the emergency is").fill(REASON)
    doctor.get_by_role("button", name="Open in an emergency").click()
    doctor.get_by_role("link", name="Open the record").click()
    expect(doctor.get_by_text("minutes left")).to_be_visible()
    doctor.get_by_role("link", name="Medicines", exact=True).click()
    expect(doctor.get_by_text("Metformin").first).to_be_visible()

    patient = enter("alice")
    expect(patient.get_by_text(f"Reason given: {REASON}")).to_be_visible()
    patient.get_by_role("button", name="I have read this").click()
    patient.goto("/who-looked/")
    look(patient, "opened your medicines")

    admin = enter("admin")
    admin.get_by_role("link", name="1 emergency to review").click()
    expect(admin.get_by_text("still to review").first).to_be_visible()
    admin.locator("#result_list tbody th a").click()
    look(admin, "opened the medicines", is_ours=False)
    admin.locator("#id_outcome").select_option("justified")
    admin.get_by_role("button", name="Save", exact=True).click()
    admin.goto("/admin/")
    expect(admin.get_by_text("to review")).to_have_count(0)
    assert EmergencyAccess.objects.get().outcome == "justified"


def test_a_copy_of_everything_is_made_meanwhile_and_saved(
    enter: Enter, alice: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(package.pdf, "pdf_of", lambda html: b"%PDF-")  # seconds; what is in it has tests of its own
    page = enter("alice")
    page.goto("/download/")
    page.get_by_role("button", name="Make my copy").click()
    look(page, "It waits for its turn.")
    tasks.make_download(str(Download.objects.get().pk))
    page.get_by_role("link", name="Look again").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the file").click()
    saved.value.save_as(tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as bundle:
        assert "record.csv" in bundle.read("README.txt").decode()
        assert "Metformin" in bundle.read("record.csv").decode()
    look(page, "Download my data")


def test_somebody_reads_for_another_until_that_ends(enter: Enter, alice: Patient) -> None:
    make_patient(national_id="1199070098765432", username="ange", given_name="Ange", now=timezone.now())
    mother = enter("alice")
    mother.goto("/permissions/")
    mother.get_by_text("Invite somebody I trust").click()
    mother.locator("form[action='/permissions/invite/'] input[name$=named]").fill("Ange, my daughter")
    mother.get_by_role("button", name="Make a code").click()
    code = mother.locator(".big-code").inner_text()

    daughter = enter("ange")
    daughter.goto("/people/")
    daughter.get_by_label("Code").fill("WRONG")
    daughter.get_by_role("button", name="Use the code").click()
    look(daughter, "This code opens nothing")
    daughter.get_by_label("Code").fill(code)
    daughter.get_by_role("button", name="Use the code").click()
    daughter.get_by_role("link", name="Claudine Uwimana").click()
    look(daughter, "this person lets you read for them")
    record = daughter.url

    mother.goto("/permissions/")
    mother.get_by_role("button", name="End Ange").click()
    answer = daughter.goto(record)
    assert answer is not None
    assert answer.status == 403
    expect(daughter.get_by_text("You may not see this record")).to_be_visible()


def test_a_concept_is_previewed_decided_and_undone_on_the_workbench(enter: Enter, alice: Patient) -> None:
    make_account(username="admin", role="admin", is_superuser=True)
    now = timezone.now()
    counted = {"uuid": "1439".ljust(36, "A"), "name": "Fundal height", "n_records": 30, "n_persons": 6, "class": "Misc"}
    Inspection.objects.create(
        hospital=Hospital.objects.get(name="Remera Health Centre"),
        kind=Inspection.Kind.CONCEPTS,
        status=Inspection.Status.DONE,
        asked_at=now,
        alive_at=now,
        finished_at=now,
        result={"concepts": [counted | {"datatype": "Numeric", "unit": "cm", "mappings": []}], "is_asked": True},
    )
    page = enter("admin")
    page.goto("/admin/openmrs_sync/conceptrule/workbench/")
    look(page, "CIEL 1439", is_ours=False)
    page.get_by_role("button", name="Preview").click()
    look(page, "This would move 30 records at 1 hospital from other to test.", is_ours=False)
    page.get_by_role("button", name="Make it “test” everywhere").click()
    expect(page.get_by_text("Being read again under the new rules")).to_be_visible()
    look(page, "0 without a category", is_ours=False)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 without a category")).to_be_visible()
    assert not ConceptRule.objects.exists()


def test_a_link_that_may_be_opened_once_is_used_up_after_it(
    open_page: OpenPage, alice: Patient, live_server: Any
) -> None:
    """A dose is read in the recipient's language."""
    now = timezone.now()
    made = shares.make_share(
        patient=alice,
        actor=alice.user,
        wish=content.Wish(),
        ends_at=now + dt.timedelta(days=1),
        most_openings=1,
        now=now,
    )
    address = links.link_to(
        made.share, page=f"/s/{made.share.token}/", manifest=f"{live_server.url}/s/{made.share.token}/manifest/"
    )
    page = open_page()
    page.goto("/")
    page.get_by_role("button", name="français").click()
    page.goto(address)
    page.locator("#recipient").fill("Pharmacie de Nairobi")
    page.locator("#passcode").fill(made.passcode)
    page.locator("#open button").click()
    expect(page.get_by_text("1 comprimé, par la bouche, deux fois par jour")).to_be_visible()
    assert list(faults(page)) == []
    another = open_page()
    another.goto(address)
    unlock(another, made.passcode)
    look(another, "was used up")


def test_a_blood_pressure_is_one_row_whose_two_entries_can_be_opened(enter: Enter, alice: Patient) -> None:
    for name in ("Systolic blood pressure", "Diastolic blood pressure"):  # without uuids nobody knows what they are
        Record.objects.filter(concept=name).update(concept_uuid=name)
    page = enter("alice")
    page.goto("/results/?q=systolic")
    page.locator(".results a").first.click()
    expect(page.locator(".values tbody tr")).to_have_count(1)
    look(page, "148/92")
    page.get_by_role("link", name="Entry of the lower number").click()
    look(page, "92")
    expect(page.get_by_role("heading", name="Diastolic blood pressure")).to_be_visible()
