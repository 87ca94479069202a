"""Whatever happens, in whatever order: one sweep later our records equal the source.

The fast part tells the same few histories every time. The slow one is longer, and by these variables longer still:

    HISTORY_SEED     a number, or `random`: other histories than the usual ones
    HISTORY_STEPS    how many steps in all
"""

import os
import secrets
import time

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.examples import EXAMPLES, Example
from tests.histories.machine import Histories, machine_at
from tests.histories.stage import Place, open_place
from tests.openmrs.server import MariaDBServer

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.usefixtures("sources_on_loopback")]

VERSIONS = ("2.6", "1.12")
USUAL_SEED = 20_261_122
#: Of one history: long enough for a row to be made, read, changed, read again, lost and found.
STEPS_OF_A_SHORT_ONE, STEPS_OF_A_LONG_ONE = 25, 60


@pytest.fixture(params=VERSIONS)
def place(request: pytest.FixtureRequest, mariadb: MariaDBServer, db: None, sources_on_loopback: None) -> Place:
    return open_place(mariadb, request.param)


def tell(machine: type[Histories], *, n_histories: int, n_steps: int, seed_number: int) -> None:
    """Raises with the shortest history that ends wrong, as a list of steps."""
    seed(seed_number)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_histories,
            stateful_step_count=n_steps,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.__name__)
def test_a_history_that_once_ended_wrong_ends_equal(example: Example, place: Place) -> None:
    state = machine_at(place)()
    try:
        example(state)
    except BaseException:
        state.is_over = True
        raise
    finally:
        state.teardown()


def test_a_few_hundred_steps_end_equal(place: Place) -> None:
    """T3, T6, T19, T20, T21, T22, T23, T24, T69, T71, T84, T85, T86, T87, T88, T92"""
    machine = machine_at(place)
    tell(machine, n_histories=8, n_steps=STEPS_OF_A_SHORT_ONE, seed_number=USUAL_SEED)
    assert machine.n_steps > 100


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_thousands_of_steps_end_equal(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = os.environ.get("HISTORY_SEED", str(USUAL_SEED + 1))
    seed_number = secrets.randbelow(2**32) if chosen == "random" else int(chosen)
    wanted = int(os.environ.get("HISTORY_STEPS", "10000"))
    n_histories = max(1, wanted // STEPS_OF_A_LONG_ONE)
    machine, began = machine_at(place), time.monotonic()
    try:
        tell(machine, n_histories=n_histories, n_steps=STEPS_OF_A_LONG_ONE, seed_number=seed_number)
    finally:
        seconds = time.monotonic() - began
        with capsys.disabled():
            print(f"\n{place.pretend.version}, HISTORY_SEED={seed_number}: {machine.n_steps} steps in {seconds:.0f} s")
    assert machine.n_steps > wanted // 2
