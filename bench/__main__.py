"""`./run bench [--full]`: the engine's first sync against a bare read of the same rows, in alternating runs.

Only ratios of medians within one run mean anything: absolute figures move by two on a shared machine. Each measurement
is a process of its own, so that its peak of memory is its own. `./run bench lag` and `./run bench seconds` measure how
late we are: see `lag.py`, `seconds.py`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import lag, seconds
from bench.server import generate
from tests.openmrs.server import MariaDBServer

HERE = Path(__file__).resolve().parent
READER = ("passport", "bench-reader")
DATABASE = "openmrs_bench"
#: The first sync must run at least so much times the speed of the bare read, and stay below so many MB.
FLOOR, MEMORY_MB = 0.12, 150


def main() -> int:
    if sys.argv[1:2] == ["lag"]:
        return lag.main(sys.argv[2:])
    if sys.argv[1:2] == ["seconds"]:
        return seconds.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="2 million obs instead of 200,000")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each (3)")
    options = parser.parse_args()
    n_obs = 2_000_000 if options.full else 200_000
    with MariaDBServer(extra_args=("--local-infile=1", "--innodb-buffer-pool-size=1G")) as server:
        server.create_database(DATABASE)
        generate(server, database=DATABASE, n_obs=n_obs, n_patients=n_obs // 100, seed=3)
        server.grant_reader(*READER, DATABASE)
        bare, engine = [], []
        for _ in range(options.runs):
            bare.append(_measured("bench.bare_read", server))
            with tempfile.TemporaryDirectory(prefix="passport-bench-") as var:
                engine.append(_measured("bench.first_sync", server, "--var", var))
    return _report(bare, engine)


def _measured(module: str, server: MariaDBServer, *more: str) -> dict[str, Any]:
    """What one measurement printed, in a process of its own."""
    user, password = READER
    where = ["--port", str(server.port), "--database", DATABASE, "--user", user, "--password", password]
    command = [sys.executable, "-m", module, *where, *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent)
    line = done.stdout.splitlines()[-1]
    print(line, file=sys.stderr)
    found: dict[str, Any] = json.loads(line)
    return found


def _report(bare: list[dict[str, Any]], engine: list[dict[str, Any]]) -> int:
    n_obs = bare[0]["n_obs"]
    bare_speed = statistics.median(run["n_obs"] / run["seconds"] for run in bare)
    # every obs of a linked person, voided ones too, with its encounters and visits: all rows that the run accounted for
    first_speed = statistics.median(run["first"]["n_read"] / run["first"]["seconds"] for run in engine)
    again_speed = statistics.median(run["again"]["n_read"] / run["again"]["seconds"] for run in engine)
    peak = max(run["again"]["peak_mb"] for run in engine)
    idle = statistics.median(run["idle"]["seconds"] for run in engine)
    ratio = first_speed / bare_speed
    print(f"obs in the database                     {n_obs:>12,}")
    print(f"bare SSCursor read, rows/s              {bare_speed:>12,.0f}")
    print(f"first sync, source rows/s               {first_speed:>12,.0f}")
    print(f"  against the bare read                 {ratio:>11.3f} ×   floor {FLOOR} ×")
    print(f"re-read of unchanged persons, rows/s    {again_speed:>12,.0f}")
    print(f"  against the first sync                {again_speed / first_speed:>11.2f} ×")
    print(f"peak memory of the process, MB          {peak:>12,}     limit {MEMORY_MB}")
    print(f"idle tick, connect included, s          {idle:>12.3f}")
    is_good = ratio >= FLOOR and peak < MEMORY_MB
    print("All targets are met." if is_good else "A target is missed.")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
