"""What the browser's own printing puts on paper, as Chromium lays a page out for it."""

from uuid import UUID

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from passport.models import Patient, Record
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.test_walks import alice, log_in  # noqa: F401 - a fixture
from tests.records import Chart

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SENSITIVE = ("Viral load", "undetectable", "HIV clinic")
RECORDED = (*SENSITIVE, "HbA1c", "Metformin", "Penicillin")
INSTEAD = "This page is for the screen"


@pytest.fixture
def key(alice: Patient) -> str:  # noqa: F811
    """Of a sensitive entry of hers, with the heading of its visit."""
    hospital = alice.links.select_related("hospital").get(hospital__name="Kigali District Hospital").hospital
    chart = Chart(patient=alice, hospital=hospital, now=timezone.now())
    at = chart.moment(1, "10:00:00")
    visit = chart.visit(title="HIV clinic", at=at, location="Room 4")
    uuid = "856".ljust(36, "A")
    found = chart.add(concept="Viral load", value="undetectable", at=at, concept_uuid=uuid, visit_id=visit)
    chart.save()
    return str(found.key)


def on_paper(page: Page, address: str) -> str:
    """What is to be read of the page on the screen must not be nothing; returned is what is left of it on paper."""
    page.goto(address)
    page.emulate_media(media="print")
    text = str(page.locator("body").inner_text())
    page.emulate_media(media="screen")
    return text


def pages_of(key: str, patient_id: UUID | None) -> list[str]:
    at = f"/patients/{patient_id}/" if patient_id else "/"
    kinds = ["", "history/", "history/?category=visit", f"records/{key}/", "results/", f"results/{key}/", "medicines/"]
    return [f"{at}{kind}" for kind in kinds] + ([f"{at}consultation/"] if patient_id else ["/hidden/"])


@pytest.mark.parametrize("who", ["alice", "doctor"])
@pytest.mark.parametrize("viewport, javascript", [(PHONE, False), (DESKTOP, True)], ids=["phone", "desktop"])
def test_a_page_of_a_record_prints_a_sentence_and_nothing_of_the_record(
    who: str,
    viewport: dict[str, int],
    javascript: bool,
    open_page: OpenPage,
    alice: Patient,  # noqa: F811
    key: str,
) -> None:
    page = open_page(viewport=viewport, javascript=javascript)
    log_in(page, who)
    seen = ""
    for address in pages_of(key, alice.pk if who == "doctor" else None):
        paper = on_paper(page, address)
        seen += page.locator("main").inner_text()
        assert INSTEAD in paper, address
        assert [words for words in RECORDED if words in paper] == [], address
        assert INSTEAD not in page.locator("body").inner_text(), address
    assert [words for words in RECORDED if words not in seen] == []


def test_the_page_print_prints_what_was_chosen(open_page: OpenPage, alice: Patient, key: str) -> None:  # noqa: F811
    assert Record.objects.filter(key=key).exists()
    page = open_page(viewport=DESKTOP)
    log_in(page, "alice")
    paper = on_paper(page, "/print/?what=history")
    assert "HbA1c" in paper
    assert [words for words in (*SENSITIVE, INSTEAD) if words in paper] == []
    assert "Viral load" in on_paper(page, "/print/?what=history&sensitive=hiv")


def test_the_card_a_link_and_the_list_of_looks_may_be_printed(
    open_page: OpenPage,
    alice: Patient,  # noqa: F811
    key: str,
) -> None:
    page = open_page(viewport=DESKTOP)
    log_in(page, "alice")
    for address, words in (("/emergency-card/", "Penicillin"), ("/who-looked/", "Who looked"), ("/share/", "passcode")):
        paper = on_paper(page, address)
        assert words in paper
        assert INSTEAD not in paper
