"""Two passports that are one person's become one, and two again when that was wrong.

In one commit numbers, decisions, grants and links go over. A link that was shown is *held* until the next look at its
hospital judges it anew, and its records carry the other patient until that writes them: so at no moment is anything
shown under the wrong passport, whatever a running sync still writes.
"""

import datetime as dt
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, ForeignKey, Model
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.functions import Coalesce

from passport import entries
from passport.audit import record_event
from passport.models import Link, LinkDecision, Merge, OneTimeCode, Patient, User
from passport.models.links import LinkState
from passport.registration import hold_links

#: These do not go over by themselves.
LEFT_ALONE = {"passport.Link", "passport.Merge", "passport.OneTimeCode", "passport.Patient"}


class MergeRefused(ValueError):
    """The two cannot be joined, or not taken apart. The message ends in the next step."""


@transaction.atomic
def merge(*, kept: Patient, merged: Patient, actor: User, now: dt.datetime) -> Merge:
    """Everything of `merged` goes to `kept`. Raises MergeRefused."""
    kept, merged = _locked(kept, merged)
    if kept.pk == merged.pk:
        raise MergeRefused("This is one passport. Choose two.")
    if kept.merged_into_id or merged.merged_into_id:
        raise MergeRefused("One of them was merged before. Use the passport that took it over.")
    moved: dict[str, Any] = {
        "rows": _move_rows(_rows_of(merged), to=kept),
        "links": _move_links(merged, to=kept, now=now),
        "login": _join_logins(kept, merged, actor=actor, now=now),
    }
    _hold_who_was_told_apart(kept, now=now)
    for patient in (kept, merged):
        OneTimeCode.objects.filter(patient=patient, used_at__isnull=True).update(used_at=now)
    Patient.objects.filter(pk=merged.pk).update(merged_into=kept)
    made = Merge.objects.create(kept=kept, merged=merged, moved=moved, merged_at=now, merged_by=actor)
    _record("patients_merged", made, actor=actor, now=now)
    return made


@transaction.atomic
def undo(*, merge: Merge, actor: User, now: dt.datetime) -> None:
    """Everything that went over goes back, as far as it is still there. Raises MergeRefused."""
    kept, merged = _locked(merge.kept, merge.merged)
    if Merge.objects.filter(merged=kept, undone_at__isnull=True).exists():
        raise MergeRefused("The passport that took it over was itself merged later. Undo that first.")
    if not Merge.objects.filter(pk=merge.pk, undone_at__isnull=True).update(undone_at=now, undone_by=actor):
        raise MergeRefused("This was undone already.")
    for label, ids in merge.moved["rows"].items():
        for model, name in _references():
            if f"{model._meta.label}.{name}" == label:
                model._default_manager.filter(**{"pk__in": ids, name: kept}).update(**{name: merged})
    # also what was linked since: it may have come by a number that goes back now
    hold_links(patient=kept, reason="merge_undone", now=now)
    _return_links(merge, kept=kept, merged=merged, now=now)
    Patient.objects.filter(pk=merged.pk).update(merged_into=None)
    _part_logins(merge, kept=kept, merged=merged, actor=actor, now=now)
    _record("patients_merge_undone", merge, actor=actor, now=now)


def _locked(*patients: Patient) -> list[Patient]:
    """The same rows, fresh and locked, always in one order: two admins who merge crosswise do not wait for ever."""
    rows = Patient.objects.select_for_update(of=("self",)).filter(pk__in=[patient.pk for patient in patients])
    found = {row.pk: row for row in rows.order_by("pk")}
    return [found[patient.pk] for patient in patients]


# --- rows that name the patient ---------------------------------------------------------------------------------------


def _references() -> list[tuple[type[Model], str]]:
    """Every model that names a patient, with the field that does: also those that come later."""
    fields = Patient._meta.get_fields(include_hidden=True)
    named = [relation.field for relation in fields if isinstance(relation, ForeignObjectRel)]
    return [
        (field.model, field.name)
        for field in named
        if isinstance(field, ForeignKey) and field.model._meta.label not in LEFT_ALONE
    ]


def _rows_of(patient: Patient) -> dict[str, list[Any]]:
    """`model.field` → keys of the rows that name this patient."""
    return {
        f"{model._meta.label}.{name}": list(
            model._default_manager.filter(**{name: patient}).values_list("pk", flat=True)
        )
        for model, name in _references()
    }


def _move_rows(rows: dict[str, list[Any]], *, to: Patient) -> dict[str, list[str | int]]:
    """One by one: what the other passport has already (a consent, a rule) stays where it is."""
    moved: dict[str, list[str | int]] = {}
    for model, name in _references():
        for key in rows[f"{model._meta.label}.{name}"]:
            try:
                with transaction.atomic():
                    model._default_manager.filter(pk=key).update(**{name: to})
            except IntegrityError:
                continue
            moved.setdefault(f"{model._meta.label}.{name}", []).append(key if isinstance(key, int) else str(key))
    return moved


# --- links ------------------------------------------------------------------------------------------------------------


def _move_links(patient: Patient, *, to: Patient, now: dt.datetime) -> dict[str, list[Any]]:
    before = {str(link.pk): [link.state, link.reason, link.candidates] for link in Link.objects.filter(patient=patient)}
    hold_links(patient=patient, reason="patients_merged", now=now)
    Link.objects.filter(patient=patient, state=LinkState.HELD).update(candidates=[str(to.pk)])
    Link.objects.filter(pk__in=list(before)).update(
        patient=to, marks=F("marks") + 1, stale_since=Coalesce("stale_since", now), next_try_at=None
    )
    return before


def _hold_who_was_told_apart(patient: Patient, *, now: dt.datetime) -> None:
    """A human told them apart from one of the two passports, and they are linked to the other."""
    said = LinkDecision.objects.filter(patient=patient, verdict=LinkDecision.Verdict.DIFFERENT, undone_at=None)
    uuids = list(said.values_list("person_uuid", flat=True))
    hold_links(patient=patient, reason="patients_merged", now=now, person_uuids=uuids)


def _return_links(merge: Merge, *, kept: Patient, merged: Patient, now: dt.datetime) -> None:
    for link_id, (state, reason, candidates) in merge.moved["links"].items():
        was_shown = state == LinkState.LINKED
        Link.objects.filter(pk=link_id, patient=kept).update(
            patient=merged,
            state=LinkState.HELD if was_shown else state,
            reason="merge_undone" if was_shown else reason,
            candidates=[str(merged.pk)] if was_shown else candidates,
            state_changed_at=now,
            marks=F("marks") + 1,
            stale_since=Coalesce("stale_since", now),
            next_try_at=None,
        )


# --- logins -----------------------------------------------------------------------------------------------------------


def _join_logins(kept: Patient, merged: Patient, *, actor: User, now: dt.datetime) -> dict[str, Any]:
    """One passport, one login: the kept one's, else the other's. What was done is what `_part_logins` takes back."""
    account = merged.user
    if account is None:
        return {"what": "none"}
    entries.end_all(user=account, actor=actor, why="merge", now=now)
    if kept.user_id is None:
        Patient.objects.filter(pk=merged.pk).update(user=None)
        Patient.objects.filter(pk=kept.pk).update(user=account)
        return {"what": "moved", "account": str(account.pk)}
    was_open = bool(User.objects.filter(pk=account.pk, is_active=True).update(is_active=False))
    return {"what": "closed" if was_open else "none", "account": str(account.pk)}


def _part_logins(merge: Merge, *, kept: Patient, merged: Patient, actor: User, now: dt.datetime) -> None:
    login = merge.moved["login"]
    account = User.objects.filter(pk=login.get("account")).first() if login.get("account") else None
    if account is None:
        return
    entries.end_all(user=account, actor=actor, why="merge", now=now)
    if login["what"] == "moved" and Patient.objects.filter(pk=kept.pk, user=account).update(user=None):
        Patient.objects.filter(pk=merged.pk).update(user=account)
    if login["what"] == "closed":
        User.objects.filter(pk=account.pk).update(is_active=True)


def _record(action: str, made: Merge, *, actor: User, now: dt.datetime) -> None:
    """One row for each of the two: both histories say it."""
    counts = {"links": len(made.moved["links"]), "rows": sum(len(ids) for ids in made.moved["rows"].values())}
    for patient_id, other_id in ((made.kept_id, made.merged_id), (made.merged_id, made.kept_id)):
        record_event(
            action=action,
            actor=actor,
            now=now,
            patient_id=patient_id,
            details={"merge": made.pk, "other": other_id, **counts},
        )
