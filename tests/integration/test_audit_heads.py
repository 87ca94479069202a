"""The end of the chain is told once a day, and what was told is compared."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django_q.models import OrmQ

from openmrs_sync import queue, tasks
from passport import audit_heads
from passport.audit import record_event
from passport.models import AuditEvent, AuditHead
from tests.audit_fixtures import lifted_audit

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def heads(settings: Any, tmp_path: Path) -> Path:
    """Three rows, and a file where the head is to be told."""
    file = tmp_path / "heads.jsonl"
    settings.AUDIT_PUBLISH_TO = [f"file:{file}"]
    write(3)
    return file


def write(n: int) -> None:
    for number in range(n):
        record_event(action="tested", actor=None, now=NOW, details={"number": number})


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.django_db
def test_the_head_is_told_once_a_day(heads: Path) -> None:
    assert audit_heads.is_due(now=NOW)
    audit_heads.publish(now=NOW)
    assert not audit_heads.is_due(now=NOW + dt.timedelta(hours=13))
    assert audit_heads.is_due(now=NOW + dt.timedelta(hours=14))  # midnight UTC
    third = AuditEvent.objects.get(seq=3)
    assert told(heads) == [{"day": "2026-03-04", "seq": 3, "hash": third.hash, "missed": 0}]
    assert AuditEvent.objects.get(seq=4).details == {"seq": 3, "missed_days": 0, "to": ["file"]}


@pytest.mark.django_db
def test_missed_days_are_caught_up_once(heads: Path) -> None:
    audit_heads.publish(now=NOW)
    audit_heads.publish(now=NOW + 4 * DAY)
    assert [(one["day"], one["missed"]) for one in told(heads)] == [("2026-03-04", 0), ("2026-03-08", 3)]
    assert not audit_heads.is_due(now=NOW + 4 * DAY)


@pytest.mark.django_db
def test_without_a_place_nothing_is_told(settings: Any) -> None:
    settings.AUDIT_PUBLISH_TO = []
    assert not audit_heads.is_due(now=NOW)


@pytest.mark.django_db
def test_a_place_that_cannot_be_told_is_tried_again_an_hour_later(heads: Path, settings: Any) -> None:
    settings.AUDIT_PUBLISH_TO = [f"file:{heads.parent / 'no such folder' / 'heads'}"]
    with pytest.raises(audit_heads.PublishFailed, match="AUDIT_PUBLISH_TO"):
        audit_heads.publish(now=NOW)
    assert AuditEvent.objects.latest("seq").action == "audit_head_not_published"
    assert not audit_heads.is_due(now=NOW + dt.timedelta(minutes=59))
    assert audit_heads.is_due(now=NOW + dt.timedelta(minutes=60))


@pytest.mark.django_db
def test_the_head_is_told_by_mail(settings: Any) -> None:
    write(1)
    settings.AUDIT_PUBLISH_TO = ["mailto:dpo@example.org"]
    head = audit_heads.publish(now=NOW)
    (message,) = mail.outbox
    assert message.to == ["dpo@example.org"]
    assert head.line in message.body


@pytest.mark.django_db
def test_an_address_that_nobody_answers_is_a_named_failure(settings: Any) -> None:
    settings.AUDIT_PUBLISH_TO = ["https://127.0.0.1:9/heads"]
    with pytest.raises(audit_heads.PublishFailed, match="https address"):
        audit_heads.publish(now=NOW)


@pytest.mark.django_db
def test_the_tick_queues_the_telling_and_the_task_does_it_once(heads: Path) -> None:
    tasks.tick()
    assert [task.func() for task in OrmQ.objects.all()] == [queue.PUBLISH_AUDIT_HEAD]
    assert tasks.publish_audit_head() == {"seq": 3, "missed_days": 0}
    assert tasks.publish_audit_head() == {}
    OrmQ.objects.all().delete()
    tasks.tick()
    assert not OrmQ.objects.exists()
    assert len(told(heads)) == 1


@pytest.mark.django_db
def test_a_whole_chain_agrees_with_what_was_published(heads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_heads.publish(now=NOW)
    audit_heads.publish(now=NOW + DAY)
    call_command("audit_verify", published=str(heads))
    assert "All 2 published heads are in it." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_a_chain_written_anew_with_the_key_is_not_the_published_one(heads: Path) -> None:
    """T59: even one who holds the key cannot make a chain in which the published head stands."""
    audit_heads.publish(now=NOW)
    with lifted_audit():
        AuditEvent.objects.all().delete()
    AuditHead.objects.all().delete()
    write(2)
    record_event(action="forged", actor=None, now=NOW)
    write(2)
    call_command("audit_verify")  # whole by itself
    with pytest.raises(CommandError, match=r"head of 2026-03-04 \(line 1, row 3\) is not in it") as refused:
        call_command("audit_verify", published=str(heads))
    assert refused.value.returncode == 1
    assert AuditEvent.objects.latest("seq").basis == "published"


@pytest.mark.django_db
@pytest.mark.parametrize("line", ["nonsense", "[]", '{"day": "yesterday", "seq": 1, "hash": "x"}', '{"seq": 1}'])
def test_a_file_that_holds_no_heads_is_a_bad_argument(line: str, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    file.write_text(f"\n{line}\n")
    with pytest.raises(CommandError, match="Line 2") as refused:
        call_command("audit_verify", published=str(file))
    assert refused.value.returncode == 2


@pytest.mark.django_db
def test_another_key_is_said_in_words_and_the_old_one_mends_it(settings: Any) -> None:
    write(3)
    old, settings.AUDIT_KEY = settings.AUDIT_KEY, "another"
    write(2)
    with pytest.raises(CommandError, match="Was AUDIT_KEY changed, or SECRET_KEY") as refused:
        call_command("audit_verify")
    assert refused.value.returncode == 1
    settings.AUDIT_OLD_KEYS = [old]
    call_command("audit_verify")


@pytest.mark.django_db
def test_an_old_key_cannot_sign_rows_behind_newer_ones(settings: Any) -> None:
    old, new = settings.AUDIT_KEY, "another"
    write(2)
    settings.AUDIT_KEY = new
    write(1)
    settings.AUDIT_KEY = old
    write(1)  # as if somebody had found the old key
    settings.AUDIT_KEY, settings.AUDIT_OLD_KEYS = new, [old]
    with pytest.raises(CommandError, match="row 4 is not as it was written"):
        call_command("audit_verify")
