"""Runs of many batches, each read before the one before it is written: as a thread may, and the same every time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar
from unittest import mock

from hospitals import connections
from openmrs_sync import pipeline, reader, refresh

#: Source rows: few persons have fewer.
ROWS = 6
#: So many statements take longer than any snapshot may. Seconds.
TOO_MANY, ONE_HOUR = 10**9, 3_600.0
P = ParamSpec("P")
T = TypeVar("T")


class AtOnce(Executor):
    """Does in this thread what it is given, before whoever gave it goes on: the earliest that another thread could."""

    def __init__(self, **_options: Any) -> None:
        super().__init__()

    def submit(self, work: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)
        return future


@contextmanager
def in_this_thread() -> Iterator[None]:
    """A batch that failed is tried again in halves: many batches, however large they may be."""
    with mock.patch.object(refresh, "ThreadPoolExecutor", AtOnce):
        yield


@contextmanager
def in_small_batches(rows: int = ROWS) -> Iterator[None]:
    with mock.patch.object(pipeline, "BATCH_ROWS", rows), in_this_thread():
        yield


@contextmanager
def on_this_line(*, is_slow: bool) -> Iterator[None]:
    """`is_slow`: too slow for snapshots, so that everything is read twice, or more often, each statement by itself.
    Else fast enough, however laden this machine is: the same steps find the same.
    """
    n_statements = TOO_MANY if is_slow else 0
    fast_enough = mock.patch.object(connections, "SNAPSHOT_LIMIT", ONE_HOUR)
    with mock.patch.object(reader, "N_STATEMENTS", n_statements), fast_enough:
        yield
