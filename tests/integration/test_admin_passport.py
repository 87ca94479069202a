"""Accounts, patients, placeholders, grants and the audit chain in Django admin."""

import ast
import datetime as dt
import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport.access import Action
from passport.audit import record_event
from passport.models import (
    AccessGrant,
    AuditEvent,
    Link,
    LinkDecision,
    Patient,
    PatientIdentifier,
    PlaceholderNumber,
    User,
)
from passport.views.look_words import ACTIONS
from tests.parts import ROOT
from tests.records import Chart, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NOW = dt.datetime.now(dt.UTC)
NUMBER = "1199780012345678"
GONE = UUID("0f0f0f0f-aaaa-4bbb-8ccc-123456789abc")
NO_INLINES = {f"identifiers-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}


@pytest.fixture
def browser(settings: Any) -> Client:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    admin = make_account(username="grace", role="admin", is_superuser=True)
    client = Client()
    client.force_login(admin)
    return client


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


@pytest.mark.parametrize("model", ["user", "patient", "placeholdernumber", "accessgrant", "auditevent"])
@pytest.mark.parametrize("page", ["", "add/", "?q=x"])
def test_every_list_and_form_opens(browser: Client, model: str, page: str) -> None:
    make_patient(national_id=NUMBER, now=NOW, username="alice")
    status = browser.get(f"/admin/passport/{model}/{page}").status_code
    assert status == (403 if (model, page) == ("auditevent", "add/") else 200)


def test_an_account_is_called_so_on_its_pages(browser: Client) -> None:
    account = User.objects.get(username="grace")
    for page in ("", "add/", f"{account.pk}/change/"):
        shown = browser.get(f"/admin/passport/user/{page}").content.decode()
        assert "account" in shown.lower()
        assert not re.search(r">[^<]*\b[Uu]sers?\b[^<]*</(h1|a|p|title)>", shown)


@pytest.mark.parametrize("app", ["django_q", "token_blacklist", "auth"])
def test_pages_that_could_run_code_or_read_tokens_are_gone(browser: Client, app: str) -> None:
    assert browser.get(f"/admin/{app}/").status_code == 404


def test_a_patient_is_registered_by_number(browser: Client) -> None:
    form = {"national_id": "1199 7800 1234 5678", "given_name": "Aline", "sex": "F", **NO_INLINES}
    assert browser.post("/admin/passport/patient/add/", form).status_code == 302
    patient = Patient.objects.get()
    assert (patient.given_name, PatientIdentifier.objects.get().number) == ("Aline", NUMBER)
    assert [event.patient_id for event in events("patient_registered")] == [patient.pk]


@pytest.mark.parametrize("national_id", ["", "12", "1111111", "999900", NUMBER])
def test_a_number_that_cannot_be_makes_no_patient(browser: Client, national_id: str) -> None:
    PlaceholderNumber.objects.create(number="999900")
    make_patient(national_id=NUMBER, now=NOW)
    form = {"national_id": national_id, "sex": "F", **NO_INLINES}
    assert browser.post("/admin/passport/patient/add/", form).status_code == 200
    assert Patient.objects.count() == 1


def test_a_change_to_a_patient_names_the_fields_and_not_what_they_hold(browser: Client) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW)
    address = f"/admin/passport/patient/{patient.pk}/change/"
    assert browser.get(address).status_code == 200
    form = {
        "national_id": "AB7700",
        "given_name": "Secret",
        "family_name": "Uwimana",
        "birth_date": "1981-03-14",
        "sex": "F",
        **NO_INLINES,
        "identifiers-TOTAL_FORMS": "1",
        "identifiers-INITIAL_FORMS": "1",
        "identifiers-0-id": str(patient.identifiers.get().pk),
        "identifiers-0-patient": str(patient.pk),
    }
    assert browser.post(address, form).status_code == 302
    patient.refresh_from_db()
    assert patient.given_name == "Secret"
    assert patient.identifiers.count() == 2
    (event,) = events("patient_changed_in_admin")
    assert (event.patient_id, "Secret" in str(event.details)) == (patient.pk, False)
    assert len(events("patient_opened_in_admin")) == 1


def test_a_placeholder_is_kept_normalised(browser: Client) -> None:
    browser.post("/admin/passport/placeholdernumber/add/", {"number": "9999-00 ab"})
    assert PlaceholderNumber.objects.get().number == "999900AB"
    assert len(events("placeholdernumber_added_in_admin")) == 1


def test_the_number_of_a_patient_is_no_placeholder(browser: Client) -> None:
    make_patient(national_id=NUMBER, now=NOW)
    browser.post("/admin/passport/placeholdernumber/add/", {"number": NUMBER})
    assert not PlaceholderNumber.objects.exists()


def test_the_role_alone_makes_an_account_staff(browser: Client) -> None:
    form = {"username": "eve", "role": "admin", "password1": "a-long-password-x", "password2": "a-long-password-x"}
    assert browser.post("/admin/passport/user/add/", form).status_code == 302
    eve = User.objects.get(username="eve")
    assert (eve.is_staff, eve.is_superuser) == (True, True)


@pytest.mark.parametrize("change", [{"username": NUMBER}, {"role": "doctor"}])
def test_a_number_as_username_and_a_doctor_without_hospital_are_refused(
    browser: Client, change: dict[str, str]
) -> None:
    form = {"username": "eve", "role": "patient", "password1": "a-long-password-x", "password2": "a-long-password-x"}
    assert browser.post("/admin/passport/user/add/", {**form, **change}).status_code == 200
    assert User.objects.count() == 1


def test_a_grant_is_written_down_with_its_patient(browser: Client) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW)
    doctor = make_account(username="bob", role="doctor", hospital=make_hospital(name="H", now=NOW))
    form = {"patient": str(patient.pk), "doctor": str(doctor.pk), "ends_at_0": "2999-01-01", "ends_at_1": "00:00"}
    assert browser.post("/admin/passport/accessgrant/add/", form).status_code == 302
    assert AccessGrant.objects.get().doctor == doctor
    assert [event.patient_id for event in events("accessgrant_added_in_admin")] == [patient.pk]


def test_a_doctor_does_not_enter_admin() -> None:
    client = Client()
    client.force_login(make_account(username="bob", role="doctor", hospital=make_hospital(name="H", now=NOW)))
    assert client.get("/admin/passport/patient/").status_code == 302


def test_a_corrected_birth_date_has_the_matcher_look_at_the_links_again(browser: Client) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW)
    chart = Chart(patient=patient, hospital=make_hospital(name="H", now=NOW), now=NOW)
    chart.save()
    before = Link.objects.get(patient=patient)
    form = {
        **{name: getattr(patient, name) for name in ("given_name", "family_name", "sex")},
        "birth_date": "1951-03-14",
        **NO_INLINES,
        "identifiers-TOTAL_FORMS": "1",
        "identifiers-INITIAL_FORMS": "1",
        "identifiers-0-id": str(patient.identifiers.get().pk),
        "identifiers-0-patient": str(patient.pk),
    }
    assert browser.post(f"/admin/passport/patient/{patient.pk}/change/", form).status_code == 302
    assert Link.objects.get(patient=patient).marks == before.marks + 1


def test_admins_enter_by_the_same_door_as_everyone() -> None:
    answer = Client().get("/admin/login/?next=/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/?next=/admin/")


# --- the door ---------------------------------------------------------------------------------------------------------


def test_a_session_without_a_code_is_outside_once_a_code_is_due(browser: Client, settings: Any) -> None:
    assert browser.get("/admin/").status_code == 200
    settings.REQUIRE_TOTP = True
    for page in ("/admin/", "/admin/passport/patient/"):
        answer = browser.get(page)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")
    assert browser.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/?next=")
    # which leads to the account's own page, and from there to the door
    assert browser.get("/admin/password_change/", follow=True).redirect_chain[-1][0].startswith("/?next=")


def test_the_role_alone_opens_admin_whatever_flags_were_left_behind(browser: Client) -> None:
    User.objects.filter(username="grace").update(role="patient")
    assert browser.get("/admin/passport/patient/").status_code == 302


# --- what the lists say -----------------------------------------------------------------------------------------------


def test_the_start_page_has_a_box_for_each_purpose_and_fits_its_title(browser: Client) -> None:
    page = browser.get("/admin/").content.decode()
    boxes = [
        (box["name"], [model["name"] for model in box["models"]]) for box in browser.get("/admin/").context["app_list"]
    ]
    assert boxes == [
        ("Hospitals", ["Connection tests", "Hospitals", "Locations"]),
        (
            "Sync",
            ["Alerts", "Certificates", "Concept rules", "Dry runs and counts", "Matches", "Parked rows", "Runs"],
        ),
        (
            "Patients and accounts",
            [
                *("Accounts", "Audit", "Corrections asked for", "Doctors in hospitals' files", "Emergencies"),
                *("Guardians and carers",),
                *("Patients", "Permissions", "Placeholder numbers", "Plain words", "Sensitive concepts"),
            ],
        ),
        ("One-time codes", ["Authenticator apps", "Recovery codes"]),
    ]
    assert "Django administration" not in page
    assert "Recent actions" not in page


@pytest.mark.parametrize(
    "app, box", [("otp_totp", "One-time codes"), ("passport", "Patients and accounts"), ("openmrs_sync", "Sync")]
)
def test_every_app_of_the_admin_has_a_page(browser: Client, app: str, box: str) -> None:
    assert [one["name"] for one in browser.get(f"/admin/{app}/").context["app_list"]] == [box]
    assert "The schedule" not in browser.get(f"/admin/{app}/").content.decode()


def test_the_audit_says_who_and_where_by_name(browser: Client) -> None:
    hospital = make_hospital(name="Muhazi", now=NOW)
    grace = User.objects.get()
    record_event(action="hospital_tested", actor=grace, now=NOW, hospital_id=hospital.pk)
    record_event(action="placeholdernumber_added_in_admin", actor=None, now=NOW, patient_id=GONE, hospital_id=GONE)
    page = browser.get("/admin/passport/auditevent/").content.decode()
    for words in ("hospital tested", "grace (admin)", ">Muhazi<", "placeholder number added in admin", ">system<"):
        assert words in page
    assert page.count(f">{str(GONE)[:8]}<") == 2  # the chain outlives what it speaks of
    found = browser.get("/admin/passport/auditevent/?q=hospital tested").content.decode()
    assert ("hospital tested" in found, "placeholder number" in found) == (True, False)


def test_the_audit_costs_the_same_for_many_rows(browser: Client, django_assert_num_queries: Any) -> None:
    for n_rows in (1, 20):
        for _ in range(n_rows):
            record_event(action="login", actor=User.objects.get(), now=NOW)
        with django_assert_num_queries(8):
            browser.get("/admin/passport/auditevent/")


def actions_about_a_patient() -> set[str]:
    """Every action that the code writes down together with a patient's id, and so shows to the patient."""
    found = {action.value for action in Action} | {f"link_decided_{verdict}" for verdict in LinkDecision.Verdict}
    found |= {f"{name}_{what}_in_admin" for name in ("patient", "accessgrant") for what in ("added", "changed")}
    for path in [*ROOT.glob("passport/**/*.py"), *ROOT.glob("openmrs_sync/**/*.py"), *ROOT.glob("hospitals/**/*.py")]:
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            action = given.get("action")
            # `record` is record_event with a patient's id already given.
            if isinstance(action, ast.Constant) and ("patient_id" in given or ast.unparse(call.func) == "record"):
                found.add(action.value.removesuffix("_refused"))
    return found


def test_every_action_that_a_patient_can_see_has_its_words() -> None:
    assert {"account_created", "sync_patient", "identifier_added"} <= actions_about_a_patient()
    assert actions_about_a_patient() - set(ACTIONS) == set()


def test_the_icon_is_found_wherever_a_browser_looks(browser: Client) -> None:
    assert browser.get("/favicon.ico")["Location"] == "/static/passport/favicon.svg"
    assert '<link rel="icon" href="/static/passport/favicon.svg"' in browser.get("/admin/").content.decode()


def test_a_patients_page_leads_to_who_looked_at_them(browser: Client) -> None:
    patient = make_patient(national_id="1199780012340001", now=timezone.now())
    page = browser.get(reverse("admin:passport_patient_change", args=[patient.pk])).content.decode()
    address = reverse("patient_looks_file", args=[patient.pk, "csv"])
    assert address in page
    assert browser.get(address)["Content-Type"] == "text/csv; charset=utf-8"
