"""Deleting a person by law: patient, numbers, links, records, parked rows, grants, login. The audit keeps ids only.

The person at the hospital becomes one without a passport, and is not linked again: no number leads to anybody. A sync
that is under way loses its claim in the same commit, so it writes nothing of theirs afterwards.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.contrib.sessions.models import Session
from django.db import transaction
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from passport import upward
from passport.audit import record_event
from passport.models import Entry, Link, Patient, PatientIdentifier, User
from passport.models.accounts import Role
from passport.models.links import LinkState


class ErasureRefused(ValueError):
    """Nothing was deleted. The message ends in the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How much there was."""

    n_passports: int
    n_identifiers: int
    n_links: int
    n_records: int
    n_accounts: int


def erase(*, patient: Patient, confirmation: str, actor: User | None, now: dt.datetime) -> Erased:
    """Delete everything about this person, for good. `confirmation`: the patient's id once more.

    Raises ErasureRefused.
    """
    if confirmation.strip().lower() != str(patient.pk):
        raise ErasureRefused("The confirmation is not this patient's id. Nothing was deleted. Type the whole id.")
    if patient.merged_into_id is not None:
        raise ErasureRefused("This passport was merged into another. Erase that one: both go together.")
    with transaction.atomic():
        # locked: neither a merge nor a registration may come in between
        persons = [patient.pk, *_merged_into(patient.pk)]
        list(Patient.objects.select_for_update(of=("self",)).filter(pk__in=persons).order_by("pk"))
        erased = _erase(persons)
        record_event(
            action="patient_erased",
            actor=actor,
            now=now,
            patient_id=patient.pk,
            details={
                "passports": persons,
                "identifiers": erased.n_identifiers,
                "links": erased.n_links,
                "records": erased.n_records,
                "accounts": erased.n_accounts,
            },
        )
    return erased


def _merged_into(patient_id: UUID) -> list[UUID]:
    """Passports of the same person that this one took over, and those that they had taken over."""
    found = list(Patient.objects.filter(merged_into=patient_id).values_list("pk", flat=True))
    return [*found, *(deeper for each in found for deeper in _merged_into(each))]


def _held_between(persons: list[UUID]) -> list[UUID]:
    """Links that are held between one of these and somebody else, and name the other: what was read while they were
    linked is of the one who goes. The next look makes them anew, without it.
    """
    held = Link.objects.filter(state=LinkState.HELD).exclude(patient_id__in=persons).values_list("pk", "candidates")
    named = {str(person) for person in persons}
    return [pk for pk, candidates in held.iterator() if not named.isdisjoint(candidates)]


def _erase(persons: list[UUID]) -> Erased:
    link_ids = [*Link.objects.filter(patient_id__in=persons).values_list("pk", flat=True), *_held_between(persons)]
    n_records = upward.forget_links(link_ids=link_ids)
    accounts = list(User.objects.filter(patient__in=persons, role=Role.PATIENT).values_list("pk", flat=True))
    n_identifiers, _ = PatientIdentifier.objects.filter(patient_id__in=persons).delete()
    Patient.objects.filter(pk__in=persons).update(merged_into=None)
    Patient.objects.filter(pk__in=persons).delete()
    keys = Entry.objects.filter(user_id__in=accounts, kind=Entry.Kind.PAGE).values_list("key", flat=True)
    Session.objects.filter(pk__in=list(keys)).delete()
    OutstandingToken.objects.filter(user_id__in=accounts).delete()
    User.objects.filter(pk__in=accounts).delete()
    return Erased(
        n_passports=len(persons),
        n_identifiers=n_identifiers,
        n_links=len(link_ids),
        n_records=n_records,
        n_accounts=len(accounts),
    )
