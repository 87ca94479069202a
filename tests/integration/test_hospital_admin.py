"""Hospitals in the admin, as an admin uses them."""

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from hospitals.admin import HospitalAdmin, HospitalVerb
from hospitals.models import ConnectionTest, Hospital, HospitalState, Location
from hospitals.registry import HospitalRefused, HospitalSettings, create_hospital
from passport.models import AuditEvent, User
from passport.secrets import open_sealed, seal
from passport.views.session import ENTERED
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
PASSWORD = "tr0ub4dor&3"
ADD = "/admin/hospitals/hospital/add/"
LIST = "/admin/hospitals/hospital/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _private_servers_may_be_hospitals(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    settings.STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns without it


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("amina"))
    session = client.session
    session[ENTERED] = True  # as after our own door, which then need not be asked about devices
    session.save()
    return client


@pytest.fixture
def kigali() -> Hospital:
    wanted = HospitalSettings(
        code="kigali",
        name="Kigali",
        host="db.kigali.invalid",
        database="openmrs",
        username="passport",
        password=PASSWORD,
        national_id_types=("National ID", "NIDA"),
    )
    return create_hospital(wanted=wanted, actor=None, now=NOW)


def ready(hospital: Hospital) -> None:
    """As after a test that passed and found the types."""
    Hospital.objects.update(national_id_type_uuids={name: f"uuid of {name}" for name in hospital.national_id_types})
    ConnectionTest.objects.create(hospital=hospital, at=NOW, is_ok=True, steps=[])


def form(**changes: Any) -> dict[str, Any]:
    fields = {
        "code": "kigali",
        "name": "Kigali",
        "host": "db.kigali.invalid",
        "port": "3306",
        "database": "openmrs",
        "username": "passport",
        "password": "",
        "tls_mode": "verified",
        "tls_ca": "",
        "time_zone": "UTC",
        "languages": "en",
        "named_types": "National ID\nNIDA",
        "sync_interval_minutes": "",
        "sweep_hours": "24",
        "is_watched": "on",
    }
    return {**fields, **changes}


def page_of(hospital: Hospital) -> str:
    return reverse("admin:hospitals_hospital_change", args=[hospital.pk])


def do(client: Client, hospital: Hospital, verb: str) -> str:
    response = client.post(reverse("admin:hospitals_hospital_do", args=[hospital.pk, verb]), follow=True)
    return response.content.decode()


def with_types(hospital: Hospital, *types: dict[str, Any]) -> ConnectionTest:
    return ConnectionTest.objects.create(hospital=hospital, at=NOW, is_ok=False, steps=[], identifier_types=list(types))


def a_type(uuid: str, name: str, **changes: Any) -> dict[str, Any]:
    return {"uuid": uuid, "name": name, "is_retired": False, "n_live": 18021, "n_parsing": 17990, **changes}


def test_a_hospital_is_added_as_a_draft(admin: Client) -> None:
    response = admin.post(ADD, form(password=PASSWORD, time_zone="Africa/Kigali", languages="fr, en"))
    hospital = Hospital.objects.get()
    assert response.headers["Location"] == reverse("admin:hospitals_hospital_going_live", args=[hospital.pk])
    assert (hospital.state, hospital.number, hospital.code) == (HospitalState.DRAFT, 1, "kigali")
    assert (hospital.locales, hospital.national_id_types) == (["fr", "en"], ["National ID", "NIDA"])
    assert open_sealed(hospital.password_sealed) == PASSWORD
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.hospital_id) == ("hospital_created", hospital.pk)
    assert event.actor_id == User.objects.get().pk


def test_a_code_that_is_not_given_is_made_from_the_name(admin: Client) -> None:
    admin.post(ADD, form(code="", name="Hôpital de Kibuye, n° 2", password=PASSWORD))
    assert Hospital.objects.get().code == "hopital-de-kibuye-n-2"


@pytest.mark.parametrize("name, words", [("医院", "None can be made"), ("Kigali", "a hospital has that already")])
def test_where_no_code_can_be_made_it_is_asked_for(admin: Client, kigali: Hospital, name: str, words: str) -> None:
    response = admin.post(ADD, form(code="", name=name, password=PASSWORD))
    assert words in response.context["adminform"].form.errors["code"][0]
    assert Hospital.objects.count() == 1


def test_a_new_hospital_is_taken_to_keep_the_time_of_the_pages(admin: Client, settings: Any) -> None:
    settings.TIME_ZONE_DISPLAY = "Africa/Nairobi"
    assert admin.get(ADD).context["adminform"].form["time_zone"].value() == "Africa/Nairobi"


def test_what_can_wait_is_folded_for_a_new_hospital_alone(admin: Client, kigali: Hospital) -> None:
    assert admin.get(ADD).content.decode().count("<details>") == 3
    assert "<details>" not in admin.get(page_of(kigali)).content.decode().partition("hospital_form")[2]


def test_a_new_hospital_needs_its_password(admin: Client) -> None:
    response = admin.post(ADD, form())
    assert "needs its password" in response.content.decode()
    assert not Hospital.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "Kigali!"},
        {"host": "db.example:3306"},
        {"port": "0"},
        {"time_zone": "Kigali"},
        {"languages": "english language"},
        {"tls_ca": "no certificate"},
        {"password": "env:SECRET_KEY"},
    ],
)
def test_a_wrong_field_is_shown_at_the_field(admin: Client, changes: dict[str, str]) -> None:
    response = admin.post(ADD, form(**{"password": PASSWORD, **changes}))
    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) == set(changes)
    assert PASSWORD not in response.content.decode()
    assert not Hospital.objects.exists()


def test_the_password_is_never_on_the_page(admin: Client, kigali: Hospital) -> None:
    page = admin.get(page_of(kigali)).content.decode()
    assert PASSWORD not in page
    assert kigali.password_sealed not in page
    assert re.search(r'<input type="password" name="password"[^>]*>', page)


def test_saving_without_a_change_changes_nothing(admin: Client, kigali: Hospital) -> None:
    n_events = AuditEvent.objects.count()
    assert admin.post(page_of(kigali), form()).status_code == 302
    assert AuditEvent.objects.count() == n_events
    assert Hospital.objects.get().config_version == 1


def test_a_change_is_recorded_by_the_names_of_its_fields(admin: Client, kigali: Hospital) -> None:
    admin.post(page_of(kigali), form(name="CHUK", time_zone="Africa/Kigali"))
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.details) == ("hospital_changed", {"fields": ["name", "time_zone"]})
    kigali.refresh_from_db()
    assert (kigali.name, kigali.config_version) == ("CHUK", 2)
    assert open_sealed(kigali.password_sealed) == PASSWORD


@pytest.mark.parametrize("changes", [{"host": "h.invalid"}, {"port": "1"}, {"username": "u"}, {"tls_mode": "none"}])
def test_the_password_is_asked_for_again_where_it_would_go_elsewhere(
    admin: Client, kigali: Hospital, changes: dict[str, str]
) -> None:
    response = admin.post(page_of(kigali), form(**changes))
    assert "Give the password again" in response.content.decode()
    assert Hospital.objects.get().host == "db.kigali.invalid"
    assert admin.post(page_of(kigali), form(password="another one", **changes)).status_code == 302
    kigali.refresh_from_db()
    assert open_sealed(kigali.password_sealed) == "another one"


def test_the_code_stays_what_it_is(admin: Client, kigali: Hospital) -> None:
    admin.post(page_of(kigali), form(code="huye", name="Huye"))
    kigali.refresh_from_db()
    assert (kigali.code, kigali.name) == ("kigali", "Huye")


def test_types_that_a_test_found_are_picked_with_their_counts(admin: Client, kigali: Hospital) -> None:
    with_types(kigali, a_type("uuid-1", "National ID"), a_type("uuid-2", "Passport", is_retired=True))
    page = admin.get(page_of(kigali))
    assert "National ID (18,021 values, 17,990 can be a National ID)" in page.content.decode()
    chosen = page.context["adminform"].form
    assert chosen["found_types"].initial == ["uuid-1"]
    assert chosen["named_types"].initial == "NIDA"
    admin.post(page_of(kigali), form(found_types=["uuid-1"], named_types="NIDA"))
    assert Hospital.objects.get().config_version == 1  # the name stayed a name: nothing changed
    admin.post(page_of(kigali), form(found_types=["uuid-1", "uuid-2"], named_types=""))
    assert Hospital.objects.get().national_id_types == ["National ID", "uuid-2"]
    assert Hospital.objects.get().config_version == 2


def test_a_type_renamed_at_the_hospital_is_still_ticked(admin: Client, kigali: Hospital) -> None:
    Hospital.objects.update(national_id_type_uuids={"National ID": "uuid-1", "NIDA": "uuid-3"})
    with_types(kigali, a_type("uuid-1", "Old number"), a_type("uuid-2", "National ID"))
    assert admin.get(page_of(kigali)).context["adminform"].form["found_types"].initial == ["uuid-1"]


def test_a_test_is_shown_step_by_step_in_words(admin: Client, kigali: Hospital) -> None:
    page = do(admin, kigali, "test")
    assert "The connection failed at: name" in page
    assert re.search(r'name</th>\s*<td class="result"><span aria-hidden="true">✗</span> fail</td>', page)
    assert "Not tried" in page
    assert AuditEvent.objects.filter(action="hospital_tested", hospital_id=kigali.pk).count() == 1


def test_a_draft_cannot_go_live_before_its_test(admin: Client, kigali: Hospital) -> None:
    assert "/do/resume/" not in admin.get(page_of(kigali)).content.decode()
    assert "Test the connection first" in do(admin, kigali, "resume")
    kigali.refresh_from_db()
    assert kigali.state == HospitalState.DRAFT


@pytest.mark.parametrize(
    "before, verb, after, action",
    [
        ("tested", "resume", "live", "hospital_resumed"),
        ("paused", "resume", "live", "hospital_resumed"),
        ("live", "pause", "paused", "hospital_paused"),
        ("retired", "pause", "paused", "hospital_paused"),
        ("live", "retire", "retired", "hospital_retired"),
        ("draft", "retire", "retired", "hospital_retired"),
    ],
)
def test_a_hospital_moves_by_its_buttons(
    admin: Client, kigali: Hospital, before: str, verb: str, after: str, action: str
) -> None:
    Hospital.objects.update(state=before)
    ready(kigali)
    assert f"/do/{verb}/" in admin.get(page_of(kigali)).content.decode()
    do(admin, kigali, verb)
    kigali.refresh_from_db()
    assert kigali.state == after
    assert AuditEvent.objects.latest("seq").action == action


@pytest.mark.parametrize(
    "before, verb", [("retired", "resume"), ("draft", "pause"), ("paused", "pause"), ("retired", "retire")]
)
def test_other_moves_are_refused_with_a_sentence(admin: Client, kigali: Hospital, before: str, verb: str) -> None:
    Hospital.objects.update(state=before)
    assert 'class="error"' in do(admin, kigali, verb)
    kigali.refresh_from_db()
    assert kigali.state == before


def test_verbs_work_on_the_list_as_well(admin: Client, kigali: Hospital) -> None:
    Hospital.objects.update(state=HospitalState.LIVE)
    admin.post(LIST, {"action": "pause", "_selected_action": [str(kigali.pk)]})
    assert Hospital.objects.get().state == HospitalState.PAUSED


def test_another_app_can_add_a_verb(admin: Client, kigali: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    def dance(request: Any, hospital: Hospital) -> str:
        raise HospitalRefused("No music.")

    verbs = [*HospitalAdmin.verbs, HospitalVerb(name="dance", label="Dance", run=dance)]
    monkeypatch.setattr(HospitalAdmin, "verbs", verbs)
    assert ">Dance</button>" in admin.get(page_of(kigali)).content.decode()
    assert "Kigali: No music." in do(admin, kigali, "dance")
    assert 'value="dance"' in admin.get(LIST).content.decode()


def test_an_unknown_verb_or_hospital_is_not_found(admin: Client, kigali: Hospital) -> None:
    assert admin.post(f"{LIST}{kigali.pk}/do/explode/").status_code == 404
    assert admin.post(f"{LIST}nobody/do/test/").status_code == 404
    assert admin.get(f"{LIST}{kigali.pk}/do/test/").status_code == 405


def test_only_who_may_change_a_hospital_may_test_it(client: Client, kigali: Hospital) -> None:
    client.force_login(User.objects.create_user("charlie", is_staff=True))
    assert client.post(f"{LIST}{kigali.pk}/do/test/").status_code == 302
    assert client.get(page_of(kigali)).status_code == 302
    assert not ConnectionTest.objects.exists()


def test_a_hospital_cannot_be_deleted(admin: Client, kigali: Hospital) -> None:
    assert admin.post(f"{LIST}{kigali.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin.get(LIST).content.decode()
    assert Hospital.objects.exists()


def test_the_page_holds_the_grant_script_and_nothing_inline(admin: Client, kigali: Hospital) -> None:
    with_types(kigali, a_type("uuid-1", "National ID"))
    for address in (ADD, LIST, page_of(kigali)):
        page = admin.get(address).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert "GRANT SELECT ON `openmrs`.* TO" in admin.get(page_of(kigali)).content.decode()


def test_the_script_is_open_when_the_account_could_write(admin: Client, kigali: Hospital) -> None:
    assert '<details class="hospital-script">' in admin.get(page_of(kigali)).content.decode()
    steps = [{"name": "grants", "result": "fail", "message": "The account may INSERT."}]
    ConnectionTest.objects.create(hospital=kigali, at=NOW, is_ok=False, steps=steps)
    assert '<details class="hospital-script" open>' in admin.get(page_of(kigali)).content.decode()


def test_tests_and_locations_can_only_be_looked_at(admin: Client, kigali: Hospital) -> None:
    test = with_types(kigali, a_type("uuid-1", "National ID"))
    place = Location.objects.create(hospital=kigali, location_id=1, uuid="u", name="Ward")
    for kind, pk in (("connectiontest", test.pk), ("location", place.pk)):
        assert admin.get(f"/admin/hospitals/{kind}/").status_code == 200
        page = admin.get(f"/admin/hospitals/{kind}/{pk}/change/")
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert admin.get(f"/admin/hospitals/{kind}/add/").status_code == 403
        assert admin.post(f"/admin/hospitals/{kind}/{pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_list_costs_the_same_for_many_hospitals(
    admin: Client, kigali: Hospital, django_assert_num_queries: Any
) -> None:
    admin.get(LIST)
    with django_assert_num_queries(5):
        admin.get(LIST)
    for number in range(2, 12):
        Hospital.objects.create(number=number, code=f"h{number}", name=f"H{number}", password_sealed=seal("x"))
    with django_assert_num_queries(5):
        admin.get(LIST)


@pytest.mark.integration
def test_from_draft_to_live_by_the_admin_alone(admin: Client, mariadb: MariaDBServer) -> None:
    source = PretendHospital(mariadb, "admin_kigali", "2.6").create()
    source.grant_reader("admin_test", PASSWORD)
    source.add_person(national_id="1199080012345678")
    reach = {
        "host": "127.0.0.1",
        "port": str(mariadb.port),
        "database": "admin_kigali",
        "username": "admin_test",
        "tls_mode": "none",
    }
    admin.post(ADD, form(password=PASSWORD, named_types="", **reach))
    hospital = Hospital.objects.get()
    assert "The connection failed at: identifier_types" in do(admin, hospital, "test")
    admin.post(page_of(hospital), form(found_types=[source.national_id_type_uuid], named_types="", **reach))
    assert "The connection is good" in do(admin, hospital, "test")
    do(admin, hospital, "resume")
    hospital.refresh_from_db()
    assert hospital.state == HospitalState.LIVE
    assert hospital.national_id_types == [source.national_id_type_uuid]
