"""`manage.py sync`, accept_source and accept_changes: exit status, JSON, and what is not contacted."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from hospitals.models import Hospital, HospitalState
from openmrs_sync.models import Breaker, SyncRun, Watermark
from passport.models import AuditEvent, Link
from tests.integration.world import Site

pytestmark = pytest.mark.django_db

FIELDS = [
    "hospital",
    "status",
    "error_kind",
    "n_persons",
    "n_read",
    "n_created",
    "n_updated",
    "n_withdrawn",
    "n_unchanged",
    "n_parked",
    "n_excluded",
    "seconds",
]


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and standard output."""
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def site(kigali: Site) -> Site:
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 61)
    return kigali


def test_sync_json_has_one_object_per_hospital_whose_counts_add_up(site: Site) -> None:
    status, out = run("sync", "--json")
    (line,) = json.loads(out)
    assert status == 0
    assert list(line) == FIELDS
    assert (line["hospital"], line["status"], line["error_kind"], line["n_persons"]) == ("kigali", "ok", None, 1)
    parts = ("n_created", "n_updated", "n_unchanged", "n_parked", "n_excluded")
    assert line["n_read"] == sum(line[name] for name in parts) > 0


def test_sync_twice_changes_nothing_and_full_reads_all_again(site: Site) -> None:
    run("sync")
    (second,) = json.loads(run("sync", "--json")[1])
    assert (second["n_created"], second["n_updated"], second["n_withdrawn"]) == (0, 0, 0)
    (full,) = json.loads(run("sync", "--full", "--json")[1])
    assert full["n_unchanged"] > 0


def test_an_unknown_code_is_exit_status_2_and_nothing_is_read(site: Site) -> None:
    status, out = run("sync", "--hospital", "nowhere", "--hospital", "kigali", "--json")
    assert (status, out) == (2, "")
    assert not SyncRun.objects.exists()


def test_a_named_hospital_that_is_not_live_is_skipped_without_contact(site: Site) -> None:
    Hospital.objects.update(state=HospitalState.PAUSED)
    site.pretend.server.execute("SET GLOBAL general_log = 0")
    before = connections_made(site)
    status, out = run("sync", "--hospital", "kigali", "--json")
    assert (status, json.loads(out)[0]["status"]) == (1, "skipped")
    assert connections_made(site) == before
    assert run("sync", "--json") == (0, "[]\n")


def connections_made(site: Site) -> int:
    """By others than root, who asks."""
    rows = site.pretend.server.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'passport'")
    return int(rows[0][0])


def test_one_that_fails_is_exit_status_1_and_stops_no_other(site: Site, huye: Site) -> None:
    Hospital.objects.filter(pk=site.hospital.pk).update(database="gone")
    status, out = run("sync", "--json")
    found = {line["hospital"]: line["status"] for line in json.loads(out)}
    assert status == 1
    assert (found["kigali"], found["huye"]) == ("failed", "ok")


def test_an_open_breaker_is_ignored(site: Site) -> None:
    from django.utils import timezone

    Breaker.objects.create(hospital=site.hospital, state=Breaker.State.OPEN, retry_at=timezone.now())
    assert run("sync")[0] == 0
    assert Breaker.objects.get().state == Breaker.State.CLOSED


def test_a_sync_by_command_stands_in_the_audit_with_its_counts(site: Site) -> None:
    run("sync")
    event = AuditEvent.objects.get(action="sync_command")
    assert event.hospital_id == site.hospital.pk
    assert event.details["n_created"] > 0


def test_a_hospital_named_twice_is_read_once(site: Site) -> None:
    assert len(json.loads(run("sync", "--hospital", "kigali", "--hospital", "kigali", "--json")[1])) == 1


@pytest.mark.parametrize("command", ["accept_source", "accept_changes"])
def test_accepting_at_an_unknown_hospital_is_exit_status_2(command: str) -> None:
    assert run(command, "nowhere")[0] == 2


def test_accept_source_begins_a_new_epoch_and_the_next_sync_reads_all(site: Site) -> None:
    run("sync")
    assert run("accept_source", "kigali")[0] == 0
    assert not Link.objects.filter(state="linked").exists()
    assert json.loads(run("sync", "--json")[1])[0]["n_created"] > 0
    assert Hospital.objects.get().epoch == 2


def test_accept_changes_is_written_down(site: Site) -> None:
    run("sync")
    assert run("accept_changes", "kigali")[0] == 0
    assert AuditEvent.objects.filter(action="changes_accepted").exists()


def test_changes_accepted_right_after_a_new_source_are_of_its_epoch(site: Site) -> None:
    """Else the receipt counts no persons from then on."""
    run("sync")
    run("accept_source", "kigali")
    run("accept_changes", "kigali")
    assert Watermark.objects.get().epoch == Hospital.objects.get().epoch == 2


def test_without_json_each_hospital_is_one_line_without_anybodys_number(site: Site) -> None:
    out: Any = run("sync")[1]
    assert out.startswith("kigali: ok, 1 persons: ")
    assert "1199080012345678" not in out
