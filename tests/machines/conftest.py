"""The store that several machines share."""

from collections.abc import Iterator

import pytest

from tests.parts import require
from tests.stores.postgres import PostgresServer


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(require("postgresql")) as server:
        server.create_database("passport")
        yield server
