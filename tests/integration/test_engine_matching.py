"""Who at a hospital is whom, and when that changes: late numbers, wrong numbers, decisions, two hospitals alike."""

import datetime as dt
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from openmrs_sync import enricher, identity, links, looks, refresh
from openmrs_sync.models import ParkedRow
from openmrs_sync.rows import PersonRow
from passport import registration
from passport.models import Doctor, Link, LinkDecision, Patient, PlaceholderNumber, Record, User
from passport.models.links import LinkState
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"


def seen(site: Site, person: int, *values: float) -> list[int]:
    encounter = site.pretend.add_encounter(person)
    return [site.pretend.add_obs(person, "weight", value, encounter=encounter) for value in values]


def admin() -> User:
    return User.objects.filter(username="ada").first() or User.objects.create_user("ada", password=None, role="admin")


def decide(link: Link, verdict: str) -> LinkDecision:
    return links.decide(link=link, verdict=verdict, actor=admin(), now=timezone.now())


# ------------------------------------------------------------------------------------------------ late


def test_who_registers_late_gets_the_whole_history_at_the_next_look(kigali: Site) -> None:
    """T46"""
    person = kigali.pretend.add_person(national_id=ALICE)
    encounter = kigali.pretend.add_encounter(person)
    with kigali.pretend.bulk():
        for n in range(12_000):
            kigali.pretend.add_obs(person, "pulse", 60.0 + n % 40, encounter=encounter)
    kigali.sync()
    assert not Record.objects.exists()
    assert not Link.objects.exists(), "who holds no passport is counted, not stored"
    world.register(ALICE)
    run = kigali.sync(deep=False)
    assert (run.n_created, len(kigali.values())) == (12_001, 12_000)


def test_a_number_typed_in_late_at_the_hospital_brings_the_whole_history(kigali: Site) -> None:
    """T47"""
    world.register(ALICE)
    person = kigali.pretend.add_person()
    seen(kigali, person, 60.0, 61.0)
    kigali.sync()
    assert not Record.objects.exists()
    kigali.pretend.add_identifier(person, " 1-1990 8001 2345 678 ")
    kigali.sync(deep=False)
    assert sorted(kigali.values().values()) == ["60", "61"]


def test_judging_a_few_asks_nothing_about_the_rest_of_the_census(
    kigali: Site, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A first look judges a thousand at a time: it must not read everybody's birth date for each thousand."""
    census = {person_id: [uuid4()] for person_id in range(1, 3_001)}
    census[1] = [world.register(ALICE).pk]
    person = PersonRow(1, "an-uuid", "F", dt.date(1980, 1, 1), False, False)
    with django_assert_num_queries(2):  # their birth dates, and what humans said of them
        matches = identity.judge(hospital=kigali.hospital, persons={1: person}, patients=census, crowded=frozenset())
    verdict = matches.verdicts[1]
    assert verdict is not None
    assert verdict.patient_id == census[1][0]


def test_a_number_that_is_no_preferred_one_and_one_of_another_type_are_told_apart(kigali: Site) -> None:
    world.register(ALICE)
    person = kigali.pretend.add_person()
    seen(kigali, person, 60.0)
    kigali.pretend.add_identifier(person, ALICE, type="Old Identification Number")
    kigali.sync()
    assert not Link.objects.exists()


# ------------------------------------------------------------------------------------------------ wrong


def test_a_contradiction_is_held_and_nothing_is_stored(kigali: Site) -> None:
    """T26, T29"""
    world.register(ALICE, sex="M", birth_date=dt.date(1990, 1, 1))
    seen(kigali, kigali.pretend.add_person(national_id=ALICE, sex="F"), 60.0)
    world.register(BOB, birth_date=dt.date(1985, 1, 1))
    seen(kigali, kigali.pretend.add_person(national_id=BOB, birth_date=dt.date(1990, 1, 1)), 61.0)
    kigali.sync()
    assert sorted(Link.objects.values_list("state", "reason")) == [
        ("held", "birth_year_differs"),
        ("held", "sex_differs"),
    ]
    assert not Record.objects.exists()


def test_who_was_held_and_is_gone_is_held_no_more(kigali: Site) -> None:
    """Their numbers may stay behind, where no foreign key takes them along."""
    world.register(ALICE, sex="F")
    person = kigali.pretend.add_person(national_id=ALICE, sex="M")
    kigali.sync()
    assert Link.objects.get().state == LinkState.HELD
    for table, column in (("patient", "patient_id"), ("person", "person_id")):
        kigali.pretend.server.execute(
            f"DELETE FROM {table} WHERE {column} = %s", [person], database=kigali.pretend.database
        )
    kigali.sync()
    link = Link.objects.get()
    assert (link.state, link.reason) == (LinkState.ENDED, "person_gone")


def test_a_person_whose_numbers_lead_to_two_patients_is_held(kigali: Site) -> None:
    """T26"""
    person = kigali.add_holder(ALICE)
    world.register(BOB)
    kigali.pretend.add_identifier(person, BOB)
    kigali.sync()
    assert list(Link.objects.values_list("state", "reason")) == [("held", "two_patients")]


@pytest.mark.parametrize("n_steps", [1, 2])
@pytest.mark.parametrize("is_linked_before", [False, True])
def test_who_takes_over_somebody_told_apart_shows_nothing_until_a_human_speaks(
    kigali: Site, is_linked_before: bool, n_steps: int
) -> None:
    """T27: a merge at the hospital carries number and rows of a person who is not this patient to somebody else."""
    other = kigali.add_holder(ALICE)
    seen(kigali, other, 60.0)
    winner = kigali.pretend.add_person(national_id=ALICE if is_linked_before else None)
    kigali.sync()
    decide(world.link_of(kigali.hospital, other), "different")
    between = [kigali.pretend.add_person() for _ in range(n_steps - 1)]
    for loser, taker in pairwise([other, *between, winner]):
        kigali.pretend.merge_patients(taker, loser)
    kigali.sync(deep=False)
    kigali.sync(deep=False)
    link = world.link_of(kigali.hospital, winner)
    assert (link.state, link.reason) == (LinkState.HELD, "merged_told_apart")
    assert not world.shown(kigali.hospital)
    decide(link, "same")
    kigali.sync(deep=False)
    assert [record.value for (table, _), record in world.shown(kigali.hospital).items() if table == "obs"] == ["60"]


def test_two_who_were_merged_into_each_other_are_each_the_other(kigali: Site) -> None:
    one, other = kigali.add_holder(ALICE), kigali.pretend.add_person(national_id=ALICE)
    kigali.sync()
    decide(world.link_of(kigali.hospital, one), "different")
    kigali.pretend.merge_patients(other, one)
    kigali.pretend.merge_patients(one, other)
    kigali.sync()
    states = {link.person_id: link.state for link in Link.objects.all()}
    assert states == {one: LinkState.UNLINKED, other: LinkState.ENDED}


def test_who_is_held_for_another_reason_by_now_is_said_to_be(kigali: Site) -> None:
    """Else whoever decides waits for a look that was, or is not offered the patient who is meant."""
    first, second = sorted((world.register(ALICE), world.register(BOB)), key=lambda patient: patient.pk)
    person = kigali.pretend.add_person(national_id=first.identifiers.get().number, sex="M")
    kigali.sync()
    decision = decide(Link.objects.get(), "same")
    links.undo_decision(decision=decision, actor=User.objects.get(), now=timezone.now())
    assert Link.objects.get().reason == "decision_undone"
    kigali.sync(deep=False)
    assert Link.objects.values_list("state", "reason").get() == ("held", "sex_differs")
    kigali.pretend.add_identifier(person, second.identifiers.get().number)
    kigali.sync(deep=False)
    link = Link.objects.get()
    assert (link.state, link.reason) == ("held", "two_patients")
    assert link.candidates == [str(first.pk), str(second.pk)]


def test_a_number_on_five_persons_is_held_and_a_placeholder_is_none(kigali: Site) -> None:
    """T49"""
    for number in (ALICE, BOB):
        world.register(number)
        for _ in range(5):
            kigali.pretend.add_person(national_id=number)
    PlaceholderNumber.objects.create(number=BOB)
    kigali.sync()
    assert list(Link.objects.values_list("state", "reason")) == [("held", "crowded_number")] * 5


def test_a_crowd_that_gathers_later_hides_who_was_linked(kigali: Site) -> None:
    """T49"""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    kigali.sync()
    for _ in range(4):
        kigali.pretend.add_person(national_id=ALICE)
    kigali.sync(deep=False)
    assert not world.shown(kigali.hospital)


# ------------------------------------------------------------------------------------------------ one patient, many


def test_two_persons_of_one_hospital_may_be_one_patient(kigali: Site) -> None:
    """T29, T86: refreshing one withdraws nothing of the other."""
    first = kigali.add_holder(ALICE)
    second = kigali.pretend.add_person(national_id=ALICE)
    seen(kigali, first, 60.0)
    seen(kigali, second, 61.0)
    kigali.sync()
    seen(kigali, second, 62.0)
    kigali.sync(deep=False)
    patient = Patient.objects.get()
    mine = [record.value for (table, _), record in world.shown(kigali.hospital, patient).items() if table == "obs"]
    assert sorted(mine) == ["60", "61", "62"]


def test_two_hospitals_cloned_from_one_template_do_not_collide(
    mariadb: MariaDBServer, sources_on_loopback: None
) -> None:
    """T34, T35, T50: the same ids, the same uuids, the same provider; two histories, two doctors."""
    sites = [
        world.open_site(mariadb, database, "2.6", number=number, seed="template")
        for number, database in enumerate(("clone_one", "clone_two"), start=1)
    ]
    for weight, site in zip((60.0, 70.0), sites, strict=True):
        seen(site, site.add_holder(ALICE), weight)
        site.sync()
    one, two = (world.shown(site.hospital) for site in sites)
    assert one.keys() == two.keys()
    assert {key: found.source_uuid for key, found in one.items()} == {
        key: found.source_uuid for key, found in two.items()
    }
    assert [list(site.values().values()) for site in sites] == [["60"], ["70"]]
    doctors = Doctor.objects.values_list("provider_uuid", flat=True)
    assert (len(doctors), len(set(doctors))) == (2, 1)
    assert Patient.objects.count() == 1
    sites[0].pretend.void_obs(next(iter(sites[0].values())))
    sites[0].sync()
    assert [list(site.values().values()) for site in sites] == [[], ["70"]]


# ------------------------------------------------------------------------------------------------ numbers move


def test_a_number_moved_to_another_person_takes_the_passport_there(kigali: Site) -> None:
    """T92: nothing of the first is shown from the first look on."""
    first = kigali.add_holder(ALICE)
    second = kigali.pretend.add_person()
    seen(kigali, first, 60.0)
    seen(kigali, second, 61.0)
    kigali.sync()
    kigali.pretend.move_identifier(kigali.pretend.identifiers_of(first)[0], second)
    kigali.sync(deep=False)
    assert list(kigali.values().values()) == ["61"]
    assert world.link_of(kigali.hospital, first).state == LinkState.ENDED


def test_a_mistyped_number_hides_the_history_and_its_correction_brings_it_back(kigali: Site) -> None:
    person = kigali.add_holder(ALICE)
    (weight,) = seen(kigali, person, 60.0)
    kigali.sync()
    identifier = kigali.pretend.identifiers_of(person)[0]
    kigali.pretend.change_identifier(identifier, "1199080012345679")
    kigali.sync(deep=False)
    assert not world.shown(kigali.hospital)
    assert world.link_of(kigali.hospital, person).reason == "no_number"
    kigali.pretend.change_identifier(identifier, ALICE)
    kigali.sync(deep=False)
    assert kigali.values() == {weight: "60"}


def test_a_number_corrected_to_another_holders_gives_that_one_the_history(kigali: Site) -> None:
    """T92: not a row at the source has changed but the number."""
    person = kigali.add_holder(ALICE)
    alice, bob = Patient.objects.get(), world.register(BOB)
    (weight,) = seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.change_identifier(kigali.pretend.identifiers_of(person)[0], BOB)
    kigali.sync(deep=False)
    assert not world.shown(kigali.hospital, alice)
    assert ("obs", weight) in world.shown(kigali.hospital, bob)
    assert world.verified(kigali.hospital).is_well


@pytest.mark.parametrize("keeps_old", [False, True])
def test_a_wrong_number_corrected_on_our_side_while_a_run_is_on_shows_nothing(
    kigali: Site, monkeypatch: pytest.MonkeyPatch, keeps_old: bool
) -> None:
    """T92: the run learned before the correction who holds which number, and its look must not undo it."""
    person = kigali.add_holder(BOB)
    seen(kigali, person, 60.0)
    alice = Patient.objects.get()
    kigali.sync()
    assert world.shown(kigali.hospital, alice)
    look = looks.look

    def correct_then_look(session: Any, **options: Any) -> None:
        identifier = alice.identifiers.get(number=BOB)
        registration.correct_identifier(
            identifier=identifier, national_id=ALICE, keeps_old=keeps_old, actor=None, now=timezone.now()
        )
        look(session, **options)

    monkeypatch.setattr(looks, "look", correct_then_look)
    kigali.sync()
    assert bool(world.shown(kigali.hospital, alice)) == keeps_old
    monkeypatch.undo()
    kigali.sync()
    assert bool(world.shown(kigali.hospital, alice)) == keeps_old
    assert world.verified(kigali.hospital).is_well


@pytest.mark.parametrize("place", ["look", "refresh"])
def test_whose_second_number_is_registered_while_a_run_is_on_is_shown_to_nobody(
    kigali: Site, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """T26: from then on the person has two holders' numbers, whatever the run knew when it began."""
    person = kigali.add_holder(ALICE)
    kigali.pretend.add_identifier(person, BOB)
    seen(kigali, person, 60.0)
    room, name = {"look": (looks, "look"), "refresh": (refresh, "_links_to_write")}[place]
    step = getattr(room, name)

    def register_first(session: Any, **options: Any) -> Any:
        world.register(BOB)
        return step(session, **options)

    monkeypatch.setattr(room, name, register_first)
    kigali.sync()
    link = world.link_of(kigali.hospital, person)
    assert (link.state, link.reason) == (LinkState.HELD, "two_patients")
    assert not world.shown(kigali.hospital)


def test_a_number_that_becomes_a_placeholder_while_a_run_is_on_leads_to_nobody(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    choose = refresh._links_to_write

    def list_then_choose(session: Any, **options: Any) -> Any:
        PlaceholderNumber.objects.get_or_create(number=ALICE)
        return choose(session, **options)

    monkeypatch.setattr(refresh, "_links_to_write", list_then_choose)
    kigali.sync()
    assert not world.shown(kigali.hospital)


def test_a_number_that_moves_while_a_batch_is_read_is_not_written(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T92: identity is judged by what the same snapshot says."""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    choose = refresh._links_to_write

    def move_then_choose(session: Any, **options: Any) -> Any:
        for identifier in kigali.pretend.identifiers_of(person):
            kigali.pretend.void_identifier(identifier)
        return choose(session, **options)

    monkeypatch.setattr(refresh, "_links_to_write", move_then_choose)
    kigali.sync()
    assert not Record.objects.exists()
    assert world.link_of(kigali.hospital, person).state == LinkState.ENDED


def test_a_person_id_used_again_for_somebody_else_shows_nothing_of_either(kigali: Site) -> None:
    """T92, T32"""
    seen(kigali, kigali.pretend.add_person(national_id=CAROL), 50.0)
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.purge_patient(person)
    again = kigali.pretend.add_person(person_id=person, given="Somebody", family="Else")
    seen(kigali, again, 99.0)
    kigali.sync(deep=False)
    assert again == person
    assert not world.shown(kigali.hospital)


def test_a_person_id_used_again_by_another_holder_shows_only_the_new_ones_rows(kigali: Site) -> None:
    """T92"""
    seen(kigali, kigali.add_holder(CAROL), *range(50, 75))  # older rows, by which the database is known
    person = kigali.add_holder(ALICE)
    (old,) = seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.purge_patient(person)
    bob = world.register(BOB)
    kigali.pretend.add_person(person_id=person, national_id=BOB)
    encounter = kigali.pretend.add_encounter(person)
    kigali.pretend.add_obs(person, "weight", 99.0, encounter=encounter, obs_id=old)
    kigali.sync()
    assert kigali.values()[old] == "99"
    assert {found.value for found in world.shown(kigali.hospital, bob).values() if found.table == "obs"} == {"99"}


def test_a_purged_patient_is_hidden(kigali: Site) -> None:
    seen(kigali, kigali.pretend.add_person(national_id=CAROL), 50.0)
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.purge_patient(person)
    kigali.sync(deep=False)
    assert not world.shown(kigali.hospital)
    assert world.verified(kigali.hospital).is_well


# ------------------------------------------------------------------------------------------------ what a human decides


def test_unlinking_hides_everything_in_that_commit_and_stays(kigali: Site) -> None:
    """T27"""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    kigali.sync()
    decide(world.link_of(kigali.hospital, person), "different")
    assert not world.shown(kigali.hospital)
    seen(kigali, person, 61.0)
    for options in ({}, {"deep": False}, {"full": True}):
        kigali.sync(**options)
        assert not world.shown(kigali.hospital)
    assert world.link_of(kigali.hospital, person).state == LinkState.UNLINKED
    assert not Record.objects.exists(), "cleaned up by and by"
    assert not ParkedRow.objects.exists()


def test_a_held_match_that_a_human_confirms_is_read(kigali: Site) -> None:
    world.register(ALICE, sex="M")
    person = kigali.pretend.add_person(national_id=ALICE, sex="F")
    seen(kigali, person, 60.0)
    kigali.sync()
    decision = decide(world.link_of(kigali.hospital, person), "same")
    kigali.sync(deep=False)
    assert list(kigali.values().values()) == ["60"]
    links.undo_decision(decision=decision, actor=User.objects.get(), now=timezone.now())
    assert not world.shown(kigali.hospital)
    kigali.sync(deep=False)
    assert world.link_of(kigali.hospital, person).state == LinkState.HELD


def test_unlinked_while_a_batch_is_written_nothing_is_shown_from_that_commit_on(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T87"""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    render = enricher.render

    def decide_then_render(*arguments: Any, **options: Any) -> Any:
        if not LinkDecision.objects.exists():
            decide(world.link_of(kigali.hospital, person), "different")
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", decide_then_render)
    kigali.sync()
    assert not world.shown(kigali.hospital)
    assert world.link_of(kigali.hospital, person).state == LinkState.UNLINKED
    kigali.sync()
    assert not world.shown(kigali.hospital)
    assert not Record.objects.exists()


def test_a_mark_set_while_the_refresh_runs_is_kept(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T71, T84"""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    render, later = enricher.render, []

    def write_then_render(*arguments: Any, **options: Any) -> Any:
        if not later:
            later.extend(seen(kigali, person, 61.0))
            links.mark_all(hospital=kigali.hospital, now=timezone.now())
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", write_then_render)
    kigali.sync()
    link = world.link_of(kigali.hospital, person)
    assert (link.marks - link.fresh_marks, later[0] in kigali.values()) == (1, False)
    kigali.sync(deep=False)
    assert kigali.values()[later[0]] == "61"


def test_settings_changed_while_a_batch_runs_hold_for_every_record_after_the_next_sync(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T88"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    render = enricher.render

    def move_then_render(*arguments: Any, **options: Any) -> Any:
        type(kigali.hospital).objects.filter(config_version=1).update(time_zone="Asia/Tokyo", config_version=2)
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", move_then_render)
    kigali.sync()
    kigali.sync(deep=False)
    for found in world.shown(kigali.hospital).values():
        local = dt.datetime.fromisoformat(found.at_local or "").replace(tzinfo=dt.timezone(dt.timedelta(hours=9)))
        assert found.order_at == local.timestamp()


def test_who_was_found_by_a_type_that_was_wrong_is_hidden_when_the_right_one_is_on_nobody(kigali: Site) -> None:
    """Nothing to read where there used to be something is then what the admin said, and no sign of a lost right."""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.sync()
    assert world.shown(kigali.hospital)
    type(kigali.hospital).objects.update(national_id_types=["Old Identification Number"], config_version=2)
    kigali.hospital.refresh_from_db()
    kigali.sync(deep=False)
    assert not world.shown(kigali.hospital)


def test_numbers_that_are_gone_after_another_setting_was_changed_are_a_lost_right(kigali: Site) -> None:
    """T40"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.sync()
    type(kigali.hospital).objects.update(time_zone="Asia/Tokyo", config_version=2)
    kigali.pretend.execute("DELETE FROM patient_identifier")
    assert world.sync(kigali.hospital, deep=False).status == "quiet"
    assert world.shown(kigali.hospital)
