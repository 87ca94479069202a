"""Bounds for what has none of its own: a name look-up, a server that answers a byte a second, or without end.

The driver's time-outs count from one byte to the next, so a source that drips would hold a worker for ever; and a
look-up takes as long as this machine's resolver likes.
"""

import contextlib
import math
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

#: Threads that may hang at once in calls that nobody waits for any more. Each ends by itself, but late.
MOST_ABANDONED = 32
#: Seconds between two looks at clock and memory: how late a connection may be cut.
LOOK_SECONDS = 0.1

_abandoned: set[threading.Thread] = set()
_lock = threading.Lock()


class Overdue(Exception):
    """It was not done in time."""


def within(seconds: float, work: Callable[[], T], *, discard: Callable[[T], object]) -> T:
    """What `work()` returns or raises. Raises Overdue after so many seconds, at once when too many hang already.

    Nothing can stop the call: it goes on in a thread of its own, and `discard` is given what it returns in the end.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            future.set_exception(error)

    thread = threading.Thread(target=run, daemon=True, name="patience")
    with _lock:
        _abandoned.difference_update([each for each in _abandoned if not each.is_alive()])
        if len(_abandoned) >= MOST_ABANDONED:
            raise Overdue
    thread.start()
    try:
        return future.result(max(0.0, seconds))
    except TimeoutError:
        if future.done():  # the call's own
            return future.result()
        with _lock:
            _abandoned.add(thread)
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise Overdue from None


class Deadline:
    """Cuts an open connection when its time is over, or what it sends is too much: whoever waits there gets an error
    from the driver at once. `is_cut`: so it was; `is_flooded`: because it was too much.
    """

    def __init__(self, file_number: int) -> None:
        self.is_cut = self.is_flooded = False
        self._socket = socket.socket(fileno=os.dup(file_number))
        self._at = self._memory = math.inf
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="deadline").start()

    @contextlib.contextmanager
    def at(self, moment: float, *, memory: float) -> Iterator[None]:
        """The block must be over at this moment of time.monotonic(), and this process not grow by so many bytes.

        Does not nest.
        """
        self._at, self._memory = moment, peak_memory() + memory
        try:
            yield
        finally:
            self._at = self._memory = math.inf

    def cut(self) -> None:
        """End the connection now, whatever the other end is still sending."""
        self.is_cut = True
        with contextlib.suppress(OSError):  # the other end was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Watch no longer; the connection itself is left alone."""
        self._closed.set()

    def _watch(self) -> None:
        with self._socket:
            while not self._closed.wait(LOOK_SECONDS):
                if peak_memory() > self._memory:
                    self.is_flooded = True
                if self.is_flooded or time.monotonic() >= self._at:
                    self.cut()
                    return


def peak_memory() -> int:
    """Bytes that this process held at its largest."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
