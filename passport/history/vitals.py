"""Vital signs by what they are: in which order they are read, and which two numbers are one blood pressure. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence

from passport.history.results import code_said
from passport.history.shapes import RecordView

#: CIEL: systolic and diastolic blood pressure, which mean something only together.
PRESSURE = UPPER, LOWER = ("5085", "5086")
#: CIEL codes in the order in which measurements are read: pressure, pulse, temperature, breath, oxygen, weight, height.
VITAL_ORDER = (*PRESSURE, "5087", "5088", "5242", "5092", "5089", "5090")
#: Where all of it is the same, it is one measurement.
Moment = tuple[str, str, str, str, int | None, int | None, str | None, str]


def code_of(record: RecordView) -> str:
    """CIEL's, as far as the record itself tells it; else empty."""
    return code_said(rule=record.category_rule, concept_uuid=record.concept_uuid)


def vitals_in_order(found: Sequence[RecordView]) -> list[RecordView]:
    def place(record: RecordView) -> int:
        code = code_of(record)
        return VITAL_ORDER.index(code) if code in VITAL_ORDER else len(VITAL_ORDER)

    return sorted(found, key=place)


def moment_of(record: RecordView) -> Moment:
    state = (record.status, record.withdrawn_reason, str(record.details.get("status", "")))
    return (*state, record.hospital, record.group, record.encounter, record.at_local, record.unit)


def pressures(
    records: Sequence[RecordView], *, code: Callable[[RecordView], str] = code_of
) -> Mapping[str, RecordView]:
    """The id of an upper number → the lower one of the same measurement. Numbers in one unit, at one hospital.

    Measured twice at one moment nobody can say which belong together: then each stands alone. `code`: CIEL's.
    """
    of_moment: dict[Moment, dict[str, list[RecordView]]] = {}
    for record in records:
        if (
            (found := code(record)) in PRESSURE
            and record.value_number is not None
            and math.isfinite(record.value_number)
        ):
            of_moment.setdefault(moment_of(record), {}).setdefault(found, []).append(record)
    both = [(numbers.get(UPPER, []), numbers.get(LOWER, [])) for numbers in of_moment.values()]
    return {uppers[0].id: lowers[0] for uppers, lowers in both if len(uppers) == len(lowers) == 1}
