"""Looking whether there is something to tell, and telling it: once, and again when it was not taken."""

import datetime as dt
import logging

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext, override

from passport import sms
from passport.audit import record_event
from passport.models import CorrectionRequest, Link, NewsNotice
from passport.models.links import LinkState
from passport.notices.choosing import By, address_for, token_of, ways
from passport.notices.news import ANSWERS, baselines, has_news

log = logging.getLogger(__name__)

#: In one go; the rest at the next tick.
AT_ONCE = 200
#: After a try that failed: 5, 10, 20 … minutes; from the ninth on once a day, for as long as it is wished.
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(minutes=5), dt.timedelta(days=1)


def is_anyone_to_tell(*, now: dt.datetime) -> bool:
    """Whether something was read, or answered, for somebody who may be told now. One query."""
    return bool(ways()) and _due(now=now).exists()


def tell_all(*, now: dt.datetime) -> int:
    """Tell whoever has something new; how many. What is not taken costs nobody else, and is tried again."""
    found = list(_due(now=now).select_related("patient__user").order_by("looked_at", "pk")[:AT_ONCE])
    return sum(_look(notice, now=now) for notice in found)


def _due(*, now: dt.datetime) -> QuerySet[NewsNotice]:
    """Wishes of people who are alive, have an open login, were not told today, and for whom something was read."""
    links = Link.objects.filter(patient=OuterRef("patient"), state=LinkState.LINKED, epoch=F("hospital__epoch"))
    answers = CorrectionRequest.objects.filter(patient=OuterRef("patient"), state__in=ANSWERS)
    something = Exists(links.filter(refreshed_at__gt=OuterRef("looked_at"))) | Exists(
        answers.filter(state_at__gt=OuterRef("looked_at"))
    )
    may_be_told = Q(sent_at__isnull=True) | Q(sent_at__lte=now - dt.timedelta(hours=settings.NOTICE_HOURS))
    may_be_told |= Q(sent_at__gt=now)  # written by a clock that was ahead of ours now
    may_be_tried = Q(next_try_at__isnull=True) | Q(next_try_at__lte=now)
    return NewsNotice.objects.filter(
        something,
        may_be_told,
        may_be_tried,
        Q(by=By.MAIL) & ~Q(patient__user__email="") | Q(by=By.SMS) & ~Q(patient__user__phone=""),
        by__in=ways(),
        patient__user__is_active=True,
        patient__died_on__isnull=True,
        patient__merged_into__isnull=True,
    )


def _look(notice: NewsNotice, *, now: dt.datetime) -> int:
    known = baselines(patient=notice.patient, known=notice.links)
    notice.links = known
    if not has_news(notice=notice, now=now):
        NewsNotice.objects.filter(pk=notice.pk).update(looked_at=now, links=known)
        return 0
    # Taken before it is sent: of two workers one sends, and one that dies meanwhile has told at most once today. What
    # it did not tell is still untold tomorrow.
    before = notice.sent_at
    mine = NewsNotice.objects.filter(pk=notice.pk, sent_at=before) if before else _never_told(notice)
    if not mine.update(sent_at=now, links=known):
        return 0
    try:
        _send(notice)
    except (OSError, sms.SmsNotSent) as error:  # smtplib's errors are OSErrors
        n_failures = notice.n_failures + 1
        wait = min(FIRST_WAIT * 2 ** min(n_failures - 1, 12), LONGEST_WAIT)
        NewsNotice.objects.filter(pk=notice.pk).update(sent_at=before, n_failures=n_failures, next_try_at=now + wait)
        log.warning("notice not sent id=%s error=%s failures=%d", notice.pk, type(error).__name__, n_failures)
        return 0
    with transaction.atomic():
        NewsNotice.objects.filter(pk=notice.pk).update(told_until=now, looked_at=now, n_failures=0, next_try_at=None)
        record_event(action="notice_sent", actor=None, now=now, patient_id=notice.patient_id, basis=notice.by)
    return 1


def _never_told(notice: NewsNotice) -> QuerySet[NewsNotice]:
    return NewsNotice.objects.filter(pk=notice.pk, sent_at__isnull=True)


def _send(notice: NewsNotice) -> None:
    """Raises OSError, SmsNotSent."""
    user = notice.patient.user
    if user is None:  # since it was looked for
        raise sms.SmsNotSent("This passport has no login any more. The notice waits until it has one.")
    to = address_for(user, notice.by)
    stop = settings.PUBLIC_URL + reverse("stop_notices", args=[token_of(notice)])
    with override(user.language or notice.language or settings.LANGUAGE_CODE):
        said = gettext("There is something new in your Patient Passport.")
        if notice.by == By.SMS:
            sms.send(to=to, text=f"{said} {settings.PUBLIC_URL}/ {gettext('Stop')}: {stop}")
            return
        body = [
            said,
            gettext("Log in to read it:") + f" {settings.PUBLIC_URL}/",
            gettext("This message contains no health information."),
            gettext("You get it because you asked for it, at most once a day. To get no more of them:") + f"\n{stop}",
        ]
    # RFC 8058: the mail program's own button, with one POST and no login.
    headers = {
        "List-Unsubscribe": f"<{stop}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    }
    EmailMessage(subject=said, body="\n\n".join(body), to=[to], headers=headers).send()
