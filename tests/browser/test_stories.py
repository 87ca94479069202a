"""Failures that happened to others, seen in a browser."""

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from passport.models import Patient
from tests.browser import test_walks
from tests.browser.conftest import DESKTOP, OpenPage
from tests.browser.test_walks import check, log_in
from tests.records import Chart, make_account, make_hospital, make_patient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.slow]
alice = test_walks.alice  # fixture

N_GROUPS, N_MEMBERS = 12, 27


def test_a_group_of_obs_is_one_card_and_each_member_stands_on_one_page(
    open_page: OpenPage, transactional_db: None
) -> None:
    """T53: 324 obs in 12 groups: neither one card with all of them nor a card for each."""
    cache.clear()
    now = timezone.now()
    patient = make_patient(national_id="1199070098765432", username="somebody", now=now)
    chart = Chart(patient=patient, hospital=make_hospital(name="Kigali District Hospital", now=now), now=now)
    for group in range(N_GROUPS):
        at = chart.moment(group, "08:00:00")
        visit_id = chart.visit(title="Ward round", at=at)
        for member in range(N_MEMBERS):
            chart.add(
                concept=f"Question {group}-{member}", value="Yes", at=at, visit_id=visit_id, group_id=9000 + group
            )
    chart.save()
    page = open_page(viewport=DESKTOP)
    log_in(page, "somebody")
    page.get_by_role("link", name="History", exact=True).click()
    n_pages, sizes, names = 0, [], []
    while True:
        n_pages += 1
        page.wait_for_load_state("load")
        for panel in page.locator(".panel").all():
            sizes.append(panel.locator(".line").count())
        names += [name for name in page.locator(".line-name").all_inner_texts() if name.startswith("Question")]
        older = page.get_by_role("link", name="Older")
        if older.count() == 0:
            break
        older.click()
    assert sizes == [N_MEMBERS] * N_GROUPS
    assert len(names) == len(set(names)) == N_GROUPS * N_MEMBERS
    assert n_pages > 1


def test_who_has_no_right_reads_that_and_never_an_empty_history(open_page: OpenPage, alice: Patient) -> None:
    """T67: in Chromium, for every page of the record."""
    now = timezone.now()
    make_account(username="stranger", role="doctor", hospital=make_hospital(name="Far away", now=now))
    page = open_page()
    log_in(page, "stranger")
    expect(page.get_by_role("heading", name="Find a patient")).to_be_visible()
    for path in ("", "history/", "history/?category=test"):
        answer = page.goto(f"/patients/{alice.pk}/{path}")
        assert answer
        assert answer.status == 403
        expect(page.get_by_role("heading", name="You may not see this record")).to_be_visible()
        text = page.locator("main").inner_text()
        assert "That does not mean that nothing is recorded." in text
        assert not any(empty in text for empty in ("Nothing recorded yet", "Nothing fits", "No hospital has recorded"))
        check(page)
