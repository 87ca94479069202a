"""Who may see whom. Alice is the patient, Bob her doctor, Charlie a stranger."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from passport.access import (
    NOBODY,
    Action,
    Basis,
    NotAllowed,
    claims,
    door,
    may_read,
    open_own_record,
    open_record,
    peek,
)
from passport.access.reasons import since
from passport.models import AccessGrant, AuditEvent, Doctor, EmergencyAccess, Link, Patient, Proxy, Record, User
from passport.models.links import LinkState
from tests.records import Chart, make_account, make_hospital, make_patient

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
NUMBER = "1199780012345678"
SIGNATURE = str(uuid4())


class Cast:
    def __init__(self) -> None:
        self.hospital = make_hospital(name="Ruhengeri", now=NOW)
        self.elsewhere = make_hospital(name="Butare", now=NOW)
        self.alice: Patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
        chart = Chart(patient=self.alice, hospital=self.hospital, now=NOW)
        chart.add(concept="HbA1c", value="9.1", at="2026-03-01 10:00:00", provider_uuid=SIGNATURE)
        chart.save()
        self.link: Link = chart.link
        self.bob = make_account(username="bob", role="doctor", hospital=self.hospital)
        self.charlie = make_account(username="charlie", role="doctor", hospital=self.elsewhere)
        self.admin = make_account(username="admin", role="admin")
        self.carer = make_account(username="carer")

    def read(self, user: Any, *, now: dt.datetime = NOW) -> Basis | None:
        return may_read(user=user, patient=self.alice, now=now)

    def grant(self, **to: Any) -> AccessGrant:
        times = {"created_at": NOW - HOUR, "ends_at": NOW + HOUR}
        return AccessGrant.objects.create(patient=self.alice, **{**times, **to})

    def proxy(self, **fields: Any) -> Proxy:
        times = {"created_at": NOW - HOUR, "ends_at": NOW + HOUR}
        return Proxy.objects.create(patient=self.alice, **{"carer": self.carer, **times, **fields})

    def emergency(self, **fields: Any) -> EmergencyAccess:
        times = {"created_at": NOW - HOUR, "ends_at": NOW + SECOND}
        return EmergencyAccess.objects.create(
            **{"doctor": self.charlie, "patient": self.alice, "reason": "unconscious at the door", **times, **fields}
        )

    def signed_by(self, account: User, *, hospital: Any = None, uuid: str = SIGNATURE) -> Doctor:
        """The row of a hospital's provider, claimed for an account."""
        row = Doctor.objects.create(
            hospital=hospital or self.hospital, provider_uuid=uuid, name="Dr Aline Mukamana", created_at=NOW
        )
        claims.claim(rows=[row], account=account, actor=self.admin, now=NOW)
        return row


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


# --- oneself, care ----------------------------------------------------------------------------------------------------


def test_one_reads_oneself(cast: Cast) -> None:
    assert cast.read(cast.alice.user) is Basis.ONESELF


def test_a_doctor_reads_who_has_a_late_record_at_their_hospital(cast: Cast) -> None:
    assert cast.read(cast.bob) is Basis.CARE


def test_nobody_else_reads(cast: Cast) -> None:
    other = make_patient(national_id="AB1234", now=NOW, username="other")
    assert [cast.read(user) for user in (cast.charlie, cast.admin, cast.carer, other.user)] == [None] * 4


def test_care_lasts_as_many_months_as_the_setting_says(cast: Cast, settings: Any) -> None:
    settings.CARE_MONTHS = 2
    last = dt.datetime(2026, 3, 1, 8, 0, tzinfo=dt.UTC)  # the record, in UTC
    assert cast.read(cast.bob, now=dt.datetime(2026, 5, 1, 8, 0, tzinfo=dt.UTC)) is Basis.CARE
    assert cast.read(cast.bob, now=dt.datetime(2026, 5, 1, 8, 0, 1, tzinfo=dt.UTC)) is None
    assert cast.read(cast.bob, now=last) is Basis.CARE


@pytest.mark.parametrize(
    "now, months, begins",
    [
        ("2026-03-31", 1, "2026-02-28"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2026-01-15", 12, "2025-01-15"),
        ("2026-01-15", 13, "2024-12-15"),
        ("2026-12-31", 1, "2026-11-30"),
    ],
)
def test_months_are_those_of_the_calendar(settings: Any, now: str, months: int, begins: str) -> None:
    settings.CARE_MONTHS = months
    assert since(dt.datetime.fromisoformat(f"{now}T10:00:00+00:00")).date().isoformat() == begins


@pytest.mark.parametrize("at", ["2026-03-07 10:00:00", None])
def test_a_record_of_the_future_or_of_no_day_is_no_care(cast: Cast, at: str | None) -> None:
    Record.objects.all().delete()
    chart = Chart(patient=cast.alice, hospital=cast.hospital, now=NOW)
    chart.add(concept="x", at=at)
    chart.save()
    assert cast.read(cast.bob) is None


@pytest.mark.parametrize("state", [s for s in LinkState.values if s != LinkState.LINKED])
def test_a_link_that_is_not_linked_is_no_care(cast: Cast, state: str) -> None:
    cast.signed_by(cast.charlie)
    Link.objects.update(state=state)
    assert cast.read(cast.bob) is cast.read(cast.charlie) is None


def test_a_hospital_without_a_current_record_is_no_care(cast: Cast) -> None:
    cast.signed_by(cast.charlie)
    Record.objects.update(status="withdrawn")
    assert cast.read(cast.bob) is cast.read(cast.charlie) is None


def test_a_link_of_an_earlier_epoch_is_no_care(cast: Cast) -> None:
    cast.signed_by(cast.charlie)
    type(cast.hospital).objects.filter(pk=cast.hospital.pk).update(epoch=2)
    assert cast.read(cast.bob) is cast.read(cast.charlie) is None


def test_what_a_late_writer_left_is_no_care(cast: Cast) -> None:
    Link.objects.update(min_token=2)
    assert cast.read(cast.bob) is None


def test_a_doctor_who_moved_to_another_hospital_reads_by_the_new_one_only(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.pk).update(hospital=cast.elsewhere)
    User.objects.filter(pk=cast.charlie.pk).update(hospital=cast.hospital)
    cast.bob.refresh_from_db()
    cast.charlie.refresh_from_db()
    assert (cast.read(cast.bob), cast.read(cast.charlie)) == (None, Basis.CARE)


def test_a_doctor_reads_whom_they_signed_for_however_long_ago_and_wherever_they_work(cast: Cast) -> None:
    cast.signed_by(cast.charlie)
    assert cast.read(cast.charlie, now=NOW + dt.timedelta(days=3000)) is Basis.SIGNED


def test_an_undone_claim_opens_nothing(cast: Cast) -> None:
    row = cast.signed_by(cast.charlie)
    assert claims.undo_claim(row=row, actor=cast.admin, now=NOW)
    assert cast.read(cast.charlie) is None


def test_the_same_provider_at_another_hospital_is_another_doctor(cast: Cast) -> None:
    cast.signed_by(cast.charlie, hospital=cast.elsewhere)
    assert cast.read(cast.charlie) is None


def test_a_claim_without_a_signature_opens_nothing(cast: Cast) -> None:
    Record.objects.update(provider_uuid="")
    cast.signed_by(cast.charlie, uuid="")
    assert cast.read(cast.charlie) is None


def test_an_unsigned_record_of_another_patient_is_no_care_for_this_one(cast: Cast) -> None:
    other = make_patient(national_id="AB1234", now=NOW)
    cast.signed_by(cast.charlie)
    assert (
        may_read(user=cast.charlie, patient=other, now=NOW) is may_read(user=cast.bob, patient=other, now=NOW) is None
    )


# --- grants -----------------------------------------------------------------------------------------------------------


def test_a_grant_to_a_doctor_lets_that_doctor_in(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie)
    assert cast.read(cast.charlie) is Basis.GRANT


def test_a_grant_to_a_hospital_lets_its_doctors_in_and_nobody_else(cast: Cast) -> None:
    cast.grant(hospital=cast.elsewhere)
    assert cast.read(cast.charlie) is Basis.HOSPITAL_GRANT
    third = make_hospital(name="Kibungo", now=NOW)
    assert cast.read(make_account(username="dora", role="doctor", hospital=third)) is None


def test_a_grant_to_a_doctor_at_a_hospital_counts_while_they_work_there(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie, hospital=cast.elsewhere)
    assert cast.read(cast.charlie) is Basis.GRANT
    cast.charlie.hospital = make_hospital(name="Kibungo", now=NOW)
    assert cast.read(cast.charlie) is None


def test_a_grant_to_one_doctor_of_a_hospital_lets_no_other_in(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie, hospital=cast.elsewhere)
    assert cast.read(make_account(username="dora", role="doctor", hospital=cast.elsewhere)) is None


def test_a_name_that_nobody_goes_by_lets_nobody_in(cast: Cast) -> None:
    cast.grant(hospital=cast.elsewhere, named="dr nobody")
    assert cast.read(cast.charlie) is None


@pytest.mark.parametrize(
    "times",
    [
        {"ends_at": NOW},
        {"created_at": NOW + SECOND, "ends_at": NOW + 2 * HOUR},
        {"ended_at": NOW - SECOND},
    ],
)
@pytest.mark.parametrize("kind", ["grant", "proxy"])
def test_a_permission_counts_in_its_time_only(cast: Cast, kind: str, times: dict[str, dt.datetime]) -> None:
    made = cast.grant(doctor=cast.charlie, **times) if kind == "grant" else cast.proxy(**times)
    assert cast.read(getattr(made, "doctor", None) or cast.carer) is None


def test_a_permission_counts_to_its_last_second(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie, created_at=NOW, ends_at=NOW + SECOND)
    cast.proxy(created_at=NOW, ends_at=NOW + SECOND)
    assert (cast.read(cast.charlie), cast.read(cast.carer)) == (Basis.GRANT, Basis.CARER)


def test_a_grant_to_an_account_that_is_no_doctor_any_more_is_nothing(cast: Cast) -> None:
    cast.grant(doctor=cast.charlie)
    cast.charlie.role = "patient"
    assert cast.read(cast.charlie) is None


# --- proxies, emergencies ---------------------------------------------------------------------------------------------


def test_a_guardian_reads_and_a_carer_reads(cast: Cast) -> None:
    cast.proxy()
    assert cast.read(cast.carer) is Basis.CARER
    cast.proxy(kind="guardian")
    assert cast.read(cast.carer) is Basis.GUARDIAN


def test_an_admin_reads_with_a_reason_of_their_own_only(cast: Cast) -> None:
    assert cast.read(cast.admin) is None
    cast.proxy(carer=cast.admin, kind="guardian")
    assert cast.read(cast.admin) is Basis.GUARDIAN


def test_an_invitation_that_nobody_took_lets_nobody_in(cast: Cast) -> None:
    cast.proxy(carer=None, code_hash="x")
    assert cast.read(cast.carer) is None


def test_a_guardian_of_one_patient_reads_no_other(cast: Cast) -> None:
    cast.proxy()
    other = make_patient(national_id="AB1234", now=NOW)
    assert may_read(user=cast.carer, patient=other, now=NOW) is None


def test_an_emergency_opens_for_its_hour_and_for_its_doctor_only(cast: Cast) -> None:
    cast.emergency()
    assert cast.read(cast.charlie) is Basis.BREAK_GLASS
    assert cast.read(cast.charlie, now=NOW + SECOND) is None
    assert cast.read(cast.charlie, now=NOW - HOUR - SECOND) is None
    assert cast.read(make_account(username="dora", role="doctor", hospital=cast.elsewhere)) is None


def test_an_emergency_goes_before_care_because_it_opens_more(cast: Cast) -> None:
    cast.emergency(doctor=cast.bob)
    assert cast.read(cast.bob) is Basis.BREAK_GLASS


def test_an_emergency_of_one_who_is_no_doctor_any_more_is_nothing(cast: Cast) -> None:
    cast.emergency()
    cast.charlie.role = "admin"
    assert cast.read(cast.charlie) is None


def test_a_closed_account_reads_nobody(cast: Cast) -> None:
    cast.signed_by(cast.bob)
    cast.grant(doctor=cast.charlie)
    cast.emergency()
    cast.proxy()
    for user in (cast.alice.user, cast.bob, cast.charlie, cast.carer):
        assert user is not None
        assert cast.read(user) is not None
        user.is_active = False
        assert cast.read(user) is None


# --- the door ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["number", "id"])
def test_a_look_is_written_down_with_its_reason(cast: Cast, how: str) -> None:
    key: dict[str, Any] = {"national_id": "1199 7800 1234 5678"} if how == "number" else {"patient_id": cast.alice.pk}
    opened = open_record(user=cast.bob, action=Action.RECORDS, now=NOW, via="api", **key)
    assert (opened.patient, opened.basis, opened.until) == (cast.alice, Basis.CARE, None)
    assert opened.scope.patient == cast.alice
    event = AuditEvent.objects.order_by("seq").last()
    assert event is not None
    assert (event.action, event.basis, event.actor_id) == ("records_read", "care", cast.bob.pk)
    assert (event.patient_id, event.hospital_id) == (cast.alice.pk, cast.hospital.pk)
    assert event.details["via"] == "api"


def test_each_look_in_an_emergency_says_so_and_until_when(cast: Cast) -> None:
    made = cast.emergency()
    opened = open_record(user=cast.charlie, action=Action.VISITS, now=NOW, patient_id=cast.alice.pk)
    assert (opened.basis, opened.until) == (Basis.BREAK_GLASS, made.ends_at)
    event = AuditEvent.objects.order_by("seq").last()
    assert event is not None
    assert (event.action, event.basis) == ("visits_read", "break_glass")


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


@pytest.mark.parametrize("who", ["charlie", "bob", "carer", "admin"])
def test_an_unknown_number_costs_the_same_queries_as_a_missing_right(cast: Cast, who: str) -> None:
    Record.objects.update(order_at=0)  # Bob's hospital has a link, but no care any more
    cast.signed_by(cast.bob, uuid=str(uuid4()))
    counts = []
    # The first refusal of an account makes its counter; which number it was does not matter.
    for number in ("CD5678", NUMBER, "AB1234"):
        with CaptureQueriesContext(connection) as queries, pytest.raises(NotAllowed):
            open_record(user=getattr(cast, who), action=Action.RECORDS, now=NOW, national_id=number)
        counts.append(len(queries))
    assert counts[1] == counts[2]


@pytest.mark.parametrize("patient_id", [uuid4(), NOBODY])
def test_an_unknown_id_is_refused_like_any_other(cast: Cast, patient_id: Any) -> None:
    with pytest.raises(NotAllowed):
        open_record(user=cast.bob, action=Action.RECORDS, now=NOW, patient_id=patient_id)


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


def test_asking_whether_a_page_changed_leaves_no_row_and_asks_for_the_same_right(cast: Cast) -> None:
    before = AuditEvent.objects.count()
    assert peek(user=cast.bob, now=NOW, patient_id=cast.alice.pk).basis is Basis.CARE
    for user, patient_id in ((cast.charlie, cast.alice.pk), (cast.bob, uuid4()), (cast.bob, None)):
        with pytest.raises(NotAllowed):
            peek(user=user, now=NOW, patient_id=patient_id)
    assert AuditEvent.objects.count() == before
