"""Figures with what they should be: printed as one table, each with its verdict."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

AIM, FLOOR, MISSED = "aim met", "floor met", "MISSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` None: not measured, `note` says why. `is_most`: floor and aim are the most that it may be."""

    name: str
    value: float | None
    unit: str
    floor: float
    aim: float
    is_most: bool = False
    #: the same ratio of CPU seconds: what other programs on the machine do hardly moves it
    by_cpu: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.reaches(self.aim):
            return AIM
        return FLOOR if self.reaches(self.floor) else MISSED

    def reaches(self, bound: float) -> bool:
        return self.value is not None and (self.value <= bound if self.is_most else self.value >= bound)

    def row(self) -> str:
        """A line of a table in Markdown."""
        sign = "≤ " if self.is_most else ""
        shown = "–" if self.value is None else f"**{number(self.value)}** {self.unit}"
        floor, aim = (f"{sign}{number(bound)} {self.unit}" for bound in (self.floor, self.aim))
        by_cpu = "" if self.by_cpu is None else f"{number(self.by_cpu)} {self.unit}"
        return f"| {self.name} | {shown} | {floor} | {aim} | {self.verdict} | {by_cpu} | {self.note} |"


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def table(figures: Iterable[Figure]) -> str:
    head = [
        "| figure | measured | floor | aim | verdict | by CPU | how |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *(figure.row() for figure in figures)])


def against(other: Sequence[float], ours: Sequence[float]) -> float | None:
    """How many times as fast as the other we are: the ratio of the medians of seconds."""
    return statistics.median(other) / statistics.median(ours) if other and ours else None


def spread(values: Sequence[float]) -> str:
    """The median with the smallest and the largest: 1.2 s (1.1 to 1.9)."""
    if not values:
        return ""
    found = [number(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{found[0]} s ({found[1]} to {found[2]})"


def circumstances() -> str:
    """When, where, on what, and how busy the machine is with other things."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load average {load}, commit {commit.stdout.strip() or 'unknown'}"
    )
