"""What the audit tells: the patient who looked, the data protection officer whose records were opened."""

import csv
import datetime as dt
import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from passport.audit import record_event
from passport.models import AuditEvent, Patient, User

NOON = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Patient:
    account = User.objects.create_user(username="alice", password="correct horse battery", role="patient")
    return Patient.objects.create(created_at=NOON, given_name="Alice", family_name="=1+1", user=account)


@pytest.fixture
def admin() -> User:
    return User.objects.create_user(
        username="root", first_name="=cmd|' /C calc'!A0", password="correct horse battery", role="admin"
    )


def client(account: User | None) -> Client:
    assert account is not None
    found = Client()
    found.force_login(account)
    return found


def look(patient: Patient, actor: User | None, *, at: dt.datetime = NOON, **more: Any) -> None:
    record_event(
        **{"action": "overview_read", "actor": actor, "now": at, "patient_id": patient.pk, "basis": "care"} | more
    )


def test_the_looks_of_others_are_found_at_once_and_ones_own_on_demand(alice: Patient, admin: User) -> None:
    look(alice, admin, basis="grant")
    for _ in range(60):
        look(alice, alice.user, basis="oneself")
    page = client(alice.user).get(reverse("who_looked")).content.decode()
    assert "you let this doctor in" in page
    assert "An administrator" in page
    assert "<b>You</b>" not in page
    page = client(alice.user).get(reverse("who_looked"), {"own": "1"}).content.decode()
    assert "<b>You</b>" in page
    assert page.count('<li><span class="quiet numbers">') == 50
    assert "own=1&amp;cursor=" in page


def sittings_of(patient: Patient) -> str:
    return " ".join(client(patient.user).get(reverse("who_looked")).content.decode().split())


def test_what_one_person_read_at_one_sitting_is_one_entry_with_each_look_in_it(alice: Patient, admin: User) -> None:
    for minute, action in enumerate(("patient_found", "overview_read", "visits_read", "overview_read")):
        look(alice, admin, at=NOON + minute * DAY / 1440, action=action)
    page = sittings_of(alice)
    assert "searched for your National ID, opened your overview and opened your history</span>" in page
    assert "4 looks, from 14:00 on" in page
    assert page.count("opened your overview</li>") == 2
    assert page.count("<b>") == 1


@pytest.mark.parametrize(
    "more",
    [
        {"at": NOON + DAY / 24},  # an hour later
        {"at": NOON + DAY / 1440, "basis": "break_glass"},
        {"at": NOON + DAY / 1440, "basis": "refused"},
        {"at": NOON + DAY / 1440, "action": "grant_made"},
        {"at": NOON + DAY / 1440, "actor": None},
    ],
    ids=["later", "another reason", "refused", "a change", "somebody else"],
)
def test_what_is_not_the_same_stands_by_itself(alice: Patient, admin: User, more: dict[str, Any]) -> None:
    look(alice, admin)
    look(alice, **({"actor": admin} | more))
    assert "<details" not in sittings_of(alice)


def test_what_the_holder_did_is_told_as_theirs(alice: Patient) -> None:
    look(alice, alice.user, action="share_made", basis="")
    assert "<b>You</b> <span>made a link to your summary" in sittings_of(alice)


def test_who_tried_a_code_from_the_desk_is_somebody(alice: Patient) -> None:
    look(alice, None, action="claim_proved", basis="")
    assert "<b>Somebody without a login</b> <span>gave your number" in sittings_of(alice)


def test_those_without_a_name_are_never_taken_for_one(alice: Patient) -> None:
    for _ in range(2):
        look(alice, None, action="overview_read", basis="share")
    page = sittings_of(alice)
    assert page.count("Somebody with a link of yours") == 2


def test_the_list_of_looks_as_a_file_runs_nothing_and_is_audited(alice: Patient, admin: User) -> None:
    look(alice, admin, basis="grant")
    answer = client(alice.user).get(reverse("who_looked_file", args=["csv"]))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert answer["Content-Disposition"] == 'attachment; filename="who-looked.csv"'
    assert answer["Cache-Control"].startswith("no-store") or "no-store" in answer["Cache-Control"]
    assert rows[0]["who"] == "'=cmd|' /C calc'!A0"
    assert rows[0]["why"] == "you let this doctor in"
    assert [row["action"] for row in rows] == ["overview_read", "audit_exported"]  # the row comes before the file
    told = client(alice.user).get(reverse("who_looked_file", args=["json"])).json()
    assert [event["action"] for event in told["events"]] == ["overview_read", "audit_exported", "audit_exported"]


def test_an_admin_gets_the_file_of_anybody_and_no_record_with_it(alice: Patient, admin: User) -> None:
    told = client(admin).get(reverse("patient_looks_file", args=[alice.pk, "json"])).json()
    assert set(told) == {"patient", "events"}
    event = AuditEvent.objects.get(action="audit_exported")
    assert (event.patient_id, event.actor_id, event.basis) == (alice.pk, admin.pk, "admin")
    assert client(admin).get(reverse("patient_looks_file", args=[uuid4(), "csv"])).status_code == 404


def test_nobody_else_gets_it_and_the_refusal_is_written_down(alice: Patient) -> None:
    bob = User.objects.create_user(username="bob", password="correct horse battery", role="patient")
    assert client(bob).get(reverse("patient_looks_file", args=[alice.pk, "csv"])).status_code == 403
    event = AuditEvent.objects.get(action="audit_exported_refused")
    assert (event.patient_id, event.actor_id, event.basis) == (alice.pk, bob.pk, "refused")


# --- breach_report ----------------------------------------------------------------------------------------------------


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    call_command("breach_report", "--json", *arguments)
    return json.loads(capsys.readouterr().out)


def test_the_report_says_whose_record_was_opened_by_whom_and_on_what_basis(
    alice: Patient, admin: User, capsys: pytest.CaptureFixture[str]
) -> None:
    look(alice, admin, at=NOON)
    look(alice, admin, at=NOON + dt.timedelta(hours=1))
    look(alice, admin, at=NOON, basis="refused", action="overview_read_refused")
    look(alice, None, action="sync_patient_done", basis="")
    look(alice, alice.user, basis="oneself", at=NOON + 2 * DAY)
    (row,) = report(capsys, "--from", "2026-03-04", "--to", "2026-03-04")
    assert (row["patient_id"], row["actor_id"], row["basis"], row["n"]) == (str(alice.pk), str(admin.pk), "care", 2)
    assert (row["first_at"], row["last_at"]) == ("2026-03-04T12:00:00+00:00", "2026-03-04T13:00:00+00:00")
    assert len(report(capsys, "--from", "2026-03-04", "--to", "2026-03-06")) == 2
    assert report(capsys, "--from", "2026-03-04", "--to", "2026-03-06", "--user", "alice")[0]["basis"] == "oneself"
    assert AuditEvent.objects.filter(action="breach_reported").count() == 3


def test_days_are_those_of_the_passports_zone(alice: Patient, admin: User, capsys: pytest.CaptureFixture[str]) -> None:
    look(alice, admin, at=dt.datetime(2026, 3, 3, 22, 30, tzinfo=dt.UTC))  # half past midnight in Kigali
    assert len(report(capsys, "--from", "2026-03-04", "--to", "2026-03-04")) == 1
    assert report(capsys, "--from", "2026-03-03", "--to", "2026-03-03") == []


def test_the_report_holds_no_name(alice: Patient, admin: User, capsys: pytest.CaptureFixture[str]) -> None:
    look(alice, admin)
    call_command("breach_report", "--from", "2026-03-04", "--to", "2026-03-04")
    told = capsys.readouterr().out
    assert told.splitlines()[0].startswith("patient_id,actor_id,actor_role,hospital_id,action,basis,n")
    assert not any(name in told for name in ("Alice", "alice", "root", "=cmd"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "yesterday", "--to", "2026-03-04"],
        ["--from", "2026-03-05", "--to", "2026-03-04"],
        ["--from", "2026-03-04", "--to", "2026-03-04", "--user", "nobody"],
        ["--from", "2026-03-04", "--to", "2026-03-04", "--hospital", "nowhere"],
    ],
)
def test_bad_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("breach_report", *arguments)
    assert refused.value.returncode == 2
    assert not AuditEvent.objects.exists()
