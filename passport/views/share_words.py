"""Shares and who opened them, as lines of a page: rows in, words out."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from passport.fhir import Wording
from passport.fhir.codes import BLOOD_PRESSURE, INTERPRETATIONS
from passport.history import Overview
from passport.models import Share, ShareOpening
from passport.views import doses, pressures, words
from passport.views.lines import YES_OR_NO
from passport.views.plain import dose_words
from passport.views.words import local, when

#: Codes of FHIR that the page of an opened link puts into words, as the record's own pages do.
STATUSES = (
    "active", "inactive", "recurrence", "relapse", "remission", "resolved", "confirmed", "provisional", "preliminary",
    "amended", "mild", "moderate", "severe",
)  # fmt: skip


def codes() -> dict[str, str]:
    """What the script of that page says for a code, and for the ends of a range."""
    flags = {code: str(words.FLAGS[flag]) for flag, (code, _display) in INTERPRETATIONS.items()}
    ranges = {
        "range": _("usual range %(range)s"),
        "between": _("%(low)s to %(high)s"),
        "from": _("from %(low)s"),
        "upTo": _("up to %(high)s"),
    }
    answers = {answer: str(word) for answer, word in YES_OR_NO.items()}
    pressure = {BLOOD_PRESSURE: pressures.name(), "upper": _("upper"), "lower": _("lower")}
    return flags | {status: words.code(status) for status in STATUSES} | ranges | answers | pressure


def wording(*, now: dt.datetime) -> Wording:
    """The words of who opens the link, in the language of the request. One query."""
    return Wording(sources=partial(sources, now=now), dose=partial(doses.taken, plain=dose_words()))


def sources(shown: Overview, *, now: dt.datetime) -> list[tuple[str, str]]:
    """How far each hospital was read, in the language of who opens the link."""
    told = [(each.hospital_name, words.fresh_words(each, now=now).sentence) for each in shown.freshness]
    if shown.may_hold_more:
        held = _("%(may_hold_more)s may hold more records. Somebody at the hospital is checking whose they are.")
        told.append(("", held % {"may_hold_more": words.names(list(shown.may_hold_more))}))
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLine:
    when: str
    who: str
    what: str
    is_opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLine:
    id: UUID
    name: str
    state: str
    openings: str
    is_open: bool
    tries: Sequence[TryLine]


def share_line(share: Share, *, tries: Sequence[ShareOpening], now: dt.datetime) -> ShareLine:
    return ShareLine(
        id=share.pk,
        name=share.label or (_("Emergency card") if share.kind == Share.Kind.CARD else _("Link without a name")),
        state=_state(share, now=now),
        openings=_openings(share),
        is_open=_is_open(share, now=now),
        tries=[_try_line(each, now=now) for each in tries],
    )


def _is_open(share: Share, *, now: dt.datetime) -> bool:
    return share.ended_at is None and share.ends_at > now and not _is_used_up(share)


def _is_used_up(share: Share) -> bool:
    return share.most_openings is not None and share.n_openings >= share.most_openings


def _state(share: Share, *, now: dt.datetime) -> str:
    if share.ended_at is not None:
        ended = when(share.ended_at, now=now)
        if share.ended_why == Share.Why.GUESSED:
            return _("closed after five wrong passcodes, %(when)s") % {"when": ended}
        if share.ended_why == Share.Why.REPLACED:
            return _("replaced by a newer card, %(when)s") % {"when": ended}
        return _("ended by you, %(when)s") % {"when": ended}
    if share.ends_at <= now:
        return _("over since %(when)s") % {"when": when(share.ends_at, now=now)}
    if _is_used_up(share):
        return _("used up: opened as often as you allowed")
    there = local(share.ends_at)
    return _("open until %(day)s, %(time)s") % {"day": date_format(there, "j F Y"), "time": date_format(there, "H:i")}


def _openings(share: Share) -> str:
    if not share.n_openings:
        done = _("not opened yet")
    else:
        done = ngettext("opened %(n)d time", "opened %(n)d times", share.n_openings) % {"n": share.n_openings}
    if share.most_openings is None:
        return done
    return _("%(done)s, of %(most)d allowed") % {"done": done, "most": share.most_openings}


def _try_line(opening: ShareOpening, *, now: dt.datetime) -> TryLine:
    what = {
        ShareOpening.Outcome.OPENED: _("opened it"),
        ShareOpening.Outcome.WRONG: _("typed a wrong passcode"),
        ShareOpening.Outcome.CLOSED: _("found it closed"),
    }
    return TryLine(
        when=when(opening.at, now=now),
        who=opening.recipient,
        what=what[ShareOpening.Outcome(opening.outcome)],
        is_opened=opening.outcome == ShareOpening.Outcome.OPENED,
    )
