"""The chain of what happened: whole, append-only, one chain whoever writes."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction

from passport.audit import Break, hash_of, record_event, verify
from passport.models import AuditEvent, AuditHead, Patient, User
from tests.audit_fixtures import lifted_audit

NOW = dt.datetime(2026, 3, 4, 10, 0, 0, 123456, tzinfo=dt.UTC)
in_one_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)


def write(n: int) -> None:
    for number in range(n):
        record_event(action="tested", actor=None, now=NOW, details={"number": number})


@in_one_transaction
def test_an_empty_chain_is_whole() -> None:
    assert verify().is_whole


@in_one_transaction
def test_rows_hold_what_was_said_and_are_chained() -> None:
    user = User.objects.create(username="aline", role="admin")
    patient_id, hospital_id = uuid4(), uuid4()
    details = {"n": 3, "id": patient_id, "share": 0.5, "at": NOW, "codes": {"b", "a"}, "none": None, "yes": True}
    first = record_event(
        action="tested", actor=user, now=NOW, patient_id=patient_id, hospital_id=hospital_id, basis="b", details=details
    )
    second = record_event(action="tested", actor=None, now=NOW.astimezone(dt.timezone(dt.timedelta(hours=2))))
    stored = AuditEvent.objects.get(pk=first.pk)
    assert (stored.seq, stored.at, stored.actor_id, stored.actor_role) == (1, NOW, user.pk, "admin")
    assert (stored.patient_id, stored.hospital_id, stored.basis) == (patient_id, hospital_id, "b")
    assert stored.details == {
        "n": 3,
        "id": str(patient_id),
        "share": "0.5",
        "at": NOW.isoformat(),
        "codes": ["a", "b"],
        "none": None,
        "yes": True,
    }
    assert (second.seq, second.previous_hash, second.actor_role) == (2, first.hash, "system")
    assert verify().n_rows == 2
    assert verify().is_whole


@in_one_transaction
@pytest.mark.parametrize("field", ["action", "basis"])
def test_a_word_that_does_not_fit_its_column_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="60 characters"):
        record_event(**{"action": "tested", "actor": None, "now": NOW, field: "x" * 61})


@in_one_transaction
def test_a_detail_that_no_store_keeps_alike_is_refused() -> None:
    with pytest.raises(TypeError):
        record_event(action="tested", actor=None, now=NOW, details={"what": object()})


@in_one_transaction
def test_the_hash_depends_on_the_key(settings: object) -> None:
    write(1)
    settings.AUDIT_KEY = "another"  # type: ignore[attr-defined]
    report = verify()
    assert (report.first_broken, report.problem) == (1, Break.ALTERED)


@with_commits
@pytest.mark.parametrize("statement", ["UPDATE {t} SET basis = 'x' WHERE seq = 1", "DELETE FROM {t} WHERE seq = 1"])
def test_the_database_refuses_to_change_or_delete_a_row(statement: str) -> None:
    write(2)
    with pytest.raises(DatabaseError, match="never changed or deleted"), transaction.atomic():
        connection.cursor().execute(statement.format(t=AuditEvent._meta.db_table))
    assert verify().is_whole


@with_commits
@pytest.mark.parametrize(
    "field, value",
    [
        ("at", NOW + dt.timedelta(microseconds=1)),
        ("action", "other"),
        ("actor_id", UUID(int=1)),
        ("actor_role", "admin"),
        ("patient_id", UUID(int=1)),
        ("hospital_id", UUID(int=1)),
        ("basis", "care"),
        ("details", {"number": 7}),
        ("previous_hash", "1" * 64),
        ("hash", "1" * 64),
    ],
)
def test_an_altered_field_is_found_and_the_row_named(field: str, value: object) -> None:
    write(5)
    with lifted_audit():
        AuditEvent.objects.filter(seq=3).update(**{field: value})
    report = verify()
    assert (report.first_broken, report.problem, report.n_rows) == (3, Break.ALTERED, 2)


@with_commits
def test_a_removed_row_is_found() -> None:
    write(5)
    with lifted_audit():
        AuditEvent.objects.filter(seq=2).delete()
    assert (verify().first_broken, verify().problem) == (2, Break.MISSING)


@with_commits
def test_a_cut_off_end_is_found_by_the_head() -> None:
    write(5)
    with lifted_audit():
        AuditEvent.objects.filter(seq__gte=4).delete()
    assert (verify().first_broken, verify().problem) == (4, Break.MISSING)


@with_commits
def test_a_head_that_was_set_back_is_found() -> None:
    write(5)
    AuditHead.objects.update(seq=4, hash=AuditEvent.objects.get(seq=4).hash)
    assert (verify().first_broken, verify().problem) == (5, Break.HEAD)


@with_commits
def test_a_row_moved_from_elsewhere_does_not_follow() -> None:
    write(3)
    forged = AuditEvent.objects.get(seq=3)
    forged.previous_hash = "2" * 64
    forged.hash = hash_of(forged)  # as if the forger had the key, but not the row before
    with lifted_audit():
        AuditEvent.objects.filter(seq=3).update(previous_hash=forged.previous_hash, hash=forged.hash)
    assert (verify().first_broken, verify().problem) == (3, Break.UNCHAINED)


@with_commits
def test_the_walk_goes_over_the_borders_of_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passport.audit.PAGE", 2)
    write(7)
    assert (verify().n_rows, verify().is_whole) == (7, True)


@with_commits
def test_an_action_is_undone_when_its_audit_row_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(event: AuditEvent) -> str:
        raise DatabaseError("disk full")

    monkeypatch.setattr("passport.audit.hash_of", fail)
    with pytest.raises(DatabaseError), transaction.atomic():
        Patient.objects.create(created_at=NOW)
        record_event(action="tested", actor=None, now=NOW)
    assert not Patient.objects.exists()


@with_commits
def test_an_audit_row_goes_when_its_action_is_undone() -> None:
    write(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record_event(action="tested", actor=None, now=NOW)
        raise ZeroDivisionError
    write(1)
    assert (verify().n_rows, verify().is_whole) == (2, True)


@with_commits
def test_many_writers_make_one_chain() -> None:
    def work(_: int) -> None:
        try:
            write(25)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(work, range(4)))
    assert (verify().n_rows, verify().is_whole) == (100, True)


def test_the_audit_key_is_not_the_secret_key() -> None:
    assert settings.AUDIT_KEY != settings.SECRET_KEY
