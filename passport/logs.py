"""Logs: JSON lines of events, ids and counts. No National ID, not even by way of a request path."""

import json
import logging
import re
import traceback
from pathlib import Path
from typing import Any

#: The two API paths that carry a National ID.
_PATHS = re.compile(r"(/api/patients/|/sync-patient/)[^/\s?\"']+")


def without_national_ids(text: str) -> str:
    return _PATHS.sub(r"\1[number]", text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return without_national_ids(value)
    if isinstance(value, tuple):
        return tuple(_cleaned(part) for part in value)
    return value


class WithoutNationalIds(logging.Filter):
    """Takes the number out of request paths in messages, their arguments and the request that rides along."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _cleaned(record.msg)
        record.args = _cleaned(record.args)
        # django.request attaches the request object, django.server a socket: neither belongs into a log.
        record.__dict__.pop("request", None)
        return True


def where(error: BaseException) -> str:
    """An exception as class and line, without its text: that may hold what was in a row."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if frames
        else repr(type(error))
    )


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
        if record.exc_info:
            line["traceback"] = without_national_ids(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)
