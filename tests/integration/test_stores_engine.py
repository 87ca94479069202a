"""No guarantee of the engine is weaker on another store: its own suites once more, on PostgreSQL and with MongoDB.

A class for each, so that two workers of the run around take one each. The servers are ours, and each is asked
afterwards what was written to it: a run that stood on another store would have passed as well.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts import ROOT, require
from tests.stores import suites
from tests.stores.mongodb import MongoServer
from tests.stores.postgres import PostgresServer

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(1800)]

Property = Callable[[str, object], None]
#: Far fewer than there are: a run that finds only some of them is noticed.
FEWEST_TESTS, FEWEST_ROWS, FEWEST_WRITES = 300, 1_000, 100


class TestPostgresql:
    def test_the_suites_of_the_engine_pass(self, tmp_path: Path, record_property: Property) -> None:
        require("mariadb")
        with PostgresServer(require("postgresql")) as server:
            outcome = suites.run(store="postgresql", address=server.url("{name}"), folder=tmp_path)
            n_rows = inserted(server, "passport_record")
        record_property("store", f"PostgreSQL: {outcome}, {n_rows} records inserted")
        assert "store: postgresql, records: postgresql" in outcome.output
        assert outcome.n_passed >= FEWEST_TESTS, outcome.output
        assert n_rows >= FEWEST_ROWS


class TestMongodb:
    def test_the_suites_of_the_engine_pass(self, tmp_path: Path, record_property: Property) -> None:
        require("mariadb")
        with MongoServer(require("mongodb")) as server:
            outcome = suites.run(store="mongodb", address=server.url("{name}"), folder=tmp_path)
            n_writes = writes(server)
        record_property("store", f"MongoDB + SQLite: {outcome}, {n_writes} writes")
        assert "store: sqlite, records: mongodb" in outcome.output
        assert outcome.n_passed >= FEWEST_TESTS, outcome.output
        assert n_writes >= FEWEST_WRITES


def inserted(server: PostgresServer, table: str) -> int:
    """Rows that were ever inserted into it, by the server's own count: of transactions rolled back, too."""
    with server.connect(suites.DATABASE) as connection:
        (n_rows,) = connection.execute(
            "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = %s", [table]
        ).fetchone()
    return int(n_rows)


def writes(server: MongoServer) -> int:
    """Inserts and updates by the server's own count: MongoDB counts documents, the imitation commands."""
    with server.client() as client:
        counted = client.admin.command("serverStatus")["opcounters"]
    return int(counted["insert"]) + int(counted["update"])


@pytest.mark.parametrize("path", suites.LEFT_OUT)
def test_what_is_left_out_is_there(path: str) -> None:
    assert (ROOT / path).exists()
