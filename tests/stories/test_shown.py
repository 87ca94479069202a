"""What a patient and a program get to see of it, by page and by API."""

import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from passport import history
from passport.api import tokens
from passport.history import Standing, Status
from passport.models import Patient, Record
from tests.integration import world
from tests.integration.world import Site
from tests.records import make_account, own_scope

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE = "1199080012345678"
#: The whole record, to take along.
EXPORTS = ("/api/me/summary/", "/api/me/fhir/")
DAY = dt.timedelta(days=1)


@pytest.fixture
def alice(kigali: Site, settings: Any) -> tuple[int, Patient, Client]:
    """A person at Kigali, the patient, and the browser of the one who is both."""
    cache.clear()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    person = kigali.add_holder(ALICE)
    patient = Patient.objects.get()
    patient.user = make_account(username="alice")
    patient.save(update_fields=["user"])
    browser = Client()
    browser.force_login(patient.user)
    return person, patient, browser


def page(browser: Client) -> str:
    answer = browser.get("/history/")
    assert answer.status_code == 200
    return answer.content.decode()


def api(patient: Patient, path: str) -> Any:
    assert patient.user is not None
    token = tokens.issue(user=patient.user, now=timezone.now()).access
    answer = Client().get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    return answer.json()


def api_values(patient: Patient) -> list[str]:
    return [record["value"] for record in api(patient, "/api/me/records/?category=vital")["results"]]


def test_a_void_is_gone_from_page_api_and_exports_and_its_version_is_kept(
    kigali: Site, alice: tuple[int, Patient, Client]
) -> None:
    """T19: and comes back with the un-void."""
    person, patient, browser = alice
    kigali.pretend.add_obs(person, "weight", 61.0)
    wrong = kigali.pretend.add_obs(person, "weight", 777.25)  # the newest, which a summary tells
    kigali.sync()
    assert "777.25" in page(browser)
    assert [path for path in EXPORTS if "777.25" in str(api(patient, path))] == list(EXPORTS)
    kigali.pretend.void_obs(wrong)
    kigali.sync()
    assert "777.25" not in page(browser)
    assert not [path for path in EXPORTS if "777.25" in str(api(patient, path))]
    assert api_values(patient) == ["61"]
    kept = history.records_page(scope=own_scope(patient), filters=history.Filters(status=Status.WITHDRAWN)).results
    assert [(each.source.id, each.value, each.withdrawn_reason) for each in kept] == [(wrong, "777.25", "voided")]
    kigali.pretend.unvoid_obs(wrong)
    kigali.sync()
    assert sorted(api_values(patient)) == ["61", "777.25"]


def test_of_an_edit_chain_the_page_has_one_card(kigali: Site, alice: tuple[int, Patient, Client]) -> None:
    """T23"""
    person, patient, browser = alice
    first = kigali.pretend.add_obs(person, "weight", 70.125)
    kigali.sync()
    kigali.pretend.edit_obs(kigali.pretend.edit_obs(first, 70.25), 70.375)
    kigali.sync()
    assert [word in page(browser) for word in ("70.125", "70.25", "70.375")] == [False, False, True]
    assert api_values(patient) == ["70.375"]


def test_a_row_without_a_date_says_that_its_date_is_unknown(kigali: Site, alice: tuple[int, Patient, Client]) -> None:
    """T37"""
    person, patient, browser = alice
    kigali.pretend.execute("SET SESSION sql_mode = ''")
    kigali.pretend.add_obs(person, "weight", 60.0, at="0000-00-00 00:00:00")  # type: ignore[arg-type]
    kigali.sync()
    assert "No date" in page(browser)
    assert [(each["date"], each["at"]) for each in api(patient, "/api/me/records/")["results"]] == [(None, None)]


# ------------------------------------------------------------------------------------------- medicines


def medicines(patient: Patient, now: dt.datetime) -> dict[int, Standing]:
    found = history.overview(scope=own_scope(patient), now=now).medications
    return {stated.record.source.id: stated.standing for stated in found}


def test_a_medicine_is_past_when_its_end_passes_and_no_row_changes(
    kigali: Site, alice: tuple[int, Patient, Client]
) -> None:
    """T78: told by the hospital's clock, with a clock that moves."""
    person, patient, _ = alice
    now = timezone.now()
    order = kigali.pretend.add_drug_order(person, encounter=kigali.pretend.add_encounter(person), days=10)
    kigali.sync(now=now)
    before = list(Record.objects.values())
    assert medicines(patient, now) == {order: Standing.CURRENT}
    assert medicines(patient, now + 9 * DAY) == {order: Standing.CURRENT}
    assert medicines(patient, now + 11 * DAY) == {}
    assert list(Record.objects.values()) == before


def test_an_order_that_is_stopped_in_place_is_no_medicine_any_more_within_a_sweep(
    kigali: Site, alice: tuple[int, Patient, Client]
) -> None:
    """T66"""
    person, patient, browser = alice
    now = timezone.now()
    order = kigali.pretend.add_drug_order(person, encounter=kigali.pretend.add_encounter(person), days=100)
    kigali.sync(now=now)
    assert medicines(patient, now) == {order: Standing.CURRENT}
    kigali.pretend.update("orders", order, date_stopped=kigali.pretend.clock())
    kigali.sync(now=now + dt.timedelta(hours=25), deep=False)
    assert medicines(patient, now + DAY) == {}
    assert "stopped" in page(browser).lower()


# ------------------------------------------------------------------------------------------- allow-lists

RECORD = set(
    "id category hospital hospital_name concept value value_number unit low high flag status at date visit encounter"
    " group part_of certainty rank provider location source received_at".split()
)
SHAPES = {
    "/api/me/": set("id username role given_name family_name birth_date sex email phone national_ids".split()),
    "/api/me/records/": {"results", "next", "freshness"},
    "/api/me/access/": {"results", "next"},
}


def test_what_a_patient_gets_is_a_list_of_fields_and_nothing_inside_leaks(
    kigali: Site, alice: tuple[int, Patient, Client]
) -> None:
    """T68: the keys of every answer to a patient, to the letter."""
    person, patient, browser = alice
    kigali.pretend.add_obs(person, "weight", 60.0)
    kigali.sync()
    page(browser)
    answers = {path: api(patient, path) for path in SHAPES}
    assert {path: set(answer) for path, answer in answers.items()} == SHAPES
    (record,) = answers["/api/me/records/"]["results"]
    assert set(record) == RECORD
    assert set(record["source"]) == {"table", "id", "uuid"}
    assert {frozenset(line) for line in answers["/api/me/records/"]["freshness"]} == {
        frozenset({"hospital", "state", "read_at"})
    }
    looks = {frozenset(look) for look in answers["/api/me/access/"]["results"]}
    assert looks == {frozenset({"at", "action", "who", "role", "basis", "hospital", "hospital_name", "was_refused"})}
    told = str(answers) + "".join(str(api(patient, path)) for path in EXPORTS)
    hospital = kigali.hospital
    inside = (world.PASSWORD, hospital.password_sealed, f":{hospital.port}", django_settings.SECRET_KEY, "link_id")
    assert not [word for word in inside if word in told]
    assert {field.name for field in dataclasses.fields(history.RecordView)} > RECORD, "what pages get beyond it"
