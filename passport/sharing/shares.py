"""Shares are made, ended and listed by the patient alone. Each verb writes its audit row in the same transaction."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from passport.access import AccessRefused
from passport.audit import record_event
from passport.models import Patient, Share, ShareOpening, User
from passport.sharing.content import Wish
from passport.sharing.links import new_passcode, new_sealed_key, new_token

LONGEST = dt.timedelta(days=366)
MOST_A_DAY = 20
#: Of one share, in the patient's list; all of them are in "who looked".
OPENINGS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new share, and its passcode: nobody can read that one again afterwards. Empty for a card."""

    share: Share
    passcode: str


def make_share(
    *,
    patient: Patient,
    actor: User,
    wish: Wish,
    ends_at: dt.datetime,
    now: dt.datetime,
    label: str = "",
    most_openings: int | None = None,
) -> Made:
    """A link with a passcode. Raises AccessRefused for an end that is not ahead, nothing chosen, too many in a day."""
    passcode = new_passcode()
    share = _make(
        patient=patient,
        actor=actor,
        wish=wish,
        ends_at=ends_at,
        now=now,
        kind=Share.Kind.LINK,
        passcode_hash=make_password(passcode),
        label=" ".join(label.split())[:80],
        most_openings=most_openings,
    )
    return Made(share=share, passcode=passcode)


def make_card(*, patient: Patient, actor: User, ends_at: dt.datetime, now: dt.datetime) -> Made:
    """A link for the card in one's pocket: without passcode, sensitive sets or hidden entries. Ends the card before.

    Whoever finds the card can open it: so can whoever helps. Raises AccessRefused.
    """
    with transaction.atomic():
        for before in Share.objects.filter(is_open_q(now=now), patient=patient, kind=Share.Kind.CARD):
            _end(before, actor=actor, why=Share.Why.REPLACED, now=now)
        share = _make(patient=patient, actor=actor, wish=Wish(), ends_at=ends_at, now=now, kind=Share.Kind.CARD)
    return Made(share=share, passcode="")


def _make(
    *, patient: Patient, actor: User, wish: Wish, ends_at: dt.datetime, now: dt.datetime, kind: str, **fields: object
) -> Share:
    if not now < ends_at <= now + LONGEST:
        raise AccessRefused(_("Choose an end that lies ahead, at most a year from now."), field="term")
    if not wish.categories or (wish.hospitals is not None and not wish.hospitals):
        raise AccessRefused(_("Choose something to show."), field="categories")
    with transaction.atomic():
        today = Share.objects.filter(patient=patient, created_at__gt=now - dt.timedelta(days=1))
        if today.count() >= MOST_A_DAY:
            raise AccessRefused(_("You have made very many links today. Go on tomorrow."))
        share = Share.objects.create(
            patient=patient,
            kind=kind,
            token=new_token(),
            key_sealed=new_sealed_key(),
            categories=sorted(wish.categories),
            hospitals=None if wish.hospitals is None else sorted(map(str, wish.hospitals)),
            sensitive=sorted(wish.sensitive),
            with_hidden=wish.with_hidden,
            created_at=now,
            ends_at=ends_at,
            **fields,
        )
        _record("share_made", share, actor=actor, now=now)
    return share


def end_share(*, patient: Patient, actor: User, share_id: UUID, now: dt.datetime) -> bool:
    """From this commit on it opens nothing. False when this patient has no such share, or it is over already."""
    with transaction.atomic():
        share = Share.objects.filter(is_open_q(now=now), pk=share_id, patient=patient).first()
        return share is not None and _end(share, actor=actor, why=Share.Why.REVOKED, now=now)


def _end(share: Share, *, actor: User, why: str, now: dt.datetime) -> bool:
    mine = Share.objects.filter(pk=share.pk, ended_at__isnull=True)
    if not mine.update(ended_at=now, ended_why=why):
        return False
    _record("share_ended", share, actor=actor, now=now)
    return True


def _record(action: str, share: Share, *, actor: User, now: dt.datetime) -> None:
    record_event(
        action=action,
        actor=actor,
        now=now,
        patient_id=share.patient_id,
        # what is shown stays out: it tells of what is kept back
        details={"share": share.pk, "kind": share.kind},
    )


def is_open_q(*, now: dt.datetime) -> Q:
    """Neither ended nor over. How often it may still be opened is asked where it is opened."""
    return Q(ended_at__isnull=True, ends_at__gt=now)


def shares_of(patient: Patient) -> QuerySet[Share]:
    """The last made first."""
    return Share.objects.filter(patient=patient).order_by("-created_at", "pk")


def open_card(patient: Patient, *, now: dt.datetime) -> Share | None:
    """The emergency card whose code is good now."""
    return shares_of(patient).filter(is_open_q(now=now), kind=Share.Kind.CARD).first()


def openings_of(patient: Patient) -> dict[UUID, list[ShareOpening]]:
    """The last tries at each share, newest first. One query."""
    found: dict[UUID, list[ShareOpening]] = {}
    for opening in ShareOpening.objects.filter(share__patient=patient).order_by("-at")[:1000]:
        mine = found.setdefault(opening.share_id, [])
        if len(mine) < OPENINGS_SHOWN:
            mine.append(opening)
    return found
