"""Something happens in the middle of a run: after each statement at the source, before each write to our store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from hospitals.connections import Source
from openmrs_sync.claims import HeldClaim

#: What the step was: the statement that was sent, or WRITE.
WRITE = "a write begins"


def at_each_step(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, str], None]) -> None:
    """Call `act(number of the step, what it was)`; nothing is replaced, only accompanied."""
    numbers, fetch, fence = count(1), Source.fetch, HeldClaim.fence

    def fetch_then_act(source: Source, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        rows = fetch(source, sql, params)
        act(next(numbers), sql)
        return rows

    @contextmanager
    def act_then_fence(claim: HeldClaim) -> Iterator[None]:
        act(next(numbers), WRITE)
        with fence(claim):
            yield

    monkeypatch.setattr(Source, "fetch", fetch_then_act)
    monkeypatch.setattr(HeldClaim, "fence", act_then_fence)
