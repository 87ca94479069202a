"""The filters of the history as links with counts: each keeps the others, none tells what is kept back."""

import datetime as dt
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport import history
from passport.access import Basis
from passport.access.scope import scope_for
from passport.history import Filters
from passport.models import Hide, Patient
from passport.models.record import Category
from tests.records import Chart, fill_with_many, make_hospital, make_patient, number, own_scope

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)


@pytest.fixture
def alice(settings: Any) -> Patient:
    """Two hospitals, three years, one value out of range; one entry without a date."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    patient = make_patient(national_id="1198180012345678", username="alice", now=NOW)
    for name, years in (("kigali", (2024, 2026)), ("remera", (2025, 2026))):
        chart = Chart(patient=patient, hospital=make_hospital(name=name.title(), code=name, now=NOW), now=NOW)
        for year in years:
            chart.add(concept="Créatinine", at=f"{year}-03-01 08:00:00", **number(year - 2020, "x", 4, 5))
            chart.add(concept="Note", value="x", category="other", at=f"{year}-03-01 08:00:00")
        chart.save()
    chart.add(concept="Blood group", value="O+", at=None)
    chart.records[-1].save()
    chart.add(concept="Withdrawn", value="W", at="2026-03-01 08:00:00", status="withdrawn")
    chart.records[-1].save()
    return patient


def counts(patient: Patient, **filters: Any) -> tuple[dict[str, int], dict[str, int], dict[str, int], int]:
    found = history.visits_page(scope=own_scope(patient), filters=Filters(**filters)).facets
    return dict(found.hospitals), dict(found.categories), dict(found.years), found.n_flagged


def test_each_count_is_of_the_current_entries(alice: Patient) -> None:
    assert counts(alice) == (
        {"kigali": 4, "remera": 5},
        {"test": 5, "other": 4},
        {"2026": 4, "2025": 2, "2024": 2},
        2,  # 6 in 2026, at both
    )


def test_each_count_honours_the_other_filters_and_not_its_own(alice: Patient) -> None:
    assert counts(alice, hospital="kigali", category=Category.TEST) == (
        {"kigali": 2, "remera": 3},
        {"test": 2, "other": 2},
        {"2026": 1, "2024": 1},
        1,
    )


def test_words_are_found_without_accents_and_capitals(alice: Patient) -> None:
    assert counts(alice, q="CREATININE")[1] == {"test": 4}


def test_only_what_is_out_of_range_is_listed_when_asked_for(alice: Patient) -> None:
    page = history.visits_page(scope=own_scope(alice), filters=Filters(is_flagged=True))
    values = [
        entry.record.value
        for visit in page.results
        for group in visit.groups
        for block in group.blocks
        for entry in block.entries
    ]
    assert values == ["6", "6"]
    listed = history.records_page(scope=own_scope(alice), filters=Filters(is_flagged=True))
    assert [record.value for record in listed.results] == ["6", "6"]


def test_what_is_kept_back_is_in_no_count(alice: Patient) -> None:
    Hide.objects.create(patient=alice, kind="category", category="test", created_at=NOW)
    found = history.visits_page(scope=scope_for(patient=alice, basis=Basis.GRANT)).facets
    assert found.categories == {"other": 4}
    assert found.n_flagged == 0


def test_the_links_keep_the_other_filters_and_undo_their_own(alice: Patient) -> None:
    client = Client()
    client.force_login(alice.user)
    page = unescape(client.get(reverse("own_history") + "?q=crea&hospital=kigali").content.decode())
    links = {
        words: (url, int(n))
        for url, words, n in re.findall(
            r'<a class="choice" href="([^"]*)"[^>]*>(?:<svg.*?</svg>)?<span>([^<]*)</span>'
            r' <span class="choice-n">(\d+)',
            page,
        )
    }
    assert links["Remera"] == ("/history/?q=crea&hospital=remera", 2)
    assert links["Kigali"] == ("/history/?q=crea", 2)
    assert links["Out of range only"] == ("/history/?q=crea&hospital=kigali&flagged=1", 1)
    assert links["2024"] == ("/history/?q=crea&hospital=kigali&from=2024-01-01&to=2024-12-31", 1)


def test_the_counts_take_as_many_queries_for_a_long_history(alice: Patient, django_assert_num_queries: Any) -> None:
    scope = own_scope(alice)
    with django_assert_num_queries(4):
        history.visits_page(scope=scope, filters=Filters(q="note"))
    chart = Chart(patient=alice, hospital=make_hospital(name="Third", now=timezone.now()), now=NOW)
    fill_with_many(chart, n_records=300)
    chart.save()
    with django_assert_num_queries(4):
        history.visits_page(scope=scope, filters=Filters(q="note"))
