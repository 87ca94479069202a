"""The whole story of a hospital on every platform from 1.9 to 2.9, with our DDL and with that of real installs."""

from pathlib import Path

import pytest

from tests.integration import world
from tests.integration.world import Site
from tests.openmrs import ddl, real
from tests.openmrs.server import MariaDBServer
from tests.parts import require
from tests.sources.life import live_through
from tests.sources.platforms import PLATFORMS, OnRealTables

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.usefixtures("sources_on_loopback")]

#: Read in the fast part of the suite: one of each family that the engine's other tests do not stand on.
REPRESENTATIVE = {"1.11", "2.3"}
TSV_VERSIONS = {"1.9": "1.9.8", "2.5": "2.5.12", "2.6": "2.6.4"}


def some_slow(versions: tuple[str, ...], fast: set[str]) -> list[object]:
    return [pytest.param(each, marks=[] if each in fast else [pytest.mark.slow]) for each in versions]


def name_of(version: str) -> str:
    return version.replace(".", "_")


@pytest.mark.parametrize("version", some_slow(PLATFORMS, REPRESENTATIVE))
def test_a_hospital_of_every_platform_lives_and_we_are_equal_to_it(mariadb: MariaDBServer, version: str) -> None:
    """T19, T20, T23, T24, T25, T66, T82: everything that its tables can hold and everything that may happen to it."""
    site = world.open_site(mariadb, f"platform_{name_of(version)}", version)
    live_through(site)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("version", PLATFORMS)
def test_on_the_tables_of_a_real_install_it_is_the_same(mariadb: MariaDBServer, real_dumps: Path, version: str) -> None:
    """With their indexes, defaults, foreign keys, and the tables of modules."""
    pretend = OnRealTables(mariadb, f"real_tables_{name_of(version)}", version).create()
    live_through(Site(pretend, world.live_hospital(mariadb, pretend.database)))


@pytest.mark.real
@pytest.mark.parametrize("version", PLATFORMS)
def test_our_tables_of_every_platform_have_the_columns_of_real_ones(version: str) -> None:
    require("openmrs dumps")
    facts = real.columns()[TSV_VERSIONS.get(version, version)]
    known = {table for table, _ in facts}
    ours = {(table, column) for table in ddl.tables_of(version) for column in ddl.columns_of(table, version)}
    assert {pair for pair in ours - facts if pair[0] in known} == set()
    missing = {pair for pair in facts - ours if pair[0] in ddl.read_tables()}
    # what modules bring to the demos: Provider Management, and before 2.0 Allergy
    of_modules = {("provider", "provider_role_id")}
    if ddl.order(version) < (2, 0):
        of_modules |= {pair for pair in missing if pair[0] in ("allergy", "allergy_reaction")}
        of_modules |= {("patient", "allergy_status")}
    assert missing <= of_modules
