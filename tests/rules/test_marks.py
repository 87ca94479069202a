"""Marks: a change that is noticed is read, whenever it is noticed."""

import datetime as dt
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import balance, claims, enricher, links, pipeline, reader, refresh
from openmrs_sync import session as sessions
from openmrs_sync.models import Breaker, Claim
from passport.models import Link, Record
from tests.rules.ward import ALICE, BOB, CAROL, Rule, Ward, once

pytestmark = pytest.mark.django_db


def test_marks_are_read_before_the_snapshot(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T71, T84: somebody asks for a fresh read while the batch is being read; the change is not in the snapshot."""
    write = refresh.write

    def write_with_late_marks(session: Any, *, prepared: Any, read: Any) -> Any:
        persons = {
            person: replace(link, marks=Link.objects.get(pk=link.pk).marks) for person, link in prepared.persons.items()
        }
        return write(session, prepared=replace(prepared, persons=persons), read=read)

    rule.instead(refresh, "write", write_with_late_marks)
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)

    def edit_and_mark() -> None:
        ward.change_quietly(weight, value_numeric=61)
        ward.mark(person)

    once(monkeypatch, reader, "read_batch", edit_and_mark)
    ward.look()
    ward.look()
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


@pytest.mark.slow
def test_marks_are_counted(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T84: a flag that is set already cannot be set once more, and is taken down by whoever finishes."""

    def raise_flag(found: QuerySet[Link], *, now: dt.datetime, urgent: bool = False) -> int:
        return found.update(marks=F("fresh_marks") + 1, stale_since=Coalesce("stale_since", now))

    rule.instead(links, "mark", raise_flag)
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)

    def edit_and_mark() -> None:
        ward.change_quietly(weight, value_numeric=61)
        ward.mark(person)

    once(monkeypatch, reader, "read_batch", edit_and_mark)
    ward.look()
    ward.look()
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


def test_settings_are_part_of_freshness(ward: Ward, rule: Rule) -> None:
    """T88: the hospital's zone is corrected, and no row there has changed."""
    rule.reworded(links, "stale", ("| ~Q(fresh_config_version=hospital.config_version)", ""))
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    before = Record.objects.get(table="obs").order_at
    Hospital.objects.update(time_zone="Africa/Dakar", config_version=F("config_version") + 1)
    ward.look()
    moved = Record.objects.get(table="obs").order_at - before
    rule.ends(moved, kept=2 * 3600, taken_out=0)


@pytest.mark.slow
def test_fresh_means_under_the_settings_that_it_was_rendered_with(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T88: an admin corrects the zone while a batch is being rendered."""
    finish = balance.finish

    def finish_as_of_now(**options: Any) -> None:
        finish(**options | {"config_version": Hospital.objects.get().config_version})

    rule.instead(balance, "finish", finish_as_of_now)
    ward.see(ward.add_holder(ALICE), 60)
    once(
        monkeypatch,
        enricher,
        "render",
        lambda: Hospital.objects.update(time_zone="Africa/Dakar", config_version=F("config_version") + 1),
    )
    ward.look()
    before = Record.objects.get(table="obs").order_at
    ward.look()
    moved = Record.objects.get(table="obs").order_at - before
    rule.ends(moved, kept=2 * 3600, taken_out=0)


@pytest.mark.slow
def test_settings_are_read_per_batch(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T88: from the batch after an admin's change on, nothing is written under the old settings."""
    rule.instead(sessions.Session, "is_outdated", lambda _session: False)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 3)
    first, second = (ward.see(ward.add_holder(number), 60)[0] for number in (ALICE, BOB))
    once(
        monkeypatch,
        balance,
        "finish",
        lambda: Hospital.objects.update(time_zone="Africa/Dakar", config_version=F("config_version") + 1),
    )
    ward.look()
    rule.ends(set(ward.values()), kept={first}, taken_out={first, second})


def stop_after_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's time is over when the first batch of one person is done."""
    stop = threading.Event()
    monkeypatch.setattr(pipeline, "_stop", stop)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 3)
    once(monkeypatch, balance, "finish", stop.set)


@pytest.mark.slow
def test_whoever_is_waited_for_goes_first(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """One order for all: urgent ones before those that are merely due."""
    rule.reworded(links, "due", ('F("is_urgent").desc(), ', ""))
    weights = [ward.see(ward.add_holder(number), 60)[0] for number in (ALICE, BOB, CAROL)]
    ward.sync()
    for weight in weights:
        ward.change_quietly(weight, value_numeric=61)
    links.mark_all(hospital=ward.hospital, now=timezone.now())
    waiting = Link.objects.filter(pk=ward.link(ward.pretend.row("obs", weights[2])["person_id"]).pk)
    links.mark(waiting, now=timezone.now(), urgent=True)
    stop_after_one_batch(monkeypatch)
    ward.look()
    read = [weight for weight, value in ward.values().items() if value == "61"]
    rule.ends(read, kept=[weights[2]], taken_out=[weights[0]])


@pytest.mark.slow
def test_whoever_is_due_longest_goes_first(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T10: runs too short for everybody, and one busy person with a small id: the other must not starve."""
    rule.reworded(links, "due", ('Coalesce("stale_since", "refreshed_at", "created_at"), ', ""))
    busy, quiet = ward.add_holder(ALICE), ward.add_holder(BOB)
    (first,), (second,) = ward.see(busy, 60), ward.see(quiet, 60)
    ward.sync()
    now = timezone.now()
    for weight in (first, second):
        ward.change_quietly(weight, value_numeric=61)
    links.mark_persons(hospital=ward.hospital, person_ids=[quiet], now=now)
    links.mark_persons(hospital=ward.hospital, person_ids=[busy], now=now + dt.timedelta(seconds=1))
    stop_after_one_batch(monkeypatch)
    ward.look()
    rule.ends(ward.values(), kept={first: "60", second: "61"}, taken_out={first: "61", second: "60"})


def poison(monkeypatch: pytest.MonkeyPatch, person: int) -> list[int]:
    """Rendering this person fails. Returns a list that grows by each try."""
    render, tries = enricher.render, []

    def render_or_fail(batch: Any, **options: Any) -> Any:
        if person in batch.persons:
            tries.append(len(batch.persons))
            raise ZeroDivisionError
        return render(batch, **options)

    monkeypatch.setattr(enricher, "render", render_or_fail)
    return tries


def test_a_failing_batch_is_bisected_down_to_the_one_bad_person(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T8: everybody else of the batch is stored in the same run."""
    rule.reworded(
        pipeline,
        "_set_aside",
        ("if len(batch) == 1:", "if True:"),
        (
            "links.wait(link_id=batch[0], now=session.claim.clock.now())",
            "[links.wait(link_id=link, now=session.claim.clock.now()) for link in batch]",
        ),
    )
    persons = [ward.add_holder(number) for number in (ALICE, BOB, CAROL)]
    weights = [ward.see(person, 60)[0] for person in persons]
    poison(monkeypatch, persons[1])
    ward.try_to_sync(deep=False)
    rule.ends(set(ward.values()), kept={weights[0], weights[2]}, taken_out=set())


@pytest.mark.slow
def test_a_bad_person_waits_by_itself(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T10, T12: it is tried again after a pause of its own, not at every tick."""
    rule.reworded(links, "wait", ("next_try_at=now + pause", "next_try_at=None"))
    bad = ward.add_holder(ALICE)
    ward.see(bad, 60)
    ward.see(ward.add_holder(BOB), 61)
    tries = poison(monkeypatch, bad)
    now = timezone.now()
    ward.try_to_sync(deep=False, trigger="schedule", now=now)
    tries.clear()
    ward.try_to_sync(deep=False, trigger="schedule", now=now + dt.timedelta(minutes=1))
    rule.ends(len(tries), kept=0, taken_out=1)


@pytest.mark.slow
def test_a_clock_in_the_future_makes_no_link_immortal(ward: Ward, rule: Rule) -> None:
    """T91: a person was read while our clock was ten years ahead."""
    rule.reworded(links, "due", (" | Q(refreshed_at__gt=now + timedelta(minutes=1))", ""))
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    now = timezone.now()
    ward.look(now=now + dt.timedelta(days=3650))
    ward.change_quietly(weight, value_numeric=61)
    ward.look(now=now)
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


@pytest.mark.slow
def test_a_pause_written_by_a_clock_in_the_future_ends(ward: Ward, rule: Rule) -> None:
    """T91: the same for whoever waits after a failure."""
    rule.reworded(links, "due", (" | Q(next_try_at__gt=now + 2 * LONGEST_WAIT)", ""))
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)
    ward.sync()
    ward.change_quietly(weight, value_numeric=61)
    ward.mark(person)
    Link.objects.update(next_try_at=timezone.now() + dt.timedelta(days=3650))
    ward.look(trigger="schedule")
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


@pytest.mark.slow
def test_a_clock_in_the_future_makes_no_lease_immortal(ward: Ward, rule: Rule) -> None:
    """T91"""
    rule.reworded(claims, "claim", (" | Q(lease_until__gt=now + 10 * LEASE)", ""))
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    Claim.objects.create(hospital=ward.hospital, token=7, lease_until=timezone.now() + dt.timedelta(days=3650))
    ward.try_to_sync()
    rule.ends(ward.values(), kept={weight: "60"}, taken_out={})


@pytest.mark.slow
def test_runs_end_when_their_time_is_over(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left stays marked; a long first sync must not make everybody else wait."""
    rule.reworded(pipeline._Pauses, "is_over", (" or (self.until is not None and time.monotonic() >= self.until)", ""))
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 3)
    for number in (ALICE, BOB):
        ward.see(ward.add_holder(number), 60)
    run = pipeline.sync_hospital(hospital=ward.hospital, trigger="schedule", now=timezone.now(), until=time.monotonic())
    rule.ends(run.n_persons, kept=0, taken_out=2)
    ward.look()
    assert len(ward.values()) == 2


@pytest.mark.slow
def test_the_wait_of_a_bad_person_doubles(ward: Ward, rule: Rule) -> None:
    """T12"""
    rule.reworded(links, "wait", ("FIRST_WAIT * 2 ** min(link.n_failures, 10)", "FIRST_WAIT"))
    person = ward.add_holder(ALICE)
    ward.look()
    now = timezone.now()
    waits = []
    for _ in range(3):
        links.wait(link_id=ward.link(person).pk, now=now)
        next_try_at = ward.link(person).next_try_at
        assert next_try_at is not None
        waits.append((next_try_at - now) // links.FIRST_WAIT)
    rule.ends(waits, kept=[1, 2, 4], taken_out=[1, 1, 1])


@pytest.mark.slow
def test_a_back_off_written_by_a_clock_in_the_future_ends(ward: Ward, rule: Rule) -> None:
    """T91"""
    rule.reworded(claims, "lets_try", (" or breaker.retry_at > now + 2 * LONGEST_PAUSE", ""))
    now = timezone.now()
    Breaker.objects.create(hospital=ward.hospital, state=Breaker.State.OPEN, retry_at=now + dt.timedelta(days=3650))
    rule.ends(claims.may_try(hospital=ward.hospital, now=now), kept=True, taken_out=False)


@pytest.mark.slow
def test_what_only_a_human_can_mend_waits_longest(ward: Ward, rule: Rule) -> None:
    """T9, T12: a wrong password tried every minute locks the account at the hospital."""
    rule.reworded(claims, "note_failure", ("if is_transient else LONGEST_PAUSE", "if is_transient else FIRST_PAUSE"))
    now = timezone.now()
    claims.note_failure(hospital=ward.hospital, kind="credentials", is_transient=False, now=now)
    later = now + dt.timedelta(minutes=5)
    rule.ends(claims.may_try(hospital=ward.hospital, now=later), kept=False, taken_out=True)
