"""Whose row it is: merges, numbers in many spellings, reissued numbers, two who write one link."""

import threading
import unicodedata
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from openmrs_sync import links, pipeline
from passport import history
from passport.models import Link, Patient, Record, User
from passport.registration import add_identifier, find_patient, normalise_national_id
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer
from tests.records import own_scope

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"
OLD_NUMBER = "119808001234567"


@pytest.fixture(params=["kigali", "huye"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def seen(site: Site, person: int, *values: float) -> list[int]:
    encounter = site.pretend.add_encounter(person)
    return [site.pretend.add_obs(person, "weight", value, encounter=encounter) for value in values]


def values_of(site: Site, patient: Patient) -> list[str]:
    return sorted(record.value for (table, _), record in world.shown(site.hospital, patient).items() if table == "obs")


# ------------------------------------------------------------------------------------------- merges


def test_after_a_merge_the_losers_number_still_leads_to_the_winners_history(site: Site) -> None:
    """T25: both numbers are the one patient's."""
    winner = site.add_holder(ALICE)
    patient = Patient.objects.get()
    add_identifier(patient=patient, national_id=OLD_NUMBER, actor=None, now=timezone.now())
    loser = site.pretend.add_person(national_id=OLD_NUMBER)
    seen(site, winner, 60.0)
    seen(site, loser, 70.0)
    site.sync()
    site.pretend.merge_patients(winner, loser)
    site.sync()
    assert values_of(site, patient) == ["60", "70"]
    assert world.link_of(site.hospital, loser).state != "linked"
    site.pretend.void_identifier(
        site.pretend.identifiers_of(winner)[0]
    )  # only the loser's number is left to the winner
    site.sync()
    assert values_of(site, patient) == ["60", "70"]


def test_a_merge_that_is_taken_back_by_hand_takes_the_rows_back(kigali: Site) -> None:
    """T25, T26: two passports' persons merged are held. OpenMRS has no unmerge: an administrator moves the rows."""
    winner, loser = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    alice, bob = (find_patient(national_id=number) for number in (ALICE, BOB))
    assert alice is not None
    assert bob is not None
    seen(kigali, winner, 60.0)
    theirs = kigali.pretend.add_encounter(loser)
    kigali.pretend.add_obs(loser, "weight", 70.0, encounter=theirs)
    kigali.sync()
    kigali.pretend.merge_patients(winner, loser)
    kigali.sync()
    assert world.link_of(kigali.hospital, winner).state == "held"
    assert not world.shown(kigali.hospital)
    kigali.pretend.unvoid_patient(loser)
    for identifier in kigali.pretend.identifiers_of(winner)[1:]:
        kigali.pretend.void_identifier(identifier)
    kigali.pretend.move_encounter(theirs, loser)
    kigali.sync()
    assert (values_of(kigali, alice), values_of(kigali, bob)) == (["60"], ["70"])
    assert world.verified(kigali.hospital).is_well


# ------------------------------------------------------------------------------------------- one number, many persons


def test_of_three_persons_with_one_number_who_agrees_is_linked_and_who_does_not_is_held_and_told(kigali: Site) -> None:
    """T29"""
    first = kigali.add_holder(ALICE)
    second = kigali.pretend.add_person(national_id=ALICE)
    third = kigali.pretend.add_person(national_id=ALICE, sex="M")
    for person, value in ((first, 60.0), (second, 61.0), (third, 62.0)):
        seen(kigali, person, value)
    kigali.sync()
    patient = Patient.objects.get()
    assert values_of(kigali, patient) == ["60", "61"]
    states = {person: world.link_of(kigali.hospital, person).state for person in (first, second, third)}
    assert states == {first: "linked", second: "linked", third: "held"}
    assert list(history.overview(scope=own_scope(patient), now=timezone.now()).may_hold_more) == ["Hospital 1"]


def test_a_reissued_number_at_one_hospital_and_the_old_one_at_another_are_one_passport(
    kigali: Site, huye: Site
) -> None:
    """T30"""
    seen(huye, huye.add_holder(OLD_NUMBER), 50.0)
    seen(kigali, kigali.pretend.add_person(national_id=ALICE), 60.0)
    for site in (huye, kigali):
        site.sync()
    patient = Patient.objects.get()
    assert (values_of(huye, patient), values_of(kigali, patient)) == (["50"], [])
    add_identifier(patient=patient, national_id=ALICE, actor=None, now=timezone.now())
    for site in (huye, kigali):
        site.sync(deep=False)
    assert (values_of(huye, patient), values_of(kigali, patient)) == (["50"], ["60"])


def test_a_corrected_number_trips_no_brake_however_long_the_history(kigali: Site) -> None:
    """T90: hidden with its link, and back with the next correction."""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, *range(30, 180))
    for number in range(20):
        kigali.add_holder(f"11990800{number:08d}")
    kigali.sync()
    (identifier,) = kigali.pretend.identifiers_of(person)
    kigali.pretend.change_identifier(identifier, "1199080099999999")
    kigali.sync()
    assert not kigali.values()
    kigali.pretend.change_identifier(identifier, ALICE)
    kigali.sync()
    assert len(kigali.values()) == 150


# ------------------------------------------------------------------------------------------- spellings

BETWEEN = st.sampled_from(["", " ", "-", "/", ".", "\u00a0", " - ", "\t"])


def full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if char.isdigit() else char for char in text)


@given(
    number=st.text(alphabet="0123456789ABCDEFXYZ", min_size=6, max_size=16).filter(lambda text: len(set(text)) > 2),
    marks=st.lists(BETWEEN, min_size=17, max_size=17),
    spell=st.sampled_from([str, str.lower, full_width]),
    before=st.sampled_from(["", "'", " ", "\ufeff", "\u200b"]),
)
def test_every_spelling_of_a_number_is_the_same_number(
    number: str, marks: list[str], spell: Callable[[str], str], before: str
) -> None:
    """T75: spaces, dashes, full-width digits, lower case, a spreadsheet's apostrophe."""
    written = before + "".join(char + mark for char, mark in zip(spell(number), marks, strict=False))
    assert normalise_national_id(written) == number
    assert normalise_national_id(unicodedata.normalize("NFD", written)) == number


def test_persons_whose_number_is_spelled_in_every_way_are_the_one_patient(kigali: Site) -> None:
    """T75"""
    world.register("1199ab0012345678")
    for written in ("1199 AB 0012 345 678", "'1199ab0012345678", "1199-AB-001234-5678", full_width("1199AB0012345678")):
        seen(kigali, kigali.pretend.add_person(national_id=written), 60.0)
    kigali.sync()
    assert len(values_of(kigali, Patient.objects.get())) == 4


# ------------------------------------------------------------------------------------------- one link


def test_a_person_at_a_hospital_has_one_link(kigali: Site) -> None:
    """T28"""
    person = kigali.add_holder(ALICE)
    kigali.sync()
    link = world.link_of(kigali.hospital, person)
    with pytest.raises(IntegrityError), transaction.atomic():
        Link.objects.create(
            hospital=kigali.hospital,
            person_id=person,
            person_uuid=link.person_uuid,
            patient=world.register(BOB),
            state="linked",
            created_at=timezone.now(),
            state_changed_at=timezone.now(),
        )
    assert Link.objects.get().patient_id == link.patient_id


@pytest.mark.django_db(transaction=True)
def test_six_who_ask_for_one_patient_at_once_make_one_link(kigali: Site) -> None:
    """T28"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    patient, found = Patient.objects.get(), []
    together = threading.Barrier(6)

    def ask() -> None:
        together.wait()
        found.append(pipeline.refresh_patient(hospital=kigali.hospital, patient=patient, now=timezone.now()).status)
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {"ok", "busy"}
    assert "ok" in found
    assert Link.objects.count() == 1
    assert values_of(kigali, patient) == ["60"]


# ------------------------------------------------------------------------------------------- what a digest must cover


def unvoid(site: Site, person: int, obs: int) -> None:
    site.pretend.unvoid_obs(obs)


def give_to_another_patient(site: Site, person: int, obs: int) -> None:
    world.register(BOB)
    site.pretend.change_identifier(site.pretend.identifiers_of(person)[0], BOB)
    site.pretend.unvoid_obs(obs)


def correct_the_zone(site: Site, person: int, obs: int) -> None:
    type(site.hospital).objects.filter(pk=site.hospital.pk).update(time_zone="Asia/Tokyo", config_version=2)


def rename(site: Site, person: int, obs: int) -> None:
    site.pretend.rename_concept("weight", "Body weight", in_place=True)


@pytest.mark.parametrize("change", [unvoid, give_to_another_patient, correct_the_zone, rename])
def test_what_leaves_the_source_row_as_it_is_changes_the_record_all_the_same(
    kigali: Site, change: Callable[[Site, int, int], None]
) -> None:
    """T85: a digest of the source row would skip each of these."""
    person = kigali.add_holder(ALICE)
    obs, other = seen(kigali, person, 60.0, 61.0)
    kigali.sync()
    kigali.pretend.void_obs(obs)
    kigali.sync()
    fields = ("key", "status", "link_id", "patient_id", "order_at", "concept")
    before = list(Record.objects.order_by("key").values(*fields))
    change(kigali, person, obs)
    kigali.sync()
    assert before != list(Record.objects.order_by("key").values(*fields))
    fresh = world.live_hospital(kigali.pretend.server, "kigali", number=2, code="fresh")
    kigali.hospital.refresh_from_db()
    type(fresh).objects.filter(pk=fresh.pk).update(time_zone=kigali.hospital.time_zone)
    world.synced(fresh)
    assert world.as_values(world.shown(kigali.hospital)) == world.as_values(world.shown(fresh))
    assert other in kigali.values()


def test_a_patient_that_a_human_chose_has_the_records_and_the_other_has_none(kigali: Site) -> None:
    """T85: linked anew by a decision, while no row moves."""
    person = kigali.add_holder(ALICE)
    bob = world.register(BOB)
    kigali.pretend.add_identifier(person, BOB)
    seen(kigali, person, 60.0)
    kigali.sync()
    ada = User.objects.create_user("ada", password=None, role="admin")
    link = world.link_of(kigali.hospital, person)
    assert link.state == "held"
    links.decide(link=link, verdict="same", actor=ada, now=timezone.now(), patient_id=bob.pk)
    kigali.sync(deep=False)
    assert values_of(kigali, bob) == ["60"]
    alice = Patient.objects.exclude(pk=bob.pk).get()
    assert values_of(kigali, alice) == []


def test_a_doctor_of_two_cloned_hospitals_is_two_doctors(mariadb: MariaDBServer, sources_on_loopback: None) -> None:
    """T50: `PROVIDER_3` of both, one uuid."""
    from passport.models import Doctor

    one, other = (world.open_site(mariadb, f"clone_{n}", number=n, seed="template") for n in (1, 2))
    for site in (one, other):
        seen(site, site.add_holder(ALICE), 60.0)
        site.sync()
    assert (
        one.pretend.row("provider", one.pretend.provider("physician"))["uuid"]
        == (other.pretend.row("provider", other.pretend.provider("physician"))["uuid"])
    )
    doctors = Doctor.objects.values_list("hospital__number", "provider_uuid")
    assert sorted(number for number, _ in doctors) == [1, 2]
    assert len({uuid for _, uuid in doctors}) == 1
