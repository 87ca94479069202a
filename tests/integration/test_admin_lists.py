"""Lists of the admin with nothing in them."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.records import make_account

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
