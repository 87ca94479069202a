"""The page of one run: what it read, what became of it, where its time went, what to do."""

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import pipeline
from openmrs_sync.models import SyncRun
from passport.models import Link, Patient, User
from tests.integration.world import Site, sync, synced

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


@pytest.fixture
def quiet_hospital() -> Hospital:
    return Hospital.objects.create(
        code="h1", number=1, name="Hospital 1", host="h", database="d", username="u", state=HospitalState.LIVE
    )


def a_run(of: Hospital, *, minute: int = 0, status: str = "ok", **fields: Any) -> SyncRun:
    began = NOW + dt.timedelta(minutes=minute)
    values: dict[str, Any] = {"trigger": "schedule", "finished_at": began}
    return SyncRun.objects.create(hospital=of, status=status, started_at=began, **values | fields)


def address(run: SyncRun) -> str:
    return f"/admin/openmrs_sync/syncrun/{run.pk}/change/"


def part(run: SyncRun) -> str:
    return f"/admin/openmrs_sync/syncrun/{run.pk}/part/"


def page(alice: Client, run: SyncRun) -> str:
    answer = alice.get(address(run))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def figure(shown: str, label: str) -> str:
    """What stands beside a word of a list."""
    found = re.search(rf"<dt>\s*{re.escape(label)}.*?</dt>\s*<dd>\s*(.*?)\s*</dd>", shown)
    assert found, label
    return found[1]


@pytest.mark.integration
def test_it_tells_what_was_read_and_what_became_of_it(alice: Client, kigali: Site) -> None:
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 60.0)
    voided = kigali.pretend.add_obs(person, "weight", 61.0)
    kigali.pretend.void_obs(voided)
    run = synced(kigali.hospital)
    assert run.journal["tables"]["obs"] == {"source": 2, "stored": 1, "parked": 0, "excluded": 1}
    assert list(run.journal["phases"]) == ["connect", "look", "read", "finish"]
    shown = page(alice, run)
    assert "1 record new" in shown
    assert 'data-label="At the source">2</td> <td class="is-figure" data-label="Stored">1</td>' in shown
    assert "Rows read of 1 person" in shown
    assert figure(shown, "Rows that its server sent") == f"{run.n_source_rows:,}"
    receipt = shown[shown.index('id="receipt"') :]
    assert "<b>2</b>at the source" in receipt
    assert "<b>0</b>unexplained" in receipt


@pytest.mark.integration
def test_the_seconds_of_its_phases_are_its_seconds(kigali: Site) -> None:
    run = synced(kigali.hospital)
    assert sum(run.journal["phases"].values()) <= run.seconds
    stored = SyncRun.objects.get(pk=run.pk)
    assert stored.journal == run.journal


@pytest.mark.integration
def test_a_run_that_failed_says_where_and_what_to_do(alice: Client, kigali: Site) -> None:
    Hospital.objects.filter(pk=kigali.hospital.pk).update(national_id_types=["Nothing"])
    run = sync(kigali.hospital)
    shown = page(alice, run)
    assert "It failed: a setting of this hospital cannot work" in shown
    assert run.message.replace("'", "&#x27;") in shown
    assert "troubleshooting.md, “misconfigured”" in shown
    assert shown.count("it ended here") == 1
    assert "looking who is there" not in shown
    assert "Try again now" in shown
    assert "It ended before anybody was read" in shown


@pytest.mark.integration
def test_one_patients_fresh_read_has_a_page_too(alice: Client, kigali: Site) -> None:
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 60.0)
    patient = Patient.objects.get()
    pipeline.refresh_patient(hospital=kigali.hospital, patient=patient, now=timezone.now())
    shown = page(alice, SyncRun.objects.get(trigger="patient"))
    assert "for one patient, because somebody asked" in shown
    assert "1 record new" in shown
    assert "None was drawn" in shown


@pytest.mark.parametrize(
    "counts, headline",
    [
        ({}, "Nothing had changed"),
        ({"n_created": 1}, "1 record new"),
        ({"n_created": 12408, "n_withdrawn": 1}, "12,408 records new, 1 withdrawn"),
        ({"n_created": 1, "n_withdrawn": 2}, "1 record new, 2 withdrawn"),
        ({"n_updated": 2}, "2 records changed"),
    ],
)
def test_its_headline_says_what_changed(
    alice: Client, quiet_hospital: Hospital, counts: dict[str, int], headline: str
) -> None:
    assert f"</svg>{headline}</h2>" in page(alice, a_run(quiet_hospital, **counts))


@pytest.mark.parametrize("status", SyncRun.Status.values)
def test_every_end_has_its_words(alice: Client, quiet_hospital: Hospital, status: str) -> None:
    shown = page(alice, a_run(quiet_hospital, status=status))
    headline = re.search(r'<h2 id="verdict">.*?</svg>(.*?)</h2>', shown)
    assert headline
    assert len(headline[1]) > 10


def test_it_leads_to_the_runs_before_and_after_of_its_hospital(alice: Client, quiet_hospital: Hospital) -> None:
    other = Hospital.objects.create(code="h2", number=2, name="H 2", host="h", database="d", username="u")
    first, this, last = (a_run(quiet_hospital, minute=minute) for minute in (0, 2, 4))
    a_run(other, minute=1)
    a_run(other, minute=3)
    shown = page(alice, this)
    before, after = shown.index(address(first)), shown.index(address(last))
    assert before < shown.index("The run before") < after < shown.index("The run after")
    assert "This is the first run that is kept" in page(alice, first)
    assert "This is the latest run" in page(alice, last)


def test_runs_of_one_moment_have_an_order(alice: Client, quiet_hospital: Hospital) -> None:
    runs = sorted([a_run(quiet_hospital) for _ in range(3)], key=lambda run: run.pk)
    assert address(runs[0]) in page(alice, runs[1])
    assert address(runs[2]) in page(alice, runs[1])
    assert "This is the latest run" in page(alice, runs[2])


def test_under_way_it_renews_itself_and_without_scripts_by_a_link(alice: Client, quiet_hospital: Hospital) -> None:
    run = a_run(quiet_hospital, status="running", finished_at=None)
    now = timezone.now()
    for number, read in enumerate((True, False)):
        Link.objects.create(
            hospital=quiet_hospital,
            person_id=number,
            person_uuid=str(number),
            patient=Patient.objects.create(sex="F", created_at=now),
            created_at=now,
            state="linked",
            state_changed_at=now,
            marks=0,
            fresh_config_version=quiet_hospital.config_version,
            refreshed_at=now if read else None,
        )
    shown = page(alice, run)
    assert f'hx-get="{part(run)}"' in shown
    assert f'<a href="{address(run)}">Look again</a>' in shown
    assert "1 of 2 persons" in shown
    assert "htmx" in shown
    SyncRun.objects.update(status="ok", finished_at=now)
    ended = alice.get(part(run)).content.decode()
    assert "hx-get" not in ended
    assert "<html" not in ended


def test_an_older_run_without_figures_says_so(alice: Client, quiet_hospital: Hospital) -> None:
    assert "it is older than they are" in page(alice, a_run(quiet_hospital, n_persons=3))


def test_a_long_history_costs_as_many_queries_as_a_short_one(alice: Client, quiet_hospital: Hospital) -> None:
    def n_queries(run: SyncRun) -> int:
        with CaptureQueriesContext(connection) as seen:
            page(alice, run)
        return len(seen)

    this = a_run(quiet_hospital, minute=30)
    few = n_queries(this)
    for minute in range(60):
        a_run(quiet_hospital, minute=minute)
    assert n_queries(this) == few


def test_a_run_that_is_not_there_is_not_found(alice: Client) -> None:
    assert alice.get("/admin/openmrs_sync/syncrun/00000000-0000-0000-0000-000000000000/part/").status_code == 404
    assert alice.get("/admin/openmrs_sync/syncrun/00000000-0000-0000-0000-000000000000/change/").status_code == 404
