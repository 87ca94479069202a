"""What a run leaves for whoever looks at it later: its phases, source rows by table, the receipt at its end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openmrs_sync.models import SyncRun

#: In this order; one that was not reached is not there.
PHASES = ("connect", "look", "read", "finish")


@dataclass(slots=True, kw_only=True)
class Journal:
    """Counts and seconds only. `tables`: table → what became of the rows of the persons that were read."""

    phases: dict[str, float] = field(default_factory=dict)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    receipt: dict[str, int] = field(default_factory=dict)
    _phase: str = ""
    _began: float = 0.0

    def begin(self, phase: str) -> None:
        """The phase before it, if there was one, has ended."""
        self.end()
        self._phase, self._began = phase, time.monotonic()

    def end(self) -> None:
        if self._phase:
            self.phases[self._phase] = self.phases.get(self._phase, 0.0) + time.monotonic() - self._began
        self._phase = ""

    def add(self, *, table: str, figures: Mapping[str, int]) -> None:
        """Of one person: source, stored, parked, excluded."""
        sums = self.tables.setdefault(table, {})
        for name, n in figures.items():
            sums[name] = sums.get(name, 0) + n

    def leave(self, run: SyncRun) -> None:
        """On the run, which is stored by whoever ends it."""
        self.end()
        run.journal = self.as_json()

    def as_json(self) -> dict[str, Any]:
        phases = {name: round(seconds, 3) for name, seconds in self.phases.items()}
        return {"phases": phases, "tables": self.tables, "receipt": self.receipt}
