"""What dies here: processes of ours and of the hospital, in the middle of something."""

from tests.integration.conftest import huye, kigali, sources_on_loopback  # noqa: F401 - fixtures
