"""What the engine above tells us: whether it runs, how often, whether it works. By string: imports point down."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol, cast
from uuid import UUID

from django.utils.module_loading import import_string

from passport.models import Link


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


def tell_of_silence(*, now: dt.datetime) -> None:
    """Open and tell the alert that no worker is at work: the worker itself cannot."""
    import_string("openmrs_sync.alerts.look")(now=now)
    import_string("openmrs_sync.alerts.tell_all")(now=now)


def metrics(*, now: dt.datetime) -> bytes:
    """How it stands, in Prometheus' text format."""
    return cast(bytes, import_string("openmrs_sync.metrics.exposition")(now=now))


def send_download(*, download_id: UUID) -> None:
    """Queue the making of a copy; in the caller's transaction, where the queue is in our database."""
    import_string("openmrs_sync.queue.send_download")(download_id=download_id)


def forget_links(*, link_ids: Sequence[UUID]) -> int:
    """Delete these links with all that was read for them, also against a sync that is under way. How many records."""
    return cast(int, import_string("openmrs_sync.janitor.forget")(link_ids=link_ids))


def hospitals() -> Any:
    """All hospitals. By way of Link's foreign key, whose model nothing here may import."""
    model: Any = Link._meta.get_field("hospital").related_model
    return model._default_manager.all()
