"""CSV that a spreadsheet shows and never runs.

A cell that begins like a formula (`=`, `+`, `-`, `@`, a tab or a line's end) is written behind an apostrophe, the sign
by which spreadsheets take what follows for text; `plain` takes it away again, so that a file goes out and comes back
unchanged. Source: OWASP, "CSV Injection".
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRefused:
    """A line that was left out; `line` counts from 1, the header being 1. The sentence repeats no cell."""

    line: int
    message: str


def cell(value: object) -> str:
    """The value as a spreadsheet may have it. A number stays one, also a negative one; None is empty."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, int | float) or not text.lstrip(" ").startswith((*_STARTS, "'")):
        return text
    return f"'{text}"


def plain(text: str) -> str:
    """What `cell` was given, as text."""
    return text[1:] if text.startswith("'") and text[1:].lstrip(" ").startswith((*_STARTS, "'")) else text


def sheet(*, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A whole file: the header, then the rows, lines ending in CRLF (RFC 4180)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def encoded(text: str) -> bytes:
    """The file as bytes: UTF-8 behind the mark by which spreadsheets tell that it is."""
    return text.encode("utf-8-sig")
