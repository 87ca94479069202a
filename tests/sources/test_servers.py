"""Every server that announces itself as a MySQL or MariaDB that hospitals run: reached, bounded, read, proved.

One MariaDB plays them all: what differs in our code is decided by the version that is announced. Statements that only
a real MySQL knows (its time limit) are refused here, and doing without them is part of what is tried.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from hospitals.connections import open_hospital
from hospitals.errors import SourceError
from hospitals.models import Hospital, TlsMode
from hospitals.probe import test_connection as run_probe
from openmrs_sync.models import SyncRun
from passport.secrets import seal
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.integration,
    pytest.mark.usefixtures("sources_on_loopback"),
]

#: what is announced → the platform that hospitals run on it, and whether a statement is bounded by the server there
SERVERS = {
    "5.6.51": ("1.9", "nothing"),
    "5.7.44": ("1.12", "max_execution_time"),
    "8.0.36": ("2.6", "max_execution_time"),
    "8.4.3": ("2.8", "max_execution_time"),
    "5.5.68-MariaDB": ("1.9", "nothing"),
    "10.0.38-MariaDB": ("1.11", "nothing"),
    "10.1.48-MariaDB": ("2.0", "max_statement_time"),
    "10.6.18-MariaDB": ("2.3", "max_statement_time"),
    "11.4.4-MariaDB": ("2.9", "max_statement_time"),
}
FAST = {"5.7.44"}
ALICE = "1199080012345678"


@pytest.fixture(
    scope="module",
    params=[pytest.param(version, marks=[] if version in FAST else [pytest.mark.slow]) for version in SERVERS],
)
def server(request: pytest.FixtureRequest) -> Iterator[MariaDBServer]:
    with MariaDBServer(version=request.param) as server:
        yield server


@pytest.fixture
def site(server: MariaDBServer) -> Site:
    assert server.version is not None
    return world.open_site(server, "announced", SERVERS[server.version][0])


def test_the_connection_test_passes_and_names_the_server(site: Site) -> None:
    site.pretend.add_person(national_id=ALICE)
    server = site.pretend.server
    assert server.version is not None
    test = run_probe(hospital=site.hospital, now=timezone.now())
    steps = {step["name"]: step for step in test.steps}
    assert test.is_ok, steps
    kind = "MariaDB" if "MariaDB" in server.version else "MySQL"
    assert f"{kind} {server.version}" in steps["login"]["message"]
    assert steps["grants"]["message"] == "The account can only read."


def test_an_account_that_can_write_is_refused_and_even_it_cannot_write(site: Site) -> None:
    server = site.pretend.server
    server.grant_writer("clerk", "too-much", "announced")
    Hospital.objects.update(username="clerk", password_sealed=seal("too-much"))
    assert world.sync(site.hospital).error_kind == "writable_account"
    is_too_old = server.version == "5.5.68-MariaDB"  # no read-only session there: the grant alone protects it
    site.hospital.refresh_from_db()
    with open_hospital(site.hospital) as source:
        if is_too_old:
            assert "too old for read-only sessions" in " ".join(source.hints)
        else:
            with pytest.raises(SourceError, match="1792"):
                source.fetch("DELETE FROM obs")


def test_a_batch_is_one_moment_and_a_statement_is_bounded_where_the_server_can(
    site: Site,
) -> None:
    """T44, T81: in a snapshot by what is left of its time; elsewhere we hang up when that is over."""
    assert site.pretend.server.version is not None
    _, limit = SERVERS[site.pretend.server.version]
    person = site.pretend.add_person()
    with open_hospital(site.hospital) as source:
        assert bool(source.bounded) == (limit == "max_statement_time")
        with source.snapshot():
            before = source.fetch("SELECT COUNT(*) FROM obs")
            site.pretend.add_obs(person, "weight", 60.0)
            assert source.fetch("SELECT COUNT(*) FROM obs") == before
        assert source.fetch("SELECT COUNT(*) FROM obs") != before
        ((seconds, isolation, lock_wait),) = source.fetch(
            "SELECT @@max_statement_time, @@tx_isolation, @@lock_wait_timeout"
        )
        hints = " ".join(source.hints)
    assert (isolation, lock_wait) == ("REPEATABLE-READ", 5)
    assert (seconds > 0) == (limit == "max_statement_time")
    # it plays a MySQL, and does not know MySQL's variable
    assert ("too old to limit" in hints, "limit" in hints) == (limit == "nothing", limit != "max_statement_time")


def test_a_hospital_there_is_read_and_its_receipt_adds_up(site: Site) -> None:
    """T44: Django itself would refuse most of these."""
    person = site.add_holder(ALICE)
    encounter = site.pretend.add_encounter(person)
    first = site.pretend.add_obs(person, "weight", 60.0, encounter=encounter)
    site.pretend.add_obs(person, "weight", 61.0, encounter=encounter)
    order = site.pretend.add_drug_order(person, encounter=encounter)
    site.sync()
    site.pretend.void_obs(first)
    site.pretend.change_encounter(encounter, at=dt.datetime(2020, 5, 17, 9, 30))
    site.sync()
    assert sorted(site.values().values()) == ["61"]
    assert ("orders", order) in world.shown(site.hospital)
    assert {each.at_local for key, each in world.shown(site.hospital).items() if key[0] == "encounter"} == {
        "2020-05-17 09:30:00"
    }
    assert world.verified(site.hospital).is_well


def test_a_server_of_before_mysql_5_6_is_named_as_too_old(sources_on_loopback: None) -> None:
    with MariaDBServer(version="5.5.62") as server:
        site = world.open_site(server, "ancient", "1.9")
        run = world.sync(site.hospital)
        assert (run.status, run.error_kind) == (SyncRun.Status.FAILED, "misconfigured")
        assert "older than MySQL 5.6" in run.message


@pytest.mark.slow
def test_with_tls_it_is_the_same(sources_on_loopback: None, settings: Any) -> None:
    """T72: encrypted and verified, on a server that announces MySQL 5.7."""
    with MariaDBServer(version="5.7.44") as server:
        authority = server.start_with_tls().read_text()
        site = world.open_site(server, "encrypted", "1.12")
        site.pretend.add_obs(site.add_holder(ALICE), "weight", 60.0)
        Hospital.objects.update(tls_mode=TlsMode.VERIFIED, tls_ca=authority)
        site.sync()
        assert list(site.values().values()) == ["60"]
        Hospital.objects.update(tls_ca="")
        assert world.sync(site.hospital).status == SyncRun.Status.FAILED
