"""What every answer carries, also those that no view made; cookies; and that the settings of production are sound."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from passport.middleware import HEADERS
from tests.parts import ROOT
from tests.records import PASSWORD, make_patient

pytestmark = pytest.mark.django_db
PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "k9-Zp2vW8qLrT5xN7mB4cD6fG1hJ3sA0yUeIoPqWzXv_m2Q7tR4nK8bV1cX5",
    "CREDENTIAL_KEYS": "bG9uZy1lbm91Z2gta2V5LWZvci1hLXRlc3Qtb25seSE=",
    "ALLOWED_HOSTS": "passport.example",
    "SECURE_COOKIES": "true",
    "REQUIRE_TOTP": "true",
}


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


def without_headers(answer: Any) -> list[str]:
    return [name for name, value in HEADERS.items() if answer.headers.get(name) != value]


@pytest.mark.parametrize(
    "path, headers, status",
    [
        ("/nothing-here", {}, 404),
        ("/admin/nothing", {}, 302),
        ("/api/nothing", {}, 404),
        ("/", {"Host": "evil.example"}, 400),
        ("/api/me/", {"Host": "evil.example"}, 400),
        ("/favicon.ico", {}, 302),
        ("/static/nothing.css", {}, 404),
    ],
)
def test_what_no_view_answers_carries_them_too(path: str, headers: dict[str, str], status: int) -> None:
    answer = Client(raise_request_exception=False).get(path, headers=headers)
    assert answer.status_code == status
    assert without_headers(answer) == []


@pytest.mark.parametrize("path", ["/", "/api/me/", "/admin/", "/s/" + "A" * 43 + "/"])
def test_without_https_there_is_only_the_way_to_it(path: str, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    client = Client()
    answer = client.get(path, headers={"Host": "localhost"})
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://localhost{path}")
    assert without_headers(answer) == []
    assert "Strict-Transport-Security" not in answer.headers  # by the standard it counts over https only
    secure = client.get(path, secure=True)
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_a_host_that_is_not_ours_is_redirected_nowhere(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = Client(raise_request_exception=False).get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert without_headers(answer) == []


def test_a_page_that_failed_carries_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("passport.views.login.account_of", fail)
    answer = Client(raise_request_exception=False).get("/")
    assert answer.status_code == 500
    assert without_headers(answer) == []
    assert answer.headers["Cache-Control"] == "no-store"
    assert "secret" not in answer.content.decode()


def test_the_policy_makes_no_exception() -> None:
    rules = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert not any(word in HEADERS["Content-Security-Policy"] for word in ("unsafe", "*", "http:", "https:", "nonce"))
    assert {rules[name] for name in ("default-src", "script-src", "style-src", "form-action")} == {"'self'"}
    assert {rules[name] for name in ("object-src", "base-uri", "frame-ancestors")} == {"'none'"}


def test_a_cookie_is_kept_from_scripts_and_from_other_sites(settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.LANGUAGE_COOKIE_SECURE = True
    make_patient(national_id="1199780012345678", username="alice", now=timezone.now())
    client = Client()
    client.get("/", secure=True)
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""}, secure=True)
    client.post("/language/", {"language": "fr", "next": "/"}, secure=True)
    assert set(client.cookies) == {"sessionid", "csrftoken", settings.LANGUAGE_COOKIE_NAME}
    for name, cookie in client.cookies.items():
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax"), name
        assert cookie["domain"] == "", name


def test_a_planted_session_is_not_the_one_that_is_logged_in(settings: Any) -> None:
    """Session fixation: whoever gave a victim their cookie is not inside when the victim is."""
    make_patient(national_id="1199780012345678", username="alice", now=timezone.now())
    thief, victim = Client(), Client()
    planted = thief.session
    planted["planted"] = True
    planted.save()
    for name in ("A" * 32, planted.session_key or ""):
        victim.cookies["sessionid"] = name
        victim.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
        assert victim.cookies["sessionid"].value not in {"", name}
        assert victim.get("/history/").status_code == 200
        thief.cookies["sessionid"] = name
        assert thief.get("/history/").status_code == 302


def test_after_leaving_the_old_cookie_opens_nothing() -> None:
    """T58: neither the way back of the browser nor a copy of the cookie."""
    make_patient(national_id="1199780012345678", username="alice", now=timezone.now())
    client = Client()
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
    page = client.get("/history/")
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    copied = client.cookies["sessionid"].value
    client.post("/log-out/")
    client.cookies["sessionid"] = copied
    assert client.get("/history/").status_code == 302


@pytest.mark.parametrize("path", ["/", "/log-out/", "/language/", "/admin/login/"])
@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "http:///evil.example",
     "javascript:alert(1)", "data:text/html,x", " //evil.example", "/\t/evil.example", "https:evil.example"],
)  # fmt: skip
def test_no_way_back_leads_to_another_site(path: str, target: str) -> None:
    make_patient(national_id="1199780012345678", username="alice", now=timezone.now())
    client = Client()
    form = {"name": "alice", "password": PASSWORD, "next": target, "language": "fr"}
    for answer in (client.post(path, form), client.get(path, {"next": target})):
        where = answer.headers.get("Location", "")
        assert where == "" or (where.startswith("/") and not where.startswith(("//", "/\\"))), where
        assert f'value="{target}"' not in answer.content.decode()


@pytest.mark.slow
def test_the_settings_of_production_pass_djangos_own_check() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        # what the browser's driver needs of the tests' own process
        env={name: said for name, said in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"} | PRODUCTION,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stderr
