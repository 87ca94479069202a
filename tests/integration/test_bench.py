"""The bench in small: what it counts holds at any speed of the machine. Its times are for `./run bench` alone."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import generated
from bench.engine import PASSWORD, READER
from bench.figures import AIM, FLOOR, MISSED, Figure
from bench.stores import ROOT, Template, run_engine
from tests.openmrs.server import MariaDBServer

#: Persons with twenty obs each. The smaller one has several batches of full size, and the larger one many, so that
#: memory has every chance to grow.
SIZES = {"small": 1_500, "large": 4_500}
OBS_EACH = 20

Runs = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Size → step → what the engine's own process said of it."""
    folder: Path = tmp_path_factory.mktemp("bench")
    found: Runs = {}
    with MariaDBServer() as server:
        for name, n_patients in SIZES.items():
            generated.fill(server, database=name, n_obs=n_patients * OBS_EACH, n_patients=n_patients)
            server.grant_reader(READER, PASSWORD, name)
            template = Template(folder=folder, name=name, hospitals=[f"{name}:{server.port}:{name}"])
            with template.copy() as where:
                printed = run_engine([*where, "--code", name, "--steps", "first", "again", "idle", "render"])
            found[name] = {step["step"]: step for step in map(json.loads, printed.splitlines())}
        yield found


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SIZES)
def test_every_row_is_read_once_and_what_did_not_change_is_not_written(runs: Runs, name: str) -> None:
    n_obs = SIZES[name] * OBS_EACH
    n_rows = n_obs + 2 * n_obs // generated.OBS_PER_ENCOUNTER  # each encounter has its visit
    first, again = runs[name]["first"], runs[name]["again"]
    assert (first["n_persons"], first["n_obs"], first["n_read"]) == (SIZES[name], n_obs, n_rows)
    assert first["n_written"] == n_rows - n_obs // 50  # the voided ones
    assert (again["n_persons"], again["n_read"], again["n_written"]) == (SIZES[name], n_rows, 0)
    assert runs[name]["render"]["n_read"] == n_rows


@pytest.mark.integration
@pytest.mark.slow
def test_an_idle_tick_reads_as_many_rows_of_obs_at_any_size(runs: Runs) -> None:
    """By the handlers of the hospital's server, not by our own count."""
    reads = {name: found["idle"]["obs_reads"] for name, found in runs.items()}
    assert 1_000 < reads["small"] == reads["large"] <= 1_100
    assert all(found["idle"]["n_persons"] == 0 for found in runs.values())


@pytest.mark.integration
@pytest.mark.slow
def test_memory_does_not_grow_with_the_hospital(runs: Runs) -> None:
    peaks = {name: max(step["peak_mb"] for step in found.values()) for name, found in runs.items()}
    assert peaks["large"] < 1.15 * peaks["small"]
    assert peaks["large"] < 150


@pytest.mark.parametrize(
    "value, is_most, verdict",
    [(3, False, AIM), (2, False, FLOOR), (1.9, False, MISSED), (2, True, AIM), (3, True, FLOOR), (3.1, True, MISSED)],
)
def test_a_figure_says_whether_it_reaches_its_floor_and_its_aim(value: float, is_most: bool, verdict: str) -> None:
    floor, aim = (3, 2) if is_most else (2, 3)
    figure = Figure(name="speed", value=value, unit="×", floor=floor, aim=aim, is_most=is_most)
    assert figure.verdict == verdict


def test_a_figure_that_was_not_measured_says_so_and_why() -> None:
    figure = Figure(name="speed", value=None, unit="×", floor=1, aim=2, note="no server here")
    assert figure.verdict == "not measured"
    assert "no server here" in figure.row()


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_visitor_is_answered_while_hospitals_are_read_for_the_first_time() -> None:
    size = ["--minutes", "0.1", "--rate", "5", "--patients", "2", "--records", "60", "--obs", "2000"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "load", *size], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "errors 0 of 30 (target: 0)" in done.stdout, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:6]] == [
        ["history", "10"],
        ["overview", "10"],
        ["API", "10"],
        ["all", "30"],
    ]
    assert re.search(r"first syncs alone [\d,]+ source rows/s \(of 2\)", done.stdout)
    assert re.search(r"beside the visitors [\d,]+ source rows/s \(of [1-9]", done.stdout)
