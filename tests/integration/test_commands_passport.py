"""register_patients, create_account, audit_verify: as typed in a shell, with their exit status."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from passport.audit import record_event
from passport.models import AuditEvent, Patient, User
from passport.registration import register_patient
from tests.audit_fixtures import lifted_audit
from tests.records import make_hospital

pytestmark = pytest.mark.django_db
NUMBER = "1199780012345678"
PASSWORD = "a-long-password-for-tests"


def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            call_command(*arguments, stdout=out, stderr=err)
        except CommandError as error:
            return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    return 0, out.getvalue(), err.getvalue()


def create(*arguments: str, password: str = PASSWORD) -> tuple[int, str, str]:
    return run("create_account", *arguments, "--password-stdin", stdin=f"{password}\n")


def test_register_patients_names_bad_lines_by_number_and_exits_1(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"national_id,given_name,family_name,birth_date,sex\n{NUMBER},A,B,,\n77,Secret,,,\n")
    status, out, err = run("register_patients", str(path))
    assert (status, out) == (1, "created 1, known 0, refused 1\n")
    assert "line 3: " in err
    assert "77" not in err
    assert "Secret" not in err


@pytest.mark.parametrize(
    "arguments, password",
    [
        (("a\udcffb", "--role", "admin"), PASSWORD),
        (("bob", "--role", "doctor", "--hospital", "h\udcff"), PASSWORD),
        (("bob", "--role", "admin"), "a-long-pass\udcffword"),
    ],
)
def test_create_account_refuses_bytes_that_are_not_utf8(arguments: tuple[str, ...], password: str) -> None:
    status, _, err = create(*arguments, password=password)
    assert status == 1
    assert err.isascii()
    assert not User.objects.exists()


def test_register_patients_twice_changes_nothing_and_exits_0(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"national_id,given_name,family_name,birth_date,sex\n{NUMBER},A,B,,\n")
    assert run("register_patients", str(path))[0] == 0
    assert run("register_patients", str(path))[:2] == (0, "created 0, known 1, refused 0\n")
    assert Patient.objects.count() == 1


@pytest.mark.parametrize("content", [None, "", "name;number\n"])
def test_register_patients_with_an_unusable_file_exits_2(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "p.csv"
    if content is not None:
        path.write_text(content)
    assert run("register_patients", str(path))[0] == 2


def test_an_admin_account_is_staff() -> None:
    assert create("grace", "--role", "admin")[0] == 0
    user = User.objects.get()
    assert (user.role, user.is_staff, user.is_superuser) == ("admin", True, True)
    assert user.check_password(PASSWORD)
    event = AuditEvent.objects.get(action="account_created")
    assert event.details == {"account": str(user.pk), "role": "admin"}


def test_a_doctors_account_belongs_to_a_hospital() -> None:
    hospital = make_hospital(name="Ruhengeri", code="ruhengeri", now=timezone.now())
    assert create("bob", "--role", "doctor", "--hospital", "ruhengeri")[0] == 0
    user = User.objects.get()
    assert (user.role, user.hospital_id, user.is_staff) == ("doctor", hospital.pk, False)


def test_a_patients_account_opens_one_patients_record() -> None:
    patient = register_patient(national_id=NUMBER, actor=None, now=timezone.now()).patient
    assert create("alice", "--role", "patient", "--national-id", f" {NUMBER[:4]}-{NUMBER[4:]}")[0] == 0
    patient.refresh_from_db()
    assert patient.user == User.objects.get(username="alice")
    status, _, err = create("again", "--role", "patient", "--national-id", NUMBER)
    assert (status, User.objects.count()) == (1, 1)
    assert NUMBER not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--role", "doctor"],
        ["--role", "patient"],
        ["--role", "admin", "--hospital", "ruhengeri"],
        ["--role", "doctor", "--hospital", "ruhengeri", "--national-id", NUMBER],
    ],
)
def test_arguments_that_do_not_fit_the_role_exit_2(arguments: list[str]) -> None:
    assert create("x", *arguments)[0] == 2
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "username, arguments, password",
    [
        ("x", ["--role", "doctor", "--hospital", "nowhere"], PASSWORD),
        ("x", ["--role", "patient", "--national-id", "AB999"], PASSWORD),
        ("x", ["--role", "admin"], "k7w2q"),
        ("x", ["--role", "admin"], ""),
        ("x y", ["--role", "admin"], PASSWORD),
        ("", ["--role", "admin"], PASSWORD),
        ("taken", ["--role", "admin"], PASSWORD),
        (NUMBER, ["--role", "admin"], PASSWORD),
        ("1199780099999999", ["--role", "admin"], PASSWORD),
    ],
)
def test_an_account_that_cannot_be_is_refused_with_1(username: str, arguments: list[str], password: str) -> None:
    register_patient(national_id=NUMBER, actor=None, now=timezone.now())
    User.objects.create(username="taken")
    status, out, err = create(username, *arguments, password=password)
    assert (status, out, User.objects.count()) == (1, "", 1)
    assert NUMBER not in err
    assert not password or password not in err


def test_audit_verify_of_a_whole_chain_exits_0() -> None:
    record_event(action="tested", actor=None, now=timezone.now())
    status, out, _ = run("audit_verify")
    assert (status, out.startswith("The audit chain is whole: 1 rows")) == (0, True)
    assert AuditEvent.objects.filter(action="audit_verified").count() == 1


@pytest.mark.django_db(transaction=True)
def test_audit_verify_names_the_first_broken_row_and_exits_1() -> None:
    for _ in range(3):
        record_event(action="tested", actor=None, now=timezone.now())
    with lifted_audit():
        AuditEvent.objects.filter(seq=2).update(basis="care")
    status, _, err = run("audit_verify")
    assert status == 1
    assert "row 2 is not as it was written" in err


def test_checks_of_the_settings_say_what_to_do(settings: Any) -> None:
    """T16"""
    from passport.checks import check_cache, check_queue, check_second_factor, check_sqlite

    assert [*check_queue(), *check_cache(), *check_sqlite()] == []
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": 900, "max_attempts": 0, "queue_limit": 50}
    assert [found.id for found in check_queue()] == ["passport.E001", "passport.E002", "passport.E003"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert [found.id for found in check_cache()] == ["passport.E004"]
    settings.REQUIRE_TOTP = False
    assert [found.id for found in check_second_factor()] == ["passport.W001"]


def test_sqlite_must_begin_its_transactions_immediate(monkeypatch: pytest.MonkeyPatch) -> None:
    from passport import checks

    database = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
    monkeypatch.setattr(checks, "settings", SimpleNamespace(DATABASES={"default": database}))
    assert [found.id for found in checks.check_sqlite()] == ["passport.E005"]


@pytest.mark.parametrize("workers, queue_limit, smallest", [(2, 2, 2700), (1, 1, 2700), (4, 4, 2700), (1, 4, 5400)])
def test_retry_waits_for_all_that_was_taken_before(workers: int, queue_limit: int, smallest: int) -> None:
    """T16"""
    from passport.checks import smallest_retry

    assert smallest_retry(timeout=900, queue_limit=queue_limit, workers=workers) == smallest


@pytest.mark.parametrize("hosts, found", [(["passport.example"], []), (["passport.example", "*"], ["passport.E007"])])
def test_a_site_that_answers_to_any_host_is_refused(hosts: list[str], found: list[str], settings: Any) -> None:
    """A letter with a link to choose another password names the host that the request named."""
    from passport import checks

    settings.ALLOWED_HOSTS = hosts
    assert [each.id for each in checks.check_hosts()] == found
