"""What admins do to passports and logins of others: each leaves its audit row, none shows a record."""

import datetime as dt
import io
import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import claiming, registration, standing
from passport.access import may_read
from passport.models import AuditEvent, Consent, Entry, Link, Merge, Patient, PatientIdentifier, Record, User
from passport.models.links import LinkState
from tests.records import PASSWORD, Chart, make_account, make_hospital, make_patient, number

pytestmark = pytest.mark.django_db
NOW = dt.datetime.now(dt.UTC)
NUMBER, OTHER_NUMBER, THIRD = "1199780012345678", "1199070098765432", "1200280055556666"


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def grace() -> User:
    return make_account(username="grace", role="admin", is_superuser=True)


@pytest.fixture
def browser(grace: User) -> Client:
    client = Client()
    client.force_login(grace)
    return client


@pytest.fixture
def alice() -> Patient:
    return make_patient(national_id=NUMBER, now=NOW, username="alice")


def page_of(patient: Patient) -> str:
    return reverse("admin:passport_patient_standing", args=[patient.pk])


def do(browser: Client, patient: Patient, what: str, **typed: str) -> Any:
    return browser.post(page_of(patient), {"what": what, **typed}, follow=True)


def event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("seq")


def chart_of(patient: Patient) -> Chart:
    hospital = make_hospital(name="Ruhengeri", now=NOW)
    chart = Chart(patient=patient, hospital=hospital, now=NOW)
    today = timezone.now().strftime("%Y-%m-%d 08:00:00")
    chart.add(concept="HbA1c", at=today, **number(9.1, "%"))
    chart.save()
    return chart


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_the_code_is_shown_once_and_opens_the_passport(browser: Client) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW)
    page = do(browser, patient, "code").content.decode()
    found = re.search(r'standing-said">([A-Z2-9]{4}-[A-Z2-9]{4})<', page)
    assert found is not None
    assert found.group(1) not in browser.get(page_of(patient)).content.decode()
    body = {"national_id": NUMBER, "birth_date": "1981-03-14", "code": found.group(1)}
    assert Client().post(reverse("claim"), body).status_code == 302
    assert event("desk_code_issued").patient_id == patient.pk


@pytest.mark.parametrize("user", ["doctor", "patient", None])
def test_nobody_but_an_admin_issues_codes(user: str | None, alice: Patient) -> None:
    client = Client()
    if user == "doctor":
        client.force_login(make_account(username="d", role="doctor", hospital=make_hospital(name="H", now=NOW)))
    if user == "patient":
        client.force_login(alice.user)
    assert client.get(page_of(alice)).status_code == 302
    assert client.post(page_of(alice), {"what": "code"}).status_code == 302
    assert not alice.one_time_codes.exists()


def test_without_a_birth_date_there_is_no_code(browser: Client) -> None:
    patient = make_patient(national_id=NUMBER, now=NOW, birth_date=None)
    assert "The birth date is not known" in do(browser, patient, "code").content.decode()
    assert not patient.one_time_codes.exists()


def test_the_page_shows_no_record_and_is_audited(browser: Client, alice: Patient) -> None:
    chart_of(alice)
    page = browser.get(page_of(alice)).content.decode()
    assert "HbA1c" not in page
    assert "Uwimana" not in page
    assert event("patient_opened_in_admin").patient_id == alice.pk


def test_a_verb_that_is_none_is_not_found(browser: Client, alice: Patient) -> None:
    assert do(browser, alice, "promote").status_code == 404
    assert browser.get(reverse("admin:passport_patient_standing", args=[uuid4()])).status_code == 404


# --- corrections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_old", [True, False])
def test_a_corrected_number_hides_what_was_linked_and_frees_or_keeps_the_old(
    keeps_old: bool, browser: Client, alice: Patient
) -> None:
    chart = chart_of(alice)
    old = alice.identifiers.get()
    more = {"keeps_old": "on"} if keeps_old else {}
    do(browser, alice, "number", identifier=str(old.pk), national_id=OTHER_NUMBER, **more)
    assert set(alice.identifiers.values_list("number", flat=True)) == (
        {NUMBER, OTHER_NUMBER} if keeps_old else {OTHER_NUMBER}
    )
    link = Link.objects.get(pk=chart.link.pk)
    assert (link.state, link.reason) == (LinkState.HELD, "number_corrected")
    assert link.marks != link.fresh_marks
    row = event("identifier_corrected")
    assert (row.basis, row.details["held"]) == ("kept_as_alias" if keeps_old else "freed", 1)
    assert OTHER_NUMBER not in str(row.details)


def test_a_number_of_somebody_else_corrects_nothing(browser: Client, alice: Patient) -> None:
    make_patient(national_id=OTHER_NUMBER, now=NOW)
    chart = chart_of(alice)
    page = do(browser, alice, "number", identifier=str(alice.identifiers.get().pk), national_id=OTHER_NUMBER)
    assert "leads to another patient" in page.content.decode()
    assert alice.identifiers.get().number == NUMBER
    assert Link.objects.get(pk=chart.link.pk).state == LinkState.LINKED


def test_the_number_of_another_patient_is_not_in_the_list(browser: Client, alice: Patient) -> None:
    other = make_patient(national_id=OTHER_NUMBER, now=NOW)
    do(browser, alice, "number", identifier=str(other.identifiers.get().pk), national_id=THIRD)
    assert other.identifiers.get().number == OTHER_NUMBER


# --- two passports of one person --------------------------------------------------------------------------------------


def snapshot() -> dict[str, Any]:
    """All that a merge may move."""
    return {
        "numbers": sorted(PatientIdentifier.objects.values_list("number", "patient_id")),
        "links": sorted(Link.objects.values_list("pk", "patient_id")),
        "logins": sorted(Patient.objects.values_list("pk", "user_id", "merged_into_id"), key=str),
        "open": sorted(User.objects.values_list("username", "is_active")),
        "consents": sorted(Consent.objects.values_list("pk", "patient_id")),
    }


@pytest.mark.parametrize("kept_has_login", [True, False])
def test_a_merge_moves_everything_and_its_undoing_puts_it_back(
    kept_has_login: bool, browser: Client, grace: User
) -> None:
    kept = make_patient(national_id=NUMBER, now=NOW, username="kept" if kept_has_login else "")
    merged = make_patient(national_id=OTHER_NUMBER, now=NOW, username="merged")
    chart = chart_of(merged)
    standing.record_consent(patient=merged, how="paper", actor=grace, now=NOW)
    before = snapshot()
    do(browser, kept, "merge", other=str(merged.pk), confirmation=str(merged.pk))
    link = Link.objects.get(pk=chart.link.pk)
    assert (link.patient_id, link.state) == (kept.pk, LinkState.HELD)
    assert registration.find_patient(national_id=OTHER_NUMBER) == kept
    assert Consent.objects.get().patient_id == kept.pk
    user = User.objects.get(username="merged")
    assert (user.is_active, Patient.objects.get(pk=kept.pk).user_id == user.pk) == (
        not kept_has_login,
        not kept_has_login,
    )
    do(browser, kept, "undo_merge", merge=str(Merge.objects.get().pk))
    assert snapshot() == before
    # judged anew before anything is shown
    assert Link.objects.get(pk=chart.link.pk).state == LinkState.HELD
    assert AuditEvent.objects.filter(action="patients_merged").count() == 2
    assert AuditEvent.objects.filter(action="patients_merge_undone").count() == 2


def test_a_merged_passport_opens_for_no_doctor(browser: Client, alice: Patient) -> None:
    merged = make_patient(national_id=OTHER_NUMBER, now=NOW)
    chart = chart_of(merged)
    doctor = make_account(username="d", role="doctor", hospital=chart.hospital)
    assert may_read(user=doctor, patient=merged, now=NOW)
    do(browser, alice, "merge", other=str(merged.pk), confirmation=str(merged.pk))
    # as a run that began before would leave it for a moment
    Link.objects.filter(pk=chart.link.pk).update(patient=merged, state=LinkState.LINKED)
    merged.refresh_from_db()
    assert may_read(user=doctor, patient=merged, now=NOW) is None


@pytest.mark.parametrize("case", ["itself", "nobody", "twice", "unsure"])
def test_a_merge_that_cannot_be_is_refused(case: str, browser: Client, alice: Patient) -> None:
    other = make_patient(national_id=OTHER_NUMBER, now=NOW)
    wanted = {"itself": alice.pk, "nobody": uuid4()}.get(case, other.pk)
    if case == "twice":
        do(browser, alice, "merge", other=str(other.pk), confirmation=str(other.pk))
    before = snapshot()
    confirmation = uuid4() if case == "unsure" else wanted
    page = do(browser, alice, "merge", other=str(wanted), confirmation=str(confirmation))
    assert "errorlist" in page.content.decode()
    assert snapshot() == before


def test_merges_are_undone_from_the_last_one_on(browser: Client, alice: Patient) -> None:
    second = make_patient(national_id=OTHER_NUMBER, now=NOW)
    third = make_patient(national_id=THIRD, now=NOW)
    do(browser, second, "merge", other=str(third.pk), confirmation=str(third.pk))
    do(browser, alice, "merge", other=str(second.pk), confirmation=str(second.pk))
    first_merge = Merge.objects.get(merged=third)
    assert "Undo that first" in do(browser, second, "undo_merge", merge=str(first_merge.pk)).content.decode()
    do(browser, alice, "undo_merge", merge=str(Merge.objects.get(merged=second).pk))
    do(browser, second, "undo_merge", merge=str(first_merge.pk))
    assert registration.find_patient(national_id=THIRD) == third


# --- death and consent ------------------------------------------------------------------------------------------------


def test_a_death_closes_the_login_and_keeps_the_record_for_a_time(
    browser: Client, alice: Patient, settings: Any
) -> None:
    chart = chart_of(alice)
    doctor = make_account(username="d", role="doctor", hospital=chart.hospital)
    day = NOW.date() - dt.timedelta(days=3)
    do(browser, alice, "death", died_on=day.isoformat())
    alice.refresh_from_db()
    assert (alice.died_on, alice.user and alice.user.is_active) == (day, False)
    assert may_read(user=doctor, patient=alice, now=NOW)
    settings.READ_AFTER_DEATH_DAYS = 2
    assert may_read(user=doctor, patient=alice, now=NOW) is None
    assert Record.objects.filter(patient_id=alice.pk).exists()
    do(browser, alice, "undo_death")
    alice.refresh_from_db()
    assert (alice.died_on, alice.user and alice.user.is_active) == (None, True)


@pytest.mark.parametrize("day", ["2999-01-01", "1900-01-01", "yesterday"])
def test_a_day_of_death_that_cannot_be_is_refused(day: str, browser: Client, alice: Patient) -> None:
    do(browser, alice, "death", died_on=day)
    alice.refresh_from_db()
    assert alice.died_on is None
    assert User.objects.get(username="alice").is_active


def test_a_withdrawn_agreement_closes_the_record_to_doctors(browser: Client, alice: Patient) -> None:
    chart = chart_of(alice)
    doctor = make_account(username="d", role="doctor", hospital=chart.hospital)
    do(browser, alice, "consent", how="paper")
    assert may_read(user=doctor, patient=alice, now=NOW)
    do(browser, alice, "withdraw")
    assert may_read(user=doctor, patient=alice, now=NOW) is None
    assert may_read(user=alice.user, patient=alice, now=NOW)
    do(browser, alice, "consent", how="spoken")
    assert may_read(user=doctor, patient=alice, now=NOW)
    assert event("consent_recorded").basis == "spoken"


def test_without_agreement_nobody_is_registered_where_it_is_required(settings: Any, browser: Client) -> None:
    settings.REQUIRE_CONSENT = True
    with pytest.raises(registration.ConsentMissing):
        registration.register_patient(national_id=NUMBER, actor=None, now=NOW)
    registration.register_patient(national_id=NUMBER, actor=None, now=NOW, consent="paper")
    assert Consent.objects.get().how == "paper"
    inlines = {f"identifiers-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}
    page = browser.post("/admin/passport/patient/add/", {"national_id": OTHER_NUMBER, "sex": "F", **inlines})
    assert "Nobody is registered without consent" in page.content.decode()
    assert Patient.objects.count() == 1


def test_passports_without_agreement_are_marked_in_the_list(browser: Client, alice: Patient) -> None:
    bob = make_patient(national_id=OTHER_NUMBER, now=NOW)
    do(browser, bob, "consent", how="paper")
    page = browser.get("/admin/passport/patient/?agreed=no").content.decode()
    assert str(alice.pk)[:8] in page
    assert str(bob.pk)[:8] not in page


# --- deletion by law --------------------------------------------------------------------------------------------------


def erase(browser: Client, patient: Patient, *, confirmation: str = "", password: str = PASSWORD) -> str:
    typed = {"confirmation": confirmation or str(patient.pk), "password": password}
    return str(do(browser, patient, "erase", **typed).content.decode())


def test_erasing_leaves_ids_in_the_audit_and_nothing_else(browser: Client, alice: Patient) -> None:
    chart_of(alice)
    merged = make_patient(national_id=OTHER_NUMBER, now=NOW, username="merged")
    do(browser, alice, "merge", other=str(merged.pk), confirmation=str(merged.pk))
    bob = make_patient(national_id=THIRD, now=NOW, username="bob")
    kept = chart_of(bob)
    assert "Deleted: 1 entries, 1 links, 2 numbers." in erase(browser, alice)
    assert list(Patient.objects.values_list("pk", flat=True)) == [bob.pk]
    assert list(Link.objects.values_list("pk", flat=True)) == [kept.link.pk]
    assert list(Record.objects.values_list("link_id", flat=True)) == [kept.link.pk]
    assert set(User.objects.values_list("username", flat=True)) == {"grace", "bob"}
    row = event("patient_erased")
    assert row.patient_id == alice.pk
    assert set(row.details["passports"]) == {str(alice.pk), str(merged.pk)}
    everything = str(list(AuditEvent.objects.values()))
    assert NUMBER not in everything
    assert "Uwimana" not in everything


@pytest.mark.parametrize("how", [{"password": "wrong"}, {"confirmation": str(uuid4())}])
def test_erasing_needs_the_id_and_the_admins_password(how: dict[str, str], browser: Client, alice: Patient) -> None:
    chart_of(alice)
    assert "Nothing was deleted" in erase(browser, alice, **how)
    assert Patient.objects.filter(pk=alice.pk).exists()
    assert Record.objects.exists()


def run_command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("erase_patient", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_erases_and_lists_what_is_due(alice: Patient, settings: Any) -> None:
    settings.RETENTION_YEARS = 10
    bob = make_patient(national_id=OTHER_NUMBER, now=NOW)
    Patient.objects.filter(pk=alice.pk).update(died_on=NOW.date() - dt.timedelta(days=3700))
    Patient.objects.filter(pk=bob.pk).update(died_on=NOW.date() - dt.timedelta(days=3500))
    assert run_command("--list-due").split() == [str(alice.pk)]
    with pytest.raises(CommandError, match="Nothing was deleted"):
        run_command(str(alice.pk))
    assert "Deleted: 1 passports" in run_command(str(alice.pk), "--confirm", str(alice.pk))
    with pytest.raises(CommandError, match="no passport"):
        run_command(str(alice.pk), "--confirm", str(alice.pk))
    with pytest.raises(CommandError, match="Name a passport"):
        run_command()


# --- logins of others -------------------------------------------------------------------------------------------------


def test_a_device_that_an_admin_adds_for_another_is_audited_and_ends_their_logins(
    browser: Client, alice: Patient
) -> None:
    client = Client()
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
    typed = {
        "user": str(alice.user_id),
        "name": "planted",
        "confirmed": "on",
        "key": "ab" * 20,
        "step": "30",
        "t0": "0",
        "digits": "6",
        "tolerance": "1",
        "drift": "0",
        "throttling_failure_count": "0",
    }
    browser.post("/admin/otp_totp/totpdevice/add/", typed)
    assert TOTPDevice.objects.get().name == "planted"
    row = event("totpdevice_added_in_admin")
    assert row.details["account"] == str(alice.user_id)
    assert "ab" * 20 not in str(row.details)
    assert client.get(reverse("own_history")).status_code == 302


def account_action(browser: Client, action: str, account: User) -> None:
    browser.post("/admin/passport/user/", {"action": action, "_selected_action": [str(account.pk)]})


def test_a_lost_phone_is_taken_away_with_an_audit_row(browser: Client, alice: Patient) -> None:
    assert alice.user is not None
    TOTPDevice.objects.create(user=alice.user, name="app", confirmed=True)
    account_action(browser, "take_codes_away", alice.user)
    assert not TOTPDevice.objects.exists()
    assert event("code_devices_removed").details == {"account": str(alice.user_id), "devices": 1}


def change_account(browser: Client, account: User, **typed: str) -> Any:
    return browser.post(f"/admin/passport/user/{account.pk}/change/", {"username": account.username, **typed})


def test_a_closed_account_stays_outside_when_it_is_opened_again(browser: Client, alice: Patient) -> None:
    """Sessions and tokens of before the closing do not come back."""
    assert alice.user is not None
    client = Client()
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
    body = {"username": "alice", "password": PASSWORD}
    pair = Client().post("/api/auth/token/", body, content_type="application/json").json()
    change_account(browser, alice.user, role="patient")
    assert not User.objects.get(username="alice").is_active
    change_account(browser, alice.user, role="patient", is_active="on")
    assert User.objects.get(username="alice").is_active
    assert client.get(reverse("own_history")).status_code == 302
    headers = {"Authorization": f"Bearer {pair['access']}"}
    assert Client().get("/api/me/", headers=headers).status_code == 401
    assert not Entry.objects.filter(user=alice.user, ended_at__isnull=True).exists()


def test_an_admin_sees_that_there_is_a_password_and_nothing_of_how_it_is_kept(browser: Client, alice: Patient) -> None:
    page = browser.get(reverse("admin:passport_user_change", args=[alice.user.pk])).content.decode()
    assert "There is one. Nobody can read it." in page
    assert reverse("admin:auth_user_password_change", args=[alice.user.pk]) in page or "../password/" in page
    for told in ("md5", "algorithm", "salt", "hash", "iterations"):
        assert told not in page.lower().replace("fingerprint", "")
    User.objects.filter(pk=alice.user.pk).update(password="!unusable")
    page = browser.get(reverse("admin:passport_user_change", args=[alice.user.pk])).content.decode()
    assert "There is none yet." in page


def test_a_password_that_an_admin_sets_ends_all_logins(browser: Client, alice: Patient) -> None:
    client = Client()
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
    fresh = "another unlikely sentence"
    typed = {"password1": fresh, "password2": fresh, "usable_password": "true"}
    browser.post(f"/admin/passport/user/{alice.user_id}/password/", typed)
    assert client.get(reverse("own_history")).status_code == 302
    assert event("logins_ended").basis == "password"
    assert Client().post("/", {"name": "alice", "password": fresh, "next": ""}).status_code == 302


def test_an_admin_ends_all_logins_of_an_account(browser: Client, alice: Patient) -> None:
    assert alice.user is not None
    client = Client()
    client.post("/", {"name": "alice", "password": PASSWORD, "next": ""})
    account_action(browser, "end_logins", alice.user)
    assert client.get(reverse("own_history")).status_code == 302


def test_a_code_for_a_closed_account_is_refused(browser: Client, alice: Patient) -> None:
    User.objects.filter(username="alice").update(is_active=False)
    alice.refresh_from_db()
    with pytest.raises(claiming.CodeNotIssued):
        claiming.issue_code(patient=alice, actor=User.objects.get(username="grace"), now=NOW)
