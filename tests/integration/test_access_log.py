"""The web server's own log, which does not pass through ours."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.openmrs.server import free_port

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "1199780012345678"


def test_gunicorns_access_log_holds_no_path(tmp_path: Path) -> None:
    port, written = free_port(), tmp_path / "access.log"
    command = [sys.executable, "-m", "gunicorn", "passport.wsgi", "-b", f"127.0.0.1:{port}"]
    server = subprocess.Popen([*command, "--access-logfile", str(written)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        assert _status(f"http://127.0.0.1:{port}/patients/{NUMBER}?q={NUMBER}") == 404
    finally:
        server.terminate()
        server.wait(30)
    assert "GET 404" in written.read_text()
    assert NUMBER not in written.read_text()


def test_gunicorns_error_log_quotes_no_request_even_at_debug(tmp_path: Path) -> None:
    """T83"""
    port, written = free_port(), tmp_path / "error.log"
    command = [sys.executable, "-m", "gunicorn", "passport.wsgi", "-b", f"127.0.0.1:{port}", "--log-level", "debug"]
    server = subprocess.Popen([*command, "--error-logfile", str(written)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        assert _status(f"http://127.0.0.1:{port}/nothing/{NUMBER}?q={NUMBER}") == 404
        for line in (f"GET /api/patients/{NUMBER} nonsense", f"{NUMBER}"):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(f"{line}\r\n\r\n".encode())
                assert client.recv(100).startswith(b"HTTP/1.1 400")
    finally:
        server.terminate()
        server.wait(30)
    said = written.read_text()
    assert said.count("Invalid request from [left out]") == 2
    assert NUMBER not in said


def _status(url: str) -> int:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=30)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:  # it is not up yet
            time.sleep(0.1)
    raise AssertionError("The web server did not come up.")
