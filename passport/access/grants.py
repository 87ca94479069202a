"""A patient lets doctors in, and ends it again.

Nobody learns here who works or has a login where: what is asked for is kept and listed alike, whether or not somebody
goes by the name that was typed. It opens the record only if exactly one doctor of that hospital does.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from passport.access.shapes import AccessRefused
from passport.audit import record_event
from passport.models import AccessGrant, Doctor, Patient, User
from passport.models.accounts import Role

LONGEST = dt.timedelta(days=366)
#: New permissions a patient may make in a day: enough for anybody, too few to go through a list of names.
MOST_A_DAY = 20


def let_in(
    *, patient: Patient, actor: User, hospital: Any, doctor_name: str, ends_at: dt.datetime, now: dt.datetime
) -> AccessGrant:
    """Let every doctor of a hospital in, or (with a name) the one doctor there who goes by it, until `ends_at`.

    Raises AccessRefused for an end that is not ahead or too far, and for too many in a day.
    """
    if not now < ends_at <= now + LONGEST:
        raise AccessRefused(_("Choose an end that lies ahead, at most a year from now."), field="ends")
    named = " ".join(doctor_name.split())[:150]
    with transaction.atomic():
        made_today = AccessGrant.objects.filter(patient=patient, created_at__gt=now - dt.timedelta(days=1))
        if made_today.count() >= MOST_A_DAY:
            raise AccessRefused(_("You have let in very many today. Go on tomorrow."))
        grant = AccessGrant.objects.create(
            patient=patient,
            doctor=_doctor_at(hospital, named),
            hospital=hospital,
            named=named,
            created_at=now,
            ends_at=ends_at,
        )
        _record("grant_made", grant, actor=actor, now=now)
    return grant


def end_grant(*, patient: Patient, actor: User, grant_id: UUID, now: dt.datetime) -> bool:
    """End a permission of this patient now; False when there is no such one, or it is over already."""
    with transaction.atomic():
        grant = AccessGrant.objects.filter(pk=grant_id, patient=patient, ended_at__isnull=True).first()
        ended = AccessGrant.objects.filter(pk=grant_id, patient=patient, ended_at__isnull=True, ends_at__gt=now)
        if grant is None or not ended.update(ended_at=now):
            return False
        _record("grant_ended", grant, actor=actor, now=now)
    return True


def grants_of(patient: Patient, *, now: dt.datetime) -> list[AccessGrant]:
    """The permissions that hold now, the last made first."""
    held = AccessGrant.objects.filter(patient=patient, ends_at__gt=now, ended_at__isnull=True)
    return list(held.select_related("doctor", "hospital").order_by("-created_at", "pk"))


def _doctor_at(hospital: Any, named: str) -> User | None:
    """The one active doctor of this hospital who goes by this name: username, own name, or that of a claimed row."""
    wanted = named.casefold()
    staff = User.objects.filter(Q(hospital=hospital), role=Role.DOCTOR, is_active=True)
    names = {user.pk: {user.username.casefold(), user.get_full_name().casefold()} for user in staff}
    for user_id, name in Doctor.objects.filter(hospital=hospital, user__in=list(names)).values_list("user_id", "name"):
        names[user_id].add(" ".join(name.split()).casefold())
    found = [user_id for user_id, known in names.items() if wanted and wanted in known]
    return next(user for user in staff if user.pk == found[0]) if len(found) == 1 else None


def _record(action: str, grant: AccessGrant, *, actor: User, now: dt.datetime) -> None:
    record_event(
        action=action,
        actor=actor,
        now=now,
        patient_id=grant.patient_id,
        hospital_id=grant.hospital_id,
        details={"grant": grant.pk},
    )
