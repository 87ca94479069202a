"""The same walk in three languages on the smallest phone, with and without JavaScript."""

import pytest
from django.utils import translation
from playwright.sync_api import Page, expect

from passport.models import Patient, Record
from tests.browser import test_walks
from tests.browser.conftest import OpenPage
from tests.browser.test_walks import NUMBER, check
from tests.integration.test_every_language import english_in
from tests.records import PASSWORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]
alice = test_walks.alice  # fixture

SMALLEST = {"width": 320, "height": 640}
NAMES = {"en": "English", "fr": "français", "rw": "Ikinyarwanda"}
FLAGS_OUTSIDE = """[...document.querySelectorAll(
    ".vital .flag, .line-value .flag, .result-value .flag"
)].filter(each => {
    const place = each.closest(".vital, .line-value, .result-value").getBoundingClientRect();
    const flag = each.getBoundingClientRect();
    return flag.right > place.right + 1 || flag.left < place.left - 1;
}).map(each => each.closest("li, .vital").innerText)"""
DAYS = {"en": "14 March 1981", "fr": "14 mars 1981", "rw": "14 Werurwe 1981"}


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
@pytest.mark.parametrize("language", NAMES)
def test_a_patient_walks_through_every_page_in_their_language(
    open_page: OpenPage, alice: Patient, language: str, javascript: bool
) -> None:
    def said(text: str) -> str:
        with translation.override(language):
            return translation.gettext(text)

    def look(page: Page, heading: str) -> None:
        """The page is there, in this language, without a fault, and no wider than the phone."""
        expect(page.get_by_role("heading", name=said(heading)).first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", language)
        if language != "en":
            assert english_in(page.content(), language) == []
        if javascript:  # axe is a script
            check(page)

    page = open_page(viewport=SMALLEST, javascript=javascript)
    page.goto("/")
    page.get_by_role("button", name=NAMES[language]).click()
    look(page, "Log in")
    page.get_by_label(said("Username or National ID")).fill(NUMBER)
    page.get_by_label(said("Password")).fill(PASSWORD)
    page.get_by_role("button", name=said("Log in")).click()
    look(page, "Allergies")
    expect(page.get_by_text(DAYS[language])).to_be_visible()
    page.get_by_role("link", name=said("History"), exact=True).click()
    look(page, "Non-communicable diseases clinic")
    page.goto("/history/?category=test")
    look(page, "Non-communicable diseases clinic")
    page.locator("a", has_text="HbA1c").first.click()
    look(page, "Why am I seeing this?")
    page.get_by_role("link", name=said("Who looked"), exact=True).click()
    look(page, "Who looked at your record")
    page.get_by_role("link", name=said("Permissions"), exact=True).click()
    look(page, "Who may see my record")
    page.goto("/hidden/")
    look(page, "What I keep to myself")
    page.goto("/account/")
    look(page, "One-time codes")
    page.get_by_role("button", name=said("Log out")).click()
    look(page, "You are logged out")
    page.goto("/claim/")
    look(page, "Take your passport")


def test_the_longest_flag_stays_within_its_line_and_its_tile(open_page: OpenPage, alice: Patient) -> None:
    """French says "in range" in three words."""
    Record.objects.filter(category__in=["test", "vital"]).update(flag="normal")
    page = open_page(viewport=SMALLEST)
    page.goto("/")
    page.get_by_label("Username or National ID").fill(NUMBER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="français").click()
    page.locator(".vital .flag", has_text="habituelles").first.wait_for()
    for address in ("/", "/results/", "/history/"):
        page.goto(address)
        assert page.evaluate(FLAGS_OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") == SMALLEST["width"]


@pytest.mark.parametrize("language", ["fr", "rw"])
def test_a_doctor_searches_is_refused_and_reads_in_their_language(
    open_page: OpenPage, alice: Patient, language: str
) -> None:
    page = open_page(viewport=SMALLEST)
    page.goto("/")
    page.get_by_role("button", name=NAMES[language]).click()
    with translation.override(language):
        labels = {text: translation.gettext(text) for text in LABELS}
    page.get_by_label(labels["Username or National ID"]).fill("doctor")
    page.get_by_label(labels["Password"]).fill(PASSWORD)
    page.get_by_role("button", name=labels["Log in"]).click()
    for number in ("0000 1111", NUMBER):
        page.get_by_label(labels["National ID"]).fill(number)
        page.get_by_role("button", name=labels["Open the record"]).click()
        assert english_in(page.content(), language) == []
        check(page)
    expect(page.get_by_role("heading", name=labels["Allergies"]).first).to_be_visible()


LABELS = ("Username or National ID", "Password", "Log in", "National ID", "Open the record", "Allergies")
