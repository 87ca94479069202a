"""What every test stands on: an environment of its own, a private MariaDB, and at the end what was missing."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.utils import translation

from tests.audit_fixtures import liftable_audit  # noqa: F401 - a fixture, autouse
from tests.chromium import browser, open_page  # noqa: F401 - fixtures
from tests.openmrs.server import MariaDBServer
from tests.parts import MISSING, require
from tests.stores import chosen, suites

if settings.configured:  # the run would stand on whatever database they name, and remove it at the end
    raise pytest.UsageError("the settings were read before the tests could say theirs: unset DJANGO_SETTINGS_MODULE")

# One folder per process (pytest-xdist starts several), outside the checkout: the demo may be running there.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
VAR_DIR = Path(tempfile.mkdtemp(prefix=f"passport-tests-{WORKER}-"))
DATABASE_FILE = VAR_DIR / "passport.sqlite3"
(VAR_DIR / "static").mkdir()  # whitenoise warns when collectstatic's folder is not there

# Said before Django reads its settings; what is set here, a developer's .env cannot change. Processes that a test
# starts inherit it, and so meet the test's own database.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "passport.settings",
    "DEBUG": "true",
    "SECRET_KEY": "only-for-tests-only-for-tests-only-for-tests",
    "VAR_DIR": str(VAR_DIR),
    "REDIS_URL": "",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "ALLOWED_SOURCE_NETWORKS": "",
    "NATIONAL_ID_PATTERN": "",
    "REQUIRE_TOTP": "false",
    "TIME_ZONE_DISPLAY": "Africa/Kigali",
} | chosen.urls(sqlite=DATABASE_FILE, worker=WORKER)

MARKED_BY_FIXTURE = {"mariadb": "integration", "real_dumps": "real"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """The workers inherit our environment: named there, they would read the settings before this file has spoken."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_configure() -> None:
    # pytest-django sets up only a Django that something has imported by now; in a single process nothing has.
    django.setup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture, marker in MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if suites.belongs(item):
            item.add_marker("every_store")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.line(chosen.told())
    for report in terminalreporter.stats.get("passed", []):
        for _name, told in (each for each in report.user_properties if each[0] == "store"):
            terminalreporter.line(f"on {told}")
    reasons = Counter(reason for report in terminalreporter.stats.get("skipped", []) if (reason := reason_of(report)))
    if reasons:
        terminalreporter.section("NOT TESTED", sep="!")
        for reason, n_tests in sorted(reasons.items()):
            terminalreporter.line(f"{n_tests} tests, {reason}")


def reason_of(report: pytest.TestReport) -> str:
    """Why this test was skipped, when a missing part was the reason; else the empty string."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    return text[text.index(MISSING) :] if MISSING in text else ""


def pytest_unconfigure() -> None:
    shutil.rmtree(VAR_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The very database of the settings (of SQLite a file, not memory): threads and other processes must see it."""
    from django.db import connections

    for alias in connections:
        settings = connections[alias].settings_dict
        settings["TEST"]["NAME"] = str(settings["NAME"])


@pytest.fixture(scope="session", autouse=True)
def records_apart() -> Iterator[None]:
    with chosen.records_apart():
        yield


@pytest.fixture(autouse=True)
def emptied_records(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if {"db", "transactional_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db"):
        chosen.empty_records()


@pytest.fixture(autouse=True)
def in_the_usual_language() -> Iterator[None]:
    """The language that one test or its pages switched on is not the next one's."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session", autouse=True)
def sown_again() -> Iterator[None]:
    """A test with transactions of its own empties every table; what a migration sowed is there again afterwards."""
    from django.apps import apps
    from django.db.models.signals import post_migrate

    def sow(sender: Any, **_named: Any) -> None:
        from passport.models import SensitiveConcept

        if sender.label == "passport" and not SensitiveConcept.objects.exists():
            import_module("passport.migrations.0010_sensitive_ciel_concepts").sow(apps, None)

    post_migrate.connect(sow)
    yield
    post_migrate.disconnect(sow)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """One private server per process. Tests make databases in it, under names of their own."""
    require("mariadb")
    with MariaDBServer() as server:
        yield server


@pytest.fixture(scope="session")
def real_dumps() -> Path:
    """The folder with demo/*.sql.gz and schema/*.sql.gz of real OpenMRS installs."""
    return require("openmrs dumps")
