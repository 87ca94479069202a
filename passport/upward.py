"""What the engine above tells us: whether it runs, how often, whether it works. By string: imports point down."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from django.utils.module_loading import import_string

from passport.models import Link, User

if TYPE_CHECKING:
    from passport.access import Opened


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


class Answer(Protocol):
    """What one hospital said to a fresh read; the words of sync-patient."""

    @property
    def status(self) -> str: ...
    @property
    def n_created(self) -> int: ...
    @property
    def n_updated(self) -> int: ...
    @property
    def n_withdrawn(self) -> int: ...


class Asked(Protocol):
    @property
    def at(self) -> dt.datetime: ...
    @property
    def answers(self) -> Mapping[str, Answer | None]: ...
    @property
    def is_under_way(self) -> bool: ...


def ask_hospitals(*, user: User, opened: "Opened", now: dt.datetime) -> bool:
    """Begin a fresh read of this patient at every hospital, in the background; False when one is under way."""
    return import_string("openmrs_sync.api.patient_progress.ask")(user=user, opened=opened, now=now) is not None


def asked(*, user: User, patient_id: UUID, now: dt.datetime) -> Asked | None:
    """How far the fresh read is that this user asked for last; None when there is none to tell of."""
    found = import_string("openmrs_sync.api.patient_progress.asked")(user_id=user.pk, patient_id=patient_id, now=now)
    return cast("Asked | None", found)


def hospitals() -> Any:
    """All hospitals. By way of Link's foreign key, whose model nothing here may import."""
    model: Any = Link._meta.get_field("hospital").related_model
    return model._default_manager.all()
