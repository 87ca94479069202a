"""Guardians and carers: another login that reads for the patient, until it ends.

An admin makes one with a reason. A patient invites with a code that the other enters: no username is typed, so none can
be guessed, and nobody is let in by a slip of the pen.
"""

import datetime as dt
import secrets
from collections.abc import Collection
from hashlib import sha256
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from passport.access.reasons import proxies_of
from passport.access.scope import ALL_SETS
from passport.access.shapes import AccessRefused
from passport.audit import record_event
from passport.models import Patient, Proxy, User

LONGEST = dt.timedelta(days=366)
CODE_LASTS = dt.timedelta(days=7)
#: Without letters and digits that look alike. 12 of them are 58 bits: not to be guessed within the week.
LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
#: Invitations of one patient that hold or may still be taken.
MOST = 10
#: As long as the shortest sentence that says something.
SHORTEST_REASON = 10


def invite(
    *,
    patient: Patient,
    actor: User,
    named: str,
    ends_at: dt.datetime,
    sensitive: Collection[str],
    now: dt.datetime,
) -> tuple[Proxy, str]:
    """Invite a carer. Returns it with its code, which is kept nowhere: `ABCD-EFGH-JKMN`. Raises AccessRefused."""
    if not now < ends_at <= now + LONGEST:
        raise AccessRefused(_("Choose an end that lies ahead, at most a year from now."), field="ends")
    code = "".join(secrets.choice(LETTERS) for _ in range(12))
    with transaction.atomic():
        if len(proxies_for(patient, now=now)) >= MOST:
            raise AccessRefused(_("You have invited very many. End one of them first."))
        proxy = Proxy.objects.create(
            patient=patient,
            named=" ".join(named.split())[:100],
            sensitive=sorted(ALL_SETS & set(sensitive)),
            code_hash=_hash(code),
            code_ends_at=now + CODE_LASTS,
            created_by=actor,
            created_at=now,
            ends_at=ends_at,
        )
        _record("proxy_invited", proxy, actor=actor, now=now)
    return proxy, "-".join(code[start : start + 4] for start in (0, 4, 8))


def accept(*, user: User, code: str, now: dt.datetime) -> Proxy:
    """Take an invitation. A code is good once; of two who enter it at the same time one is refused.

    Raises AccessRefused, with the same words for an unknown, used, ended or outdated code, and for one's own.
    """
    typed = "".join(char for char in code.upper() if char.isalnum())
    with transaction.atomic():
        open_ones = Proxy.objects.filter(
            code_hash=_hash(typed), carer__isnull=True, ended_at__isnull=True, ends_at__gt=now, code_ends_at__gt=now
        ).exclude(patient__user=user)
        proxy = open_ones.first()
        taken = proxy is not None and open_ones.filter(pk=proxy.pk).update(carer=user, code_hash="", code_ends_at=None)
        if proxy is not None and taken:
            _record("proxy_accepted", proxy, actor=user, now=now)
        else:
            record_event(action="proxy_code_refused", actor=user, now=now, basis="refused")
    if proxy is None or not taken:
        raise AccessRefused(_("This code opens nothing: mistyped, used or too old. Ask for a new one."), field="code")
    return proxy


def make_proxy(
    *,
    patient: Patient,
    carer: User,
    kind: str,
    reason: str,
    ends_at: dt.datetime,
    actor: User | None,
    now: dt.datetime,
    sensitive: Collection[str] = (),
) -> Proxy:
    """By an admin, who says why. Raises AccessRefused.

    `sensitive`: sets that this guardian sees. Only the patient opens them, but for one who has no login and so cannot
    choose, such as a small child; with a login of their own they choose anew.
    """
    check(patient=patient, carer=carer, kind=kind, reason=reason, ends_at=ends_at, sensitive=sensitive, now=now)
    with transaction.atomic():
        proxy = Proxy.objects.create(
            patient=patient,
            carer=carer,
            kind=kind,
            reason=reason.strip(),
            sensitive=sorted(ALL_SETS & set(sensitive)),
            created_by=actor,
            created_at=now,
            ends_at=ends_at,
        )
        _record("proxy_made", proxy, actor=actor, now=now)
    return proxy


def check(
    *,
    patient: Patient,
    carer: User | None,
    kind: str,
    reason: str,
    ends_at: dt.datetime,
    sensitive: Collection[str],
    now: dt.datetime,
) -> None:
    """Raises AccessRefused for what `make_proxy` would refuse."""
    if sensitive and (kind != Proxy.Kind.GUARDIAN or patient.user_id is not None):
        raise AccessRefused(
            _("Only a guardian of a patient without a login is given these here. Patients choose on their own pages."),
            field="sensitive",
        )
    if len(reason.strip()) < SHORTEST_REASON:
        raise AccessRefused(_("Say why: at least ten characters."), field="reason")
    if ends_at <= now:
        raise AccessRefused(_("The end must lie ahead."), field="ends_at")
    if carer is None or not carer.is_active:
        raise AccessRefused(_("Choose the login of the one who is to read."), field="carer")
    if patient.user_id == carer.pk:
        raise AccessRefused(_("This is the patient's own login."), field="carer")


def end_proxy(*, proxy_id: UUID, actor: User, now: dt.datetime) -> bool:
    """End it now: the patient, the one who reads for them, or an admin may. False: there is none that they may end."""
    running = Proxy.objects.filter(pk=proxy_id, ended_at__isnull=True, ends_at__gt=now)
    if not actor.is_admin:
        running = running.filter(Q(carer=actor) | Q(patient__user=actor))
    with transaction.atomic():
        proxy = running.first()
        if proxy is None or not running.filter(pk=proxy.pk).update(ended_at=now, code_hash=""):
            return False
        _record("proxy_ended", proxy, actor=actor, now=now)
    return True


def choose_sensitive(
    *, patient: Patient, actor: User, proxy_id: UUID, sensitive: Collection[str], now: dt.datetime
) -> bool:
    """Which sensitive sets this guardian or carer may see from now on. False: this patient has no such one."""
    with transaction.atomic():
        proxy = Proxy.objects.filter(pk=proxy_id, patient=patient, ended_at__isnull=True, ends_at__gt=now).first()
        if proxy is None:
            return False
        Proxy.objects.filter(pk=proxy.pk).update(sensitive=sorted(ALL_SETS & set(sensitive)))
        _record("proxy_choice_changed", proxy, actor=actor, now=now)
    return True


def proxies_for(patient: Patient, *, now: dt.datetime) -> list[Proxy]:
    """Who reads for this patient now, and invitations that may still be taken; the last made first."""
    waits = Q(carer__isnull=True, code_ends_at__gt=now)
    held = Proxy.objects.filter(Q(carer__isnull=False) | waits, patient=patient, ended_at__isnull=True, ends_at__gt=now)
    return list(held.select_related("carer").order_by("-created_at", "pk"))


def people_of(user: User, *, now: dt.datetime) -> list[Proxy]:
    """For whom this login reads now."""
    return list(proxies_of(user, now=now).select_related("patient").order_by("patient__given_name", "created_at"))


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _record(action: str, proxy: Proxy, *, actor: User | None, now: dt.datetime) -> None:
    details: dict[str, object] = {"proxy": proxy.pk}
    if action == "proxy_made" and proxy.sensitive:
        # Chosen by another than the patient: how many, never which.
        details["sets"] = len(proxy.sensitive)
    record_event(action=action, actor=actor, now=now, patient_id=proxy.patient_id, details=details)
