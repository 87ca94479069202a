"""One private server process: it dies with its parent and leaves no folder behind."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.openmrs.server import LOOPBACK, ServerFailed, die_with_parent, free_port

START_TIMEOUT = 60.0  # seconds; a start takes one, a laden machine many times that
STOP_TIMEOUT = 20.0


class PrivateServer:
    """`with PrivateServer(…) as server:` starts it. Subclasses say how, and how one asks whether it answers."""

    name = "server"

    def __init__(self) -> None:
        self.host, self.port = LOOPBACK, free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"pp-{self.name}-"))
        self.log = self.folder / "log"
        self._processes: list[subprocess.Popen[bytes]] = []  # none or one; shared with the finalizer
        self._finalizer = weakref.finalize(self, _end, self._processes, self.folder)

    def prepare(self) -> None:
        """Whatever must be done once, before the first start."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def as_user(self) -> dict[str, Any]:
        """More arguments of Popen: whom the server runs as."""
        return {}

    def __enter__(self) -> Self:
        try:
            self.prepare()
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[0].poll() is None

    def start(self) -> Self:
        """Start and return when the server answers; port and content survive stop() and start()."""
        for attempt in (1, 2, 3):
            self._launch()
            deadline = time.monotonic() + START_TIMEOUT
            while self.is_running and time.monotonic() < deadline:
                if self.answers():
                    return self
                time.sleep(0.05)
            self.stop()
            # between free_port() and the start another process may have taken the port
            if attempt == 3 or "in use" not in self.log_tail():
                break
            self.port = free_port()
        raise ServerFailed(f"{self.name} did not start:\n{self.log_tail()}")

    def stop(self) -> None:
        for process in self._processes:
            _end_process(process)
        self._processes.clear()

    def close(self) -> None:
        """End the server and remove its folder, for good."""
        self._finalizer()

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(no log)"

    def listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C in the terminal is the parent's business
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - only from the main thread
                **self.as_user(),
            )
        self._processes[:] = [process]


def _end(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for process in processes:
        _end_process(process)
    processes.clear()
    shutil.rmtree(folder, ignore_errors=True)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # PostgreSQL: disconnect everyone and stop
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
