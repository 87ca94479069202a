"""Who may see whom. Alice is the patient, Bob her doctor, Charlie a stranger."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from passport.access import Action, Basis, NotAllowed, door, may_read, open_own_record, open_record
from passport.models import AccessGrant, AuditEvent, Link, Patient, Record
from passport.models.links import LinkState
from tests.records import Chart, make_account, make_hospital, make_patient

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
NUMBER = "1199780012345678"


class Cast:
    def __init__(self) -> None:
        self.hospital = make_hospital(name="Ruhengeri", now=NOW)
        self.elsewhere = make_hospital(name="Butare", now=NOW)
        self.alice: Patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
        chart = Chart(patient=self.alice, hospital=self.hospital, now=NOW)
        chart.add(concept="HbA1c", value="9.1", at="2026-03-01 10:00:00")
        chart.save()
        self.link: Link = chart.link
        self.bob = make_account(username="bob", role="doctor", hospital=self.hospital)
        self.charlie = make_account(username="charlie", role="doctor", hospital=self.elsewhere)
        self.admin = make_account(username="admin", role="admin")

    def read(self, user: Any) -> Basis | None:
        return may_read(user=user, patient=self.alice, now=NOW)

    def grant(self, **to: Any) -> AccessGrant:
        times = {"created_at": NOW - HOUR, "ends_at": NOW + HOUR}
        return AccessGrant.objects.create(patient=self.alice, **{**times, **to})


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def test_one_reads_oneself(cast: Cast) -> None:
    assert cast.read(cast.alice.user) is Basis.ONESELF


def test_a_doctor_reads_who_has_a_record_at_their_hospital(cast: Cast) -> None:
    assert cast.read(cast.bob) is Basis.CARE


def test_nobody_else_reads(cast: Cast) -> None:
    other = make_patient(national_id="AB1234", now=NOW, username="other")
    assert [cast.read(user) for user in (cast.charlie, cast.admin, other.user)] == [None, None, None]


@pytest.mark.parametrize("state", [s for s in LinkState.values if s != LinkState.LINKED])
def test_a_link_that_is_not_linked_is_no_care(cast: Cast, state: str) -> None:
    Link.objects.update(state=state)
    assert cast.read(cast.bob) is None


def test_a_hospital_without_a_current_record_is_no_care(cast: Cast) -> None:
    Record.objects.update(status="withdrawn")
    assert cast.read(cast.bob) is None


def test_a_link_of_an_earlier_epoch_is_no_care(cast: Cast) -> None:
    type(cast.hospital).objects.filter(pk=cast.hospital.pk).update(epoch=2)
    assert cast.read(cast.bob) is None


def test_a_grant_to_a_doctor_lets_that_doctor_in(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie)
    assert cast.read(cast.charlie) is Basis.GRANT


def test_a_grant_to_a_hospital_lets_its_doctors_in_and_nobody_else(cast: Cast) -> None:
    cast.grant(hospital=cast.elsewhere)
    assert cast.read(cast.charlie) is Basis.HOSPITAL_GRANT
    third = make_hospital(name="Kibungo", now=NOW)
    assert cast.read(make_account(username="dora", role="doctor", hospital=third)) is None


@pytest.mark.parametrize("times", [{"ends_at": NOW}, {"created_at": NOW + HOUR, "ends_at": NOW + 2 * HOUR}])
def test_a_grant_counts_in_its_time_only(cast: Cast, times: dict[str, dt.datetime]) -> None:
    cast.grant(doctor=cast.charlie, **times)
    assert cast.read(cast.charlie) is None


def test_a_grant_to_an_account_that_is_no_doctor_any_more_is_nothing(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie)
    cast.charlie.role = "patient"
    assert cast.read(cast.charlie) is None


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_closed_account_reads_nobody(cast: Cast, name: str) -> None:
    user = {"alice": cast.alice.user, "bob": cast.bob}[name]
    assert user is not None
    user.is_active = False
    assert cast.read(user) is None


@pytest.mark.parametrize("how", ["number", "id"])
def test_a_look_is_written_down_with_its_reason(cast: Cast, how: str) -> None:
    key: dict[str, Any] = {"national_id": "1199 7800 1234 5678"} if how == "number" else {"patient_id": cast.alice.pk}
    opened = open_record(user=cast.bob, action=Action.RECORDS, now=NOW, via="api", **key)
    assert (opened.patient, opened.basis, opened.until) == (cast.alice, Basis.CARE, None)
    event = AuditEvent.objects.order_by("seq").last()
    assert event is not None
    assert (event.action, event.basis, event.actor_id) == ("records_read", "care", cast.bob.pk)
    assert (event.patient_id, event.hospital_id) == (cast.alice.pk, cast.hospital.pk)
    assert event.details == {"via": "api"}


def test_a_refusal_is_written_down_and_says_the_same_for_known_and_unknown(cast: Cast) -> None:
    said = []
    for number in (NUMBER, "AB1234", "??", "1111111"):
        with pytest.raises(NotAllowed) as refusal:
            open_record(user=cast.charlie, action=Action.RECORDS, now=NOW, national_id=number)
        said.append(str(refusal.value))
    assert len(set(said)) == 1
    events = AuditEvent.objects.filter(action="records_read_refused").order_by("seq")
    assert [event.patient_id for event in events] == [cast.alice.pk, None, None, None]
    assert {event.basis for event in events} == {"refused"}


def test_an_unknown_number_costs_the_same_queries_as_a_missing_right(cast: Cast) -> None:
    counts = []
    for number in (NUMBER, "AB1234"):
        with CaptureQueriesContext(connection) as queries, pytest.raises(NotAllowed):
            open_record(user=cast.charlie, action=Action.RECORDS, now=NOW, national_id=number)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_unknown_id_is_refused_like_any_other(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        open_record(user=cast.bob, action=Action.RECORDS, now=NOW, patient_id=uuid4())


def test_nothing_is_shown_that_cannot_be_written_down(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(door, "record_event", fail)
    with pytest.raises(DatabaseError):
        open_record(user=cast.bob, action=Action.RECORDS, now=NOW, patient_id=cast.alice.pk)


@pytest.mark.django_db(transaction=True)
def test_a_look_inside_a_transaction_is_refused_because_its_refusal_could_be_undone() -> None:
    cast = Cast()
    with pytest.raises(RuntimeError), transaction.atomic():
        open_record(user=cast.bob, action=Action.RECORDS, now=NOW, patient_id=cast.alice.pk)


def test_exactly_one_way_to_name_the_patient_is_given(cast: Cast) -> None:
    for both in ({}, {"national_id": NUMBER, "patient_id": cast.alice.pk}):
        with pytest.raises(TypeError):
            open_record(user=cast.bob, action=Action.RECORDS, now=NOW, **both)


def test_a_patient_opens_their_own_record(cast: Cast) -> None:
    assert cast.alice.user is not None
    opened = open_own_record(user=cast.alice.user, action=Action.OVERVIEW, now=NOW)
    assert (opened.patient, opened.basis) == (cast.alice, Basis.ONESELF)


def test_a_login_without_a_passport_has_no_own_record(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        open_own_record(user=cast.admin, action=Action.OVERVIEW, now=NOW)
    assert AuditEvent.objects.filter(action="overview_read_refused").count() == 1
