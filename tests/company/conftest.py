"""Hospitals in bad company: each stands behind a line that can fail."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import huye, kigali, sources_on_loopback  # noqa: F401 - fixtures
from tests.openmrs.proxy import Proxy
from tests.openmrs.server import MariaDBServer

if TYPE_CHECKING:  # models cannot be imported before Django is set up, and this file is read earlier
    from tests.integration.world import Site


@pytest.fixture
def line(mariadb: MariaDBServer) -> Iterator[Proxy]:
    with Proxy(mariadb) as proxy:
        yield proxy


@pytest.fixture
def site(kigali: "Site", line: Proxy) -> "Site":  # noqa: F811 - the fixture
    """A modern hospital behind the line."""
    type(kigali.hospital).objects.filter(pk=kigali.hospital.pk).update(port=line.port)
    kigali.hospital.refresh_from_db()
    return kigali
