"""What histories stand on: a hospital of the version that a module names by its fixture `version`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import kigali, sources_on_loopback  # noqa: F401 - fixtures
from tests.openmrs.server import MariaDBServer

if TYPE_CHECKING:
    from tests.histories.stage import Building, Place


@pytest.fixture(scope="module")
def building(version: str, mariadb: MariaDBServer) -> Iterator[Building]:
    from tests.histories.stage import build  # Django is not set up when this file is read

    building = build(mariadb, version)
    yield building
    building.pretend.close()


@pytest.fixture
def place(building: Building, db: None, sources_on_loopback: None) -> Place:  # noqa: F811 - the fixture
    from tests.histories.stage import open_place

    return open_place(building)
