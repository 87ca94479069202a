"""Bounds in time: what is not done is given up, what comes too late is thrown away, a connection is cut."""

import socket
import threading
import time

import pytest

from hospitals import patience
from hospitals.patience import Deadline, Overdue, within


def test_what_is_done_in_time_is_returned_and_not_thrown_away() -> None:
    late: list[int] = []
    assert within(30, lambda: 7, discard=late.append) == 7
    assert late == []


def test_an_error_is_raised_where_somebody_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        within(30, lambda: 1 // 0, discard=print)


def test_a_time_out_of_the_calls_own_is_not_ours() -> None:
    def time_out() -> int:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        within(30, time_out, discard=print)


def test_what_comes_too_late_is_thrown_away() -> None:
    go_on, thrown = threading.Event(), threading.Event()

    def hang() -> int:
        go_on.wait(30)
        return 7

    with pytest.raises(Overdue):
        within(0, hang, discard=lambda _: thrown.set())
    assert not thrown.is_set()
    go_on.set()
    assert thrown.wait(30)


def test_when_too_many_hang_nothing_more_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_ABANDONED", 1)
    go_on = threading.Event()
    with pytest.raises(Overdue):
        within(0, lambda: go_on.wait(30), discard=bool)
    begun = threading.Event()
    with pytest.raises(Overdue):
        within(30, begun.set, discard=bool)
    assert not begun.is_set()
    go_on.set()
    for thread in list(patience._abandoned):
        thread.join(30)
    within(30, begun.set, discard=bool)
    assert begun.is_set()


def test_a_connection_is_cut_at_its_deadline_and_not_before() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = Deadline(ours.fileno())
        with deadline.at(time.monotonic() + 600, memory=2**40):
            theirs.send(b"x")
            assert ours.recv(1) == b"x"
        ours.settimeout(30)
        with deadline.at(time.monotonic(), memory=2**40):
            assert ours.recv(1) == b"", "its end, although the other side says nothing"


def test_a_closed_deadline_leaves_the_connection_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = Deadline(ours.fileno())
        deadline.close()
        with deadline.at(time.monotonic(), memory=2**40):
            threading.Event().wait(3 * patience.LOOK_SECONDS)
            theirs.send(b"x")
            assert ours.recv(1) == b"x"


def test_a_connection_is_cut_when_this_process_grows_too_much() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = Deadline(ours.fileno())
        ours.settimeout(30)
        with deadline.at(time.monotonic() + 600, memory=-1):
            assert ours.recv(1) == b"", "its end, although there is time"
        assert deadline.is_flooded
