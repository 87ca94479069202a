"""Somebody opens a share. Nothing of them is known but what they hold: the address, the key, perhaps the passcode.

A try is taken before the passcode is looked at, and given back when it was right: so no number of guesses at once gets
past `MOST_WRONG`. What is unknown, over, ended, used up or closed answers alike.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.hashers import check_password
from django.core import signing
from django.db import transaction
from django.db.models import F, Q

from passport import standing
from passport.audit import record_event
from passport.fhir import AS_WRITTEN, MEDIA_TYPE, Wording
from passport.models import Share, ShareOpening
from passport.sharing.content import document
from passport.sharing.links import key_of
from passport.sharing.sealing import seal_document
from passport.sharing.shares import is_open_q

MOST_WRONG = 5
#: How long what was not embedded may be collected, once.
COLLECT_WITHIN = dt.timedelta(minutes=10)
LONGEST_RECIPIENT = 100
_SALT = "passport.sharing.collect"


class ShareClosed(Exception):
    """Unknown, over, ended, used up or closed: whoever asks cannot tell which."""


class WrongPasscode(Exception):
    """`n_left`: wrong ones that may still follow before the share is closed for good."""

    def __init__(self, *, n_left: int) -> None:
        self.n_left = n_left
        super().__init__("The passcode is wrong.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What an opening hands out: the sealed summary, and a ticket with which the same can be collected once."""

    jwe: str
    ticket: str


def open_share(*, token: str, recipient: str, passcode: str, now: dt.datetime, say: Wording = AS_WRITTEN) -> Handed:
    """Open it once. The opening is written down, for the patient and in the audit chain, before anything is handed out.

    `say` has the words of the recipient's language.

    Raises ShareClosed, WrongPasscode, SecretUnavailable. Refusals are committed first: not inside a transaction.
    """
    share = Share.objects.select_related("patient").filter(token=token).first()
    if share is None:
        raise ShareClosed
    said = " ".join(recipient.split())[:LONGEST_RECIPIENT]
    if not _take_try(share, now=now):
        _note(share, said, ShareOpening.Outcome.CLOSED, now=now)
        raise ShareClosed
    if share.passcode_hash and not check_password(passcode, share.passcode_hash):
        raise WrongPasscode(n_left=_failed(share, said, now=now))
    opening = _opened(share, said, now=now)
    if opening is None:
        raise ShareClosed
    return Handed(jwe=_sealed(share, say=say, now=now), ticket=signing.dumps(str(opening.pk), salt=_SALT))


def collect(*, ticket: str, token: str, now: dt.datetime, say: Wording = AS_WRITTEN) -> str:
    """The summary of an opening whose recipient wanted it apart; once, within minutes, while the share is open.

    Raises ShareClosed, SecretUnavailable.
    """
    try:
        opening_id = UUID(signing.loads(ticket, salt=_SALT))
    except (signing.BadSignature, ValueError):
        raise ShareClosed from None
    share = Share.objects.select_related("patient").filter(is_open_q(now=now), token=token).first()
    if share is None or standing.closed_to_doctors(share.patient, now=now):
        raise ShareClosed
    mine = ShareOpening.objects.filter(pk=opening_id, share=share, outcome=ShareOpening.Outcome.OPENED)
    if not mine.filter(fetched_at__isnull=True, at__gt=now - COLLECT_WITHIN).update(fetched_at=now):
        raise ShareClosed
    return _sealed(share, say=say, now=now)


def _sealed(share: Share, *, say: Wording, now: dt.datetime) -> str:
    return seal_document(document(share, say=say, now=now), key=key_of(share), media_type=MEDIA_TYPE)


def _takeable(share: Share, *, now: dt.datetime) -> Q:
    has_openings = Q(most_openings__isnull=True) | Q(n_openings__lt=F("most_openings"))
    return Q(pk=share.pk) & is_open_q(now=now) & has_openings


def _take_try(share: Share, *, now: dt.datetime) -> bool:
    """One of the tries that are left, ours from now on; False when the share is not open."""
    if standing.closed_to_doctors(share.patient, now=now):
        return False
    takeable = Share.objects.filter(_takeable(share, now=now))
    if not share.passcode_hash:
        return takeable.exists()
    return bool(takeable.filter(n_wrong__lt=MOST_WRONG).update(n_wrong=F("n_wrong") + 1))


def _failed(share: Share, recipient: str, *, now: dt.datetime) -> int:
    """The try stays taken; with the last one the share is closed for good. How many are left."""
    with transaction.atomic():
        _note(share, recipient, ShareOpening.Outcome.WRONG, now=now)
        n_wrong = Share.objects.values_list("n_wrong", flat=True).get(pk=share.pk)
        if n_wrong >= MOST_WRONG:
            open_ = Share.objects.filter(pk=share.pk, ended_at__isnull=True)
            open_.update(ended_at=now, ended_why=Share.Why.GUESSED)
    return max(0, MOST_WRONG - n_wrong)


def _opened(share: Share, recipient: str, *, now: dt.datetime) -> ShareOpening | None:
    """Count the opening and give the try back, in one update; None when the share was closed or used up meanwhile."""
    given_back = F("n_wrong") - 1 if share.passcode_hash else F("n_wrong")
    with transaction.atomic():
        takeable = Share.objects.filter(_takeable(share, now=now))
        if not takeable.update(n_openings=F("n_openings") + 1, n_wrong=given_back):
            _note(share, recipient, ShareOpening.Outcome.CLOSED, now=now)
            return None
        return _note(share, recipient, ShareOpening.Outcome.OPENED, now=now)


@transaction.atomic
def _note(share: Share, recipient: str, outcome: ShareOpening.Outcome, *, now: dt.datetime) -> ShareOpening:
    """A row for the patient, with the recipient's own words, and one in the chain, with ids only."""
    opening = ShareOpening.objects.create(share=share, at=now, recipient=recipient, outcome=outcome)
    record_event(
        action=f"share_{outcome}",
        actor=None,
        now=now,
        patient_id=share.patient_id,
        basis="share",
        details={"share": share.pk, "opening": opening.pk},
    )
    return opening
