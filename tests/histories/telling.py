"""Random histories told by hypothesis: a few, or thousands of steps.

HISTORY_SEED     a number, or `random`: other histories than the usual ones
HISTORY_STEPS    how many steps in all, of both versions, in the long ones
"""

import os
import secrets
import time
from unittest import mock

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.machine import Histories, machine_at
from tests.histories.stage import HistoryFailed, Place

VERSIONS = ("2.6", "1.12")
#: Of the long ones of one version.
PARTS = 4
USUAL_SEED = 20_261_122
USUAL_STEPS = 20_000
#: Rules of one history: long enough for a row to be made, read, changed, read again, lost and found.
RULES_OF_A_SHORT_ONE, RULES_OF_A_LONG_ONE = 25, 60


def tell(
    machine: type[Histories], *, n_histories: int, n_rules: int, seed_number: int, is_shortened: bool = True
) -> None:
    """Raises with a history that ends wrong, as a list of steps: the shortest, or the first."""
    seed(seed_number)(machine)
    try:
        # it also draws numbers from the code of all modules that are imported by then: one seed told one history by
        # itself and another one among all tests
        with mock.patch.object(HypothesisProvider, "_maybe_draw_constant", return_value=None):
            _run(machine, n_histories=n_histories, n_rules=n_rules, is_shortened=is_shortened)
    except FlakyFailure as flaky:
        failed = [error for error in flaky.exceptions if isinstance(error, HistoryFailed)]
        if not failed:
            raise
        # what went wrong once went wrong; that it went otherwise when told again is a second thing to look at
        history = "\n".join(machine.went_wrong)
        raise HistoryFailed(f"{failed[0]}\nWhen told again it went otherwise. The first time:\n{history}") from flaky


def _run(machine: type[Histories], *, n_histories: int, n_rules: int, is_shortened: bool) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_histories,
            stateful_step_count=n_rules,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink] if is_shortened else [Phase.generate],
        ),
    )


def tell_thousands(place: Place, *, part: int) -> str:
    """One part's share of all steps; returns what was told, in words."""
    chosen = os.environ.get("HISTORY_SEED", str(USUAL_SEED + 1))
    seed_number = secrets.randbelow(2**32) if chosen == "random" else int(chosen) + part
    wanted = int(os.environ.get("HISTORY_STEPS", USUAL_STEPS)) // (PARTS * len(VERSIONS))
    machine, began = machine_at(place), (time.monotonic(), time.process_time())
    try:
        while machine.n_steps < wanted:
            of_these = seed_number + PARTS * machine.n_steps
            tell(machine, n_histories=4, n_rules=RULES_OF_A_LONG_ONE, seed_number=of_these, is_shortened=False)
    finally:
        seconds, of_processor = time.monotonic() - began[0], time.process_time() - began[1]
        told = (
            f"{place.pretend.version}, HISTORY_SEED={seed_number - part}, part {part}: {machine.n_steps} steps in"
            f" {machine.n_histories} histories, {seconds:.0f} s, {of_processor:.0f} s of the processor"
        )
        print(f"\n{told}")
    assert machine.n_steps >= wanted
    return told
