"""Between the reading of a batch, of the one after it, and the writing of the two: whatever happens, nothing of it is
shown under a wrong person, and nothing is lost.

The batch after is read as early as another thread could: before anything of this one is written.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import brake, claims, links, pipeline, refresh
from openmrs_sync.models import SyncRun
from passport.models import Link, User
from tests.histories.batches import in_small_batches
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def people(kigali: Site) -> Iterator[list[int]]:
    """Four people with three obs each, each a batch, in this order; all read once."""
    with in_small_batches(rows=4):
        persons = [kigali.add_holder(f"11990800123456{number}") for number in range(10, 14)]
        for person in persons:
            for number in range(3):
                kigali.pretend.add_obs(person, "weight", 50 + number)
        kigali.sync()
        yield persons


def owners(site: Site) -> dict[int, int]:
    """obs → the person under whom it is shown."""
    person_of = dict(Link.objects.values_list("pk", "person_id"))
    shown = world.shown(site.hospital)
    return {source_id: person_of[one.link_id] for (table, source_id), one in shown.items() if table == "obs"}


def truth(site: Site) -> dict[int, int]:
    return {row["obs_id"]: row["person_id"] for row in site.pretend.rows("obs", voided=0)}


def once(monkeypatch: pytest.MonkeyPatch, step: str, person_id: int, happens: Callable[[], None]) -> None:
    """Just before `refresh.prepare` or `refresh.write` of the batch that this person is in, for the first time."""
    was, struck = getattr(refresh, step), []
    link_id = Link.objects.get(person_id=person_id).pk

    def strike_first(*arguments: Any, **options: Any) -> Any:
        prepared = options.get("prepared")
        links_of_batch = options["link_ids"] if prepared is None else [one.pk for one in prepared.persons.values()]
        if link_id in links_of_batch and not struck:
            struck.append(True)
            happens()
        return was(*arguments, **options)

    monkeypatch.setattr(refresh, step, strike_first)


#: (before which step, of whose batch): the second is read ahead between the two
AFTER_THE_FIRST_WAS_READ, AFTER_BOTH_WERE_READ = ("prepare", 1), ("write", 0)


@pytest.mark.parametrize("old, new", [(0, 1), (1, 0)])
@pytest.mark.parametrize("moment", [AFTER_THE_FIRST_WAS_READ, AFTER_BOTH_WERE_READ])
@pytest.mark.parametrize("how", ["moves", "moves back", "moves and is voided", "is voided", "moves to nobody's"])
def test_a_row_that_moves_between_two_batches_ends_where_it_belongs(
    kigali: Site,
    people: list[int],
    monkeypatch: pytest.MonkeyPatch,
    old: int,
    new: int,
    moment: tuple[str, int],
    how: str,
) -> None:
    """T86, T92: both ways, before and after the second of the two was read ahead."""
    moved = kigali.pretend.add_obs(people[old], "note", "was written for somebody else")
    kigali.sync()
    target = kigali.pretend.add_person() if how == "moves to nobody's" else people[new]
    if how == "moves back":
        kigali.pretend.update("obs", moved, person_id=people[new])
        target = people[old]

    def happens() -> None:
        if how != "is voided":
            kigali.pretend.update("obs", moved, person_id=target)
        if "voided" in how:
            kigali.pretend.void_obs(moved)

    step, number = moment
    once(monkeypatch, step, people[number], happens)
    kigali.sync(full=True)
    assert owners(kigali).get(moved) in {people[old], people[new], None}
    if moment == AFTER_THE_FIRST_WAS_READ and how in ("moves", "moves back"):
        assert owners(kigali).get(moved, target) == target, "the second was read after that"
        kigali.sync()
        assert owners(kigali)[moved] == target, "and marked whoever must be read for it"
    kigali.sync(full=True)
    assert owners(kigali) == {obs: person for obs, person in truth(kigali).items() if person in people}
    assert world.verified(kigali.hospital).is_well


@pytest.mark.parametrize("person", [0, 1])
def test_a_link_that_is_cut_after_its_batch_was_read_shows_nothing(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch, person: int
) -> None:
    """T26: of the batch in hand, and of the one that was read ahead."""
    link = world.link_of(kigali.hospital, people[person])
    ada = User.objects.create_user("ada", password=None, role="admin")

    def cut() -> None:
        links.decide(link=link, verdict="different", actor=ada, now=timezone.now())

    once(monkeypatch, "write", people[0], cut)
    kigali.sync(full=True)
    assert set(owners(kigali).values()) == set(people) - {people[person]}
    kigali.sync(full=True)
    assert set(owners(kigali).values()) == set(people) - {people[person]}
    assert world.verified(kigali.hospital).is_well


def stop(_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(pipeline, "_stop", stopped)


def change_settings(site: Site, _monkeypatch: pytest.MonkeyPatch) -> None:
    Hospital.objects.filter(pk=site.hospital.pk).update(
        config_version=F("config_version") + 1, time_zone="America/Sao_Paulo"
    )


def begin_quiet_hours(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on to the middle of them."""
    monkeypatch.setattr(claims.Clock, "now", lambda clock: clock.start + dt.timedelta(hours=1))


@pytest.mark.parametrize("ends", [stop, change_settings, begin_quiet_hours])
def test_what_was_read_ahead_of_a_run_that_ends_early_is_read_by_the_next(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch, ends: Callable[..., None]
) -> None:
    """T6: it is not written, and stays marked."""
    for obs in truth(kigali):
        kigali.pretend.edit_obs_in_place(obs, 99.0)
    local = timezone.now().astimezone(ZoneInfo(kigali.hospital.time_zone))
    Hospital.objects.filter(pk=kigali.hospital.pk).update(
        quiet_from=(local + dt.timedelta(minutes=30)).time(), quiet_to=(local + dt.timedelta(hours=2)).time()
    )
    once(monkeypatch, "write", people[0], lambda: ends(kigali, monkeypatch))
    run = kigali.sync(full=True, trigger=SyncRun.Trigger.SCHEDULE)
    assert run.n_persons == 1
    assert sorted(kigali.values().values()) == sorted(["99"] * 3 + ["50", "51", "52"] * 3)
    monkeypatch.undo()
    with in_small_batches(rows=4):
        kigali.sync()
    assert set(kigali.values().values()) == {"99"}
    assert world.verified(kigali.hospital).is_well


def test_a_worker_that_loses_its_claim_with_a_batch_read_ahead_writes_neither(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T15, T79"""
    for obs in truth(kigali):
        kigali.pretend.edit_obs_in_place(obs, 99.0)

    def sleep_and_be_overtaken() -> None:
        later = claims.Clock.at(timezone.now() + 2 * claims.LEASE)
        with claims.claim(hospital=kigali.hospital, clock=later):
            pass

    once(monkeypatch, "write", people[0], sleep_and_be_overtaken)
    run = world.sync(kigali.hospital, full=True)
    assert (run.status, run.n_persons) == ("failed", 0)
    assert "99" not in kigali.values().values()
    kigali.sync()
    assert set(kigali.values().values()) == {"99"}
    assert world.verified(kigali.hospital).is_well


def test_the_brake_counts_batch_by_batch_whatever_was_read_ahead(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that crosses the limit is not written, nor the one that was read after it."""
    monkeypatch.setattr(brake, "RECORDS", 3)
    gone = [row["obs_id"] for person in people for row in kigali.pretend.rows("obs", person_id=person)[:2]]
    for obs in gone:
        person = kigali.pretend.row("obs", obs)["person_id"]
        kigali.pretend.purge_obs(obs)
        kigali.pretend.add_obs(person, "weight", 60)  # as many rows as before: each is a batch, as before
    run = world.sync(kigali.hospital, full=True)
    assert run.error_kind == "would_erase"
    assert len(owners(kigali).keys() & set(gone)) == len(gone) - 2
    pipeline.accept_changes(hospital=kigali.hospital, actor=None, now=timezone.now())
    kigali.sync()
    assert owners(kigali) == truth(kigali)
    assert world.verified(kigali.hospital).is_well
