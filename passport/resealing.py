"""Key rotation: every sealed secret of every model, sealed anew under the first of CREDENTIAL_KEYS.

A sealed field is one whose name ends in `_sealed`: a new one is found without being listed here. Each secret is a
transaction of its own, so that a run that was cut off goes on where it ended.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.apps import apps
from django.db import models

from passport.audit import record_event
from passport.models import User
from passport.secrets import SecretUnavailable, is_current, is_reference, rotate

SUFFIX = "_sealed"


@dataclass(slots=True, kw_only=True)
class Resealed:
    """What became of all secrets. `unopened`: `app.Model id` of those that no key opens."""

    n_resealed: int = 0
    n_current: int = 0
    n_references: int = 0
    unopened: list[str] = field(default_factory=list)


def sealed_fields() -> Iterator[tuple[type[models.Model], str]]:
    """Every model and field that holds sealed secrets."""
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if one.name.endswith(SUFFIX):
                yield model, one.name


def reseal_all(*, actor: User | None, now: dt.datetime) -> Resealed:
    """Seal everything under the first key. What no key opens is left as it is and named."""
    told = Resealed()
    for model, name in sealed_fields():
        for pk, text in model._default_manager.exclude(**{name: ""}).values_list("pk", name).iterator():
            _reseal(told, model=model, name=name, pk=pk, text=text)
    record_event(
        action="keys_rotated",
        actor=actor,
        now=now,
        basis="failed" if told.unopened else "",
        details={"resealed": told.n_resealed, "current": told.n_current, "unopened": len(told.unopened)},
    )
    return told


def _reseal(told: Resealed, *, model: type[models.Model], name: str, pk: object, text: str) -> None:
    if is_reference(text):
        told.n_references += 1
    elif is_current(text):
        told.n_current += 1
    else:
        try:
            sealed = rotate(text)
        except SecretUnavailable:
            told.unopened.append(f"{model._meta.label} {pk}")
            return
        # Guarded: a password that somebody enters meanwhile is sealed under the first key already, and stays.
        told.n_resealed += model._default_manager.filter(**{"pk": pk, name: text}).update(**{name: sealed})
