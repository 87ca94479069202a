"""What the tests with real servers share."""

from typing import Any

import pytest


@pytest.fixture
def sources_on_loopback(settings: Any) -> None:
    """Django's test runner turns DEBUG off, and with it the permission to reach a hospital on this machine."""
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
