"""No guarantee of the engine is weaker on another store: its own suites once more, on PostgreSQL and with MongoDB.

The servers are ours, and each is asked afterwards what was written to it: a run that stood on another store would have
passed as well. A class for each, with three tests in each: pytest-xdist gives more to a worker that has two or fewer,
and one worker would run the suites of both stores.
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


@pytest.fixture(scope="class")
def postgres() -> Iterator[PostgresServer]:
    require("mariadb")
    with PostgresServer(require("postgresql")) as server:
        yield server


@pytest.fixture(scope="class")
def on_postgres(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return suites.run(store="postgresql", address=postgres.url("{name}"), folder=tmp_path_factory.mktemp("suites"))


class TestPostgresql:
    def test_the_suites_of_the_engine_pass(self, on_postgres: Outcome) -> None:
        assert on_postgres.exit_code == 0, on_postgres.output

    def test_they_are_not_a_few(self, on_postgres: Outcome) -> None:
        assert on_postgres.n_passed >= FEWEST_TESTS, on_postgres.output

    def test_they_were_written_there(
        self, on_postgres: Outcome, postgres: PostgresServer, record_property: Property
    ) -> None:
        assert "store: postgresql, records: postgresql" in on_postgres.output
        n_rows = inserted(postgres, "passport_record")
        record_property("store", f"PostgreSQL: {on_postgres}, {n_rows} records inserted")
        assert n_rows >= FEWEST_ROWS


@pytest.fixture(scope="class")
def mongo() -> Iterator[MongoServer]:
    require("mariadb")
    with MongoServer(require("mongodb")) as server:
        yield server


@pytest.fixture(scope="class")
def on_mongo(mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return suites.run(store="mongodb", address=mongo.url("{name}"), folder=tmp_path_factory.mktemp("suites"))


class TestMongodb:
    def test_the_suites_of_the_engine_pass(self, on_mongo: Outcome) -> None:
        assert on_mongo.exit_code == 0, on_mongo.output

    def test_they_are_not_a_few(self, on_mongo: Outcome) -> None:
        assert on_mongo.n_passed >= FEWEST_TESTS, on_mongo.output

    def test_they_were_written_there(self, on_mongo: Outcome, mongo: MongoServer, record_property: Property) -> None:
        assert "store: sqlite, records: mongodb" in on_mongo.output
        n_writes = writes(mongo)
        record_property("store", f"MongoDB + SQLite: {on_mongo}, {n_writes} writes")
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
