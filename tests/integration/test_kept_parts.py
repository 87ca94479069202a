"""Parts of pages that are kept as HTML: whatever a part shows, a change of it is seen at the next look."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape
from django.utils.translation import gettext

from passport.audit import record_event
from passport.history import kept
from passport.history.news import last_here
from passport.models import GlossaryTerm, Hide, Patient, Record
from tests.records import Chart, make_account, make_hospital, make_patient, number, own_scope

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(hour=9, minute=0, second=0, microsecond=0)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
ASKED_FOR = "test-concept"


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> Iterator[None]:
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    kept.forget()
    with time_machine.travel(NOW, tick=False):
        yield
    kept.forget()


@pytest.fixture
def chart() -> Chart:
    """A test of two years, and a medicine that ends tomorrow."""
    patient = make_patient(national_id="1199780012345678", username="alice", now=NOW)
    found = Chart(patient=patient, hospital=make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW), now=NOW)
    for days_ago, value in ((800, 5.0), (2, 6.5)):
        at = found.moment(days_ago, "09:40:00")
        found.add(concept="Glucose", at=at, concept_uuid=ASKED_FOR, **number(value, "mmol/L", 4, 7))
    details = {"dose": "1", "expires": f"{NOW + DAY:%Y-%m-%d} 00:00:00"}
    where = {"table": "orders", "category": "medication", "category_rule": "table:orders"}
    found.add(concept="Metformin", value="1 Tablet", at=found.moment(2, "09:41:00"), details=details, **where)
    found.save()
    return found


def address_of(name: str, patient: Patient, *, is_own: bool = True) -> str:
    """The page of this name, the patient's own or the one for others."""
    rest = [Record.objects.filter(concept="Glucose").order_by("key")[0].key] if name == "trend" else []
    if is_own:
        return reverse("home" if name == "overview" else f"own_{name}", args=rest)
    return reverse(f"patient_{name}", args=[patient.pk, *rest])


def page(user: Any, address: str, *, language: str = "en") -> str:
    """What it says the second time, when its parts come from memory."""
    client = Client(headers={"Accept-Language": language})
    client.force_login(user)
    found = [client.get(address).content.decode() for _time in range(2)]
    return found[1]


PAGES = ["overview", "history", "results", "trend", "medicines"]
TESTED = PAGES[:4]
#: A word of each part.
WORDS = {
    "overview": ["All diagnoses", "All results"],
    "history": ["Entries outside a visit", "Apply the filters"],
    "results": ["Search for a test"],
    "trend": ["Every value"],
    "medicines": ["Prescribed now"],
}


@pytest.mark.parametrize("name", PAGES)
def test_a_part_speaks_as_the_reader_does_and_leads_to_their_pages(chart: Chart, name: str) -> None:
    patient = chart.patient
    doctor = make_account(username="bob", role="doctor", hospital=chart.hospital)
    own, theirs = address_of(name, patient), address_of(name, patient, is_own=False)
    key = chart.records[2 if name == "medicines" else 1].key
    kind = "trend" if name == "results" else "record"
    links = [reverse(f"own_{kind}", args=[key]), reverse(f"patient_{kind}", args=[patient.pk, key])]
    for user, address, is_here in ((patient.user, own, [True, False]), (doctor, theirs, [False, True])):
        shown = page(user, address)
        assert [f'href="{link}"' in shown for link in links] == is_here
    for said in WORDS[name]:
        with translation.override("fr"):
            in_french = escape(gettext(said))
        told = [page(patient.user, own, language=language) for language in ("en", "fr", "en")]
        assert [said in each for each in told] == [True, False, True]
        assert [in_french in each for each in told] == [False, True, False]


@pytest.mark.parametrize("name", TESTED)
def test_a_record_that_came_or_changed_is_shown_at_once(chart: Chart, name: str) -> None:
    user, address = chart.patient.user, address_of(name, chart.patient)
    assert "6.5" in page(user, address)
    Record.objects.filter(value="6.5").update(value="6.7", value_number=6.7, digest=4711, token=2)
    assert "6.7" in page(user, address)
    assert "6.5" not in page(user, address)


@pytest.mark.parametrize("name", TESTED)
def test_what_a_patient_keeps_back_is_gone_and_marked_at_once(chart: Chart, name: str) -> None:
    patient = chart.patient
    doctor = make_account(username="bob", role="doctor", hospital=chart.hospital)
    own, theirs = address_of(name, patient), address_of(name, patient, is_own=False)
    assert "6.5" in page(doctor, theirs)
    assert "kept from doctors" not in page(patient.user, own)
    Hide.objects.create(patient=patient, kind="category", category="test", created_at=NOW)
    assert "6.5" not in page(doctor, theirs)
    assert "6.5" in page(patient.user, own)
    assert "kept from doctors" in page(patient.user, own)


@pytest.mark.parametrize("name", TESTED)
def test_other_plain_words_are_shown_at_once(chart: Chart, name: str) -> None:
    user, address = chart.patient.user, address_of(name, chart.patient)
    assert "Sugar in the blood" not in page(user, address)
    said = {"concept_uuid": ASKED_FOR, "name": "Glucose", "language": "en", "changed_at": NOW}
    term = GlossaryTerm.objects.create(**said, words="Sugar in the blood", more="How sweet it is.")
    assert "Sugar in the blood" in page(user, address)
    term.words = "Blood sugar"
    term.save()
    assert "Sugar in the blood" not in page(user, address)
    assert "Blood sugar" in page(user, address)


@pytest.mark.parametrize("name", ["overview", "medicines"])
def test_a_medicine_is_over_when_its_day_has_come(chart: Chart, name: str) -> None:
    user, address = chart.patient.user, address_of(name, chart.patient)
    over = {"overview": "No hospital lists a medicine as current.", "medicines": "as planned."}[name]
    assert over not in page(user, address)
    with time_machine.travel(NOW + DAY, tick=False):
        assert over in page(user, address)


def test_the_last_year_of_a_test_begins_another_day_tomorrow(chart: Chart) -> None:
    user, address = chart.patient.user, address_of("trend", chart.patient)
    first = f"from={(NOW - dt.timedelta(days=365)).date()}"
    assert first in page(user, address)
    with time_machine.travel(NOW + DAY, tick=False):
        assert first not in page(user, address)


def test_a_day_that_cannot_be_read_is_shown_as_it_was_typed(chart: Chart) -> None:
    user, address = chart.patient.user, address_of("trend", chart.patient)
    for typed in ("2024-13-01", "yesterday"):
        shown = page(user, f"{address}?from={typed}")
        assert f'value="{typed}"' in shown
        assert "Write a day as year-month-day" in shown
    assert "Write a day as year-month-day" not in page(user, address)


def test_choices_and_the_list_of_hospitals_are_those_of_now(chart: Chart) -> None:
    user, address = chart.patient.user, reverse("own_history")
    assert '<option value="butare">' not in page(user, address)
    # Live and not reached for a day: it may hold something, so it can be asked for.
    make_hospital(name="Butare", code="butare", now=NOW, reached_ago=DAY)
    assert '<option value="butare">Butare</option>' in page(user, address)
    assert '<option value="butare" selected>Butare</option>' in page(user, f"{address}?hospital=butare")
    assert 'value="sweet"' in page(user, f"{address}?q=sweet")
    assert 'value="sweet"' not in page(user, address)


def test_when_one_was_here_last_is_the_same_from_memory(chart: Chart) -> None:
    user, scope = chart.patient.user, own_scope(chart.patient)
    assert user is not None
    minutes = (0, 10, 35, 100, 129, 131, 300, 331, 332)
    told = []
    for is_forgetful in (True, False):
        kept.forget()
        for after in minutes:
            at = NOW + (10 * DAY if is_forgetful else 20 * DAY) + dt.timedelta(minutes=after)
            record_event(action="visits_read", actor=user, now=at, patient_id=chart.patient.pk, basis="oneself")
            if is_forgetful:
                kept.forget()
            before = last_here(scope=scope, user=user, now=at)
            told.append(before and (before - at).total_seconds() / 60)
    first, second = told[: len(minutes)], told[len(minutes) :]
    assert first[:3] == [None, None, None]
    assert first[3:] == second[3:] == [-65, -94, -96, -169, -31, -32]
