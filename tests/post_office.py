"""Real servers on loopback that take what we send: one speaks SMTP, one HTTP. Both can refuse, and both can be away.

with PostOffice() as office: office.letters    the messages that were handed over, parsed
with Gateway() as gateway: gateway.posts       (path, headers, body) of what was posted
"""

import email
import email.policy
import json
import socketserver
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class PostOffice(socketserver.ThreadingTCPServer):
    """Enough of RFC 5321 for smtplib. `refuses`: the code with which every recipient is turned away."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, refuses: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.refuses = refuses
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()

    def serves(self, settings: Any) -> None:
        """Have Django hand its mail over here."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", self.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""


class _Session(socketserver.StreamRequestHandler):
    server: PostOffice

    def handle(self) -> None:
        self._say("220 post office")
        while line := self.rfile.readline():
            verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
            if verb == b"QUIT":
                self._say("221 bye")
                return
            self._answer(verb, line.decode().strip())

    def _answer(self, verb: bytes, line: str) -> None:
        if verb == b"RCPT" and self.server.refuses:
            self._say(f"{self.server.refuses} no such mailbox")
        elif verb == b"RCPT":
            self.server.recipients.append(line.partition("<")[2].partition(">")[0])
            self._say("250 ok")
        elif verb == b"DATA":
            self._say("354 go on")
            lines = []
            while (text := self.rfile.readline()) != b".\r\n":
                lines.append(text[1:] if text.startswith(b"..") else text)
            self.server.letters.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
            self._say("250 taken")
        else:
            self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class Gateway(ThreadingHTTPServer):
    """Takes what is posted to it as JSON. `answers`: the status of each answer."""

    daemon_threads = True

    def __init__(self, *, answers: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.answers = answers
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()


class _Counter(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.server.answers)
        if 300 <= self.server.answers < 400:
            self.send_header("Location", f"{self.server.address}/elsewhere")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Nothing: the test looks at `posts`."""
