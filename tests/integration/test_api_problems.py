"""What goes wrong over the API is a problem document; what the API is says its schema; and the probes."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from openmrs_sync.models import Heartbeat

pytestmark = pytest.mark.django_db
NOW = dt.datetime.now(dt.UTC)


def is_problem(answer: Any, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == body["status"] == status
        and answer["Content-Type"] == "application/problem+json"
        and {"type", "title", "status", "detail"} <= set(body)
        and body["detail"] != ""
    )


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api/patients/1199780012345678/", "/api/me/nothing/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_address_that_is_none_is_a_404_problem(path: str, method: str, debug: bool, settings: Any) -> None:
    settings.DEBUG = debug
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert is_problem(answer, 404)
    assert "1199" not in answer.content.decode()


def test_a_page_that_is_none_is_no_problem_document() -> None:
    answer = Client().get("/nothing-here/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_a_method_that_is_none_is_a_405_problem() -> None:
    answer = Client().get("/api/auth/token/")
    assert is_problem(answer, 405)
    assert "POST" in answer["Allow"]


def test_a_body_that_is_no_json_is_a_400_problem() -> None:
    assert is_problem(Client().post("/api/auth/token/", "{", content_type="application/json"), 400)


@pytest.mark.parametrize("path", ["/api/auth/token/", "/api/auth/refresh", "/api/auth/logout"])
@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000])
def test_a_body_that_is_nested_too_deep_is_a_400_problem(path: str, body: str) -> None:
    assert is_problem(Client().post(path, body, content_type="application/json"), 400)


def test_a_body_of_another_type_is_a_415_problem() -> None:
    assert is_problem(Client().post("/api/auth/token/", {"username": "x"}), 415)


def test_a_host_that_is_not_ours_is_a_400_problem() -> None:
    assert is_problem(Client(raise_request_exception=False).get("/api/me/", headers={"Host": "evil"}), 400)


def test_what_nobody_expected_is_a_500_problem_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a secret 1199780012345678")

    monkeypatch.setattr("passport.api.views.check_login", fail)
    answer = Client().post("/api/auth/token/", {"username": "x", "password": "y"}, content_type="application/json")
    assert is_problem(answer, 500)
    assert "secret" not in answer.content.decode()


def test_the_schema_is_made_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    assert "openapi: 3" in (tmp_path / "schema.yml").read_text()


def test_every_api_address_is_in_the_schema() -> None:
    paths = set(json.loads(Client().get("/api/schema/?format=json").content)["paths"])
    unlisted = {"schema", "api-docs", "api-nothing"}
    named = [
        (name, key)
        for resolver in get_resolver().url_patterns
        if getattr(resolver, "pattern", None) is not None and str(resolver.pattern) == "api/"
        for key in _routes(resolver)
        for name in [key[1]]
    ]
    assert len(paths) == len([name for name, _ in named if name not in unlisted])


def _routes(resolver: Any) -> list[tuple[str, str]]:
    found = []
    for pattern in resolver.url_patterns:
        found += _routes(pattern) if hasattr(pattern, "url_patterns") else [(str(pattern.pattern), pattern.name)]
    return found


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_the_docs_bring_no_inline_script_or_style(path: str) -> None:
    html = Client().get(path).content.decode()
    assert "swagger-ui" in html
    assert "<style" not in html
    assert all("src=" in tag for tag in html.split("<script")[1:])
    script = Client().get(f"{path}?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "SwaggerUIBundle" in script.content.decode()


# --- probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health/live", "/health/live/"])
def test_a_process_that_answers_is_alive(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/health/ready", "/health/ready/"])
def test_it_is_ready_when_the_database_answers_and_a_tick_came(path: str) -> None:
    Heartbeat.objects.create(name="tick", at=timezone.now())
    answer = Client().get(path)
    assert (answer.status_code, answer.json()["checks"]) == (200, {"database": "ok", "worker": "ok"})


@pytest.mark.parametrize("age", [None, dt.timedelta(minutes=30)])
def test_it_is_not_ready_when_no_tick_came(age: dt.timedelta | None) -> None:
    if age:
        Heartbeat.objects.create(name="tick", at=NOW - age)
    answer = Client().get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "ok")
    assert answer.json()["checks"]["worker"] != "ok"


def test_it_is_not_ready_when_the_database_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> bool:
        raise DatabaseError("host db.internal password x")

    monkeypatch.setattr("passport.upward.is_worker_alive", fail)
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert "db.internal" not in answer.content.decode()
