"""Reading ahead: a sync in many small batches ends as one in a single batch does, whatever happens between."""

import threading
from typing import Any

import pytest

from openmrs_sync import enricher, pipeline, reader, refresh
from openmrs_sync.stores import record_store
from passport.models import Link
from tests.integration import world
from tests.integration.world import Site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sources(sources_on_loopback: None) -> None:
    """Hospitals on this machine are let through."""


@pytest.fixture(autouse=True, params=["render in turn", "render ahead"])
def _rendering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other thread renders what it has read where writing is waiting for another process."""
    if request.param == "render ahead" and not reads_ahead():
        pytest.skip("nothing is read ahead on this store")
    monkeypatch.setattr(type(record_store()), "is_elsewhere", request.param == "render ahead")


@pytest.fixture
def people(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Twelve people with three obs each, and batches so small that each person is one."""
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 4)
    persons = [kigali.add_holder(f"11990800123456{number:02d}") for number in range(10, 22)]
    for person in persons:
        for number in range(3):
            kigali.pretend.add_obs(person, "weight", 50 + number)
    return persons


def test_a_first_sync_in_many_batches_has_everything(kigali: Site, people: list[int]) -> None:
    run = world.synced(kigali.hospital)

    assert (run.n_persons, run.n_created) == (12, 36)
    assert world.verified(kigali.hospital).as_dict()["n_unexplained"] == 0
    assert world.nothing_changed(world.synced(kigali.hospital, full=True))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that read batches, one after the other."""
    names: list[str] = []

    def noted(*arguments: Any, _read: Any = reader.read_batch, **options: Any) -> Any:
        names.append(threading.current_thread().name)
        return _read(*arguments, **options)

    monkeypatch.setattr(reader, "read_batch", noted)
    return names


def reads_ahead() -> bool:
    """Not where a worker that lost its claim may still write: what a batch finds depends on what was taken over."""
    return not record_store().has_late_writers


def n_ahead(threads: list[str]) -> int:
    return len([name for name in threads if name.startswith("read-ahead")])


@pytest.mark.parametrize("full", [False, True])
def test_the_next_batch_is_read_by_another_thread(
    kigali: Site, people: list[int], threads: list[str], full: bool
) -> None:
    if full:
        world.synced(kigali.hospital)
        threads.clear()
    world.synced(kigali.hospital, full=full)

    assert (len(threads), n_ahead(threads)) == (12, 11 if reads_ahead() else 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_the_next_batch_is_rendered_by_that_thread_where_writing_is_waiting(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def render(*arguments: Any, _render: Any = enricher.render, **options: Any) -> Any:
        names.append(threading.current_thread().name)
        return _render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", render)
    world.synced(kigali.hospital)

    assert len(names) == 12, "each once"
    assert n_ahead(names) == (11 if record_store().is_elsewhere and reads_ahead() else 0)


@pytest.mark.parametrize("old, new", [(3, 2), (2, 3)])
def test_what_was_read_ahead_of_a_row_that_moved_is_read_again(
    kigali: Site, people: list[int], threads: list[str], old: int, new: int
) -> None:
    """The writing of the batch before it changed records of its links: both ways, before any of the two is read."""
    moved = kigali.pretend.add_obs(people[old], "note", "was written for somebody else")
    world.synced(kigali.hospital)
    kigali.pretend.update("obs", moved, person_id=people[new])
    threads.clear()
    world.synced(kigali.hospital, full=True)

    record = world.shown(kigali.hospital)["obs", moved]
    assert record.link_id == Link.objects.get(person_id=people[new]).pk
    assert len(threads) == (13 if reads_ahead() else 12)
    assert world.verified(kigali.hospital).as_dict()["n_unexplained"] == 0


def test_a_person_that_fails_while_the_next_is_read_waits_alone(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(batch: Any, _render: Any = enricher.render, **options: Any) -> Any:
        if people[4] in batch.persons:
            raise ZeroDivisionError
        return _render(batch, **options)

    monkeypatch.setattr(enricher, "render", render)
    run = world.sync(kigali.hospital)
    assert (run.status, run.n_persons, run.n_created) == ("ok", 11, 33)
    monkeypatch.undo()

    assert world.synced(kigali.hospital).n_created == 3
    assert world.verified(kigali.hospital).as_dict()["n_unexplained"] == 0


def test_a_row_that_moves_between_two_batches_is_with_its_new_owner(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = kigali.pretend.add_obs(people[0], "note", "was written for somebody else")

    def write(*arguments: Any, _write: Any = refresh.write, **options: Any) -> Any:
        if people[0] in options["prepared"].persons:
            # after it was read for its old owner, before anyone else was written
            kigali.pretend.update("obs", moved, person_id=people[-1])
        return _write(*arguments, **options)

    monkeypatch.setattr(refresh, "write", write)
    world.synced(kigali.hospital)
    world.synced(kigali.hospital)

    record = world.shown(kigali.hospital)["obs", moved]
    assert record.link_id == Link.objects.get(person_id=people[-1]).pk
    assert world.verified(kigali.hospital).as_dict()["n_unexplained"] == 0


def test_a_source_that_fails_ahead_ends_the_run_and_leaves_no_thread(
    kigali: Site, people: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read = 0

    def break_off(*arguments: Any, _read: Any = reader.read_batch, **options: Any) -> Any:
        nonlocal n_read
        n_read += 1
        if n_read == 5:
            kigali.pretend.execute("DROP TABLE visit")
        return _read(*arguments, **options)

    monkeypatch.setattr(reader, "read_batch", break_off)
    run = world.sync(kigali.hospital)

    assert (run.status, run.error_kind, run.n_persons) == ("failed", "schema_mismatch", 4)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
