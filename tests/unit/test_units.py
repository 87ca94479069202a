"""Units as people write them."""

import pytest

from passport.views.units import as_people_write

WRITTEN = [("DEG C", "°C"), ("umol/L", "µmol/L"), (" 10^3/uL", "10³/µL"), ("mmHg", "mmHg"), ("", "")]


@pytest.mark.parametrize("unit, shown", WRITTEN)
def test_a_unit_is_written_as_people_write_it_and_an_unknown_one_as_it_came(unit: str, shown: str) -> None:
    assert as_people_write(unit) == shown
