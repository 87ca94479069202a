"""`azure:NAME` against a stand-in for the managed identity and the key vault, and what it may not name."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from passport.secrets import SecretUnavailable, open_sealed, seal

TOKEN, HEADER, PASSWORD = "a-token", "identity-header", "tr0ub4dor&3"


class Azure(ThreadingHTTPServer):
    """Both services at one address. `answers` replaces what a path answers: (status, body, headers)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Azure

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, dict(self.headers)))
        if path in self.server.answers:
            status, body, headers = self.server.answers[path]
        elif path == "/token":
            is_right = self.headers.get("X-IDENTITY-HEADER") == HEADER
            status, body, headers = (200 if is_right else 401), json.dumps({"access_token": TOKEN}).encode(), {}
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, body, headers = 401, b"{}", {}
        elif path == "/secrets/hospital-kigali":
            status, body, headers = 200, json.dumps({"value": PASSWORD}).encode(), {}
        else:
            status, body, headers = 404, b"{}", {}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: standard error is the test's."""


@pytest.fixture
def azure(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    server = Azure()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    settings.AZURE_KEY_VAULT = server.address
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.address}/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_secret_is_read_at_use_with_the_machines_identity(azure: Azure) -> None:
    assert seal("azure:hospital-kigali") == "azure:hospital-kigali"
    assert azure.asked == []
    assert open_sealed("azure:hospital-kigali") == PASSWORD
    (token_path, _), (secret_path, _) = azure.asked
    assert token_path == "/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
    assert secret_path == "/secrets/hospital-kigali?api-version=7.4"


@pytest.mark.parametrize(
    "name", ["", "kigali", "SECRET-KEY", "hospital-x/../y", "hospital-x?y", "hospital-x@host", "https://evil/hospital-"]
)
def test_a_name_that_is_no_hospitals_secret_is_refused_before_anybody_is_asked(azure: Azure, name: str) -> None:
    with pytest.raises(SecretUnavailable, match="AZURE_SECRET_PREFIX"):
        seal(f"azure:{name}")
    with pytest.raises(SecretUnavailable):
        open_sealed(f"azure:{name}")
    assert azure.asked == []


def test_without_a_vault_the_reference_is_refused(settings: Any) -> None:
    settings.AZURE_KEY_VAULT = ""
    with pytest.raises(SecretUnavailable, match="AZURE_KEY_VAULT"):
        seal("azure:hospital-kigali")


def test_a_secret_that_is_not_there_is_said(azure: Azure) -> None:
    with pytest.raises(SecretUnavailable, match="no secret of this name"):
        open_sealed("azure:hospital-huye")


@pytest.mark.parametrize(
    "path, answer, said",
    [
        ("/token", (401, b"{}", {}), "refuses us"),
        ("/token", (200, b"{}", {}), "gave no token"),
        ("/token", (200, b'{"access_token": "a\\r\\nX: y"}', {}), "gave no token"),
        ("/secrets/hospital-kigali", (403, b"{}", {}), "refuses us"),
        ("/secrets/hospital-kigali", (500, b"{}", {}), "answered 500"),
        ("/secrets/hospital-kigali", (200, b"[1]", {}), "of no use"),
        ("/secrets/hospital-kigali", (200, b"\xff", {}), "of no use"),
        ("/secrets/hospital-kigali", (200, b'{"value": "' + b"x" * 100_000 + b'"}', {}), "of no use"),
        ("/secrets/hospital-kigali", (200, b'{"value": ""}', {}), "empty"),
    ],
)
def test_every_odd_answer_is_a_sentence_without_the_answer(
    azure: Azure, path: str, answer: tuple[int, bytes, dict[str, str]], said: str
) -> None:
    azure.answers[path] = answer
    with pytest.raises(SecretUnavailable, match=said) as refused:
        open_sealed("azure:hospital-kigali")
    assert TOKEN not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_redirect_is_not_followed(azure: Azure) -> None:
    azure.answers["/secrets/hospital-kigali"] = (302, b"", {"Location": f"{azure.address}/elsewhere"})
    with pytest.raises(SecretUnavailable, match="answered 302"):
        open_sealed("azure:hospital-kigali")
    assert not any(path.startswith("/elsewhere") for path, _ in azure.asked)


def test_a_vault_that_is_gone_is_a_sentence(azure: Azure, settings: Any) -> None:
    settings.AZURE_KEY_VAULT = "http://127.0.0.1:9"
    with pytest.raises(SecretUnavailable, match="does not answer"):
        open_sealed("azure:hospital-kigali")
