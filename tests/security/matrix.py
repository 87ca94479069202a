"""Who stands before the addresses, and every address that the site has.

The people: Alice, whose record it is; Bob, another patient; a carer of Alice; doctors with a care relationship, without
one, and with the glass broken; an admin; and three whose accounts were closed after they had logged in. What is written
about Alice is marked, so that an answer can be searched for it.
"""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from hospitals.models import ConnectionTest, Hospital, HospitalState, Location
from openmrs_sync.models import Alert, ConceptRule, ControlState, Inspection, ParkedRow, ReceiptDay, SyncRun
from passport.access import emergencies, proxies
from passport.api.tokens import issue
from passport.models import (
    AccessGrant,
    AuditEvent,
    CorrectionRequest,
    Doctor,
    Download,
    DownloadPart,
    EmergencyAccess,
    GlossaryTerm,
    Hide,
    Patient,
    PlaceholderNumber,
    Proxy,
    Record,
    RecoveryDevice,
    SensitiveConcept,
    Share,
    User,
)
from tests.records import Chart, make_account, make_hospital, make_patient, number

NUMBER, OTHER_NUMBER, UNKNOWN_NUMBER = "1198180012345678", "1199070098765432", "1198080055555555"
#: Where everybody calls from: not this machine, which may ask more.
ELSEWHERE = "198.51.100.7"
REASON = "Unconscious after an accident"
#: What is recorded about Alice. None of it stands anywhere but in her record.
RECORD_MARKS = ("Zyrtecol", "Quorbinase", "Dr Xanthippe", "Wardplace", "Vexillumab")
#: Who she is. Admins register patients and see it; a stranger does not.
PERSON_MARKS = ("Marikenamed", "Uwimarked", NUMBER, "alice@marked.example")

#: In the order of the table's columns.
ACTORS = ("anonymous", "own", "other", "carer", "relation", "stranger", "emergency", "admin")
#: Their accounts are closed: in every cell they are answered like the anonymous one.
GONE = ("gone_carer", "gone_doctor", "gone_admin")
#: To these Alice's record is open, on the page or over the API that is meant for them.
READERS = {"own", "carer", "relation", "emergency"}
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(slots=True)
class World:
    """Nobody in it is logged in by a password: the sessions and tokens are made, and then three accounts closed."""

    now: dt.datetime = field(default_factory=timezone.now)
    people: dict[str, User] = field(default_factory=dict)
    sessions: dict[str, Client] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    alice: Patient = field(init=False)
    bob: Patient = field(init=False)
    #: parameter of an address → what stands there
    values: dict[str, object] = field(default_factory=dict)
    #: model of the admin → a row of it
    rows: dict[str, object] = field(default_factory=dict)

    def client(self, actor: str, *, enforce_csrf_checks: bool = False) -> Client:
        client = Client(enforce_csrf_checks=enforce_csrf_checks, raise_request_exception=False)
        if actor in self.sessions:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[actor]
        return client

    def bearer(self, actor: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[actor]}"} if actor in self.tokens else {}

    def ask(self, actor: str, method: str, address: str, *, csrf: bool = False, **options: Any) -> Any:
        """The answer; with `csrf` as from another site, without the token that a form of ours carries."""
        client = self.client(actor, enforce_csrf_checks=csrf)
        if actor in self.people and address.endswith("/consultation/ask/"):
            # As if the hospitals were being asked: else threads ask them, and wait for what a test has not committed.
            cache.set(f"fresh-read:{self.people[actor].pk}:{self.alice.pk}:lock", 1)
        options = {"REMOTE_ADDR": ELSEWHERE} | options
        if address.startswith("/api/"):
            options = {"headers": self.bearer(actor), "content_type": "application/json"} | options
        return client.generic(method, address, **options)

    def address(self, template: str, **other: object) -> str:
        """An address of a template, with Alice's ids in it unless others are given."""
        return "/" + re.sub(r"<(\w+)>", lambda found: str((self.values | other)[found.group(1)]), template)


def body_of(answer: Any) -> str:
    """What was answered, files included."""
    return b"".join(answer).decode(errors="replace")


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is done within is taken back, and the throttles forget it."""
    # Not `atomic`: what must be committed by itself refuses to run inside a transaction that is not the test's own.
    before = transaction.savepoint()
    try:
        yield
    finally:
        transaction.set_rollback(False)
        transaction.savepoint_rollback(before)
        cache.clear()


def build() -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    world = World()
    now = world.now
    district = make_hospital(name="Kigali District Hospital", code="kigali", now=now)
    elsewhere = make_hospital(name="Kibagabaga", code="kibagabaga", now=now)
    # A live one would be asked over the network, by threads that wait for what a test has not committed.
    Hospital.objects.update(state=HospitalState.PAUSED)
    world.alice = make_patient(
        national_id=NUMBER, username="alice", given_name=PERSON_MARKS[0], family_name=PERSON_MARKS[1], now=now
    )
    Patient.objects.filter(pk=world.alice.pk).update(email=PERSON_MARKS[3])
    world.bob = make_patient(
        national_id=OTHER_NUMBER, username="bob", given_name="Bob", family_name="Stranger", now=now
    )
    key = _write_record(world, district)
    world.people = _people(world, district, elsewhere)
    world.values = _values(world, district, key)
    world.rows = _admin_rows(world, district, elsewhere)
    for name, user in world.people.items():
        client = Client()
        client.force_login(user)
        world.sessions[name] = client.cookies[settings.SESSION_COOKIE_NAME].value
        world.tokens[name] = issue(user=user, now=now, has_code=True).access
    User.objects.filter(pk__in=[world.people[name].pk for name in GONE]).update(is_active=False)
    return world


def _write_record(world: World, hospital: Hospital) -> str:
    chart = Chart(patient=world.alice, hospital=hospital, now=world.now)
    at = chart.moment(3, "10:00:00")
    visit = chart.visit(title=f"{RECORD_MARKS[3]} clinic", at=at, location=RECORD_MARKS[3])
    who: dict[str, Any] = {"provider": RECORD_MARKS[2], "location": RECORD_MARKS[3], "at": at, "visit_id": visit}
    found = chart.add(concept=RECORD_MARKS[0], **number(71.5, "kg"), **who)
    chart.add(concept="Diagnosis", value=RECORD_MARKS[1], category="condition", **who)
    chart.add(concept=RECORD_MARKS[4], value="daily", table="orders", category="medication", **who)
    chart.save()
    return found.key


def _people(world: World, district: Hospital, elsewhere: Hospital) -> dict[str, User]:
    people = {"own": world.alice.user, "other": world.bob.user}
    for name in ("relation", "gone_doctor"):
        people[name] = make_account(username=name, role="doctor", hospital=district)
    for name in ("stranger", "emergency"):
        people[name] = make_account(username=name, role="doctor", hospital=elsewhere)
    for name in ("carer", "gone_carer"):
        people[name] = make_account(username=name, first_name="Ange")
    for name in ("admin", "gone_admin"):
        people[name] = make_account(username=name, role="admin", is_superuser=True)
    ends_at = world.now + dt.timedelta(days=30)
    for name in ("carer", "gone_carer"):
        proxies.make_proxy(
            patient=world.alice,
            carer=people[name],
            kind="carer",
            reason="She asked for it",
            ends_at=ends_at,
            actor=people["admin"],
            now=world.now,
        )
    return {name: user for name, user in people.items() if user}


def _values(world: World, district: Hospital, key: str) -> dict[str, object]:
    """The ids in the addresses: all of them Alice's, or of what was done for or to her."""
    ends_at = world.now + dt.timedelta(days=30)
    grant = AccessGrant.objects.create(
        patient=world.alice, doctor=world.people["relation"], created_at=world.now, ends_at=ends_at
    )
    hide = Hide.objects.create(patient=world.alice, kind="category", category="allergy", created_at=world.now)
    opened = emergencies.break_glass(
        user=world.people["emergency"], reason=REASON, now=world.now, patient_id=world.alice.pk
    )
    share = Share.objects.create(
        patient=world.alice, token="t" * 43, key_sealed="x", created_at=world.now, ends_at=ends_at, categories=["test"]
    )
    return {
        "account_id": world.people["own"].pk,
        "token": share.token,
        "notice": "n" * 38,
        "share_id": share.pk,
        "download_id": _download(world),
        "ticket": "ticket",
        "secret": "secret",
        "kind": "csv",
        "key": key,
        "patient_id": world.alice.pk,
        "grant_id": grant.pk,
        "hide_id": hide.pk,
        "proxy_id": Proxy.objects.get(carer=world.people["carer"]).pk,
        "emergency_id": opened.pk,
        "request_id": _correction(world, district, key),
        "national_id": NUMBER,
        "hospital_id": district.pk,
        "content_type_id": ContentType.objects.get_for_model(Patient).pk,
        "app_label": "passport",
        "url": "nothing",
    }


def _download(world: World) -> UUID:
    """A copy of everything that waits for Alice to fetch it."""
    now = world.now
    content = " ".join((*RECORD_MARKS, *PERSON_MARKS)).encode()
    made = Download.objects.create(
        patient=world.alice, status="done", asked_at=now, alive_at=now, made_at=now, n_bytes=len(content)
    )
    DownloadPart.objects.create(download=made, number=0, content=content)
    return made.pk


def _correction(world: World, district: Hospital, key: str) -> UUID:
    """What Alice asked about another entry than the one in the addresses."""
    row = Record.objects.exclude(key=key).filter(patient_id=world.alice.pk, table="orders").get()
    return CorrectionRequest.objects.create(
        patient=world.alice,
        hospital=district,
        table=row.table,
        source_id=row.source_id,
        source_uuid=row.source_uuid,
        reason="wrong",
        words="The dose is wrong",
        asked_by=world.people["own"],
        asked_at=world.now,
        state_at=world.now,
        fingerprint="x",
        config_version=1,
        checked_at=world.now,
    ).pk


def _admin_rows(world: World, district: Hospital, elsewhere: Hospital) -> dict[str, object]:
    """A row of every model that has pages in admin."""
    now, alice = world.now, world.alice
    run = SyncRun.objects.create(hospital=district, trigger="schedule", status="ok", started_at=now, finished_at=now)
    link = alice.links.get()
    world.values["run_id"] = run.pk
    rows: dict[str, object] = {
        "hospitals_hospital": district.pk,
        "hospitals_location": Location.objects.create(
            hospital=district, location_id=1, uuid=str(uuid4()), name="Outpatients"
        ).pk,
        "hospitals_connectiontest": ConnectionTest.objects.create(hospital=district, at=now, is_ok=True, steps=[]).pk,
        "passport_auditevent": AuditEvent.objects.values_list("pk", flat=True)[0],
        "passport_accessgrant": world.values["grant_id"],
        "passport_proxy": world.values["proxy_id"],
        "passport_user": world.people["other"].pk,
        "passport_correctionrequest": world.values["request_id"],
        "passport_doctor": Doctor.objects.create(
            hospital=district, provider_uuid=str(uuid4()), name="Dr Somebody", created_at=now
        ).pk,
        "passport_emergencyaccess": EmergencyAccess.objects.get().pk,
        "passport_glossaryterm": GlossaryTerm.objects.create(
            concept_uuid="5089".ljust(36, "A"), language="fr", words="Poids", changed_at=now
        ).pk,
        "passport_patient": alice.pk,
        "passport_placeholdernumber": PlaceholderNumber.objects.create(number="ABC123").pk,
        "passport_sensitiveconcept": SensitiveConcept.objects.values_list("pk", flat=True)[0],
        "passport_link": link.pk,
        "openmrs_sync_syncrun": run.pk,
        "openmrs_sync_parkedrow": ParkedRow.objects.create(
            hospital=district, link=link, table="obs", source_id=7, reason="no_value", parked_at=now, tried_at=now
        ).pk,
        "openmrs_sync_conceptrule": ConceptRule.objects.create(concept_uuid="5089".ljust(36, "A"), category="vital").pk,
        "openmrs_sync_controlstate": ControlState.objects.create(
            is_running=True, interval_minutes=5, changed_at=now
        ).pk,
        "openmrs_sync_receiptday": ReceiptDay.objects.create(hospital=district, day=now.date(), read_at=now).pk,
        "openmrs_sync_inspection": Inspection.objects.create(
            hospital=district, kind="dry_run", asked_at=now, alive_at=now
        ).pk,
        "openmrs_sync_alert": Alert.objects.create(kind=Alert.Kind.values[0], hospital=elsewhere, began_at=now).pk,
        "otp_totp_totpdevice": TOTPDevice.objects.create(user=world.people["gone_carer"], name="app").pk,
        "passport_recoverydevice": RecoveryDevice.objects.create(user=world.people["gone_carer"], name="spare").pk,
    }
    return rows


# --- what each of them gets -------------------------------------------------------------------------------------------

#: address, method → the status for each of ACTORS. A method that is not named here is 405 for everybody on a page; over
#: the API, whoever may not come in at all is told so first. The rules for admin's pages stand in test_matrix.py.
TABLE = """
                                              GET   200 200 200 403 302 302 302 302
                                              POST  200 200 200 200 200 200 200 200
log-in/code/                                  GET   302 302 302 302 302 302 302 302
log-in/code/                                  POST  302 302 302 302 302 302 302 302
log-in/set-up/                                GET   302 302 302 302 302 302 302 302
log-in/set-up/                                POST  302 302 302 302 302 302 302 302
log-out/                                      POST  302 302 302 302 302 302 302 302
logged-out/                                   GET   200 200 200 200 200 200 200 200
language/                                     POST  302 302 302 302 302 302 302 302
claim/                                        GET   200 200 200 200 200 200 200 200
claim/                                        POST  200 200 200 200 200 200 200 200
claim/password/                               GET   302 302 302 302 302 302 302 302
claim/password/                               POST  302 302 302 302 302 302 302 302
forgotten/                                    GET   200 200 200 200 200 200 200 200
forgotten/                                    POST  200 200 200 200 200 200 200 200
reset/                                        GET   410 410 410 410 410 410 410 410
reset/                                        POST  410 410 410 410 410 410 410 410
reset/<account_id>/<token>/                   GET   302 302 302 302 302 302 302 302
account/                                      GET   302 200 200 200 200 200 200 200
account/password/                             GET   302 200 200 200 200 200 200 200
account/password/                             POST  302 200 200 200 200 200 200 200
account/codes/                                GET   302 200 200 200 200 200 200 200
account/codes/                                POST  302 200 200 200 200 200 200 200
account/codes/renew/                          GET   302 404 404 404 404 404 404 404
account/codes/renew/                          POST  302 404 404 404 404 404 404 404
account/logins/                               GET   302 200 200 200 200 200 200 200
account/logins/                               POST  302 302 302 302 302 302 302 302
account/contact/                              GET   302 200 200 200 200 200 200 200
account/contact/                              POST  302 200 200 200 200 200 200 200
account/address/<secret>/                     GET   302 302 302 302 302 302 302 302
account/notices/                              POST  302 302 302 302 302 302 302 302
n/<notice>/                                   GET   200 200 200 200 200 200 200 200
n/<notice>/                                   POST  200 200 200 200 200 200 200 200
account/consent/                              POST  302 302 302 404 404 404 404 404
history/                                      GET   302 200 200 403 403 403 403 403
records/<key>/                                GET   302 200 404 403 403 403 403 403
records/<key>/correction/                     GET   302 200 404 403 403 403 403 403
records/<key>/correction/                     POST  302 400 404 403 403 403 403 403
corrections/                                  GET   302 200 200 403 403 403 403 403
corrections/<request_id>/withdraw/            POST  302 302 302 403 403 403 403 403
results/                                      GET   302 200 200 403 403 403 403 403
results/<key>/                                GET   302 200 404 403 403 403 403 403
medicines/                                    GET   302 200 200 403 403 403 403 403
print/                                        GET   302 200 200 403 403 403 403 403
emergency-card/                               GET   302 200 200 403 403 403 403 403
emergency-card/                               POST  302 400 400 403 403 403 403 403
changed/                                      GET   403 200 200 403 403 403 403 403
who-looked/                                   GET   302 200 200 403 403 403 403 403
who-looked.<kind>                             GET   302 200 200 403 403 403 403 403
permissions/                                  GET   302 200 200 403 403 403 403 403
permissions/let-in/                           POST  302 400 400 403 403 403 403 403
permissions/let-in/<grant_id>/end/            POST  302 302 302 403 403 403 403 403
permissions/invite/                           POST  302 400 400 403 403 403 403 403
permissions/carers/<proxy_id>/                POST  302 302 302 403 403 403 403 403
permissions/carers/<proxy_id>/end/            POST  302 302 302 302 302 302 302 302
permissions/emergencies/<emergency_id>/seen/  POST  302 302 302 403 403 403 403 403
hidden/                                       GET   302 200 200 403 403 403 403 403
hidden/                                       POST  302 400 400 403 403 403 403 403
hidden/<hide_id>/end/                         POST  302 302 302 403 403 403 403 403
share/                                        GET   302 200 200 403 403 403 403 403
share/                                        POST  302 400 400 403 403 403 403 403
share/<share_id>/                             GET   302 302 302 403 403 403 403 403
share/<share_id>/end/                         POST  302 302 302 403 403 403 403 403
download/                                     GET   302 200 200 403 403 403 403 403
download/                                     POST  302 302 302 403 403 403 403 403
download/changed/                             GET   403 200 200 403 403 403 403 403
download/<download_id>/                       GET   302 200 302 403 403 403 403 403
s/<token>/                                    GET   200 200 200 200 200 200 200 200
s/<token>/manifest/                           POST  400 400 400 400 400 400 400 400
s/<token>/file/<ticket>/                      GET   404 404 404 404 404 404 404 404
people/                                       GET   302 200 200 200 200 200 200 200
people/                                       POST  302 400 400 400 400 400 400 400
emergency/                                    GET   302 403 403 403 200 200 200 403
emergency/                                    POST  302 403 403 403 200 200 200 403
emergency/<emergency_id>/                     GET   302 403 403 403 403 403 200 403
emergency/<emergency_id>/record/              GET   302 403 403 403 403 403 302 403
patients/                                     GET   302 403 403 403 200 200 200 200
patients/                                     POST  302 403 403 403 200 200 200 200
patients/<patient_id>/                        GET   302 200 403 200 200 403 200 403
patients/<patient_id>/history/                GET   302 200 403 200 200 403 200 403
patients/<patient_id>/records/<key>/          GET   302 200 403 200 200 403 200 403
patients/<patient_id>/records/<key>/correction/ GET  302 200 403 200 403 403 403 403
patients/<patient_id>/records/<key>/correction/ POST 302 400 403 400 403 403 403 403
patients/<patient_id>/corrections/            GET   302 200 403 200 403 403 403 403
patients/<patient_id>/corrections/<request_id>/withdraw/ POST 302 302 403 302 403 403 403 403
patients/<patient_id>/results/                GET   302 200 403 200 200 403 200 403
patients/<patient_id>/results/<key>/          GET   302 200 403 200 200 403 200 403
patients/<patient_id>/medicines/              GET   302 200 403 200 200 403 200 403
patients/<patient_id>/changed/                GET   403 200 403 200 200 403 200 403
patients/<patient_id>/consultation/           GET   302 403 403 403 200 403 200 403
patients/<patient_id>/consultation/ask/       POST  302 403 403 403 302 403 302 403
patients/<patient_id>/consultation/changed/   GET   403 403 403 403 200 403 200 403
patients/<patient_id>/who-looked.<kind>       GET   302 403 403 403 403 403 403 200
patients/<patient_id>/emergency/              GET   302 403 403 403 200 200 200 403
patients/<patient_id>/emergency/              POST  302 403 403 403 400 400 400 403
favicon.ico                                   GET   302 302 302 302 302 302 302 302
favicon.ico                                   else  302 302 302 302 302 302 302 302
health/live/                                  GET   200 200 200 200 200 200 200 200
health/ready/                                 GET   503 503 503 503 503 503 503 503
metrics/                                      GET   404 404 404 404 404 404 404 404
api/                                          GET   404 404 404 404 404 404 404 404
api/                                          else  404 404 404 404 404 404 404 404
api/auth/token/                               POST  400 400 400 400 400 400 400 400
api/auth/refresh/                             POST  400 400 400 400 400 400 400 400
api/auth/logout/                              POST  400 400 400 400 400 400 400 400
api/me/                                       GET   401 200 200 403 403 403 403 403
api/me/                                       else  401 405 405 405 405 405 405 405
api/me/records/                               GET   401 200 200 403 403 403 403 403
api/me/records/                               else  401 405 405 405 405 405 405 405
api/me/summary/                               GET   401 200 200 403 403 403 403 403
api/me/summary/                               else  401 405 405 405 405 405 405 405
api/me/fhir/                                  GET   401 200 200 403 403 403 403 403
api/me/fhir/                                  else  401 405 405 405 405 405 405 405
api/me/access/                                GET   401 200 200 403 403 403 403 403
api/me/access/                                else  401 405 405 405 405 405 405 405
api/patients/<national_id>/records/           GET   401 200 403 200 200 403 200 403
api/patients/<national_id>/records/           else  401 405 405 405 405 405 405 405
api/patients/<national_id>/summary/           GET   401 200 403 200 200 403 200 403
api/patients/<national_id>/summary/           else  401 405 405 405 405 405 405 405
api/patients/<national_id>/fhir/              GET   401 200 403 200 200 403 200 403
api/patients/<national_id>/fhir/              else  401 405 405 405 405 405 405 405
api/emergencies/                              POST  401 400 400 400 400 400 400 400
api/emergencies/                              else  401 405 405 405 405 405 405 405
api/openmrs-sync/initialize/                  POST  401 403 403 403 403 403 403 200
api/openmrs-sync/initialize/                  else  401 403 403 403 403 403 403 405
api/openmrs-sync/start/                       POST  401 403 403 403 403 403 403 200
api/openmrs-sync/start/                       else  401 403 403 403 403 403 403 405
api/openmrs-sync/stop/                        POST  401 403 403 403 403 403 403 200
api/openmrs-sync/stop/                        else  401 403 403 403 403 403 403 405
api/openmrs-sync/sync-all/                    POST  401 403 403 403 403 403 403 409
api/openmrs-sync/sync-all/                    else  401 403 403 403 403 403 403 405
api/openmrs-sync/sync-patient/<national_id>/  POST  401 403 403 403 200 200 200 200
api/openmrs-sync/sync-patient/<national_id>/  else  401 403 403 403 405 405 405 405
api/openmrs-sync/status/                      GET   401 403 403 403 403 403 403 200
api/openmrs-sync/status/                      else  401 403 403 403 403 403 403 405
api/openmrs-sync/runs/                        GET   401 403 403 403 403 403 403 200
api/openmrs-sync/runs/                        else  401 403 403 403 403 403 403 405
api/openmrs-sync/runs/<run_id>/               GET   401 403 403 403 403 403 403 200
api/openmrs-sync/runs/<run_id>/               else  401 403 403 403 403 403 403 405
api/schema/                                   GET   200 200 200 200 200 200 200 200
api/docs/                                     GET   200 200 200 200 200 200 200 200
"""
NOBODY_MAY = (405,) * len(ACTORS)


def expected() -> dict[str, dict[str, tuple[int, ...]]]:
    """address → method (or `else`) → the statuses in the order of ACTORS."""
    rows: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in TABLE.strip("\n").splitlines():
        head = line[: -4 * len(ACTORS)]  # an address longer than its column pushes the method, not the statuses
        *address, method = head.split()
        statuses = tuple(int(word) for word in line[len(head) :].split())
        assert len(statuses) == len(ACTORS), line
        assert method not in rows.setdefault("".join(address), {}), line
        rows["".join(address)][method] = statuses
    return rows


# --- every address ----------------------------------------------------------------------------------------------------


def _leaves(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    for one in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLPattern):
            yield route
        else:
            yield from _leaves(one.url_patterns, route)


def template_of(route: str) -> str:
    """A route of Django's resolver, path or regular expression, as `patients/<patient_id>/records/<key>/`.

    What ends with and without a slash is one address.
    """
    plain = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^)]*\))*\)", r"<\1>", route)
    plain = re.sub(r"<\w+:(\w+)>", r"<\1>", plain)
    plain = plain.replace("^", "").replace("$", "").replace("/?", "/")
    return plain if not plain or plain.endswith("/") or re.search(r"\.(\w+|<\w+>)$", plain) else f"{plain}/"


def templates() -> set[str]:
    """Every address that Django's resolver can reach."""
    return {template_of(route) for route in _leaves()}
