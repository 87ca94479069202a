"""What real life holds, on every page that shows it: nothing, nobody's name, 12,000 records, a match undecided.

Each is answered with a sentence: never with a blank, never with an error.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport.models import AccessGrant, Link, Patient
from passport.models.links import LinkState
from tests.records import (
    Chart,
    fill_district_hospital,
    fill_oddly,
    fill_with_many,
    make_account,
    make_hospital,
    make_patient,
)

pytestmark = pytest.mark.django_db

#: Pages of one's own that say what is recorded.
OWN = ("home", "own_history", "own_results", "own_medicines", "print_record")
#: Pages of one's own beside the record.
BESIDE = (
    "emergency_card", "share", "download", "who_looked", "permissions", "hidden", "people", "account", "account_logins"
)  # fmt: skip
DOCTORS = ("patient_consultation", "patient_overview", "patient_history", "patient_results", "patient_medicines")
NOBODY_KNOWS = r"No hospital (that is connected|has been found yet)"
NOT_READ = "Has not been read yet: its records are still to come."
HELD = "may hold more records. Somebody at the hospital is checking whose they are."


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture
def now() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def nameless(now: dt.datetime) -> Patient:
    """No name, no birth date, no sex."""
    return make_patient(
        national_id="1199070098765432",
        username="somebody",
        given_name="",
        family_name="",
        birth_date=None,
        sex="U",
        now=now,
    )


def pages(patient: Patient, *, now: dt.datetime) -> dict[str, str]:
    """Every page of the record and beside it, as the patient and as a doctor whom they let in see it: name → words."""
    doctor = make_account(username="visitor", role="doctor", hospital=make_hospital(name="Butaro", now=now))
    AccessGrant.objects.create(patient=patient, doctor=doctor, created_at=now, ends_at=now + dt.timedelta(hours=1))
    found = {}
    for user, names, arguments in ((patient.user, OWN + BESIDE, []), (doctor, DOCTORS, [patient.pk])):
        client = Client()
        client.force_login(user)
        for name in names:
            answer = client.get(reverse(name, args=arguments))
            assert answer.status_code == 200, name
            found[name] = answer.content.decode()
    return found


def cards_without_words(page: str) -> list[str]:
    """Titles of cards that have nothing below them."""
    empty = []
    for card in re.findall(r"<section class=\"card.*?</section>", page, re.DOTALL):
        title, has_title, rest = card.partition("</h2>")
        if len(re.sub(r"<[^>]*>|\s", "", rest if has_title else title)) < 5:
            empty.append(re.sub(r"<[^>]*>|\s+", " ", title).strip())
    return empty


def test_a_patient_of_whom_nothing_is_known_reads_that_on_every_page(nameless: Patient, now: dt.datetime) -> None:
    found = pages(nameless, now=now)
    assert [name for name, page in found.items() if cards_without_words(page)] == []
    assert [name for name in (*OWN, *DOCTORS) if not re.search(NOBODY_KNOWS, found[name])] == []


def test_somebody_without_name_and_birth_date_is_called_that(nameless: Patient, now: dt.datetime) -> None:
    found = pages(nameless, now=now)
    for name in (*OWN, *BESIDE[:-3], *DOCTORS):
        assert "Name not recorded" in found[name], name
    assert "birth date not recorded" in found["home"]
    assert re.search(r"Born</dt><dd>not recorded", found["emergency_card"])


def test_a_hospital_just_added_is_named_as_not_read_yet_on_every_page(nameless: Patient, now: dt.datetime) -> None:
    new = make_hospital(name="Nyamata", now=now)
    new.breaker.delete()
    found = pages(nameless, now=now)
    assert [name for name in (*OWN, *DOCTORS) if "Nyamata" not in found[name]] == []
    assert [name for name in (*OWN, *DOCTORS) if NOT_READ not in found[name]] == []


def test_a_held_match_is_said_on_every_page_and_nothing_of_what_it_holds(nameless: Patient, now: dt.datetime) -> None:
    chart = Chart(patient=nameless, hospital=make_hospital(name="Kigali District Hospital", now=now), now=now)
    fill_district_hospital(chart)
    chart.save()
    Link.objects.update(state=LinkState.HELD)
    found = pages(nameless, now=now)
    silent = [name for name in (*OWN, *DOCTORS) if HELD not in found[name] and name != "patient_consultation"]
    assert silent == []
    assert "Kigali District Hospital may hold more" in found["patient_consultation"]
    assert [name for name, page in found.items() if "Penicillin" in page or "HbA1c" in page] == []


def test_odd_entries_make_whole_pages(nameless: Patient, now: dt.datetime) -> None:
    """T63: no date, no name, 400 characters, from right to left, mark-up, an absurd number; T37 on pages."""
    chart = Chart(patient=nameless, hospital=make_hospital(name="ح" * 200, now=now), now=now)
    fill_oddly(chart)
    chart.add(concept="", value="", category="condition", at=None, provider="", location="")
    chart.add(concept="", value="", table="orders", category="medication", at=None)
    chart.add(concept="دواء" * 100, value="قرص واحد", table="orders", category="medication", at="2024-01-30 10:00:00")
    chart.add(concept="", value="", table="allergy", category="allergy", at="0001-01-01 00:00:00")
    chart.save()
    found = pages(nameless, now=now)
    assert [name for name, page in found.items() if cards_without_words(page)] == []
    assert [name for name, page in found.items() if "<script>alert" in page] == []
    own = Client()
    own.force_login(nameless.user)
    for record in chart.records:
        for address in ("own_record", "own_trend"):
            answer = own.get(reverse(address, args=[record.key]))
            assert answer.status_code in (200, 404), (address, record.concept[:20])
            assert len(re.sub(r"<[^>]*>|\s", "", answer.content.decode())) > 100
    assert "No date" in own.get(reverse("own_history") + "?q=blood").content.decode()


@pytest.mark.slow
def test_twelve_thousand_records_make_whole_pages(nameless: Patient, now: dt.datetime) -> None:
    chart = Chart(patient=nameless, hospital=make_hospital(name="Kigali District Hospital", now=now), now=now)
    fill_with_many(chart, n_records=12_000)
    chart.save()
    found = pages(nameless, now=now)
    assert [name for name, page in found.items() if cards_without_words(page)] == []
    assert max(len(page) for name, page in found.items()) < 400_000


def test_who_has_no_right_reads_that_on_every_page_of_the_record(nameless: Patient, now: dt.datetime) -> None:
    """T67: nothing reads as if nothing were recorded."""
    stranger = make_account(username="stranger", role="doctor", hospital=make_hospital(name="Far away", now=now))
    client = Client()
    client.force_login(stranger)
    for name in DOCTORS:
        answer = client.get(reverse(name, args=[nameless.pk]))
        page = answer.content.decode()
        assert answer.status_code == 403
        assert "That does not mean that nothing is recorded." in page, name
        assert "No hospital has recorded" not in page
