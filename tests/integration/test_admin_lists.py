"""Lists of the admin with nothing in them, and with much."""

import re
from collections.abc import Iterable

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hospitals.models import Hospital
from passport.models import Link
from tests.records import make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db

LISTS = sorted(
    (model._meta.app_label, model._meta.model_name)
    for model in admin.site._registry
    if model._meta.model_name not in {"controlstate", "receiptday"}  # pages of their own
)


@pytest.fixture
def grace(client: Client) -> Client:
    client.force_login(make_account(username="grace", role="admin", is_superuser=True))
    return client


@pytest.mark.parametrize("app, model", LISTS)
def test_a_list_with_nothing_in_it_is_a_sentence(app: str, model: str, grace: Client) -> None:
    told = grace.get(reverse(f"admin:{app}_{model}_changelist")).content.decode()

    assert ('class="list-empty"' in told) != ('id="result_list"' in told)


def test_an_empty_list_says_what_comes_first(grace: Client) -> None:
    told = grace.get(reverse("admin:hospitals_hospital_changelist")).content.decode()

    assert "Add the first one" in told


def test_what_was_chosen_and_leaves_nothing_says_so(grace: Client) -> None:
    told = grace.get(reverse("admin:passport_link_changelist"), {"state__exact": "held"}).content.decode()

    assert "Nothing fits what is chosen above." in told
    assert "Nobody is matched yet" not in told


@pytest.mark.parametrize("app, model", [("passport", "user"), ("hospitals", "hospital"), ("passport", "glossaryterm")])
def test_the_way_back_names_a_list_as_its_own_page_does(app: str, model: str, grace: Client) -> None:
    listed = reverse(f"admin:{app}_{model}_changelist")
    heading = re.search(r"<h1>(.*?)</h1>", grace.get(listed).content.decode(), re.S)
    page = grace.get(reverse(f"admin:{app}_{model}_add")).content.decode()
    way = page[page.index('class="breadcrumbs"') :].partition("</div>")[0]
    assert heading is not None
    assert f'<a href="{listed}">{heading[1]}</a>' in way


def hold(hospital: Hospital, person_ids: Iterable[int]) -> None:
    now = timezone.now()
    Link.objects.bulk_create(
        Link(
            hospital=hospital,
            person_id=person_id,
            person_uuid=f"uuid-{person_id}",
            patient=make_patient(national_id=f"119908{person_id:010}", now=now),
            state="held",
            reason="two_patients",
            created_at=now,
            state_changed_at=now,
        )
        for person_id in person_ids
    )


def test_fifty_held_matches_stand_on_one_page_for_the_queries_of_two(grace: Client) -> None:
    hospital = make_hospital(name="Kigali", now=timezone.now())
    address = reverse("admin:passport_link_changelist") + "?state__exact=held"
    queries = []
    for person_ids in (range(1, 3), range(3, 51)):
        hold(hospital, person_ids)
        with CaptureQueriesContext(connection) as asked:
            told = grace.get(address).content.decode()
        queries.append(len(asked))

    assert told.count('data-label="Hospital"') == 50
    assert queries[0] == queries[1]
