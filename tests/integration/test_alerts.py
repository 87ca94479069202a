"""What a human should know is told once when it begins and once when it is over."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.urls import resolve, reverse
from django.utils import timezone
from django_q.models import OrmQ

from openmrs_sync import alerts, control, queue, tasks
from openmrs_sync.models import Alert, Breaker, Heartbeat, ReceiptDay
from passport.models import AuditEvent, Link
from tests.records import Chart, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NOW = timezone.now()
HOUR = dt.timedelta(hours=1)
Kind = Alert.Kind


@pytest.fixture(autouse=True)
def running(settings: Any, tmp_path: Path) -> Path:
    """A schedule that runs, a worker that is at work, and a file to tell at."""
    control.start(interval_minutes=5, actor=None, now=NOW)
    queue.beat(now=NOW)
    settings.ALERT_TO = [f"file:{tmp_path / 'alerts.jsonl'}"]
    return tmp_path / "alerts.jsonl"


@pytest.fixture
def hospital() -> Any:
    return make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW)


def found(now: dt.datetime = NOW) -> dict[str, Any]:
    return {condition.kind.value: condition.details for condition in alerts.conditions(now=now)}


def fails(hospital: Any, kind: str, *, state: str = "closed") -> None:
    Breaker.objects.filter(hospital=hospital).update(last_error_kind=kind, state=state)


def told(file: Path) -> list[tuple[str, str, str | None]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(line["alert"], line["state"], line["hospital"]) for line in lines]


def test_where_all_is_well_nothing_is_said(hospital: Any) -> None:
    assert found() == {}


@pytest.mark.parametrize("n_minutes, is_silent", [(30, False), (31, True)])
def test_a_hospital_that_was_not_read_for_long_is_silent(n_minutes: int, is_silent: bool) -> None:
    make_hospital(name="Ruhengeri", now=NOW, reached_ago=dt.timedelta(minutes=n_minutes))
    assert (Kind.SILENT in found()) is is_silent


def test_a_slow_interval_is_no_silence(hospital: Any) -> None:
    hospital.sync_interval_minutes = 600
    hospital.save(update_fields=["sync_interval_minutes"])
    queue.beat(now=NOW + 20 * HOUR)
    assert found(NOW + 20 * HOUR) == {}


def test_quiet_hours_are_no_silence(hospital: Any) -> None:
    Breaker.objects.filter(hospital=hospital).update(last_success_at=NOW - 5 * HOUR)
    local = NOW + 2 * HOUR  # Kigali
    hospital.quiet_from, hospital.quiet_to = (local - HOUR).time(), (local + HOUR).time()
    hospital.save(update_fields=["quiet_from", "quiet_to"])
    assert Kind.SILENT not in found()


@pytest.mark.parametrize(
    "error_kind, state, kind",
    [
        ("unreachable", "open", Kind.BREAKER),
        ("credentials", "open", Kind.STOPPED),
        ("schema_mismatch", "closed", Kind.STOPPED),
        ("source_replaced", "closed", Kind.STOPPED),
        ("would_erase", "closed", Kind.STOPPED),
        ("writable_account", "closed", Kind.GRANTS),
        ("quiet", "closed", Kind.GRANTS),
    ],
)
def test_each_error_has_its_alert(hospital: Any, error_kind: str, state: str, kind: str) -> None:
    fails(hospital, error_kind, state=state)
    assert found() == {kind: {"error_kind": error_kind}}


def test_a_single_failure_is_no_alert(hospital: Any) -> None:
    fails(hospital, "unreachable")
    assert found() == {}


def test_a_row_without_an_explanation_is_one(hospital: Any) -> None:
    chart = Chart(patient=make_patient(national_id="1199780012345678", now=NOW), hospital=hospital, now=NOW)
    Link.objects.filter(pk=chart.link.pk).update(n_unexplained=2)
    assert found() == {Kind.UNEXPLAINED: {"n_unexplained": 2}}


@pytest.mark.parametrize(
    "before, today, is_growing", [(5, 16, True), (5, 15, False), (200, 211, False), (200, 221, True)]
)
def test_parked_rows_that_grow_are_one(hospital: Any, before: int, today: int, is_growing: bool) -> None:
    for days_ago, n_parked in ((0, today), (1, before), (2, before + 1)):
        at = NOW - dt.timedelta(days=days_ago)
        ReceiptDay.objects.create(hospital=hospital, day=at.date(), read_at=at, n_parked=n_parked)
    assert (Kind.PARKED in found()) is is_growing


def test_a_worker_that_is_not_at_work_is_one(hospital: Any) -> None:
    Heartbeat.objects.update(at=NOW - HOUR)
    assert found() == {Kind.WORKER: {}}
    control.stop(actor=None, now=NOW)
    assert found() == {}


def test_a_full_disk_is_one(hospital: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "DISK_BYTES", 2**62)
    monkeypatch.setattr(alerts, "DISK_PART", 1.0)
    assert set(found()) == {Kind.DISK}


def test_an_alert_is_told_once_and_its_end_once(hospital: Any, running: Path) -> None:
    fails(hospital, "credentials")
    assert alerts.look(now=NOW) == alerts.Looked(n_began=1, n_ended=0, n_to_tell=1)
    assert alerts.tell_all(now=NOW) == 1
    assert alerts.look(now=NOW + HOUR / 60) == alerts.Looked(n_began=0, n_ended=0, n_to_tell=0)
    fails(hospital, "")
    assert alerts.look(now=NOW + HOUR / 30) == alerts.Looked(n_began=0, n_ended=1, n_to_tell=1)
    assert alerts.tell_all(now=NOW + HOUR / 30) == 1
    assert alerts.tell_all(now=NOW + HOUR / 30) == 0
    assert told(running) == [("stopped", "begun", "ruhengeri"), ("stopped", "over", "ruhengeri")]
    actions = AuditEvent.objects.filter(action__startswith="alert_").values_list("action", "details")
    assert list(actions) == [("alert_began", {"kind": "stopped"}), ("alert_ended", {"kind": "stopped"})]


def test_what_comes_back_is_a_new_alert(hospital: Any, running: Path) -> None:
    for error_kind in ("credentials", "", "credentials"):
        fails(hospital, error_kind)
        alerts.look(now=NOW)
        alerts.tell_all(now=NOW)
    assert [state for _, state, _ in told(running)] == ["begun", "over", "begun"]


def test_a_place_that_cannot_be_told_is_tried_again_less_and_less_often(
    hospital: Any, running: Path, settings: Any
) -> None:
    settings.ALERT_TO = [f"file:{running.parent / 'missing' / 'alerts.jsonl'}"]
    fails(hospital, "credentials")
    alerts.look(now=NOW)
    waits = []
    now = NOW
    for _ in range(9):
        assert alerts.tell_all(now=now) == 0
        next_tell_at = Alert.objects.get().next_tell_at
        waits.append((next_tell_at - now).total_seconds() / 60)
        assert not alerts.to_tell(now=next_tell_at - dt.timedelta(seconds=1)).exists()
        now = next_tell_at
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    (running.parent / "missing").mkdir()
    assert alerts.tell_all(now=now) == 1


def test_a_mail_says_what_to_do_and_holds_no_second_header(hospital: Any, settings: Any) -> None:
    settings.ALERT_TO = ["mailto:operator@example.org"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    type(hospital).objects.filter(pk=hospital.pk).update(name="Ruhengeri\r\nBcc: x@example.org")
    fails(hospital, "writable_account")
    alerts.look(now=NOW)
    alerts.tell_all(now=NOW)
    (message,) = mail.outbox
    assert "\n" not in message.subject
    assert message.recipients() == ["operator@example.org"]
    assert "GRANT script" in message.body


def test_without_a_place_alerts_stand_in_admin_alone(hospital: Any, settings: Any, admin_client: Any) -> None:
    settings.ALERT_TO = []
    fails(hospital, "credentials")
    assert alerts.look(now=NOW).n_to_tell == 0
    page = admin_client.get(reverse("admin:openmrs_sync_alert_changelist")).content.decode()
    assert "Ruhengeri is stopped until somebody decides" in page
    assert "the last run says what to do" in page


def test_a_tick_looks_and_lets_the_queue_tell(hospital: Any, running: Path) -> None:
    fails(hospital, "credentials")
    Breaker.objects.update(last_success_at=timezone.now())  # the tick asks for the time itself
    tasks.tick()
    assert queue.TELL_ALERTS in [task.func() for task in OrmQ.objects.all()]
    assert tasks.tell_alerts() == {"n_told": 1}
    assert tasks.tell_alerts() == {"n_told": 0}
    assert told(running) == [("stopped", "begun", "ruhengeri")]


@pytest.mark.django_db(transaction=True)
def test_two_looks_at_once_open_one_alert(hospital: Any) -> None:
    fails(hospital, "credentials")
    (condition,) = alerts.conditions(now=NOW)
    alerts.look(now=NOW)
    assert not alerts._begin(condition, now=NOW)
    assert Alert.objects.count() == 1


#: Our own pages for admins that one should know of.
PAGES = {
    *("index", "hospitals_hospital_going_live", "hospitals_hospital_unmatched", "passport_link_changelist"),
    *("openmrs_sync_dry_run", "openmrs_sync_syncrun_change", "openmrs_sync_certificate"),
    *("openmrs_sync_parkedrow_changelist", "openmrs_sync_workbench", "openmrs_sync_alert_changelist"),
}


def test_the_manual_names_the_pages_by_addresses_that_lead_there() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    named = re.findall(r"`(/admin/[^`?]*)[^`]*`", manual)
    leads_to = {resolve(address.replace("…", str(UUID(int=0)))).url_name for address in named}
    assert leads_to == PAGES


def test_every_kind_has_words_and_an_entry_in_the_manual() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    assert set(alerts.WORDS) == set(Kind)
    rows = [line for line in manual.splitlines() if line.startswith("| `")]
    explained = {line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:4]] for line in rows}
    assert set(Kind.values) <= set(explained)
    assert [kind for kind in Kind.values if not all(len(cell) > 20 for cell in explained[kind])] == []
