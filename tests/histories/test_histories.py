"""Whatever happens, in whatever order: one sweep later our records equal the source.

The fast part tells the same few histories every time. The slow one is longer, and by these variables longer still:

    HISTORY_SEED     a number, or `random`: other histories than the usual ones
    HISTORY_STEPS    how many steps in all
"""

import os
import secrets
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.examples import EXAMPLES, Example
from tests.histories.machine import Histories, machine_at
from tests.histories.stage import Building, HistoryFailed, Place, build, open_place
from tests.histories.taken_out import TAKEN_OUT
from tests.openmrs.server import MariaDBServer
from tests.rules.ward import Rule

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.usefixtures("sources_on_loopback")]

VERSIONS = ("2.6", "1.12")
USUAL_SEED = 20_261_122
#: Of one history: long enough for a row to be made, read, changed, read again, lost and found.
STEPS_OF_A_SHORT_ONE, STEPS_OF_A_LONG_ONE = 25, 60
PARTS = 4
#: rules of the engine, and within how many histories of 40 rules each their absence is noticed
NOTICED = {"late_writers": 20, "equal_making": 20, "identity": 20}


@pytest.fixture(scope="module", params=VERSIONS)
def building(request: pytest.FixtureRequest, mariadb: MariaDBServer) -> Iterator[Building]:
    building = build(mariadb, request.param)
    yield building
    building.pretend.close()


@pytest.fixture
def place(building: Building, db: None, sources_on_loopback: None) -> Place:
    return open_place(building)


def tell(
    machine: type[Histories], *, n_histories: int, n_steps: int, seed_number: int, is_shortened: bool = True
) -> None:
    """Raises with a history that ends wrong, as a list of steps: the shortest, or the first."""
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
            phases=[Phase.generate, Phase.shrink] if is_shortened else [Phase.generate],
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
    """Of whatever kind: the stories of single failures are told by tests of their own."""
    machine = machine_at(place)
    tell(machine, n_histories=6, n_steps=STEPS_OF_A_SHORT_ONE, seed_number=USUAL_SEED)
    assert machine.n_steps > 100


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_steps_end_equal(place: Place, part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """In parts, so that several workers share them."""
    chosen = os.environ.get("HISTORY_SEED", str(USUAL_SEED + 1))
    seed_number = secrets.randbelow(2**32) if chosen == "random" else int(chosen) + part
    wanted = int(os.environ.get("HISTORY_STEPS", "10000")) // PARTS
    machine, began = machine_at(place), time.monotonic()
    try:
        while machine.n_steps < wanted:
            at = seed_number + PARTS * machine.n_steps
            tell(machine, n_histories=10, n_steps=STEPS_OF_A_LONG_ONE, seed_number=at)
    finally:
        seconds = time.monotonic() - began
        with capsys.disabled():
            told = f"{machine.n_steps} steps in {seconds:.0f} s"
            print(f"\n{place.pretend.version}, HISTORY_SEED={seed_number - part}, part {part}: {told}")
    assert machine.n_steps >= wanted


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name, n_histories", NOTICED.items())
def test_a_rule_that_is_taken_out_is_noticed(
    place: Place, name: str, n_histories: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tests above would prove nothing: docs/guarantees.md has the other rules."""
    TAKEN_OUT[name](Rule(monkeypatch, is_kept=False))
    with pytest.raises(HistoryFailed):
        tell(machine_at(place), n_histories=n_histories, n_steps=40, seed_number=1, is_shortened=False)
