"""`./run bench [--full]`: the engine against a bare read, other tools and itself; all in one run, in alternating runs.

Only ratios of medians within one run mean anything: absolute figures move by two on a shared machine. Each measurement
is a process of its own, so that its peak of memory is its own. See bench/README.md for what each figure means.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import figures, peers
from bench.engine import PASSWORD, READER
from bench.figures import Figure, against
from bench.server import GENERATOR, generate
from bench.stores import ROOT, Template, postgres, run_engine
from tests.openmrs.server import MariaDBServer

N_OBS, N_PATIENTS = 200_000, 2_000
FULL_OBS, FULL_PATIENTS = 2_000_000, 20_000
#: A tenth of the obs of `--full`, or half of the small one, and as many National IDs.
IDLE_OBS, IDLE_PATIENTS = 100_000, 20_000
N_HOSPITALS = 4
LARGE_RUNS = 2


class Bench:
    """The servers, the prepared stores, and what was measured: name → one result per run."""

    def __init__(self, *, folder: Path, server: MariaDBServer, postgres_server: Any, words: Sequence[str]) -> None:
        self.folder, self.server, self.postgres = folder, server, postgres_server
        self.words = words
        self.found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.why_not: dict[str, str] = {}
        self._templates: dict[str, Template] = {}

    def make_source(self, database: str, *, n_obs: int, n_patients: int, first_person: int = 1) -> None:
        self.server.create_database(database)
        generate(
            self.server,
            database=database,
            n_obs=n_obs,
            n_patients=n_patients,
            seed=3 + first_person,
            first_person=first_person,
        )
        self.server.grant_reader(READER, PASSWORD, database)

    def template(
        self, name: str, databases: Sequence[str], *, share: float = 1.0, on_postgres: bool = False
    ) -> Template:
        if name not in self._templates:
            hospitals = [f"{one.replace('_', '-')}:{self.server.port}:{one}" for one in databases]
            server = self.postgres if on_postgres else None
            self._templates[name] = Template(
                folder=self.folder, name=name, hospitals=hospitals, share=share, server=server
            )
        return self._templates[name]

    def wants(self, name: str) -> bool:
        return not self.words or any(word in name for word in self.words)

    def measure(self, name: str, run: Callable[[], dict[str, Any]]) -> None:
        """One run of one measurement; a peer that cannot be had is remembered with the reason."""
        if not self.wants(name) or name in self.why_not:
            return
        try:
            self.keep(name, run())
        except peers.PeerMissing as missing:
            self.why_not[name] = str(missing)
            print(f"{name}: {missing}", file=sys.stderr)

    def keep(self, name: str, found: dict[str, Any]) -> None:
        self.found[name].append(found)
        print(json.dumps({"what": name, "load": round(os.getloadavg()[0], 1), **found}), file=sys.stderr)

    def steps(self, name: str, template: Template, code: str, *steps: str) -> None:
        """Steps of the engine on a fresh copy of a store: each is kept as `name step`."""
        if not self.wants(name):
            return
        with template.copy() as where:
            printed = run_engine([*where, "--code", code, "--steps", *steps])
        for line in printed.splitlines():
            found = json.loads(line)
            self.keep(f"{name} {found['step']}", found)

    def seconds(self, name: str, field: str = "seconds") -> list[float]:
        return [run[field] for run in self.found.get(name, []) if field in run]

    def median(self, name: str, field: str) -> float | None:
        values = [run[field] for run in self.found.get(name, [])]
        return statistics.median(values) if values else None


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="2 million obs as well: memory, linearity, looks at size")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each (3)")
    parser.add_argument("--only", nargs="*", default=[], help="words of measurements (bare, dlt, postgres, …)")
    options = parser.parse_args(list(arguments))
    began = time.monotonic()
    print(figures.circumstances())
    if not GENERATOR.is_file():
        print("The generator is not beside the checkout: the hospital is made by bench/generated.py.")
    with (
        tempfile.TemporaryDirectory(prefix="passport-bench-", ignore_cleanup_errors=True) as folder,
        MariaDBServer(extra_args=("--local-infile=1", "--innodb-buffer-pool-size=1G")) as server,
        postgres() as postgres_server,
    ):
        bench = Bench(folder=Path(folder), server=server, postgres_server=postgres_server, words=options.only)
        measure_small(bench, n_runs=options.runs)
        measure_idle(bench, "idle_small", n_obs=IDLE_OBS)
        measure_workers(bench, n_runs=options.runs)
        if options.full:
            measure_large(bench)
        found = list(report(bench))
    print(figures.table(found))
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.0f} minutes; load average at the end {os.getloadavg()[0]:.1f}")
    return 1 if any(figure.verdict == figures.MISSED for figure in found) else 0


# --- what is measured -------------------------------------------------------------------------------------------------


def measure_small(bench: Bench, *, n_runs: int) -> None:
    bench.make_source("small", n_obs=N_OBS, n_patients=N_PATIENTS)
    on_sqlite = bench.template("sqlite", ["small"])
    one_percent = bench.template("percent", ["small"], share=0.01)
    on_postgres = bench.template("postgres", ["small"], on_postgres=True) if bench.postgres else None
    for _ in range(n_runs):
        bench.measure("bare", lambda: bare_read(bench, "small"))
        bench.steps("sqlite", on_sqlite, "small", "first", "again")
        bench.steps("percent", one_percent, "small", "first")
        bench.measure("dlt append", lambda: run_dlt(bench, to="sqlite", disposition="append"))
        bench.measure("dlt merge", lambda: run_dlt(bench, to="sqlite", disposition="merge"))
        bench.measure("bare", lambda: bare_read(bench, "small"))
        bench.steps("render", on_sqlite, "small", "render")
        if on_postgres:
            bench.steps("postgres", on_postgres, "small", "first")
            bench.measure("dlt postgres", lambda: run_dlt(bench, to="postgres", disposition="merge"))
        bench.measure("naive", lambda: peers.run_naive(source=source_of(bench, "small")))


def measure_idle(bench: Bench, database: str, *, n_obs: int) -> None:
    """Idle ticks at 20,000 identifiers. All are passport holders; nobody has rows here but those that the size says."""
    if not bench.wants(database):
        return
    bench.make_source(database, n_obs=n_obs, n_patients=IDLE_PATIENTS)
    bench.steps(database, bench.template(database, [database]), database.replace("_", "-"), "first", "idle", "deep")


def measure_workers(bench: Bench, *, n_runs: int) -> None:
    """Four hospitals of a quarter of the rows each, into PostgreSQL: one after the other, and all at once."""
    if not bench.postgres or not bench.wants("workers"):
        return
    sites = [f"site_{number}" for number in range(1, N_HOSPITALS + 1)]
    for number, site in enumerate(sites):
        first_person = 100_000 * (number + 1)
        bench.make_source(
            site, n_obs=N_OBS // N_HOSPITALS, n_patients=N_PATIENTS // N_HOSPITALS, first_person=first_person
        )
    template = bench.template("four", sites, on_postgres=True)
    codes = [site.replace("_", "-") for site in sites]
    for _ in range(n_runs):
        with template.copy() as where:
            bench.keep("workers in turn", {"seconds": sum(together(where, [code]) for code in codes)})
        with template.copy() as where:
            bench.keep("workers at once", {"seconds": together(where, codes)})


def measure_large(bench: Bench) -> None:
    """First syncs of 2 million obs between small ones; then looks at where nothing moved."""
    if not bench.wants("large"):
        return
    bench.make_source("large", n_obs=FULL_OBS, n_patients=FULL_PATIENTS)
    template = bench.template("large", ["large"])
    for number in range(LARGE_RUNS):
        bench.steps("large small", bench.template("sqlite", ["small"]), "small", "first")
        bench.steps("large", template, "large", "first", *(["idle", "deep", "deep"] if number == 0 else []))
    bench.steps("large small", bench.template("sqlite", ["small"]), "small", "first")
    percent = bench.template("large_percent", ["large"], share=0.01)
    for _ in range(LARGE_RUNS):
        bench.steps("large percent", percent, "large", "first")


def bare_read(bench: Bench, database: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.bare_read", "--port", str(bench.server.port), "--database", database]
    done = subprocess.run(
        [*command, "--user", READER, "--password", PASSWORD], check=True, capture_output=True, text=True, cwd=ROOT
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def source_of(bench: Bench, database: str) -> str:
    return f"{READER}:{PASSWORD}@127.0.0.1:{bench.server.port}/{database}"


def run_dlt(bench: Bench, *, to: str, disposition: str) -> dict[str, Any]:
    python, target = peers.find_dlt(), None
    if to == "postgres":
        bench.postgres.create_database("dlt")
        target = bench.postgres.url("dlt").replace("postgres://", "postgresql://")
    return peers.run_dlt(python=python, source=source_of(bench, "small"), to=to, disposition=disposition, target=target)


def together(where: Sequence[str], codes: Sequence[str]) -> float:
    """Seconds until the first syncs of these hospitals, begun at one moment in a process each, have all ended."""
    command = [sys.executable, "-m", "bench.engine", *where, "--wait", "--steps", "first", "--code"]
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker([*command, code])) for code in codes]
        for process in workers:
            process.stdout.readline()
        began = time.perf_counter()
        for process in workers:
            process.stdin.write("begin\n")
            process.stdin.flush()
        ended = [json.loads(process.stdout.readline())["step"] for process in workers]
        assert ended == ["first"] * len(codes)
        return round(time.perf_counter() - began, 3)


@contextlib.contextmanager
def worker(command: Sequence[str]) -> Iterator[Any]:
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(600)


# --- what came of it --------------------------------------------------------------------------------------------------


def report(bench: Bench) -> Iterator[Figure]:
    """The figures in the order of the table. What could not be measured stays in it, with the reason."""

    def ratio(name: str, other: str, ours: str, *, floor: float, aim: float) -> Figure:
        theirs, mine = bench.seconds(other), bench.seconds(ours)
        value = against(theirs, mine)
        note = bench.why_not.get(other, "left out")
        if value is not None:
            note = f"{figures.spread(theirs)} ÷ {figures.spread(mine)}"
        by_cpu = against(bench.seconds(other, "cpu_seconds"), bench.seconds(ours, "cpu_seconds"))
        return Figure(name=name, value=value, unit="×", floor=floor, aim=aim, by_cpu=by_cpu, note=note)

    first = "sqlite first"
    yield ratio("first sync of 200,000 obs into SQLite, against the bare read", "bare", first, floor=0.12, aim=0.16)
    yield ratio("against dlt, append, into SQLite", "dlt append", first, floor=1.2, aim=1.6)
    yield ratio("against dlt, merge, into SQLite", "dlt merge", first, floor=1.25, aim=1.6)
    yield ratio(
        "into PostgreSQL, against dlt, merge, into PostgreSQL", "dlt postgres", "postgres first", floor=0.9, aim=1.3
    )
    yield naive(bench)
    yield ratio(
        "read, enrich and categorise, no store, against the bare read", "bare", "render render", floor=0.3, aim=0.6
    )
    yield ratio("re-read of unchanged persons, against the first sync", first, "sqlite again", floor=1.5, aim=3)
    written = bench.median("sqlite again", "n_written")
    yield Figure(name="the same: rows written", value=written, unit="rows", floor=0, aim=0, is_most=True)
    yield ratio("1 % of the persons linked, against all, 200,000 obs", first, "percent first", floor=20, aim=60)
    yield ratio(
        "1 % of the persons linked, against all, 2 M obs", "large first", "large percent first", floor=20, aim=60
    )
    yield from looks(bench)
    yield from growth(bench)
    yield ratio(
        "four hospitals in four workers into PostgreSQL, against one after the other",
        *("workers in turn", "workers at once"),
        floor=1.3,
        aim=1.7,
    )


def naive(bench: Bench) -> Figure:
    """By obs a second: the row-by-row design would need minutes for all of them."""
    runs = bench.found.get("naive", [])
    value = None
    if runs and bench.seconds("sqlite first"):
        theirs = statistics.median(run["seconds"] / run["read"] for run in runs)
        value = theirs / (statistics.median(bench.seconds("sqlite first")) / N_OBS)
    note = bench.why_not.get("naive", f"its first {peers.NAIVE_ROWS:,} obs" if runs else "left out")
    return Figure(name="against the row-by-row design", value=value, unit="×", floor=20, aim=40, note=note)


def looks(bench: Bench) -> Iterator[Figure]:
    small, large = "idle_small", "large"
    name, size = (large, "2 M obs") if f"{large} idle" in bench.found else (small, "100,000 obs (2 M with --full)")
    reads = {of: bench.median(f"{of} idle", "obs_reads") for of in (small, large)}
    others = bench.median(f"{name} idle", "other_reads")
    seconds = bench.median(f"{name} idle", "seconds")
    ms = None if seconds is None else seconds * 1000
    title = f"idle tick, connect included, 20,000 identifiers, {size}"
    yield Figure(
        name=title, value=ms, unit="ms", floor=60, aim=25, is_most=True, note=f"{others or 0:,.0f} other rows read"
    )
    note = "; ".join(f"{of}: {n:,.0f}" for of, n in reads.items() if n is not None)
    known = [n for n in reads.values() if n is not None]
    yield Figure(
        name="the same: rows of obs read (Handler_read_*), the most of 100,000 and 2 M obs",
        value=max(known, default=None),
        unit="rows",
        floor=1_100,
        aim=1_100,
        is_most=True,
        note=note,
    )
    yield Figure(
        name=f"deep look, 20,000 linked persons, {size}",
        value=bench.median(f"{name} deep", "seconds"),
        unit="s",
        floor=2,
        aim=1,
        is_most=True,
    )


def growth(bench: Bench) -> Iterator[Figure]:
    small = [run["peak_mb"] for name in ("sqlite first", "large small first") for run in bench.found.get(name, [])]
    large = [run["peak_mb"] for run in bench.found.get("large first", [])]
    value = statistics.median(large) / statistics.median(small) if small and large else None
    note = "" if value else "with --full"
    title = "peak memory of a first sync at 2 M obs, against 200,000"
    yield Figure(name=title, value=value, unit="×", floor=1.15, aim=1.05, is_most=True, note=note)
    peak = max([*small, *large], default=None)
    yield Figure(name="peak memory, whole process", value=peak, unit="MB", floor=150, aim=120, is_most=True)
    ours, theirs = bench.seconds("large first"), bench.seconds("large small first")
    value = statistics.median(ours) / statistics.median(theirs) / (FULL_OBS / N_OBS) if ours and theirs else None
    note = f"{figures.spread(ours)} against {figures.spread(theirs)}" if value else "with --full"
    title = "time of a first sync of 2 M obs, against ten of 200,000"
    yield Figure(name=title, value=value, unit="×", floor=1.25, aim=1.10, is_most=True, note=note)
