"""A hospital that hangs, drips, breaks off or is not there: one named run, nothing half-written, healed by itself."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from hospitals import connections
from hospitals.connections import open_hospital
from hospitals.errors import HospitalUnreachable
from hospitals.models import Hospital
from openmrs_sync import pipeline
from openmrs_sync.models import Breaker, ParkedRow, SyncRun
from passport.models import Link, Record
from passport.secrets import seal
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.proxy import DeafPort, Proxy

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"


def seen(site: Site, person: int, *weights: float) -> None:
    encounter = site.pretend.add_encounter(person)
    for weight in weights:
        site.pretend.add_obs(person, "weight", weight, encounter=encounter)


def unreachable(site: Site, **options: Any) -> SyncRun:
    run = world.sync(site.hospital, **options)
    assert (run.status, run.error_kind, bool(run.message)) == ("failed", "unreachable", True)
    return run


def is_well(site: Site) -> bool:
    return world.verified(site.hospital).is_well


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_hospital_that_accepts_and_never_answers_is_given_up(site: Site, line: Proxy, settings: Any) -> None:
    """T18"""
    settings.SOURCE_CONNECT_TIMEOUT = 1
    seen(site, site.add_holder(ALICE), 60.0)
    line.black_hole()
    unreachable(site)
    assert line.n_connections == 1
    line.heal()
    site.sync()
    assert is_well(site)


def test_a_hospital_whose_firewall_drops_every_packet_is_given_up(site: Site, settings: Any) -> None:
    """T18: not even the first packet is answered."""
    settings.SOURCE_CONNECT_TIMEOUT = 1
    with DeafPort() as deaf:
        Hospital.objects.update(port=deaf.port)
        unreachable(site)


def test_a_hospital_that_falls_silent_in_mid_run_is_given_up_and_read_on_later(
    site: Site, line: Proxy, settings: Any
) -> None:
    """T18: it answered until then, so no time-out of connecting helps."""
    seen(site, site.add_holder(ALICE), 60.0)
    settings.SOURCE_READ_TIMEOUT = 1
    line.at_statement(20, line.black_hole)
    unreachable(site)
    assert line.n_statements >= 20
    line.heal()
    site.sync()
    assert is_well(site)


@pytest.mark.parametrize("from_statement", [1, 14])
def test_a_hospital_that_sends_a_byte_a_second_is_given_up(
    site: Site, line: Proxy, settings: Any, from_statement: int
) -> None:
    """T18: each byte comes in time, the whole never does. At the login, and later."""
    settings.SOURCE_OPEN_TIMEOUT, settings.SOURCE_STATEMENT_TIMEOUT = 3, 2
    seen(site, site.add_holder(ALICE), 60.0)
    line.at_statement(from_statement, line.drip) if from_statement > 1 else line.drip()
    unreachable(site)
    line.heal()
    site.sync()
    assert is_well(site)


def test_a_hospital_that_is_alive_but_too_slow_for_its_turn_is_cut_off(
    site: Site, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T18: every statement is answered in time; all of them together would hold a worker for long."""
    monkeypatch.setattr(pipeline, "LATENESS", 0.5)
    seen(site, site.add_holder(ALICE), 60.0)
    line.delay(0.4)
    run = pipeline.sync_hospital(
        hospital=site.hospital, trigger="schedule", now=world.timezone.now(), until=time.monotonic() + 2
    )
    assert (run.status, run.error_kind) == ("failed", "unreachable")
    line.heal()
    site.sync()
    assert is_well(site)


@pytest.fixture
def deaf_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """This machine's resolver, which no test can break for one process alone: it hangs until the event is set."""
    answered, ask = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "openmrs.kigali.example":
            answered.wait(60)
            return ask("127.0.0.1", *arguments, **options)
        return ask(host, *arguments, **options)

    monkeypatch.setattr(connections.socket, "getaddrinfo", hang)
    yield answered
    answered.set()


def test_a_name_that_is_never_resolved_is_given_up(site: Site, settings: Any, deaf_resolver: threading.Event) -> None:
    """T18: a look-up has no time-out of its own."""
    settings.SOURCE_CONNECT_TIMEOUT = 1
    Hospital.objects.update(host="openmrs.kigali.example")
    run = unreachable(site)
    assert "name server" in run.message
    deaf_resolver.set()
    site.sync()


# --- breaking off -----------------------------------------------------------------------------------------------------


def test_a_line_that_ends_every_fifty_rows_stores_no_half_and_blames_no_person(site: Site, line: Proxy) -> None:
    """T6, T12: nothing can be read whole over it; what was stored stays, and the schedule asks less and less often."""
    person = site.add_holder(ALICE)
    seen(site, person, 60.0, 61.0)
    site.sync()
    before = list(Record.objects.order_by("key").values())
    seen(site, person, *range(40, 140))
    line.cut_after(packets=50)
    for _ in range(4):
        unreachable(site)
    assert list(Record.objects.order_by("key").values()) == before
    assert not ParkedRow.objects.exists()
    assert not Link.objects.filter(n_failures__gt=0).exists()
    assert Breaker.objects.get().state == Breaker.State.OPEN
    line.heal()
    site.sync()
    assert len(site.values()) == 102
    assert is_well(site)


@pytest.mark.slow
def test_a_connection_lost_at_any_statement_of_a_run_loses_nothing(site: Site, line: Proxy) -> None:
    """T6, T31: the source's side of it; the store's is in tests/crashes."""
    alice, bob = site.add_holder(ALICE), site.add_holder(BOB)
    seen(site, alice, 60.0, 61.0)
    site.sync()
    weights = sorted(site.values())
    site.pretend.void_obs(weights[0])
    edited = site.pretend.edit_obs(weights[1], 70.0)
    seen(site, bob, 80.0)
    n = 0
    while True:
        n += 1
        line.heal()
        line.at_statement(n, line.cut)
        run = world.sync(site.hospital, full=True)
        if run.status == "ok":
            break
        assert (run.status, run.error_kind) == ("failed", "unreachable"), n
    assert n > 40
    line.heal()
    assert world.nothing_changed(site.sync(full=True))
    assert site.values()[edited] == "70"
    assert sorted(site.values().values()) == ["70", "80"]
    assert not Link.objects.filter(n_failures__gt=0).exists()
    assert is_well(site)


def test_a_password_changed_in_mid_run_ends_as_credentials_and_parks_nothing(site: Site, line: Proxy) -> None:
    """T9: the DBA changes it and ends our connection. Whoever still held the old one may finish; nobody comes in."""
    seen(site, site.add_holder(ALICE), 60.0, 61.0)
    site.sync()
    before = list(Record.objects.order_by("key").values())

    def change() -> None:
        site.pretend.server.grant_reader(world.READER, "another", "kigali")
        line.cut()

    line.at_statement(25, change)
    unreachable(site, full=True)
    run = world.sync(site.hospital)
    assert (run.status, run.error_kind) == ("failed", "credentials")
    assert Breaker.objects.get().state == Breaker.State.OPEN, "at once: only a human can mend it"
    assert not ParkedRow.objects.exists()
    assert not Link.objects.filter(n_failures__gt=0).exists()
    assert list(Record.objects.order_by("key").values()) == before
    Hospital.objects.update(password_sealed=seal("another"))
    site.sync()
    assert is_well(site)


# --- the others -------------------------------------------------------------------------------------------------------


def test_the_others_are_read_when_one_drips_one_is_silent_and_one_refuses(
    site: Site, huye: Site, line: Proxy, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """T18: each failure is one run of its own hospital, with its own word."""
    settings.SOURCE_CONNECT_TIMEOUT, settings.SOURCE_OPEN_TIMEOUT = 1, 2
    seen(huye, huye.add_holder(ALICE), 60.0)
    line.drip()
    with Proxy(site.pretend.server) as silent, Proxy(site.pretend.server) as closed:
        silent.black_hole()
        closed.refuse()
        world.live_hospital(site.pretend.server, "kigali", number=3, code="silent", port=silent.port)
        world.live_hospital(site.pretend.server, "kigali", number=4, code="closed", port=closed.port)
        with pytest.raises(CommandError) as caught:
            call_command("sync", "--json")
    assert caught.value.returncode == 1
    lines = json.loads(capsys.readouterr().out)
    assert {each["hospital"]: (each["status"], each["error_kind"]) for each in lines} == {
        "kigali": ("failed", "unreachable"),
        "huye": ("ok", None),
        "silent": ("failed", "unreachable"),
        "closed": ("failed", "unreachable"),
    }
    assert list(huye.values().values()) == ["60"]


def test_a_connection_that_nobody_waits_for_any_more_is_closed(site: Site, line: Proxy, settings: Any) -> None:
    """T43: it came about after we had given up."""
    settings.SOURCE_OPEN_TIMEOUT = 1
    line.delay(1.5)
    with pytest.raises(HospitalUnreachable), open_hospital(site.hospital):
        pass
    server = site.pretend.server
    deadline = time.monotonic() + 30
    while any(row[1] == world.READER for row in server.execute("SHOW PROCESSLIST")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [row for row in server.execute("SHOW PROCESSLIST") if row[1] == world.READER]
