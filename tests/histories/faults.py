"""What befalls a worker in the middle of a run: at its n-th statement, of our store or of the source.

kill       it is gone: nothing that it has not committed is there, and nothing of it runs any more, no clean-up either
lose       the source's server drops the connection
lock       our store takes this one statement not: another program holds it
fill       our store takes no write from here on: its disk is full
overtake   it sleeps past its lease, and another worker takes over and reads everything
steps      the hospital edits, or somebody on our side decides, in between: (method of the stage, arguments) of each

Chance seldom hits the few statements that matter, so they can be meant: before, in, after the first snapshot.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.db import OperationalError, connection, transaction

from hospitals.connections import Source
from openmrs_sync import refresh
from openmrs_sync.models import ParkedRow
from openmrs_sync.session import Session
from tests.integration import world

if TYPE_CHECKING:
    from tests.histories.stage import Stage


#: Methods of the stage that touch nothing of our store.
AT_HOSPITAL = ("edits", "rebuild")
WRITES = ("INSERT", "UPDATE", "DELETE")
PARKED = ParkedRow._meta.db_table


class Killed(BaseException):
    """What a worker that is killed does not survive."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`n`: before which statement; `what`: a word from above, or steps. `side`, whose statements:

        store, source      all of the run
        planned            the source's from where the first snapshot is to be opened
        snapshot           the source's in the first snapshot
        written            the store's after the first snapshot
        parked             of those the ones that name the parked rows

    Without snapshots the first batch is meant, all the times that it is read.
    """

    side: str
    n: int
    what: Any


class _Strike:
    def __init__(self, stage: "Stage", fault: Fault) -> None:
        self.stage, self.fault = stage, fault
        self.left = fault.n
        self.is_pending = self.is_dead = self.is_full = self.is_striking = False
        self.depth = len(connection.savepoint_ids)
        self.place = ""

    def before(self, side: str, sql: str) -> None:
        if self.is_striking:
            return
        if self.is_dead:
            raise Killed
        if self.is_full and side == "store" and sql.lstrip().startswith(WRITES):
            raise OperationalError("database or disk is full")
        if self.fault.side in (side, *self.meant(side, sql)):
            self.left -= 1
            self.is_pending = self.is_pending or self.left == 0
        if self.is_pending and self.may_strike():
            self.is_pending, self.is_striking = False, True
            try:
                self.strike()
            finally:
                self.is_striking = False

    def meant(self, side: str, sql: str) -> tuple[str, ...]:
        if self.place == "written":
            of_parked = ("parked",) if PARKED in sql else ()
            return ("written", *of_parked) if side == "store" else ()
        return (self.place,) if side == "source" else ()

    def may_strike(self) -> bool:
        """Others cannot write to our store while a transaction of ours is open, and not from another thread."""
        if self.fault.what in ("kill", "lose", "lock", "fill") or self.is_at_hospital():
            return True
        is_main = threading.current_thread() is threading.main_thread()
        return is_main and len(connection.savepoint_ids) == self.depth

    def is_at_hospital(self) -> bool:
        """It touches nothing of our store."""
        return not isinstance(self.fault.what, str) and all(name in AT_HOSPITAL for name, _ in self.fault.what)

    def strike(self) -> None:
        what = self.fault.what
        if what == "kill":
            self.is_dead = True
            raise Killed
        if what == "lose":
            lose_connection(self.stage)
        elif what == "lock":
            raise OperationalError("database is locked")
        elif what == "fill":
            self.is_full = True
        elif what == "overtake":
            self.stage.be_overtaken()
        else:
            for name, arguments in what:
                getattr(self.stage, name)(*arguments)


def lose_connection(stage: "Stage") -> None:
    server = stage.place.server
    readers = server.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (world.READER,))
    for (reader,) in readers:
        server.execute(f"KILL CONNECTION {reader}")


@contextmanager
def striking(stage: "Stage", fault: Fault | None) -> Iterator[None]:
    """Within the block the fault strikes once, if it gets so far."""
    if fault is None:
        yield
        return
    strike, fetch, snapshot, one_pass, read = (
        *(_Strike(stage, fault), Source.fetch, Source.snapshot, Source.one_pass),
        refresh.read,
    )
    mark = transaction.mark_for_rollback_on_error

    @contextmanager
    def noted(source: Source) -> Iterator[None]:
        is_first = not strike.is_striking and not strike.place
        if is_first:
            strike.place = "planned"
        with snapshot(source):
            if is_first:
                strike.place = "snapshot"
            yield
        if is_first:
            strike.place = "written"

    @contextmanager
    def noted_pass(source: Source, note: Any) -> Iterator[None]:
        if not strike.is_striking and not strike.place:
            strike.place = "planned"
        with one_pass(source, note):
            yield

    def at_source(source: Source, sql: str, params: Any = ()) -> Any:
        strike.before("source", sql)
        if not strike.is_striking and strike.place == "planned" and not source._in_snapshot:
            strike.place = "snapshot"  # without one: all the times that the first batch is read
        return fetch(source, sql, params)

    def read_once(session: Session, **options: Any) -> refresh.Read:
        found = read(session, **options)
        if not strike.is_striking and strike.place == "snapshot":
            strike.place = "written"
        return found

    def at_store(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        # a dead worker's transaction is undone by the store
        if not sql.startswith(("ROLLBACK", "RELEASE")):
            strike.before("store", sql)
        return execute(sql, params, many, context)

    def marked(using: str | None = None) -> AbstractContextManager[None]:
        # of no transaction of the engine's own: only for us there is one around it
        return mark(using) if len(connection.savepoint_ids) > strike.depth else nullcontext()

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(transaction, "mark_for_rollback_on_error", marked))
        stack.enter_context(mock.patch.object(Source, "fetch", at_source))
        stack.enter_context(mock.patch.object(Source, "snapshot", noted))
        stack.enter_context(mock.patch.object(Source, "one_pass", noted_pass))
        stack.enter_context(mock.patch.object(refresh, "read", read_once))
        stack.enter_context(connection.execute_wrapper(at_store))
        yield
