"""The sync in the admin: the start page, decisions, replay, rules, start and stop."""

import ast
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from hospitals.models import Hospital, HospitalState
from openmrs_sync import control, words
from openmrs_sync.models import Breaker, ConceptRule, ParkedRow, SyncRun
from passport.models import AuditEvent, Link, LinkDecision, Patient, User
from tests.parts import ROOT

pytestmark = pytest.mark.django_db

NUMBER, NAME = "1199080012345678", "Uwimana"


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


@pytest.fixture
def hospital() -> Hospital:
    return Hospital.objects.create(
        code="kigali", number=1, name="Kigali", host="h", database="d", username="u", state=HospitalState.LIVE
    )


def link(hospital: Hospital, *, person_id: int = 1, **fields: Any) -> Link:
    now = timezone.now()
    patient = Patient.objects.create(family_name=NAME, sex="F", created_at=now)
    values = {"state": "held", "reason": "sex_differs", "person_uuid": f"uuid-{person_id}"}
    return Link.objects.create(
        hospital=hospital,
        person_id=person_id,
        patient=patient,
        created_at=now,
        state_changed_at=now,
        **{**values, **fields},
    )


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))


# --- the start page ---------------------------------------------------------------------------------------------------


def test_the_start_page_of_an_empty_passport_says_what_to_do(alice: Client) -> None:
    page = alice.get("/admin/").content.decode()
    assert "No hospital yet" in page
    assert "The worker is not running" in page


def test_the_start_page_says_of_each_hospital_how_it_stands(alice: Client, hospital: Hospital) -> None:
    now = timezone.now()
    Breaker.objects.create(hospital=hospital, last_error_kind="unreachable", last_success_at=now, state="open")
    link(hospital, state="linked", n_source=9, n_stored=7, n_parked=1, n_unexplained=1)
    link(hospital, person_id=2)
    page = alice.get("/admin/").content.decode()
    assert "the hospital&#x27;s server does not answer" in page
    assert "1 held" in page
    assert "1 unexplained" in page
    assert f"/admin/hospitals/hospital/{hospital.pk}/do/sync/" in page
    assert NAME not in page


def test_the_start_page_carries_no_script_or_style_of_its_own(alice: Client, hospital: Hospital) -> None:
    page = alice.get("/admin/").content.decode()
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page


def test_the_start_pages_queries_grow_with_hospitals_only_by_a_little(
    alice: Client, hospital: Hospital, django_assert_max_num_queries: Any
) -> None:
    for n in range(2, 6):
        link(hospital, person_id=n, state="linked")
    with django_assert_max_num_queries(25):
        alice.get("/admin/")


def test_start_stop_and_interval_are_buttons(alice: Client) -> None:
    alice.post("/admin/openmrs_sync/controlstate/do/stop/")
    assert control.read_control().is_running is False
    alice.post("/admin/openmrs_sync/controlstate/do/start/")
    alice.post("/admin/openmrs_sync/controlstate/do/interval/", {"interval_minutes": "3"})
    assert control.read_control() == control.Control(is_running=True, interval_minutes=3)
    assert actions() == ["sync_stopped", "sync_started", "sync_interval_set"]


@pytest.mark.parametrize("minutes", ["0", "-1", "1.5", "x", "", "1000000000"])
def test_nonsense_for_an_interval_changes_nothing(alice: Client, minutes: str) -> None:
    before = control.read_control()
    page = alice.post("/admin/openmrs_sync/controlstate/do/interval/", {"interval_minutes": minutes}, follow=True)
    assert "Not changed" in page.content.decode()
    assert control.read_control() == before


def test_verbs_need_a_post_and_the_right(alice: Client, hospital: Hospital) -> None:
    assert alice.get("/admin/openmrs_sync/controlstate/do/stop/").status_code == 405
    bob = Client()
    bob.force_login(User.objects.create_user("bob", password="long enough", is_staff=True))
    held = link(hospital)
    for verb in ("openmrs_sync/controlstate/do/stop/", f"passport/link/{held.pk}/decide/"):
        answer = bob.post(f"/admin/{verb}", {})
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize("verb,is_full", [("sync", False), ("full-sync", True)])
def test_sync_now_queues_a_run(alice: Client, hospital: Hospital, verb: str, is_full: bool) -> None:
    alice.post(f"/admin/hospitals/hospital/{hospital.pk}/do/{verb}/")
    run = SyncRun.objects.get()
    assert (run.status, run.trigger, run.is_full) == ("queued", "admin", is_full)
    assert OrmQ.objects.count() == 1
    again = alice.post(f"/admin/hospitals/hospital/{hospital.pk}/do/{verb}/", follow=True)
    assert "under way already" in again.content.decode()


@pytest.mark.parametrize("verb", ["accept-source", "accept-changes"])
def test_what_was_not_stopped_cannot_be_accepted(alice: Client, hospital: Hospital, verb: str) -> None:
    page = alice.post(f"/admin/hospitals/hospital/{hospital.pk}/do/{verb}/", follow=True).content.decode()
    assert "There is nothing to accept" in page
    hospital.refresh_from_db()
    assert hospital.epoch == 1


@pytest.mark.parametrize("kind,verb", [("source_replaced", "accept-source"), ("would_erase", "accept-changes")])
def test_what_stopped_a_hospital_can_be_accepted_on_its_page_alone(
    alice: Client, hospital: Hospital, kind: str, verb: str
) -> None:
    address = f"/admin/hospitals/hospital/{hospital.pk}/change/"
    breaker = Breaker.objects.create(hospital=hospital, last_error_kind="unreachable", state="open")
    assert "/do/accept-" not in alice.get(address).content.decode()
    breaker.last_error_kind = kind
    breaker.save(update_fields=["last_error_kind"])
    page = alice.get(address).content.decode()
    assert page.count("/do/accept-") == 1
    assert f"/do/{verb}/" in page
    assert words.error_kind(kind) in page
    assert "accept-" not in alice.get("/admin/hospitals/hospital/").content.decode()


# --- links ------------------------------------------------------------------------------------------------------------


def test_held_links_come_first_and_show_no_name(alice: Client, hospital: Hospital) -> None:
    held = link(hospital)
    newer = link(hospital, person_id=2, state="linked", reason="national_id")
    page = alice.get("/admin/passport/link/").content.decode()
    assert page.index(str(held.pk)) < page.index(str(newer.pk))
    assert "one of the two is recorded as male, the other as female" in page
    assert NAME not in page
    assert NAME not in alice.get(f"/admin/passport/link/{held.pk}/change/").content.decode()


def test_links_are_narrowed_by_why_in_words(alice: Client, hospital: Hospital) -> None:
    held, other = link(hospital), link(hospital, person_id=2, state="ended", reason="person_gone")
    page = alice.get("/admin/passport/link/?reason=person_gone").content.decode()
    assert (str(held.pk) in page, str(other.pk) in page) == (False, True)
    assert "Why: <strong>" in page
    assert words.LINK_REASONS["sex_differs"] in page  # among the choices


def test_the_cells_of_a_list_carry_their_headings(alice: Client, hospital: Hospital) -> None:
    link(hospital, n_source=9, n_stored=7, n_parked=1, n_unexplained=-1, refreshed_at=timezone.now())
    page = alice.get("/admin/passport/link/").content.decode()
    assert '<td data-label="Rows stored" class="field-figures">7 of 9, 1 parked, -1 unexplained</td>' in page


def reasons_in_the_code() -> set[str]:
    """Every word that the engine gives as a link's reason, as it stands in the modules that set one."""
    found = {"decided_same", "decided_different"}  # put together from the verdict
    for name in ("links", "refresh", "looks", "identity", "matcher", "pipeline"):
        for node in ast.walk(ast.parse((ROOT / f"openmrs_sync/{name}.py").read_text())):
            if isinstance(node, ast.keyword) and node.arg == "reason":
                values = [node.value]
            elif isinstance(node, ast.FunctionDef) and node.name == "_contradiction":
                values = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
            else:
                continue
            found |= {value.value for value in values if isinstance(value, ast.Constant)} - {""}
    return found


def test_every_reason_in_the_code_has_its_word() -> None:
    assert {"person_gone", "crowded_number", "source_replaced", "decision_undone"} <= reasons_in_the_code()
    assert reasons_in_the_code() == set(words.LINK_REASONS)


@pytest.mark.parametrize("verdict,state", [("same", "linked"), ("different", "unlinked")])
def test_a_decision_takes_effect_and_can_be_undone(alice: Client, hospital: Hospital, verdict: str, state: str) -> None:
    held = link(hospital)
    body = {"patient": str(held.patient_id), "verdict": verdict, "note": "asked at the ward"}
    alice.post(f"/admin/passport/link/{held.pk}/decide/", body)
    held.refresh_from_db()
    decision = LinkDecision.objects.get()
    assert (held.state, decision.verdict, decision.note) == (state, verdict, "asked at the ward")
    alice.post(f"/admin/passport/link/{held.pk}/undo/{decision.pk}/")
    held.refresh_from_db()
    decision.refresh_from_db()
    assert held.state == "held"
    assert decision.undone_at is not None
    assert actions() == [f"link_decided_{verdict}", "link_decision_undone"]


def test_a_decision_for_a_patient_who_is_no_candidate_is_refused(alice: Client, hospital: Hospital) -> None:
    held = link(hospital)
    stranger = Patient.objects.create(created_at=timezone.now())
    alice.post(f"/admin/passport/link/{held.pk}/decide/", {"patient": str(stranger.pk), "verdict": "same"})
    assert not LinkDecision.objects.exists()


# --- parked rows, runs, rules -----------------------------------------------------------------------------------------


def test_replay_marks_the_persons_as_urgent_and_queues_a_run(alice: Client, hospital: Hospital) -> None:
    at, linked = timezone.now(), link(hospital, state="linked")
    row = ParkedRow.objects.create(
        hospital=hospital, link=linked, table="obs", source_id=3, reason="no_value", parked_at=at, tried_at=at
    )
    before = linked.marks
    alice.post("/admin/openmrs_sync/parkedrow/", {"action": "replay", "_selected_action": [row.pk]})
    linked.refresh_from_db()
    assert (linked.marks, linked.is_urgent) == (before + 1, True)
    assert SyncRun.objects.get().status == "queued"
    assert "parked_replayed" in actions()


def test_runs_can_be_narrowed_to_errors(alice: Client, hospital: Hospital) -> None:
    for status in ("ok", "failed"):
        SyncRun.objects.create(hospital=hospital, trigger="schedule", status=status, started_at=timezone.now())
    page = alice.get("/admin/openmrs_sync/syncrun/?errors=true").content.decode()
    assert "1 run" in page or "1 sync run" in page
    assert alice.get("/admin/openmrs_sync/syncrun/add/").status_code == 403


def test_a_concept_rule_makes_the_links_it_touches_stale(alice: Client, hospital: Hospital) -> None:
    other = Hospital.objects.create(code="b", number=2, name="B", host="h", database="d", username="u")
    body = {"hospital": str(hospital.pk), "concept_uuid": " 5089AAA ", "category": "vital", "note": ""}
    assert alice.post("/admin/openmrs_sync/conceptrule/add/", body).status_code == 302
    rule = ConceptRule.objects.get()
    assert rule.concept_uuid == "5089AAA"
    assert versions() == {"kigali": 2, "b": 1}
    everywhere = {**body, "hospital": ""}
    alice.post(f"/admin/openmrs_sync/conceptrule/{rule.pk}/change/", everywhere)
    assert versions() == {"kigali": 3, "b": 2}
    alice.post(f"/admin/openmrs_sync/conceptrule/{rule.pk}/delete/", {"post": "yes"})
    assert versions() == {"kigali": 4, "b": 3}
    assert actions().count("concept_rule_changed") == 3
    assert other.code == "b"


def versions() -> dict[str, int]:
    return dict(Hospital.objects.values_list("code", "config_version"))


# --- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Schedule, Success, Failure, OrmQ])
def test_the_queues_own_pages_are_not_in_the_admin(model: Any) -> None:
    assert not admin.site.is_registered(model)
