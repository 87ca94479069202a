"""Everything here needs a browser."""

import pytest

from tests.chromium import DESKTOP, PHONE, OpenPage

__all__ = ["DESKTOP", "PHONE", "OpenPage"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker("browser")
