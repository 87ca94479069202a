"""Which part of the record a share shows, as the patient chose, and as it stands at the moment of opening."""

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from passport import fhir, upward
from passport.access import Choice, Scope, share_scope
from passport.fhir import AS_WRITTEN, Wording
from passport.models import Patient, Share
from passport.models.record import Category

#: All that a summary has; what else the record holds is not in it.
SUMMARISED = frozenset({
    Category.ALLERGY.value, Category.CONDITION.value, Category.MEDICATION.value, Category.TEST.value,
    Category.VITAL.value, Category.VISIT.value,
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a patient wants to show. `hospitals`: None for all, also those that come later."""

    categories: frozenset[str] = SUMMARISED
    hospitals: frozenset[UUID] | None = None
    sensitive: frozenset[str] = frozenset()
    with_hidden: bool = False


def wish_of(share: Share) -> Wish:
    return Wish(
        categories=frozenset(share.categories),
        hospitals=None if share.hospitals is None else frozenset(UUID(each) for each in share.hospitals),
        sensitive=frozenset(share.sensitive),
        with_hidden=share.with_hidden,
    )


def scope_of(*, patient: Patient, wish: Wish) -> Scope:
    """The scope of a look with this wish, now. Never wider than `share_scope` allows."""
    scope = share_scope(patient=patient, sensitive=wish.sensitive, with_hidden=wish.with_hidden)
    not_wished = Choice(
        categories=frozenset(Category.values) - wish.categories,
        hospitals=_all_hospitals_but(wish.hospitals),
    )
    return replace(scope, left_out=scope.left_out | not_wished)


def _all_hospitals_but(wished: Collection[UUID] | None) -> frozenset[UUID]:
    if wished is None:
        return frozenset()
    return frozenset(upward.hospitals().values_list("pk", flat=True)) - frozenset(wished)


def document(share: Share, *, now: dt.datetime, say: Wording = AS_WRITTEN) -> bytes:
    """The International Patient Summary of what this share shows now, as JSON."""
    bundle = fhir.patient_summary(scope=scope_of(patient=share.patient, wish=wish_of(share)), say=say, now=now)
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()
