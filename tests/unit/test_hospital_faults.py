"""What the driver's numbers mean for us."""

import pytest

from hospitals.errors import (
    HospitalMisconfigured,
    HospitalUnreachable,
    SchemaMismatch,
    SourceError,
    WrongCredentials,
)
from hospitals.faults import fault_from_code

SECRET = "1199080012345678"


@pytest.mark.parametrize("code", [2002, 2003, 2005, 2006, 2013, 1040, 1205, 1213, 1412, 1969, 3024, 1317, 1927])
def test_what_may_pass_by_itself_is_transient(code: int) -> None:
    error = fault_from_code(code, SECRET)
    assert isinstance(error, HospitalUnreachable)
    assert error.is_transient


@pytest.mark.parametrize(
    "code, kind",
    [
        (1045, WrongCredentials),
        (1130, WrongCredentials),
        (1044, HospitalMisconfigured),
        (1049, HospitalMisconfigured),
        (1142, HospitalMisconfigured),
        (2026, HospitalMisconfigured),
        (5010, HospitalMisconfigured),
        (1054, SchemaMismatch),
        (1146, SchemaMismatch),
    ],
)
def test_what_needs_a_human_is_not_transient(code: int, kind: type[SourceError]) -> None:
    error = fault_from_code(code, SECRET)
    assert isinstance(error, kind)
    assert not error.is_transient


def test_an_unknown_number_is_internal_and_told_by_its_number() -> None:
    error = fault_from_code(1064, SECRET)
    assert error.kind == "internal"
    assert "1064" in str(error)


@pytest.mark.parametrize("code", [0, 1045, 1049, 1054, 1064, 1146, 1205, 2013, 2026, 5010])
def test_the_drivers_text_is_not_repeated(code: int) -> None:
    assert SECRET not in str(fault_from_code(code, f"near {SECRET} at line 1"))


@pytest.mark.parametrize(
    "code, text, name",
    [
        (1054, "Unknown column 'o.interpretation' in 'field list'", "o.interpretation"),
        (1146, "Table 'openmrs.visit' doesn't exist", "openmrs.visit"),
    ],
)
def test_a_missing_name_of_the_schema_is_told(code: int, text: str, name: str) -> None:
    assert name in str(fault_from_code(code, text))


def test_every_sentence_ends_in_a_next_step() -> None:
    for code in (1045, 1049, 1064, 1205, 1412, 2003, 2013, 2026, 5010):
        message = str(fault_from_code(code, ""))
        assert message.endswith(".")
        assert message.count(". ") >= 1
