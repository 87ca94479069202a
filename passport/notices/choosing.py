"""Asking for notices and ending them. The link in each notice ends them for whoever has it, without logging in."""

import base64
import datetime as dt
import hmac
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac

from passport import letters, sms
from passport.audit import record_event
from passport.models import NewsNotice, Patient, User
from passport.notices.news import baselines

By = NewsNotice.By
SALT = "passport.notices.unsubscribe"
#: 96 bits: not to be guessed, and short enough for an SMS.
SIGNED = 12


class NoticeRefused(ValueError):
    """There is no such way here, or no address for it."""


def ways() -> list[str]:
    """How notices can be sent here. Without the address of our pages none: a notice must say how to end it."""
    found = [(By.MAIL, letters.can_send()), (By.SMS, sms.can_send())]
    return [way.value for way, can_send in found if can_send and settings.PUBLIC_URL]


def address_for(user: User, by: str) -> str:
    return user.email if by == By.MAIL else user.phone


def chosen_by(user: User) -> NewsNotice | None:
    return NewsNotice.objects.filter(patient__user=user).first()


@transaction.atomic
def choose(*, user: User, by: str, language: str, now: dt.datetime) -> None:
    """Hear of what comes in from now on, in this way; "" ends it. Raises NoticeRefused. The same again does nothing."""
    patient = Patient.objects.select_for_update(of=("self",)).filter(user=user).first()
    if patient is None:
        raise NoticeRefused
    before = NewsNotice.objects.filter(patient=patient).first()
    if not by:
        if before is not None:
            _end(before, actor=user, why="oneself", now=now)
        return
    if by not in ways() or not address_for(user, by):
        raise NoticeRefused
    if before is not None and before.by == by:
        NewsNotice.objects.filter(pk=before.pk).update(language=language)
        return
    if before is not None:
        before.delete()  # with it the links of its notices
    NewsNotice.objects.create(
        patient=patient,
        by=by,
        language=language,
        links=baselines(patient=patient, known={}),
        created_at=now,
        told_until=now,
        looked_at=now,
        # a change of the way is no second notice today
        sent_at=before.sent_at if before else None,
    )
    record_event(action="notices_chosen", actor=user, now=now, patient_id=patient.pk, basis=by)


def token_of(notice: NewsNotice) -> str:
    """What the link of its notices ends in: 38 characters of base64url."""
    return base64.urlsafe_b64encode(notice.pk.bytes + _signature(notice.pk)).decode().rstrip("=")


@transaction.atomic
def end_by_token(*, token: str, now: dt.datetime) -> None:
    """End what this link belongs to, if anything. Says nothing: a link that was never ours looks like a used one."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return
    notice_id = UUID(bytes=raw[:16]) if len(raw) == 16 + SIGNED else None
    if notice_id is None or not hmac.compare_digest(raw[16:], _signature(notice_id)):
        return
    notice = NewsNotice.objects.filter(pk=notice_id).first()
    if notice is not None:
        _end(notice, actor=None, why="link", now=now)


def _signature(notice_id: UUID) -> bytes:
    return salted_hmac(SALT, notice_id.bytes, algorithm="sha256").digest()[:SIGNED]


def _end(notice: NewsNotice, *, actor: User | None, why: str, now: dt.datetime) -> None:
    if NewsNotice.objects.filter(pk=notice.pk).delete()[0]:
        record_event(action="notices_ended", actor=actor, now=now, patient_id=notice.patient_id, basis=why)
