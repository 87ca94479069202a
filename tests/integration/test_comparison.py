"""A held match side by side: what agrees and what differs, without a name, and written down."""

import datetime as dt

import pytest
from django.test import Client

from hospitals.models import Hospital
from passport.models import AuditEvent, Link, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]
NUMBER = "1198070012345678"


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def held(site: Site) -> Link:
    """A woman there with the number of a man here, born in the same year."""
    world.register(NUMBER, sex="M", birth_date=dt.date(1980, 5, 1))
    site.pretend.add_person(national_id=NUMBER, sex="F", birth_date=dt.date(1980, 7, 1))
    site.sync()
    return Link.objects.get(state="held")


def page(alice: Client, link: Link, what: str = "?compare=1") -> str:
    return " ".join(alice.get(f"/admin/passport/link/{link.pk}/change/{what}").content.decode().split())


def test_what_agrees_and_what_differs_stands_side_by_side(alice: Client, kigali: Site) -> None:
    link = held(kigali)
    shown = page(alice, link)
    assert "female</td>" in shown
    assert "✗ differs" in shown
    assert shown.count("✓ agrees") == 2
    assert NUMBER not in shown
    event = AuditEvent.objects.get(action="match_compared")
    assert event.details == {"link": str(link.pk)}


def test_the_hospital_is_not_asked_before_somebody_wants_it(alice: Client, kigali: Site) -> None:
    shown = page(alice, held(kigali), "")
    assert "agrees" not in shown
    assert not AuditEvent.objects.filter(action="match_compared").exists()


def test_a_hospital_that_does_not_answer_is_a_sentence(alice: Client, kigali: Site) -> None:
    link = held(kigali)
    Hospital.objects.filter(pk=kigali.hospital.pk).update(port=1)
    assert "Not compared." in page(alice, link)
