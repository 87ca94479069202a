"""Parked rows: why, in plain words; tried again by themselves, by hand one or all; never dropped, never in the way."""

import ast
import datetime as dt
from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import balance, links, pipeline, tasks, words
from openmrs_sync.enricher import EXCLUSIONS
from openmrs_sync.models import ParkedRow, SyncRun
from passport.models import Link, Patient, Record, User
from tests.integration import world
from tests.integration.world import Site
from tests.parts import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

LIST = "/admin/openmrs_sync/parkedrow/"
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


@pytest.fixture
def hospital(db: None) -> Hospital:
    return Hospital.objects.create(
        code="kigali", number=1, name="Kigali", host="h", database="d", username="u", state=HospitalState.LIVE
    )


def linked(hospital: Hospital, person_id: int) -> Link:
    now = timezone.now()
    patient = Patient.objects.create(sex="F", created_at=now)
    return Link.objects.create(
        hospital=hospital,
        person_id=person_id,
        person_uuid=f"uuid-{person_id}",
        patient=patient,
        state="linked",
        reason="national_id",
        created_at=now,
        state_changed_at=now,
    )


def park(link: Link, n: int, *, reason: str = "no_value", table: str = "obs", first: int = 1) -> list[ParkedRow]:
    now = timezone.now()
    return ParkedRow.objects.bulk_create(
        ParkedRow(
            hospital=link.hospital,
            link=link,
            table=table,
            source_id=first + offset,
            reason=reason,
            parked_at=now,
            tried_at=now,
        )
        for offset in range(n)
    )


# ------------------------------------------------------------------------------------------------ tried again


def test_a_row_that_cannot_become_a_record_is_tried_again_with_longer_and_longer_pauses(kigali: Site) -> None:
    """T11, T12: after any number of tries it is still listed and counted, and its pause is bounded."""
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "note")
    now = timezone.now()
    pauses = []
    for attempt in range(1, 9):
        world.synced(kigali.hospital, now=now, trigger="schedule", deep=False)
        row = ParkedRow.objects.get()
        assert row.attempts == attempt
        assert row.next_try_at is not None
        pauses.append(row.next_try_at - row.tried_at)
        world.synced(kigali.hospital, now=row.next_try_at - dt.timedelta(minutes=1), trigger="schedule", deep=False)
        if pauses[-1] < dt.timedelta(hours=18):  # else the sweep has read it in between
            assert ParkedRow.objects.get().attempts == attempt, "not before its time"
        now = ParkedRow.objects.get().next_try_at or now
        if ParkedRow.objects.get().attempts != attempt:
            break
    assert len(pauses) >= 5
    for n, pause in enumerate(pauses):
        wanted = min(balance.FIRST_TRY * 2**n, balance.LONGEST_TRY)
        assert 0.8 * wanted <= pause <= 1.2 * wanted
    assert len({pause / balance.FIRST_TRY for pause in pauses}) == len(pauses)
    found = world.verified(kigali.hospital).total
    assert found is not None
    assert (found.n_parked, found.n_unexplained) == (1, 0)


def test_a_row_that_was_mended_at_the_hospital_becomes_a_record_and_is_parked_no_more(kigali: Site) -> None:
    """T7: even when no look sees the change, as with an edit in place."""
    person = kigali.add_holder("1199080012345678")
    row = kigali.pretend.add_obs(person, "note")
    kigali.sync()
    kigali.pretend.update("obs", row, value_text="mended")
    world.synced(kigali.hospital, now=timezone.now() + 2 * HOUR, trigger="schedule", deep=False)
    assert not ParkedRow.objects.exists()
    assert kigali.values() == {row: "mended"}


def test_a_next_try_set_by_a_clock_that_was_ahead_keeps_nothing_waiting(hospital: Hospital) -> None:
    """T91"""
    now = timezone.now()
    mine = linked(hospital, 1)
    park(mine, 1)
    for next_try_at, is_come in [(None, True), (now, True), (now + HOUR, False), (now + 400 * HOUR, True)]:
        ParkedRow.objects.update(next_try_at=next_try_at)
        assert links.retries(hospital=hospital, now=now, without=[]) == ([mine.pk] if is_come else [])
    ParkedRow.objects.update(next_try_at=now)
    assert links.retries(hospital=hospital, now=now, without=[mine.pk]) == []
    Link.objects.update(state="held")
    assert links.retries(hospital=hospital, now=now, without=[]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_thousand_parked_rows_do_not_hold_up_live_ones(kigali: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """T10: they come after everything live, and only some of them in one run."""
    people = []
    with kigali.pretend.bulk():
        for n in range(500):
            people.append(kigali.add_holder(f"11990800{n:08d}"))
            for _ in range(10):
                kigali.pretend.add_obs(people[-1], "note")
    kigali.sync()
    assert ParkedRow.objects.count() == 5_000
    order: list[int] = []
    plan = pipeline._plan

    def planned(session: object, *, link_ids: list[object]) -> list[list[object]]:
        order.extend(dict(Link.objects.values_list("pk", "person_id"))[pk] for pk in link_ids)  # type: ignore[index]
        return plan(session, link_ids=link_ids)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(pipeline, "_plan", planned)
    monkeypatch.setattr(links, "RETRIES", 50)
    now = timezone.now()
    seen = set()
    for tick in range(1, 4):
        now += 2 * HOUR  # the next try of all of them has come
        live = people[-tick]
        weight = kigali.pretend.add_obs(live, "weight", 60.0 + tick)
        order.clear()
        run = world.synced(kigali.hospital, now=now, trigger="schedule", deep=False)
        assert weight in kigali.values()
        assert order[0] == live
        assert run.n_persons == 51
        seen |= set(order)
    assert len(seen) > 120, "each run goes on with others"
    assert ParkedRow.objects.count() == 5_000
    found = world.verified(kigali.hospital).total
    assert found is not None
    assert (found.n_parked, found.n_unexplained) == (5_000, 0)


# ------------------------------------------------------------------------------------------------ the list


def test_the_list_says_why_and_what_to_do(alice: Client, hospital: Hospital) -> None:
    (row,) = park(linked(hospital, 7), 1)
    ParkedRow.objects.update(attempts=3, next_try_at=dt.datetime(2026, 3, 10, 12, 34, tzinfo=dt.UTC))
    why, next_step = words.PARKED["no_value"]
    for page in (alice.get(LIST), alice.get(f"{LIST}{row.pk}/change/")):
        text = page.content.decode()
        assert why in text
        assert next_step in text
        assert "2026-03-10 12:34" in text
    assert '>3 <span class="sync-note">last ' in alice.get(LIST).content.decode(), "attempts"
    ParkedRow.objects.update(reason="some_new_reason")
    assert "some new reason" in alice.get(LIST).content.decode()


def test_a_row_that_is_not_parked_any_more_leads_to_the_list_with_a_word(alice: Client, hospital: Hospital) -> None:
    (row,) = park(linked(hospital, 7), 1)
    gone = row.pk
    row.delete()
    answer = alice.get(f"{LIST}{gone}/change/", follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    page = answer.content.decode()
    assert "This row is not parked any more" in page
    assert "Perhaps it was deleted" not in page


def test_an_empty_list_is_a_sentence(alice: Client) -> None:
    assert "No row is parked." in alice.get(LIST).content.decode()


def test_the_list_is_narrowed_by_hospital_table_and_reason(alice: Client, hospital: Hospital) -> None:
    other = Hospital.objects.create(code="b", number=2, name="B", host="h", database="d", username="u")
    park(linked(hospital, 1), 2)
    park(linked(hospital, 2), 3, table="orders", reason="encounter_of_another_patient")
    park(linked(other, 1), 5)
    for query, n in [
        (f"hospital__id__exact={hospital.pk}", 5),
        ("table=orders", 3),
        ("reason=no_value", 7),
        (f"reason=no_value&hospital__id__exact={other.pk}", 5),
        ("reason=unreadable", 0),
    ]:
        found = alice.get(f"{LIST}?{query}").context["cl"]
        assert found.result_count == n, query


def test_all_that_the_list_shows_are_replayed_and_no_others(alice: Client, hospital: Hospital) -> None:
    mine, others = linked(hospital, 1), linked(hospital, 2)
    park(mine, 150)  # more than one page
    park(others, 1, reason="encounter_of_another_patient")
    page = alice.get(f"{LIST}?reason=no_value").content.decode()
    assert "all 150 shown" in page
    answer = alice.post(f"{LIST}replay/?reason=no_value", follow=True)
    assert "1 person is marked, 1 run is queued." in answer.content.decode()
    mine.refresh_from_db()
    others.refresh_from_db()
    assert (mine.is_urgent, others.is_urgent) == (True, False)
    assert SyncRun.objects.get().trigger == "admin"


def test_one_row_is_replayed_from_its_page(alice: Client, hospital: Hospital) -> None:
    mine = linked(hospital, 1)
    row, _ = park(mine, 2)
    assert f"{LIST}{row.pk}/replay/" in alice.get(f"{LIST}{row.pk}/change/").content.decode()
    assert alice.get(f"{LIST}{row.pk}/replay/").status_code == 405
    alice.post(f"{LIST}{row.pk}/replay/")
    mine.refresh_from_db()
    assert mine.is_urgent


def test_a_replay_makes_a_record_of_what_was_mended(alice: Client, kigali: Site) -> None:
    person = kigali.add_holder("1199080012345678")
    row = kigali.pretend.add_obs(person, "note")
    kigali.sync()
    kigali.pretend.update("obs", row, value_text="mended")
    alice.post(f"{LIST}replay/")
    run = SyncRun.objects.get(status="queued")
    tasks.sync_one(str(kigali.hospital.pk), str(run.pk))
    assert not ParkedRow.objects.exists()
    assert Record.objects.get(table="obs", source_id=row).value == "mended"


# ------------------------------------------------------------------------------------------------ words


def reasons_in_the_code() -> Iterator[str]:
    """Every word that the enricher gives for a row that is no record."""
    for path in (ROOT / "openmrs_sync/enricher").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Return) and node.value is not None:
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and "_" in part.value:
                        yield part.value
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "outcome":
                yield from (part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant))


def test_every_reason_to_park_or_leave_out_has_its_words() -> None:
    found = set(reasons_in_the_code())
    assert {"no_value", "encounter_of_another_patient", "unreadable", "parent_voided"} <= found
    assert set(words.EXCLUDED) == set(EXCLUSIONS)
    assert {one for one in found if one in words.PARKED} == set(words.PARKED)
    assert all(why.endswith(".") and next_step.endswith(".") for why, next_step in words.PARKED.values())
