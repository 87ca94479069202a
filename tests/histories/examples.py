"""Histories that once ended wrong, shortest form, as the state machine printed them. They are told again at every run.

Each names what was wrong. `state` is a machine that has just begun: three persons, of whom the first two are known.
"""

from collections.abc import Callable

from tests.histories.machine import Histories

Example = Callable[[Histories], None]
EXAMPLES: list[Example] = []


def example(history: Example) -> Example:
    EXAMPLES.append(history)
    return history
