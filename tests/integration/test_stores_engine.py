"""No guarantee of the engine is weaker on another store: its own suites once more, on PostgreSQL and with MongoDB.

A class for each, so that two workers of the run around take one each.
"""

import os
import subprocess
import sys

import pytest

from tests.parts import ROOT, require

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(1800)]

#: Each rule in force and taken out, and what the engine does when much happens at once.
SUITES = [
    "tests/rules",
    *(f"tests/integration/test_engine_{of}.py" for of in ("ahead", "between", "changes", "matching")),
]


def run_suites(store: str) -> None:
    require(store)
    # of its own: not the worker of a run that stands around it
    around = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_STORE"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-o", "timeout=600"]
    done = subprocess.run(
        [*command, *SUITES], cwd=ROOT, env=around | {"TEST_STORE": store}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


class TestPostgresql:
    def test_the_engines_suites_pass(self) -> None:
        run_suites("postgresql")


class TestMongodb:
    def test_the_engines_suites_pass(self) -> None:
        run_suites("mongodb")
