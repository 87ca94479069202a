"""Late writers: a worker that lost its claim has no effect on any record."""

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from openmrs_sync import claims, enricher, refresh, writer
from openmrs_sync.models import Claim
from tests.integration import world
from tests.rules.ward import ALICE, Rule, Ward

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.mark.django_db(transaction=True)
def test_every_write_is_made_under_our_token_or_not_at_all(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T15, T79: frozen between reading and writing; another worker takes over, reads what is newer, and is done."""
    rule.store_under_locks()
    rule.instead(claims.HeldClaim, "renew", lambda _claim: None)
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    render, taken_over = enricher.render, []

    def take_over() -> None:
        taken_over.append(world.sync(ward.hospital, deep=False).status)
        connection.close()

    def freeze_then_render(*arguments: Any, **options: Any) -> Any:
        if not taken_over:
            taken_over.append("")
            Claim.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
            ward.change_quietly(weight, value_numeric=61)
            other = threading.Thread(target=take_over)
            other.start()
            other.join()
        return render(*arguments, **options)

    monkeypatch.setattr(enricher, "render", freeze_then_render)
    world.sync(ward.hospital, deep=False)
    assert taken_over == ["", "ok"]
    ward.look()
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


def test_the_mark_is_written_last(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T6, T31: killed before the records were written: the link must not be fresh."""
    rule.reworded(
        refresh,
        "write",
        (
            "    writer.write(",
            "    _finish(session, read=read, ours=ours, rendered=rendered)\n    writer.write(",
        ),
    )
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.change_quietly(weight, value_numeric=61)

    def killed(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            world.sync(ward.hospital, full=True)
    ward.look()
    rule.ends(ward.values(), kept={weight: "61"}, taken_out={weight: "60"})


def test_a_hospital_is_claimed_by_one_worker_at_a_time(ward: Ward, rule: Rule) -> None:
    """T14"""
    rule.reworded(claims, "claim", ("filter(free, pk=hospital.pk)", "filter(pk=hospital.pk)"))
    ward.see(ward.add_holder(ALICE), 60)
    with claims.claim(hospital=ward.hospital, clock=claims.Clock.at(timezone.now())):
        ended = ward.try_to_sync()
    rule.ends(ended, kept="busy", taken_out="ok")


def test_the_token_grows_with_every_claim(ward: Ward, rule: Rule) -> None:
    """Whoever takes over is told from whoever was there before, although both hold "the claim"."""
    rule.reworded(claims, "claim", ('Greatest(F("token") + 1, int(now.timestamp()))', 'F("token")'))
    tokens = []
    for _ in range(2):
        with claims.claim(hospital=ward.hospital, clock=claims.Clock.at(timezone.now())) as held:
            tokens.append(held.token)
    rule.ends(tokens[1] > tokens[0], kept=True, taken_out=False)


def test_the_token_is_above_what_was_written_since_a_copy_that_was_put_back(ward: Ward, rule: Rule) -> None:
    """T64: the records may stand in another database, which was not lost."""
    rule.reworded(claims, "claim", ('Greatest(F("token") + 1, int(now.timestamp()))', 'F("token") + 1'))

    def token_at(now: dt.datetime) -> int:
        with claims.claim(hospital=ward.hospital, clock=claims.Clock.at(now)) as held:
            return held.token

    now = timezone.now()
    copied = token_at(now)
    written = [token_at(now + dt.timedelta(minutes=minute)) for minute in (1, 2)]
    Claim.objects.update(token=copied)
    rule.ends(token_at(now + dt.timedelta(minutes=3)) > max(written), kept=True, taken_out=False)


def test_a_killed_worker_frees_its_hospital_by_time(ward: Ward, rule: Rule) -> None:
    """T13: no status flag that somebody must take down."""
    rule.reworded(claims, "claim", (" | Q(lease_until__lt=now)", ""))
    now = timezone.now()
    Claim.objects.create(hospital=ward.hospital, token=7, lease_until=now - dt.timedelta(seconds=1))
    rule.ends(ward.try_to_sync(now=now), kept="ok", taken_out="busy")
