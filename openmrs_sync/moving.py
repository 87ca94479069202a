"""From one store of ours to another: `manage.py copy_records --to URL`.

A relational target takes everything (accounts, hospitals, links, audit, records) into an empty, migrated database; a
MongoDB target takes the records. Nothing is taken away here: settings say afterwards which one counts. What arrived is
compared row by row before it is called a copy. Nothing may be at work meanwhile.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.models import Model
from django.db.utils import ConnectionHandler

from hospitals.models import Hospital
from openmrs_sync import queue
from openmrs_sync.models import Claim
from passport import environment
from passport.models import AuditEvent, IdentityMove, Link, Patient, Record, User
from passport.router import records_alias

TARGET = "copy-target"
PAGE = 1000
#: What says that somebody lives there already.
SETTLED: tuple[type[Model], ...] = (User, Patient, Hospital, Link, AuditEvent)
#: Made by `migrate` in every database, with numbers of its own.
MADE_BY_MIGRATE: tuple[type[Model], ...] = (Permission, ContentType)
#: In which two copies of a record must be the same. Not `received_at`: MongoDB cuts microseconds.
COMPARED = ("key", "digest", "link_id", "patient_id", "status", "token", "order_at", "concept", "value")


class CannotCopy(Exception):
    """The message ends in the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """`n_rows`: of the control plane, 0 for a MongoDB target; both were counted again in the target."""

    n_rows: int
    n_records: int


def copy_records(*, url: str, now: datetime) -> Copied:
    """Copy, compare, count. Raises CannotCopy; then the target is half full and must be emptied before the next try."""
    _check_idle(now=now)
    with _target(url) as is_mongodb:
        try:
            if not is_mongodb:
                _check_empty()
            if Record.objects.using(TARGET).exists():
                raise CannotCopy("There are records in the target. Empty it, or name another database.")
            n_rows = 0 if is_mongodb else _copy_control_plane()
            n_records = _copy(Record, source=records_alias())
            _compare_records()
        except DatabaseError as error:
            raise CannotCopy(
                f"The target did not take it ({type(error).__name__}). Run migrate there first: "
                "DATABASE_URL=… python manage.py migrate"
            ) from None
    return Copied(n_rows=n_rows, n_records=n_records)


def _check_idle(*, now: datetime) -> None:
    if queue.is_worker_alive(now=now) or Claim.objects.filter(lease_until__gt=now).exists():
        raise CannotCopy("A worker is at work. Stop it, and wait two minutes: what changes while it is copied is lost.")


@contextmanager
def _target(url: str) -> Iterator[bool]:
    """The alias of the target, in this thread, as long as the block lasts; whether it is MongoDB."""
    is_mongodb = environment.is_mongodb(url)
    config: dict[str, Any] = (
        environment.mongodb(url) if is_mongodb else environment.relational(url, name="--to", base=settings.BASE_DIR)
    )
    wrapper = ConnectionHandler({DEFAULT_DB_ALIAS: {}, TARGET: config}).create_connection(TARGET)
    connections[TARGET] = wrapper
    try:
        yield is_mongodb
    finally:
        del connections[TARGET]
        wrapper.close()


def _check_empty() -> None:
    if any(model._default_manager.using(TARGET).exists() for model in SETTLED):
        raise CannotCopy("Somebody lives in the target already. Name a database that is migrated and empty.")


def _copy_control_plane() -> int:
    """Every table but the records, in one transaction; the numbers of rows, compared."""
    models = _in_order(model for model in apps.get_models(include_auto_created=True) if model is not Record)
    connection = connections[TARGET]
    with transaction.atomic(using=TARGET), connection.constraint_checks_disabled():
        for model in MADE_BY_MIGRATE:
            model._default_manager.using(TARGET).all().delete()
        for model in models:
            if model not in SETTLED:  # a head of the audit, a row of the schedule
                model._base_manager.using(TARGET).all().delete()
        counts = {model: _copy(model, source=DEFAULT_DB_ALIAS) for model in models if model is not IdentityMove}
        # last: the target's own triggers noted each number and link that came
        IdentityMove.objects.using(TARGET).all().delete()
        counts[IdentityMove] = _copy(IdentityMove, source=DEFAULT_DB_ALIAS)
        for sql in connection.ops.sequence_reset_sql(no_style(), models):
            with connection.cursor() as cursor:
                cursor.execute(sql)
    wrong = [model._meta.label for model, n in counts.items() if model._base_manager.using(TARGET).count() != n]
    if wrong:
        raise CannotCopy(f"Not all rows arrived: {', '.join(wrong)}. Empty the target and try again.")
    return sum(counts.values())


def _in_order(models: Iterable[type[Model]]) -> list[type[Model]]:
    """Models so that each comes after those it points to; those of a circle in any order."""
    waiting, ordered = [model for model in models if model._meta.managed and not model._meta.proxy], []
    while waiting:
        ready = [model for model in waiting if not (_points_to(model) & set(waiting)) - {model}] or waiting[:1]
        ordered += ready
        waiting = [model for model in waiting if model not in ready]
    return ordered


def _points_to(model: type[Model]) -> set[type[Model]]:
    fields = model._meta.get_fields()
    return {field.related_model for field in fields if field.concrete and isinstance(field.related_model, type)}


def _copy(model: type[Model], *, source: str) -> int:
    n = 0
    rows = model._base_manager.using(source).order_by("pk").iterator(chunk_size=PAGE)
    while page := list(itertools.islice(rows, PAGE)):
        model._base_manager.using(TARGET).bulk_create(page, batch_size=PAGE)
        n += len(page)
    return n


def _compare_records() -> None:
    """Each record with its copy, in the order of keys."""
    here, there = (_records(alias) for alias in (records_alias(), TARGET))
    if any(one != other for one, other in itertools.zip_longest(here, there)):
        raise CannotCopy("A record did not arrive as it is. Empty the target and try again.")


def _records(alias: str) -> Iterator[Mapping[str, object] | tuple[object, ...]]:
    return Record.objects.using(alias).order_by("key").values_list(*COMPARED).iterator(chunk_size=PAGE)
