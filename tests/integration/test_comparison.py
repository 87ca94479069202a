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


def test_both_sides_stand_beside_each_other_with_what_a_decision_means(alice: Client, kigali: Site, huye: Site) -> None:
    link = held(kigali)
    person = huye.pretend.add_person(national_id=NUMBER, sex="M", birth_date=dt.date(1980, 5, 1))
    huye.pretend.add_obs(person, "weight", 60.0)
    huye.sync()
    shown = page(alice, link, "")
    assert "Because one of the two is recorded as male, the other as female" in shown
    assert "Nothing of this person is shown to anybody until somebody decides" in shown
    assert f"<dd>{link.person_uuid}</dd>" in shown.replace("<dd> ", "<dd>").replace(" </dd>", "</dd>")
    assert f"{huye.hospital.name}, 1 row" in shown
    assert shown.count('name="verdict"') == 2
    assert NUMBER not in shown


def test_one_held_match_leads_to_the_next(alice: Client, kigali: Site) -> None:
    link = held(kigali)
    assert "1 held match waits for a decision. </p>" in page(alice, link, "")
    for number in range(2):
        Link.objects.create(
            hospital=kigali.hospital,
            person_id=900 + number,
            person_uuid=f"uuid-{number}",
            patient=link.patient,
            created_at=link.created_at,
            state="held",
            reason="sex_differs",
            state_changed_at=link.state_changed_at + dt.timedelta(minutes=number + 1),
        )
    following = Link.objects.get(person_id=900)
    shown = page(alice, link, "")
    assert "3 held matches wait for a decision" in shown
    assert f"/admin/passport/link/{following.pk}/change/" in shown


def test_two_candidates_are_two_cards_and_one_is_chosen(alice: Client, kigali: Site) -> None:
    link = held(kigali)
    other = world.register("1198080087654321", sex="F")
    Link.objects.filter(pk=link.pk).update(candidates=[str(link.patient_id), str(other.pk)], reason="two_patients")
    shown = page(alice, link, "")
    assert "Our patient 2" in shown
    assert shown.count('type="radio" name="patient"') == 2
