"""Asking for a correction and choosing notices in Chromium: both sizes and colours, with and without JavaScript."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from passport.corrections import answering
from passport.models import CorrectionRequest, Record, User
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.records import PASSWORD, Chart, fill_district_hospital, make_account, make_hospital, make_patient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def key(settings: Any) -> str:
    """Of an entry of Alice's."""
    cache.clear()
    settings.PUBLIC_URL = "https://passport.example.org"
    settings.SMS_BACKEND = "passport.sms.ConsoleBackend"
    now = timezone.now()
    hospital = make_hospital(name="Kigali District Hospital", code="kigali", now=now)
    alice = make_patient(national_id="1198180012345678", username="alice", now=now)
    User.objects.filter(username="alice").update(email="alice@example.org", phone="+250 788 000 111")
    chart = Chart(patient=alice, hospital=hospital, now=now)
    fill_district_hospital(chart)
    chart.save()
    return Record.objects.get(concept="HbA1c").key


def log_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("Username or National ID").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def fits(page: Page, name: str) -> None:
    """Nothing sticks out. Where SHOTS names a folder, the page is kept there to be looked at."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SHOTS"):
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.screenshot(path=Path(folder, f"{name}-{width}-{'dark' if dark else 'light'}.png"), full_page=True)


@pytest.mark.parametrize(
    "viewport, scheme, javascript",
    [(PHONE, "light", False), (PHONE, "dark", True), (DESKTOP, "light", True), (DESKTOP, "dark", False)],
)
def test_a_patient_asks_and_reads_the_answer(
    viewport: dict[str, int], scheme: str, javascript: bool, open_page: OpenPage, key: str
) -> None:
    page = open_page(viewport=viewport, scheme=scheme, javascript=javascript)
    log_in(page, "alice")
    page.goto(reverse("own_record", args=[key]))
    fits(page, "record")
    page.get_by_role("link", name="Something is wrong here").click()
    page.get_by_role("button", name="Ask for a correction").click()
    expect(page.get_by_text("Choose what is wrong from the list.")).to_be_visible()
    fits(page, "form")
    page.get_by_label("What it says is wrong").check()
    page.get_by_label("What should it say?").fill("It was 6.1, the doctor told me on the telephone. " * 4)
    page.get_by_role("button", name="Ask for a correction").click()
    expect(page.get_by_role("heading", name="Corrections asked for")).to_be_visible()
    expect(page.get_by_text("It stands in the hospital's list")).to_be_visible()
    fits(page, "waiting")
    request = CorrectionRequest.objects.get()
    boss = make_account(username="boss", role="admin")
    words = "We looked it up in the laboratory's book. You are right, and it will be put right this week."
    answering.answer(request=request, actor=boss, outcome="answered", words=words, now=timezone.now())
    page.reload()
    expect(page.get_by_text(words)).to_be_visible()
    fits(page, "answered")
    page.goto(reverse("own_record", args=[key]))
    expect(page.get_by_text("The hospital answered.")).to_be_visible()
    fits(page, "record-answered")


@pytest.mark.parametrize("viewport, scheme, javascript", [(PHONE, "light", False), (DESKTOP, "dark", True)])
def test_a_patient_chooses_notices(
    viewport: dict[str, int], scheme: str, javascript: bool, open_page: OpenPage, key: str
) -> None:
    page = open_page(viewport=viewport, scheme=scheme, javascript=javascript)
    log_in(page, "alice")
    page.goto(reverse("account_contact"))
    page.get_by_label("By SMS to +250 788 000 111").check()
    page.get_by_role("button", name="Keep this choice").click()
    expect(page.get_by_text("You are told when there is something new.")).to_be_visible()
    expect(page.get_by_label("By SMS to +250 788 000 111")).to_be_checked()
    fits(page, "contact")
    page.goto(reverse("stop_notices", args=["x" * 38]))
    fits(page, "stop")
    page.get_by_role("button", name="Send me no more of them").click()
    expect(page.get_by_text("You get no more of them.")).to_be_visible()
