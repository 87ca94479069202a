"""The pages with Django's test client: each address for each role, each failure as a sentence."""

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from hospitals.models import Hospital
from passport import page_urls
from passport.models import AccessGrant, AuditEvent, Link, Patient, Record, RecoveryCode, User
from passport.models.links import LinkState
from passport.views import credentials
from tests.records import (
    PASSWORD,
    Chart,
    fill_district_hospital,
    fill_health_centre,
    fill_oddly,
    fill_with_many,
    make_account,
    make_hospital,
    make_patient,
)

pytestmark = pytest.mark.django_db

NUMBER = "1198180012345678"
OTHER_NUMBER = "1199070098765432"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Alice and Bob hold passports; the doctor's hospital has written about Alice, the stranger's about nobody."""

    now: dt.datetime
    alice: Patient
    bob: Patient
    district: Hospital
    elsewhere: Hospital
    doctor: User
    stranger: User
    admin: User

    def key(self, **fields: object) -> str:
        return Record.objects.get(patient_id=self.alice.pk, **fields).key


@pytest.fixture(autouse=True)
def _ground(settings: Any, db: None) -> None:
    cache.clear()  # failed log-ins of the test before
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # whitenoise warns of a folder that is not there


@pytest.fixture
def world() -> World:
    now = timezone.now()
    district = make_hospital(name="Kigali District Hospital", code="kigali", now=now)
    centre = make_hospital(name="Remera Health Centre", code="remera", now=now)
    elsewhere = make_hospital(name="Kibagabaga", code="kibagabaga", now=now, reached_ago=dt.timedelta(days=4))
    alice = make_patient(national_id=NUMBER, username="alice", now=now)
    for hospital, fill in ((district, fill_district_hospital), (centre, fill_health_centre)):
        chart = Chart(patient=alice, hospital=hospital, now=now)
        fill(chart)
        chart.save()
    return World(
        now=now,
        alice=alice,
        bob=make_patient(national_id=OTHER_NUMBER, username="bob", given_name="Bob", now=now),
        district=district,
        elsewhere=elsewhere,
        doctor=make_account(username="doctor", role="doctor", hospital=district),
        stranger=make_account(username="stranger", role="doctor", hospital=elsewhere),
        admin=make_account(username="admin", role="admin"),
    )


def logged_in(user: User | None) -> Client:
    client = Client()
    assert user is not None
    client.force_login(user)
    return client


def text_of(client: Client, address: str, *, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


# --- every address, every role ----------------------------------------------------------------------------------------

#: name → status for: the patient, another patient, a doctor with and one without a relation, an admin
EXPECTED = {
    "home": (200, 200, 302, 302, 302),
    "log_in_code": (302, 302, 302, 302, 302),
    "log_in_enrol": (302, 302, 302, 302, 302),
    "log_out": (405, 405, 405, 405, 405),
    "logged_out": (200, 200, 200, 200, 200),
    "choose_language": (405, 405, 405, 405, 405),
    "claim": (200, 200, 200, 200, 200),
    "claim_password": (302, 302, 302, 302, 302),
    "forgotten": (200, 200, 200, 200, 200),
    "reset_link": (302, 302, 302, 302, 302),
    "reset_password": (410, 410, 410, 410, 410),
    "account": (200, 200, 200, 200, 200),
    "account_password": (200, 200, 200, 200, 200),
    "account_codes": (200, 200, 200, 200, 200),
    "account_codes_renew": (404, 404, 404, 404, 404),
    "account_logins": (200, 200, 200, 200, 200),
    "account_contact": (200, 200, 200, 200, 200),
    "account_address": (302, 302, 302, 302, 302),
    "account_consent": (405, 405, 405, 405, 405),
    "account_notices": (405, 405, 405, 405, 405),
    "stop_notices": (200, 200, 200, 200, 200),
    "own_history": (200, 200, 403, 403, 403),
    "own_record": (200, 404, 403, 403, 403),
    "own_correction": (200, 404, 403, 403, 403),
    "own_corrections": (200, 200, 403, 403, 403),
    "own_withdraw_correction": (405, 405, 405, 405, 405),
    "patient_correction": (200, 403, 403, 403, 403),
    "patient_corrections": (200, 403, 403, 403, 403),
    "patient_withdraw_correction": (405, 405, 405, 405, 405),
    "own_results": (200, 200, 403, 403, 403),
    "own_trend": (200, 404, 403, 403, 403),
    "own_medicines": (200, 200, 403, 403, 403),
    "who_looked": (200, 200, 403, 403, 403),
    "who_looked_file": (200, 200, 403, 403, 403),
    "own_version": (200, 200, 403, 403, 403),
    "permissions": (200, 200, 403, 403, 403),
    "let_in": (405, 405, 405, 405, 405),
    "end_grant": (405, 405, 405, 405, 405),
    "invite": (405, 405, 405, 405, 405),
    "choose_sensitive": (405, 405, 405, 405, 405),
    "end_proxy": (405, 405, 405, 405, 405),
    "emergency_seen": (405, 405, 405, 405, 405),
    "hidden": (200, 200, 403, 403, 403),
    "show_again": (405, 405, 405, 405, 405),
    "people": (200, 200, 200, 200, 200),
    "share": (200, 200, 403, 403, 403),
    "share_made": (302, 302, 403, 403, 403),
    "end_share": (405, 405, 405, 405, 405),
    "download": (200, 200, 403, 403, 403),
    "download_file": (302, 302, 403, 403, 403),
    "download_version": (200, 200, 403, 403, 403),
    "print_record": (200, 200, 403, 403, 403),
    "emergency_card": (200, 200, 403, 403, 403),
    "shared_page": (200, 200, 200, 200, 200),
    "shared_manifest": (405, 405, 405, 405, 405),
    "shared_file": (404, 404, 404, 404, 404),
    "emergency": (403, 403, 200, 200, 403),
    "emergency_opened": (403, 403, 403, 403, 403),
    "emergency_record": (403, 403, 403, 403, 403),
    "patient_emergency": (403, 403, 200, 200, 403),
    "find_patient": (403, 403, 200, 200, 200),
    "patient_overview": (200, 403, 200, 403, 403),
    "patient_history": (200, 403, 200, 403, 403),
    "patient_record": (200, 403, 200, 403, 403),
    "patient_results": (200, 403, 200, 403, 403),
    "patient_trend": (200, 403, 200, 403, 403),
    "patient_medicines": (200, 403, 200, 403, 403),
    "patient_version": (200, 403, 200, 403, 403),
    "patient_looks_file": (403, 403, 403, 403, 200),
    "patient_consultation": (403, 403, 200, 403, 403),
    "patient_consultation_version": (403, 403, 200, 403, 403),
    "patient_ask_hospitals": (405, 405, 405, 405, 405),
}
OPEN_TO_ALL = {"home", "logged_out", "claim", "forgotten", "shared_page", "stop_notices"}
#: What their address names is nobody's here.
OF_NOBODYS_ID = {
    *("end_grant", "choose_sensitive", "end_proxy", "emergency_seen", "show_again"),
    *("emergency_opened", "emergency_record"),
    *("share_made", "end_share", "download_file"),
    *("own_withdraw_correction", "patient_withdraw_correction"),
}


def address_of(name: str, world: World) -> str:
    args: list[object] = [world.alice.pk] if name.startswith("patient_") else []
    if name in OF_NOBODYS_ID:
        args.append(uuid4())
    if name in {"own_record", "patient_record", "own_trend", "patient_trend", "own_correction", "patient_correction"}:
        args.append(world.key(concept="HbA1c"))
    if name == "reset_link":
        args += [world.alice.pk, "token"]
    if name.startswith("shared_"):
        args += ["x" * 43, *(["ticket"] if name == "shared_file" else [])]
    if name == "stop_notices":
        args.append("x" * 38)
    if name == "account_address":
        args.append("secret")
    if name in {"who_looked_file", "patient_looks_file"}:
        args.append("csv")
    return reverse(name, args=args)


def test_the_matrix_names_every_page() -> None:
    assert {pattern.name for pattern in page_urls.urlpatterns if pattern.name} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_role_gets_each_page_or_a_refusal(name: str, world: World) -> None:
    users = [world.alice.user, world.bob.user, world.doctor, world.stranger, world.admin]
    address = address_of(name, world)
    found = tuple(logged_in(user).get(address).status_code for user in users)
    assert found == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stranger_without_a_login_sees_no_record(name: str, world: World) -> None:
    answer = Client().get(address_of(name, world))
    if name in OPEN_TO_ALL:
        assert answer.status_code == 200
    elif name in {"reset_password", "shared_file"}:
        assert answer.status_code in {410, 404}
    elif name.endswith("_version"):
        assert answer.status_code == 403
    else:
        assert answer.status_code in {302, 405}
    assert "Uwimana" not in answer.content.decode()


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "home"])
def test_each_address_works_without_the_slash_at_its_end(name: str, world: World) -> None:
    client = logged_in(world.alice.user)
    address = address_of(name, world)
    assert client.get(address.removesuffix("/")).status_code == client.get(address).status_code


def test_an_unknown_patient_looks_like_one_without_a_right(world: World) -> None:
    client = logged_in(world.stranger)
    refused = client.get(reverse("patient_overview", args=[world.alice.pk]))
    unknown = client.get(reverse("patient_overview", args=[uuid4()]))
    assert refused.status_code == unknown.status_code == 403
    assert _without_tokens(refused.content.decode()) == _without_tokens(unknown.content.decode())


def _without_tokens(page: str) -> str:
    """Nor the page's own address, to which the choice of a language returns."""
    own = ("csrfmiddlewaretoken", 'name="next"')
    return "\n".join(line for line in page.splitlines() if not any(part in line for part in own))


def test_an_ended_grant_closes_the_record(world: World) -> None:
    grant = AccessGrant.objects.create(
        patient=world.alice, doctor=world.stranger, created_at=world.now, ends_at=world.now + dt.timedelta(hours=1)
    )
    client, address = logged_in(world.stranger), reverse("patient_overview", args=[world.alice.pk])
    assert client.get(address).status_code == 200
    AccessGrant.objects.filter(pk=grant.pk).update(ends_at=world.now)
    assert client.get(address).status_code == 403


# --- logging in -------------------------------------------------------------------------------------------------------


def log_in(client: Client, name: str, password: str = PASSWORD, **more: str):
    return client.post(reverse("home"), {"name": name, "password": password, "next": "", **more})


@pytest.mark.parametrize("name", ["alice", NUMBER, "1 1981 8001 2345-678", " alice "])
def test_a_username_or_the_national_id_opens_the_account(name: str, world: World) -> None:
    client = Client()
    assert log_in(client, name).status_code == 302
    assert "Uwimana" in text_of(client, "/")


@pytest.mark.parametrize(
    "name, password", [("alice", "wrong"), ("nobody", PASSWORD), (OTHER_NUMBER + "9", PASSWORD), ("999", "999")]
)
def test_every_refused_login_says_the_same(name: str, password: str, world: World) -> None:
    page = log_in(Client(), name, password).content.decode()
    assert "This name and password do not fit together." in page


def test_a_closed_account_says_the_same_as_a_wrong_password(world: World) -> None:
    User.objects.filter(username="alice").update(is_active=False)
    assert "do not fit together" in log_in(Client(), "alice").content.decode()


def test_too_many_failures_close_the_name_for_a_while(world: World) -> None:
    client = Client()
    for _ in range(8):
        log_in(client, "alice", "wrong")
    answer = log_in(client, "alice")
    assert answer.status_code == 429
    assert "Wait a quarter of an hour" in answer.content.decode()
    assert log_in(client, "bob").status_code == 302  # the name is closed, not the house


def test_failures_are_counted_under_a_key_that_hides_the_name() -> None:
    who = credentials.visitor(typed_name=NUMBER, address="192.0.2.7")
    assert NUMBER not in who.name_key + who.address_key
    assert "192.0.2.7" not in who.name_key + who.address_key
    assert who.name_key == credentials.visitor(typed_name=f" {NUMBER} ", address="").name_key


def test_a_login_begins_a_new_session(world: World) -> None:
    client = Client()
    client.get("/")
    session = client.session
    session["planted"] = "yes"
    session.save()
    before = session.session_key
    log_in(client, "alice")
    assert client.session.session_key != before
    assert "planted" not in client.session


def test_login_failure_and_logout_are_audited(world: World) -> None:
    client = Client()
    log_in(client, "alice", "wrong")
    log_in(client, "alice")
    client.post(reverse("log_out"))
    events = AuditEvent.objects.filter(actor_id=world.alice.user.pk).order_by("seq")
    assert [(event.action, event.basis) for event in events] == [
        ("login_failed", "password"),
        ("login", "password"),
        ("logout", ""),
    ]


def test_after_logging_out_nothing_is_shown(world: World) -> None:
    client = Client()
    log_in(client, "alice")
    client.post(reverse("log_out"))
    assert client.get(reverse("own_history")).status_code == 302


def test_a_link_cannot_log_anybody_out(world: World) -> None:
    client = Client()
    log_in(client, "alice")
    assert client.get(reverse("log_out")).status_code == 405
    assert client.get(reverse("own_history")).status_code == 200


@pytest.mark.parametrize(
    "target, leads_to",
    [("/history/", "/history/"), ("https://evil.example/", "/"), ("//evil.example/", "/"), ("javascript:x", "/")],
)
def test_the_way_back_after_a_login_stays_on_this_site(target: str, leads_to: str, world: World) -> None:
    answer = log_in(Client(), "alice", next=target)
    assert answer.headers["Location"] == leads_to


def test_each_role_has_its_first_page(world: World) -> None:
    found = {name: log_in(Client(), name).headers["Location"] for name in ("alice", "doctor", "admin")}
    assert found == {"alice": "/", "doctor": "/patients/", "admin": "/admin/"}


# --- the second factor ------------------------------------------------------------------------------------------------


def code_of(device: TOTPDevice, *, shift: int = 0) -> str:
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = timezone.now().timestamp() + shift
    return f"{totp.token():06d}"


def test_a_device_asks_for_its_code_before_anything_is_shown(world: World) -> None:
    device = TOTPDevice.objects.create(user=world.alice.user, name="app", confirmed=True)
    client = Client()
    assert log_in(client, "alice").headers["Location"] == reverse("log_in_code")
    assert client.get(reverse("own_history")).status_code == 302
    wrong = client.post(reverse("log_in_code"), {"code": "000000"})
    assert "This code is not right" in wrong.content.decode()
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    client.post(reverse("log_in_code"), {"code": code_of(device)})
    assert client.get(reverse("own_history")).status_code == 200


def test_a_doctor_without_a_device_sets_one_up(world: World, settings) -> None:
    settings.REQUIRE_TOTP = True
    client = Client()
    assert log_in(client, "doctor").headers["Location"] == reverse("log_in_enrol")
    page = text_of(client, reverse("log_in_enrol"))
    assert "data:image/svg+xml" in page
    device = TOTPDevice.objects.get(user=world.doctor)
    page = client.post(reverse("log_in_enrol"), {"code": code_of(device)}).content.decode()
    assert len(recovery_codes_in(page)) == RecoveryCode.objects.count() == 8
    assert client.get(reverse("find_patient")).status_code == 200


def recovery_codes_in(page: str) -> list[str]:
    return re.findall(r"<li>([a-z2-7]{8})</li>", page)


def test_a_recovery_code_opens_the_account_once(world: World, settings) -> None:
    settings.REQUIRE_TOTP = True
    client = Client()
    log_in(client, "doctor")
    answer = client.post(reverse("log_in_enrol"), {"code": code_of(TOTPDevice.objects.get(user=world.doctor))})
    spare = recovery_codes_in(answer.content.decode())[0]
    client.post(reverse("log_out"))
    for expected in (302, 200):
        log_in(client, "doctor")
        assert client.post(reverse("log_in_code"), {"code": spare}).status_code == expected
        client.post(reverse("log_out"))


def test_a_session_without_the_code_is_none_where_the_code_is_required(world: World, settings) -> None:
    settings.REQUIRE_TOTP = True
    client = logged_in(world.doctor)  # as the admin's log-in page would
    assert client.get(reverse("find_patient")).status_code == 302
    assert client.get(reverse("patient_version", args=[world.alice.pk])).status_code == 403


# --- what the pages say -----------------------------------------------------------------------------------------------


def test_the_overview_says_what_matters(world: World) -> None:
    page = text_of(logged_in(world.alice.user), "/")
    for words in ("Penicillin", "Hypertension", "Metformin", "HbA1c", "critically high", "Blood pressure", "148/92"):
        assert words in page
    assert "Haemoglobin" not in page  # withdrawn


def test_the_overview_says_how_fresh_each_hospital_is(world: World) -> None:
    page = text_of(logged_in(world.alice.user), "/")
    assert "Up to date to" in page
    assert "Not reached since" in page
    assert "newer records may be missing" in page


def test_a_patient_with_nothing_reads_why(world: World) -> None:
    client = logged_in(world.bob.user)
    assert "No hospital has recorded an allergy. That does not mean that there is none." in text_of(client, "/")
    assert "not every hospital has been reached" in text_of(client, reverse("own_history"))
    world.elsewhere.breaker.delete()
    Hospital.objects.filter(pk=world.elsewhere.pk).update(state="retired")
    assert "No hospital has been found yet" in text_of(client, reverse("own_history"))
    Chart(patient=world.bob, hospital=world.district, now=world.now).save()
    assert "none has recorded anything" in text_of(client, reverse("own_history"))


def test_a_login_without_a_passport_reads_why(world: World) -> None:
    page = text_of(logged_in(make_account(username="new")), "/", status=403)
    assert "This login has no passport yet" in page


def test_a_held_match_is_said_without_saying_what_it_holds(world: World) -> None:
    Link.objects.filter(patient=world.alice, hospital=world.district).update(state=LinkState.HELD)
    page = text_of(logged_in(world.alice.user), "/")
    assert "Kigali District Hospital may hold more records" in page
    assert "HbA1c" not in page


def test_withdrawn_entries_are_hidden_until_asked_for(world: World) -> None:
    client = logged_in(world.alice.user)
    assert "Haemoglobin" not in text_of(client, reverse("own_history"))
    page = text_of(client, reverse("own_history") + "?status=all")
    assert "Haemoglobin" in page
    assert "The hospital has withdrawn this entry." in page


def test_a_qualifier_stands_with_what_it_qualifies(world: World) -> None:
    page = text_of(logged_in(world.alice.user), reverse("own_history") + "?q=malaria")
    assert "Severity: <b>without complications</b>" in page


@pytest.mark.parametrize(
    "query, shown, hidden",
    [
        ("category=medication", "Metformin", "HbA1c"),
        ("hospital=remera", "Malaria", "HbA1c"),
        ("q=GLUCOSE", "Fasting glucose", "HbA1c"),
        ("status=withdrawn", "Haemoglobin", "HbA1c"),
    ],
)
def test_each_filter_shows_what_it_says(query: str, shown: str, hidden: str, world: World) -> None:
    page = text_of(logged_in(world.alice.user), f"{reverse('own_history')}?{query}")
    assert shown in page
    assert hidden not in page


@pytest.mark.parametrize(
    "query",
    [
        "category=nonsense",
        "hospital=nowhere",
        "from=yesterday",
        "from=2024-02-31",
        "from=2024-03-01&to=2024-02-01",
        "status=no",
        "cursor=x",
        "cursor=LTE6eA",
        "q=" + "x" * 500,
        "q=%00",
    ],
)
def test_a_filter_that_cannot_be_read_is_a_sentence(query: str, world: World) -> None:
    page = text_of(logged_in(world.alice.user), f"{reverse('own_history')}?{query}", status=400)
    assert "cannot be read" in page or "damaged" in page
    assert "HbA1c" not in page


def test_nothing_found_is_not_nothing_recorded(world: World) -> None:
    page = text_of(logged_in(world.alice.user), reverse("own_history") + "?q=zzz")
    assert "Nothing fits these filters" in page


def test_filters_stay_in_the_address_of_the_older_page(world: World) -> None:
    chart = Chart(patient=world.bob, hospital=world.district, now=world.now)
    fill_with_many(chart, n_records=600)
    chart.save()
    page = text_of(logged_in(world.bob.user), reverse("own_history") + "?category=test&q=glucose")
    assert "?q=glucose&amp;category=test&amp;cursor=" in page or "?category=test&amp;q=glucose&amp;cursor=" in page


def test_every_entry_is_on_exactly_one_page(world: World) -> None:
    chart = Chart(patient=world.bob, hospital=world.district, now=world.now)
    fill_with_many(chart, n_records=600)
    fill_oddly(chart)
    chart.save()
    client, address, seen = logged_in(world.bob.user), reverse("own_history"), []
    while address:
        page = client.get(address)
        cards = page.context["cards"]
        seen += [line.url for card in cards for section in card.sections for line in section.lines] + [
            card.visit.key for card in cards if card.visit.visit_id
        ]
        address = page.context["older"]
    assert len(seen) == len(set(seen)) == len(chart.records)


def test_undated_entries_come_last_and_say_so(world: World) -> None:
    chart = Chart(patient=world.bob, hospital=world.district, now=world.now)
    fill_oddly(chart)
    chart.save()
    page = text_of(logged_in(world.bob.user), reverse("own_history"))
    assert page.index("Blood group") > page.index("Without a date") > page.index("Pain")


def test_markup_in_values_stays_text(world: World) -> None:
    chart = Chart(patient=world.bob, hospital=world.district, now=world.now)
    fill_oddly(chart)
    chart.save()
    for address in ("/", reverse("own_history")):
        page = text_of(logged_in(world.bob.user), address)
        assert "<script>alert" not in page
        assert "<b>bold" not in page


def test_a_record_says_where_it_came_from(world: World) -> None:
    page = text_of(logged_in(world.alice.user), reverse("own_record", args=[world.key(concept="HbA1c")]))
    for words in (
        "Kigali District Hospital",
        "table obs, row",
        "This hospital has a patient with the same National ID.",
        "Because the hospital&#x27;s dictionary calls it “Test”.",
        "4 to 6.5",
        "Fasting glucose",  # recorded together with it
    ):
        assert words in page


def test_an_entry_of_somebody_else_is_not_there(world: World) -> None:
    address = reverse("own_record", args=[world.key(concept="HbA1c")])
    page = text_of(logged_in(world.bob.user), address, status=404)
    assert "This entry is not in this record" in page


# --- the doctor's search ----------------------------------------------------------------------------------------------


def test_the_search_opens_the_record_under_our_own_id(world: World) -> None:
    answer = logged_in(world.doctor).post(reverse("find_patient"), {"national_id": "1 1981-8001 2345678"})
    assert answer.headers["Location"] == f"/patients/{world.alice.pk}/"


def test_an_unknown_number_and_one_without_a_right_look_the_same(world: World) -> None:
    client = logged_in(world.stranger)
    pages = [
        _without_tokens(client.post(reverse("find_patient"), {"national_id": number}).content.decode()).replace(
            number, ""
        )
        for number in (NUMBER, "1200080000000001")
    ]
    assert pages[0] == pages[1]
    assert "No record can be opened with this number." in pages[0]


def test_the_number_stands_in_no_address_and_no_title(world: World) -> None:
    client = logged_in(world.doctor)
    answer = client.post(reverse("find_patient"), {"national_id": NUMBER}, follow=True)
    assert NUMBER not in str(answer.redirect_chain)
    assert NUMBER not in answer.content.decode()


def test_who_looked_names_the_doctor_and_the_refused_try(world: World) -> None:
    logged_in(world.doctor).get(reverse("patient_overview", args=[world.alice.pk]))
    logged_in(world.stranger).get(reverse("patient_overview", args=[world.alice.pk]))
    page = text_of(logged_in(world.alice.user), reverse("who_looked"))
    assert "doctor, Kigali District Hospital</b> <span>opened your overview" in page
    assert "stranger, Kibagabaga</b> <span>was refused" in page


def test_every_look_is_audited_and_the_version_is_not(world: World) -> None:
    client = logged_in(world.doctor)
    for name in ("patient_overview", "patient_history", "patient_record", "patient_version"):
        client.get(address_of(name, world))
    actions = AuditEvent.objects.filter(actor_id=world.doctor.pk).order_by("seq").values_list("action", flat=True)
    assert list(actions) == ["overview_read", "visits_read", "record_read"]


def test_the_version_changes_with_what_may_be_shown(world: World) -> None:
    client = logged_in(world.alice.user)

    def version() -> str:
        return client.get(reverse("own_version")).json()["version"]

    first = version()
    assert version() == first
    chart = Chart(patient=world.alice, hospital=world.elsewhere, now=timezone.now())
    chart.add(concept="New", at=chart.moment(0, "08:00:00"))
    chart.save()
    second = version()
    Link.objects.filter(pk=chart.link.pk).update(state=LinkState.UNLINKED)
    assert len({first, second}) == 2
    assert version() == first


# --- qualities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["home", "own_history", "own_record", "who_looked"])
def test_the_number_of_queries_does_not_grow_with_the_history(
    name: str, world: World, django_assert_max_num_queries
) -> None:
    def n_queries() -> int:
        with django_assert_max_num_queries(45) as found:
            logged_in(world.alice.user).get(address_of(name, world))
        return len(found)

    before = n_queries()
    chart = Chart(patient=world.alice, hospital=world.elsewhere, now=world.now)
    fill_with_many(chart, n_records=400)
    chart.save()
    assert n_queries() == before


@pytest.mark.parametrize("name", EXPECTED)
def test_no_page_needs_what_the_policy_forbids(name: str, world: World) -> None:
    page = logged_in(world.alice.user).get(address_of(name, world))
    text = page.content.decode()
    for forbidden in ("<style", " style=", " onclick=", "javascript:", "http://", "https://"):
        assert forbidden not in text.replace("http://www.w3.org", "")
    assert page.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_an_error_is_a_page_with_a_next_step(status: int) -> None:
    from django.template.loader import render_to_string

    page = render_to_string(f"{status}.html")
    assert "Go to the start page" in page


def test_who_comes_back_to_a_button_after_logging_in_reads_that_it_was_not_pressed(world: World) -> None:
    page = reverse("invite")
    asked = Client().post(page, {"named": "Ange"})
    assert asked.status_code == 302  # to the door, since nobody is logged in any more
    answer = logged_in(world.alice.user).get(page)
    assert answer.status_code == 405
    assert "what you pressed was not carried out" in answer.content.decode()
    assert answer.headers["Allow"] == "POST"


def test_the_pages_are_part_of_the_site() -> None:
    assert reverse("home") == "/"
    assert get_resolver().resolve("/patients/").url_name == "find_patient"
