"""A dry run says what the first sync then does, and writes nothing of it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import dry_run, inspections, queue, tasks
from openmrs_sync.models import Inspection, ParkedRow, SyncRun, Watermark
from passport.models import AuditEvent, Doctor, Link, Record, User
from passport.secrets import seal
from tests.integration import test_real_hospitals, world
from tests.integration.world import Site
from tests.openmrs.server import MariaDBServer

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

FATES = ("source", "stored", "parked", "excluded")


def inspected(hospital: Hospital, *, most_parts: int = 1) -> Inspection:
    """A dry run asked for by an admin, and done by the queue's own function."""
    Hospital.objects.filter(pk=hospital.pk).update(state=HospitalState.TESTED)
    alice, _ = User.objects.get_or_create(username="alice", defaults={"is_superuser": True})
    asked = queue.request_inspection(hospital=hospital, kind="dry_run", actor=alice, now=timezone.now())
    assert asked is not None
    for _ in range(most_parts):
        tasks.inspect_one(str(asked.pk))
    asked.refresh_from_db()
    return asked


def assert_the_first_sync_does_the_same(hospital: Hospital, result: dict[str, Any]) -> None:
    Hospital.objects.filter(pk=hospital.pk).update(state=HospitalState.LIVE)
    run = world.synced(hospital)
    links = Link.objects.filter(hospital=hospital)
    parked = ParkedRow.objects.filter(hospital=hospital)
    assert result["n_linked"] == links.filter(state="linked").count() == run.n_persons
    assert result["n_held"] == links.filter(state="held").count() == sum(result["held"].values())
    assert result["n_stored"] == run.n_created == Record.objects.filter(hospital_id=hospital.pk).count()
    assert result["n_parked"] == run.n_parked == parked.count() == sum(result["parked"].values())
    assert result["n_excluded"] == run.n_excluded == sum(result["excluded"].values())
    assert result["n_source"] == run.n_read
    for reason, n in result["parked"].items():
        assert parked.filter(reason=reason).count() == n
    found = world.verified(hospital)
    assert found.is_well
    assert found.excluded == result["excluded"]
    assert found.persons == result["persons"]
    assert found.tables is not None
    for table, figures in found.tables.items():
        assert [result["tables"][table][name] for name in FATES] == [
            *(figures.n_source, figures.n_stored, figures.n_parked, figures.n_excluded)
        ]
    stored = Record.objects.filter(hospital_id=hospital.pk)
    for category, n in result["categories"].items():
        assert stored.filter(category=category).count() == n
    for concept in result["concepts"]:
        mine = stored.filter(concept_uuid=concept["uuid"], category="other")
        assert mine.count() == concept["n_rows"]
        assert len(set(mine.values_list("link_id", flat=True))) == concept["n_persons"]
        assert set(mine.values_list("concept", flat=True)) == {concept["name"]}


def furnish(site: Site) -> None:
    """Somebody of every kind: linked, held, unmatched, voided; rows stored, parked and excluded."""
    hospital = site.pretend
    person = site.add_holder("1199080012345678")
    visit = hospital.add_visit(person)
    encounter = hospital.add_encounter(person, visit=visit)
    for n in range(5):
        hospital.add_obs(person, "weight", 60.0 + n, encounter=encounter)
    hospital.void_obs(hospital.add_obs(person, "weight", 80.0, encounter=encounter))
    hospital.add_obs(person, "note", encounter=encounter)  # parked: no value
    hospital.add_obs(person, "smoker", True, encounter=encounter)
    hospital.add_drug_order(person, encounter=encounter)
    hospital.add_test_order(person, "haemoglobin", encounter=encounter)
    other = site.add_holder("1199080087654321")
    hospital.add_obs(other, "weight", 70.0, encounter=encounter)  # parked: another patient's encounter
    hospital.add_obs(other, "smoker", False)
    hospital.void_patient(site.add_holder("1199080011112222"))
    world.register("1198070012345678", sex="M")
    held = hospital.add_person(national_id="1198070012345678", sex="F")
    hospital.add_obs(held, "weight", 50.0)
    hospital.add_person(national_id="1197060012345678")
    hospital.add_person()


def test_the_first_sync_of_a_modern_hospital_does_what_its_dry_run_said(kigali: Site) -> None:
    furnish(kigali)
    asked = inspected(kigali.hospital)
    assert (asked.status, asked.message) == ("done", "")
    result = asked.result
    assert (result["n_linked"], result["n_held"], result["held"]) == (2, 1, {"sex_differs": 1})
    assert result["parked"] == {"encounter_of_another_patient": 1, "no_value": 1}
    assert result["persons"]["voided"] == 1
    assert [concept["n_persons"] for concept in result["concepts"]] == [2]
    assert_the_first_sync_does_the_same(kigali.hospital, result)


def test_the_first_sync_of_an_old_hospital_does_what_its_dry_run_said(huye: Site) -> None:
    furnish(huye)
    assert_the_first_sync_does_the_same(huye.hospital, inspected(huye.hospital).result)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.usefixtures("sources_on_loopback")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["bahmni-t0", "refapp-2.3", "core-2.8"])
def test_the_first_sync_of_a_real_hospital_does_what_its_dry_run_said(
    real_dumps: Path, mariadb: MariaDBServer, name: str
) -> None:
    hospital = test_real_hospitals.enter(mariadb, name)
    result = inspected(hospital, most_parts=30).result
    assert result["n_stored"] >= 20
    assert_the_first_sync_does_the_same(hospital, result)


def test_nothing_is_written_but_its_own_result(kigali: Site) -> None:
    furnish(kigali)
    inspected(kigali.hospital)
    for model in (Link, Record, ParkedRow, Doctor, SyncRun, Watermark):
        assert not model.objects.exists(), model
    assert AuditEvent.objects.get(action="dry_run_requested").hospital_id == kigali.hospital.pk


def test_it_goes_on_where_the_last_part_stopped(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(kigali)
    monkeypatch.setattr(inspections, "PART_SECONDS", -1.0)  # every part is over after its first batch
    monkeypatch.setattr(dry_run, "BATCH_ROWS", 1)
    half = inspected(kigali.hospital)
    assert (half.status, half.n_done, half.n_all, half.result) == ("queued", 1, 2, {})
    tasks.inspect_one(str(half.pk))
    half.refresh_from_db()
    if half.status == "queued":  # the last part found nobody left
        tasks.inspect_one(str(half.pk))
        half.refresh_from_db()
    assert (half.status, half.n_done, half.progress) == ("done", 2, {})
    assert_the_first_sync_does_the_same(kigali.hospital, half.result)


def test_it_can_be_asked_for_again_but_not_twice_at_once(kigali: Site) -> None:
    furnish(kigali)
    alice = User.objects.create_superuser("alice")
    first = queue.request_inspection(hospital=kigali.hospital, kind="dry_run", actor=alice, now=timezone.now())
    assert first is not None
    assert queue.request_inspection(hospital=kigali.hospital, kind="dry_run", actor=alice, now=timezone.now()) is None
    tasks.inspect_one(str(first.pk))
    tasks.inspect_one(str(first.pk))  # delivered twice
    again = inspected(kigali.hospital)
    first.refresh_from_db()
    drop = {"seconds": 0}
    assert again.result | drop == first.result | drop
    assert (first.n_tries, again.n_tries) == (1, 1)


def test_one_whose_worker_died_is_sent_again_and_the_dead_one_writes_nothing(kigali: Site) -> None:
    """T13, T15: no status stays for ever, and who wakes up late has no effect."""
    furnish(kigali)
    now = timezone.now()
    asked = Inspection.objects.create(hospital=kigali.hospital, kind="dry_run", asked_at=now, alive_at=now)
    late = inspections.take(inspection_id=asked.pk, now=now)
    assert late is not None
    assert inspections.revive(now=now + dt.timedelta(minutes=4)) == []
    assert [one.pk for one in inspections.revive(now=now + dt.timedelta(minutes=6))] == [asked.pk]
    tasks.inspect_one(str(asked.pk))
    part = inspections.Part(n_done=0, n_all=0, n_source_rows=0, source_seconds=0, result={"n_linked": 99})
    assert not inspections.keep(inspection=late, part=part, now=now)
    asked.refresh_from_db()
    assert (asked.status, asked.result["n_linked"], asked.n_deaths) == ("done", 2, 1)


def test_one_that_kills_its_workers_is_ended(kigali: Site) -> None:
    now = timezone.now()
    asked = Inspection.objects.create(hospital=kigali.hospital, kind="dry_run", asked_at=now, alive_at=now)
    for _ in range(inspections.MOST_DEATHS + 1):
        assert inspections.take(inspection_id=asked.pk, now=now) is not None
        now += dt.timedelta(minutes=6)
        inspections.revive(now=now)
    asked.refresh_from_db()
    assert (asked.status, asked.error_kind) == ("failed", "internal")


def test_a_hospital_that_cannot_be_read_is_said_in_a_sentence(kigali: Site) -> None:
    Hospital.objects.update(national_id_types=[])
    asked = inspected(kigali.hospital)
    assert (asked.status, asked.error_kind) == ("failed", "misconfigured")
    assert "Choose the type" in asked.message


def test_an_account_that_can_write_is_refused(kigali: Site) -> None:
    kigali.pretend.server.grant_writer("writer", "also a password", kigali.pretend.database)
    Hospital.objects.update(username="writer", password_sealed=seal("also a password"))
    assert inspected(kigali.hospital).error_kind == "writable_account"


def test_the_estimate_counts_the_pace(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(kigali)
    monkeypatch.setattr(inspections, "PART_SECONDS", 0.0)  # over at once, so that its own pauses are short
    Hospital.objects.update(pace_rows_per_second=1)
    result = inspected(kigali.hospital).result
    assert result["seconds"] >= result["n_source"] > 10, "a row a second"
