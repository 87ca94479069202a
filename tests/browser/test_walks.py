"""What people do with the pages, in a real browser."""

import datetime as dt
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect

from passport.models import Patient
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.records import (
    PASSWORD,
    Chart,
    fill_district_hospital,
    fill_health_centre,
    fill_oddly,
    fill_with_many,
    make_account,
    make_hospital,
    make_patient,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

NUMBER = "1198180012345678"
LARGEST_FIRST_LOAD = 80_000  # bytes, uncompressed


@pytest.fixture
def alice(transactional_db: None) -> Patient:
    """Two hospitals have written about her, a third is not reached; a doctor works at the first."""
    cache.clear()
    now = timezone.now()
    patient = make_patient(national_id=NUMBER, username="alice", now=now)
    district = make_hospital(name="Kigali District Hospital", now=now)
    for hospital, fill in (
        (district, fill_district_hospital),
        (make_hospital(name="Remera Health Centre", now=now), fill_health_centre),
    ):
        chart = Chart(patient=patient, hospital=hospital, now=now)
        fill(chart)
        chart.save()
    make_hospital(name="Kibagabaga", now=now, reached_ago=dt.timedelta(days=4))
    make_account(username="doctor", role="doctor", hospital=district)
    return patient


def chart_of_somebody(fill: Any, **sizes: int) -> None:
    """A patient `somebody` whose one hospital wrote what `fill` says."""
    cache.clear()
    now = timezone.now()
    patient = make_patient(national_id="1199070098765432", username="somebody", given_name="", family_name="", now=now)
    chart = Chart(patient=patient, hospital=make_hospital(name="Kigali District Hospital", now=now), now=now)
    fill(chart, **sizes)
    chart.save()


def log_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("Username or National ID").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def check(page: Page) -> None:
    """Nothing that axe finds, and nothing wider than the screen."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_patient_reads_filters_opens_an_entry_and_leaves(
    open_page: OpenPage, alice: Patient, viewport: dict[str, int], scheme: str
) -> None:
    page = open_page(viewport=viewport, scheme=scheme)
    page.goto("/")
    check(page)
    log_in(page, "alice")
    expect(page.get_by_role("heading", name="Allergies")).to_be_visible()
    check(page)
    page.get_by_role("link", name="History", exact=True).click()
    check(page)
    page.get_by_text("Filter by kind, hospital, date").click()
    check(page)
    page.locator("#id_category").select_option("test")
    page.get_by_role("button", name="Apply the filters").click()
    assert "category=test" in page.url
    expect(page.get_by_text("HbA1c")).to_be_visible()
    expect(page.get_by_text("Metformin")).to_have_count(0)
    page.get_by_role("link", name="HbA1c").click()
    expect(page.get_by_role("heading", name="Why am I seeing this?")).to_be_visible()
    check(page)
    page.get_by_role("link", name="Who looked").click()
    check(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
    check(page)
    page.go_back()
    expect(page.get_by_text("Uwimana")).to_have_count(0)


def test_everything_works_without_javascript(open_page: OpenPage, alice: Patient) -> None:
    page = open_page(javascript=False)
    log_in(page, NUMBER)
    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_label("Search for words").fill("glucose")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Fasting glucose")).to_be_visible()
    page.get_by_role("link", name="remove this filter").click()
    page.get_by_role("link", name="Potassium").click()
    expect(page.get_by_text("critically high")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.go_back()
    expect(page.get_by_text("Uwimana")).to_have_count(0)


def test_a_doctor_finds_a_patient_and_reads(open_page: OpenPage, alice: Patient) -> None:
    page = open_page(viewport=DESKTOP)
    log_in(page, "doctor")
    check(page)
    page.get_by_label("National ID").fill("0000 1111")
    page.get_by_role("button", name="Open the record").click()
    expect(page.get_by_role("alert")).to_contain_text("No record can be opened with this number")
    check(page)
    page.get_by_label("National ID").fill(NUMBER)
    page.get_by_role("button", name="Open the record").click()
    expect(page.get_by_text("your hospital has written in it")).to_be_visible()
    assert NUMBER not in page.url + page.title()
    check(page)
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.get_by_text("Non-communicable diseases clinic")).to_be_visible()
    check(page)


def test_a_new_record_appears_by_itself_and_says_so(open_page: OpenPage, alice: Patient) -> None:
    page = open_page()
    log_in(page, "alice")
    page.get_by_role("link", name="History", exact=True).click()
    now = timezone.now()
    chart = Chart(patient=alice, hospital=make_hospital(name="Butaro", now=now), now=now)
    chart.add(concept="Newborn screening", value="Done", at=chart.moment(0, "08:00:00"))
    chart.save()
    expect(page.get_by_text("Newborn screening")).to_be_visible(timeout=40_000)
    expect(page.get_by_role("status").first).to_contain_text("brought up to date")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_odd_data_stays_on_the_page(open_page: OpenPage, transactional_db: None, viewport: dict[str, int]) -> None:
    chart_of_somebody(fill_oddly)
    page = open_page(viewport=viewport)
    log_in(page, "somebody")
    check(page)
    page.get_by_role("link", name="History", exact=True).click()
    check(page)
    page.get_by_role("link", name="Unbroken").click()
    check(page)


def test_three_thousand_records_come_page_by_page(open_page: OpenPage, transactional_db: None) -> None:
    chart_of_somebody(fill_with_many, n_records=3000)
    page = open_page()
    log_in(page, "somebody")
    page.get_by_role("link", name="History", exact=True).click()
    first = page.locator(".stamp").first.inner_text()
    page.get_by_role("link", name="Older").click()
    assert page.locator(".stamp").first.inner_text() != first
    page.get_by_role("link", name="Newest").click()
    assert page.locator(".stamp").first.inner_text() == first


def test_the_first_load_is_small(open_page: OpenPage, alice: Patient) -> None:
    page = open_page()
    log_in(page, "alice")
    page.wait_for_load_state("networkidle")
    sizes = page.evaluate(
        """() => Object.fromEntries(
            [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .map(entry => [entry.name, entry.decodedBodySize]))"""
    )
    assert len(sizes) >= 4  # the page, its style, its icons, its script
    assert sum(sizes.values()) < LARGEST_FIRST_LOAD
    assert all("127.0.0.1" in url or "localhost" in url for url in sizes)


def test_one_can_walk_by_keyboard_alone(open_page: OpenPage, alice: Patient) -> None:
    page = open_page(viewport=DESKTOP)
    log_in(page, "alice")
    expect(page.get_by_role("link", name="Penicillin")).to_be_visible()
    page.wait_for_load_state("load")
    page.bring_to_front()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Penicillin")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Penicillin")).to_be_visible()


def test_a_doctor_sets_up_one_time_codes(open_page: OpenPage, alice: Patient, settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    page = open_page()
    log_in(page, "doctor")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    check(page)
