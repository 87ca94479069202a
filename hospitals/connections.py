"""The only way to a hospital's database: `with open_hospital(hospital) as source: source.fetch(sql, params)`.

The alias is born and buried inside the `with`: other threads never see it and nothing stays open. The address is
checked before every connect, TLS is proved after it, the session refuses writes, and every error comes out as one
of `hospitals.errors`, in a sentence of ours: the driver's texts may hold values.
"""

import contextlib
import ipaddress
import math
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import django.db
import MySQLdb
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.mysql.base import DatabaseWrapper
from django.db.utils import ConnectionHandler
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.converters import Date_or_None, DateTime_or_None, conversions

from hospitals import queries
from hospitals.addresses import check_address, real_host, resolve
from hospitals.errors import HospitalMisconfigured, HospitalUnreachable, SnapshotTooLong, SourceError
from hospitals.faults import TlsRefused, fault_from_code
from hospitals.grants import check_grants
from hospitals.models import Hospital, TlsMode
from hospitals.patience import LOOK_SECONDS, Deadline, Overdue, within
from passport.secrets import SecretUnavailable, open_sealed

__all__ = ["Source", "check_grants", "open_hospital"]

CLOSED = frozenset({2002, 2003})  # nobody answered at this address: the next one of the same name may
CLIENT_OWN_CODES = 5000  # libmariadb's own errors begin here
# Without a verified certificate the server may be anybody, and must not be able to ask for the password in clear
# text. In an option file because the driver has no argument for it; MySQL's own library sends none unasked.
HASHED_LOGINS = "restricted-auth=mysql_native_password,caching_sha2_password,sha256_password,client_ed25519\n"
# A hostile server may send rows without end, and the driver's own limit is one GB for each. No row of OpenMRS comes
# near this; both bound what one statement can take of our memory.
LONGEST_ROW = 16 * 1024 * 1024  # bytes
MOST_MEMORY = 512 * 1024 * 1024  # bytes that this process may grow by in one statement
SMALL_ROWS = f"[passport]\nmax-allowed-packet={LONGEST_ROW}\n"
# How long a snapshot may be open at the hospital's server: whoever alters a table there waits for it, and everybody's
# SELECT behind them. Seconds.
SNAPSHOT_LIMIT = 5.0
# Of these, what is left for the last bytes of an answer; what comes later than that is cut off.
SPARE_SECONDS = 3 * LOOK_SECONDS
# The server ended a statement whose time was over: MariaDB, MySQL.
STATEMENT_ENDED = frozenset({1969, 3024})

Note = Callable[[list[tuple[Any, ...]]], object]


# Reading dates is the largest cost of a read, and a hospital's rows share few of them.
@lru_cache(maxsize=1 << 16)
def _read_datetime(text: str) -> datetime | None:
    return DateTime_or_None(text)  # type: ignore[no-any-return]  # the driver has no stubs


@lru_cache(maxsize=1 << 14)
def _read_date(text: str) -> date | None:
    return Date_or_None(text)  # type: ignore[no-any-return]  # the driver has no stubs


def _read_bits(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


#: DATETIME naive, zero and partial dates None, TIME a timedelta, bit(1) an int.
CONVERSIONS = {
    **conversions,
    FIELD_TYPE.DATETIME: _read_datetime,
    FIELD_TYPE.TIMESTAMP: _read_datetime,
    FIELD_TYPE.DATE: _read_date,
    FIELD_TYPE.BIT: _read_bits,
}


class Source:
    """An open hospital. Valid inside its `with` only, in one thread at a time.

    `server_version`  as the server says it, e.g. "5.7.40" or "10.11.6-MariaDB"
    `is_encrypted`    whether the connection has a TLS cipher
    `bounded`         words a statement so that the server ends it after so many seconds; None: it cannot
    `hints`           sentences on what this server refused and we can do without
    `n_rows`, `seconds`  rows fetched, and time spent waiting for the source, so far
    `quickest`, `longest`  seconds that an answer took, at least and at most; who wants to know of a part sets them back
    `is_too_slow`     for a snapshot: see `hospitals.moments`
    `end_by`          the moment of time.monotonic() at which the connection is cut, whatever is under way
    """

    def __init__(self, hospital: Hospital, *, alias: str, wrapper: DatabaseWrapper, end_by: float = math.inf) -> None:
        self.alias = alias
        self.end_by = end_by
        self.server_version = wrapper.mysql_server_info
        self.is_mariadb = "mariadb" in self.server_version.lower()
        self.is_encrypted = False
        self.bounded: Callable[[str, float], str] | None = None
        self.hints: list[str] = []
        self.n_rows = 0
        self.seconds = self.longest = 0.0
        self.quickest = math.inf
        self.is_too_slow = False
        self._hospital = hospital
        self._in_snapshot = False
        self._snapshot_end = self._cut_at = math.inf
        self._note: Note | None = None
        self._use(wrapper)

    def _use(self, wrapper: DatabaseWrapper) -> None:
        wrapper.inc_thread_sharing()  # whoever reads ahead may have to connect anew
        self._wrapper, self._raw = wrapper, wrapper.connection
        self._thread_id = int(self._raw.thread_id())
        self._deadline = Deadline(self._raw.fileno())

    def close(self) -> None:
        """Watch the time no longer, and end the connection."""
        self._deadline.close()
        with contextlib.suppress(django.db.Error):
            self._wrapper.close()

    @property
    def version(self) -> tuple[int, ...]:
        """The numbers of `server_version`: (5, 7, 40)."""
        numbers = self.server_version.split("-")[0].split(".")
        return tuple(int(number) for number in numbers if number.isdigit())

    def fetch(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT and return all its rows.

        `%s` in the text takes a value; a list or tuple as value gives `(1,2,3)`. With params a literal percent sign is
        written `%%`, without params the text is sent as it is.
        Raises HospitalUnreachable (in a snapshot SnapshotTooLong, too), HospitalMisconfigured, WrongCredentials,
        SchemaMismatch.
        """
        text = self._in_time(sql)
        started = perf_counter()
        end_by = min(self.end_by, self._cut_at, time.monotonic() + settings.SOURCE_STATEMENT_TIMEOUT)
        try:
            # The buffered cursor: it lets go of the interpreter once for an answer, not once for each row, and the
            # other thread of a first sync is busy. That the answer has an end is watched from outside meanwhile.
            bounds = self._deadline.at(end_by, memory=MOST_MEMORY)
            with bounds, contextlib.closing(self._raw.cursor()) as cursor:
                cursor.execute(text, tuple(params) or None)
                rows = list(cursor.fetchall())
        except MySQLdb.Error as error:
            if self._is_over(error):
                raise _too_long() from None
            # The driver's text may hold values; and after we hung up it only says that.
            raise (_flooded() if self._deadline.is_flooded else _fault(error)) from None
        except UnicodeDecodeError:
            raise HospitalMisconfigured(
                "A text at the hospital is not valid in its own character set. "
                "Ask the hospital to check the character set of its OpenMRS tables."
            ) from None
        finally:
            took = perf_counter() - started
            self.seconds += took
        self.n_rows += len(rows)
        self.quickest, self.longest = min(self.quickest, took), max(self.longest, took)
        if self._note:
            self._note(rows)
        return rows

    def _in_time(self, sql: str) -> str:
        """The statement with what is left of the snapshot as its limit.  Raises SnapshotTooLong when nothing is."""
        if self._snapshot_end == math.inf:
            return sql
        left = self._snapshot_end - time.monotonic()
        if left < LOOK_SECONDS:
            raise _too_long()
        return self.bounded(sql, left) if self.bounded else sql

    def _is_over(self, error: MySQLdb.Error) -> bool:
        """Whether the snapshot's time was the reason."""
        is_ended = bool(error.args) and error.args[0] in STATEMENT_ENDED
        return self._cut_at < math.inf and (is_ended or time.monotonic() >= self._cut_at)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything fetched inside is one moment of the source, and it is over after SNAPSHOT_LIMIT; it does not nest.

        A hospital's ALTER TABLE waits for us, and everybody else's SELECT waits behind the ALTER. So no statement
        begins that could not be answered by then, the server ends the one that takes longer, and when that does not
        help we hang up, kill what is left over there, and connect anew.  Raises SnapshotTooLong; the source goes on.
        """
        if self._in_snapshot:
            raise RuntimeError("A snapshot is open already: leave it before you open another.")
        is_old = self.is_mariadb and self.version < (10, 0)
        began = time.monotonic()
        self._in_snapshot, self._cut_at = True, began + SNAPSHOT_LIMIT - LOOK_SECONDS
        try:
            self.fetch(queries.START_SNAPSHOT_MARIADB_5 if is_old else queries.START_SNAPSHOT)
            way = time.monotonic() - began
            self._snapshot_end = began + SNAPSHOT_LIMIT - SPARE_SECONDS - way
            yield
        except BaseException as error:
            self._snapshot_end = self._cut_at = math.inf
            if isinstance(error, SnapshotTooLong) and self._deadline.is_cut:
                self._begin_anew()
            else:
                with contextlib.suppress(SourceError):  # the first error is the one to tell
                    self.fetch(queries.ROLLBACK)
            raise
        else:
            self._snapshot_end = self._cut_at = math.inf
            self.fetch(queries.COMMIT)
        finally:
            self._in_snapshot = False

    def _begin_anew(self) -> None:
        """On another connection. What the one before was doing there may still go on: we hung up, nobody told it."""
        old = self._thread_id
        self.close()
        open_by = min(self.end_by, time.monotonic() + settings.SOURCE_OPEN_TIMEOUT)
        self._use(_connect(self._hospital, alias=self.alias, open_by=open_by))
        _prepare(self._hospital, source=self)
        with contextlib.suppress(SourceError):  # it is gone already
            self.fetch(queries.kill(old))

    @contextlib.contextmanager
    def one_pass(self, note: Note) -> Iterator[None]:
        """`note` is told the rows of each answer inside. No snapshot: each statement is a moment of its own."""
        self._note = note
        try:
            yield
        finally:
            self._note = None


@contextlib.contextmanager
def open_hospital(hospital: Hospital, *, end_by: float = math.inf) -> Iterator[Source]:
    """Connect, prove TLS and the read-only session, and close on the way out, whatever happens.

    `end_by`: the moment of time.monotonic() at which the connection is cut, for a source that is alive but so slow
    that it would hold a worker for hours.
    Raises HospitalUnreachable, HospitalMisconfigured, WrongCredentials; RuntimeError when this thread has it open.
    """
    alias = f"hospital-{hospital.pk}"
    if _is_open(alias):
        raise RuntimeError("This hospital is open in this thread already.")
    open_by = min(end_by, time.monotonic() + settings.SOURCE_OPEN_TIMEOUT)
    wrapper = _connect(hospital, alias=alias, open_by=open_by)
    connections[alias] = wrapper
    source = Source(hospital, alias=alias, wrapper=wrapper, end_by=open_by)
    try:
        with _a_server_of_mysql():
            _prepare(hospital, source=source)
        source.end_by = end_by
        yield source
    finally:
        del connections[alias]  # first: a failing close() must not leave the alias behind
        source.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Files that the driver wants by name; they live as long as the connecting takes."""

    options: str
    certificate_authority: str | None


@contextlib.contextmanager
def _private_files(hospital: Hospital) -> Iterator[_Files]:
    with tempfile.TemporaryDirectory(prefix="passport-") as folder:  # readable by this user only
        options = Path(folder, "client.cnf")
        options.write_text(SMALL_ROWS + ("" if hospital.tls_mode == TlsMode.VERIFIED else HASHED_LOGINS))
        authority = Path(folder, "ca.pem")
        if hospital.tls_ca.strip():
            authority.write_text(hospital.tls_ca)
        yield _Files(options=str(options), certificate_authority=str(authority) if authority.exists() else None)


def _connect(hospital: Hospital, *, alias: str, open_by: float) -> DatabaseWrapper:
    """Connect to the address that was checked, so that a name that changes its mind in between leads nowhere.

    With a verified certificate the driver needs the name; there the peer's address is checked once more afterwards.
    """
    addresses = resolve(hospital.host, hospital.port)
    if hospital.tls_mode == TlsMode.VERIFIED:
        addresses = [real_host(hospital.host)]
    with _private_files(hospital) as files:
        for position, address in enumerate(addresses, start=1):
            config = _config(hospital, address=address, files=files)
            handler = ConnectionHandler({DEFAULT_DB_ALIAS: {}, alias: config})
            wrapper = cast(DatabaseWrapper, handler.create_connection(alias))
            try:
                with _a_server_of_mysql():
                    _log_in(wrapper, open_by=open_by)
                _check_peer(wrapper)
            except (django.db.Error, SourceError) as error:
                with contextlib.suppress(django.db.Error):
                    wrapper.close()
                if isinstance(error, SourceError):
                    raise
                if error.args and error.args[0] in CLOSED and position < len(addresses):
                    continue
                raise _fault(error) from None  # the driver's text holds the user and the host
            return wrapper
    raise HospitalUnreachable("The host has no address. Correct the host.")


@contextlib.contextmanager
def _a_server_of_mysql() -> Iterator[None]:
    """Whatever answers here may send no rows, too few columns, or bytes where text belongs."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError):
        raise HospitalMisconfigured(
            "What answers at this host and port does not speak as a MySQL server does. Correct the host or the port."
        ) from None


def _log_in(wrapper: DatabaseWrapper, *, open_by: float) -> None:
    """Connect and log in, all of it by this moment: a server may send its greeting a byte a second."""
    wrapper.inc_thread_sharing()
    try:
        within(open_by - time.monotonic(), wrapper.ensure_connection, discard=lambda _: wrapper.close())
    except Overdue:
        raise HospitalUnreachable(
            "The hospital's server took too long to let us in. It is tried again by itself; if this lasts, check the "
            "network and the server's load."
        ) from None
    wrapper.dec_thread_sharing()


def _config(hospital: Hospital, *, address: str, files: _Files) -> dict[str, Any]:
    try:
        password = open_sealed(hospital.password_sealed)
    except SecretUnavailable as error:
        raise HospitalMisconfigured(f"The hospital's password cannot be had. {error}") from None
    return {
        "ENGINE": "hospitals.backend",
        "NAME": hospital.database,
        "USER": hospital.username,
        "PASSWORD": password,
        "HOST": address,
        "PORT": hospital.port,
        "OPTIONS": {
            "charset": "utf8mb4",
            "conv": CONVERSIONS,
            "isolation_level": "repeatable read",
            "connect_timeout": settings.SOURCE_CONNECT_TIMEOUT,
            "read_timeout": settings.SOURCE_READ_TIMEOUT,
            "write_timeout": settings.SOURCE_WRITE_TIMEOUT,
            "local_infile": 0,  # on by default: a hostile server may read our files
            "multi_statements": False,
            **_tls_options(hospital, files),
        },
    }


def _tls_options(hospital: Hospital, files: _Files) -> dict[str, Any]:
    our_options = {"read_default_file": files.options, "read_default_group": "passport"}
    if hospital.tls_mode == TlsMode.NONE:
        return {"ssl_mode": "DISABLED", **our_options}
    if hospital.tls_mode == TlsMode.UNVERIFIED:
        return {"ssl_mode": "REQUIRED", **our_options}
    system = ssl.get_default_verify_paths()
    trusted = (
        {"ca": files.certificate_authority}
        if files.certificate_authority
        else {"ca": system.cafile, "capath": system.capath}
    )
    return {
        "ssl_mode": "VERIFY_IDENTITY",
        "ssl": {name: path for name, path in trusted.items() if path},
        **our_options,
    }


def _check_peer(wrapper: DatabaseWrapper) -> None:
    """Look whom we are really connected to: between our look-up and the driver's, the name may have moved."""
    with socket.socket(fileno=os.dup(wrapper.connection.fileno())) as peer:
        check_address(ipaddress.ip_address(peer.getpeername()[0]))


def _prepare(hospital: Hospital, *, source: Source) -> None:
    """Prove TLS, then make the session read-only and bounded in time."""
    source.hints.clear()
    cipher = source.fetch(queries.CIPHER)
    source.is_encrypted = bool(cipher and cipher[0][1])
    if hospital.tls_mode != TlsMode.NONE and not source.is_encrypted:
        # The client library falls back to clear text without a word when the server offers no TLS.
        raise TlsRefused(
            "The server offers no TLS although it is asked for. Set up TLS on the hospital's server, or choose "
            "'not encrypted' if the way there is protected otherwise."
        )
    source.fetch(queries.SESSION)
    if source.is_mariadb and source.version < (10, 0):
        source.hints.append("This server is too old for read-only sessions; the SELECT-only grant alone protects it.")
    else:
        source.fetch(queries.READ_ONLY)
    _limit_statements(source)


def _limit_statements(source: Source) -> None:
    """Ask the server to give up on a slow statement before we do. Which variable that is depends on its version."""
    seconds = max(1, settings.SOURCE_READ_TIMEOUT - 5)
    try:
        if source.is_mariadb and source.version >= (10, 3):
            source.fetch(queries.MARIADB_IDLE_LIMIT, [seconds, max(1, round(SNAPSHOT_LIMIT))])
            source.bounded = queries.bounded_by_mariadb
        elif source.is_mariadb and source.version >= (10, 1):
            source.fetch(queries.MARIADB_TIME_LIMIT, [seconds])
            source.bounded = queries.bounded_by_mariadb
        elif not source.is_mariadb and source.version >= (5, 7, 8):
            source.fetch(queries.MYSQL_TIME_LIMIT, [seconds * 1000])
            source.bounded = queries.bounded_by_mysql
        else:
            source.hints.append("This server is too old to limit the time of a statement; our read time-out holds.")
    except HospitalUnreachable:
        raise
    except SourceError:
        source.hints.append("The server refused a time limit for statements; our read time-out still holds.")


def _fault(error: Exception) -> SourceError:
    """Our error for the driver's (or Django's wrapping of it): by its number, never by repeating its text."""
    if isinstance(error, django.db.NotSupportedError):
        return HospitalMisconfigured(
            "The server is older than MySQL 5.6 or MariaDB 5.5. Ask the hospital to upgrade its database server."
        )
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if code >= CLIENT_OWN_CODES:
        # For these the driver leaves a null pointer where the text should be, and whoever looks at it crashes.
        for one in (error, error.__cause__):
            if one is not None:
                one.args = (code,)
    return fault_from_code(code, str(error.args[1]) if len(error.args) > 1 else "")


def _too_long() -> SourceError:
    return SnapshotTooLong(
        "The hospital's server answers too slowly for a snapshot. It is tried again by itself; if this lasts, ask the "
        "hospital to look at the line and the load."
    )


def _flooded() -> SourceError:
    return HospitalMisconfigured(
        "The hospital's server answered with more than any hospital holds, and we hung up. "
        "Check that host and port are OpenMRS' own."
    )


def _is_open(alias: str) -> bool:
    # Not connections[alias]: that would raise, or make one. Thread-local, as Django keeps it.
    return hasattr(connections._connections, alias)  # type: ignore[attr-defined]  # the stubs leave it out
