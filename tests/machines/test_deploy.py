"""What stands in compose files, units and the Dockerfile is what there is: settings, commands, files, packages.

No container is started here, and no unit: that needs Docker and systemd as process 1.
"""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from django.core.management import get_commands

from tests.parts import ROOT
from tests.test_repository import settings_explained

COMPOSE = ("compose.yaml", "compose.host.yaml")
UNITS = ("passport-web", "passport-worker")
TEXTS = (*COMPOSE, "Dockerfile", "docs/operations.md", *(f"deploy/systemd/{name}.service" for name in UNITS))
KEYS = {"SECRET_KEY_FILE", "CREDENTIAL_KEYS_FILE", "AUDIT_KEY_FILE", "DATABASE_URL_FILE"}


def compose(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def ours(name: str) -> dict[str, Any]:
    """The services that run our image."""
    return {key: one for key, one in compose(name)["services"].items() if one["image"] == "patient-passport"}


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(ROOT / f"deploy/systemd/{name}.service")
    return parsed


def copied() -> dict[str, str]:
    """What the image gets of the checkout: source → target."""
    pairs = {}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, target = line.split()[1:]
            pairs |= dict.fromkeys(sources, target)
    return pairs


@pytest.mark.parametrize("name", COMPOSE)
def test_services_name_settings_that_exist_and_all_have_the_same_keys(name: str) -> None:
    services = ours(name)
    assert {"web", "worker"} <= services.keys()
    for one in services.values():
        names = set(one["environment"])
        assert {each.removesuffix("_FILE") for each in names} <= settings_explained()
        assert names >= KEYS
    assert len({str(sorted(one["environment"].items())) for one in services.values()}) == 1


@pytest.mark.parametrize("name", COMPOSE)
def test_every_secret_that_a_service_reads_is_a_file_and_is_given_to_it(name: str) -> None:
    declared = compose(name)["secrets"]
    for one in compose(name)["services"].values():
        read = {
            value.removeprefix("/run/secrets/")
            for value in map(str, one.get("environment", {}).values())
            if value.startswith("/run/secrets/")
        }
        assert read == set(one.get("secrets", []))
        assert read <= declared.keys()
    assert all(each["file"].startswith("./deploy/secrets/") for each in declared.values())


def test_no_secret_can_be_committed_by_mistake() -> None:
    for folder in ("deploy/secrets", "deploy/tls"):
        assert (ROOT / folder / ".gitignore").read_text() == "*\n!.gitignore\n"


@pytest.mark.parametrize("name", TEXTS)
def test_only_commands_that_exist_are_run(name: str) -> None:
    named = re.findall(r"manage\.py[\"', ]+([a-z_]+)\b(?!\.)", (ROOT / name).read_text())
    assert named or name == "Dockerfile"
    assert set(named) <= get_commands().keys()


def test_web_is_started_in_one_way_everywhere() -> None:
    wanted = "gunicorn passport.wsgi --no-control-socket --worker-class gthread --workers 2 --threads 4"
    for name in TEXTS:
        if name.endswith("worker.service"):
            continue
        words = " ".join(re.sub(r"[\",\[\]]", " ", (ROOT / name).read_text()).split())
        assert wanted in words, name


@pytest.mark.parametrize("name", COMPOSE)
def test_workers_have_time_to_end_their_batch(name: str) -> None:
    assert ours(name)["worker"]["stop_grace_period"] == "35s"
    assert unit("passport-worker")["Service"]["TimeoutStopSec"] == "35"


@pytest.mark.parametrize("name", UNITS)
def test_units_are_hardened_and_whole(name: str) -> None:
    service = unit(name)["Service"]
    for option in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices", "RestrictNamespaces"):
        assert service[option] == "true"
    assert (service["ProtectSystem"], service["KillMode"], service["User"]) == ("strict", "mixed", "passport")
    assert service["CapabilityBoundingSet"] == ""
    assert unit(name)["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line_of_a_unit(name: str, tmp_path: Path) -> None:
    """Where systemd-analyze is not installed, nothing is proved by this."""
    if program := shutil.which("systemd-analyze"):
        # but for the program, which is not installed where the unit says
        text = re.sub(
            r"^(ExecStart(?:Pre)?)=.*",
            r"\1=/bin/true",
            (ROOT / f"deploy/systemd/{name}.service").read_text(),
            flags=re.M,
        )
        (tmp_path / f"{name}.service").write_text(text)
        done = subprocess.run(
            [program, "verify", "--man=no", str(tmp_path / f"{name}.service")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_image_gets_files_that_exist_and_that_are_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied()) == kept
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_packages_of_the_image_are_those_of_the_script_and_of_the_lock() -> None:
    text = (ROOT / "Dockerfile").read_text()
    built = re.findall(r"install -y --no-install-recommends (.*) \\", text)
    assert {"gcc", "libc6-dev", "pkg-config", "default-libmysqlclient-dev"} == set(built[0].split())
    lock = (ROOT / "requirements/base.txt").read_text()
    for name in ("psycopg", "redis", "weasyprint", "gunicorn", "mysqlclient"):
        assert re.search(rf"^{name}==", lock, re.MULTILINE)
    assert "--require-hashes" in text


@pytest.mark.slow
def test_what_the_image_holds_is_enough_to_start(tmp_path: Path) -> None:
    """Its files in a folder, its collectstatic, its check: with the packages of this machine."""
    for name, target in copied().items():
        if name.startswith("requirements/"):
            continue
        to = tmp_path / "image" / ("." if target == "./" else target)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to)
    environment = {
        "PATH": os.environ["PATH"],
        "VAR_DIR": str(tmp_path / "var"),
        "SECRET_KEY": "only-while-static-files-are-collected",
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
    }
    for arguments in (["collectstatic", "--noinput"], ["migrate"], ["check", "--database", "default"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tmp_path / "image",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
