"""What people do with the pages, by Tab, Enter and letters alone. Where the focus stands is seen at each step."""

import pytest
from playwright.sync_api import Locator, Page, expect

from passport.models import Patient
from tests.browser import test_walks
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.test_walks import NUMBER
from tests.records import PASSWORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]
alice = test_walks.alice  # fixture

MOST_TABS = 60
#: The outline stands on what has the focus, or on the line that is pressed as a whole.
HAS_OUTLINE = """() => [document.activeElement, document.activeElement.closest(".line, .result, .vital, label")]
    .some(each => each && each.matches(":focus-visible, :focus-within")
        && getComputedStyle(each).outlineStyle !== "none" && parseFloat(getComputedStyle(each).outlineWidth) >= 2)"""
#: Nothing steps out of line: focus goes as the page reads.
OUT_OF_ORDER = 'document.querySelectorAll(\'[tabindex]:not([tabindex="0"], [tabindex="-1"])\').length'


def go_to(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus, if it has not; on the way each step is visible and on the screen."""
    for step in range(MOST_TABS):
        if step or not wanted.evaluate("each => each === document.activeElement"):
            page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue  # past the end of the page; the next step begins at its top
        place = page.evaluate("document.activeElement.outerHTML.slice(0, 150)")
        assert page.evaluate(HAS_OUTLINE), f"no focus to be seen: {place}"
        box = page.evaluate("(({top, bottom}) => [top, bottom])(document.activeElement.getBoundingClientRect())")
        assert box[1] > 0, f"off the screen: {place}"
        assert box[0] < page.evaluate("innerHeight"), f"off the screen: {place}"
        if wanted.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"not reached by {MOST_TABS} steps")


def press(page: Page, wanted: Locator) -> None:
    go_to(page, wanted)
    enter(page, leads_on=wanted.evaluate("each => !each.matches('summary, .skip')"))


def enter(page: Page, *, leads_on: bool = True) -> None:
    """Press Enter, and wait for the page to which it leads."""
    if not leads_on:
        page.keyboard.press("Enter")
        return
    with page.expect_navigation():
        page.keyboard.press("Enter")


def type_in(page: Page, wanted: Locator, text: str) -> None:
    go_to(page, wanted)
    page.keyboard.type(text)


def log_in(page: Page, name: str) -> None:
    page.goto("/")
    page.bring_to_front()
    type_in(page, page.get_by_label("Username or National ID"), name)
    type_in(page, page.get_by_label("Password"), PASSWORD)
    enter(page)


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_patient_reads_filters_shares_and_leaves_by_keyboard(
    open_page: OpenPage, alice: Patient, viewport: dict[str, int], javascript: bool
) -> None:
    page = open_page(viewport=viewport, javascript=javascript)
    log_in(page, "alice")
    expect(page.get_by_role("heading", name="Allergies")).to_be_visible()
    press(page, page.get_by_role("link", name="History", exact=True))
    press(page, page.get_by_role("link", name="Skip to the content"))
    press(page, page.locator("summary", has_text="Filter by kind, hospital, date"))
    go_to(page, page.locator("#id_category"))
    page.keyboard.press("T")  # as far as "Test results"
    press(page, page.get_by_role("button", name="Apply the filters"))
    assert "category=test" in page.url
    press(page, page.get_by_role("link", name="HbA1c"))
    expect(page.get_by_role("heading", name="Why am I seeing this?")).to_be_visible()
    assert page.evaluate(OUT_OF_ORDER) == 0
    press(page, page.get_by_role("link", name="Share", exact=True))
    press(page, page.get_by_role("button", name="Make the link"))
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
    press(page, page.get_by_role("button", name="End this link"))
    press(page, page.get_by_role("link", name="Permissions", exact=True))
    press(page, page.locator("summary", has_text="Let somebody in"))
    press(page, page.get_by_role("button", name="Log out"))
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()


def test_a_doctor_finds_reads_and_leaves_by_keyboard(open_page: OpenPage, alice: Patient) -> None:
    page = open_page(viewport=DESKTOP)
    log_in(page, "doctor")
    type_in(page, page.get_by_label("National ID"), NUMBER)
    enter(page)
    expect(page.get_by_text("your hospital has written in it")).to_be_visible()
    press(page, page.get_by_role("link", name="Consultation", exact=True))
    expect(page.get_by_role("heading", name="What is missing or late")).to_be_visible()
    press(page, page.get_by_role("link", name="Find another"))
    press(page, page.get_by_role("button", name="Log out"))
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
