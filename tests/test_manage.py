"""manage.py refuses to start with a wrong setting, and says which in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import ROOT

RIGHT = {"DEBUG": "true", "SECRET_KEY": "s" * 40, "CREDENTIAL_KEYS": "", "DATABASE_URL": ""}


def manage(*arguments: str, var: Path, **wrong: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, **RIGHT, "VAR_DIR": str(var), **wrong},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgres://user:secret@host:port/passport"),
        ("DATABASE_URL", "mysql://user:secret@[::1/passport"),
        ("CREDENTIAL_KEYS", "no-key"),
        ("TIME_ZONE_DISPLAY", "Mars/Olympus"),
    ],
)
@pytest.mark.parametrize("command", ["check", "sync"])
def test_a_wrong_setting_is_one_sentence_that_names_it(tmp_path: Path, command: str, name: str, value: str) -> None:
    answer = manage(command, var=tmp_path, **{name: value})
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(name)
    assert answer.stderr.count("\n") == 1
    assert "secret" not in answer.stderr


def test_without_a_secret_key_nothing_starts(tmp_path: Path) -> None:
    answer = manage("check", var=tmp_path, DEBUG="false", SECRET_KEY="")
    assert answer.returncode == 2
    assert answer.stderr.startswith("SECRET_KEY is not set.")
    assert "Traceback" not in answer.stderr


def test_who_asks_for_the_traceback_gets_it(tmp_path: Path) -> None:
    answer = manage("check", "--traceback", var=tmp_path, TIME_ZONE_DISPLAY="Mars/Olympus")
    assert answer.returncode == 1
    assert "Traceback" in answer.stderr


def test_right_settings_start(tmp_path: Path) -> None:
    assert manage("version", var=tmp_path).returncode == 0
