"""From a URL's query to filters."""

import datetime as dt
import re
from collections.abc import Mapping

from passport import upward
from passport.history.shapes import LONGEST_SEARCH, BadFilter, Filters, Status
from passport.models.record import Category


def parse_filters(params: Mapping[str, str]) -> Filters:
    """Filters from a URL's query: category, hospital, from, to, q, status; an empty one counts as absent.

    Raises BadFilter.
    """
    category, status = params.get("category", ""), params.get("status", "")
    if category and category not in Category.values:
        raise BadFilter("category", f"Choose one of: {', '.join(Category.values)}.")
    if status and status not in {s.value for s in Status}:
        raise BadFilter("status", f"Choose one of: {', '.join(s.value for s in Status)}.")
    hospital = params.get("hospital", "")
    if hospital and not upward.hospitals().filter(code=hospital).exists():
        raise BadFilter("hospital", "There is no hospital with this code.")
    q = params.get("q", "").strip()
    if len(q) > LONGEST_SEARCH or "\x00" in q:
        raise BadFilter("q", f"Search for at most {LONGEST_SEARCH} characters.")
    from_date, to_date = _day(params, "from"), _day(params, "to")
    if from_date and to_date and from_date > to_date:
        raise BadFilter("to", "The last day is before the first.")
    return Filters(
        category=Category(category) if category else None,
        hospital=hospital,
        from_date=from_date,
        to_date=to_date,
        q=q,
        status=Status(status) if status else Status.CURRENT,
    )


def _day(params: Mapping[str, str], name: str) -> dt.date | None:
    text = params.get(name, "")
    if not text:
        return None
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadFilter(name, "Write the day as YYYY-MM-DD.") from None
