"""Whatever a hospital does to its rows, our records become equal to them at the next sync."""

import datetime as dt

import pytest
from django.utils import timezone

from passport.models import Record
from passport.models.record import UNDATED
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"
LONG_AGO = dt.datetime(2024, 3, 1, 10, 0)


@pytest.fixture(params=["kigali", "huye"])
def site(request: pytest.FixtureRequest) -> Site:
    """A modern hospital and an old one."""
    found: Site = request.getfixturevalue(request.param)
    return found


def seen_once(site: Site, number: str = ALICE) -> tuple[int, int, list[int]]:
    """A passport holder, an encounter and two weights, 60 and 61."""
    person = site.add_holder(number)
    encounter = site.pretend.add_encounter(person)
    return person, encounter, [site.pretend.add_obs(person, "weight", 60.0 + n, encounter=encounter) for n in (0, 1)]


def is_even(site: Site) -> bool:
    total = world.verified(site.hospital).total
    return total is not None and (total.n_unexplained, total.n_pending) == (0, 0)


def record(source_id: int, table: str = "obs") -> Record:
    return Record.objects.get(table=table, source_id=source_id)


# ------------------------------------------------------------------------------------------------ obs


def test_a_voided_observation_is_withdrawn_and_kept(site: Site) -> None:
    """T19"""
    _, _, (first, second) = seen_once(site)
    site.sync()
    site.pretend.void_obs(first, reason="wrong patient")
    run = site.sync()
    assert site.values() == {second: "61"}
    assert (run.n_withdrawn, record(first).status, record(first).withdrawn_reason) == (1, "withdrawn", "voided")
    assert is_even(site)


def test_an_unvoided_observation_comes_back_as_itself(site: Site) -> None:
    """T20"""
    _, _, (first, second) = seen_once(site)
    site.sync()
    key = record(first).key
    site.pretend.void_obs(first)
    site.sync()
    site.pretend.unvoid_obs(first)
    site.sync()
    assert site.values() == {first: "60", second: "61"}
    assert record(first).key == key
    assert is_even(site)


def test_a_purged_observation_is_withdrawn_as_gone(site: Site) -> None:
    """T24"""
    _, _, (first, second) = seen_once(site)
    site.sync()
    site.pretend.purge_obs(first)
    run = site.sync()
    assert site.values() == {second: "61"}
    assert (run.n_withdrawn, record(first).withdrawn_reason) == (1, "gone")
    assert is_even(site)


def test_of_a_chain_of_edits_only_the_last_is_shown(site: Site) -> None:
    """T23"""
    _, _, (first, second) = seen_once(site)
    site.sync()
    middle = site.pretend.edit_obs(first, 70.0)
    last = site.pretend.edit_obs(middle, 71.0)
    run = site.sync()
    assert site.values() == {second: "61", last: "71"}
    assert (run.n_created, run.n_withdrawn) == (1, 1), "the middle one was never shown"
    assert is_even(site)


def test_a_row_that_was_made_and_voided_between_two_syncs_is_never_shown(site: Site) -> None:
    """T22"""
    person, encounter, _ = seen_once(site)
    site.sync()
    short_lived = site.pretend.add_obs(person, "weight", 99.0, encounter=encounter)
    site.pretend.void_obs(short_lived)
    run = site.sync()
    assert not Record.objects.filter(source_id=short_lived, table="obs").exists()
    assert (run.n_created, run.n_withdrawn, run.n_excluded) == (0, 0, 1)


def test_an_edit_in_place_is_found_by_its_encounters_stamp(huye: Site) -> None:
    """What 1.x does when a form is saved: nothing on obs moves."""
    _, _, (first, second) = seen_once(huye)
    huye.sync()
    huye.pretend.edit_obs_in_place(first, 72.5)
    huye.sync()
    assert huye.values() == {first: "72.5", second: "61"}


def test_an_edit_is_found_where_the_hospitals_clock_is_behind_its_servers(site: Site) -> None:
    """T61, T91: the JVM's zone is the Americas, the database server's is not."""
    site.pretend.clock = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0) - dt.timedelta(hours=6)
    _, _, (first, second) = seen_once(site)
    site.sync()
    site.pretend.edit_obs_in_place(first, 72.5)
    site.sync()
    assert site.values() == {first: "72.5", second: "61"}


def test_an_edit_that_leaves_no_trace_at_all_is_found_by_the_sweep(site: Site) -> None:
    """T82"""
    with site.pretend.at(LONG_AGO):
        _, _, (first, second) = seen_once(site)
    now = timezone.now()
    site.sync(now=now)
    site.pretend.update("obs", first, value_numeric=73.0)
    site.sync(now=now + dt.timedelta(hours=23))
    assert site.values() == {first: "60", second: "61"}
    site.sync(now=now + dt.timedelta(hours=48))
    assert site.values() == {first: "73", second: "61"}


def test_rows_of_one_second_are_all_stored(site: Site) -> None:
    """T3, T4, T36: same time, same name, two results."""
    person, encounter, _ = seen_once(site)
    with site.pretend.bulk():
        twins = [site.pretend.add_obs(person, "pulse", 80.0, encounter=encounter) for _ in range(1_500)]
    site.sync()
    assert set(twins) <= site.values().keys()


def test_a_row_that_commits_late_under_a_lower_id_is_found_without_the_deep_look(site: Site) -> None:
    """T1, T70"""
    person, encounter, _ = seen_once(site)
    site.sync()
    with site.pretend.transaction() as late:
        low = late.add_obs(person, "weight", 62.0, encounter=encounter)
        high = site.pretend.add_obs(person, "weight", 63.0, encounter=encounter)
        site.sync(deep=False)
        assert (low in site.values(), high in site.values()) == (False, True)
        late.commit()
    site.sync(deep=False)
    assert low < high
    assert {low, high} <= site.values().keys()


def test_a_very_late_commit_far_below_the_window_is_found_by_the_deep_look(site: Site) -> None:
    """T70"""
    person, encounter, _ = seen_once(site)
    site.sync()
    with site.pretend.transaction() as late:
        low = late.add_obs(person, "weight", 62.0, encounter=encounter)
        with site.pretend.bulk():
            for n in range(1_200):
                site.pretend.add_obs(person, "pulse", 80.0, encounter=encounter, obs_id=low + 1 + n)
        site.sync(deep=False)
        late.commit()
    site.sync(deep=False)
    assert low not in site.values()
    site.sync()
    assert low in site.values()


def test_the_first_row_of_an_empty_hospital_is_read_whatever_its_id(site: Site) -> None:
    """T60"""
    person = site.add_holder(ALICE)
    site.sync()
    first = site.pretend.add_obs(person, "weight", 60.0)
    site.sync(deep=False)
    assert site.values() == {first: "60"}


# ------------------------------------------------------------------------------------------------ what rows hang on


def test_what_hangs_on_a_voided_parent_follows_it_and_comes_back_with_it(site: Site) -> None:
    """T21: group, encounter, visit and person, each voided alone, without OpenMRS' cascade."""
    person, _, weights = seen_once(site)
    hospital = site.pretend
    visit = hospital.add_visit(person)
    encounter = hospital.add_encounter(person, visit=visit)
    group = hospital.add_obs(person, "diagnosis set", encounter=encounter)
    member = hospital.add_obs(person, "weight", 64.0, encounter=encounter, group=group)
    site.sync()
    everything = {*weights, member}
    assert site.values().keys() == everything
    for table, row in (("obs", group), ("encounter", encounter), ("visit", visit)):
        hospital.void(table, row)
        site.sync(full=True)
        assert site.values().keys() == set(weights), table
        hospital.unvoid(table, row)
        site.sync(full=True)
        assert site.values().keys() == everything, table
    hospital.void("person", person)
    site.sync()
    assert not site.values()
    hospital.unvoid("person", person)
    site.sync()
    assert site.values().keys() == everything


def test_a_voided_encounter_is_noticed_at_once(site: Site) -> None:
    """T21"""
    _, encounter, _ = seen_once(site)
    site.sync()
    site.pretend.void_encounter(encounter)
    site.sync()
    assert not world.shown(site.hospital)
    site.pretend.unvoid_encounter(encounter)
    site.sync()
    assert len(site.values()) == 2


def test_a_voided_visit_is_noticed_at_once_by_what_is_in_it(site: Site) -> None:
    person = site.add_holder(ALICE)
    visit = site.pretend.add_visit(person)
    encounter = site.pretend.add_encounter(person, visit=visit)
    site.pretend.add_obs(person, "weight", 60.0, encounter=encounter)
    site.sync()
    site.pretend.void("visit", visit)
    site.sync()
    assert not world.shown(site.hospital)


def test_a_moved_encounter_takes_its_rows_along(site: Site) -> None:
    _, encounter, weights = seen_once(site)
    other = site.add_holder(BOB)
    site.sync()
    site.pretend.move_encounter(encounter, other)
    site.sync()
    link = world.link_of(site.hospital, other)
    shown = world.shown(site.hospital)
    assert {found.link_id for found in shown.values()} == {link.pk}
    assert {found.patient_id for found in shown.values()} == {link.patient_id}
    assert sorted(site.values().values()) == ["60", "61"]
    assert is_even(site)
    assert ("encounter", encounter) in shown
    assert len(weights) == 2


def test_an_encounter_that_moved_to_somebody_without_passport_leaves_nothing_to_see(site: Site) -> None:
    _, encounter, _ = seen_once(site)
    stranger = site.pretend.add_person(national_id="1197000000000001")
    site.sync()
    site.pretend.move_encounter(encounter, stranger)
    site.sync()
    assert not world.shown(site.hospital)
    assert not Record.objects.filter(table="encounter").exists(), "a row of somebody else is not kept"
    assert is_even(site)


def test_a_corrected_time_of_an_encounter_reaches_its_rows(site: Site) -> None:
    _, encounter, _ = seen_once(site)
    site.sync()
    site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync()
    assert {found.at_local for found in world.shown(site.hospital).values()} == {"2020-05-17 09:30:00"}
    assert is_even(site)


# ------------------------------------------------------------------------------------------------ merges


def test_a_merge_brings_the_losers_history_to_the_winner(site: Site) -> None:
    """T25"""
    winner, _, _ = seen_once(site)
    loser = site.pretend.add_person()
    encounter = site.pretend.add_encounter(loser, visit=site.pretend.add_visit(loser))
    site.pretend.add_obs(loser, "weight", 80.0, encounter=encounter)
    site.pretend.add_drug_order(loser, encounter=encounter)
    site.sync()
    site.pretend.merge_patients(winner, loser)
    site.sync()
    assert sorted(site.values().values()) == ["60", "61", "80"]
    assert {found.link_id for found in world.shown(site.hospital).values()} == {world.link_of(site.hospital, winner).pk}
    assert len(world.values(site.hospital, "orders")) == 1
    assert is_even(site)


def test_a_merge_takes_the_number_along_and_the_patient_sees_the_same(site: Site) -> None:
    """T25: the one with the number loses."""
    loser, _, _ = seen_once(site)
    winner = site.pretend.add_person()
    site.sync()
    site.pretend.merge_patients(winner, loser)
    site.sync()
    assert sorted(site.values().values()) == ["60", "61"]
    assert world.link_of(site.hospital, loser).state != "linked"
    assert {found.link_id for found in world.shown(site.hospital).values()} == {world.link_of(site.hospital, winner).pk}
    assert is_even(site)


# ------------------------------------------------------------------------------------------------ other tables


def test_a_stopped_order_says_so(site: Site) -> None:
    """T66"""
    person, encounter, _ = seen_once(site)
    order = site.pretend.add_drug_order(person, encounter=encounter)
    now = timezone.now()
    site.sync(now=now)
    assert "stopped" not in record(order, "orders").details
    site.pretend.stop_order(order)
    site.sync(now=now + dt.timedelta(hours=25))
    assert "stopped" in record(order, "orders").details
    assert list(world.values(site.hospital, "orders")) == [order], "what stops it is no prescription"
    assert is_even(site)


def test_an_order_that_changed_without_any_trace_is_read_again_by_the_sweep(kigali: Site) -> None:
    """T66"""
    person, encounter, _ = seen_once(kigali)
    order = kigali.pretend.add_drug_order(person, encounter=encounter)
    now = timezone.now()
    kigali.sync(now=now)
    kigali.pretend.update("orders", order, fulfiller_status="COMPLETED")
    kigali.sync(now=now + dt.timedelta(hours=25))
    assert record(order, "orders").details["fulfiller_status"] == "COMPLETED"


def test_a_condition_whose_old_row_has_no_date_of_its_void_is_withdrawn(kigali: Site) -> None:
    person = kigali.add_holder(ALICE)
    old = kigali.pretend.add_condition(person, "diabetes")
    kigali.sync()
    new = kigali.pretend.edit_condition(old, clinical_status="INACTIVE")
    kigali.sync()
    assert kigali.pretend.row("conditions", old)["date_voided"] is None
    assert list(world.values(kigali.hospital, "conditions")) == [new]


def test_a_diagnosis_edited_in_place_and_an_allergy_edited_by_a_new_row_arrive(kigali: Site) -> None:
    person, encounter, _ = seen_once(kigali)
    diagnosis = kigali.pretend.add_diagnosis(person, "malaria", encounter=encounter, certainty="PROVISIONAL")
    allergy = kigali.pretend.add_allergy(person, "penicillin", severity="mild")
    kigali.sync()
    kigali.pretend.edit_diagnosis(diagnosis, certainty="CONFIRMED")
    edited = kigali.pretend.edit_allergy(allergy, comments="seen by the ward")
    kigali.sync()
    assert record(diagnosis, "encounter_diagnosis").certainty == "confirmed"
    assert list(world.values(kigali.hospital, "allergy")) == [edited]


def test_a_migrated_diagnosis_is_shown_once_at_every_moment(kigali: Site) -> None:
    """T77"""
    person, encounter, _ = seen_once(kigali)
    group = kigali.pretend.add_obs_group_diagnosis(person, "malaria", encounter=encounter)
    kigali.sync()

    def diagnoses() -> list[str]:
        shown = world.shown(kigali.hospital).values()
        return [found.value for found in shown if found.category == "condition" and found.part_of is None]

    assert diagnoses() == ["Malaria"]
    kigali.pretend.migrate_obs_group_diagnosis(group)
    kigali.sync()
    assert diagnoses() == ["Malaria"]
    assert is_even(kigali)


# ------------------------------------------------------------------------------------------------ names


def test_a_concept_renamed_by_plain_sql_is_shown_under_its_new_name(site: Site) -> None:
    """T82"""
    _, _, (first, _) = seen_once(site)
    site.sync()
    before = record(first).concept
    site.pretend.rename_concept("weight", "Body weight", in_place=True)
    site.sync()
    assert before != record(first).concept == "Body weight"


def test_a_unit_and_a_range_corrected_by_plain_sql_reach_every_record(site: Site) -> None:
    """T82: 93 units changed with no stamp between real snapshots."""
    person, encounter, _ = seen_once(site)
    pulse = site.pretend.add_obs(person, "pulse", 120.0, encounter=encounter)
    site.sync()
    assert (record(pulse).unit, record(pulse).flag) == ("beats/min", "high")
    site.pretend.change_unit("pulse", "per minute")
    site.pretend.change_range("pulse", hi_normal=130)
    site.sync()
    assert (record(pulse).unit, record(pulse).high, record(pulse).flag) == ("per minute", 130, "normal")


def test_a_renamed_place_and_a_renamed_doctor_reach_every_record(site: Site) -> None:
    """T82"""
    person = site.add_holder(ALICE)
    encounter = site.pretend.add_encounter(person, provider="nurse", location="maternity")
    obs = site.pretend.add_obs(person, "weight", 60.0, encounter=encounter)
    site.sync()
    site.pretend.rename_location("maternity", "Ward 7")
    site.pretend.rename_provider("nurse", "Solange", "Ingabire")
    site.sync()
    assert (record(obs).location, record(obs).provider) == ("Ward 7", "Solange Ingabire")


def test_a_renamed_answer_reaches_every_record(site: Site) -> None:
    """T82: the coded value's name, not the question's."""
    person, encounter, _ = seen_once(site)
    obs = site.pretend.add_obs(person, "smoker", True, encounter=encounter)
    site.sync()
    site.pretend.rename_concept("true", "Definitely", in_place=True)
    site.sync()
    assert record(obs).value == "Definitely"


def test_a_hospitals_zone_corrected_later_moves_no_shown_time(site: Site) -> None:
    """T88, T94"""
    _, _, (first, _) = seen_once(site)
    site.sync()
    before = record(first)
    type(site.hospital).objects.update(time_zone="America/Sao_Paulo", config_version=2)
    site.sync(deep=False)
    after = record(first)
    assert after.at_local == before.at_local
    assert after.order_at - before.order_at == 5 * 3600
    assert before.order_at != UNDATED
