"""What a test of the store does in a process of its own, forked, so that it can be killed or starved without us."""

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from tests.integration import world
from tests.integration.world import Site

WRITES = ("INSERT", "UPDATE", "DELETE")
#: For pytest.mark.filterwarnings. The child ends without returning to anything that a thread could hold.
FORKING = "ignore:This process .* is multi-threaded:DeprecationWarning"


class Photograph:
    """Our whole store at one moment."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect(":memory:")
        connection.ensure_connection()
        connection.connection.backup(self._kept)

    def put_back(self) -> None:
        connection.ensure_connection()
        self._kept.backup(connection.connection)

    def close(self) -> None:
        self._kept.close()


def at_write(n: int, do: Callable[[], object], *, then: bool = False) -> Callable[..., Any]:
    """For connection.execute_wrapper(): right before the n-th statement that changes something, `do()`; with `then`
    right after it, and after every n-th one.
    """
    count = [0]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        is_write = sql.lstrip().split(None, 1)[0] in WRITES
        count[0] += is_write
        if is_write and not then and count[0] == n:
            do()
        result = run(sql, params, many, context)
        if is_write and then and count[0] % n == 0:
            do()
        return result

    return execute


def forked(work: Callable[[], bool]) -> int:
    """Begin the work in a child process: its process id. It ends with status 0 when the work returns True."""
    connections.close_all()
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return child


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop_self() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def sync_and_die(site: Site, n: int) -> bool:
    """A run in a process of its own that is killed at its n-th write; False when it ended well before that."""

    def work() -> bool:
        with connection.execute_wrapper(at_write(n, kill_self)):
            return world.sync(site.hospital).status == "ok"

    _, status = os.waitpid(forked(work), 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
