"""A bad line to a hospital: a TCP proxy between us and its MariaDB that fails in the ways in which networks fail.

    with Proxy(server) as line:                     # or Proxy(host=…, port=…)
        Hospital.objects.update(port=line.port)
        line.black_hole()                           accepts, and nothing passes any more, on open connections neither
        line.drip(bytes_per_second=1)               what the server says arrives byte by byte
        line.cut_after(packets=50)                  each connection ends after so many packets of the server: a row is
                                                    one, and so are a column's description and an OK
        line.cut_after(bytes=10_000)
        line.refuse()                               the port is closed, and open connections end
        line.silent_after(statements=25)            each connection falls silent with its 25th statement
        line.delay(0.5)                             every statement waits so long
        line.at_statement(7, action)                `action()` when the 7th statement from now on arrives, before the
                                                    server gets it; line.cut ends all connections
        line.at_statement(2, action, containing=SNAPSHOT)  the 2nd that holds these words
        line.heal()                                 all well again, for new connections and those that are left
        line.n_connections, line.n_statements       seen since the beginning; a statement is a COM_QUERY

    with DeafPort() as port: …                      nobody answers even the first packet, as behind a firewall

Clear text only: what is counted is read from the protocol. One thread per direction and connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.openmrs.server import LOOPBACK, MariaDBServer

COM_QUERY = 3
SNAPSHOT = b"CONSISTENT SNAPSHOT"  # a batch begins
CHUNK = 1 << 16
LOOK = 0.05  # seconds between looks at what the line is asked to do


@dataclass(slots=True)
class Weather:
    """What the line does at present."""

    is_hole: bool = False
    bytes_per_second: float | None = None
    packets: int | None = None
    bytes: int | None = None
    statements: int | None = None
    delay: float = 0.0
    countdown: int = 0
    containing: bytes = b""
    action: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class Connection:
    client: socket.socket
    server: socket.socket
    n_packets: int = 0
    n_bytes: int = 0
    n_statements: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    n_ended: int = 0  # of the threads, whether or not they are gone already

    def end(self) -> None:
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Proxy:
    """One port on loopback that leads to one server."""

    def __init__(self, server: MariaDBServer | None = None, *, host: str = LOOPBACK, port: int = 0) -> None:
        self._to = (server.host, server.port) if server else (host, port)
        self.host = LOOPBACK
        self.n_connections = self.n_statements = 0
        self._weather = Weather()
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._ended = threading.Event()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = self._accept_from(self._listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the weather ----------------------------------------------------------------------------------

    def heal(self) -> None:
        self._weather = Weather()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server((LOOPBACK, self.port), backlog=100)
            self._acceptor = self._accept_from(self._listener)

    def black_hole(self) -> None:
        self._weather = Weather(is_hole=True)

    def drip(self, *, bytes_per_second: float = 1.0) -> None:
        self._weather = Weather(bytes_per_second=bytes_per_second)

    def cut_after(self, *, packets: int | None = None, bytes: int | None = None) -> None:
        self._weather = Weather(packets=packets, bytes=bytes)

    def silent_after(self, *, statements: int) -> None:
        self._weather = Weather(statements=statements)

    def delay(self, seconds: float) -> None:
        self._weather = Weather(delay=seconds)

    def at_statement(self, n: int, action: Callable[[], None], *, containing: bytes = b"") -> None:
        """`n` counts from 1. The action runs once, in a thread of the proxy."""
        self._weather = Weather(countdown=n, action=action, containing=containing)

    def refuse(self) -> None:
        self._stop_listening()
        self.cut()

    def cut(self) -> None:
        """End every open connection; new ones are welcome."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.end()

    def close(self) -> None:
        self._ended.set()
        self.refuse()
        with self._lock:
            threads = [thread for connection in self._connections for thread in connection.threads]
        for thread in threads:
            thread.join(10)

    # -- inside ---------------------------------------------------------------------------------------

    def _accept_from(self, listener: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True, name="proxy-accept")
        thread.start()
        return thread

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor
        self._listener.close()
        if threading.current_thread() is not self._acceptor:
            self._acceptor.join(10)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to, timeout=10)
                server.settimeout(None)
            except OSError:  # the hospital is down: so is the line
                client.close()
                continue
            self._join(Connection(client, server))

    def _join(self, connection: Connection) -> None:
        for one in (connection.client, connection.server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.threads = [
            threading.Thread(target=self._run, args=(connection, pump), daemon=True, name="proxy")
            for pump in (self._pump_up, self._pump_down)
        ]
        with self._lock:
            self._connections.add(connection)
            self.n_connections += 1
        for thread in connection.threads:
            thread.start()

    def _run(self, connection: Connection, pump: Callable[[Connection], None]) -> None:
        with contextlib.suppress(OSError):
            pump(connection)
        connection.end()
        with self._lock:
            connection.n_ended += 1
            if connection.n_ended == len(connection.threads):
                self._connections.discard(connection)
                connection.client.close()
                connection.server.close()

    def _pump_up(self, connection: Connection) -> None:
        """From us to the hospital."""
        packets = Packets()
        while content := connection.client.recv(CHUNK):
            for packet in packets.add(content):
                if packet.number == 0 and packet.first == COM_QUERY:
                    connection.n_statements += 1
                    self._at_statement(content)
            self._pass_or_wait(connection)
            connection.server.sendall(content)

    def _pump_down(self, connection: Connection) -> None:
        """From the hospital to us."""
        packets = Packets()
        while content := connection.server.recv(CHUNK):
            for packet in packets.add(content):
                connection.n_packets += 1
                if self._weather.packets is not None and connection.n_packets > self._weather.packets:
                    connection.client.sendall(content[: packet.start])
                    return
            self._pass_or_wait(connection)
            if self._weather.bytes is not None and connection.n_bytes + len(content) > self._weather.bytes:
                connection.client.sendall(content[: max(0, self._weather.bytes - connection.n_bytes)])
                return
            connection.n_bytes += len(content)
            self._send_down(connection, content)

    def _send_down(self, connection: Connection, content: bytes) -> None:
        while content:
            if (speed := self._weather.bytes_per_second) is None:
                connection.client.sendall(content)
                return
            connection.client.sendall(content[:1])
            content = content[1:]
            if self._ended.wait(1.0 / speed):
                return

    def _pass_or_wait(self, connection: Connection) -> None:
        while self._is_silent(connection) and not self._ended.wait(LOOK):
            continue

    def _is_silent(self, connection: Connection) -> bool:
        most = self._weather.statements
        return self._weather.is_hole or (most is not None and connection.n_statements >= most)

    def _at_statement(self, content: bytes) -> None:
        weather, action = self._weather, None
        with self._lock:
            self.n_statements += 1
            if weather.containing in content:
                weather.countdown -= 1
                action = weather.action if weather.countdown == 0 else None
        if weather.delay:
            self._ended.wait(weather.delay)
        if action:
            action()


@dataclass(frozen=True, slots=True)
class Packet:
    """`start`: where it begins in the content that completed its head; `first`: its first byte, -1 when empty."""

    start: int
    number: int
    first: int


class Packets:
    """Finds the packets of MySQL's protocol in a stream: three bytes of length, one number, content."""

    def __init__(self) -> None:
        self._skip = 0
        self._head = b""

    def add(self, content: bytes) -> Iterator[Packet]:
        """The packets that begin in this content. A head that is cut in two is taken up in the next one."""
        position = 0
        while position < len(content):
            if self._skip:
                taken = min(self._skip, len(content) - position)
                self._skip -= taken
                position += taken
                continue
            start = position
            taken = content[position : position + 5 - len(self._head)]
            self._head += taken
            position += len(taken)
            if len(self._head) >= 4 and not self._head[0] | self._head[1] | self._head[2]:
                position -= len(self._head) - 4  # an empty packet has no first byte
                yield Packet(start, self._head[3], -1)
                self._head = b""
            elif len(self._head) == 5:
                length = int.from_bytes(self._head[:3], "little")
                yield Packet(start, self._head[3], self._head[4])
                self._skip, self._head = length - 1, b""


class DeafPort:
    """A port whose queue of connections is full: the kernel drops every further SYN."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> Self:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, self.port))
            self._fillers.append(filler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._fillers, self._listener):
            one.close()
