"""Pages that nobody sees by opening their address alone: behind a code, a password just given, a link just made."""

import time
from typing import Any

import pytest
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Page, expect

from passport import claiming
from passport.models import Patient
from tests.browser import test_walks
from tests.browser.conftest import OpenPage
from tests.browser.faults import faults
from tests.browser.test_walks import NUMBER, log_in
from tests.records import PASSWORD, make_account

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]
alice = test_walks.alice  # fixture


def look(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading).first).to_be_visible()
    assert list(faults(page)) == []


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
def test_a_patient_takes_their_passport_with_a_code_from_the_desk(
    open_page: OpenPage, alice: Patient, javascript: bool
) -> None:
    admin = make_account(username="admin", role="admin")
    code = claiming.issue_code(patient=alice, actor=admin, now=timezone.now())
    page = open_page(javascript=javascript)
    page.goto("/claim/")
    page.get_by_label("National ID").fill(NUMBER)
    page.get_by_label("Birth date").fill("1981-03-14")
    page.get_by_label("Code from the hospital's desk").fill(code)
    page.get_by_role("button", name="Continue").click()
    if javascript:  # axe is a script
        look(page, "Choose a password")
    page.locator("input[name=new]").fill("four hills and a long river")
    page.locator("input[name=again]").fill("four hills and a long river")
    if (agrees := page.locator("input[type=checkbox]")).count():
        agrees.check()
    page.get_by_role("button", name="Open my passport").click()
    expect(page.get_by_role("heading", name="Allergies")).to_be_visible()


def test_one_time_codes_are_set_up_renewed_and_asked_for(open_page: OpenPage, alice: Patient, settings: Any) -> None:
    page = open_page()
    log_in(page, "alice")
    page.goto("/account/codes/")
    look(page, "Set up one-time codes")
    device = TOTPDevice.objects.get(confirmed=False)
    page.get_by_label("Code", exact=False).first.fill(f"{totp(device.bin_key):06d}")
    page.locator("input[name=current]").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.locator(".codes").wait_for()
    assert list(faults(page)) == []
    for address in ("/account/codes/renew/", "/account/codes/renew/?end=1", "/account/"):
        page.goto(address)
        assert list(faults(page)) == []
    page.get_by_role("button", name="Log out").click()
    log_in(page, "alice")
    look(page, "One-time code")
    later = totp(device.bin_key, t0=int(-device.step - time.time() % 1))  # each code opens once
    page.locator("input[name=code]").fill(f"{later:06d}")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Allergies")).to_be_visible()


def test_a_link_that_was_just_made_and_a_code_on_the_card(open_page: OpenPage, alice: Patient) -> None:
    page = open_page()
    log_in(page, "alice")
    page.goto("/share/")
    page.get_by_role("button", name="Make the link").click()
    look(page, "Your link is ready")
    page.goto("/emergency-card/")
    page.get_by_role("button", name="Put a code on the card").click()
    page.locator(".pocket-qr").wait_for()
    look(page, "Emergency card")


def test_a_code_for_a_carer_is_shown_once(open_page: OpenPage, alice: Patient) -> None:
    page = open_page()
    log_in(page, "alice")
    page.goto("/permissions/")
    page.get_by_text("Invite somebody I trust").click()
    page.locator("form[action='/permissions/invite/'] input[name$=named]").fill("Ange")
    page.get_by_role("button", name="Make a code").click()
    page.locator(".big-code").wait_for()
    look(page, "Who may see my record")
    page.reload()
    expect(page.locator(".big-code")).to_have_count(0)
