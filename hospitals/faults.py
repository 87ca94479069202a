"""What a MySQL error number means for us: a class of `hospitals.errors`, and a sentence that ends in the next step."""

import re

from hospitals.errors import (
    HospitalMisconfigured,
    HospitalUnreachable,
    SchemaMismatch,
    SourceError,
    WrongCredentials,
)


class TlsRefused(HospitalMisconfigured):
    """No encrypted connection came about, or not to the server that was meant. Nothing was logged in to."""


_BUSY = (
    "The hospital's server is busy. It is tried again by itself; if this lasts, ask the hospital to look at the load."
)
_DROPPED = (
    "The connection to the hospital was lost or took too long. It is tried again by itself; if this lasts, check "
    "the network and the hospital's server."
)
_SILENT = (
    "Nobody answers at the hospital's host and port. Check both, the firewall in between, and that the server runs."
)
_SLOW = (
    "The hospital's server gave up on a statement that took too long. It is tried again by itself; if this lasts, ask "
    "the hospital to look at the load, or to allow this account more time for a statement."
)
_LOGIN = "The server refused the login. Check username and password, and that the account may come from our address."
_TLS = (
    "TLS failed: the server offers none, or its certificate is not for this host or not from a trusted authority. "
    "Enter the authority's certificate, correct the host, or choose another TLS mode."
)
_METHOD = (
    "The account logs in by a method that is not supported over this connection. "
    "Ask the hospital for an account with an ordinary password, or use verified TLS."
)

_BY_CODE: dict[int, tuple[type[SourceError], str]] = {
    **dict.fromkeys((2002, 2003), (HospitalUnreachable, _SILENT)),
    2005: (
        HospitalUnreachable,
        "The host's name cannot be resolved. Check its spelling and this machine's name server.",
    ),
    # gone away, lost, out of step, killed, shutting down, network errors seen by the server, idle too long
    **dict.fromkeys(
        (
            2006,
            2013,
            2014,
            2027,
            1053,
            1077,
            1079,
            1152,
            1153,
            1156,
            1157,
            1158,
            1159,
            1160,
            1161,
            1184,
            1317,
            1927,
            4031,
        ),
        (HospitalUnreachable, _DROPPED),
    ),
    # too many connections or queries, lock waits, deadlock, definition changed under a snapshot
    **dict.fromkeys((1040, 1041, 1135, 1203, 1205, 1213, 1226, 1412), (HospitalUnreachable, _BUSY)),
    1129: (
        HospitalUnreachable,
        "The server blocks our address after failed connections. Ask the hospital to run FLUSH HOSTS.",
    ),
    **dict.fromkeys((1969, 3024), (HospitalUnreachable, _SLOW)),
    **dict.fromkeys((1045, 1698), (WrongCredentials, _LOGIN)),
    1130: (
        WrongCredentials,
        "The server lets no account in from our address. Ask the hospital to create the account for our address.",
    ),
    **dict.fromkeys(
        (1820, 1862), (WrongCredentials, "The account's password has expired. Ask the hospital to set a new one.")
    ),
    **dict.fromkeys((3118, 4151), (WrongCredentials, "The account is locked. Ask the hospital to unlock it.")),
    1044: (
        HospitalMisconfigured,
        "The account may not read this database. Check the database's name, and run the grant script at the hospital.",
    ),
    1049: (HospitalMisconfigured, "There is no database of this name on the server. Correct the database's name."),
    **dict.fromkeys(
        (1142, 1143, 1227, 1356),
        (
            HospitalMisconfigured,
            "The account may not read everything that is needed. Run the grant script at the hospital.",
        ),
    ),
    2026: (
        TlsRefused,
        _TLS,
    ),
    # what the driver says to a server that asks for a file of ours (LOAD DATA LOCAL, which nobody sent)
    2000: (
        HospitalMisconfigured,
        "The server asked for a file of this machine, or for what no hospital's server asks. Check whose server it is.",
    ),
    # plugin cannot be loaded; not in the list of hashed logins
    **dict.fromkeys(
        (1251, 2059, 2061, 5010),
        (
            HospitalMisconfigured,
            _METHOD,
        ),
    ),
}
_SCHEMA = frozenset({1054, 1146, 1109, 1305})
# The texts of these errors hold identifiers of our own SQL and nothing else; only the first quoted one is repeated.
_IDENTIFIER = re.compile(r"'([A-Za-z0-9_.$]{1,130})'")


def fault_from_code(code: int, text: str) -> SourceError:
    """Return the error to raise for a MySQL error number. Of `text` only a missing table's or column's name is used."""
    if code in _SCHEMA:
        found = _IDENTIFIER.search(text)
        return SchemaMismatch(
            f"The database has no {found.group(1) if found else 'such table or column'} (error {code}). "
            "Check that this is an OpenMRS database of version 1.9 to 2.9 whose upgrade has finished."
        )
    kind, sentence = _BY_CODE.get(
        code,
        (SourceError, "The hospital's server refused a statement. Look up the number and report it."),
    )
    head, _, rest = sentence.partition(". ")
    return kind(f"{head} (error {code}). {rest}")
