"""A FHIR validator that we did not write: the npm package `fhir`, installed for the tests into var/."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[2] / "var" / "fhir-validator"
PACKAGE = "fhir@4.12.0"


def find_validator() -> Path | None:
    """Where it is, installed first if node and npm are there and the package can be had; None otherwise."""
    if shutil.which("node") is None:
        return None
    if not (HOME / "node_modules" / "fhir").is_dir():
        if shutil.which("npm") is None:
            return None
        HOME.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(HOME), PACKAGE]
        if subprocess.run(install, check=False, capture_output=True, timeout=100, cwd=HOME).returncode:
            return None
    return HOME


def errors_of(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """What the validator calls an error, unknown elements too. The resource goes by standard input."""
    script = Path(__file__).with_name("validate.cjs")
    done = subprocess.run(
        ["node", str(script), str(HOME)],
        check=False,
        input=json.dumps(resource),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
