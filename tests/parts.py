"""Parts of the machine that some tests need: a browser, a server, files beside the checkout.

A test that misses its part is skipped, and the end of the run says so. Under CI_STRICT it fails instead: there
everything is installed, and a skipped test would prove nothing.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
SBIN = ":/usr/local/sbin:/usr/sbin:/sbin"  # an ordinary user's PATH leaves them out, and mariadbd is there
MISSING = "missing here: "  # every skip of ours begins so; the summary counts by it


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`find` returns where the part is, or None."""

    find: Callable[[], Path | None]
    remedy: str


def program(*names: str) -> Path | None:
    """The first of these programs that is installed."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + SBIN)
        if found:
            return Path(found)
    return None


def newest_postgresql() -> Path | None:
    """The folder of initdb and postgres, which Debian keeps off the PATH."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True
    )
    found = folders[0] if folders else program("initdb")
    return found.parent if found else None


def dumps() -> Path | None:
    """The dumps of real OpenMRS installs; they are not part of the repository."""
    folder = Path(os.environ.get("OPENMRS_DUMPS") or ROOT.parent / "shared" / "openmrs")
    return folder if (folder / "demo").is_dir() else None


def mongodb() -> Path | None:
    from tests.stores.mongodb import find_mongod  # its driver is an extra

    return find_mongod()


def fhir_validator() -> Path | None:
    from tests.fhir.validator import find_validator  # installs it once

    return find_validator()


PARTS = {
    "mariadb": Part(find=lambda: program("mariadbd"), remedy="apt-get install mariadb-server-core mariadb-client-core"),
    "chromium": Part(
        find=lambda: program("chromium", "chromium-browser", "google-chrome"),
        remedy="apt-get install chromium fonts-dejavu-core",
    ),
    "postgresql": Part(find=newest_postgresql, remedy="apt-get install postgresql"),
    "redis": Part(
        find=lambda: program("redis-server", "valkey-server", "redis-check-rdb"), remedy="apt-get install redis-tools"
    ),
    "mongodb": Part(
        find=mongodb,
        remedy="set MONGOD to a mongod, or let pip install the imitation named in tests/stores/mongodb.py",
    ),
    "fhir-validator": Part(find=fhir_validator, remedy="install node and npm, and let npm reach its registry once"),
    "msgfmt": Part(find=lambda: program("msgfmt"), remedy="apt-get install gettext"),
    "git": Part(find=lambda: program("git") if (ROOT / ".git").exists() else None, remedy="run from a git clone"),
    "openmrs dumps": Part(find=dumps, remedy="set OPENMRS_DUMPS to the folder that holds demo/ and schema/"),
}


def require(part: str) -> Path:
    """Where this part is; without it the test is skipped, or fails under CI_STRICT."""
    found = PARTS[part].find()
    return found or missing(part, PARTS[part].remedy)


def require_path(path: str) -> Path:
    """A file or folder of the repository that somebody has yet to write."""
    return ROOT / path if (ROOT / path).exists() else missing(path, "it is yet to be written")


def missing(what: str, remedy: str) -> NoReturn:
    reason = f"{MISSING}{what} ({remedy})"
    if os.environ.get("CI_STRICT"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
