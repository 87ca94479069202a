"""Logins as their owner sees them: when, from where in coarse words, with what; and the end of one or all of them."""

import datetime as dt
import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet

from passport.audit import record_event
from passport.models import Entry, User

#: Under this key a session names its row.
ENTRY = "entry"
SEEN_AT = "seen_at"

BROWSERS = (
    ("Edge", r"Edg[A-Z]?[A-Za-z]*/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Safari/"),
)
SYSTEMS = (
    ("Android", r"Android"),
    ("iPhone", r"iPhone|iPad|iPod"),
    ("Windows", r"Windows"),
    ("Mac", r"Macintosh"),
    ("Linux", r"Linux|X11|CrOS"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """From where and with what somebody logs in, as coarse as it is kept."""

    place: str
    device: str


NOWHERE = Origin(place="", device="")


def origin(*, address: str, user_agent: str) -> Origin:
    return Origin(place=_place(address), device=_device(user_agent))


def _place(address: str) -> str:
    """The beginning of a network address: enough to know one's own, too little to follow somebody."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    if parsed.is_loopback:
        return "loopback"
    if parsed.is_private:
        return "private"
    if parsed.version == 4:
        return ".".join(str(parsed).split(".")[:2]) + ".x.x"
    return ":".join(parsed.exploded.split(":")[:2]) + ":…"


def _device(user_agent: str) -> str:
    """Browser and system: `Firefox, Android`. Nothing of what was sent is kept as it was sent."""
    found = [next((name for name, mark in known if re.search(mark, user_agent)), "") for known in (BROWSERS, SYSTEMS)]
    return ", ".join(name for name in found if name)


# --- a login begins ---------------------------------------------------------------------------------------------------


def begin(*, user: User, kind: Entry.Kind, key: str, origin: Origin, now: dt.datetime) -> Entry:
    return Entry.objects.create(
        user=user, kind=kind, key=key, place=origin.place, device=origin.device, started_at=now, seen_at=now
    )


def touch(session: SessionBase, *, now: dt.datetime) -> None:
    """Somebody is there. At most once a minute, so that not every page writes."""
    if now.timestamp() - float(session.get(SEEN_AT, 0)) < 60:
        return
    session[SEEN_AT] = now.timestamp()
    _row_of(session).update(seen_at=now)


def open_entries(user: User, *, now: dt.datetime) -> QuerySet[Entry]:
    """Logins that are still good, the latest used first. What ran out by itself is not among them."""
    return Entry.objects.filter(user=user, ended_at__isnull=True, seen_at__gt=now - LONGEST).order_by("-seen_at")


#: No login lives longer than this since it was last used: the age of a session's cookie, and of a refresh token.
LONGEST = dt.timedelta(hours=12)


def past_entries(user: User, *, now: dt.datetime, n: int = 20) -> list[Entry]:
    """The latest logins that are over."""
    ids = open_entries(user, now=now).values("pk")
    return list(Entry.objects.filter(user=user).exclude(pk__in=ids).order_by("-started_at")[:n])


# --- a login ends -----------------------------------------------------------------------------------------------------


@transaction.atomic
def end(*, user: User, entry_id: UUID, actor: User, now: dt.datetime) -> bool:
    """End one login of this account; False when it has none such that is still good."""
    entry = Entry.objects.filter(pk=entry_id, user=user, ended_at__isnull=True).first()
    if entry is None:
        return False
    _close(Entry.objects.filter(pk=entry.pk), by="owner" if actor.pk == user.pk else "admin", now=now)
    record_event(action="login_ended", actor=actor, now=now, details={"account": user.pk, "entry": entry.pk})
    return True


@transaction.atomic
def end_all(*, user: User, actor: User | None, why: str, now: dt.datetime) -> int:
    """End every session and token of this account at once; returns how many were listed as good.

    By the stamp in their hashes, so also those that no list shows. `user` carries the new stamp afterwards.
    """
    user.login_stamp = secrets.token_hex(16)
    User.objects.filter(pk=user.pk).update(login_stamp=user.login_stamp)
    n_ended = _close(Entry.objects.filter(user=user, ended_at__isnull=True), by=why, now=now)
    record_event(action="logins_ended", actor=actor, now=now, basis=why, details={"account": user.pk, "ended": n_ended})
    return n_ended


def close_session(session: SessionBase, *, by: str, now: dt.datetime) -> None:
    """The session's own row, when it ends by log-out or by idleness."""
    _row_of(session).update(ended_at=now, ended_by=by)


def _row_of(session: SessionBase) -> QuerySet[Entry]:
    open_ones = Entry.objects.filter(ended_at__isnull=True)
    return open_ones.filter(pk=UUID(session[ENTRY])) if ENTRY in session else open_ones.none()


def close_family(family: str, *, by: str, now: dt.datetime) -> None:
    Entry.objects.filter(kind=Entry.Kind.API, key=family, ended_at__isnull=True).update(ended_at=now, ended_by=by)


def touch_family(family: str, *, now: dt.datetime) -> None:
    Entry.objects.filter(kind=Entry.Kind.API, key=family, ended_at__isnull=True).update(seen_at=now)


def is_family_open(family: Any) -> bool:
    """Whether the login that this token descends from is on the list of logins, and nobody ended it."""
    return Entry.objects.filter(kind=Entry.Kind.API, key=str(family), ended_at__isnull=True).exists()


def _close(entries: QuerySet[Entry], *, by: str, now: dt.datetime) -> int:
    keys = list(entries.filter(kind=Entry.Kind.PAGE).values_list("key", flat=True))
    Session.objects.filter(pk__in=keys).delete()
    return entries.update(ended_at=now, ended_by=by)
