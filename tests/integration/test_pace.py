"""Kind to the hospital: its quiet hours, its pace, and the time that a statement may take on its server."""

import datetime as dt
import threading
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hospitals import connections
from hospitals.connections import Source, open_hospital
from hospitals.errors import HospitalUnreachable
from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, dry_run, pace, pipeline, runs, tasks
from openmrs_sync.models import Claim, SyncRun
from openmrs_sync.unmatched import read_unmatched
from passport.models import Patient, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

NIGHT, MORNING = dt.time(22), dt.time(6)


def at(text: str) -> dt.datetime:
    """Kigali is two hours ahead of UTC, all year."""
    return dt.datetime.fromisoformat(f"2026-03-10T{text}+02:00").astimezone(dt.UTC)


def hospital_with(**fields: Any) -> Hospital:
    return Hospital(time_zone="Africa/Kigali", **fields)


def calls(hospital: Hospital) -> None:
    Hospital.objects.filter(pk=hospital.pk).update(quiet_from=NIGHT, quiet_to=MORNING)
    hospital.refresh_from_db()


# ------------------------------------------------------------------------------------------------ short snapshots


def test_a_snapshot_grows_with_a_fast_server_and_shrinks_at_once_with_a_slow_one() -> None:
    tempo, seen = pace.Tempo(), []
    for n_rows, seconds in [
        *((490, 0.05), (1_900, 0.2), (7_900, 0.8)),  # fast: four times as many each time, to the most
        *((10, 0.01), (7_900, 1.5)),  # half empty, or fast enough: as it was
        *((8_000, 8.0), (2_000, 2.5), (10, 30.0)),  # a thousand rows a second; a line that hangs
        *((200, 0.5), (790, 1.6)),  # as many as it can do, and no more
        (40_000, 8.0),  # one person in legs: long, and fast all the same
    ]:
        tempo.note(n_rows=n_rows, seconds=seconds)
        seen.append(tempo.rows)
    assert seen == [2_000, 8_000, 8_000, 8_000, 8_000, 2_000, 1_600, 250, 800, 800, 3_200]


@pytest.mark.slow
def test_every_look_finds_the_same_without_a_snapshot(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T45: over a line that is too slow for one."""
    for number in ("1199080012345678", "1198570087654321"):
        kigali.pretend.add_obs(kigali.add_holder(number), "weight", 60.0)
    kigali.pretend.add_person()

    def looks() -> list[Any]:
        run = world.sync(kigali.hospital, full=True)
        part = dry_run.read_part(
            hospital=kigali.hospital, progress={}, until=time.monotonic() + 600, note=lambda _done, _all: None
        )
        assert part.result is not None
        receipt = world.verified(kigali.hospital)
        return [
            *(run.status, run.n_read, kigali.values(), receipt.tables, receipt.excluded, receipt.persons),
            {name: figure for name, figure in part.result.items() if name != "seconds"},
            read_unmatched(hospital=kigali.hospital),
        ]

    with_snapshots = looks()
    monkeypatch.setattr(connections, "SNAPSHOT_LIMIT", 0.0)
    monkeypatch.setattr(Source, "snapshot", lambda _source: pytest.fail("no source is fast enough"))
    assert looks() == with_snapshots
    assert with_snapshots[1] == 2


# ------------------------------------------------------------------------------------------------ quiet hours


@pytest.mark.parametrize(
    "start,end,now,until",
    [
        ("22:00", "06:00", "21:59:59", None),
        ("22:00", "06:00", "22:00:00", "2026-03-11T06:00:00+02:00"),
        ("22:00", "06:00", "00:00:00", "2026-03-10T06:00:00+02:00"),
        ("22:00", "06:00", "05:59:59", "2026-03-10T06:00:00+02:00"),
        ("22:00", "06:00", "06:00:00", None),
        ("08:00", "12:30", "07:59:59", None),
        ("08:00", "12:30", "08:00:00", "2026-03-10T12:30:00+02:00"),
        ("08:00", "12:30", "12:30:00", None),
        ("00:00", "06:00", "00:00:00", "2026-03-10T06:00:00+02:00"),
        ("18:00", "00:00", "23:59:00", "2026-03-11T00:00:00+02:00"),
    ],
)
def test_quiet_hours_are_those_of_the_hospitals_own_clock(start: str, end: str, now: str, until: str | None) -> None:
    hospital = hospital_with(quiet_from=dt.time.fromisoformat(start), quiet_to=dt.time.fromisoformat(end))
    expected = dt.datetime.fromisoformat(until) if until else None
    found = pace.quiet_until(hospital=hospital, now=at(now))
    # the last second of them is over a minute later: nobody asks more often
    assert found == (max(expected, at(now) + dt.timedelta(minutes=1)) if expected else None)


def test_a_hospital_without_quiet_hours_has_none() -> None:
    assert pace.quiet_until(hospital=hospital_with(), now=at("03:00:00")) is None


def test_in_the_hour_that_comes_twice_quiet_hours_end_all_the_same() -> None:
    """T91: in Berlin 02:30 comes twice on this night."""
    hospital = Hospital(time_zone="Europe/Berlin", quiet_from=dt.time(1), quiet_to=dt.time(2, 15))
    now = dt.datetime(2026, 10, 25, 0, 0, tzinfo=dt.UTC)
    for _ in range(200):
        found = pace.quiet_until(hospital=hospital, now=now)
        if found is None:
            break
        assert found > now
        now = found
    assert now <= dt.datetime(2026, 10, 25, 1, 16, tzinfo=dt.UTC)


def test_the_schedule_leaves_a_hospital_alone_in_its_quiet_hours(kigali: Site) -> None:
    calls(kigali.hospital)
    control.start(interval_minutes=5, actor=None, now=at("21:00:00"))
    assert [one.code for one in control.due_hospitals(now=at("21:59:00"))] == ["kigali"]
    assert control.due_hospitals(now=at("23:00:00")) == []
    assert control.next_due_at(now=at("23:00:00")) == at("06:00:00") + dt.timedelta(days=1)


def test_a_hospital_whose_next_turn_falls_into_its_quiet_hours_is_due_when_they_end(kigali: Site) -> None:
    calls(kigali.hospital)
    control.start(interval_minutes=5, actor=None, now=at("21:00:00"))
    world.synced(kigali.hospital, now=at("21:58:00"))
    assert control.next_due_at(now=at("21:59:00")) == at("06:00:00") + dt.timedelta(days=1)


@pytest.mark.parametrize("trigger,status", [("schedule", "skipped"), ("admin", "ok")])
def test_what_was_queued_before_them_is_skipped_but_not_what_somebody_asked_for(
    kigali: Site, trigger: str, status: str
) -> None:
    # quiet hours all around the clock but one minute, so that the worker's own clock is inside of them
    local = timezone.now().astimezone(dt.timezone(dt.timedelta(hours=2)))
    start, end = (local - dt.timedelta(hours=1)).time(), (local - dt.timedelta(hours=1, minutes=1)).time()
    Hospital.objects.update(quiet_from=start, quiet_to=end)
    run = runs.queue_run(hospital=kigali.hospital, trigger=trigger, is_full=False, now=timezone.now())
    assert run is not None
    tasks.sync_one(str(kigali.hospital.pk), str(run.pk))
    run.refresh_from_db()
    assert run.status == status
    if status == "skipped":
        assert "Quiet hours" in run.message


@pytest.mark.parametrize("trigger,n_read", [("schedule", 0), ("admin", 1), ("command", 1)])
def test_a_run_under_way_ends_at_its_next_batch_when_they_begin(kigali: Site, trigger: str, n_read: int) -> None:
    calls(kigali.hospital)
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 60.0)
    run = world.synced(kigali.hospital, now=at("21:59:59.999"), trigger=trigger)
    assert run.n_read == n_read
    assert world.link_of(kigali.hospital, person).refreshed_at is None if not n_read else run.n_persons == 1


def test_one_patient_is_read_in_quiet_hours_too(kigali: Site) -> None:
    calls(kigali.hospital)
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 60.0)
    found = pipeline.refresh_patient(hospital=kigali.hospital, patient=Patient.objects.get(), now=at("23:00:00"))
    assert (found.status, found.n_created) == ("ok", 1)


# ------------------------------------------------------------------------------------------------ pace


def test_a_pace_makes_small_batches_and_rests_between_them(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SMALLEST_BITE", 20)
    monkeypatch.setattr(pace, "BITE_SECONDS", 0)
    monkeypatch.setattr(pace, "RENEWED_EVERY", 0.1)
    Hospital.objects.update(pace_rows_per_second=100)
    for n in range(10):
        person = kigali.add_holder(f"119908001234567{n}")
        for weight in range(15):
            kigali.pretend.add_obs(person, "weight", 60.0 + weight)
    leases: list[tuple[bool, Any]] = []
    wait = threading.Event.wait

    def look(event: threading.Event, timeout: float | None = None) -> bool:
        if event is pipeline._stop:
            in_snapshot = bool(kigali.pretend.server.execute("SELECT 1 FROM information_schema.innodb_trx"))
            leases.append((in_snapshot, Claim.objects.get().lease_until))
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", look)
    run = world.synced(kigali.hospital)
    # nine pauses of ten batches, at least the 15 obs of each at 100 a second
    assert run.seconds > 9 * 15 / 100
    assert not any(in_snapshot for in_snapshot, _ in leases)
    assert len({lease for _, lease in leases}) > 9, "the claim is renewed while we wait"
    assert run.n_source_rows > 150
    assert 0 < run.source_seconds < run.seconds
    assert world.verified(kigali.hospital).is_well


@pytest.mark.parametrize("why", ["stop", "until"])
def test_a_long_pause_ends_when_the_run_must(why: str) -> None:
    stop = threading.Event()
    if why == "stop":
        stop.set()
    pace.rest(
        hospital=hospital_with(pace_rows_per_second=1),
        n_rows=1_000_000,
        seconds=0,
        until=time.monotonic() - 1 if why == "until" else None,
        stop=stop,
        renew=lambda: pytest.fail("there was no pause"),
    )


def test_no_pace_means_no_pause() -> None:
    pace.rest(
        hospital=hospital_with(),
        n_rows=1_000_000,
        seconds=0,
        until=None,
        stop=threading.Event(),
        renew=lambda: pytest.fail("there was no pause"),
    )


# ------------------------------------------------------------------------------------------------ in admin


def form_of(hospital: Hospital, **changes: str) -> dict[str, str]:
    return {
        "name": hospital.name,
        "host": hospital.host,
        "port": str(hospital.port),
        "database": hospital.database,
        "username": hospital.username,
        "tls_mode": hospital.tls_mode,
        "time_zone": hospital.time_zone,
        "languages": "en",
        "named_types": "National ID",
        "sweep_hours": "24",
        "is_watched": "on",
        **changes,
    }


def test_an_admin_sets_pace_and_quiet_hours(client: Client) -> None:
    hospital = Hospital.objects.create(
        code="kigali", number=1, name="Kigali", host="h", database="d", username="u", state=HospitalState.LIVE
    )
    client.force_login(User.objects.create_superuser("alice"))
    page = f"/admin/hospitals/hospital/{hospital.pk}/change/"
    client.post(page, form_of(hospital, pace_rows_per_second="500", quiet_from="22:00", quiet_to="06:00"))
    hospital.refresh_from_db()
    assert (hospital.pace_rows_per_second, hospital.quiet_from, hospital.quiet_to) == (500, NIGHT, MORNING)
    answer = client.post(page, form_of(hospital, quiet_from="22:00"))
    assert "must be given together with quiet_from" in answer.content.decode()


# ------------------------------------------------------------------------------------------------ a slow statement


def test_the_server_itself_gives_up_on_a_slow_statement(kigali: Site, settings: Any) -> None:
    """Not our read time-out, after which the statement would go on at the hospital: the connection lives on."""
    settings.SOURCE_READ_TIMEOUT = 6
    slow = (
        "SELECT COUNT(a.uuid = b.uuid) FROM concept a, concept b, concept c, concept d, concept e, concept f, concept g"
    )
    with open_hospital(kigali.hospital) as source:
        with pytest.raises(HospitalUnreachable):
            source.fetch(slow)
        assert source.fetch("SELECT 1") == [(1,)]
        running = kigali.pretend.server.execute("SELECT info FROM information_schema.processlist")
        assert not [info for (info,) in running if info and info == slow]


def test_a_run_notes_what_it_read_and_how_long_the_source_took(kigali: Site) -> None:
    person = kigali.add_holder("1199080012345678")
    for weight in range(30):
        kigali.pretend.add_obs(person, "weight", 60.0 + weight)
    run = world.synced(kigali.hospital)
    stored = SyncRun.objects.get(pk=run.pk)
    assert stored.n_source_rows > 30
    assert 0 < stored.source_seconds <= stored.seconds
