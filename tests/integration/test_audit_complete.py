"""Everything that is done leaves a row. A new address or admin page without a line here fails, until somebody says
which action it writes, or why it writes none; and what can be opened is opened, once with the audit and once without.
"""

# ruff: noqa: F811 - the world of the pages is a fixture, and comes by import

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db import DatabaseError
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync.models import ControlState, SyncRun
from passport.admin.audited import AuditedAdmin
from passport.api.tokens import issue
from passport.models import AuditEvent, Patient, User
from tests.integration.test_pages import EXPECTED, World, _ground, address_of, logged_in, world  # noqa: F401
from tests.parts import ROOT

pytestmark = pytest.mark.django_db

LISTS = "lists what our own code wrote, with no entry of a record"
FORM = "a form, or counts and settings; what it sends is written down by the address that takes it"
SAYS_NOTHING = "says nothing about anybody"

#: name of an address → the actions that it may write, or why it writes none
WRITES: dict[str, tuple[str, ...]] = {
    # pages
    "home": ("login", "login_failed", "overview_read"),
    "log_in_code": ("login", "login_failed"),
    "log_in_enrol": ("code_enrolled", "login_failed"),
    "log_out": ("logout",),
    "claim": ("claim_proved", "claim_refused"),
    "claim_password": ("passport_claimed",),
    "forgotten": ("password_reset_asked",),
    "reset_password": ("password_changed",),
    "account_password": ("password_changed", "password_not_confirmed"),
    "account_codes": ("code_enrolled", "password_not_confirmed"),
    "account_codes_renew": ("recovery_codes_renewed",),
    "account_logins": ("login_ended", "logins_ended"),
    "account_contact": ("contact_changed", "contact_change_asked"),
    "account_address": ("contact_changed",),
    "account_consent": ("consent_recorded", "consent_withdrawn"),
    "account_notices": ("notices_chosen", "notices_ended"),
    "stop_notices": ("notices_ended",),
    "own_history": ("visits_read",),
    "own_record": ("record_read",),
    "own_correction": ("record_read", "correction_asked"),
    "own_corrections": ("corrections_read",),
    "own_withdraw_correction": ("correction_withdrawn", "corrections_read"),
    "own_results": ("results_read",),
    "own_trend": ("results_read",),
    "own_medicines": ("medicines_read",),
    "share": ("shares_read", "share_made"),
    "share_made": ("shares_read",),
    "end_share": ("share_ended",),
    "shared_manifest": ("share_",),
    "print_record": ("record_printed",),
    "emergency_card": ("emergency_card_read", "share_made"),
    "download": ("downloads_read", "download_asked"),
    "download_file": ("download_fetched",),
    "who_looked": ("who_looked_read",),
    "who_looked_file": ("audit_exported",),
    "permissions": ("permissions_read",),
    "let_in": ("grant_made",),
    "end_grant": ("grant_ended",),
    "invite": ("proxy_invited",),
    "choose_sensitive": ("proxy_choice_changed",),
    "end_proxy": ("proxy_ended",),
    "emergency_seen": ("break_glass_seen",),
    "hidden": ("hide_added", "permissions_read"),
    "show_again": ("hide_removed",),
    "people": ("proxy_accepted", "proxy_code_refused"),
    "emergency": ("break_glass_opened", "break_glass_refused"),
    "emergency_record": ("overview_read",),
    "patient_emergency": ("break_glass_opened", "break_glass_refused"),
    "find_patient": ("patient_found",),
    "patient_overview": ("overview_read",),
    "patient_history": ("visits_read",),
    "patient_consultation": ("overview_read",),
    "patient_ask_hospitals": ("sync_patient", "sync_patient_done"),
    "patient_record": ("record_read",),
    "patient_correction": ("record_read", "correction_asked"),
    "patient_corrections": ("corrections_read",),
    "patient_withdraw_correction": ("correction_withdrawn", "corrections_read"),
    "patient_results": ("results_read",),
    "patient_trend": ("results_read",),
    "patient_medicines": ("medicines_read",),
    "patient_looks_file": ("audit_exported",),
    # API
    "api-token": ("login", "login_failed"),
    "api-refresh": ("refresh_token_reused",),
    "api-logout": ("logout",),
    "api-patient-records": ("records_read",),
    "api-patient-summary": ("overview_read",),
    "api-patient-fhir": ("fhir_exported",),
    "api-emergencies": ("break_glass_opened", "break_glass_refused"),
    "api-me": ("profile_read",),
    "api-me-records": ("records_read",),
    "api-me-summary": ("overview_read",),
    "api-me-fhir": ("fhir_exported",),
    "api-me-access": ("who_looked_read",),
    "openmrs-sync-initialize": ("hospital_created", "hospital_changed", "hospital_tested"),
    "openmrs-sync-start": ("sync_started",),
    "openmrs-sync-stop": ("sync_stopped",),
    "openmrs-sync-all": ("sync_requested",),
    "openmrs-sync-patient": ("sync_patient", "sync_patient_done", "sync_patient_refused"),
    # admin
    "admin:logout": ("logout",),
    "admin:hospitals_hospital_do": ("hospital_tested", "hospital_resumed", "hospital_paused", "hospital_retired"),
    "admin:hospitals_hospital_going_live": ("hospital_tested", "hospital_changed", "_requested", "hospital_resumed"),
    "admin:hospitals_hospital_unmatched_csv": ("unmatched_exported",),
    "admin:openmrs_sync_controlstate_do": ("sync_started", "sync_stopped", "sync_interval_set", "sync_requested"),
    "admin:openmrs_sync_certificate_csv": ("certificate_exported",),
    "admin:openmrs_sync_parkedrow_replay": ("parked_replayed",),
    "admin:openmrs_sync_parkedrow_replay_all": ("parked_replayed",),
    "admin:passport_link_undo": ("link_decision_undone",),
    "admin:passport_link_decide": ("link_decided_",),
    "admin:passport_glossaryterm_export": ("glossary_exported",),
    "admin:passport_glossaryterm_import": ("glossary_imported",),
    "admin:passport_sensitiveconcept_import": ("sensitive_concepts_imported",),
    "admin:passport_patient_standing": ("patient_erased", "death_recorded", "identifier_corrected"),
    "admin:otp_totp_totpdevice_config": ("code_devices_removed",),
    "admin:openmrs_sync_verify": ("_requested",),
    "admin:openmrs_sync_dry_run": ("_requested",),
    "admin:openmrs_sync_workbench_count": ("_requested",),
    "admin:openmrs_sync_workbench_decide": ("concept_rule_changed", "sync_requested"),
    "admin:openmrs_sync_workbench_undo": ("concept_rule_changed", "sync_requested"),
    "admin:openmrs_sync_workbench_import": ("concept_rule_changed", "sync_requested"),
    "admin:openmrs_sync_workbench_csv": ("concept_rules_exported",),
}
WRITES_NONE: dict[str, str] = {
    **dict.fromkeys(("schema", "api-docs", "api-nothing", "health-live", "health-ready", "metrics"), SAYS_NOTHING),
    **dict.fromkeys(("logged_out", "choose_language", "admin:jsi18n", "admin:login"), SAYS_NOTHING),
    **dict.fromkeys(("account", "emergency_opened", "admin:index", "admin:app_list"), FORM),
    **dict.fromkeys(("admin:password_change", "admin:password_change_done", "admin:view_on_site"), FORM),
    "reset_link": "moves the token out of the address; what is done with it is written by reset_password",
    "shared_page": "a form for whoever has the link; what it holds is written down by shared_manifest",
    "shared_file": "the second half of an answer that shared_manifest wrote down, for a minute",
    "download_version": "how far one's own copy is; whether one may ask is checked as on the page",
    "own_version": "a token that changes with what may be shown; whether one may read is checked as on the page",
    "patient_version": "the same for a doctor",
    "patient_consultation_version": "the same, with how far a fresh read is",
    "openmrs-sync-status": LISTS,
    "openmrs-sync-runs": LISTS,
    "openmrs-sync-run": LISTS,
    "admin:openmrs_sync_certificate": LISTS,
    "admin:openmrs_sync_part_version": LISTS,
    "admin:openmrs_sync_run_version": LISTS,
    "admin:hospitals_hospital_unmatched": "counts by reason; the list itself is written down by its sheet",
    "admin:openmrs_sync_workbench": LISTS,
    "admin:openmrs_sync_workbench_version": LISTS,
    "admin:openmrs_sync_verify_version": LISTS,
    "admin:openmrs_sync_dry_run_version": LISTS,
    "admin:passport_sensitiveconcept_export": "a list of concepts, of nobody",
    "admin:autocomplete": "names of hospitals and accounts for a form",
    "admin:otp_totp_totpdevice_qrcode": "refused: the secrets of others are hidden (OTP_ADMIN_HIDE_SENSITIVE_DATA)",
}
#: Model admins that write their rows themselves, by the verbs of the packages → the action
ADMIN_VERBS = {
    "hospitals.Hospital": ("hospital_created", "hospital_changed"),
    "openmrs_sync.ConceptRule": ("concept_rule_changed",),
    "passport.Proxy": ("proxy_ended", "proxy_made"),
    "passport.Doctor": ("claim_made", "claim_undone"),
    "passport.CorrectionRequest": ("correction_answered", "correction_declined", "corrections_exported"),
    "passport.EmergencyAccess": ("break_glass_reviewed",),
}


@cache
def words_of_the_code() -> frozenset[str]:
    """Every text that stands in our packages, parts of f-strings included."""
    return frozenset(
        node.value
        for package in ("passport", "hospitals", "openmrs_sync")
        for path in Path(ROOT, package).rglob("*.py")
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def addresses(patterns: Any = None, prefix: str = "") -> set[str]:
    """Every named address of the site; of a model's admin pages only those beyond Django's own five."""
    found: set[str] = set()
    for one in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(one, URLResolver):
            found |= addresses(one.url_patterns, f"{prefix}{one.namespace}:" if one.namespace else prefix)
        elif isinstance(one, URLPattern) and one.name:
            found.add(f"{prefix}{one.name}")
    usual = ("_changelist", "_add", "_change", "_delete", "_history")
    return {name for name in found if not (name.startswith("admin:") and name.endswith(usual))}


def test_every_address_says_what_it_writes_or_why_it_writes_nothing() -> None:
    assert not set(WRITES) & set(WRITES_NONE)
    named = set(WRITES) | set(WRITES_NONE)
    missing = sorted(addresses() - named)
    assert not missing, f"Name their audit action in WRITES, or the reason in WRITES_NONE: {missing}"
    optional = {"admin:password_change"}
    assert sorted(named - addresses() - optional) == []


def test_every_action_of_the_table_is_one_that_the_code_writes() -> None:
    actions = {action for actions in (*WRITES.values(), *ADMIN_VERBS.values()) for action in actions}
    assert sorted(actions - words_of_the_code()) == []


def test_every_admin_page_that_can_change_something_writes_it_down(boss: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = boss
    assert admin.site._registry[Hospital].has_change_permission(request)
    silent = [
        model._meta.label
        for model, page in admin.site._registry.items()
        if (
            page.has_add_permission(request)
            or page.has_change_permission(request)
            or page.has_delete_permission(request)
        )
        and not isinstance(page, AuditedAdmin)
        and model._meta.label not in ADMIN_VERBS
    ]
    assert not silent, f"Make them an AuditedAdmin, or name the verb that writes in ADMIN_VERBS: {silent}"


def reader_of(name: str, world: World) -> User | None:
    """Somebody who gets this page."""
    users = [world.alice.user, world.bob.user, world.doctor, world.stranger, world.admin]
    return next((user for user, status in zip(users, EXPECTED[name], strict=True) if status == 200), None)


READ = [
    name
    for name, actions in WRITES.items()
    if name in EXPECTED and 200 in EXPECTED[name] and actions[0].endswith(("_read", "_exported"))
] + ["home"]


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_writes_its_row(name: str, world: World) -> None:
    user = reader_of(name, world)
    before = AuditEvent.objects.count()
    assert logged_in(user).get(address_of(name, world)).status_code == 200
    written = AuditEvent.objects.filter(seq__gt=before, actor_id=user.pk).values_list("action", flat=True)
    assert set(written) & set(WRITES[name])


@pytest.fixture
def boss(world: World) -> User:
    """An administrator as `create_account` makes them."""
    world.admin.is_staff = world.admin.is_superuser = True
    world.admin.save(update_fields=["is_staff", "is_superuser"])
    return world.admin


@pytest.fixture
def no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no audit row can be written."""

    def fail(*_: Any, **__: Any) -> str:
        raise DatabaseError("disk full")

    monkeypatch.setattr("passport.audit.hash_of", fail)


def quiet(client: Client) -> Client:
    """One that gets the answer a browser would get."""
    client.raise_request_exception = False
    return client


def token(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(user=user, now=timezone.now(), has_code=True).access}"}


@pytest.mark.parametrize("name", READ)
def test_what_cannot_be_written_down_is_not_shown(name: str, world: World, no_audit: None) -> None:
    """T57"""
    answer = quiet(logged_in(reader_of(name, world))).get(address_of(name, world))
    assert answer.status_code == 500
    shown = answer.content.decode()
    assert not any(secret in shown for secret in (world.alice.family_name, "HbA1c", world.doctor.username))


@pytest.mark.parametrize("path", ["me", "me/records", "me/summary", "me/fhir", "me/access"])
def test_nor_over_the_api(path: str, world: World, no_audit: None) -> None:
    """T57"""
    answer = quiet(Client()).get(f"/api/{path}/", headers=token(world.alice.user))
    assert answer.status_code == 500
    assert set(answer.json()) == {"type", "title", "status", "detail"}


def test_what_cannot_be_written_down_is_not_done(world: World, boss: User, no_audit: None) -> None:
    """T57"""
    browser = quiet(logged_in(boss))
    kigali = f"/admin/hospitals/hospital/{world.district.pk}/"
    state = world.district.state
    for address, body in (
        ("/admin/openmrs_sync/controlstate/do/stop/", {}),
        ("/admin/openmrs_sync/controlstate/do/interval/", {"interval_minutes": 7}),
        (f"{kigali}do/pause/", {}),
        ("/admin/passport/placeholdernumber/add/", {"number": "ABC123"}),
    ):
        assert browser.post(address, body).status_code == 500, address
    api = quiet(Client())
    for name in ("start", "stop", "sync-all"):
        assert api.post(f"/api/openmrs-sync/{name}", headers=token(world.admin)).status_code == 500
    world.district.refresh_from_db()
    assert world.district.state == state
    assert not ControlState.objects.exists()
    assert not SyncRun.objects.exists()


def test_nobody_gets_in_when_it_cannot_be_written_down(world: World, no_audit: None) -> None:
    """T57: neither with a right password nor with a wrong one."""
    for password in ("correct horse battery staple", "wrong"):
        world.alice.user.set_password("correct horse battery staple")
        world.alice.user.save()
        client = quiet(Client())
        answer = client.post("/", {"name": "alice", "username": "alice", "password": password})
        assert answer.status_code in {200, 500}
        assert "sessionid" not in client.cookies or not client.cookies["sessionid"].value
        assert "access" not in str(
            quiet(Client()).post("/api/auth/token/", {"username": "alice", "password": password}).content
        )


def test_every_event_of_the_tests_about_patients_names_a_patient_that_is_there(world: World) -> None:
    logged_in(world.doctor).get(address_of("patient_overview", world))
    ids = set(AuditEvent.objects.exclude(patient_id=None).values_list("patient_id", flat=True))
    assert ids <= set(Patient.objects.values_list("pk", flat=True))
