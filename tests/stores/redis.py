"""A private Redis that keeps nothing: what it held is gone when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.stores.process import PrivateServer


class RedisServer(PrivateServer):
    """`program`: redis-server, by whatever name. Debian's redis-tools has the same file as redis-check-rdb; the package
    that calls it redis-server would start a service, too.
    """

    name = "redis"

    def __init__(self, program: Path) -> None:
        super().__init__()
        self.program = program

    def command(self) -> Sequence[str]:
        options = {"bind": self.host, "port": str(self.port), "save": "", "appendonly": "no", "dir": str(self.folder)}
        return ["redis-server", *(part for name, value in options.items() for part in (f"--{name}", value))]

    def as_user(self) -> dict[str, Any]:
        return {"executable": str(self.program)}

    def answers(self) -> bool:
        return self.listens()

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"
