"""Break the engine one line at a time and see whether its tests notice: `./run mutants [words of names or files]`.

Nothing on disk is touched. The tests are loaded and their server started once; each mutant is a child of that process
in which one module is defined anew from its broken text, and everyone who had imported a part of it gets the new one.
Tests that start processes of their own would not see that: their mutants run in a copy of the checkout.

First the tests must pass unbroken (`--trust`: somebody has just seen that). One line a mutant: killed, by which test,
or survived. Ends with 1 when one survives that should not, or is killed that should not.
"""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.mutants import MUTANTS, Mutant
from tests.stores.suites import environment_of_another

ROOT = Path(__file__).resolve().parents[2]
#: The other half of a rule's tests looks for the very words that are broken here.
CHOSEN = (
    "-q",
    "-k",
    "not taken_out",
    "-p",
    "no:cacheprovider",
    "--no-header",
    "--no-summary",
    "--tb=no",
    "-o",
    "timeout=600",
)
LEFT_BEHIND = (".git", ".venv", "var", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
STARTS_PROCESSES = "tests/integration/test_stores.py"
#: Of the tests of one mutant in a copy: a dozen of them start servers, and the machine may be laden.
SECONDS = 1_800
TRUSTING = "--trust"


# --- in a child of this process ---------------------------------------------------------------------------------------


def define_anew(mutant: Mutant) -> None:
    """The module from its broken text, and its parts wherever they were imported."""
    name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = sys.modules[name]
    before = dict(vars(module))
    exec(compile(mutated(mutant), mutant.file, "exec"), vars(module))  # noqa: S102 - our own list
    renewed = {id(old): new for part, old in before.items() if (new := vars(module)[part]) is not old}
    own = {key for part, old in before.items() if (key := id(old)) in renewed and not part.startswith("__")}
    for other in [one for one in sys.modules.values() if isinstance(one, ModuleType) and one is not module]:
        for part, value in list(vars(other).items()):
            if id(value) in own and not isinstance(value, int | str | float | bool | None | tuple):
                setattr(other, part, renewed[id(value)])


def mutated(mutant: Mutant) -> str:
    text = (ROOT / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its old text is {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def forget_connections() -> None:
    """The parent's, without saying good-bye to a server in its name: a child that ends must not close them."""
    from django.db import connections

    from tests.openmrs.rows import Rows

    for wrapper in connections.all(initialized_only=True):
        KEPT.append(wrapper.connection)
        wrapper.connection = None
    for hospital in [one for one in gc.get_objects() if isinstance(one, Rows)]:
        KEPT.append(hospital._connection)
        hospital._connection = None


KEPT: list[object] = []


class Breaker:
    """In place of pytest's own loop over the tests."""

    def __init__(self, wanted: Sequence[Mutant], *, is_trusting: bool) -> None:
        self.wanted = wanted
        self.is_trusting = is_trusting
        self.outcomes: dict[str, str] = {}
        self.failed = ""
        self.another: Any = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        # "after this comes another": the server and the databases stay up
        self.another = SimpleNamespace(listchain=lambda: [session])
        for item in items[:1] if self.is_trusting else items:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.another)
            if self.failed:
                print(f"\nfails without any mutant: {self.failed}")
                session.shouldfail = "not green"
                return True
        print(
            "\ntrusting that the tests pass unbroken" if self.is_trusting else f"\n{len(items)} pass unbroken",
            flush=True,
        )
        for mutant in self.wanted:
            began = time.monotonic()
            by = self._in_a_child(session, mutant)
            tell(mutant, by, time.monotonic() - began)
            self.outcomes[mutant.name] = by
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def _in_a_child(self, session: pytest.Session, mutant: Mutant) -> str:
        reading, writing = os.pipe()
        if not (child := os.fork()):
            os.close(reading)
            by = ""
            try:
                forget_connections()
                define_anew(mutant)
                by = self._run(session, mutant)
            except BaseException as error:  # noqa: BLE001 - a mutant may raise whatever it likes
                by = f"({type(error).__name__}: {error})"
            finally:
                os.write(writing, by.encode()[:1000])
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            by = told.read().decode()
        os.waitpid(child, 0)
        return by

    def _run(self, session: pytest.Session, mutant: Mutant) -> str:
        mine = [item for item in session.items if any(item.nodeid.startswith(test) for test in mutant.tests)]
        if not mine:
            return "(no such test)"
        for item in mine:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.another)
            if self.failed:
                return self.failed
        return ""


# --- in a copy --------------------------------------------------------------------------------------------------------


@contextmanager
def copied() -> Iterator[Path]:
    """The checkout as it is now, without what is only of this machine."""
    with tempfile.TemporaryDirectory(prefix="passport-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_BEHIND), symlinks=True)
        (tree / "var").mkdir()
        if (ROOT / "var" / "secantusdb").is_dir():
            (tree / "var" / "secantusdb").symlink_to(ROOT / "var" / "secantusdb")
        yield tree


def noticed(tree: Path, tests: Sequence[str]) -> str:
    environment = environment_of_another() | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree), "CI_STRICT": "1"}
    command = [sys.executable, "-m", "pytest", "-x", *CHOSEN, *tests]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest could not run {' '.join(tests)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return tests[0] if done.returncode else ""


def on_disk(wanted: Sequence[Mutant]) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    with copied() as tree:
        if failed := noticed(tree, sorted({test for one in wanted for test in one.tests})):
            raise SystemExit(f"fails without any mutant: {failed}")
        for mutant in wanted:
            began, file = time.monotonic(), tree / mutant.file
            text = file.read_text()
            file.write_text(mutated(mutant))
            outcomes[mutant.name] = noticed(tree, mutant.tests)
            file.write_text(text)
            tell(mutant, outcomes[mutant.name], time.monotonic() - began)
    return outcomes


# --- the list ---------------------------------------------------------------------------------------------------------


def is_as_listed(mutant: Mutant, by: str) -> bool:
    return bool(by) != bool(mutant.survives)


def tell(mutant: Mutant, by: str, seconds: float) -> None:
    note = "" if is_as_listed(mutant, by) else "  <- listed as surviving" if by else "  <- nobody noticed"
    place = f"{mutant.name:36} {mutant.file:38} {seconds:5.1f} s"
    print(f"{'killed  ' if by else 'SURVIVED'} {place}  {by or mutant.survives}{note}", flush=True)


def main(arguments: Sequence[str]) -> int:
    words = [one for one in arguments if one != TRUSTING]
    wanted = [one for one in MUTANTS if not words or any(word in f"{one.name} {one.file}" for word in words)]
    copies = [one for one in wanted if any(test.startswith(STARTS_PROCESSES) for test in one.tests)]
    children = [one for one in wanted if one not in copies]
    outcomes: dict[str, str] = {}
    if children:
        breaker = Breaker(children, is_trusting=TRUSTING in arguments)
        tests = sorted({test for one in children for test in one.tests})
        files = {test for test in tests if "::" not in test}
        if pytest.main(
            [*CHOSEN, *(test for test in tests if test.split("::")[0] not in files or test in files)], [breaker]
        ):
            return 1
        outcomes |= breaker.outcomes
    if copies:
        outcomes |= on_disk(copies)
    n_wrong = sum(not is_as_listed(one, outcomes[one.name]) for one in wanted)
    print(f"{sum(map(bool, outcomes.values()))} of {len(wanted)} killed; {n_wrong} not as listed")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
