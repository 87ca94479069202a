"""The certificate of a hospital: both sides counted, on a page that says in words what it means."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import certificate, inspections, tasks, words
from openmrs_sync.admin.certificates import FOOT, bars
from openmrs_sync.models import Inspection, ReceiptDay
from openmrs_sync.receipts import PERSONS
from openmrs_sync.rows import TABLES
from passport.models import AuditEvent, Link, Record, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def address(hospital: Hospital, what: str = "") -> str:
    return f"/admin/openmrs_sync/receiptday/{hospital.pk}/{what}"


def page(alice: Client, hospital: Hospital) -> str:
    return " ".join(alice.get(address(hospital)).content.decode().split())


def count_afresh(alice: Client, hospital: Hospital) -> Inspection:
    """Press the button, and let the worker do all its parts."""
    alice.post(address(hospital, "verify/"))
    asked = Inspection.objects.order_by("-asked_at").first()
    assert asked is not None
    while asked.status in inspections.UNDER_WAY:
        tasks.inspect_one(str(asked.pk))
        asked.refresh_from_db()
    return asked


def clinic(site: Site, *, n_weights: int = 3) -> list[int]:
    person = site.add_holder("1199080012345678")
    encounter = site.pretend.add_encounter(person, visit=site.pretend.add_visit(person))
    return [site.pretend.add_obs(person, "weight", 60.0 + n, encounter=encounter) for n in range(n_weights)]


# ------------------------------------------------------------------------------------------------ what it proves


def test_a_record_deleted_by_hand_is_unexplained_1_and_heals_at_the_next_sweep(alice: Client, kigali: Site) -> None:
    """T39: under `receipt --verify` and on the page."""
    weights = clinic(kigali)
    kigali.sync()
    count_afresh(alice, kigali.hospital)
    assert "Nothing is unexplained" in page(alice, kigali.hospital)
    Record.objects.filter(table="obs", source_id=weights[1]).delete()
    assert count_afresh(alice, kigali.hospital).result["tables"]["obs"]["n_unexplained"] == 1
    assert "1 row is unexplained" in page(alice, kigali.hospital)
    found = world.verified(kigali.hospital)
    assert found.total is not None
    assert found.total.n_unexplained == 1
    sweep = timezone.now() + dt.timedelta(hours=kigali.hospital.sweep_hours, minutes=5)
    world.synced(kigali.hospital, now=sweep, trigger="schedule", deep=False)
    count_afresh(alice, kigali.hospital)
    assert "Nothing is unexplained" in page(alice, kigali.hospital)
    assert world.verified(kigali.hospital).is_well


def test_the_page_says_the_figures_by_table_and_by_reason(alice: Client, kigali: Site) -> None:
    weights = clinic(kigali)
    kigali.pretend.void_obs(weights[0])
    holder = kigali.add_holder("1199080087654321")
    kigali.pretend.add_obs(holder, "note")  # parked: no value
    kigali.pretend.add_person(national_id="1197060012345678")  # unmatched
    kigali.sync()
    asked = count_afresh(alice, kigali.hospital)
    total = [sum(figures[name] for figures in asked.result["tables"].values()) for name in certificate.FIGURES]
    assert total == [6, 4, 1, 1, 0, 0]
    assert (asked.result["excluded"], asked.result["parked"]) == ({"voided": 1}, {"no_value": 1})
    assert asked.result["persons"]["linked"] == 2
    text = page(alice, kigali.hospital)
    assert "Voided at the hospital" in text
    assert words.PARKED["no_value"][0] in text
    assert "With a National ID that no passport has </dt> <dd>1</dd>" in text
    assert f"?hospital__id__exact={kigali.hospital.pk}&amp;reason=no_value" in text


def test_before_it_was_ever_counted_the_page_shows_the_last_balances(alice: Client, kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    text = page(alice, kigali.hospital)
    assert "Not counted afresh yet" in text
    assert "<b>5</b>at the source" in text


def test_a_hospital_that_was_never_read_has_a_certificate_in_words(alice: Client, kigali: Site) -> None:
    text = page(alice, kigali.hospital)
    assert "The hospital was never read." in text
    assert "The first run that succeeds begins the trend." in text
    assert "not known yet" in text


def test_a_count_that_cannot_reach_the_hospital_says_so_and_keeps_the_last(alice: Client, kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    count_afresh(alice, kigali.hospital)
    Hospital.objects.update(port=1)
    assert count_afresh(alice, kigali.hospital).error_kind == "unreachable"
    text = page(alice, kigali.hospital)
    assert "failed: the hospital&#x27;s server does not answer" in text
    assert "<b>5</b>at the source" in text


def test_counting_goes_on_where_the_last_part_stopped(
    alice: Client, kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        person = kigali.add_holder(f"119908001234567{n}")
        kigali.pretend.add_obs(person, "weight", 60.0)
    kigali.sync()
    monkeypatch.setattr(inspections, "PART_SECONDS", -1.0)
    monkeypatch.setattr("openmrs_sync.recount.PERSONS", 1)
    asked = count_afresh(alice, kigali.hospital)
    assert (asked.n_tries, asked.n_done, asked.n_all) == (3, 3, 3)
    assert asked.result["tables"]["obs"]["n_stored"] == 3
    assert asked.n_source_rows > 0


def test_counting_changes_nothing_of_ours(alice: Client, kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    before = world.as_values(world.shown(kigali.hospital))
    link = Link.objects.values().get()
    count_afresh(alice, kigali.hospital)
    assert world.as_values(world.shown(kigali.hospital)) == before
    assert Link.objects.values().get() == link


def test_what_the_queue_keeps_of_a_count_are_counts(alice: Client, kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    alice.post(address(kigali.hospital, "verify/"))
    returned = tasks.inspect_one(str(Inspection.objects.get().pk))
    assert set(returned) == {"n_done", "n_all", "n_source_rows"}
    assert AuditEvent.objects.filter(action="verify_requested", hospital_id=kigali.hospital.pk).count() == 1


# ------------------------------------------------------------------------------------------------ the page


@pytest.fixture
def hospital(db: None) -> Hospital:
    return Hospital.objects.create(
        code="kigali", number=1, name="Kigali", host="h", database="d", username="u", state=HospitalState.LIVE
    )


def test_while_it_is_counted_the_page_says_how_far_it_is(alice: Client, hospital: Hospital) -> None:
    alice.post(address(hospital, "verify/"))
    assert "Waiting for the worker." in page(alice, hospital)
    before = alice.get(address(hospital, "version/")).json()
    Inspection.objects.update(status="running", n_done=400, n_all=5_000)
    text = page(alice, hospital)
    assert "400 of 5,000 persons counted." in text
    assert 'max="5000" value="400"' in text
    assert ">Count both sides afresh<" not in text
    assert alice.get(address(hospital, "version/")).json() != before
    again = alice.post(address(hospital, "verify/"), follow=True)
    assert "Somebody has asked already" in again.content.decode()
    assert Inspection.objects.count() == 1


def test_the_page_carries_no_style_or_script_of_its_own(alice: Client, hospital: Hospital) -> None:
    ReceiptDay.objects.create(
        hospital=hospital, day=timezone.now().date(), read_at=timezone.now(), n_source=5, n_stored=4, n_unexplained=1
    )
    text = page(alice, hospital)
    assert "trend-unexplained" in text
    assert " style=" not in text
    assert "<style" not in text
    assert " onclick=" not in text


@pytest.mark.parametrize("what", ["", "version/", "certificate.csv"])
def test_only_an_admin_sees_it(hospital: Hospital, what: str) -> None:
    bob = Client()
    bob.force_login(User.objects.create_user("bob", password="long enough", is_staff=True))
    assert bob.get(address(hospital, what)).status_code in (302, 403)


def test_the_button_needs_a_post_and_a_hospital_that_may_be_read(alice: Client, hospital: Hospital) -> None:
    assert alice.get(address(hospital, "verify/")).status_code == 405
    Hospital.objects.update(state="retired")
    answer = alice.post(address(hospital, "verify/"), follow=True).content.decode()
    assert "Only a live or paused hospital can be counted" in answer
    assert not Inspection.objects.exists()


def test_the_start_page_and_the_hospital_lead_there(alice: Client, hospital: Hospital) -> None:
    assert address(hospital) in alice.get("/admin/").content.decode()
    assert address(hospital) in alice.get(f"/admin/hospitals/hospital/{hospital.pk}/change/").content.decode()
    assert address(hospital) in alice.get("/admin/openmrs_sync/receiptday/").content.decode()
    Hospital.objects.update(state="tested")
    dry_run = f"/admin/openmrs_sync/inspection/dry-run/{hospital.pk}/"
    # the start page leads to the steps of going live, of which it is one
    assert f"/admin/hospitals/hospital/{hospital.pk}/going-live/" in alice.get("/admin/").content.decode()
    assert dry_run in alice.get(f"/admin/hospitals/hospital/{hospital.pk}/change/").content.decode()


def test_the_dry_run_is_asked_for_and_shown_on_a_page_of_its_own(alice: Client, hospital: Hospital) -> None:
    dry_run = f"/admin/openmrs_sync/inspection/dry-run/{hospital.pk}/"
    assert alice.post(dry_run).status_code == 403, "it is live"
    Hospital.objects.update(state="tested")
    assert "No dry run yet" in alice.get(dry_run).content.decode()
    alice.post(dry_run)
    assert "Waiting for the worker" in alice.get(dry_run).content.decode()
    tables = {table: {"source": 3, "stored": 2, "parked": 1, "excluded": 0} for table in TABLES}
    result = {
        "n_linked": 212,
        "n_held": 3,
        "held": {"sex_differs": 3},
        "n_source": 21,
        "n_stored": 48_213,
        "n_parked": 11,
        "n_excluded": 0,
        "tables": tables,
        "parked": {"no_value": 11},
        "excluded": {},
        "persons": dict.fromkeys(PERSONS, 1),
        "categories": {"other": 5},
        "n_concepts": 1,
        "seconds": 130.0,
        "concepts": [{"uuid": "5089AAA", "name": "<b>Odd</b>", "n_rows": 5, "n_persons": 2}],
    }
    Inspection.objects.update(status="done", result=result, finished_at=timezone.now(), config_version=1)
    text = " ".join(alice.get(dry_run).content.decode().split())
    assert "would link 212, hold 3, store 48,213, park 11, leave out 0. The first sync takes about 2 minutes." in text
    assert words.LINK_REASONS["sex_differs"].capitalize() in text
    assert "&lt;b&gt;Odd&lt;/b&gt;" in text
    assert f"conceptrule/add/?concept_uuid=5089AAA&amp;hospital={hospital.pk}" in text
    Hospital.objects.update(config_version=2)
    assert "settings have changed since" in alice.get(dry_run).content.decode()
    listed = alice.get("/admin/openmrs_sync/inspection/").content.decode()
    assert "✓ done" in listed
    shown = alice.get(f"/admin/openmrs_sync/inspection/{Inspection.objects.get().pk}/change/")
    assert shown["Location"] == dry_run


def test_the_pages_queries_do_not_grow(alice: Client, hospital: Hospital, django_assert_max_num_queries: Any) -> None:
    today = timezone.now()
    for back in range(30):
        ReceiptDay.objects.create(hospital=hospital, day=today.date() - dt.timedelta(days=back), read_at=today)
    with django_assert_max_num_queries(16):
        alice.get(address(hospital))


# ------------------------------------------------------------------------------------------------ the trend


def test_the_last_run_of_a_day_leaves_that_days_row(kigali: Site) -> None:
    now = dt.datetime(2026, 3, 10, 20, 0, tzinfo=dt.UTC)  # 22:00 in Kigali
    weights = clinic(kigali)
    kigali.sync(now=now)
    kigali.pretend.void_obs(weights[0])
    kigali.sync(now=now + dt.timedelta(hours=1))
    kigali.pretend.add_obs(Link.objects.get().person_id, "note")
    kigali.sync(now=now + dt.timedelta(hours=3))  # past midnight there
    rows = ReceiptDay.objects.order_by("day").values_list("day", "n_source", "n_stored", "n_parked", "n_excluded")
    assert list(rows) == [(dt.date(2026, 3, 10), 5, 4, 0, 1), (dt.date(2026, 3, 11), 6, 4, 1, 1)]
    assert ReceiptDay.objects.latest("day").persons["linked"] == 1


def test_days_long_past_are_forgotten(kigali: Site) -> None:
    now = timezone.now()
    old = ReceiptDay.objects.create(
        hospital=kigali.hospital, day=now.date() - certificate.KEPT - dt.timedelta(days=2), read_at=now
    )
    kigali.sync()
    assert not ReceiptDay.objects.filter(pk=old.pk).exists()


def test_a_day_without_a_run_is_a_gap_and_a_few_rows_are_seen() -> None:
    today = dt.date(2026, 3, 10)
    full = ReceiptDay(day=today, n_source=1_000_000, n_stored=999_999, n_parked=1, n_unexplained=3)
    gap, drawn = bars([(today - dt.timedelta(days=1), None), (today, full)])
    assert (gap.parts, gap.mark) == ([], None)
    (_, y, height), (kind, top, sliver) = drawn.parts
    assert y + height == FOOT
    assert (kind, sliver, top + sliver) == ("parked", 2, y)
    assert drawn.mark is not None
    assert drawn.mark - 8 > 0


def test_no_rows_at_all_can_be_drawn() -> None:
    assert bars([(dt.date(2026, 3, 10), ReceiptDay(n_source=0))])[0].parts == []


# ------------------------------------------------------------------------------------------------ the sheet


def test_the_sheet_says_the_same_and_runs_nothing(alice: Client, kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    count_afresh(alice, kigali.hospital)
    Hospital.objects.update(name="=HYPERLINK(1)")
    answer = alice.get(address(kigali.hospital, "certificate.csv"))
    assert answer["Content-Disposition"].startswith('attachment; filename="certificate-kigali-')
    header, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert tuple(header) == certificate.HEADER
    assert {line[0] for line in lines} == {"'=HYPERLINK(1)"}
    figures = {tuple(line[1:4]): line[4] for line in lines}
    assert figures["tables", "together", "n_source"] == "5"
    assert figures["tables", "obs", "n_stored"] == "3"
    assert figures["tables", "together", "n_unexplained"] == "0"
    assert figures["persons", "linked", "n"] == "1"
    assert "counted afresh" in {line[2] for line in lines}
    assert [line for line in lines if line[1] == "days"]
    assert AuditEvent.objects.filter(action="certificate_exported").count() == 1


def test_every_table_and_kind_of_person_has_its_word() -> None:
    assert set(words.TABLES) == set(TABLES)
    assert set(words.PERSONS) == set(PERSONS)
