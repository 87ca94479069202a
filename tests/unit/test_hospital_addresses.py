"""Which addresses may be a hospital's."""

import ipaddress
from typing import Any

import pytest

from hospitals.addresses import check_address, real_host, resolve
from hospitals.errors import HospitalMisconfigured, HospitalUnreachable

METADATA = ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"]
NEVER = [*METADATA, "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:169.254.169.254"]  # noqa: S104
ONLY_IF_NAMED = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "169.254.1.1", "fe80::1", "240.0.0.1"]
FINE = ["10.1.2.3", "192.168.1.20", "41.186.1.1", "fd12::7", "2001:db9::1"]


def is_allowed(text: str) -> bool:
    try:
        check_address(ipaddress.ip_address(text))
    except HospitalMisconfigured:
        return False
    return True


@pytest.fixture(autouse=True)
def _production(settings: Any) -> None:
    settings.DEBUG = False
    settings.ALLOWED_SOURCE_NETWORKS = []


def test_without_a_list_everything_but_ourselves_and_our_neighbours_is_allowed() -> None:
    assert [text for text in NEVER + ONLY_IF_NAMED + FINE if is_allowed(text)] == FINE


def test_debug_adds_loopback_and_nothing_else(settings: Any) -> None:
    settings.DEBUG = True
    assert [text for text in NEVER + ONLY_IF_NAMED if is_allowed(text)] == [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
    ]


def test_with_a_list_only_its_networks_are_allowed(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["10.0.0.0/8", "fd12::/16"]
    assert [text for text in NEVER + ONLY_IF_NAMED + FINE if is_allowed(text)] == ["10.1.2.3", "fd12::7"]


def test_a_list_can_name_loopback_but_never_metadata(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["0.0.0.0/0", "::/0"]
    assert [text for text in NEVER if is_allowed(text)] == []
    assert [text for text in ONLY_IF_NAMED if is_allowed(text)] == ONLY_IF_NAMED


@pytest.mark.parametrize("host", ["localhost", " LOCALHOST ", "127.0.0.1"])
def test_localhost_is_an_address_and_not_a_socket(host: str) -> None:
    assert real_host(host) == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1"])
def test_other_spellings_of_loopback_are_loopback(host: str) -> None:
    with pytest.raises(HospitalMisconfigured):
        resolve(host, 3306)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "a..b", "/run/mysqld/mysqld.sock"])
def test_a_name_that_leads_nowhere_is_unreachable(host: str) -> None:
    with pytest.raises(HospitalUnreachable):
        resolve(host, 3306)
