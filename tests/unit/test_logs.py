"""What a log line may hold: no National ID, whatever was asked for and whatever went wrong."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from passport.logs import JsonFormatter, WithoutNationalIds

NUMBER = "1199780012345678"
OWN_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(WithoutNationalIds())
    loggers = [logging.getLogger(name) for name in ("django", "django.server", "passport")]
    for logger in loggers:
        logger.addHandler(handler)
    yield written
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        f"/api/patients/{NUMBER}/nothing",
        "/api/patients/1199 7800 1234 5678/nothing",
        "/api/patients/119978/001234/5678/nothing",
        f"/api//patients/{NUMBER}/records/",
        f"/API/patients/{NUMBER}/records/",
        f"/api/me/{NUMBER}",
        f"/patients/{NUMBER}/",
        f"/{NUMBER}",
        f"/nothing/{NUMBER}?q={NUMBER}",
    ],
)
def test_an_address_that_is_none_leaves_no_number_in_the_log(lines: io.StringIO, path: str) -> None:
    assert Client().get(path).status_code == 404
    said = lines.getvalue()
    assert "Not Found: /" in said
    assert not any(part in said for part in (NUMBER, "7800", "5678", "119978"))


@pytest.mark.django_db
def test_our_own_ids_stay_in_the_log(lines: io.StringIO) -> None:
    Client().get(f"/patients/{OWN_ID}/Uwimana/records")
    assert f"/patients/{OWN_ID}/[word]/records" in lines.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/me/Uwimana", "/uwimana/claudine", "/patients/Uwimana%20Claudine/"])
def test_a_name_in_an_address_that_is_none_is_not_logged(lines: io.StringIO, path: str) -> None:
    assert Client().get(path).status_code == 404
    assert "Not Found: /" in lines.getvalue()
    assert not re.search("uwimana|claudine", lines.getvalue(), re.IGNORECASE)


def test_the_development_server_logs_no_number_and_no_query(lines: io.StringIO) -> None:
    logging.getLogger("django.server").info('"%s" %s %s', f"GET /x/{NUMBER}/?q={NUMBER} HTTP/1.1", "404", "9")
    assert '\\"GET /[word]/[number]/ HTTP/1.1\\" 404 9' in lines.getvalue()


def test_a_traceback_is_without_the_texts_of_its_exceptions(lines: io.StringIO) -> None:
    def insert() -> Any:
        try:
            raise IntegrityError(f"DETAIL: Key (number)=({NUMBER}) already exists.")
        except IntegrityError as error:
            raise ValueError(NUMBER) from error

    try:
        insert()
    except ValueError:
        logging.getLogger("passport").exception("could not be stored")
    line = json.loads(lines.getvalue())
    assert NUMBER not in lines.getvalue()
    assert "in insert" in line["traceback"]
    assert line["traceback"].index("IntegrityError") < line["traceback"].index("ValueError")


def test_the_driver_of_mongodb_never_tells_its_commands(caplog: pytest.LogCaptureFixture) -> None:
    """They hold the values of records; LOG_LEVEL=DEBUG is for our own words."""
    caplog.set_level(logging.DEBUG)
    assert not logging.getLogger("pymongo.command").isEnabledFor(logging.INFO)
