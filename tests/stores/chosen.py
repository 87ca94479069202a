"""The store on which the whole suite stands: `TEST_STORE=postgresql|mongodb ./run test`; SQLite when nothing is said.

The first process starts the server; the workers of pytest-xdist inherit its address and have a database each.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import require
from tests.stores.mongodb import MongoServer
from tests.stores.postgres import PostgresServer
from tests.stores.process import PrivateServer

ADDRESS = "TEST_STORE_ADDRESS"  # the URL of a database called {name}
_running: list[PrivateServer] = []  # held, or its finalizer would end it


def urls(*, sqlite: Path, worker: str) -> dict[str, str]:
    """DATABASE_URL and CONTROL_DATABASE_URL of the store chosen, for this worker alone."""
    store = os.environ.get("TEST_STORE") or "sqlite"
    if store == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{sqlite}", "CONTROL_DATABASE_URL": ""}
    if ADDRESS not in os.environ:
        os.environ[ADDRESS] = _started(store).url("{name}")
    control = "" if store == "postgresql" else f"sqlite:///{sqlite}"
    return {"DATABASE_URL": os.environ[ADDRESS].format(name=f"passport_{worker}"), "CONTROL_DATABASE_URL": control}


def told() -> str:
    """On which stores this process stands, by the connections that its tests had."""
    from django.db import connections

    from passport.router import records_alias

    return f"store: {connections['default'].vendor}, records: {connections[records_alias()].vendor}"


def _started(store: str) -> PostgresServer | MongoServer:
    server: PostgresServer | MongoServer
    if store == "postgresql":
        server = PostgresServer(require("postgresql"))
    elif store == "mongodb":
        server = MongoServer(require("mongodb"))
    else:
        raise SystemExit("TEST_STORE is sqlite, postgresql or mongodb")
    _running.append(server.__enter__())
    return server


@contextmanager
def records_apart() -> Iterator[None]:
    """Where the records live in a store without transactions, tests may reach it all the same. For the whole session.

    Django's `TestCase` would give up its own transaction on every database for the sake of that one, and empty every
    table after every test. `emptied` does what the transaction does elsewhere.
    """
    from django.db import connections
    from django.test import SimpleTestCase

    if "records" not in connections:
        yield
        return
    kept, SimpleTestCase._disallowed_connection_methods = SimpleTestCase._disallowed_connection_methods, []
    yield
    SimpleTestCase._disallowed_connection_methods = kept


def empty_records() -> None:
    """Take away what a test left in a store of records that no transaction of the test's covers."""
    from django.db import connections

    from passport.models import Record

    if "records" in connections:
        connections["records"].database[Record._meta.db_table].delete_many({})
