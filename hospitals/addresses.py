"""Where a hospital's host leads, and where none may lead."""

import ipaddress
import socket

from django.conf import settings

from hospitals.errors import HospitalMisconfigured, HospitalUnreachable
from hospitals.patience import Overdue, within

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services of the clouds that are not link-local; no setting opens them.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")
)


def check_address(address: Address) -> None:
    """Refuse an address that no hospital has but that our own network might.

    Raises HospitalMisconfigured. Metadata, unspecified and multicast: always. Loopback and link-local: unless
    ALLOWED_SOURCE_NETWORKS names them, or, for loopback, DEBUG is on. Others: if that list exists without them.
    """
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1 is loopback, too
    address = mapped or address
    if address in METADATA or address.is_unspecified or address.is_multicast:
        raise HospitalMisconfigured("The host leads to an address that cannot be a hospital's. Correct the host.")
    if address.is_loopback and settings.DEBUG:
        return
    if settings.ALLOWED_SOURCE_NETWORKS:
        if any(address in ipaddress.ip_network(text) for text in settings.ALLOWED_SOURCE_NETWORKS):
            return
        raise HospitalMisconfigured(
            "The host's address is not in ALLOWED_SOURCE_NETWORKS. Correct the host or add its network there."
        )
    if address.is_loopback or address.is_link_local or address.is_reserved:
        raise HospitalMisconfigured(
            "The host leads to this machine or to a link-local or reserved address. Correct the host, or add its "
            "network to ALLOWED_SOURCE_NETWORKS if it is meant."
        )


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of the host, each of them checked.

    Raises HospitalUnreachable when the name is not known, HospitalMisconfigured for a forbidden address.
    """
    name = real_host(host)
    try:
        found = within(
            settings.SOURCE_CONNECT_TIMEOUT,
            lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM),
            discard=len,
        )
    except Overdue:
        raise HospitalUnreachable(
            "This machine's name server does not answer. Check it, or enter the host's address instead of its name."
        ) from None
    except (OSError, UnicodeError):
        raise HospitalUnreachable(
            "The host's name cannot be resolved. Check its spelling and this machine's name server."
        ) from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(ipaddress.ip_address(address))
    return addresses


def real_host(host: str) -> str:
    """The driver takes "localhost" for a Unix socket on this machine; nobody means that."""
    return "127.0.0.1" if host.strip().lower() == "localhost" else host.strip()
