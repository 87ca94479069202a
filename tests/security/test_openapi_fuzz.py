"""The whole OpenAPI document, asked by everybody: no 500, no answer that the document does not know.

Bodies, parameters and paths are made from the document by schemathesis, from a fixed seed; half of those that name a
patient name one who is there.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from passport.wsgi import application
from tests.security import matrix
from tests.security.matrix import World, undone

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ROLES = ("anonymous", "own", "relation", "admin")
#: Half of an address' names are real ones.
KNOWN = {"national_id", "run_id"}


@pytest.fixture
def world(settings: Any) -> Iterator[World]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # What is made up may be a hospital's address; nothing is to be called.
    settings.ALLOWED_SOURCE_NETWORKS = []
    # As Django's own test client does: the connection is the test's, and a request's end must not close it.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield matrix.build()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask_everything(world: World, *, n_examples: int) -> int:
    """Ask every operation so often, each time as everybody; returns how many operations there were."""
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    n_operations = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        n_operations += 1
        real = {name: str(world.values[name]) for name in KNOWN if f"{{{name}}}" in operation.path}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for path in [real, {}] if real else [{}]:
                ask(world, operation, mode=mode, path=path, n_examples=n_examples)
    return n_operations


def ask(world: World, operation: Any, *, mode: Any, path: dict[str, str], n_examples: int) -> None:
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=path or None))
    @settings(
        max_examples=n_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        for role in ROLES:
            with undone():
                answer = case.call(headers=world.bearer(role))
                case.validate_response(answer, checks=CHECKS)

    each()


def test_no_made_up_request_gets_an_answer_that_is_not_in_the_document(world: World) -> None:
    assert ask_everything(world, n_examples=1) >= 20


@pytest.mark.slow
def test_nor_do_many_of_them(world: World) -> None:
    assert ask_everything(world, n_examples=12) >= 20
