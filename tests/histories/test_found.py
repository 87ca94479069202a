"""What reading the engine for the histories' sake found, each as one short story: chance did not find these first."""

from unittest import mock

import pytest
from django.utils import timezone

from openmrs_sync import links, refresh
from passport.access import scope
from passport.models import Patient, Record, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"


@pytest.mark.parametrize("is_bob_known", [True, False])
def test_a_voided_row_that_moves_takes_what_we_kept_of_it_with_it(kigali: Site, is_bob_known: bool) -> None:
    """T25, T86: withdrawn records can be looked at, too, so they must not stay with whom the row left."""
    alice = kigali.add_holder(ALICE)
    bob = kigali.add_holder(BOB) if is_bob_known else kigali.pretend.add_person()
    obs = kigali.pretend.add_obs(alice, "weight", 60.0)
    kigali.sync()
    kigali.pretend.void_obs(obs)
    kigali.sync()
    kigali.pretend.update("obs", obs, person_id=bob)
    kigali.sync(full=True)
    mine = Record.objects.filter(link_id=world.link_of(kigali.hospital, alice).pk)
    assert not mine.filter(table="obs").exists()
    assert world.verified(kigali.hospital).is_well


def test_a_row_that_moves_to_somebody_who_is_held_in_the_same_batch_is_not_shown_any_more(kigali: Site) -> None:
    """T92: both are read in one snapshot, in which the new owner turns out to be somebody else."""
    alice, bob = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    obs = kigali.pretend.add_obs(alice, "weight", 60.0)
    kigali.sync()
    kigali.pretend.update("obs", obs, person_id=bob)
    kigali.pretend.update("person", bob, gender="M")
    kigali.sync(full=True)
    assert world.link_of(kigali.hospital, bob).state == "held"
    assert kigali.values() == {}
    assert world.verified(kigali.hospital).is_well


def test_a_number_keeps_its_modifier_whatever_its_concept_is_by_now(kigali: Site) -> None:
    alice = kigali.add_holder(ALICE)
    obs = kigali.pretend.add_obs(alice, "weight", 5.0, value_modifier="<")
    text = kigali.pretend.rows("concept_datatype", name="Text")[0]["concept_datatype_id"]
    kigali.pretend.update("concept", kigali.pretend.concept("weight"), datatype_id=text)
    kigali.sync()
    assert kigali.values() == {obs: "<5"}


def test_of_two_patients_that_a_human_called_the_same_the_later_is_meant(kigali: Site) -> None:
    """Not the one whose id sorts first."""
    alice, bob = world.register(ALICE), world.register(BOB)
    person = kigali.pretend.add_person(national_id=ALICE)
    kigali.pretend.add_identifier(person, BOB)
    kigali.sync()
    ada = User.objects.create_user("ada", password=None, role="admin")
    for patient in (alice, bob, alice, bob):
        link = world.link_of(kigali.hospital, person)
        links.decide(link=link, verdict="same", actor=ada, now=timezone.now(), patient_id=patient.pk)
        kigali.sync()
        assert world.link_of(kigali.hospital, person).patient_id == patient.pk


def test_a_link_that_comes_back_shows_nothing_before_it_is_read(kigali: Site) -> None:
    """T92: what its person had when the number went away may be somebody else's by now."""
    kigali.add_holder(BOB)
    alice = kigali.add_holder(ALICE)
    obs = kigali.pretend.add_obs(alice, "weight", 60.0)
    kept = kigali.pretend.add_obs(alice, "weight", 61.0)
    kigali.sync()
    kigali.pretend.void_obs(kept)
    kigali.sync()
    (number,) = kigali.pretend.identifiers_of(alice)
    kigali.pretend.void_identifier(number)
    kigali.sync()
    kigali.pretend.update("obs", obs, person_id=kigali.pretend.add_person())
    kigali.pretend.unvoid_identifier(number)
    with mock.patch.object(refresh, "prepare", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        world.sync(kigali.hospital)
    assert world.link_of(kigali.hospital, alice).state == "linked"
    assert kigali.values() == {}
    kigali.sync()
    assert kigali.values() == {}
    assert world.link_of(kigali.hospital, alice).min_token == 0, "what was withdrawn is to be seen again"
    assert Record.objects.filter(source_id=kept, table="obs", status="withdrawn").exists()
    assert world.verified(kigali.hospital).is_well


def test_what_is_said_of_a_row_does_not_depend_on_who_else_is_read_with_it(kigali: Site) -> None:
    """A group, a certainty and a visit's place of another person's, read in one batch with them by chance."""
    alice, bob = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    hospital = kigali.pretend
    encounter = hospital.add_encounter(alice)
    group = hospital.add_obs_group_diagnosis(alice, "malaria", encounter=encounter)
    diagnosis = hospital.rows("obs", obs_group_id=group)[0]["obs_id"]
    hospital.update("obs", diagnosis, person_id=bob, encounter_id=None)
    stay = hospital.add_visit(alice, location="maternity")
    at_bob = hospital.add_encounter(bob, visit=stay, location=None)
    kigali.sync()
    shown = world.shown(kigali.hospital)
    assert (shown["obs", diagnosis].certainty, shown["obs", diagnosis].details.keys()) == (None, {"answer"})
    assert shown["encounter", at_bob].location == ""


def test_a_group_whose_own_group_was_deleted_keeps_its_name(kigali: Site) -> None:
    """`purge` of the outer group alone, as plain SQL does: the inner one is the outermost that there is."""
    alice = kigali.add_holder(ALICE)
    outer = kigali.pretend.add_obs(alice, "full blood count")
    inner = kigali.pretend.add_obs(alice, "full blood count", group=outer)
    obs = kigali.pretend.add_obs(alice, "haemoglobin", 12.0, group=inner)
    kigali.sync()
    assert world.shown(kigali.hospital)["obs", obs].group_id == outer
    kigali.pretend.execute("SET FOREIGN_KEY_CHECKS = 0")
    kigali.pretend.delete("obs", outer)
    kigali.sync()
    shown = world.shown(kigali.hospital)["obs", obs]
    assert (shown.group_id, shown.details) == (inner, {"group": "Full blood count"})


def test_what_was_withdrawn_is_seen_by_whose_it_was_and_by_nobody_after_them(kigali: Site) -> None:
    """T87, T92: the person's number leads to Alice, to Bob, and to Alice again, who is shown what she was shown."""
    alice, bob = world.register(ALICE), world.register(BOB)
    person = kigali.pretend.add_person(national_id=ALICE)
    kept, gone = (kigali.pretend.add_obs(person, "weight", value) for value in (60.0, 61.0))
    kigali.sync()
    kigali.pretend.void_obs(gone)
    kigali.sync()
    assert _seen_by(alice) == {kept: "current", gone: "withdrawn"}
    (number,) = kigali.pretend.identifiers_of(person)
    kigali.pretend.change_identifier(number, BOB)
    kigali.sync()
    assert (_seen_by(alice), _seen_by(bob)) == ({}, {kept: "current"})
    kigali.pretend.delete("obs", gone)
    kigali.sync(full=True)
    assert (_seen_by(alice), _seen_by(bob)) == ({}, {kept: "current"})
    kigali.pretend.change_identifier(number, ALICE)
    kigali.sync()
    assert (_seen_by(alice), _seen_by(bob)) == ({kept: "current", gone: "withdrawn"}, {})


def _seen_by(patient: Patient) -> dict[int, str]:
    """By the product's own door, what is withdrawn too: obs → status."""
    shown = scope.records_of(patient.pk, list(scope.linked(patient.pk)))
    return dict(shown.values_list("source_id", "status"))
