"""How a passport stands: what its holder agreed to, and whether they live. Both decide who may still read.

Who may not: `closed_to_doctors`, which `access` asks. The holder reads their own record as long as their login is open.
"""

import datetime as dt
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from passport import entries
from passport.audit import record_event
from passport.models import Consent, OneTimeCode, Patient, User


class StandingRefused(ValueError):
    """It cannot be recorded as asked. The message ends in the next step."""


# --- merged ----------------------------------------------------------------------------------------------------------


def who_took_over(patient_id: UUID) -> UUID:
    """The passport that stands for this one: itself, unless it was merged. In a transaction: it is locked, so that no
    merge and no undoing of one comes in between.
    """
    merged_into: UUID | None = patient_id
    while merged_into is not None:
        patient_id = merged_into
        locked = Patient.objects.select_for_update(of=("self",)).filter(pk=patient_id)
        merged_into = locked.values_list("merged_into", flat=True).get()
    return patient_id


# --- consent ----------------------------------------------------------------------------------------------------------


def has_consent(patient: Patient) -> bool:
    return Consent.objects.filter(patient=patient, withdrawn_at__isnull=True).exists()


def record_consent(*, patient: Patient, how: str, actor: User | None, now: dt.datetime) -> Consent:
    """Raises StandingRefused when one is recorded already."""
    try:
        with transaction.atomic():
            if has_consent(patient):
                raise StandingRefused("A consent is recorded already. It can be withdrawn.")
            consent = Consent.objects.create(patient=patient, how=Consent.How(how), given_at=now, recorded_by=actor)
            record_event(action="consent_recorded", actor=actor, now=now, patient_id=patient.pk, basis=consent.how)
    except IntegrityError:  # two at once
        raise StandingRefused("A consent is recorded already. It can be withdrawn.") from None
    return consent


@transaction.atomic
def withdraw_consent(*, patient: Patient, actor: User, now: dt.datetime) -> None:
    """From this commit on no doctor reads the record. Raises StandingRefused when there is none to withdraw."""
    mine = Consent.objects.filter(patient=patient, withdrawn_at__isnull=True)
    if not mine.update(withdrawn_at=now, withdrawn_by=actor):
        raise StandingRefused("No consent is recorded, so there is none to withdraw.")
    record_event(action="consent_withdrawn", actor=actor, now=now, patient_id=patient.pk)


# --- death ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def record_death(*, patient: Patient, died_on: dt.date, actor: User, now: dt.datetime) -> None:
    """The record stays, the login is closed, codes of the desk are good no more. Raises StandingRefused."""
    if died_on > now.date() or (patient.birth_date and died_on < patient.birth_date):
        raise StandingRefused("The day of death must lie between the birth date and today. Check it.")
    if not Patient.objects.filter(pk=patient.pk, died_on__isnull=True).update(died_on=died_on):
        raise StandingRefused("A death is recorded already. Take it back first if it was wrong.")
    OneTimeCode.objects.filter(patient=patient, used_at__isnull=True).update(used_at=now)
    record_event(action="death_recorded", actor=actor, now=now, patient_id=patient.pk)
    if patient.user is not None:
        User.objects.filter(pk=patient.user.pk).update(is_active=False)
        entries.end_all(user=patient.user, actor=actor, why="death", now=now)


@transaction.atomic
def take_back_death(*, patient: Patient, actor: User, now: dt.datetime) -> None:
    """It was a mistake: the passport is open again, and its login too. Raises StandingRefused."""
    if not Patient.objects.filter(pk=patient.pk, died_on__isnull=False).update(died_on=None):
        raise StandingRefused("No death is recorded, so there is none to take back.")
    if patient.user_id is not None:
        User.objects.filter(pk=patient.user_id).update(is_active=True)
    record_event(action="death_taken_back", actor=actor, now=now, patient_id=patient.pk)


# --- who may still read -----------------------------------------------------------------------------------------------


def closed_to_doctors(patient: Patient, *, now: dt.datetime) -> str:
    """Why no doctor may read this record, in a word: merged, death, consent_withdrawn; empty when they may.

    One query for everybody who asks, also about nobody.
    """
    latest = Consent.objects.filter(patient_id=patient.pk).order_by("withdrawn_at", "-given_at")
    # nulls sort differently by vendor: any open one counts
    moments = list(latest.values_list("withdrawn_at", flat=True))
    if patient.merged_into_id is not None:
        return "merged"
    if patient.died_on and now.date() > patient.died_on + dt.timedelta(days=settings.READ_AFTER_DEATH_DAYS):
        return "death"
    return "consent_withdrawn" if moments and None not in moments else ""


def due_for_erasure(*, now: dt.datetime) -> list[Patient]:
    """Passports of people who died `RETENTION_YEARS` ago or earlier, the longest dead first."""
    year = now.year - settings.RETENTION_YEARS
    limit = dt.date(year, now.month, min(now.day, 28))
    return list(Patient.objects.filter(died_on__lte=limit, merged_into__isnull=True).order_by("died_on", "pk"))
