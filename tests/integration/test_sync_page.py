"""The sync page: a line per hospital, what needs somebody, and how far a run is."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import overview, sync_page
from openmrs_sync.models import Alert, Breaker, SyncRun
from passport.models import CorrectionRequest, Link, Patient, User

pytestmark = pytest.mark.django_db
PART = "/admin/openmrs_sync/controlstate/part/"


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def hospital(number: int = 1, **fields: Any) -> Hospital:
    values = {"name": f"Hospital {number}", "host": "h", "database": "d", "username": "u", "state": HospitalState.LIVE}
    return Hospital.objects.create(code=f"h{number}", number=number, **values | fields)


def run(of: Hospital, *, minutes_ago: float, status: str = "ok", **fields: Any) -> SyncRun:
    began = timezone.now() - dt.timedelta(minutes=minutes_ago)
    values = {"trigger": "schedule", "finished_at": None if status in {"queued", "running"} else began}
    return SyncRun.objects.create(hospital=of, status=status, started_at=began, **values | fields)


def link(of: Hospital, person_id: int, **fields: Any) -> Link:
    now = timezone.now()
    values = {
        "state": "linked",
        "person_uuid": f"uuid-{person_id}",
        "patient": Patient.objects.create(sex="F", created_at=now),
        "created_at": now,
        "state_changed_at": now,
        "fresh_config_version": of.config_version,
    }
    return Link.objects.create(hospital=of, person_id=person_id, **values | fields)


def the_line() -> overview.HospitalLine:
    (line,) = overview.read_overview(now=timezone.now()).lines
    return line


def fill(first: int, last: int) -> None:
    """Hospitals with every kind of thing that a line shows."""
    now = timezone.now()
    for number in range(first, last + 1):
        one = hospital(number)
        Breaker.objects.create(
            hospital=one, state="open", retry_at=now, last_error_kind="unreachable", last_try_at=now, n_failures=2
        )
        run(one, minutes_ago=9)
        run(one, minutes_ago=5, status="failed", error_kind="unreachable")
        run(one, minutes_ago=1, status="running")
        link(one, 1, n_source=4, n_stored=3, n_unexplained=1)
        link(one, 2, state="held")
        Alert.objects.create(kind="breaker_open", hospital=one, open_key=f"breaker_open/{one.pk}", began_at=now)


def n_queries(alice: Client) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert alice.get(PART).status_code == 200
    return len(seen)


def test_forty_hospitals_cost_as_many_queries_as_two(alice: Client) -> None:
    fill(1, 2)
    few = n_queries(alice)
    fill(3, 40)
    assert n_queries(alice) == few


# --- the strip ------------------------------------------------------------------------------------------------------


def test_the_strip_shows_the_last_thirty_runs_that_ended_the_newest_at_the_right() -> None:
    one = hospital()
    for minutes in range(40):
        run(one, minutes_ago=minutes + 1, n_created=minutes)
    run(one, minutes_ago=0, status="running")
    run(one, minutes_ago=0.5, trigger="patient", status="failed")
    shown = the_line().runs
    assert [each.n_created for each in shown] == list(reversed(range(30)))
    assert len(sync_page.strip(the_line()).ticks) == 30


def test_a_failed_run_differs_by_its_height_and_its_words(alice: Client) -> None:
    one = hospital()
    run(one, minutes_ago=3, n_created=7)
    run(one, minutes_ago=2, status="failed", error_kind="unreachable")
    well, failed = sync_page.strip(the_line()).ticks
    assert failed.height > well.height
    assert "7 changed" in well.words
    assert "does not answer" in failed.words
    page = alice.get("/admin/").content.decode()
    assert "1 of the last 2 runs failed" in page


def test_a_hospital_that_was_never_read_says_so(alice: Client) -> None:
    hospital(state=HospitalState.DRAFT)
    page = alice.get("/admin/").content.decode()
    assert "No run yet" in page
    assert "not read yet" in page


# --- what needs somebody --------------------------------------------------------------------------------------------


def test_what_harms_most_comes_first(alice: Client) -> None:
    one, other = hospital(1), hospital(2)
    for kind in ("parked_growing", "breaker_open", "grants_changed"):
        Alert.objects.create(kind=kind, hospital=one, open_key=kind, began_at=timezone.now())
    link(other, 1, n_source=3, n_stored=2, n_unexplained=1)
    link(other, 2, state="held")
    said = [need.what for need in sync_page.needs(overview.read_overview(now=timezone.now()))]
    assert [words.split(" at ")[0] for words in said] == [
        "Hospital 1 lets our account do or see something else than before",
        "Hospital 1 cannot be reached",
        "Hospital 1 has more and more rows that cannot be stored",
        "1 unexplained row",
        "1 held match",
    ]


def test_a_correction_that_no_mail_took_to_its_hospital_waits_for_an_admin(alice: Client) -> None:
    one, now = hospital(), timezone.now()
    for state, hours_ago in (("asked", 2), ("asked", 0), ("sent", 2)):
        CorrectionRequest.objects.create(
            patient=Patient.objects.create(sex="F", created_at=now),
            hospital=one,
            state=state,
            source_id=1,
            config_version=1,
            asked_at=now - dt.timedelta(hours=hours_ago),
            **dict.fromkeys(("state_at", "checked_at"), now),
        )
    (need,) = sync_page.needs(overview.read_overview(now=now))
    assert need.what == "1 correction asked for"
    assert alice.get(need.address).status_code == 200


def test_every_need_leads_somewhere(alice: Client) -> None:
    one = hospital()
    for kind in Alert.Kind.values:
        owner = None if kind in {"worker_dead", "disk_low"} else one
        Alert.objects.create(kind=kind, hospital=owner, open_key=kind, began_at=timezone.now())
    found = sync_page.needs(overview.read_overview(now=timezone.now()))
    assert len(found) == len(Alert.Kind.values)
    for need in found:
        assert need.to_do
        assert alice.get(need.address).status_code == 200, need.address


def test_an_alert_that_is_over_needs_nobody(alice: Client) -> None:
    now = timezone.now()
    Alert.objects.create(kind="breaker_open", hospital=hospital(), began_at=now, ended_at=now)
    assert "Nothing needs you" in alice.get("/admin/").content.decode()


# --- while something runs -------------------------------------------------------------------------------------------


def test_a_run_under_way_says_how_far_it_is_how_fast_and_how_long_still(alice: Client) -> None:
    one = hospital()
    began = run(one, minutes_ago=2, status="running").started_at
    for person_id in range(1, 4):
        link(one, person_id, refreshed_at=began + dt.timedelta(seconds=9), fresh_marks=1, n_source=4_000)
    link(one, 4)
    link(one, 5, refreshed_at=began - dt.timedelta(hours=1), fresh_marks=1, n_source=4_000)
    progress = the_line().progress
    assert progress is not None
    assert (progress.n_done, progress.n_left, progress.rows_per_second) == (3, 1, 100)
    assert progress.seconds_left == pytest.approx(40, abs=3)
    page = " ".join(alice.get(PART).content.decode().split())
    assert "3 of 4 persons, 100 rows a second" in page
    assert 'hx-trigger="every 4s"' in page


def test_a_run_that_waits_for_the_worker_says_so(alice: Client) -> None:
    run(hospital(), minutes_ago=0, status="queued")
    assert "a run waits for the worker" in alice.get(PART).content.decode()


def test_the_page_shows_the_same_without_a_script(alice: Client) -> None:
    run(hospital(), minutes_ago=1, status="running")
    page = alice.get("/admin/").content.decode()
    assert "being read" in page
    assert "Look again" in page


def test_only_an_admin_sees_the_part(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", password="long enough", is_staff=True))
    assert client.get(PART).status_code == 302
