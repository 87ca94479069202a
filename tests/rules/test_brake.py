"""Brake: what a hospital cannot have meant is not written, and somebody is asked."""

import time
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from openmrs_sync import brake, looks, pipeline, refresh, watcher
from openmrs_sync.models import Watermark
from passport.models import Link
from tests.rules.ward import ALICE, BOB, Rule, Ward

pytestmark = pytest.mark.django_db


def purge(ward: Ward, weights: list[int]) -> None:
    ward.pretend.execute(f"DELETE FROM obs WHERE obs_id IN ({', '.join(map(str, weights))})")


def with_history(ward: Ward) -> list[int]:
    """Alice with 150 weights."""
    weights = ward.see(ward.add_holder(ALICE), *range(30, 180))
    ward.sync()
    return weights


def test_a_loss_that_no_normal_day_explains_is_not_written(ward: Ward, rule: Rule) -> None:
    """T90: a half-restored dump."""
    rule.instead(brake, "check", lambda **_: None)
    weights = with_history(ward)
    purge(ward, weights[:60])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("would_erase", 150), taken_out=("ok", 90))


@pytest.mark.slow
def test_losses_are_counted_over_several_runs(ward: Ward, rule: Rule) -> None:
    """T90: thirty, and thirty more."""
    rule.instead(brake, "recent", lambda **_: brake.Losses(n_gone=0, n_ended=0))
    weights = with_history(ward)
    purge(ward, weights[:30])
    ward.sync()
    purge(ward, weights[30:60])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("would_erase", 120), taken_out=("ok", 90))


@pytest.mark.slow
def test_what_is_gone_is_counted_in_the_transaction_that_withdraws_it(ward: Ward, rule: Rule) -> None:
    """T90: thirty, the worker is killed right after writing, and thirty more."""
    rule.reworded(refresh, "write", ("note_gone=note_gone", "note_gone=int"))  # and counted after it
    weights = with_history(ward)
    purge(ward, weights[:30])
    with mock.patch.object(refresh, "_finish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        ward.try_to_sync()
    purge(ward, weights[30:60])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("would_erase", 120), taken_out=("ok", 90))


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["look", "snapshot"])
def test_links_end_in_the_transaction_that_counts_them(ward: Ward, rule: Rule, moment: str) -> None:
    """T90: a worker that is killed between the two leaves a link that nobody counted, or none that ended."""
    where, step = {"look": (looks, "_settle"), "snapshot": (refresh, "_settle_others")}[moment]
    rule.reworded(where, step, ("with transaction.atomic():", "if True:"))
    person, _ = ward.add_holder(ALICE), ward.add_holder(BOB)
    ward.sync()
    note, number = brake.note, ward.pretend.identifiers_of(person)[0]

    def killed(*, losses: brake.Losses, **more: Any) -> None:
        if losses.n_ended:
            raise KeyboardInterrupt
        note(losses=losses, **more)

    if moment == "look":
        ward.pretend.void_identifier(number)
    with mock.patch.object(brake, "note", killed), pytest.raises(KeyboardInterrupt):
        if moment == "look":
            ward.try_to_sync()
        else:
            ward.pretend.void_identifier(number)
            ward.read_person(person)
    rule.ends(ward.link(person).state, kept="linked", taken_out="ended")


@pytest.mark.slow
def test_the_batch_that_crosses_the_limit_is_checked_before_it_is_written(ward: Ward, rule: Rule) -> None:
    """T90: an alarm after the fact would be an alarm about a history that is gone."""
    check = "    brake.check(hospital=session.hospital, losses=losses, now=read.read_at)\n"
    written = "    writer.write(changes=changes, claim=session.claim, now=read.read_at, note_gone=note_gone)\n"
    rule.reworded(refresh, "write", (check, ""), (written, written + check))
    weights = with_history(ward)
    purge(ward, weights[:60])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("would_erase", 150), taken_out=("would_erase", 90))


@pytest.mark.slow
def test_rows_that_were_seen_voided_do_not_count(ward: Ward, rule: Rule) -> None:
    """T90: a patient with a long history is voided, and must not go on being shown."""
    rule.reworded(refresh, "write", ("n_gone=changes.n_gone", "n_gone=changes.n_withdrawn"))
    ward.see(ward.add_holder(BOB), 60)
    person = ward.add_holder(ALICE)
    ward.see(person, *range(30, 180))
    ward.sync()
    ward.pretend.execute("UPDATE obs SET voided = 1, voided_by = 1 WHERE person_id = %s", (person,))
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.seen_by(ALICE))), kept=("ok", 0), taken_out=("would_erase", 100))


@pytest.mark.slow
def test_a_few_are_normal_life(ward: Ward, rule: Rule) -> None:
    """T90: two of twenty is more than five in a hundred, and nothing to ask anybody about."""
    rule.instead(brake, "RECORDS", 0)
    weights = ward.see(ward.add_holder(ALICE), *range(40, 60))
    ward.sync()
    purge(ward, weights[:2])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("ok", 18), taken_out=("would_erase", 20))


@pytest.mark.slow
def test_a_small_share_is_normal_life(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T90: sixty of thousands: the limit of fifty alone would stop every large hospital."""
    monkeypatch.setattr(brake, "RECORDS", 5)  # as 6 of 150 here
    rule.instead(brake, "SHARE", 0.0)
    weights = with_history(ward)
    purge(ward, weights[:6])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("ok", 144), taken_out=("would_erase", 150))


@pytest.mark.slow
def test_links_that_end_are_counted_too(ward: Ward, rule: Rule) -> None:
    """T90: the numbers of twelve of twenty are gone."""
    check = brake.check
    rule.instead(brake, "check", lambda *, losses, **more: check(losses=replace(losses, n_ended=0), **more))
    persons = [ward.add_holder(f"11990800{number:08d}") for number in range(20)]
    ward.sync()
    for person in persons[:12]:
        ward.pretend.void_identifier(ward.pretend.identifiers_of(person)[0])
    ended = ward.try_to_sync()
    n_linked = Link.objects.filter(state="linked").count()
    rule.ends((ended, n_linked), kept=("would_erase", 20), taken_out=("ok", 8))


def test_all_rows_gone_is_quiet_and_nothing_is_written(ward: Ward, rule: Rule) -> None:
    """T40: two weights are too few for the brake; a hospital with nothing at all is not believed."""
    look = watcher.look

    def never_quiet(*arguments: Any, **options: Any) -> watcher.Look:
        found = look(*arguments, **options)
        found.is_quiet = False
        return found

    rule.instead(watcher, "look", never_quiet)
    ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    for table in ("obs", "encounter_provider", "encounter", "visit"):
        ward.pretend.execute(f"DELETE FROM {table}")
    ended = ward.try_to_sync()
    rule.ends((ended, ward.seen_by(ALICE)), kept=("quiet", ["60", "61"]), taken_out=("ok", []))


@pytest.mark.slow
def test_one_empty_table_is_not_quiet(ward: Ward, rule: Rule) -> None:
    """T40: a hospital that gave up visits is read all the same."""
    rule.reworded(watcher, "look", ("bool(had_rows) and all(", "bool(had_rows) and any("))
    person = ward.add_holder(ALICE)
    ward.pretend.add_visit(person)
    ward.see(person, 60)
    ward.sync()
    ward.pretend.execute("DELETE FROM visit")
    ward.see(person, 61)
    ended = ward.try_to_sync()
    rule.ends((ended, ward.seen_by(ALICE)), kept=("ok", ["60", "61"]), taken_out=("quiet", ["60"]))


@pytest.mark.slow
def test_all_identifiers_gone_is_quiet_and_no_link_ends(ward: Ward, rule: Rule) -> None:
    """T40: a filtered view in place of the table."""
    rule.reworded(looks, "look", (" or _has_lost_all_numbers(session, census=census)", ""))
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.pretend.execute("DELETE FROM patient_identifier")
    ended = ward.try_to_sync()
    rule.ends((ended, ward.seen_by(ALICE)), kept=("quiet", ["60"]), taken_out=("ok", []))


@pytest.mark.slow
def test_what_an_admin_confirms_goes_on(ward: Ward, rule: Rule) -> None:
    """T90"""
    rule.instead(brake, "suspend", lambda **_: None)
    weights = with_history(ward)
    purge(ward, weights[:60])
    ward.try_to_sync()
    pipeline.accept_changes(hospital=ward.hospital, actor=None, now=timezone.now())
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("ok", 90), taken_out=("would_erase", 150))


@pytest.mark.slow
def test_a_confirmation_is_for_once(ward: Ward, rule: Rule) -> None:
    """T90"""
    rule.instead(brake, "rearm", lambda **_: None)
    weights = with_history(ward)
    pipeline.accept_changes(hospital=ward.hospital, actor=None, now=timezone.now())
    purge(ward, weights[:60])
    ward.sync()
    purge(ward, weights[60:120])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("would_erase", 90), taken_out=("ok", 30))


@pytest.mark.slow
def test_what_was_confirmed_is_not_counted_again(ward: Ward, rule: Rule) -> None:
    """T90: sixty were confirmed; one more is one."""

    def without_forgetting(*, hospital: Any, now: Any) -> None:
        Watermark.objects.filter(pk=hospital.pk).update(is_brake_suspended=False)

    rule.instead(brake, "rearm", without_forgetting)
    weights = with_history(ward)
    pipeline.accept_changes(hospital=ward.hospital, actor=None, now=timezone.now())
    purge(ward, weights[:60])
    ward.sync()
    purge(ward, weights[60:61])
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("ok", 89), taken_out=("would_erase", 90))


@pytest.mark.slow
def test_a_confirmation_lasts_until_one_whole_pass(ward: Ward, rule: Rule) -> None:
    """T90: the run that begins it has no time to end it."""
    rule.reworded(pipeline, "_refresh_due", ("    if is_whole:\n", "    if True:\n"))
    weights = with_history(ward)
    purge(ward, weights[:60])
    ward.try_to_sync()
    pipeline.accept_changes(hospital=ward.hospital, actor=None, now=timezone.now())
    now = timezone.now()
    pipeline.sync_hospital(hospital=ward.hospital, trigger="schedule", now=now, until=time.monotonic())
    ended = ward.try_to_sync()
    rule.ends((ended, len(ward.values())), kept=("ok", 90), taken_out=("would_erase", 150))
