"""Merging, correcting and erasing passports while a real hospital is read: nothing is ever shown under a wrong one."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from openmrs_sync import enricher, links
from passport import erasure, merging, registration
from passport.admin.patients import PatientForm
from passport.models import Link, Merge, Patient, Record, User
from passport.models.links import LinkState
from tests.integration import world
from tests.integration.world import Site
from tests.records import make_account

pytestmark = [pytest.mark.django_db, pytest.mark.integration]
ALICE, ALICE_TOO = "1199080012345678", "1199080099999999"


@pytest.fixture
def grace(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return make_account(username="grace", role="admin")


def somebody(site: Site, national_id: str, *values: float) -> int:
    person = site.pretend.add_person(national_id=national_id)
    encounter = site.pretend.add_encounter(person)
    for value in values:
        site.pretend.add_obs(person, "weight", value, encounter=encounter)
    return person


def weights(site: Site, patient: Patient) -> list[str]:
    return sorted(record.value for (table, _), record in world.shown(site.hospital, patient).items() if table == "obs")


def while_it_reads(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """`act` happens once, after a batch was read from the hospital and before it is written."""
    original, acts = enricher.render, [act]

    def render(*args: Any, **kwargs: Any) -> Any:
        if acts:
            acts.pop()()
        return original(*args, **kwargs)

    monkeypatch.setattr(enricher, "render", render)


def test_a_merge_shows_everything_under_one_passport_and_its_undoing_parts_it(kigali: Site, grace: User) -> None:
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    somebody(kigali, ALICE, 60.0)
    somebody(kigali, ALICE_TOO, 71.0)
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == (["60"], ["71"])

    made = merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    assert (weights(kigali, kept), weights(kigali, merged)) == (["60"], [])  # hidden until it is judged
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == (["60", "71"], [])
    assert world.verified(kigali.hospital).is_well

    merging.undo(merge=made, actor=grace, now=timezone.now())
    assert (weights(kigali, kept), weights(kigali, merged)) == ([], [])
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == (["60"], ["71"])
    assert set(Link.objects.values_list("state", flat=True)) == {LinkState.LINKED}
    assert world.verified(kigali.hospital).is_well


def test_whoever_was_told_apart_from_one_of_the_two_is_not_shown_by_the_other(kigali: Site, grace: User) -> None:
    """T27: a human's word counts for the joined passport from that commit on, and not only when the sweep comes."""
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    kigali.pretend.add_identifier(somebody(kigali, ALICE, 60.0), ALICE_TOO)
    world.synced(kigali.hospital)
    link = Link.objects.get()
    links.decide(link=link, verdict="different", actor=grace, now=timezone.now(), patient_id=merged.pk)
    world.synced(kigali.hospital)
    assert weights(kigali, kept) == ["60"]
    made = merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    assert weights(kigali, kept) == []
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), Link.objects.get().state) == ([], LinkState.UNLINKED)
    merging.undo(merge=made, actor=grace, now=timezone.now())
    world.synced(kigali.hospital)
    assert weights(kigali, kept) == ["60"]


def test_who_was_told_apart_from_a_passport_that_was_parted_again_is_linked_to_the_other(
    kigali: Site, grace: User
) -> None:
    """What was said went back with the passport that it was said of; the number that led there is gone by then."""
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    person = somebody(kigali, ALICE, 60.0)
    number = kigali.pretend.add_identifier(person, ALICE_TOO)
    world.synced(kigali.hospital)
    links.decide(link=Link.objects.get(), verdict="different", actor=grace, now=timezone.now(), patient_id=merged.pk)
    made = merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    kigali.pretend.void_identifier(number)
    world.synced(kigali.hospital)
    assert Link.objects.get().state == LinkState.UNLINKED
    merging.undo(merge=made, actor=grace, now=timezone.now())
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == (["60"], [])


def test_a_merge_while_a_hospital_is_read_shows_nothing_under_the_passport_that_ended(
    kigali: Site, grace: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    somebody(kigali, ALICE_TOO, 71.0)
    while_it_reads(monkeypatch, lambda: merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now()))
    world.sync(kigali.hospital)
    assert Merge.objects.exists()
    assert (weights(kigali, kept), weights(kigali, merged)) == ([], [])
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == (["71"], [])
    assert world.verified(kigali.hospital).is_well


def test_what_was_linked_after_a_merge_goes_where_its_number_goes(kigali: Site, grace: User) -> None:
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    made = merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    somebody(kigali, ALICE_TOO, 71.0)
    world.synced(kigali.hospital)
    assert weights(kigali, kept) == ["71"]
    merging.undo(merge=made, actor=grace, now=timezone.now())
    assert weights(kigali, kept) == []
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), weights(kigali, merged)) == ([], ["71"])


def test_a_corrected_number_takes_the_wrong_history_away_at_once(kigali: Site, grace: User) -> None:
    patient = world.register(ALICE_TOO)
    somebody(kigali, ALICE_TOO, 99.0)  # somebody else's
    somebody(kigali, ALICE, 60.0)
    world.synced(kigali.hospital)
    assert weights(kigali, patient) == ["99"]
    registration.correct_identifier(
        identifier=patient.identifiers.get(), national_id=ALICE, keeps_old=False, actor=grace, now=timezone.now()
    )
    assert weights(kigali, patient) == []
    world.synced(kigali.hospital)
    assert weights(kigali, patient) == ["60"]


def test_an_erased_person_is_unmatched_and_not_linked_again(kigali: Site, grace: User) -> None:
    patient, other = world.register(ALICE), world.register(ALICE_TOO)
    somebody(kigali, ALICE, 60.0)
    somebody(kigali, ALICE_TOO, 71.0)
    world.synced(kigali.hospital)
    erasure.erase(patient=patient, confirmation=str(patient.pk), actor=grace, now=timezone.now())
    world.synced(kigali.hospital)
    assert set(Link.objects.values_list("patient_id", flat=True)) == {other.pk}
    assert set(Record.objects.values_list("patient_id", flat=True)) == {other.pk}
    assert world.verified(kigali.hospital).is_well


def test_erasing_while_a_hospital_is_read_leaves_nothing_behind(
    kigali: Site, grace: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run had read the person before; it loses its claim and writes nothing."""
    patient = world.register(ALICE)
    somebody(kigali, ALICE, 60.0)
    while_it_reads(
        monkeypatch,
        lambda: erasure.erase(patient=patient, confirmation=str(patient.pk), actor=grace, now=timezone.now()),
    )
    run = world.sync(kigali.hospital)
    assert run.status == "failed"
    assert not Record.objects.exists()
    assert not Link.objects.exists()
    world.synced(kigali.hospital)
    assert not Record.objects.exists()


def test_what_is_said_of_a_passport_that_ended_counts_for_the_one_that_took_it_over(kigali: Site, grace: User) -> None:
    """T27: the link was held between the two, so it still names the one that ended until the next look."""
    world.register(ALICE), world.register(ALICE_TOO)
    kigali.pretend.add_identifier(somebody(kigali, ALICE, 60.0), ALICE_TOO)
    world.synced(kigali.hospital)
    link = Link.objects.get()
    kept, merged = link.patient, Patient.objects.exclude(pk=link.patient_id).get()
    merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    # the admin's page was open since before
    links.decide(link=link, verdict="different", actor=grace, now=timezone.now(), patient_id=merged.pk)
    world.synced(kigali.hospital)
    assert (weights(kigali, kept), Link.objects.get().state) == ([], LinkState.UNLINKED)


def test_a_passport_that_ended_gets_no_number(grace: User) -> None:
    """Whom it leads to would be shown under a passport that nobody opens any more."""
    kept, merged = world.register(ALICE), world.register(ALICE_TOO)
    before = merged.identifiers.get()
    assert before.patient == merged  # as an admin's page has it that was open since before
    merging.merge(kept=kept, merged=merged, actor=grace, now=timezone.now())
    for patient in (merged, Patient.objects.get(pk=merged.pk)):
        with pytest.raises(registration.PassportMerged):
            registration.add_identifier(
                patient=patient, national_id="1199080077777777", actor=grace, now=timezone.now()
            )
    with pytest.raises(registration.PassportMerged):
        registration.correct_identifier(
            identifier=before, national_id="1199080077777777", keeps_old=False, actor=grace, now=timezone.now()
        )
    assert {one.number for one in kept.identifiers.all()} == {ALICE, ALICE_TOO}
    form = PatientForm({"national_id": "1199080077777777", "sex": "F"}, instance=Patient.objects.get(pk=merged.pk))
    assert form.errors == {"national_id": [str(registration.PassportMerged())]}


def test_nothing_of_an_erased_person_stays_with_a_link_that_is_held_between_two(kigali: Site, grace: User) -> None:
    """The person came to carry another holder's number too: the link may name that one, and the records do not."""
    world.register(ALICE)
    person = somebody(kigali, ALICE, 60.0)
    world.synced(kigali.hospital)
    erased = Patient.objects.get()
    other = world.register(ALICE_TOO, sex="M")
    kigali.pretend.add_identifier(person, ALICE_TOO)
    world.synced(kigali.hospital, deep=False)
    Link.objects.update(patient=other)  # as when the other one's id is the smaller
    erasure.erase(patient=erased, confirmation=str(erased.pk), actor=grace, now=timezone.now())
    assert not Record.objects.filter(patient_id=erased.pk).exists()
    world.synced(kigali.hospital)
    assert (Link.objects.get().state, weights(kigali, other)) == (LinkState.HELD, [])
