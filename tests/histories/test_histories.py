"""Whatever happens, in whatever order: one sweep later our records equal the source.

The same few histories every time; the long ones have modules of their own.
"""

import pytest

from tests.histories.examples import EXAMPLES, Example
from tests.histories.machine import machine_at
from tests.histories.stage import HistoryFailed, Place
from tests.histories.taken_out import TAKEN_OUT
from tests.histories.telling import RULES_OF_A_SHORT_ONE, USUAL_SEED, VERSIONS, tell
from tests.rules.ward import Rule

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

#: rules of the engine, and within how many histories of 40 rules each their absence is noticed
NOTICED = {"equal_making": 40, "identity": 40}


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


@pytest.mark.timeout(900)  # where others want the processor too
def test_a_few_hundred_steps_end_equal(place: Place) -> None:
    """Of whatever kind: the stories of single failures are told by tests of their own."""
    machine = machine_at(place)
    tell(machine, n_histories=5, n_rules=RULES_OF_A_SHORT_ONE, seed_number=USUAL_SEED)
    assert machine.n_steps > 100


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name, n_histories", NOTICED.items())
def test_a_rule_that_is_taken_out_is_noticed(
    place: Place, name: str, n_histories: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tests above would prove nothing: docs/guarantees.md has the other rules."""
    TAKEN_OUT[name](Rule(monkeypatch, is_kept=False))
    with pytest.raises(HistoryFailed):
        tell(machine_at(place), n_histories=n_histories, n_rules=40, seed_number=1, is_shortened=False)
