"""Permissions, carers and emergencies as lines of a page. Pure: rows in, words out."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from passport.access import emergencies
from passport.forms import CATEGORY_NAMES
from passport.models import AccessGrant, EmergencyAccess, Hide, Proxy, User
from passport.permission_forms import SET_NAMES
from passport.views.words import Words, local, names, when


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionLine:
    id: UUID
    who: str
    what: str
    until: str
    is_open: bool = True  # an invitation that nobody has taken yet is not


def _until(moment: dt.datetime, *, now: dt.datetime) -> str:
    there = local(moment)
    if moment - now < dt.timedelta(days=2):
        day, time = date_format(there, "MONTH_DAY_FORMAT"), date_format(there, "TIME_FORMAT")
        return _("until %(day)s, %(time)s") % {"day": day, "time": time}
    return _("until %(day)s") % {"day": date_format(there, "DATE_FORMAT")}


def grant_line(grant: AccessGrant, *, now: dt.datetime) -> PermissionLine:
    """What was typed is shown as it was typed, whether or not somebody goes by it."""
    hospital = grant.hospital.name if grant.hospital else ""
    doctor = grant.named or (grant.doctor and (grant.doctor.get_full_name() or grant.doctor.get_username())) or ""
    return PermissionLine(
        id=grant.pk,
        who=doctor or hospital,
        what=(_("one doctor of %(hospital)s") % {"hospital": hospital} if hospital else _("one doctor"))
        if doctor
        else _("every doctor there"),
        until=_until(grant.ends_at, now=now),
    )


def proxy_line(proxy: Proxy, *, now: dt.datetime) -> PermissionLine:
    carer = proxy.carer
    if carer is None:
        waits = _until(proxy.code_ends_at or proxy.ends_at, now=now)
        return PermissionLine(
            id=proxy.pk, who=proxy.named, what=_("has not entered the code yet; it is good"), until=waits, is_open=False
        )
    name = carer.get_full_name() or carer.get_username()
    return PermissionLine(
        id=proxy.pk,
        who=f"{proxy.named} ({name})" if proxy.named and proxy.named != name else name,
        what=_("guardian") if proxy.kind == Proxy.Kind.GUARDIAN else _("reads for you"),
        until=_until(proxy.ends_at, now=now),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLine:
    id: UUID
    patient_id: UUID
    name: str
    what: str
    until: str


def person_line(proxy: Proxy, *, now: dt.datetime) -> PersonLine:
    return PersonLine(
        id=proxy.pk,
        patient_id=proxy.patient_id,
        name=proxy.patient.full_name or _("Name not recorded"),
        what=_("you are the guardian") if proxy.kind == Proxy.Kind.GUARDIAN else _("you read for this person"),
        until=_until(proxy.ends_at, now=now),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyLine:
    id: UUID
    who: str
    when: str
    reason: str
    outcome: str  # as the form sends it back: what was read; empty when nobody has reviewed it yet
    found: str  # the outcome in words, and what follows
    is_seen: bool


#: What a review found, for the patient: neither the officer's name nor their note.
FOUND: Words = {
    EmergencyAccess.Outcome.JUSTIFIED: gettext_lazy(
        "A data protection officer looked at this (%(when)s). It was in order, and nothing more follows."
    ),
    EmergencyAccess.Outcome.UNCLEAR: gettext_lazy(
        "A data protection officer looked at this (%(when)s). It is not clear yet whether it was in order. The doctor "
        "is being asked; what comes of it will be told here."
    ),
    EmergencyAccess.Outcome.NOT_JUSTIFIED: gettext_lazy(
        "A data protection officer looked at this (%(when)s). It was not in order. They follow it up with the doctor "
        "and the hospital; ask the data protection officer of your health authority what was done."
    ),
}


def review_words(emergency: EmergencyAccess, *, now: dt.datetime) -> str:
    if emergency.reviewed_at is None or emergency.outcome not in FOUND:
        return _("A data protection officer has still to look at this. What they find will be told here.")
    return str(FOUND[emergency.outcome]) % {"when": when(emergency.reviewed_at, now=now)}


def emergency_who(*, doctor: User, hospital_name: str) -> str:
    """As the patient reads it; the doctor reads it before."""
    name = doctor.get_full_name() or doctor.get_username()
    return f"{name}, {hospital_name}" if hospital_name else name


def emergency_line(emergency: EmergencyAccess, *, now: dt.datetime) -> EmergencyLine:
    return EmergencyLine(
        id=emergency.pk,
        who=emergency_who(doctor=emergency.doctor, hospital_name=emergency.hospital.name if emergency.hospital else ""),
        when=when(emergency.created_at, now=now),
        reason=emergency.reason,
        outcome=emergency.outcome,
        found=review_words(emergency, now=now),
        is_seen=emergencies.is_read(emergency),
    )


def hide_words(hide: Hide) -> str:
    """What is kept back, but for single entries: those are shown as entries."""
    if hide.kind == Hide.Kind.HOSPITAL:
        return _("Everything from %(hospital)s") % {"hospital": hide.hospital.name if hide.hospital else ""}
    if hide.kind == Hide.Kind.CATEGORY:
        return str(dict(CATEGORY_NAMES).get(hide.category, hide.category))
    if hide.kind == Hide.Kind.SENSITIVE:
        return set_names([hide.sensitive_set])
    return _("One entry")


def set_names(found: list[str] | tuple[str, ...]) -> str:
    """`HIV and Pregnancy and birth`, in the order of the list."""
    return names([str(name) for value, name in SET_NAMES if value in found])
