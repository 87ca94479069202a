"""The reasons for which somebody may read a patient's record. Each is asked about afresh at every look."""

import calendar
import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from passport import standing
from passport.access.scope import linked, records_of
from passport.access.shapes import NOBODY, Basis
from passport.models import AccessGrant, Doctor, EmergencyAccess, Link, Patient, Proxy, Record, User

CURRENT = "current"
#: What not even an emergency opens: the passport that took it over is there, or nobody can be helped any more.
FOR_GOOD = {"merged", "death"}
#: A hospital's clock may run ahead of ours; what lies further ahead is a typing error, and no care.
CLOCKS_DIFFER = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why, and what follows from it: the sets that a proxy may see; when an emergency ends."""

    basis: Basis
    sensitive: frozenset[str] = frozenset()
    until: dt.datetime | None = None


def may_read(*, user: User, patient: Patient, now: dt.datetime) -> Basis | None:
    """Why this user may read this patient now, or None. Decides only: to show something, use `open_record`."""
    reason = find_reason(user=user, patient=patient, now=now)
    return reason.basis if reason else None


def find_reason(*, user: User, patient: Patient, now: dt.datetime) -> Reason | None:
    """The widest reason that holds, or None.

    A patient that is in no store is asked about with the same queries, so that an unknown number takes no less time.
    """
    if not user.is_active:
        return None
    if patient.user_id is not None and patient.user_id == user.pk:
        return Reason(basis=Basis.ONESELF)
    if user.is_doctor:
        closed = standing.closed_to_doctors(patient, now=now)
        found = None if closed in FOR_GOOD else _emergency(user=user, patient=patient, now=now)
        if not closed:
            found = found or _care(user=user, patient=patient, now=now) or _grant(user=user, patient=patient, now=now)
        if found:
            return found
    return _proxy(user=user, patient=patient, now=now)


def since(now: dt.datetime) -> dt.datetime:
    """The moment CARE_MONTHS months before `now`; the last day of a shorter month stands for its later days."""
    months = now.year * 12 + now.month - 1 - settings.CARE_MONTHS
    year, month = divmod(months, 12)
    day = min(now.day, calendar.monthrange(year, month + 1)[1])
    return now.replace(year=year, month=month + 1, day=day)


def _emergency(*, user: User, patient: Patient, now: dt.datetime) -> Reason | None:
    """An hour that this doctor opened with a reason. Goes before every other: it was asked for to see all."""
    hours = EmergencyAccess.objects.filter(doctor=user, patient_id=patient.pk, created_at__lte=now, ends_at__gt=now)
    until = hours.order_by("-ends_at").values_list("ends_at", flat=True).first()
    return Reason(basis=Basis.BREAK_GLASS, until=until) if until else None


def _care(*, user: User, patient: Patient, now: dt.datetime) -> Reason | None:
    """A current record that this doctor signed; or one of the last months from where they work."""
    links = list(linked(patient.pk))
    claimed = list(Doctor.objects.filter(user=user).values_list("hospital_id", "provider_uuid"))
    at_these = {hospital_id for hospital_id, _uuid in claimed}
    if _has_signed(patient, [link for link in links if link.hospital_id in at_these], claimed):
        return Reason(basis=Basis.SIGNED)
    own = [link for link in links if link.hospital_id == user.hospital_id]
    recent = _current_of(patient, own).filter(
        order_at__gte=int(since(now).timestamp()), order_at__lte=int((now + CLOCKS_DIFFER).timestamp())
    )
    return Reason(basis=Basis.CARE) if recent.exists() else None


def _has_signed(patient: Patient, links: Sequence[Link], claimed: Collection[tuple[UUID, str]]) -> bool:
    uuids: dict[UUID, list[str]] = {NOBODY: []}
    for hospital_id, uuid in claimed:
        if not uuid:  # records that nobody signed have none either
            continue
        uuids.setdefault(hospital_id, []).append(uuid)
    signed = Q()
    for hospital_id, of_hospital in uuids.items():
        # The same provider_uuid at two hospitals is two doctors: cloned databases share them.
        signed |= Q(hospital_id=hospital_id, provider_uuid__in=of_hospital or [str(NOBODY)])
    return _current_of(patient, links).filter(signed).exists()


def _current_of(patient: Patient, links: Sequence[Link]) -> QuerySet[Record]:
    # Without a link nobody's is asked about all the same: an unknown number must take no less time.
    asked = links or [Link(pk=NOBODY)]
    return records_of(patient.pk, asked).filter(status=CURRENT).order_by()


def _grant(*, user: User, patient: Patient, now: dt.datetime) -> Reason | None:
    """The patient let in this doctor, where they work now; or every doctor of this hospital."""
    here = Q(hospital__isnull=True) | Q(hospital_id=user.hospital_id)
    grants = AccessGrant.objects.filter(
        (Q(doctor=user) & here)
        | Q(doctor__isnull=True, named="", hospital_id=user.hospital_id, hospital__isnull=False),
        patient_id=patient.pk,
        created_at__lte=now,
        ends_at__gt=now,
        ended_at__isnull=True,
    )
    doctors = list(grants.values_list("doctor_id", flat=True))
    if not doctors:
        return None
    return Reason(basis=Basis.GRANT if user.pk in doctors else Basis.HOSPITAL_GRANT)


def _proxy(*, user: User, patient: Patient, now: dt.datetime) -> Reason | None:
    found = list(proxies_of(user, now=now).filter(patient_id=patient.pk))
    if not found:
        return None
    is_guardian = any(proxy.kind == Proxy.Kind.GUARDIAN for proxy in found)
    return Reason(
        basis=Basis.GUARDIAN if is_guardian else Basis.CARER,
        sensitive=frozenset(name for proxy in found for name in proxy.sensitive),
    )


def proxies_of(user: User, *, now: dt.datetime) -> QuerySet[Proxy]:
    """Where this login stands in for a patient now."""
    return Proxy.objects.filter(carer=user, created_at__lte=now, ends_at__gt=now, ended_at__isnull=True)
