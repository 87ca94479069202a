"""Three machines, forty hospitals, one PostgreSQL. One machine dies, one stands still, one is cut off.

Everything that the hospitals write meanwhile is there at the end, once; the lag recovers while the machine is away.
"""

import contextlib
from pathlib import Path

import pytest

from tests.machines.country import Country, judged, nothing_was_done_twice, shared_settings, wait_quietly
from tests.machines.groups import Group
from tests.openmrs.server import MariaDBServer
from tests.stores.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.store, pytest.mark.timeout(1500)]

N_HOSPITALS = 40


def test_machines_die_stand_still_and_are_cut_off_and_nothing_is_lost_or_done_twice(
    mariadb: MariaDBServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """T13, T16, T74: one after the other, while rows are written at all hospitals all the time."""
    shared = shared_settings(postgres.url("passport"))
    country = Country(mariadb, postgres, n_hospitals=N_HOSPITALS)
    country.found(shared, folder=tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(country.close)
        one, two, three = (
            stack.enter_context(Group(name, shared=shared, folder=tmp_path)) for name in ("one", "two", "three")
        )
        began = country.now()
        country.wait(lambda: country.are_all_read_since(began), why="the first syncs")
        for group in (one, two, three):
            country.wait(lambda group=group: country.n_done(group, since=began), why=f"{group.name} takes part")

        country.wait(lambda: country.n_in_hand(one), why="one has something in hand")
        one.freeze()
        frozen = country.now()
        country.wait(lambda: country.is_given_up(one), why="the others notice that one stands still")
        country.wait(lambda: country.are_all_read_since(frozen), why="the lag recovers while one stands still")
        one.thaw()
        thawed = country.now()
        country.wait(lambda: country.n_done(one, since=thawed), why="one takes part again")

        country.wait(lambda: country.n_in_hand(two), why="two has something in hand")
        two.kill()
        killed = country.now()
        country.wait(lambda: country.is_given_up(two), why="the others notice that two is gone")
        country.wait(lambda: country.are_all_read_since(killed), why="the lag recovers without two")

        country.wait(lambda: country.n_in_hand(three), why="three has something in hand")
        three.line.refuse()
        cut = country.now()
        country.wait(lambda: country.are_all_read_since(cut), why="the lag recovers while three is cut off")
        three.line.heal()
        two.start_again()
        healed = country.now()
        for group in (two, three):
            country.wait(lambda group=group: country.n_done(group, since=healed), why=f"{group.name} is back")

        wait_quietly(lambda: country.n_there() == country.n_written, why="what was written is there")
        last = country.now()
        wait_quietly(lambda: country.are_all_read_since(last), why="everything is read once more")
        looked = country.ask("SELECT count(*) FROM openmrs_sync_syncrun WHERE trigger = 'watch' AND status = 'ok'")
        assert looked > 0
    nothing_was_done_twice(country)
    judged(country, shared, folder=tmp_path)
