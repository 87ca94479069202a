"""From nothing to live on one page: settings, test, identifier types, dry run, live."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.models import ConnectionTest, Hospital, HospitalState
from openmrs_sync import tasks
from openmrs_sync.models import Inspection, SyncRun
from passport.models import AuditEvent, User
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def address(hospital: Hospital) -> str:
    return f"/admin/hospitals/hospital/{hospital.pk}/going-live/"


def page(alice: Client, hospital: Hospital) -> str:
    return " ".join(alice.get(address(hospital)).content.decode().split())


def press(alice: Client, hospital: Hospital, step: str, **fields: Any) -> str:
    """The page after the button, with what it says."""
    shown = alice.post(address(hospital), {"step": step, **fields}, follow=True).content.decode()
    hospital.refresh_from_db()
    return " ".join(shown.split())


def forward(alice: Client, hospital: Hospital) -> list[str]:
    """Which steps the buttons that lead on stand for."""
    buttons = re.findall(r"<button[^>]*sync-forward[^>]*>", page(alice, hospital))
    return [re.search(r'value="([a-z-]+)"', button)[1] for button in buttons]  # type: ignore[index]


def as_draft(site: Site, **fields: Any) -> Hospital:
    Hospital.objects.filter(pk=site.hospital.pk).update(
        **{"state": HospitalState.DRAFT, "national_id_types": [], **fields}
    )
    site.hospital.refresh_from_db()
    return site.hospital


def national_id_uuid(hospital: Hospital) -> str:
    test = ConnectionTest.objects.filter(hospital=hospital).latest("at")
    (uuid,) = [one["uuid"] for one in test.identifier_types if one["name"] == "National ID"]
    return str(uuid)


def after_test(name: str, *, is_ok: bool = True, **fields: Any) -> Hospital:
    hospital = Hospital.objects.create(code=name, number=9, name=name, host="h", database="d", username="u", **fields)
    result = "pass" if is_ok else "fail"
    ConnectionTest.objects.create(
        hospital=hospital, at=timezone.now(), is_ok=is_ok, steps=[{"name": "tcp", "result": result, "message": "so."}]
    )
    return hospital


def test_an_admin_takes_a_hospital_live_by_one_button_after_the_other(alice: Client, kigali: Site) -> None:
    person = kigali.add_holder("1199080012345678")
    kigali.pretend.add_obs(person, "weight", 60.0)
    hospital = as_draft(kigali)
    assert forward(alice, hospital) == ["test"]
    assert "The connection is good" in press(alice, hospital, "test")
    assert forward(alice, hospital) == ["types"]
    shown = press(alice, hospital, "types", types=[national_id_uuid(hospital)])
    assert "National ID: 1 of 1 values can be a National ID" in shown
    assert hospital.state == HospitalState.TESTED
    assert forward(alice, hospital) == ["dry-run"]
    assert "Waiting for the worker" in press(alice, hospital, "dry-run")
    assert forward(alice, hospital) == []
    tasks.inspect_one(str(Inspection.objects.get().pk))
    assert "Would link 1, hold 0, store 1, park 0, leave out 0" in page(alice, hospital)
    assert "Nobody here holds" not in page(alice, hospital)
    assert forward(alice, hospital) == ["live"]
    assert "The first run is queued" in press(alice, hospital, "live")
    assert hospital.state == HospitalState.LIVE
    run = SyncRun.objects.get()
    tasks.sync_one(str(hospital.pk), str(run.pk))
    assert "First run: ok, 1 persons, 1 records" in page(alice, hospital)
    assert list(
        AuditEvent.objects.filter(hospital_id=hospital.pk, actor_role="admin")
        .exclude(action__startswith="hospital_passed")
        .order_by("seq")
        .values_list("action", flat=True)
    ) == ["hospital_tested", "hospital_changed", "hospital_tested", "dry_run_requested", "hospital_resumed"]


def test_a_dry_run_that_finds_nobody_says_what_may_be_wrong(alice: Client, kigali: Site) -> None:
    kigali.add_holder("1199080012345678")
    hospital = as_draft(kigali)
    press(alice, hospital, "test")
    test = ConnectionTest.objects.filter(hospital=hospital).latest("at")
    (wrong,) = [one["uuid"] for one in test.identifier_types if one["name"] == "OpenMRS ID"]
    press(alice, hospital, "types", types=[wrong])
    press(alice, hospital, "dry-run")
    tasks.inspect_one(str(Inspection.objects.get().pk))
    shown = page(alice, hospital)
    assert "Would link 0, hold 0" in shown
    assert "Nobody here holds a passport by these numbers" in shown


def test_a_failed_test_says_what_to_do_and_does_not_lead_on(alice: Client, kigali: Site) -> None:
    hospital = as_draft(kigali, database="elsewhere")
    shown = press(alice, hospital, "test")
    assert "The connection failed" in shown
    assert "is-failed" in shown
    assert forward(alice, hospital) == ["test"]


@pytest.mark.parametrize("step", ["types", "dry-run", "live"])
def test_nothing_goes_on_before_the_test(alice: Client, step: str) -> None:
    hospital = Hospital.objects.create(code="a", number=1, name="A", host="h", database="d", username="u")
    press(alice, hospital, step, types=["x"])
    assert hospital.state == HospitalState.DRAFT
    assert not Inspection.objects.exists()


def test_it_does_not_go_live_after_a_test_that_failed(alice: Client) -> None:
    hospital = after_test("a", is_ok=False, state=HospitalState.TESTED, national_id_types=["National ID"])
    assert "cannot go live before a test" in press(alice, hospital, "live")
    assert hospital.state == HospitalState.TESTED


def test_it_does_not_go_live_without_a_type(alice: Client) -> None:
    hospital = after_test("a", state=HospitalState.TESTED, national_id_types=[])
    assert "cannot go live before the type" in press(alice, hospital, "live")
    assert hospital.state == HospitalState.TESTED


def test_a_type_chosen_since_the_test_is_looked_for_first(alice: Client) -> None:
    hospital = after_test("a", state=HospitalState.TESTED, national_id_types=["x"], national_id_type_uuids={"y": "u"})
    assert "cannot go live before the type" in press(alice, hospital, "live")
    assert hospital.state == HospitalState.TESTED


def test_a_type_that_the_hospital_does_not_have_is_not_chosen(alice: Client) -> None:
    hospital = after_test("a", state=HospitalState.TESTED)
    assert "Choose at least one type" in press(alice, hospital, "types", types=["made-up"])
    assert hospital.national_id_types == []


def test_settings_that_changed_since_the_test_are_tested_again(alice: Client) -> None:
    hospital = after_test("a", state=HospitalState.DRAFT, national_id_types=["National ID"])
    assert "The settings have changed since: test once more" in page(alice, hospital)
    assert forward(alice, hospital) == ["test"]


def test_a_dry_run_of_other_settings_does_not_count(alice: Client) -> None:
    found = {"national_id_types": ["x"], "national_id_type_uuids": {"x": "uuid of x"}}
    hospital = after_test("a", state=HospitalState.TESTED, config_version=2, **found)
    now = timezone.now()
    result = {"n_linked": 1, "n_held": 0, "n_stored": 2, "n_parked": 0, "n_excluded": 0, "seconds": 1}
    done = Inspection.objects.create(
        hospital=hospital, kind="dry_run", status="done", asked_at=now, alive_at=now, result=result, config_version=1
    )
    assert "The settings have changed since: run it again" in page(alice, hospital)
    assert forward(alice, hospital) == ["dry-run"]
    Inspection.objects.filter(pk=done.pk).update(config_version=2)
    assert forward(alice, hospital) == ["live"]


def test_a_hospital_that_went_live_before_is_left_alone(alice: Client) -> None:
    hospital = after_test("a", state=HospitalState.PAUSED, national_id_types=["x"])
    assert "went live before" in press(alice, hospital, "live")
    assert hospital.state == HospitalState.PAUSED


def test_who_may_not_change_hospitals_goes_no_step(alice: Client) -> None:
    hospital = after_test("a")
    assert alice.post(address(hospital), {"step": "made-up"}).status_code == 403
    assert Client().post(address(hospital), {"step": "test"}).status_code == 302


def test_a_new_hospital_is_led_there(alice: Client) -> None:
    hospital = Hospital.objects.create(code="a", number=1, name="A", host="h", database="d", username="u")
    assert address(hospital) in alice.get("/admin/").content.decode()
    assert address(hospital) in alice.get(f"/admin/hospitals/hospital/{hospital.pk}/change/").content.decode()
