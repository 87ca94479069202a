"""Small things that templates need: icons, days and figures as people read them."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of icons.svg. Decoration only: the words stand beside it."""
    return _icon(settings.STORAGES["staticfiles"]["BACKEND"], name)


@lru_cache(maxsize=200)
def _icon(_storage: str, name: str) -> SafeString:
    """Kept for as long as the process lives: so are the names of static files."""
    file = static("passport/icons.svg")
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>', file, name
    )


def _moment(text: str | None) -> datetime | None:
    """The hospital's clock, as records hold it (`YYYY-MM-DD HH:MM:SS`), without a zone on purpose."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


@register.filter
def day(text: str | None) -> str:
    """`2024-03-04 10:35:00` → `4 March 2024`; the hospital's day, never converted."""
    moment = _moment(text)
    return date_format(moment, "DATE_FORMAT") if moment else _("no date")


@register.filter
def short_day(text: str | None) -> str:
    """`2024-03-04 10:35:00` → `4 Mar 2024`."""
    moment = _moment(text)
    return date_format(moment, "SHORT_DATE_FORMAT") if moment else _("no date")


@register.filter
def clock(text: str | None) -> str:
    """`2024-03-04 10:35:00` → `10:35`. Empty at midnight: hospitals store a day without a time as 00:00:00."""
    moment = _moment(text)
    return date_format(moment, "TIME_FORMAT") if moment and (moment.hour or moment.minute) else ""


@register.filter
def figure(number: Any) -> str:
    """`6.0` → `6`, `5.4` → `5.4`: as many places as the number has, at most six."""
    if number is None:
        return ""
    text = f"{float(number):.6f}".rstrip("0").rstrip(".")
    return number_format(text, use_l10n=True, force_grouping=False)


@register.filter
def month_day(text: str | None) -> str:
    """`2024-03-04` → `4 Mar`; the year stands beside it in smaller letters."""
    moment = _moment(text)
    return date_format(moment, pgettext("date format: day and short month", "j M")) if moment else _("no date")
