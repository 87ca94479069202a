"""A private PostgreSQL cluster, from the programs that Debian keeps in /usr/lib/postgresql.

It refuses to run as root, so that under root it is the user `postgres` (or `nobody`) who runs it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.openmrs.server import ServerFailed
from tests.stores.process import PrivateServer

USER = "passport"
# A test loses nothing when the machine loses power.
FORGETFUL = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"]
SMALL = ["shared_buffers=64MB", "max_connections=50", "listen_addresses=127.0.0.1", "autovacuum_naptime=10"]


class PostgresServer(PrivateServer):
    """`programs`: the folder of initdb and postgres."""

    name = "postgres"

    def __init__(self, programs: Path) -> None:
        super().__init__()
        self.programs = programs
        self.password = secrets.token_hex(8)  # a TCP port is open to every user of the machine
        self._account = _account() if os.geteuid() == 0 else None

    def prepare(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self._account:
            for path in (self.folder, password_file):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        made = subprocess.run(
            [
                *(str(self.programs / "initdb"), "-D", str(self.folder / "data"), "-U", USER, "-E", "UTF8"),
                *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **self.as_user(),
        )
        if made.returncode:
            raise ServerFailed("initdb failed:\n" + (made.stdout + made.stderr)[-3000:])

    def command(self) -> Sequence[str]:
        options = [*FORGETFUL, *SMALL, f"unix_socket_directories={self.folder}", f"port={self.port}"]
        arguments = [part for option in options for part in ("-c", option)]
        return [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *arguments]

    def as_user(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=2)

    def create_database(self, name: str) -> None:
        """Create the database afresh: one of that name is dropped."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def url(self, database: str) -> str:
        return f"postgres://{USER}:{self.password}@{self.host}:{self.port}/{database}"


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerFailed("root may not run PostgreSQL, and this machine has neither a user postgres nor a user nobody")
