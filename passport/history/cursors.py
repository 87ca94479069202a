"""Pages by key: where the next one begins. A cursor holds a number for order and a key, and no secret."""

import base64
import re

from passport.history.shapes import BadCursor

RECORD_KEY = re.compile(r"(-?[0-9]{1,16}):([0-9]{6}[a-z][0-9]{10})")
#: Of a visit, and in it of an entry, where a page begins in its middle.
VISIT_KEY = re.compile(r"(-?[0-9]{1,16}):([0-9]{6}[ved][0-9a-z-]{1,20})(?::([0-9]{6}[a-z][0-9]{10}))?")
SEQ = re.compile(r"([0-9]{1,18}):()")


def cursor_at(number: int, *keys: str) -> str:
    return base64.urlsafe_b64encode(":".join([str(number), *keys]).encode()).decode().rstrip("=")


def position_of(cursor: str, form: re.Pattern[str]) -> tuple[int, str]:
    """Raises BadCursor."""
    found = _read(cursor, form)
    return int(found[1]), found[2]


def place_in_visits(cursor: str) -> tuple[int, str, str]:
    """The third is empty where the page begins after this visit. Raises BadCursor."""
    found = _read(cursor, VISIT_KEY)
    return int(found[1]), found[2], found[3] or ""


def _read(cursor: str, form: re.Pattern[str]) -> re.Match[str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise BadCursor from None
    found = form.fullmatch(text)
    if found is None:
        raise BadCursor
    return found
