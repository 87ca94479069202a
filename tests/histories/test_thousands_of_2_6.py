"""Ten thousand random steps at a hospital with OpenMRS 2.6, in a module of its own: two workers share them all."""

import pytest

from tests.histories.stage import Place
from tests.histories.telling import PARTS, tell_thousands

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(0)]


@pytest.fixture(scope="module")
def version() -> str:
    return "2.6"


@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_steps_end_equal(place: Place, part: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        tell_thousands(place, part=part)
