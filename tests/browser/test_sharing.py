"""A shared link in Chromium: made by the patient, opened by somebody without a login, at both sizes and colours."""

import datetime as dt
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect

from passport.models import Share
from passport.sharing import content, links, shares
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.test_walks import log_in
from tests.records import Chart, fill_district_hospital, fill_oddly, make_hospital, make_patient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def made(settings: Any) -> shares.Made:
    cache.clear()
    now = timezone.now()
    hospital = make_hospital(name="Kigali District Hospital", code="kigali", now=now)
    alice = make_patient(national_id="1198180012345678", username="alice", now=now)
    chart = Chart(patient=alice, hospital=hospital, now=now)
    fill_district_hospital(chart)
    fill_oddly(chart)
    chart.save()
    return shares.make_share(
        patient=alice, actor=alice.user, wish=content.Wish(), ends_at=now + dt.timedelta(days=1), now=now
    )


def address_of(made: shares.Made, base: str) -> str:
    page = f"{base}/s/{made.share.token}/"
    return links.link_to(made.share, page=page, manifest=f"{page}manifest/")


def unlock(page: Page, passcode: str) -> None:
    page.get_by_label("Your name and where you work").fill("Dr Mugisha, Nairobi")
    page.get_by_label("Passcode").fill(passcode)
    page.get_by_role("button", name="Open the summary").click()


@pytest.mark.parametrize("viewport, scheme", [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")])
def test_a_recipient_opens_a_link(
    viewport: dict[str, int], scheme: str, open_page: OpenPage, live_server: Any, made: shares.Made
) -> None:
    page = open_page(viewport=viewport, scheme=scheme)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(f"{request.url} {request.post_data or ''}"))
    page.goto(address_of(made, live_server.url))
    unlock(page, "no")
    expect(page.get_by_role("alert")).to_contain_text("Tries that are left: 4")
    unlock(page, made.passcode)
    expect(page.get_by_role("heading", name="Claudine Uwimana")).to_be_visible()
    for words in ("Penicillin", "Metformin", "9.1 %", "usual range 4 to 6.5", "Kigali District Hospital"):
        expect(page.get_by_text(words).first).to_be_visible()
    # both numbers of one measurement, and what is said of them
    pressure = page.locator(".line", has_text="Blood pressure")
    expect(pressure.locator(".line-value")).to_have_text("148/92 mmHghigh")
    expect(pressure).to_contain_text("usual range 90 to 130 / 60 to 85")
    # what hospitals write stays text
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    key = links.open_sealed(made.share.key_sealed)
    assert not [each for each in requested if key in each]
    assert key not in page.url


def test_a_link_that_was_cut_or_has_ended_says_so(open_page: OpenPage, live_server: Any, made: shares.Made) -> None:
    page = open_page()
    page.goto(address_of(made, live_server.url)[:-60])
    expect(page.get_by_role("alert")).to_contain_text("This link is not complete")
    Share.objects.update(ended_at=timezone.now())
    page.goto("about:blank")
    page.goto(address_of(made, live_server.url))
    unlock(page, made.passcode)
    expect(page.get_by_role("alert")).to_contain_text("This link is not open")


def test_without_javascript_the_page_says_what_to_do(open_page: OpenPage, live_server: Any, made: shares.Made) -> None:
    page = open_page(javascript=False)
    page.goto(address_of(made, live_server.url))
    expect(page.get_by_text("This one page needs JavaScript")).to_be_visible()
    expect(page.get_by_role("button", name="Open the summary")).to_be_hidden()


def test_the_link_is_copied_by_one_press(open_page: OpenPage, made: shares.Made) -> None:
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(page, "alice")
    expect(page.get_by_role("heading", name="Allergies")).to_be_visible()
    page.goto("/share/")
    page.get_by_role("button", name="Make the link").click()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".share-link").inner_text()
    assert "#shlink:/" in copied
