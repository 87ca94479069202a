"""What happens between two statements, in one second, or by a clock that is wrong."""

import datetime as dt
from itertools import count

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openmrs_sync import links, pipeline, watcher
from passport.models import Link, User
from tests.integration import world
from tests.integration.world import Site
from tests.stories.steps import at_each_step

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"
NUMBERS = (f"11990800{number:08d}" for number in count(1))
HOUR = dt.timedelta(hours=1)


@pytest.fixture(params=["kigali", "huye"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def seen(site: Site, number: str = ALICE) -> tuple[int, int, int]:
    """A passport holder, an encounter and a weight in it."""
    person = site.add_holder(number)
    encounter = site.pretend.add_encounter(person)
    return person, encounter, site.pretend.add_obs(person, "weight", 60.0, encounter=encounter)


# ------------------------------------------------------------------------------------------- between two statements


def test_rows_that_come_between_any_two_statements_are_stored_and_each_batch_agrees_with_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T2, T81: rows and their count are read by different statements; without a snapshot they would differ."""
    person, encounter, _ = seen(site)
    site.sync()
    added: list[int] = []

    def add(_number: int, _what: str) -> None:
        added.append(site.pretend.add_obs(person, "weight", 61.0, encounter=encounter))

    add(0, "")  # something to read, so that the run comes to read
    with monkeypatch.context() as patch:
        at_each_step(patch, add)
        site.sync()
    link = world.link_of(site.hospital, person)
    assert len(added) > 40
    assert link.n_unexplained == 0
    assert 1 < link.n_source < len(added), "what came after the snapshot is not in it"
    site.sync(deep=False)
    assert set(added) <= site.values().keys()
    assert world.verified(site.hospital).is_well


@pytest.mark.slow
def test_unlinked_at_any_step_of_a_run_nothing_is_shown_from_that_commit_on(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T87"""
    ada = User.objects.create_user("ada", password=None, role="admin")
    n_decided = 0
    for position in range(1, 120, 2):
        person, _, _ = seen(kigali, next(NUMBERS))
        decided: list[Link] = []

        def decide(number: int, _what: str, person: int = person, at: int = position, decided: list[Link] = decided):  # type: ignore[no-untyped-def]
            link = Link.objects.filter(person_id=person, state="linked").first()
            if number >= at and link and not decided:
                links.decide(link=link, verdict="different", actor=ada, now=timezone.now())
                decided.append(link)
            for each in decided:
                assert not world.shown(kigali.hospital, each.patient)

        with monkeypatch.context() as patch:
            at_each_step(patch, decide)
            kigali.sync()
        if not decided:
            break
        n_decided += 1
        assert not world.shown(kigali.hospital, decided[0].patient)
        kigali.sync(deep=False)
        assert not world.shown(kigali.hospital, decided[0].patient)
    assert 10 < n_decided < 59


# ------------------------------------------------------------------------------------------- one second


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ticks=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=4))
def test_rows_of_one_second_are_stored_however_they_are_spread_over_ticks(
    kigali: Site, ticks: list[tuple[int, bool]]
) -> None:
    """T3"""
    with kigali.pretend.at(dt.datetime(2026, 3, 4, 10, 0)):
        person = kigali.add_holder(next(NUMBERS))
        rows = set()
        for n_rows, is_deep in ticks:
            rows |= {kigali.pretend.add_obs(person, "weight", 60.0) for _ in range(n_rows)}
            kigali.sync(deep=is_deep)
            assert rows <= kigali.values().keys()


def test_more_rows_of_one_second_than_a_page_holds_end_and_are_stored(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T4: pages and batches of a hundred, ten thousand rows of one person and second."""
    monkeypatch.setattr(watcher, "PAGE", 100)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 100)
    person, encounter, first = seen(kigali)
    kigali.sync()
    with kigali.pretend.at(dt.datetime(2026, 3, 4, 10, 0)), kigali.pretend.bulk():
        rows = {kigali.pretend.add_obs(person, "pulse", 70.0, encounter=encounter) for _ in range(10_000)}
    assert kigali.sync(deep=False).n_created == 10_000
    assert kigali.values().keys() == rows | {first}


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_change_in_the_second_of_the_last_look_is_seen(site: Site, seconds: int) -> None:
    """T5: whole seconds there, microseconds here; an old OpenMRS rounds into the future, too."""
    moment = site.pretend.clock()
    with site.pretend.at(moment):
        _, encounter, _ = seen(site)
        site.sync()
    with site.pretend.at(moment + dt.timedelta(seconds=seconds)):
        site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync()
    assert {found.at_local for found in world.shown(site.hospital).values()} == {"2020-05-17 09:30:00"}


# ------------------------------------------------------------------------------------------- late commits, no ledger


def test_a_late_commit_below_the_window_is_brought_by_the_sweep_alone(kigali: Site) -> None:
    """T70: neither the remembered window nor a deep look sees it."""
    person, encounter, _ = seen(kigali)
    now = timezone.now()
    kigali.sync(now=now)
    with kigali.pretend.transaction() as late:
        low = late.add_obs(person, "weight", 62.0, encounter=encounter)
        with kigali.pretend.bulk():
            for number in range(1_200):
                kigali.pretend.add_obs(person, "pulse", 80.0, encounter=encounter, obs_id=low + 1 + number)
        kigali.sync(deep=False, now=now)
        late.commit()
    kigali.sync(deep=False, now=now + HOUR)
    assert low not in kigali.values()
    kigali.sync(deep=False, now=now + 26 * HOUR)
    assert low in kigali.values()


# ------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_hospitals_clock_that_is_wrong_by_two_hours_changes_nothing_that_is_read(site: Site, hours: int) -> None:
    """T61"""
    right = site.pretend.clock
    site.pretend.clock = lambda: right() + hours * HOUR
    person, encounter, _ = seen(site)
    site.sync()
    site.pretend.clock = right  # and is set right
    site.pretend.add_obs(person, "weight", 61.0, encounter=encounter)
    site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync()
    assert sorted(site.values().values()) == ["60", "61"]
    assert {found.at_local for found in world.shown(site.hospital).values()} == {"2020-05-17 09:30:00"}


def test_our_clock_that_steps_back_loses_nothing(site: Site) -> None:
    """T61, T91: what was marked, looked at or read "in the future" is due all the same."""
    now = timezone.now()
    person, encounter, _ = seen(site)
    site.sync(now=now + 3 * HOUR, deep=None)
    site.pretend.add_obs(person, "weight", 61.0, encounter=encounter)
    site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync(now=now, deep=None)
    assert sorted(site.values().values()) == ["60", "61"]
    assert {found.at_local for found in world.shown(site.hospital).values()} == {"2020-05-17 09:30:00"}


def test_who_was_read_by_a_clock_in_the_future_is_swept_all_the_same(kigali: Site) -> None:
    """T91: refreshed "in thirty days" must not mean swept in thirty days."""
    now = timezone.now()
    _, _, first = seen(kigali)
    kigali.sync(now=now + 30 * 24 * HOUR)
    kigali.pretend.update("obs", first, value_numeric=73.0)  # no trace of it anywhere
    kigali.sync(now=now, deep=False)
    assert kigali.values() == {first: "73"}


def test_a_stamp_of_2099_does_not_put_the_watch_to_sleep(site: Site) -> None:
    """T91"""
    _, encounter, _ = seen(site)
    with site.pretend.at(dt.datetime(2099, 1, 1)):
        site.pretend.change_encounter(encounter, at=dt.datetime(2019, 1, 1))
    site.sync()
    _, other, _ = seen(site, BOB)
    site.sync()
    site.pretend.change_encounter(other, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync()
    assert world.shown(site.hospital)["encounter", other].at_local == "2020-05-17 09:30:00"


def test_the_hour_that_comes_twice_and_a_clock_that_is_put_back_hide_no_change(site: Site) -> None:
    """T91: the same stamps again, and smaller ones than were seen."""
    now = site.pretend.clock()
    with site.pretend.at(now):
        _, encounter, _ = seen(site)
        _, other, _ = seen(site, BOB)
        site.pretend.change_encounter(other, at=dt.datetime(2019, 1, 1))
        site.sync()
    for back, day in ((HOUR, 17), (0 * HOUR, 18), (HOUR, 19)):
        with site.pretend.at(now - back):
            site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, day))
        site.sync()
        assert world.shown(site.hospital)["encounter", encounter].at_local == f"2020-05-{day} 00:00:00"
