"""The pages as visitors meet them: gunicorn as in production, and clients that keep their connection open."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_START = 120


def set_up_django(var: str, *, database_url: str) -> None:
    """Settings as in production, but that pages come without TLS; an empty store; the static files collected."""
    os.environ |= {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
        "VAR_DIR": var,
        "DATABASE_URL": database_url,
        "CONTROL_DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "LOG_LEVEL": "ERROR",
        "SECURE_COOKIES": "false",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A web server of its own. `cpu`: seconds that its processes have used until now."""

    port: int
    pid: int

    def cpu(self) -> float:
        return sum(_cpu_of(pid) for pid in [self.pid, *_children(self.pid)])


@contextlib.contextmanager
def served(application: str, *, workers: int = 2, threads: int = 4) -> Iterator[Served]:
    """Gunicorn as docs/operations.md starts it, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", application, "--no-control-socket", "--worker-class", "gthread"]
    command += ["--workers", str(workers), "--threads", str(threads), "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--log-level", "error"], cwd=ROOT)
    try:
        deadline = time.monotonic() + LONGEST_START
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("gunicorn did not start.")
            time.sleep(0.2)
        yield Served(port=port, pid=process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        return Client(port=port).get("/health/live").status < 500
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    n_bytes: int
    seconds: float


class Client:
    """One visitor with a connection of its own."""

    def __init__(self, *, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = dict(headers or {})

    def get(self, address: str) -> Answer:
        began = time.perf_counter()
        try:
            body, status = self._ask(address)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # Gunicorn closes a connection that was idle for two seconds; a browser asks again, too.
            self._connection.close()
            body, status = self._ask(address)
        return Answer(status=status, n_bytes=len(body), seconds=time.perf_counter() - began)

    def _ask(self, address: str) -> tuple[bytes, int]:
        self._connection.request("GET", address, headers=self.headers)
        response = self._connection.getresponse()
        return response.read(), response.status


def cookies_of(user: Any) -> dict[str, str]:
    """The headers of a browser in which this account has logged in by way of our own door."""
    from django.conf import settings
    from django.test import Client as Browser
    from django.utils import timezone

    from passport import entries
    from passport.models import Entry
    from passport.views.session import ENTERED

    browser, now = Browser(), timezone.now()
    browser.force_login(user)
    session = browser.session
    key = session.session_key or ""
    entry = entries.begin(user=user, kind=Entry.Kind.PAGE, key=key, origin=entries.NOWHERE, now=now)
    session.update({ENTERED: True, entries.ENTRY: str(entry.pk), entries.SEEN_AT: now.timestamp()})
    session.save()
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"}


def token_of(user: Any) -> dict[str, str]:
    """The headers of a program that holds an access token of this account; good for ten minutes."""
    from django.utils import timezone

    from passport.api import tokens

    return {"Authorization": f"Bearer {tokens.issue(user=user, now=timezone.now()).access}"}


def quantile(seconds: Sequence[float], share: float) -> float:
    """The smallest that so great a share does not exceed, in milliseconds."""
    found = sorted(seconds)
    return 1000 * found[min(len(found) - 1, int(share * len(found)))]
