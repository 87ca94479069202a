"""What must not happen, whatever happens: erased histories, foreign sources, late writers, one row that stops all."""

import datetime as dt
import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import balance, claims, enricher, pipeline
from openmrs_sync import session as sessions
from openmrs_sync.models import Breaker, Claim, ParkedRow, SyncRun, Watermark
from passport.models import Link, Patient, Record
from passport.models.record import UNDATED
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer, free_port

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"


def seen(site: Site, person: int, *values: float) -> list[int]:
    encounter = site.pretend.add_encounter(person)
    with site.pretend.bulk():
        return [site.pretend.add_obs(person, "weight", value, encounter=encounter) for value in values]


def failed(site: Site, **options: Any) -> SyncRun:
    run = world.sync(site.hospital, **options)
    assert (run.status, bool(run.message)) == ("failed", True)
    return run


def delete_obs(site: Site, obs_ids: list[int]) -> None:
    site.pretend.execute(f"DELETE FROM obs WHERE obs_id IN ({', '.join(map(str, obs_ids))})")


def elsewhere(site: Site, database: str) -> PretendHospital:
    """Another database with the same ids under other uuids, but for the identifier type's."""
    other = PretendHospital(site.pretend.server, database, "2.6", seed="another").create()
    uuid = site.pretend.national_id_type_uuid
    other.execute("UPDATE patient_identifier_type SET uuid = %s WHERE name = 'National ID'", (uuid,))
    site.pretend.server.grant_reader(world.READER, world.PASSWORD, database)
    return other


# ------------------------------------------------------------------------------------------------ the brake


def test_losing_more_than_a_normal_day_explains_stops_before_it_is_written(kigali: Site) -> None:
    """T90"""
    weights = seen(kigali, kigali.add_holder(ALICE), *range(30, 180))
    kigali.sync()
    delete_obs(kigali, weights[:60])
    assert failed(kigali).error_kind == "would_erase"
    assert failed(kigali, full=True).error_kind == "would_erase"
    assert len(kigali.values()) == 150
    pipeline.accept_changes(hospital=kigali.hospital, actor=None, now=timezone.now())
    run = kigali.sync()
    assert (run.n_withdrawn, len(kigali.values())) == (60, 90)
    assert world.verified(kigali.hospital).is_well


def test_the_brake_counts_over_several_runs(kigali: Site) -> None:
    """T90"""
    weights = seen(kigali, kigali.add_holder(ALICE), *range(30, 180))
    kigali.sync()
    delete_obs(kigali, weights[:30])
    assert kigali.sync().n_withdrawn == 30
    delete_obs(kigali, weights[30:60])
    assert failed(kigali).error_kind == "would_erase"
    assert len(kigali.values()) == 120


def test_a_confirmation_is_for_once(kigali: Site) -> None:
    """T90"""
    weights = seen(kigali, kigali.add_holder(ALICE), *range(30, 230))
    kigali.sync()
    pipeline.accept_changes(hospital=kigali.hospital, actor=None, now=timezone.now())
    delete_obs(kigali, weights[:60])
    kigali.sync()
    delete_obs(kigali, weights[60:120])
    assert failed(kigali).error_kind == "would_erase"


def test_many_links_that_end_at_once_stop_the_look(kigali: Site) -> None:
    """T90: the numbers of everybody are gone."""
    persons = [kigali.add_holder(f"11990800{number:08d}") for number in range(20)]
    kigali.sync()
    for person in persons[:12]:
        kigali.pretend.void_identifier(kigali.pretend.identifiers_of(person)[0])
    assert failed(kigali).error_kind == "would_erase"
    assert Link.objects.filter(state="linked").count() == 20
    pipeline.accept_changes(hospital=kigali.hospital, actor=None, now=timezone.now())
    kigali.sync()
    assert Link.objects.filter(state="linked").count() == 8


def test_one_voided_patient_does_not_trip_the_brake(kigali: Site) -> None:
    """T90: rows seen voided do not count."""
    seen(kigali, kigali.add_holder(BOB), 60.0)
    person = kigali.add_holder(ALICE)
    seen(kigali, person, *range(30, 180))
    kigali.sync()
    kigali.pretend.void_patient(person)
    kigali.sync()
    assert list(kigali.values().values()) == ["60"]


# ------------------------------------------------------------------------------------------------ quiet, replaced


def test_a_hospital_with_nothing_left_to_read_is_quiet_and_nothing_is_written(kigali: Site) -> None:
    """T40"""
    seen(kigali, kigali.add_holder(ALICE), 60.0, 61.0)
    kigali.sync()
    for table in ("obs", "encounter_provider", "encounter", "visit"):
        kigali.pretend.execute(f"DELETE FROM {table}")
    run = world.sync(kigali.hospital)
    assert (run.status, run.error_kind, bool(run.message)) == ("quiet", None, True)
    assert sorted(kigali.values().values()) == ["60", "61"]


def test_a_hospital_whose_identifiers_are_all_gone_is_quiet_and_no_link_ends(kigali: Site) -> None:
    """T40: a filtered view instead of the table."""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.sync()
    kigali.pretend.execute("RENAME TABLE patient_identifier TO hidden_identifier")
    kigali.pretend.execute("CREATE VIEW patient_identifier AS SELECT * FROM hidden_identifier WHERE 1 = 0")
    assert world.sync(kigali.hospital).status == "quiet"
    assert list(kigali.values().values()) == ["60"]


def test_another_hospitals_database_is_refused_before_anything_is_changed(kigali: Site) -> None:
    """T32, T33: the same ids under other uuids; nobody there has our patients' numbers."""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0, 61.0)
    kigali.sync()
    other = elsewhere(kigali, "other")
    stranger = other.add_person(national_id=BOB)
    encounter = other.add_encounter(stranger)
    for value in (80.0, 81.0):
        other.add_obs(stranger, "weight", value, encounter=encounter)
    Hospital.objects.update(database="other")
    assert failed(kigali).error_kind == "source_replaced"
    assert sorted(kigali.values().values()) == ["60", "61"]
    assert world.link_of(kigali.hospital, person).state == "linked"


def test_a_restored_source_is_read_anew_when_an_admin_says_that_it_is_meant(kigali: Site) -> None:
    """T32"""
    seen(kigali, kigali.add_holder(ALICE), 60.0, 61.0)
    kigali.sync()
    restored = elsewhere(kigali, "restored")
    person = restored.add_person(national_id=ALICE)
    restored.add_obs(person, "weight", 80.0)
    restored.add_obs(person, "weight", 81.0, encounter=restored.add_encounter(person))
    Hospital.objects.update(database="restored")
    assert failed(kigali).error_kind == "source_replaced"
    call_command("accept_source", "kigali", stdout=io.StringIO())
    assert not world.shown(kigali.hospital), "nothing of the old epoch is shown"
    kigali.sync()
    assert sorted(kigali.values().values()) == ["80", "81"]
    assert world.verified(kigali.hospital).is_well
    assert not Record.objects.exclude(key__startswith="000102").exists(), "and it is removed"


def test_ids_used_again_near_the_top_are_normal_life(kigali: Site) -> None:
    """T32: a purge, a restart of an old server, and the next row has the same id under another uuid."""
    person = kigali.add_holder(ALICE)
    weights = seen(kigali, person, *range(40, 80))
    kigali.sync()
    kigali.pretend.purge_obs(weights[-1])
    kigali.pretend.add_obs(person, "weight", 99.0, obs_id=weights[-1])
    kigali.sync()
    assert kigali.values()[weights[-1]] == "99"


def test_a_small_hospital_restored_from_a_backup_with_ids_used_again_stops_and_asks(kigali: Site) -> None:
    """T32: with fewer persons than anchors the newest are anchors, too: nobody gets what was another's."""
    persons = {number: kigali.add_holder(number) for number in (ALICE, BOB, CAROL)}
    for weight, person in enumerate(persons.values(), start=60):
        seen(kigali, person, weight)
    kigali.sync()
    since = (persons[BOB], persons[CAROL])
    for table in ("obs", "encounter", "patient_identifier", "patient", "person_name", "person"):
        owner = "person_id" if table in ("obs", "person", "person_name") else "patient_id"
        kigali.pretend.execute(f"DELETE FROM {table} WHERE {owner} IN (%s, %s)", since)
    for weight, (person, number) in enumerate(zip(since, (CAROL, BOB), strict=True), start=80):
        seen(kigali, kigali.pretend.add_person(person_id=person, national_id=number), weight)
    assert failed(kigali).error_kind == "source_replaced"
    assert sorted(kigali.values().values()) == ["60", "61", "62"], "as it was last known, until somebody says"
    call_command("accept_source", "kigali", stdout=io.StringIO())
    kigali.sync()
    carols = Patient.objects.get(identifiers__number=CAROL)
    assert [record.value for record in world.shown(kigali.hospital, carols).values() if record.table == "obs"] == ["80"]
    assert sorted(kigali.values().values()) == ["60", "80", "81"]
    assert world.verified(kigali.hospital).is_well


# ------------------------------------------------------------------------------------------------ rights and reach


def test_an_account_that_can_write_is_refused_before_anything_is_read(kigali: Site) -> None:
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.pretend.server.grant_writer("clerk", "too-much", "kigali")
    from passport.secrets import seal

    Hospital.objects.update(username="clerk", password_sealed=seal("too-much"))
    assert failed(kigali).error_kind == "writable_account"
    assert not Link.objects.exists()


def test_a_wrong_password_parks_nothing(kigali: Site) -> None:
    """T9"""
    from passport.secrets import seal

    seen(kigali, kigali.add_holder(ALICE), 60.0)
    Hospital.objects.update(password_sealed=seal("wrong"))
    assert failed(kigali).error_kind == "credentials"
    assert not ParkedRow.objects.exists()
    assert Breaker.objects.get().state == Breaker.State.OPEN


def test_a_type_that_is_deleted_at_the_hospital_stops_it_and_changes_no_link(kigali: Site) -> None:
    """T80"""
    person = kigali.add_holder(ALICE)
    seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.execute("DELETE FROM patient_identifier_type WHERE name = 'National ID'")
    assert failed(kigali).error_kind == "misconfigured"
    assert list(kigali.values().values()) == ["60"]


def test_a_type_that_is_renamed_or_retired_at_the_hospital_changes_nothing(kigali: Site) -> None:
    """T80"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.sync()
    kigali.pretend.execute("UPDATE patient_identifier_type SET name = 'NID', retired = 1 WHERE name = 'National ID'")
    assert world.nothing_changed(kigali.sync(full=True))
    assert list(kigali.values().values()) == ["60"]


def test_a_column_that_is_dropped_is_named_and_the_history_stays(kigali: Site) -> None:
    """T42"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    kigali.sync()
    kigali.pretend.execute("ALTER TABLE obs DROP COLUMN value_text")
    run = failed(kigali)
    assert run.error_kind == "schema_mismatch"
    assert "obs.value_text" in run.message
    assert list(kigali.values().values()) == ["60"]


def test_one_hospital_that_is_down_delays_no_other_and_its_line_says_so(kigali: Site, huye: Site) -> None:
    """T18"""
    for site in (kigali, huye):
        seen(site, site.add_holder(ALICE), 60.0)
    Hospital.objects.filter(pk=kigali.hospital.pk).update(port=free_port())
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("sync", "--json", stdout=out)
    lines = json.loads(out.getvalue())
    assert caught.value.returncode == 1
    assert [(line["hospital"], line["status"], line["error_kind"]) for line in lines] == [
        ("kigali", "failed", "unreachable"),
        ("huye", "ok", None),
    ]
    assert sum(line["seconds"] for line in lines) < 20
    assert list(huye.values().values()) == ["60"]


def test_a_hospital_that_was_away_is_read_on_when_it_is_back(db: None, sources_on_loopback: None) -> None:
    with MariaDBServer() as server:
        site = world.open_site(server, "away")
        person = site.add_holder(ALICE)
        seen(site, person, 60.0)
        site.sync()
        server.stop()
        assert failed(site).error_kind == "unreachable"
        assert list(site.values().values()) == ["60"]
        server.start()
        seen(site, person, 61.0)
        site.sync()
        assert sorted(site.values().values()) == ["60", "61"]
        assert Breaker.objects.get().n_failures == 0


# ------------------------------------------------------------------------------------------------ late writers


def test_a_hospital_that_another_worker_reads_is_busy(kigali: Site) -> None:
    """T14"""
    clock = claims.Clock.at(timezone.now())
    with claims.claim(hospital=kigali.hospital, clock=clock):
        assert world.sync(kigali.hospital).status == "busy"
    kigali.sync()


def test_a_killed_workers_claim_frees_itself_by_time(kigali: Site) -> None:
    """T13"""
    seen(kigali, kigali.add_holder(ALICE), 60.0)
    now = timezone.now()
    Claim.objects.create(hospital=kigali.hospital, token=7, lease_until=now + claims.LEASE)
    assert world.sync(kigali.hospital, now=now).status == "busy"
    kigali.sync(now=now + claims.LEASE + dt.timedelta(seconds=1))
    assert list(kigali.values().values()) == ["60"]
    assert Claim.objects.get().token > 7


def test_a_lease_written_by_a_clock_in_the_future_does_not_last_for_ever(kigali: Site) -> None:
    """T91"""
    Claim.objects.create(hospital=kigali.hospital, token=7, lease_until=timezone.now() + dt.timedelta(days=365))
    kigali.sync()


def test_a_worker_that_wakes_after_its_lease_writes_nothing(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T15, T79"""
    person = kigali.add_holder(ALICE)
    (first,) = seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.edit_obs(first, 61.0)
    render = enricher.render

    def sleep_then_render(*arguments: Any, **options: Any) -> Any:
        Claim.objects.update(token=F("token") + 1)  # somebody else took over meanwhile
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", sleep_then_render)
    before = list(Record.objects.order_by("key").values())
    run = failed(kigali)
    assert run.error_kind == "internal"
    assert list(Record.objects.order_by("key").values()) == before
    monkeypatch.undo()
    link = world.link_of(kigali.hospital, person)
    assert link.marks != link.fresh_marks


def test_a_crash_in_the_middle_of_a_batch_loses_nothing(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T6, T31: after the records, before the link's mark."""
    seen(kigali, kigali.add_holder(ALICE), 60.0, 61.0)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(balance, "finish", die)
    with pytest.raises(KeyboardInterrupt):
        world.sync(kigali.hospital)
    monkeypatch.undo()
    Claim.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    run = kigali.sync(deep=False)
    assert (run.n_created, run.n_unchanged) == (0, 3)
    assert world.verified(kigali.hospital).is_well


class Killed(BaseException):
    """What a worker that is killed does not survive."""


def kill_at_write(n: int) -> Callable[..., Any]:
    """For connection.execute_wrapper(): the n-th statement that would change our store ends the worker instead."""
    left = [n]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE"):
            left[0] -= 1
            if not left[0]:
                raise Killed
        return run(sql, params, many, context)

    return execute


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_at_every_single_write_the_engine_ends_where_it_would_have_ended(kigali: Site) -> None:
    """T6, T13, T31"""
    hospital, person = kigali.pretend, kigali.add_holder(ALICE)
    other = kigali.add_holder(BOB)
    weights = seen(kigali, person, 60.0, 61.0, 62.0)
    moved = hospital.add_encounter(person)
    hospital.add_obs(person, "pulse", 80.0, encounter=moved)
    kigali.sync()
    # what the killed runs have to carry over: an edit, a void, a purge, a moved encounter, a parked row, a new number
    edited = hospital.edit_obs(weights[0], 70.0)
    hospital.void_obs(weights[1])
    hospital.purge_obs(weights[2])
    hospital.move_encounter(moved, other)
    empty = hospital.add_obs(person, "note")
    seen(kigali, kigali.add_holder(CAROL), 90.0)

    for n in range(1, 400):
        try:
            with connection.execute_wrapper(kill_at_write(n)):
                world.sync(kigali.hospital)
        except Killed:
            Claim.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
        else:
            break
    assert 10 < n < 399
    kigali.sync()

    assert kigali.values()[edited] == "70"
    assert sorted(kigali.values().values()) == ["70", "80", "90"]
    assert list(ParkedRow.objects.values_list("source_id", flat=True)) == [empty]
    assert world.verified(kigali.hospital).is_well
    assert world.nothing_changed(kigali.sync(full=True))
    fresh = world.live_hospital(hospital.server, "kigali", number=2, code="fresh")
    world.synced(fresh)
    assert world.as_values(world.shown(kigali.hospital)) == world.as_values(world.shown(fresh))


# ------------------------------------------------------------------------------------------------ odd rows


def test_one_person_that_cannot_be_rendered_waits_alone(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T8: bisected out of the batch, listed, tried again; everybody else is stored in the same run."""
    numbers = [f"11990800{number:08d}" for number in range(7)]
    persons = [kigali.add_holder(number) for number in numbers]
    for person in persons:
        seen(kigali, person, 60.0)
    poisoned = persons[3]
    kigali.pretend.add_obs(poisoned, "note", "only one person has a note")
    make = sessions.make_categorise
    note = kigali.pretend.row("concept", kigali.pretend.concept("note"))["uuid"]

    def make_poisonous(rules: Any) -> Any:
        categorise = make(rules)

        def fail_on_note(table: str, concept: Any) -> Any:
            if concept is not None and concept.uuid == note:
                raise ZeroDivisionError
            return categorise(table, concept)

        return fail_on_note

    monkeypatch.setattr(sessions, "make_categorise", make_poisonous)
    run = world.sync(kigali.hospital)
    assert (run.status, run.n_persons, "1 person" in run.message) == ("ok", 6, True)
    assert len(kigali.values()) == 6
    link = world.link_of(kigali.hospital, poisoned)
    assert (link.n_failures, link.next_try_at is not None, link.marks != link.fresh_marks) == (1, True, True)
    monkeypatch.undo()
    kigali.sync()
    assert len(kigali.values()) == 8


def test_a_row_without_value_is_parked_and_stored_when_it_has_one(kigali: Site) -> None:
    """T7, T11"""
    person = kigali.add_holder(ALICE)
    (weight,) = seen(kigali, person, 60.0)
    empty = kigali.pretend.add_obs(person, "weight")
    run = kigali.sync()
    assert (run.status, run.n_parked) == ("ok", 1)
    assert list(ParkedRow.objects.values_list("source_id", "reason")) == [(empty, "no_value")]
    kigali.sync(full=True)
    assert ParkedRow.objects.get().attempts == 2
    kigali.pretend.update("obs", empty, value_numeric=61.0)
    kigali.sync(full=True)
    assert not ParkedRow.objects.exists()
    assert kigali.values() == {weight: "60", empty: "61"}


def test_a_stored_row_that_must_be_parked_is_withdrawn(kigali: Site) -> None:
    person = kigali.add_holder(ALICE)
    (weight,) = seen(kigali, person, 60.0)
    kigali.sync()
    kigali.pretend.update("obs", weight, value_numeric=None)
    kigali.sync(full=True)
    assert not kigali.values()
    assert Record.objects.get(table="obs").withdrawn_reason == "no_value"
    assert world.verified(kigali.hospital).is_well


def test_impossible_dates_make_undated_records(huye: Site) -> None:
    """T37"""
    person = huye.add_holder(ALICE)
    odd = ["0000-00-00 00:00:00", "2012-00-00 00:00:00", "0001-01-01 00:00:00", "2999-01-01 00:00:00"]
    rows = [huye.pretend.add_obs(person, "weight", 60.0 + n, at=moment) for n, moment in enumerate(odd)]
    encounter = huye.pretend.add_encounter(person, at="0000-00-00 00:00:00")
    visit = huye.pretend.add_visit(person, started="0000-00-00 00:00:00")
    huye.sync()
    shown = world.shown(huye.hospital)
    keys = [*(("obs", row) for row in rows), ("encounter", encounter), ("visit", visit)]
    assert [(shown[key].at_local, shown[key].order_at) for key in keys] == [(None, UNDATED)] * 6
    assert world.verified(huye.hospital).is_well


def test_a_text_of_a_megabyte_and_one_with_nuls_are_stored_whole(kigali: Site) -> None:
    person = kigali.add_holder(ALICE)
    kigali.pretend.execute("ALTER TABLE obs MODIFY value_text LONGTEXT")
    long = "Ubuzima bwiza. " * 70_000
    rows = [kigali.pretend.add_obs(person, "note", text) for text in (long, "before\0after", "é ü")]
    kigali.sync()
    assert [kigali.values()[row] for row in rows] == [
        long,
        "beforeafter",
        kigali.pretend.row("obs", rows[2])["value_text"],
    ]
    assert world.verified(kigali.hospital).is_well


def test_orphans_become_records_with_unknown_names(kigali: Site) -> None:
    person = kigali.add_holder(ALICE)
    encounter = kigali.pretend.add_encounter(person)
    rows = [
        kigali.pretend.add_obs(person, "smoker", value_coded=987_656, encounter=encounter),
        kigali.pretend.add_obs(person, "weight", 60.0, location=987_655),
    ]
    kigali.pretend.update("obs", rows[1], encounter_id=987_654)
    lost = kigali.pretend.add_obs(person, "weight", 5.0)
    kigali.pretend.update("obs", lost, concept_id=987_657)
    kigali.pretend.execute("UPDATE encounter SET visit_id = 987658, encounter_type = 987659")
    kigali.pretend.execute("UPDATE encounter_provider SET provider_id = 987660")
    run = kigali.sync()
    assert (run.n_parked, run.n_created) == (0, 4)
    assert kigali.values()[rows[0]] == "Unknown concept 987656"
    shown = world.shown(kigali.hospital)
    assert shown["obs", rows[1]].location == "Unknown location 987655"
    assert shown["obs", lost].concept == "Unknown concept 987657"
    assert shown["encounter", encounter].provider == "Unknown provider 987660"
    assert world.verified(kigali.hospital).is_well


def test_an_observation_on_another_patients_encounter_is_parked_as_a_contradiction(kigali: Site) -> None:
    person, other = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    encounter = kigali.pretend.add_encounter(other)
    wrong = kigali.pretend.add_obs(person, "weight", 60.0, encounter=encounter)
    kigali.sync()
    assert list(ParkedRow.objects.values_list("source_id", "reason")) == [(wrong, "encounter_of_another_patient")]
    assert world.verified(kigali.hospital).is_well


def test_a_group_four_deep_and_one_in_a_circle_do_not_stop_the_batch(kigali: Site) -> None:
    """T76"""
    person = kigali.add_holder(ALICE)
    group = None
    chain = []
    for _ in range(5):
        group = kigali.pretend.add_obs(person, "diagnosis set", group=group)
        chain.append(group)
    leaf = kigali.pretend.add_obs(person, "weight", 60.0, group=group)
    circle = kigali.pretend.add_obs(person, "pulse", 70.0)
    kigali.pretend.update("obs", circle, obs_group_id=circle)
    kigali.sync()
    shown = world.shown(kigali.hospital)
    assert shown["obs", leaf].group_id == chain[0]
    assert ("obs", circle) in shown
    kigali.pretend.void("obs", chain[0])
    kigali.sync()
    assert ("obs", leaf) not in world.shown(kigali.hospital)
    assert world.verified(kigali.hospital).is_well


def test_no_number_name_or_value_is_in_any_log_message_or_audit_row(
    kigali: Site, caplog: pytest.LogCaptureFixture
) -> None:
    from passport.models import AuditEvent

    caplog.set_level(logging.DEBUG)
    marked = "1234567890MARKED"
    world.register(marked)
    person = kigali.pretend.add_person(national_id=marked, given="Givenmarked", family="Familymarked")
    kigali.pretend.add_obs(person, "note", "Valuemarked")
    kigali.pretend.add_obs(person, "note")
    call_command("sync", "--json", stdout=io.StringIO())
    kigali.pretend.execute("ALTER TABLE obs DROP COLUMN value_text")
    run = failed(kigali)
    told = caplog.text + run.message + json.dumps(list(AuditEvent.objects.values_list("details", flat=True)))
    assert not [word for word in (marked, "Givenmarked", "Familymarked", "Valuemarked") if word.lower() in told.lower()]
    assert Watermark.objects.exists()
