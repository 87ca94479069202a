"""The engine's suites once more, by a pytest of their own that stands on another store.

Which tests: in ROOMS, whatever meets both a pretend hospital and a store of ours, so that a new test is among them
unless it is marked `slow` or its file is named in LEFT_OUT. Of tests/rules all, slow or not, each with its rule in
force: what happens without a rule proves the test, and that on one store.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.openmrs.server import die_with_parent
from tests.parts import ROOT
from tests.stores.chosen import ADDRESS

RULES, PARTS = "tests/rules", "tests/integration"
ROOMS = (RULES, PARTS)
#: Their subject is a page or a command (above) or the hospital's side (below), and each of them takes its time.
LEFT_OUT = tuple(
    f"{PARTS}/test_{subject}.py"
    for subject in (
        *("certificate", "comparison", "corrections", "dry_run", "going_live", "hospital_admin", "run_page"),
        *("sync_api", "sync_command", "unmatched", "workbench"),
        *("connections", "lookout", "pace", "probe", "real_hospitals"),
    )
)
#: All that a run of its own may know of the one around it. With DJANGO_SETTINGS_MODULE pytest-django would read the
#: settings before tests/conftest.py has said which store it is: the run would stand on the database around it.
KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "CI_STRICT", "MONGOD", "OPENMRS_DUMPS")
DATABASE = "passport_main"  # chosen.urls, for a process that is no worker of pytest-xdist
LONGEST = 1500.0  # seconds


def belongs(item: pytest.Item) -> bool:
    """Whether this test is one of the suites."""
    path = item.path.relative_to(ROOT).as_posix()
    meets_store = "django_db_setup" in getattr(item, "fixturenames", ()) or item.get_closest_marker("django_db")
    if not (meets_store and item.get_closest_marker("integration") and path.startswith(ROOMS)) or path in LEFT_OUT:
        return False
    return "taken_out" not in item.name if path.startswith(RULES) else item.get_closest_marker("slow") is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`exit_code`: pytest's; None when it did not end in time. `output`: its end.

    `n_skipped`: those that need what this store has not.
    """

    exit_code: int | None
    output: str
    n_passed: int
    n_skipped: int

    def __str__(self) -> str:
        return f"{self.n_passed} tests of the engine passed, {self.n_skipped} skipped"


def run(*, store: str, address: str, folder: Path) -> Outcome:
    """Every suite of the engine on this store (TEST_STORE).

    `address`: the URL of a database `{name}` in a server that is up. The database is there afterwards.
    """
    report, output = folder / "report.xml", folder / "output"
    options = ["-m", "every_store", "-p", "no:cacheprovider", "--reuse-db", f"--junit-xml={report}"]
    exit_code = _exit_code(
        [*options, *ROOMS], environment_of_another() | {"TEST_STORE": store, ADDRESS: address}, output
    )
    told = output.read_text(errors="replace")[-12_000:]
    counts = _counts(report) if report.exists() else {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    n_not_passed = counts["failures"] + counts["errors"] + counts["skipped"]
    return Outcome(
        exit_code=exit_code,
        output=told,
        n_passed=counts["tests"] - n_not_passed,
        n_skipped=counts["skipped"],
    )


def environment_of_another() -> dict[str, str]:
    """What a test run inside this one may know of the machine, and nothing of the store that this one stands on."""
    return {name: value for name, value in os.environ.items() if name in KEPT}


def _exit_code(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> int | None:
    with output.open("w") as file:
        try:
            return subprocess.run(
                [sys.executable, "-m", "pytest", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=LONGEST,
                check=False,
                preexec_fn=die_with_parent(),
            ).returncode
        except subprocess.TimeoutExpired:
            return None


def _counts(report: Path) -> dict[str, int]:
    suite = next(ET.parse(report).iter("testsuite"))  # noqa: S314 - pytest wrote it
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
