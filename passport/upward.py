"""What the engine above tells us: whether it runs, how often, whether it works. By string: imports point down."""

import datetime as dt
from typing import Protocol, cast

from django.utils.module_loading import import_string


class Control(Protocol):
    @property
    def is_running(self) -> bool: ...
    @property
    def interval_minutes(self) -> int: ...


def control() -> Control:
    """Whether the schedule runs, and the general interval."""
    return cast(Control, import_string("openmrs_sync.control.read_control")())


def is_worker_alive(*, now: dt.datetime) -> bool:
    """Whether a tick was executed within two periods, or workers are busy."""
    return bool(import_string("openmrs_sync.queue.is_worker_alive")(now=now))
