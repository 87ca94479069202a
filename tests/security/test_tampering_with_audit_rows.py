"""Whoever can write to the database tries to change what happened: refused by the database, and found where it is not.

On SQLite in this process; on PostgreSQL and MariaDB in processes that have such a store.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, connection, transaction

from passport.audit import Break, record_event, verify
from passport.models import AuditEvent
from tests.audit_fixtures import lifted_audit
from tests.parts import ROOT, require
from tests.stores import audit_attacks
from tests.stores.audit_attacks import NOW

with_commits = pytest.mark.django_db(transaction=True)
on_servers = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(300)]


@with_commits
@pytest.mark.parametrize("name", audit_attacks.ATTACKS["sqlite"])
def test_sqlite_refuses(name: str) -> None:
    """T59: UPDATE, DELETE and what replaces a row are refused by the database itself."""
    if connection.vendor != "sqlite":
        pytest.skip("this run has another store")
    audit_attacks.write_rows()
    with pytest.raises(DatabaseError, match="never changed or deleted"), transaction.atomic():
        connection.cursor().execute(audit_attacks.ATTACKS["sqlite"][name])
    assert (verify().n_rows, verify().is_whole) == (3, True)


@pytest.mark.parametrize("store", [pytest.param(name, marks=on_servers) for name in ("postgresql", "mariadb")])
def test_a_server_refuses_every_attack(store: str, request: pytest.FixtureRequest, tmp_path: object) -> None:
    """T59: the same on a server of our own, and TRUNCATE too."""
    with _server(store, request) as url:
        environment = audit_attacks.environment(url, str(tmp_path))
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, capture_output=True)
        attack = [sys.executable, "-m", "tests.stores.audit_attacks"]
        done = subprocess.run(attack, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["not_refused"] == []
    assert (told["n_rows"], told["is_whole"]) == (3, True)
    assert set(told["refused"]) == set(audit_attacks.ATTACKS[told["vendor"]])


def _server(store: str, request: pytest.FixtureRequest) -> "_Url":
    return _Url(_postgresql if store == "postgresql" else lambda: _mariadb(request))


class _Url:
    """The address of an empty database, as long as the server runs."""

    def __init__(self, start: Callable[[], Iterator[str]]) -> None:
        self._running = start()

    def __enter__(self) -> str:
        return next(self._running)

    def __exit__(self, *_error: object) -> None:
        for _ in self._running:
            raise AssertionError("a server gives one address")


def _postgresql() -> Iterator[str]:
    from tests.stores.postgres import PostgresServer

    with PostgresServer(require("postgresql")) as server:
        server.create_database("passport")
        yield server.url("passport")


def _mariadb(request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.getfixturevalue("mariadb")
    server.create_database("attacked")
    server.grant("own", "own", "ALL", "`attacked`.*")
    yield f"mysql://own:own@{server.host}:{server.port}/attacked"
    server.drop_database("attacked")


@with_commits
def test_a_forced_change_is_found_and_its_row_named() -> None:
    """T59: with the triggers lifted the change succeeds, and the walk names the first bad row."""
    audit_attacks.write_rows()
    with lifted_audit():
        AuditEvent.objects.filter(seq=2).update(basis="care")
    assert (verify().first_broken, verify().problem) == (2, Break.ALTERED)


@with_commits
def test_rows_swapped_between_two_numbers_are_found() -> None:
    for action in ("first", "second", "third"):
        record_event(action=action, actor=None, now=NOW)
    with lifted_audit():
        AuditEvent.objects.filter(seq=2).update(seq=99)
        AuditEvent.objects.filter(seq=3).update(seq=2)
        AuditEvent.objects.filter(seq=99).update(seq=3)
    assert (verify().first_broken, verify().problem) == (2, Break.ALTERED)


@with_commits
def test_a_row_slipped_in_at_the_end_is_found() -> None:
    audit_attacks.write_rows()
    last = AuditEvent.objects.get(seq=3)
    AuditEvent.objects.create(
        seq=4, at=NOW, action="forged", actor_role="system", previous_hash=last.hash, hash="f" * 64
    )
    assert (verify().first_broken, verify().problem) == (4, Break.ALTERED)
