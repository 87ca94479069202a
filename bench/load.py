"""`./run bench load`: history, overview and API at 50 requests a second for ten minutes, while first syncs run.

Visitors come by turns to the history, the overview and the records of the API, each patient with a login of their own.
They do not wait for each other: a request has its moment, and its time runs from that moment, so what queues up is
counted. Gunicorn as in production with two workers. The sync is a process of its own, as a worker's is: it reads one
hospital for the first time after the other, of other persons than those whose pages are read; first alone, then beside
the visitors. Wanted: no error, and the sync keeps more than half of its rows a second.
"""

import argparse
import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.audit_writers import STORES, store
from bench.pages import CLIENTS, ask
from bench.server import generate
from bench.web import ROOT, Client, Served, cookies_of, quantile, served, set_up_django, token_of
from tests.openmrs.server import MariaDBServer

READER, DATABASE = ("passport", "bench-reader"), "openmrs_load"
KINDS = {"history": "/history/", "overview": "/", "API": "/api/me/records"}
#: First syncs that are measured alone.
ALONE = 2
VISITORS = 24
#: Seconds after which an access token is made anew; it is good for ten minutes.
TOKEN_AGE = 300
#: The sync may take so many times as long as alone. An answer, most of the time, so many ms.
LIMIT_TIMES, LIMIT_MS = 2, 1000
#: Seconds for one first sync beside the visitors, before the bench gives up.
LONGEST_SYNC = 1200


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="./run bench load", description=__doc__.split("\n")[0])
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second (50)")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--records", type=int, default=500, help="of each patient (500)")
    parser.add_argument("--obs", type=int, default=200_000, help="of each first sync (200,000)")
    parser.add_argument("--sync", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(list(arguments))
    if options.sync:
        return sync(port=options.sync)
    with (
        tempfile.TemporaryDirectory(prefix="passport-load-", ignore_cleanup_errors=True) as var,
        MariaDBServer(extra_args=("--local-infile=1", "--innodb-buffer-pool-size=256M")) as source,
        store(options.store, Path(var)) as url,
    ):
        set_up_django(var, database_url=url)
        visits = fill(n_patients=options.patients, n_records=options.records)
        source.create_database(DATABASE)
        generate(source, database=DATABASE, n_obs=options.obs, n_patients=options.obs // 100, seed=4)
        source.grant_reader(*READER, DATABASE)
        with served("passport.wsgi") as server:
            with syncing(source.port) as alone:
                alone.wait_for(ALONE)
            with syncing(source.port) as beside:
                seen, cpu = visited(visits, server=server, rate=options.rate, seconds=60 * options.minutes)
                beside.wait_for(1)
    return report(seen, cpu=cpu, alone=alone, beside=beside, options=options)


# --- the sync ---------------------------------------------------------------------------------------------------------


class Syncs:
    """First syncs that go on until they are stopped; those that were finished count."""

    def __init__(self, lines: IO[str]) -> None:
        self._lines, self._found = lines, list[dict[str, Any]]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            self._found.append(json.loads(line))

    def wait_for(self, n: int) -> None:
        deadline = time.monotonic() + LONGEST_SYNC
        while len(self._found) < n:
            if not self._reader.is_alive() or time.monotonic() > deadline:
                raise SystemExit("A first sync did not end well.")
            time.sleep(0.1)

    @property
    def n(self) -> int:
        return len(self._found)

    @property
    def speed(self) -> float:
        """Source rows a second."""
        return sum(run["n_read"] for run in self._found) / sum(run["seconds"] for run in self._found)


@contextlib.contextmanager
def syncing(port: int) -> Iterator[Syncs]:
    """First syncs in a process of their own, until the end of the block."""
    command = [sys.executable, "-m", "bench.load", "--sync", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Syncs(process.stdout)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def sync(*, port: int) -> int:
    """Connects one hospital after the other, each new to us with all its persons known, and reads it; for ever.

    Prints of each its seconds and rows. All have the same rows: the source is generated once.
    """
    import django

    django.setup()
    from django.utils import timezone

    from bench.engine import register_everyone
    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital
    from passport.secrets import seal

    while True:
        number = 100 + Hospital.objects.filter(number__gt=100).count() + 1
        hospital = Hospital.objects.create(
            number=number,
            code=f"load-{number}",
            name=f"Load {number}",
            state="live",
            host="127.0.0.1",
            port=port,
            database=DATABASE,
            username=READER[0],
            password_sealed=seal(READER[1]),
            tls_mode="none",
            locales=["en"],
            national_id_types=["National ID"],
        )
        if number == 101:
            register_everyone(hospital, share=1.0)
        began = time.perf_counter()
        run = sync_hospital(hospital=hospital, trigger="command", now=timezone.now(), deep=True)
        if run.status != "ok":
            raise SystemExit(f"{run.status}: {run.message}")
        print(json.dumps({"seconds": time.perf_counter() - began, "n_read": run.n_read}), flush=True)


# --- the visitors -----------------------------------------------------------------------------------------------------


class Visits:
    """Who visits: what each patient's requests carry."""

    def __init__(self, users: Sequence[Any]) -> None:
        self._users = list(users)
        self._pages = [cookies_of(user) for user in users]
        self._programs = [(time.monotonic(), token_of(user)) for user in users]

    def headers(self, number: int, *, kind: str) -> dict[str, str]:
        who = number % len(self._users)
        if kind != "API":
            return self._pages[who]
        made_at, headers = self._programs[who]
        if time.monotonic() - made_at > TOKEN_AGE:
            headers = token_of(self._users[who])
            self._programs[who] = (time.monotonic(), headers)
        return headers


def fill(*, n_patients: int, n_records: int) -> Visits:
    from django.db import connections
    from django.utils import timezone

    from bench import histories

    now = timezone.now()
    sites = histories.hospitals(now=now)
    numbers = range(1, n_patients + 1)
    holders = [histories.patient(number=each, sites=sites, n_records=n_records, now=now) for each in numbers]
    visits = Visits([holder.user for holder in holders])
    connections.close_all()
    return visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer. `seconds`: from the moment at which it was to be asked for, to its last byte."""

    kind: str
    at: float
    seconds: float
    is_good: bool


def visited(visits: Visits, *, server: Served, rate: float, seconds: float) -> tuple[list[Seen], float]:
    """What visitors saw, each request at its moment; and the seconds of CPU that gunicorn used."""
    for kind, address in KINDS.items():
        ask(address, visits.headers(0, kind=kind), server=server, n=CLIENTS)  # workers load what they need with it
    waiting: queue.SimpleQueue[tuple[float, str, dict[str, str]] | None] = queue.SimpleQueue()
    seen: list[Seen] = []
    cpu, start = server.cpu(), time.perf_counter()

    def visit() -> None:
        client = Client(port=server.port)
        while (request := waiting.get()) is not None:
            moment, kind, client.headers = request
            try:
                is_good = client.get(KINDS[kind]).status == 200
            except OSError:
                is_good = False
                client = Client(port=server.port)
            took = time.perf_counter() - start - moment
            seen.append(Seen(kind=kind, at=moment, seconds=took, is_good=is_good))

    visitors = [threading.Thread(target=visit) for _ in range(VISITORS)]
    for visitor in visitors:
        visitor.start()
    kinds = itertools.cycle(KINDS)
    for number in range(int(rate * seconds)):
        moment, kind = number / rate, next(kinds)
        headers = visits.headers(number // len(KINDS), kind=kind)
        time.sleep(max(0.0, start + moment - time.perf_counter()))
        waiting.put((moment, kind, headers))
    for _ in visitors:
        waiting.put(None)
    for visitor in visitors:
        visitor.join()
    return seen, server.cpu() - cpu


# --- what came of it --------------------------------------------------------------------------------------------------


def report(seen: Sequence[Seen], *, cpu: float, alone: Syncs, beside: Syncs, options: argparse.Namespace) -> int:
    took = max(each.at + each.seconds for each in seen)
    print(
        f"{options.rate:g} requests/s for {options.minutes:g} minutes, {options.store}, {options.patients} patients of "
        f"{options.records:,} records, 2 workers; load average {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':<24}{'n':>8}{'p50, ms':>10}{'p95, ms':>10}{'p99, ms':>10}{'longest':>10}")
    for name in (*KINDS, ""):
        times = [each.seconds for each in seen if name in ("", each.kind)]
        figures = [quantile(times, share) for share in (0.5, 0.95, 0.99, 1)]
        print(f"{name or 'all':<24}{len(times):>8}" + "".join(f"{figure:>10.0f}" for figure in figures))
    n_errors = sum(not each.is_good for each in seen)
    slowed = alone.speed / beside.speed
    p95 = quantile([each.seconds for each in seen], 0.95)
    print(f"errors {n_errors} of {len(seen)} (target: 0); {len(seen) / took:.1f} answers/s")
    print(f"CPU of gunicorn {1000 * cpu / len(seen):.1f} ms a request, {cpu / took:.2f} cores")
    print(f"p95 {p95:.0f} ms (target: {LIMIT_MS})")
    print(f"first syncs alone {alone.speed:,.0f} source rows/s (of {alone.n})")
    print(
        f"beside the visitors {beside.speed:,.0f} source rows/s (of {beside.n}): {slowed:.2f} times as long "
        f"(target: below {LIMIT_TIMES})"
    )
    is_good = n_errors == 0 and slowed < LIMIT_TIMES and p95 <= LIMIT_MS
    print("All targets are met." if is_good else "A target is missed.")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
