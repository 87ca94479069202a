"""A machine that runs `manage.py work`, played by a group of processes with settings and a line of its own.

with Group("a", url=…, folder=…) as group:   it reaches PostgreSQL by way of `group.line` and nothing else
    group.kill()                             the power goes
    group.freeze(); group.thaw()             a host that stands still
    group.line.refuse(); group.line.heal()   a cable is pulled
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.openmrs.proxy import Proxy
from tests.parts import ROOT

N_WORKERS = 2


class Group:
    """`shared`: what is the same on every machine, DATABASE_URL among it."""

    def __init__(self, name: str, *, shared: Mapping[str, str], folder: Path) -> None:
        self.name = name
        url = urlsplit(shared["DATABASE_URL"])
        self.line = Proxy(host=str(url.hostname), port=int(url.port or 0))
        self._log = (folder / f"{name}.log").open("ab")
        there = url._replace(netloc=f"{url.username}:{url.password}@{self.line.host}:{self.line.port}")
        (folder / name).mkdir(exist_ok=True)
        self._environment = os.environ | shared | {"DATABASE_URL": there.geturl(), "VAR_DIR": str(folder / name)}
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "work"],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self.line.close()
        self._log.close()

    @property
    def mark(self) -> str:
        """What the names of its clusters hold and those of the others do not: for LIKE."""
        return f"%:{self.process.pid}:%"

    def members(self) -> list[int]:
        """The supervisor and all that descends from it, in sessions of their own as it may be."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state != "Z":
                        children.setdefault(int(parent), []).append(int(folder.name))
        found, todo = [], [self.process.pid]
        while todo:
            found.append(todo.pop())
            todo += children.get(found[-1], [])
        return found

    def freeze(self) -> None:
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell(signal.SIGCONT)

    def kill(self) -> None:
        """All at once, as far as that can be had: none of them may tidy up."""
        self._tell(signal.SIGSTOP)
        self._tell(signal.SIGKILL)
        self.process.wait(30)

    def start_again(self) -> None:
        self._start()

    def _tell(self, number: signal.Signals) -> None:
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
