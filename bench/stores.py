"""Our own stores to measure with: SQLite files and a durable PostgreSQL, prepared once and copied for each run."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.parts import newest_postgresql
from tests.stores.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent


class DurablePostgres(PostgresServer):
    """What is committed is on the disk, as in production."""

    def command(self) -> Sequence[str]:
        kept = {"fsync=off": "fsync=on", "synchronous_commit=off": "synchronous_commit=on"}
        kept |= {"full_page_writes=off": "full_page_writes=on", "shared_buffers=64MB": "shared_buffers=128MB"}
        return [kept.get(part, part) for part in super().command()]


@contextlib.contextmanager
def postgres() -> Iterator[DurablePostgres | None]:
    """None where PostgreSQL is not installed."""
    programs = newest_postgresql()
    if programs is None:
        yield None
        return
    with DurablePostgres(programs) as server:
        yield server


class Template:
    """A store with hospitals and passport holders in which nothing was read yet. `name`: also of its folder.

    `hospitals`: code:port:database of each. `server`: a PostgreSQL; else SQLite.
    """

    def __init__(
        self,
        *,
        folder: Path,
        name: str,
        hospitals: Sequence[str],
        share: float = 1.0,
        server: PostgresServer | None = None,
    ) -> None:
        self.var, self._name, self._server, self._n_copies = folder / name, f"bench_{name}", server, 0
        self.var.mkdir()
        url = self._make(self._name)
        listed = [part for one in hospitals for part in ("--hospital", one)]
        run_engine(["--url", url, "--var", str(self.var), "--steps", "prepare", "--share", str(share), *listed])

    def _make(self, name: str) -> str:
        if self._server is None:
            return f"sqlite:///{self.var / 'passport.sqlite3'}"
        self._server.create_database(name)
        return self._server.url(name)

    @contextlib.contextmanager
    def copy(self) -> Iterator[list[str]]:
        """Arguments of `bench.engine` for a fresh copy, which is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.var.parent, prefix="run-", ignore_cleanup_errors=True) as var:
            shutil.copy(self.var / "bench-key", var)
            if self._server is None:
                shutil.copy(self.var / "passport.sqlite3", var)
                yield ["--url", f"sqlite:///{Path(var, 'passport.sqlite3')}", "--var", var]
                return
            self._n_copies += 1
            name = f"{self._name}_{self._n_copies}"
            with self._server.connect() as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._name}")
            try:
                yield ["--url", self._server.url(name), "--var", var]
            finally:
                with self._server.connect() as connection:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run_engine(arguments: Sequence[str]) -> str:
    """What `bench.engine` printed, in a process of its own."""
    command = [sys.executable, "-m", "bench.engine", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout
