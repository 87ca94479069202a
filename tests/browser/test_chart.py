"""Stories about pages, told in a real browser: groups, odd data, and a missing right."""

import datetime as dt
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from passport.models import AccessGrant, Patient
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.test_walks import alice, chart_of_somebody, check, log_in  # noqa: F401 - a fixture
from tests.records import Chart, fill_oddly, fill_with_many, make_account, make_hospital

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]

LARGEST_FIRST_LOAD = 100_000  # bytes, uncompressed: page, style, icons, script


def fill_with_panels(chart: Chart) -> None:
    """324 obs in 27 groups of one visit."""
    at = chart.moment(2, "09:00:00")
    visit_id = chart.visit(title="Laboratory", at=at)
    for index in range(324):
        group = index // 12
        details = {"group": f"Panel {group}"}
        chart.add(concept=f"Part {index}", value="1", at=at, visit_id=visit_id, group_id=group + 1, details=details)


def test_many_obs_are_one_visit_and_each_group_one_card(open_page: OpenPage, transactional_db: None) -> None:
    """T53: the visit is longer than a page, so it goes on on the next; no card is torn."""
    chart_of_somebody(fill_with_panels)
    page = open_page()
    log_in(page, "somebody")
    page.get_by_role("link", name="History", exact=True).click()
    titles: list[str] = []
    for _page in range(20):
        expect(page.locator(".visit")).to_have_count(1)
        panels = page.locator(".visit .panel")
        assert [panel.locator(".line").count() for panel in panels.all()] == [12] * panels.count()
        titles += panels.locator("h5").all_inner_texts()
        onward = page.get_by_role("link", name="Show the rest of this visit")
        if not onward.count():
            break
        onward.click()
    assert sorted(titles) == sorted(f"Panel {index}" for index in range(27))


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_odd_data_breaks_no_page_and_says_that_a_date_is_missing(
    open_page: OpenPage, transactional_db: None, viewport: dict[str, int]
) -> None:
    """T63: `open_page` fails when the console has complained."""
    chart_of_somebody(fill_oddly)
    page = open_page(viewport=viewport)
    log_in(page, "somebody")
    check(page)
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.get_by_role("heading", name="Without a date")).to_be_visible()
    check(page)
    page.get_by_role("navigation", name="Years").get_by_role("link").last.click()
    expect(page.get_by_text("Blood group")).to_be_visible()
    check(page)


def test_a_missing_right_never_reads_as_no_data(open_page: OpenPage, alice: Patient) -> None:  # noqa: F811
    """T67"""
    make_account(username="stranger", role="doctor", hospital=make_hospital(name="Butaro", now=timezone.now()))
    page = open_page()
    log_in(page, "stranger")
    for part in ("", "history/", "consultation/"):
        answer = page.goto(f"/patients/{alice.pk}/{part}")
        assert answer is not None
        assert answer.status == 403
        text = page.locator("main").inner_text()
        assert not any(words in text for words in ("Nothing recorded", "No hospital", "Uwimana"))
        check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_doctor_has_one_screen_for_a_consultation(
    open_page: OpenPage,
    alice: Patient,  # noqa: F811
    viewport: dict[str, int],
    scheme: str,
) -> None:
    now = timezone.now()
    doctor = make_account(username="visitor", role="doctor", hospital=make_hospital(name="Butaro", now=now))
    AccessGrant.objects.create(patient=alice, doctor=doctor, created_at=now, ends_at=now + dt.timedelta(hours=1))
    page = open_page(viewport=viewport, scheme=scheme)
    log_in(page, "visitor")
    page.goto(f"/patients/{alice.pk}/consultation/")
    missing = page.get_by_role("heading", name="What is missing or late")
    expect(missing).to_be_visible()
    above = page.get_by_role("heading", name="Allergies").bounding_box()
    found = missing.bounding_box()
    assert above is not None
    assert found is not None
    assert found["y"] <= above["y"] + 5  # beside it, or before it where there is one column
    expect(page.get_by_role("button", name="Read afresh from all hospitals")).to_be_visible()
    check(page)


@pytest.mark.parametrize("n_records", [3000, 12_000])
def test_the_first_load_of_a_page_is_small_however_long_the_history(
    open_page: OpenPage, transactional_db: None, n_records: int
) -> None:
    def fill(chart: Chart, **_sizes: Any) -> None:
        fill_with_many(chart, n_records=n_records)

    chart_of_somebody(fill)
    page = open_page()
    log_in(page, "somebody")
    for address in ("/", "/history/", "/history/?q=glucose&flagged=1", "/results/", "/medicines/"):
        cache.clear()
        page.goto(address, wait_until="networkidle")
        sizes = page.evaluate(
            """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                .map(entry => entry.decodedBodySize)"""
        )
        assert len(sizes) >= 3
        assert sum(sizes) < LARGEST_FIRST_LOAD, address
