"""What the engine's tests stand on."""

import pytest

from tests.integration.conftest import sources_on_loopback  # noqa: F401 - a fixture

pytest.register_assert_rewrite("tests.sources.life")  # it asserts, and is no test module
