"""Texts, numbers, dates and flags as they are shown."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from openmrs_sync.rows import UNDATED

#: A clinical date outside these years is a typing error.
FIRST_YEAR, LAST_YEAR = 1880, 2100
_LARGEST_EXACT = 1e15
# made once: json.dumps would make an encoder for each text
_to_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class Moments(dict[dt.datetime | None, tuple[str | None, int]]):
    """The hospital's naive time → (as it is shown, UTC seconds for order). Remembers: an encounter's rows share one.

    An absent or impossible time is (None, UNDATED). `fold=0`: an hour that came twice is the first of the two.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, moment: dt.datetime | None) -> tuple[str | None, int]:
        shown: tuple[str | None, int] = (None, UNDATED)
        if isinstance(moment, dt.datetime) and FIRST_YEAR <= moment.year <= LAST_YEAR:
            utc_seconds = int(moment.replace(tzinfo=self._zone, fold=0).timestamp())
            shown = moment.isoformat(" ", "seconds"), utc_seconds
        self[moment] = shown
        return shown


def clean(text: str) -> str:
    """Without NUL, which PostgreSQL takes in no text."""
    return text.replace("\x00", "") if "\x00" in text else text


def number_text(number: float) -> str:
    """98.0 → "98", 36.6 → "36.6"."""
    if number == int(number) and abs(number) < _LARGEST_EXACT:
        return str(int(number))
    return repr(number)


def moment_text(moment: dt.datetime, datatype: str) -> str:
    """A concept of datatype Date means the day only, one of Time the hour only, whatever the column holds."""
    if datatype == "Date":
        return moment.strftime("%Y-%m-%d")
    if datatype == "Time":
        return moment.strftime("%H:%M")
    return moment.isoformat(" ", "minutes")


def complex_text(value: str) -> str:
    """`title |file key` → the title; a bare path → its last part. The bytes are on the hospital's disk."""
    title, _, key = value.partition("|")
    return title.strip() if key and title.strip() else (key or value).strip().rpartition("/")[2]


def details_json(details: Mapping[str, object]) -> str:
    """What is known, with sorted keys: equal details must be equal text, or every refresh would change the record."""
    known = {key: value for key, value in details.items() if value not in (None, "", [])}
    if not known:
        return "{}"
    return _to_json(known).replace("\\u0000", "")


# ----------------------------------------------------------------------------------------- flags

#: obs.interpretation (2.1+) → flag. What is not here (POSITIVE, RESISTANT, …) is no flag and goes into the details.
INTERPRETATIONS = {
    "NORMAL": "normal",
    "LOW": "low",
    "HIGH": "high",
    "CRITICALLY_LOW": "critically_low",
    "CRITICALLY_HIGH": "critically_high",
    "ABNORMAL": "abnormal",
    "CRITICALLY_ABNORMAL": "abnormal",
    "OFF_SCALE_LOW": "low",
    "OFF_SCALE_HIGH": "high",
}


class Bounds(NamedTuple):
    """A reference range; any bound may be unknown."""

    low: float | None
    high: float | None
    low_critical: float | None
    high_critical: float | None


def flag_of(number: float, modifier: str | None, bounds: Bounds) -> str | None:
    """Return the flag that the range gives, None where nothing can be said.

    As OpenMRS 2.7+ computes it (ObsSaveHandler): a critical bound belongs to the critical side, a normal bound to the
    normal one. But `normal` needs both normal bounds: RefApp's respiratory rate has only an upper one, 70, and neither
    5 nor 45 breaths a minute are normal. "<5" says that the value is below 5: it can be low, never high nor normal.
    """
    low, high, low_critical, high_critical = bounds
    is_below, is_above = modifier in ("<", "<="), modifier in (">", ">=")
    if not is_below:
        if high_critical is not None and number >= high_critical:
            return "critically_high"
        if high is not None and (number > high or (modifier == ">" and number == high)):
            return "high"
    if not is_above:
        if low_critical is not None and number <= low_critical:
            return "critically_low"
        if low is not None and (number < low or (modifier == "<" and number == low)):
            return "low"
    return "normal" if low is not None and high is not None and not modifier else None
