"""Pages by key: where the next one begins. A cursor holds a number for order and a key, and no secret."""

import base64
import re

from passport.history.shapes import BadCursor

RECORD_KEY = re.compile(r"(-?[0-9]{1,16}):([0-9]{6}[a-z][0-9]{10})")
VISIT_KEY = re.compile(r"(-?[0-9]{1,16}):([0-9]{6}[ved][0-9a-z-]{1,20})")
SEQ = re.compile(r"([0-9]{1,18}):()")


def cursor_at(number: int, key: str) -> str:
    return base64.urlsafe_b64encode(f"{number}:{key}".encode()).decode().rstrip("=")


def position_of(cursor: str, form: re.Pattern[str]) -> tuple[int, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise BadCursor from None
    found = form.fullmatch(text)
    if found is None:
        raise BadCursor
    return int(found[1]), found[2]
