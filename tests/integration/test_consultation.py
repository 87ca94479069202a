"""The doctor's page for a consultation, and the fresh read that it asks for, against a real hospital."""

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync.api import patient_progress
from passport.access import Action, open_record
from passport.history import kept
from passport.models import AccessGrant, AuditEvent, Hide, Patient, Record, User
from tests.integration.test_pages import _ground, logged_in, text_of  # noqa: F401 - a fixture, autouse
from tests.integration.world import Site, open_site
from tests.openmrs.server import MariaDBServer, free_port
from tests.records import (
    Chart,
    fill_district_hospital,
    fill_health_centre,
    fill_with_many,
    make_account,
    make_hospital,
    make_patient,
)

NUMBER = "1199080012345678"


@pytest.fixture(autouse=True)
def _nothing_asked(db: None) -> None:
    cache.clear()


def page_of(patient: Patient) -> str:
    return reverse("patient_consultation", args=[patient.pk])


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.fixture
def alice(db: None) -> Patient:
    now = timezone.now()
    patient = make_patient(national_id=NUMBER, username="alice", now=now)
    for name, fill in (("Kigali", fill_district_hospital), ("Remera", fill_health_centre)):
        chart = Chart(patient=patient, hospital=make_hospital(name=name, code=name.lower(), now=now), now=now)
        fill(chart)
        chart.save()
    return patient


@pytest.fixture
def doctor(alice: Patient) -> User:
    return make_account(username="doctor", role="doctor", hospital=Hospital.objects.get(code="remera"))


@pytest.fixture
def let_in(alice: Patient, doctor: User) -> Client:
    now = timezone.now()
    AccessGrant.objects.create(patient=alice, doctor=doctor, created_at=now, ends_at=now + dt.timedelta(hours=1))
    return logged_in(doctor)


def test_one_screen_holds_what_a_consultation_needs(alice: Patient, let_in: Client) -> None:
    page = text_of(let_in, page_of(alice))
    for words in ("Penicillin", "Hypertension", "Metformin", "HbA1c", "critically high", "Blood pressure", "148/92"):
        assert words in page


def test_it_says_what_is_new_since_the_last_visit_at_the_doctors_hospital(alice: Patient, let_in: Client) -> None:
    answer = let_in.get(page_of(alice))
    assert "since the last visit at your hospital" in answer.content.decode()
    names = {line.name for line in answer.context["news"].lines}
    assert names
    assert "Malaria" not in names


def test_it_says_what_is_missing(alice: Patient, let_in: Client) -> None:
    make_hospital(name="Kibagabaga", now=timezone.now(), reached_ago=dt.timedelta(days=4))
    page = text_of(let_in, page_of(alice))
    assert "Kibagabaga: Not reached since" in page


def test_for_somebody_of_whom_nothing_is_known_every_part_is_a_sentence(alice: Patient, doctor: User) -> None:
    now = timezone.now()
    nobody = make_patient(national_id="1199080012340000", now=now, given_name="", family_name="", birth_date=None)
    AccessGrant.objects.create(patient=nobody, doctor=doctor, created_at=now, ends_at=now + dt.timedelta(hours=1))
    page = text_of(logged_in(doctor), page_of(nobody))
    for words in (
        "Your hospital has recorded no visit of this patient before today",
        "No hospital has recorded an allergy. Ask the patient.",
        "No hospital lists a medicine as current. Ask the patient what is taken.",
        "No hospital has recorded a test result yet.",
        "Not up to date",
    ):
        assert words in page


def test_what_the_patient_hides_is_on_no_part_of_the_page(alice: Patient, let_in: Client) -> None:
    Hide.objects.create(patient=alice, kind="category", category="medication", created_at=timezone.now())
    page = text_of(let_in, page_of(alice))
    assert "Metformin" not in page
    assert "The patient has chosen not to show some entries." in page


def test_the_patient_and_a_doctor_without_access_are_refused(alice: Patient) -> None:
    stranger = make_account(username="stranger", role="doctor", hospital=make_hospital(name="X", now=timezone.now()))
    for user in (alice.user, stranger):
        assert logged_in(user).get(page_of(alice)).status_code == 403
        ask = reverse("patient_ask_hospitals", args=[alice.pk])
        assert logged_in(user).post(ask).status_code == 403
        assert logged_in(user).get(reverse("patient_consultation_version", args=[alice.pk])).status_code == 403
    assert not AuditEvent.objects.filter(action="sync_patient").exists()


@pytest.mark.slow
def test_the_number_of_queries_does_not_grow(
    alice: Patient, let_in: Client, django_assert_max_num_queries: Any
) -> None:
    def n_queries() -> int:
        kept.forget()
        with django_assert_max_num_queries(60) as found:
            let_in.get(page_of(alice))
        return len(found)

    n_queries()
    before = n_queries()
    chart = Chart(patient=alice, hospital=make_hospital(name="Butaro", now=timezone.now()), now=timezone.now())
    fill_with_many(chart, n_records=5000)
    chart.save()
    assert n_queries() == before


# --- the fresh read ---------------------------------------------------------------------------------------------------


@pytest.fixture
def kigali(mariadb: MariaDBServer, transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    site = open_site(mariadb, "consultation")
    yield site
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "_ask" in thread.name:
            thread.join(25)


def down(*, number: int, state: str = HospitalState.LIVE) -> Hospital:
    """One whose server refuses connections."""
    return Hospital.objects.create(
        code=f"down-{number}",
        name=f"Down {number}",
        number=number,
        state=state,
        host="127.0.0.1",
        port=free_port(),
        database="openmrs",
        username="passport",
        tls_mode="none",
        time_zone="Africa/Kigali",
    )


def with_access(patient: Patient, hospital: Hospital) -> User:
    now = timezone.now()
    doctor = make_account(username="asker", role="doctor", hospital=hospital)
    AccessGrant.objects.create(patient=patient, doctor=doctor, created_at=now, ends_at=now + dt.timedelta(hours=1))
    return doctor


def asked_and_answered(doctor: User, patient: Patient) -> Client:
    """The button is pressed, and all hospitals have answered."""
    client = logged_in(doctor)
    assert client.post(reverse("patient_ask_hospitals", args=[patient.pk])).status_code == 302
    for thread in threading.enumerate():
        if "_ask" in thread.name:
            thread.join(25)
    return client


@pytest.mark.slow
def test_a_fresh_read_brings_the_rows_and_says_what_each_hospital_answered(kigali: Site) -> None:
    person = kigali.add_holder(NUMBER)
    kigali.pretend.add_obs(person, "weight", 61)
    down(number=2)
    down(number=3, state=HospitalState.PAUSED)
    patient = Patient.objects.get()
    client = asked_and_answered(with_access(patient, kigali.hospital), patient)
    answer = client.get(page_of(patient))
    found = {each.hospital_name: each.sentence for each in answer.context["answers"]}
    assert found.pop(kigali.hospital.name).startswith("Read just now: ")
    assert found == {
        "Down 2": "Not reached: newer records may be missing.",
        "Down 3": "Switched off: newer records are missing.",
    }
    assert "61" in answer.content.decode()
    assert Record.objects.filter(patient_id=patient.pk).exists()
    actions = AuditEvent.objects.filter(patient_id=patient.pk, action__startswith="sync_patient")
    assert [event.action for event in actions.order_by("seq")] == ["sync_patient", "sync_patient_done"]
    assert not answer.context["is_asking"]


@pytest.mark.slow
def test_the_page_shows_who_has_not_answered_yet_and_its_version_moves_with_each_answer(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = kigali.add_holder(NUMBER)
    kigali.pretend.add_obs(person, "weight", 61)
    patient = Patient.objects.get()
    doctor = with_access(patient, kigali.hospital)
    may_answer = threading.Event()
    real = patient_progress.refresh_everywhere

    def slow(**options: Any) -> Any:
        may_answer.wait(20)
        return real(**options)

    monkeypatch.setattr(patient_progress, "refresh_everywhere", slow)
    client = logged_in(doctor)
    version = reverse("patient_consultation_version", args=[patient.pk])
    before = client.get(version).json()
    client.post(reverse("patient_ask_hospitals", args=[patient.pk]))
    page = client.get(page_of(patient))
    assert [each.state for each in page.context["answers"]] == ["asked"]
    assert "Show the answers that have come in" in page.content.decode()  # without JavaScript
    asking = client.get(version).json()
    client.post(reverse("patient_ask_hospitals", args=[patient.pk]))  # pressed twice
    may_answer.set()
    for thread in threading.enumerate():
        if "_ask" in thread.name:
            thread.join(25)
    after = client.get(version).json()
    assert len({each["version"] for each in (before, asking, after)}) == 3
    assert AuditEvent.objects.filter(action="sync_patient").count() == 1


def test_a_process_that_dies_leaves_nobody_waiting(alice: Patient, doctor: User, let_in: Client) -> None:
    now = timezone.now()
    name = patient_progress._name(doctor.pk, alice.pk)
    cache.set(name, (now - dt.timedelta(seconds=21), ["kigali"]))
    found = patient_progress.asked(user_id=doctor.pk, patient_id=alice.pk, now=now)
    assert found is not None
    assert not found.is_under_way
    assert "Not reached: newer records may be missing." in text_of(let_in, page_of(alice))


@pytest.mark.slow
def test_a_hospital_that_the_patient_hides_tells_no_number_and_not_that_it_knows_them(kigali: Site) -> None:
    person = kigali.add_holder(NUMBER)
    kigali.pretend.add_obs(person, "weight", 61)
    patient = Patient.objects.get()
    Hide.objects.create(patient=patient, kind="hospital", hospital=kigali.hospital, created_at=timezone.now())
    doctor = with_access(patient, down(number=2))
    client = asked_and_answered(doctor, patient)
    answers = client.get(page_of(patient)).context["answers"]
    assert {each.hospital_name: each.sentence for each in answers} == {
        kigali.hospital.name: "Answered: nothing of it can be shown here.",
        "Down 2": "Not reached: newer records may be missing.",
    }
    done = AuditEvent.objects.get(action="sync_patient_done")
    assert {answer["n_created"] for answer in done.details.values()} == {0}


def test_the_answers_are_told_to_the_one_who_asked_alone(alice: Patient, doctor: User, let_in: Client) -> None:
    cache.set(patient_progress._name(alice.pk, alice.pk), (timezone.now(), ["kigali"]))
    assert let_in.get(page_of(alice)).context["answers"] == []
    opened = open_record(user=doctor, patient_id=alice.pk, action=Action.OVERVIEW, now=timezone.now())
    assert opened.patient == alice
