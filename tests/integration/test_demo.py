"""`./run demo` as a user meets it: it becomes ready, its logins work, its pulse is felt, it leaves nothing behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.openmrs.server import free_port
from tests.parts import ROOT, require

READY_SECONDS = 150.0  # on a laden machine; alone it takes a tenth of that
END_SECONDS = 45.0
NEW_ROW_SECONDS = 200.0

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(400)]


@dataclass(kw_only=True)
class RunningDemo:
    process: subprocess.Popen[bytes]
    var: Path
    output: Path
    url: str

    @property
    def logins(self) -> dict[str, Any]:
        """By role; of several the first."""
        found = json.loads((self.var / "demo-logins.json").read_text())
        return {login["role"]: login for login in reversed(found["logins"])}

    def call(self, path: str, *, role: str, body: object = None) -> Any:
        """What the API answers to this role."""
        login = self.logins[role]
        access = _ask(f"{self.url}/api/auth/token/", {key: login[key] for key in ("username", "password")})["access"]
        return _ask(self.url + path, body, access)

    def end(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)


def _ask(url: str, body: object = None, access: str = "") -> Any:
    content = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=content, headers={"Content-Type": "application/json"})
    if access:
        request.add_header("Authorization", f"Bearer {access}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def environment(var: Path, port: int) -> dict[str, str]:
    return os.environ | {"VAR_DIR": str(var), "PORT": str(port)}


def start(var: Path) -> RunningDemo:
    """Start a demo with its files below `var`, and return when it says that it is ready."""
    port, output = free_port(), var / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.openmrs.demo"],
            cwd=ROOT,
            env=environment(var, port),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_SECONDS
    while not (found := re.search(r"^Ready: (\S+)$", output.read_text(), re.MULTILINE)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            pytest.fail(f"The demo did not become ready:\n{output.read_text()}")
        time.sleep(0.2)
    return RunningDemo(process=process, var=var, output=output, url=found[1])


def try_once(*, var: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Start a demo that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "tests.openmrs.demo"],
        cwd=ROOT,
        env=environment(var, port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processes_of(var: Path) -> list[str]:
    """Command lines of the live processes that carry this folder in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"VAR_DIR={var}".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue  # it ended while we looked, or is somebody else's
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    require("mariadb")
    running = start(tmp_path_factory.mktemp("demo"))
    yield running
    if running.process.poll() is None:
        running.end()


def test_a_patient_of_the_demo_reads_one_history_from_two_hospitals(demo: RunningDemo) -> None:
    page = demo.call("/api/me/records/", role="patient")

    hospitals = {record["hospital"] for record in page["results"]}
    while page["next"] and len(hospitals) < 2:
        page = demo.call(page["next"].removeprefix(demo.url), role="patient")
        hospitals |= {record["hospital"] for record in page["results"]}
    assert hospitals == {"muhazi", "rugezi"}
    assert {line["hospital"]: line["state"] for line in page["freshness"]} == {
        "muhazi": "fresh",
        "rugezi": "fresh",
        "nyungwe": "unreachable",
    }


def test_the_demos_doctor_finds_the_patient_that_the_table_names(demo: RunningDemo) -> None:
    national_id = re.search(r"search for (\d+)", demo.logins["doctor"]["sees"])

    assert national_id
    assert demo.call(f"/api/patients/{national_id[1]}/records/", role="doctor")["results"]


def test_the_demos_admin_sees_three_hospitals_and_a_worker(demo: RunningDemo) -> None:
    status = demo.call("/api/openmrs-sync/status", role="admin")

    assert status["running"]
    assert status["worker_alive"]
    assert {line["code"]: line["last_error_kind"] for line in status["hospitals"]} == {
        "muhazi": None,
        "rugezi": None,
        "nyungwe": "unreachable",
    }


def test_the_demos_logins_are_readable_by_their_owner_only(demo: RunningDemo) -> None:
    assert stat.S_IMODE((demo.var / "demo-logins.json").stat().st_mode) == 0o600


def test_every_login_of_the_demo_is_printed(demo: RunningDemo) -> None:
    printed = demo.output.read_text()

    assert [login["role"] for login in demo.logins.values() if login["password"] not in printed] == []


def test_a_row_that_the_demo_doctor_adds_reaches_the_patient(demo: RunningDemo) -> None:
    def newest() -> str:
        return str(demo.call("/api/me/records/?hospital=muhazi", role="patient")["results"][0]["id"])

    before = newest()
    deadline = time.monotonic() + NEW_ROW_SECONDS
    while newest() == before:
        assert time.monotonic() < deadline, "No new row came."
        time.sleep(5)


def test_a_second_demo_in_the_same_folder_is_refused(demo: RunningDemo) -> None:
    refused = try_once(var=demo.var, port=free_port())

    assert refused.returncode == 1
    assert "running already" in refused.stderr
    assert demo.process.poll() is None


def test_a_busy_port_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        refused = try_once(var=tmp_path, port=taken.getsockname()[1])

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "is in use" in refused.stderr


def test_a_port_that_is_no_number_is_refused_in_one_sentence(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "tests.openmrs.demo"],
        cwd=ROOT,
        env=os.environ | {"VAR_DIR": str(tmp_path), "PORT": "http"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert refused.stderr.startswith("demo: PORT must be a number")


def test_the_demo_says_which_part_died_and_starts_afresh_after_it_and_ends_without_a_trace(tmp_path: Path) -> None:
    require("mariadb")
    first = start(tmp_path)
    passwords = {login["password"] for login in first.logins.values()}
    (web,) = {
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _is_child_web(folder, first.process.pid)
    }
    os.kill(web, signal.SIGKILL)
    assert first.process.wait(END_SECONDS) == 1
    assert "The web ended by itself" in first.output.read_text()
    assert processes_of(tmp_path) == []

    second = start(tmp_path)
    assert passwords.isdisjoint(login["password"] for login in second.logins.values())
    assert second.end() == 0
    assert processes_of(tmp_path) == []


def _is_child_web(folder: Path, parent: int) -> bool:
    try:
        is_ours = f"\nPPid:\t{parent}\n" in (folder / "status").read_text()
        return is_ours and b"gunicorn" in (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
