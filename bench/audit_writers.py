"""`python -m bench.audit_writers [STORE …]`: audit rows a second from eight processes, in each store that is here.

Each writer is a process of its own that does nothing but commit audit rows, one a transaction, until the clock is up.
Afterwards the whole chain is walked: rows that are lost or a fork would fail the measurement. Servers run as in
production: what is committed is on the disk.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STORES = ("sqlite", "postgres", "mariadb")
#: Rows a second of all writers together that must be reached.
FLOOR = 200
DURABLE_MARIADB = ("--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--innodb-doublewrite=1")


@contextlib.contextmanager
def store(name: str, folder: Path) -> Iterator[str]:
    """The DATABASE_URL of a new, empty and durable store."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'passport.sqlite3'}"
    elif name == "mariadb":
        from tests.openmrs.server import MariaDBServer

        with MariaDBServer(extra_args=DURABLE_MARIADB) as server:
            server.create_database("passport")
            server.grant("passport", "passport", "ALL PRIVILEGES", "passport.*")
            yield f"mysql://passport:passport@127.0.0.1:{server.port}/passport"
    else:
        from tests.parts import newest_postgresql
        from tests.stores.postgres import PostgresServer

        class Durable(PostgresServer):
            def command(self) -> Sequence[str]:
                kept = {"fsync=off": "fsync=on", "synchronous_commit=off": "synchronous_commit=on"}
                kept["full_page_writes=off"] = "full_page_writes=on"
                return [kept.get(part, part) for part in super().command()]

        programs = newest_postgresql()
        if programs is None:
            raise SystemExit("PostgreSQL is not installed here: apt-get install postgresql")
        with Durable(programs) as server:
            server.create_database("passport")
            yield server.url("passport")


def write(*, until: float) -> None:
    """One writer: rows until the clock is up; prints how many, and the longest that one took."""
    import django

    django.setup()
    from passport.audit import record_event

    n_rows, longest = 0, 0.0
    while (started := time.time()) < until:
        record_event(action="measured", actor=None, now=dt.datetime.now(dt.UTC), details={"n": n_rows})
        n_rows, longest = n_rows + 1, max(longest, time.time() - started)
    print(json.dumps({"n_rows": n_rows, "longest": longest}))


def measure(name: str, *, n_writers: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="passport-bench-", ignore_cleanup_errors=True) as var:
        folder = Path(var)
        with store(name, folder) as url:
            environment = os.environ | {
                "DATABASE_URL": url,
                "CONTROL_DATABASE_URL": "",
                "VAR_DIR": var,
                "DEBUG": "true",
                "DJANGO_SETTINGS_MODULE": "passport.settings",
            }
            manage(environment, "migrate", "--verbosity", "0")
            until = time.time() + 3 + n_writers * 0.5 + seconds  # the writers need a while to start
            command = [sys.executable, "-m", "bench.audit_writers", "--until", str(until)]
            writers = [
                subprocess.Popen(command, env=environment, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
                for _ in range(n_writers)
            ]
            started = time.time()
            answers = [json.loads(writer.communicate()[0]) for writer in writers]
            # The slowest starter decides how long all of them wrote: counted from the first row to the last.
            span = float(manage(environment, "shell", "--verbosity", "0", "-c", SPAN))
            verified = manage(environment, "audit_verify").strip()
            return {
                "store": name,
                "rows": sum(answer["n_rows"] for answer in answers),
                "seconds": span,
                "wall": time.time() - started,
                "longest_ms": round(max(answer["longest"] for answer in answers) * 1000),
                "verified": verified,
            }


SPAN = """
from passport.models import AuditEvent
rows = AuditEvent.objects.filter(action="measured").order_by("seq")
print((rows.last().at - rows.first().at).total_seconds())
"""


def manage(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=HERE.parent,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.audit_writers", description=__doc__)
    parser.add_argument("stores", nargs="*", help=f"of {', '.join(STORES)}; all when left out")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.until:
        write(until=options.until)
        return 0
    is_good = True
    for name in options.stores or STORES:
        found = measure(name, n_writers=options.writers, seconds=options.seconds)
        speed = found["rows"] / found["seconds"]
        is_good = is_good and speed >= FLOOR
        print(f"{name:10} {speed:>8,.0f} rows/s  {found['rows']:,} rows  slowest {found['longest_ms']} ms")
        print(f"           {found['verified']}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
