"""Logs: JSON lines of events, ids and counts. No National ID, not even by way of a request path or an exception."""

import json
import logging
import re
import traceback
from functools import cache
from pathlib import Path
from typing import Any

from django.urls import get_resolver

#: The two API paths that carry a National ID, wherever they stand. Some countries write theirs with slashes.
_PATHS = re.compile(r"(/api/patients/|/sync-patient/)[^\s?\"']+")
_OWN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_WORD = re.compile(r"[A-Za-z][A-Za-z_-]+")


def without_national_ids(text: str) -> str:
    return _PATHS.sub(r"\1[number]", text)


def path_without_numbers(path: str) -> str:
    """A whole request path. People type numbers and names where none belong: of its parts our ids stay, and the words
    that stand in our own addresses.
    """
    return "/".join(_known(part) for part in without_national_ids(path).split("/"))


def _known(part: str) -> str:
    if part in {"", "[number]"} or _OWN_ID.fullmatch(part) or part in _words_of_our_addresses():
        return part
    return "[number]" if any(char.isdigit() for char in part) else "[word]"


@cache
def _words_of_our_addresses() -> frozenset[str]:
    """Every fixed word of every address. Read when the first path is logged: by then the addresses are there."""
    found: set[str] = {"static", "passport", "admin", "api"}
    open_: list[Any] = list(get_resolver().url_patterns)
    while open_:
        one = open_.pop()
        found |= set(_WORD.findall(re.sub(r"<[^>]*>", "", str(one.pattern))))
        open_ += getattr(one, "url_patterns", [])
    return frozenset(found)


def _request_line(line: str) -> str:
    """`GET /path?query HTTP/1.1` of the development server, whose query goes altogether."""
    words = line.split(" ")
    return " ".join([words[0], path_without_numbers(words[1].partition("?")[0]), *words[2:]]) if words[1:] else line


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return without_national_ids(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(part) for part in value)
    return value


class WithoutNationalIds(logging.Filter):
    """Takes the number out of request paths in messages, their arguments and the request that rides along."""

    def filter(self, record: logging.LogRecord) -> bool:
        # django.request attaches the request object, django.server a socket: neither belongs into a log.
        path = getattr(record.__dict__.pop("request", None), "path", None)
        if isinstance(record.args, tuple):
            # Known by being the whole path: spaces in it would end it for every pattern.
            record.args = tuple(path_without_numbers(path) if path and arg == path else arg for arg in record.args)
            if record.name == "django.server" and record.args and isinstance(record.args[0], str):
                record.args = (_request_line(record.args[0]), *record.args[1:])
        record.msg = _cleaned(record.msg)
        record.args = _cleaned(record.args)
        return True


class WithoutRequests(logging.Filter):
    """For gunicorn's own log, which quotes requests in three places: every one at debug, bad ones, failed ones."""

    QUOTING = ("Invalid request from", "Error handling request", "Exception handling request")

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return False
        said = record.getMessage()
        if found := next((start for start in self.QUOTING if said.startswith(start)), None):
            record.msg, record.args = f"{found} [left out]", ()
        if record.exc_info and record.exc_info[1]:
            record.exc_text, record.exc_info = frames(record.exc_info[1]), None
        return True


def where(error: BaseException) -> str:
    """An exception as class and line, without its text: that may hold what was in a row."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if frames
        else repr(type(error))
    )


def frames(error: BaseException) -> str:
    """A traceback and what led to it, without the exceptions' texts: databases put the row into theirs."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [frames(before), "\n"] if before else []
    return "".join([*lines, *traceback.format_tb(error.__traceback__), type(error).__name__])


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(event := record.__dict__.get("event"), dict):
            line |= event
        if record.exc_info and record.exc_info[1]:
            line["traceback"] = frames(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)
