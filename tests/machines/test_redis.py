"""Two machines whose queue and cache are in Redis. One machine dies, and then Redis itself, with all that it held."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.machines.country import Country, inside, judged, nothing_was_done_twice, shared_settings, wait_quietly
from tests.machines.groups import Group
from tests.openmrs.server import MariaDBServer
from tests.parts import require
from tests.stores.postgres import PostgresServer
from tests.stores.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.store, pytest.mark.timeout(900)]

N_HOSPITALS = 8


def test_a_run_whose_task_was_lost_with_the_queue_is_queued_again_and_not_twice(
    mariadb: MariaDBServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    with RedisServer(require("redis")) as redis:
        shared = shared_settings(postgres.url("passport")) | {"REDIS_URL": redis.url}
        country = Country(mariadb, postgres, n_hospitals=1)
        country.close()
        country.found(shared, folder=tmp_path)
        told = json.loads(inside(shared, tmp_path, "lost"))
    # the schedule asks for nothing more: the hospital has a run under way
    assert told == {"sizes": [1, 1, 1], "status": "queued"}


def test_a_machine_and_then_the_whole_queue_are_gone_and_nothing_is_lost_or_done_twice(
    mariadb: MariaDBServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """T13, T16: what was queued is only an errand; what is to be done stands in our own database."""
    with RedisServer(require("redis")) as redis, contextlib.ExitStack() as stack:
        shared = shared_settings(postgres.url("passport")) | {"REDIS_URL": redis.url}
        country = Country(mariadb, postgres, n_hospitals=N_HOSPITALS)
        stack.callback(country.close)
        country.found(shared, folder=tmp_path)
        one, two = (stack.enter_context(Group(name, shared=shared, folder=tmp_path)) for name in ("one", "two"))
        began = country.now()
        country.wait(lambda: country.are_all_read_since(began), why="the first syncs")
        assert not country.ask("SELECT count(*) FROM django_q_ormq"), "the queue is not in the database"
        for group in (one, two):
            country.wait(lambda group=group: country.n_done(group, since=began), why=f"{group.name} takes part")

        country.wait(lambda: country.n_in_hand(one), why="one has something in hand")
        one.kill()
        killed = country.now()
        country.wait(lambda: country.is_given_up(one), why="the other notices that one is gone")
        country.wait(lambda: country.are_all_read_since(killed), why="the lag recovers without one")

        redis.stop()
        country.wait(lambda: not country.n_in_hand(two), why="what was in hand ends")
        redis.start()
        back = country.now()
        one.start_again()
        country.wait(lambda: country.are_all_read_since(back), why="the lag recovers after Redis is back, empty")
        for group in (one, two):
            country.wait(lambda group=group: country.n_done(group, since=back), why=f"{group.name} is back")

        wait_quietly(lambda: country.n_there() == country.n_written, why="what was written is there")
        last = country.now()
        wait_quietly(lambda: country.are_all_read_since(last), why="everything is read once more")
    nothing_was_done_twice(country)
    judged(country, shared, folder=tmp_path)
