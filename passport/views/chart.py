"""Around a record: how far it is up to date in short, what is new, the years of its history."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from passport.access import Opened
from passport.access.shapes import DOCTORS
from passport.history import Freshness, FreshnessState, Overview, RecordView
from passport.history.kept import Reading
from passport.history.news import last_here, news
from passport.history.shapes import News, Year
from passport.history.vitals import vitals_in_order
from passport.models import User
from passport.views import lines, words
from passport.views.lines import Line, Pages
from passport.views.plain import NO_WORDS, PlainWords, plain_words
from passport.views.pressures import lines_of


def up_to_date(found: Sequence[Freshness], *, now: dt.datetime) -> str:
    """`Up to date to 10:35 today.`: of the hospitals that are; empty when none is."""
    moments = [each.read_at for each in found if each.state is FreshnessState.FRESH and each.read_at]
    return _("Up to date to %(when)s.") % {"when": words.when(min(moments), now=now)} if moments else ""


def summary_words(found: Overview, *, pages: Pages, plain: PlainWords) -> dict[str, Any]:
    """What holds and what was found last, as lines: for the overview, and for a consultation."""

    def dated(record: RecordView) -> Line:
        return lines.line(record, pages=pages, with_day=True, with_hospital=True, plain=plain)

    return {
        "allergies": [dated(each) for each in found.allergies],
        "conditions": lines.stated(found.conditions, pages=pages, plain=plain),
        "medications": lines.stated(found.medications, pages=pages, plain=plain),
        "results": lines_of(found.latest_results, make=dated),
        "vitals": lines_of(
            vitals_in_order(found.latest_vitals),
            make=lambda each: lines.line(each, pages=pages, plain=plain),
            lone=found.repeated,
        ),
    }


def records_of(found: Overview) -> list[RecordView]:
    stated = [*found.conditions, *found.medications]
    qualifiers = [each for one in stated for each in one.qualifiers]
    return [*found.allergies, *(one.record for one in stated), *qualifiers, *found.latest_results, *found.latest_vitals]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsWords:
    sentence: str
    lines: Sequence[Line]
    more: str  # what the list leaves out; empty when it is whole


def since_last_here(opened: Opened, account: User, *, now: dt.datetime) -> dt.datetime | None:
    """When the reader was here last; None for doctors, who are told what is new to their hospital instead."""
    return None if opened.basis in DOCTORS else last_here(scope=opened.scope, user=account, now=now)


def own_news(opened: Opened, account: User, *, reading: Reading, pages: Pages, now: dt.datetime) -> NewsWords | None:
    """New since one's own last visit here; None for doctors."""
    if opened.basis in DOCTORS:
        return None
    since = since_last_here(opened, account, now=now)
    if since is None:
        sentence = _("This is your first visit here. From the next one on, what is new since then stands here.")
        return NewsWords(sentence=sentence, lines=[], more="")
    found, when = news(seen=reading.seen, since=since), words.when(since, now=now)
    if not found.n_entries:
        sentence = _("Nothing new has come in since you were last here (%(when)s).") % {"when": when}
        return NewsWords(sentence=sentence, lines=[], more="")
    sentence = ngettext(
        "%(n)s entry is new or has changed since you were last here (%(when)s).",
        "%(n)s entries are new or have changed since you were last here (%(when)s).",
        found.n_entries,
    ) % {"n": found.n_entries, "when": when}
    return news_words(found, sentence=sentence, pages=pages, plain=plain_words(found.newest))


def news_words(found: News, *, sentence: str, pages: Pages, plain: PlainWords = NO_WORDS) -> NewsWords:
    n_more = found.n_entries - len(found.newest)
    more = ngettext("%(n)s more is in the history.", "%(n)s more are in the history.", n_more) % {"n": n_more}
    return NewsWords(
        sentence=sentence,
        lines=[lines.line(each, pages=pages, with_day=True, with_hospital=True, plain=plain) for each in found.newest],
        more=more if n_more else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class YearLink:
    name: str
    words: str  # how many visits, for those who hear the page
    url: str
    is_here: bool  # this page shows some of it


def year_links(
    years: Sequence[Year], *, here: Sequence[str | None], query: Mapping[str, str], pages: Pages
) -> list[YearLink]:
    """A rail through the years; none where there is only one. `here`: the years of this page."""
    if len(years) < 2:
        return []
    return [
        YearLink(
            name=each.year or _("No date"),
            words=ngettext("%(n)s visit", "%(n)s visits", each.n_visits) % {"n": each.n_visits},
            url=_address(pages, dict(query) | ({"cursor": each.cursor} if each.cursor else {})),
            is_here=each.year in here,
        )
        for each in years
    ]


def _address(pages: Pages, query: Mapping[str, str]) -> str:
    return f"{pages.history}?{urlencode(query)}" if query else pages.history
