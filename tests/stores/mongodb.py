"""A private server that speaks MongoDB's wire protocol.

`$MONGOD` names a real one. Else SecantusDB, which stands in a Python environment of its own below var/, because nothing
of ours may import it; it is an imitation: what it answers well is no proof that MongoDB does, nor the other way round.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests.openmrs.server import CHECKOUT
from tests.stores.process import PrivateServer

SECANTUS = "secantusdb==0.7.0b3"
HOME = CHECKOUT / "var" / "secantusdb"
WHEELS = CHECKOUT.parent / "shared" / "wheels"


def find_mongod() -> Path | None:
    """`$MONGOD`, or the imitation, installed when it is not there. None when neither can be had."""
    if named := os.environ.get("MONGOD"):
        return Path(named) if Path(named).is_file() else None
    if not (HOME / "installed").exists():
        _install()
    program = HOME / "bin" / "secantusd-py"
    return program if program.is_file() else None


def _install() -> None:
    """From the package index, or from a wheel beside the checkout. By one process at a time: xdist starts several."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (HOME / "installed").exists():
            return
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], capture_output=True, check=False)
        pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for source in ([], ["--find-links", str(WHEELS)], ["--no-index", "--find-links", str(WHEELS)]):
            if subprocess.run([*pip, *source, SECANTUS], capture_output=True, check=False).returncode == 0:
                (HOME / "installed").touch()
                return


class MongoServer(PrivateServer):
    """`program`: mongod, or the imitation."""

    name = "mongodb"

    def __init__(self, program: Path) -> None:
        super().__init__()
        self.program = program

    @property
    def is_real(self) -> bool:
        return "secantus" not in self.program.name

    def command(self) -> Sequence[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        if self.is_real:
            return [
                *(str(self.program), "--bind_ip", self.host, "--port", str(self.port), "--dbpath", str(data)),
                *("--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
            ]
        return [
            *(str(self.program), "--host", self.host, "--port", str(self.port), "--storage-path", str(data)),
            *("--standalone", "--cache-size", "128M"),
        ]

    def answers(self) -> bool:
        try:
            with self.client(timeout_ms=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def client(self, *, timeout_ms: int = 5_000) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(
            self.host, self.port, serverSelectionTimeoutMS=timeout_ms, uuidRepresentation="standard"
        )

    def url(self, database: str) -> str:
        return f"mongodb://{self.host}:{self.port}/{database}?serverSelectionTimeoutMS=5000"
