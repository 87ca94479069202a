"""No guarantee of the engine is weaker on another store: its own suites once more, on PostgreSQL and with MongoDB.

The servers are ours, and each is asked afterwards what was written to it: a run that stood on another store would have
passed as well. A class for each, with two tests in each, so that pytest-xdist gives no worker the second class while
the suites of the first run.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.parts import ROOT, require
from tests.stores import suites
from tests.stores.mongodb import MongoServer
from tests.stores.postgres import PostgresServer
from tests.stores.suites import Outcome

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(1800)]

Property = Callable[[str, object], None]
#: Far fewer than there are: a run that finds only some of them is noticed.
FEWEST_TESTS, FEWEST_ROWS, FEWEST_WRITES = 300, 1_000, 100


class TestPostgresql:
    @pytest.fixture(scope="class")
    def server(self) -> Iterator[PostgresServer]:
        require("mariadb")
        with PostgresServer(require("postgresql")) as server:
            yield server

    @pytest.fixture(scope="class")
    def outcome(self, server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
        return suites.run(store="postgresql", address=server.url("{name}"), folder=tmp_path_factory.mktemp("suites"))

    def test_the_suites_of_the_engine_pass(self, outcome: Outcome) -> None:
        assert outcome.exit_code == 0, outcome.output
        assert outcome.n_passed >= FEWEST_TESTS, outcome.output

    def test_they_were_written_there(self, outcome: Outcome, server: PostgresServer, record_property: Property) -> None:
        assert "store: postgresql, records: postgresql" in outcome.output
        n_rows = inserted(server, "passport_record")
        record_property("store", f"PostgreSQL: {outcome}, {n_rows} records inserted")
        assert n_rows >= FEWEST_ROWS


class TestMongodb:
    @pytest.fixture(scope="class")
    def server(self) -> Iterator[MongoServer]:
        require("mariadb")
        with MongoServer(require("mongodb")) as server:
            yield server

    @pytest.fixture(scope="class")
    def outcome(self, server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
        return suites.run(store="mongodb", address=server.url("{name}"), folder=tmp_path_factory.mktemp("suites"))

    def test_the_suites_of_the_engine_pass(self, outcome: Outcome) -> None:
        assert outcome.exit_code == 0, outcome.output
        assert outcome.n_passed >= FEWEST_TESTS, outcome.output

    def test_they_were_written_there(self, outcome: Outcome, server: MongoServer, record_property: Property) -> None:
        assert "store: sqlite, records: mongodb" in outcome.output
        n_writes = writes(server)
        record_property("store", f"MongoDB + SQLite: {outcome}, {n_writes} writes")
        assert n_writes >= FEWEST_WRITES


def inserted(server: PostgresServer, table: str) -> int:
    """Rows that were ever inserted into it, by the server's own count: of transactions rolled back, too."""
    asked = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = %s"
    with server.connect(suites.DATABASE) as connection:
        return int(connection.execute(asked, [table]).fetchone()[0])


def writes(server: MongoServer) -> int:
    """Inserts and updates by the server's own count: MongoDB counts documents, the imitation commands."""
    with server.client() as client:
        counted = client.admin.command("serverStatus")["opcounters"]
    return int(counted["insert"]) + int(counted["update"])


@pytest.mark.parametrize("path", suites.LEFT_OUT)
def test_what_is_left_out_is_there(path: str) -> None:
    assert (ROOT / path).exists()
