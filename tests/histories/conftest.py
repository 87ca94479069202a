"""What histories stand on."""

from tests.integration.conftest import kigali, sources_on_loopback  # noqa: F401 - fixtures
