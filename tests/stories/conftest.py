"""The hospitals of the engine's tests."""

from tests.integration.conftest import huye, kigali, sources_on_loopback  # noqa: F401 - fixtures
