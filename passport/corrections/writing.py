"""Mail to a hospital's records office: how many requests wait, and where. Nothing about anybody."""

import datetime as dt
import logging
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from passport import letters, upward
from passport.audit import record_event
from passport.corrections import OPEN, State
from passport.models import CorrectionRequest

log = logging.getLogger(__name__)

#: A hospital that has just been written to hears of what comes next so much later.
NEXT_LETTER = dt.timedelta(hours=12)
#: After a try that failed: 5, 10, 20 … minutes, at most six hours.
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(minutes=5), dt.timedelta(hours=6)


def is_any_to_write(*, now: dt.datetime) -> bool:
    """Whether `write_all` has something to do; never where no mail server was named."""
    return letters.can_send() and _waiting(now=now).exists()


def write_all(*, now: dt.datetime) -> int:
    """Write to each hospital with an address for which requests wait; how many letters. A mail server that fails loses
    nothing: the requests wait, on the list too, and the next call tries again when it is time.
    """
    hospital_ids = list(_waiting(now=now).order_by("hospital").values_list("hospital_id", flat=True).distinct())
    return sum(_write(hospital_id, now=now) for hospital_id in hospital_ids) if letters.can_send() else 0


def _waiting(*, now: dt.datetime) -> QuerySet[CorrectionRequest]:
    just_told = CorrectionRequest.objects.filter(hospital=OuterRef("hospital"), mailed_at__gt=now - NEXT_LETTER)
    waiting = CorrectionRequest.objects.filter(~Exists(just_told), state=State.ASKED, mail_at__lte=now)
    return waiting.exclude(hospital__corrections_email="")


def _write(hospital_id: UUID, *, now: dt.datetime) -> int:
    hospital = upward.hospitals().get(pk=hospital_id)
    mine = list(_waiting(now=now).filter(hospital=hospital_id).values_list("pk", "n_mail_tries"))
    these = CorrectionRequest.objects.filter(pk__in=[pk for pk, _ in mine])
    n_tries = max((n for _, n in mine), default=0) + 1
    wait = min(FIRST_WAIT * 2 ** min(n_tries - 1, 10), LONGEST_WAIT)
    # Taken before it is sent: of two workers one sends.
    if these.filter(mail_at__lte=now).update(mail_at=now + wait, n_mail_tries=n_tries) == 0:
        return 0
    n_open = CorrectionRequest.objects.filter(hospital=hospital_id, state__in=OPEN).count()
    try:
        send_mail(*_letter(n_open), None, [hospital.corrections_email])
    except OSError as error:  # smtplib's errors are OSErrors
        log.warning("corrections not mailed hospital=%s error=%s", hospital.code, type(error).__name__)
        return 0
    with transaction.atomic():
        these.filter(state=State.ASKED).update(state=State.SENT, state_at=now)
        these.update(mail_at=None, mailed_at=now)
        record_event(
            action="corrections_mailed", actor=None, now=now, hospital_id=hospital_id, details={"n_requests": len(mine)}
        )
    return 1


def _letter(n_open: int) -> tuple[str, str]:
    """In English, as the admin's pages are. `settings.PUBLIC_URL` empty: the officer knows the address."""
    where = reverse("admin:passport_correctionrequest_changelist") + "?state=open"
    address = f"{settings.PUBLIC_URL}{where}" if settings.PUBLIC_URL else f"Patient Passport: Administration{where}"
    count = "1 request" if n_open == 1 else f"{n_open} requests"
    subject = f"{count} for a correction" if n_open == 1 else f"{count} for corrections"
    verb = "waits" if n_open == 1 else "wait"
    text = f"{count} of patients {verb} for your hospital's records office. Open the list:\n\n{address}\n\n"
    promise = "This message contains no health information, and nobody's name or number."
    return f"Patient Passport: {subject}", text + promise
