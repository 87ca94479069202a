"""What the tests with real servers share."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.openmrs.server import MariaDBServer

if TYPE_CHECKING:  # models cannot be imported before Django is set up, and this file is read earlier
    from tests.integration.world import Site


@pytest.fixture
def sources_on_loopback(settings: Any) -> None:
    """Django's test runner turns DEBUG off, and with it the permission to reach a hospital on this machine."""
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def kigali(mariadb: MariaDBServer, db: None, sources_on_loopback: None) -> "Site":
    """A modern hospital (2.6), empty."""
    from tests.integration import world

    return world.open_site(mariadb, "kigali", "2.6")


@pytest.fixture
def huye(mariadb: MariaDBServer, db: None, sources_on_loopback: None) -> "Site":
    """An old one (1.9)."""
    from tests.integration import world

    return world.open_site(mariadb, "huye", "1.9", number=2)
