"""What random histories found in the engine, each as one short story."""

import pytest

from passport.models import Record
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
