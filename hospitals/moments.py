"""One moment of a source, in a snapshot where that is short, and without one where every answer takes its time.

Without one, everything is read twice, each statement by itself, so that nobody at the hospital waits for more than the
one under way. When both times are the same, then so it was at the instant between them: what a statement gave before
it and after it was true at it. But for what went there and back, and there once more, in step with our statements.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from hospitals import connections
from hospitals.connections import Source
from hospitals.errors import NeverTheSame, SnapshotTooLong

T = TypeVar("T")

#: Times that everything is read before we give up on it for now; any two that follow each other may be the same.
MOST_PASSES = 4


def at_one_moment(
    source: Source,
    read: Callable[[], T],
    *,
    n_answers: int,
    is_least: bool = True,
    before_pass: Callable[[], object] = lambda: None,
) -> T:
    """What `read()` returns, all that it fetches from the source being true at one moment since this call.

    `read` is called again and again, until it is well; it must ask the same each time, and keep nothing of the time
    before.  `n_answers`: it waits for about so many.  `is_least`: less cannot be read at once, so that a source for
    which it was too much is given no snapshot any more.  `before_pass`: called whenever everything is read without one.
    Raises NeverTheSame, and whatever `read` raises.
    """
    if source.quickest * n_answers > connections.SNAPSHOT_LIMIT:
        source.is_too_slow = True
    if not source.is_too_slow:
        try:
            with source.snapshot():
                return read()
        except SnapshotTooLong:
            source.is_too_slow = is_least
    return _read_twice(source, read, before_pass=before_pass)


def _read_twice(source: Source, read: Callable[[], T], *, before_pass: Callable[[], object]) -> T:
    before = None
    for _ in range(MOST_PASSES):
        before_pass()
        noted = hashlib.blake2b()

        def note(rows: list[tuple[Any, ...]], noted: "hashlib.blake2b" = noted) -> None:
            # what is asked follows from what was answered; the order of an answer is the server's own affair
            noted.update("\n".join([*sorted(map(repr, rows)), "."]).encode())

        with source.one_pass(note):
            found = read()
        if noted.digest() == before:
            return found
        before = noted.digest()
    raise NeverTheSame(
        "What was read again and again was different each time: somebody at the hospital is changing it. "
        "It is tried again by itself."
    )
