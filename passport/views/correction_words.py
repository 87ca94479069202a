"""Requests for a correction as lines of a page. Pure: rows in, words out."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.utils.translation import gettext_lazy

from passport.correction_forms import REASON_NAMES
from passport.corrections import State
from passport.corrections.asking import Asked
from passport.history import RecordView
from passport.views import lines
from passport.views.lines import Line, Pages
from passport.views.plain import PlainWords
from passport.views.words import when

#: state → (icon, what is so, class of its mark)
STATES: dict[str, tuple[str, Any, str]] = {
    State.ASKED: ("late", gettext_lazy("Asked. It stands in the hospital's list."), "waits"),
    State.SENT: ("out", gettext_lazy("The hospital was told. It has not answered yet."), "waits"),
    State.ANSWERED: ("info", gettext_lazy("The hospital answered."), "told"),
    State.DECLINED: ("close", gettext_lazy("The hospital does not change it."), "told"),
    State.CHANGED: ("fresh", gettext_lazy("The hospital has changed this entry since."), "done"),
    State.WITHDRAWN: ("withdrawn", gettext_lazy("Taken back."), "over"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedWords:
    """A request in words. `line` None: the entry is not in the record as this viewer sees it."""

    id: UUID
    line: Line | None
    hospital: str
    asked: str
    reason: str
    words: str
    icon: str
    kind: str
    state: str
    since: str  # empty while it waits
    answer: str
    is_open: bool
    withdraw_url: str  # empty where this viewer cannot
    now_url: str  # where the day's entries of that hospital stand, once it has changed something; else empty


def asked_words(asked: Asked, *, pages: Pages, plain: PlainWords, now: dt.datetime) -> AskedWords:
    request = asked.request
    icon, said, kind = STATES[request.state]
    record = asked.record
    return AskedWords(
        id=request.pk,
        line=lines.line(record, pages=pages, plain=plain, with_day=True) if record else None,
        hospital=request.hospital.name,
        asked=when(request.asked_at, now=now),
        reason=str(dict(REASON_NAMES)[request.reason]),
        words=asked.words,
        icon=icon,
        kind=kind,
        state=str(said),
        since="" if asked.is_open else when(request.state_at, now=now),
        answer=asked.answer,
        is_open=asked.is_open,
        withdraw_url=pages.withdraw_correction(request.pk) if asked.may_withdraw else "",
        now_url=_of_that_day(record, pages=pages) if record and request.state == State.CHANGED else "",
    )


def _of_that_day(record: RecordView, *, pages: Pages) -> str:
    """The entry that was asked about is often withdrawn, and what took its place has another address."""
    day = {"from": record.date, "to": record.date} if record.date else {}
    return f"{pages.history}?{urlencode({'hospital': record.hospital} | day)}"
