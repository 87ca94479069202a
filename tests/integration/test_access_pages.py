"""Permissions, hidden entries and emergencies on the pages, over the API and in admin, through Django's test client."""

import ast
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from openmrs_sync import tasks
from openmrs_sync.api import patient_refresh
from passport.access import emergencies, proxies
from passport.api import tokens
from passport.models import (
    AccessGrant,
    AuditEvent,
    Doctor,
    EmergencyAccess,
    Hide,
    Patient,
    Proxy,
    Record,
    SensitiveConcept,
    User,
)
from tests.parts import ROOT
from tests.records import Chart, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NUMBER, UNKNOWN = "1199780012345678", "1199070098765432"
REASON = "Unconscious after an accident"
SECRET = "Syphilis test"
VIRAL_LOAD = "856".ljust(36, "A")


class World:
    """Alice has an entry at each of two hospitals; Bob works at the first, Charlie at a third."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.here = make_hospital(name="Ruhengeri", code="here", now=self.now)
        self.there = make_hospital(name="Butare", code="there", now=self.now)
        third = make_hospital(name="Kibungo", code="third", now=self.now)
        self.alice: Patient = make_patient(national_id=NUMBER, now=self.now, username="alice")
        for hospital, names in ((self.here, ["HbA1c", SECRET]), (self.there, ["Weight"])):
            chart = Chart(patient=self.alice, hospital=hospital, now=self.now)
            for name in names:
                chart.add(concept=name, value="7", at=chart.moment(3, "10:00:00"))
            chart.save()
        self.bob = make_account(username="bob", role="doctor", hospital=self.here, first_name="Bob", last_name="Gatera")
        self.charlie = make_account(username="charlie", role="doctor", hospital=third)
        self.carer = make_account(username="carer", first_name="Ange")
        self.admin = make_account(username="admin", role="admin", is_superuser=True)

    def browser(self, who: str) -> Client:
        client = Client()
        client.force_login(User.objects.get(username=who))
        return client

    def key(self, concept: str) -> str:
        return Record.objects.get(concept=concept).key

    def record_pages(self) -> list[str]:
        names = ("patient_overview", "patient_history")
        return [reverse(name, args=[self.alice.pk]) for name in names]


@pytest.fixture
def world(settings: Any) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    return World()


def said(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content[:300]
    return answer.content.decode()


# --- the only door ----------------------------------------------------------------------------------------------------


def imports(path: Path) -> set[str]:
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_records_are_read_behind_the_door_and_by_the_engine_only() -> None:
    """What shows records asks passport.history, which asks for a scope, which passport.access alone makes."""
    allowed = {"access", "history", "models", "migrations"}
    wrong = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "passport").rglob("*.py"))
        if path.relative_to(ROOT / "passport").parts[0] not in allowed
        if {"passport.models.Record", "passport.models.record.Record"} & imports(path)
    ]
    assert [path for path in wrong if path not in READS_RECORDS] == []


#: Files that may, and why.
READS_RECORDS = {
    "passport/erasure.py": "what an admin decides about a whole passport: deletion by law takes the records with it",
    "passport/corrections/asking.py": "names what its scope gave it",
    "passport/corrections/checking.py": "compares a row with what it was when a correction was asked; shows nothing",
}


def test_a_scope_is_made_by_the_door_only() -> None:
    makers = re.compile(r"\b(Scope|scope_for)\(|\brecords_of\(|\breplace\(\s*\w*scope")
    wrong = [
        str(path.relative_to(ROOT))
        for package in ("passport", "openmrs_sync", "hospitals")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "passport/access/" not in path.as_posix() and makers.search(path.read_text())
    ]
    assert [path for path in wrong if path not in MAKES_A_SCOPE] == []


#: Files that may, and why.
MAKES_A_SCOPE = {
    "passport/sharing/content.py": "leaves out more of a share's scope: what the patient did not choose",
    "passport/sharing/package.py": "the patient's own download, made by a worker after their own page asked for it",
    "passport/corrections/checking.py": "whether the row changed that a correction was asked for; shows nothing",
    "passport/notices/news.py": "whether there is anything new for the patient themselves; shows nothing",
    "passport/views/chart.py": "its `records_of` lists what an overview shows already",
    "passport/views/record.py": "calls that one",
}


# --- permissions ------------------------------------------------------------------------------------------------------


def test_a_patient_lets_a_doctor_in_and_out_again(world: World) -> None:
    alice, charlie = world.browser("alice"), world.browser("charlie")
    address = reverse("patient_overview", args=[world.alice.pk])
    said(charlie, address, 403)
    form = {"let-hospital": "third", "let-doctor": "charlie", "let-term": "week"}
    assert alice.post(reverse("let_in"), form).status_code == 302
    assert "charlie" in said(alice, reverse("permissions"))
    assert "because the patient let you in" in said(charlie, address)
    grant = AccessGrant.objects.get()
    assert alice.post(reverse("end_grant", args=[grant.pk])).status_code == 302
    said(charlie, address, 403)


def test_the_page_says_the_same_for_a_doctor_who_is_there_and_one_who_is_not(world: World) -> None:
    pages = []
    for name in ("charlie", "nobody1"):
        alice = world.browser("alice")
        answer = alice.post(
            reverse("let_in"), {"let-hospital": "third", "let-doctor": name, "let-term": "week"}, follow=True
        )
        pages.append(re.sub(r'value="[^"]*"|grants?/[^/"]*|let-in/[^/"]*', "", answer.content.decode()))
        AccessGrant.objects.all().delete()
    assert pages[0].replace("charlie", "X") == pages[1].replace("nobody1", "X")


@pytest.mark.parametrize("form", [{}, {"let-hospital": "nowhere"}, {"let-hospital": "third", "let-term": "for ever"}])
def test_a_wrong_form_is_said_in_a_sentence_and_changes_nothing(world: World, form: dict[str, str]) -> None:
    answer = world.browser("alice").post(reverse("let_in"), form)
    assert answer.status_code == 400
    assert "Choose one from the list" in answer.content.decode() or "required" in answer.content.decode()
    assert not AccessGrant.objects.exists()


@pytest.mark.parametrize("name", ["end_grant", "choose_sensitive", "end_proxy", "emergency_seen", "show_again"])
@pytest.mark.parametrize("who", ["other", "bob", "admin"])
def test_nobody_changes_what_is_another_patients(world: World, name: str, who: str) -> None:
    if who == "other":
        make_patient(national_id=UNKNOWN, now=world.now, username="other")
    later = world.now + dt.timedelta(days=1)
    times: dict[str, Any] = {"patient": world.alice, "created_at": world.now}
    made: dict[str, Any] = {
        "end_grant": AccessGrant.objects.create(**times, doctor=world.charlie, ends_at=later),
        "end_proxy": Proxy.objects.create(**times, carer=world.carer, ends_at=later),
        "emergency_seen": EmergencyAccess.objects.create(**times, doctor=world.charlie, reason=REASON, ends_at=later),
        "show_again": Hide.objects.create(**times, kind="category", category="test"),
    }
    made["choose_sensitive"] = made["end_proxy"]
    if (name, who) == ("end_proxy", "admin"):
        return  # an admin may end it
    before = {each: type(row).objects.filter(pk=row.pk).values().get() for each, row in made.items()}
    world.browser(who).post(reverse(name, args=[made[name].pk]), {"sensitive": ["hiv"]})
    assert {each: type(row).objects.filter(pk=row.pk).values().get() for each, row in made.items()} == before


def test_a_carer_comes_in_by_a_code_reads_and_leaves(world: World) -> None:
    alice, carer = world.browser("alice"), world.browser("carer")
    form = {"invite-named": "My sister", "invite-term": "quarter"}
    page = alice.post(reverse("invite"), form, follow=True).content.decode()
    found = re.search(r"[A-Z2-9]{4}(-[A-Z2-9]{4}){2}", page)
    assert found
    assert found[0] not in said(alice, reverse("permissions"))  # shown once
    assert carer.post(reverse("people"), {"code": "AAAA-AAAA-AAAA"}).status_code == 400
    assert carer.post(reverse("people"), {"code": found[0]}).status_code == 302
    assert "Claudine" in said(carer, reverse("people"))
    for address in world.record_pages():
        assert "HbA1c" in said(carer, address)
    assert "Ange" in said(alice, reverse("permissions"))
    said(carer, reverse("patient_emergency", args=[world.alice.pk]), 403)
    proxy = Proxy.objects.get()
    assert carer.post(reverse("end_proxy", args=[proxy.pk]), {"from": "people"}).url == reverse("people")
    said(carer, world.record_pages()[0], 403)


def test_codes_cannot_be_tried_without_end(world: World) -> None:
    assert world.alice.user is not None
    _proxy, code = proxies.invite(
        patient=world.alice,
        actor=world.alice.user,
        named="x",
        ends_at=world.now + dt.timedelta(days=9),
        sensitive=[],
        now=world.now,
    )
    carer = world.browser("carer")
    for _ in range(10):
        carer.post(reverse("people"), {"code": "AAAA-AAAA-AAAA"})
    assert carer.post(reverse("people"), {"code": code}).status_code == 400
    assert not Proxy.objects.filter(carer=world.carer).exists()


def test_a_login_without_a_passport_is_shown_the_way_to_those_it_reads_for(world: World) -> None:
    Proxy.objects.create(
        patient=world.alice, carer=world.carer, created_at=world.now, ends_at=world.now + dt.timedelta(days=1)
    )
    assert reverse("people") in said(world.browser("carer"), reverse("home"), 403)


# --- hidden -----------------------------------------------------------------------------------------------------------


def test_a_patient_keeps_one_entry_back_and_the_doctor_is_told_no_more_than_that(world: World) -> None:
    alice, bob = world.browser("alice"), world.browser("bob")
    key = world.key(SECRET)
    assert "chosen not to show" not in said(bob, world.record_pages()[0])
    assert alice.post(reverse("hidden"), {"kind": "record", "what": key}).status_code == 302
    assert SECRET in said(alice, reverse("hidden"))
    assert "kept from doctors" in said(alice, reverse("own_history"))
    for address in [*world.record_pages(), f"{world.record_pages()[1]}?q=syphilis"]:
        page = said(bob, address)
        assert SECRET not in page
        assert "chosen not to show some entries" in page
    said(bob, reverse("patient_record", args=[world.alice.pk, key]), 404)
    assert alice.post(reverse("show_again", args=[Hide.objects.get().pk])).status_code == 302
    assert SECRET in said(bob, world.record_pages()[1])


def test_a_hidden_hospital_is_in_no_filter_list_and_in_no_freshness(world: World) -> None:
    alice, bob = world.browser("alice"), world.browser("bob")
    assert "Butare" in said(bob, world.record_pages()[1])
    assert alice.post(reverse("hidden"), {"kind": "hospital", "what": "there"}).status_code == 302
    for address in world.record_pages():
        assert "Butare" not in said(bob, address)
    assert "Butare" in said(alice, reverse("own_history"))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "record", "what": "000101o0000000000"},
        {"kind": "hospital", "what": "third"},
        {"kind": "category", "what": "everything"},
        {"kind": "sensitive", "what": "x"},
        {"kind": "all", "what": "x"},
    ],
)
def test_what_is_not_there_cannot_be_kept_back(world: World, form: dict[str, str]) -> None:
    assert world.browser("alice").post(reverse("hidden"), form).status_code == 400
    assert not Hide.objects.exists()


# --- emergencies ------------------------------------------------------------------------------------------------------


def test_a_doctor_breaks_the_glass_from_the_search_and_the_patient_is_told(world: World) -> None:
    Hide.objects.create(patient=world.alice, kind="category", category="test", created_at=world.now)
    charlie = world.browser("charlie")
    refused = charlie.post(reverse("find_patient"), {"national_id": NUMBER})
    assert refused.status_code == 403
    assert reverse("emergency") in refused.content.decode()
    asked = charlie.post(reverse("emergency"), {"national_id": NUMBER})
    assert NUMBER in asked.content.decode()
    # what the patient will read, word for word as below
    assert "charlie, Kibungo opened your record and said that it was an emergency" in asked.content.decode()
    opened = charlie.post(reverse("emergency"), {"national_id": NUMBER, "reason": REASON})
    assert opened.status_code == 302
    page = said(charlie, opened.url)
    assert "If somebody holds a passport" in page
    assert charlie.get(f"{opened.url}record/").url == reverse("patient_overview", args=[world.alice.pk])
    history = said(charlie, world.record_pages()[1])
    assert SECRET in history
    assert "kept from doctors" in history
    assert "Emergency: open to you until" in history
    assert "60 minutes left." in history
    assert AuditEvent.objects.filter(basis="break_glass", actor_id=world.charlie.pk).count() == 3
    alice = world.browser("alice")
    for address in (reverse("home"), reverse("permissions")):
        told = said(alice, address)
        assert REASON in told
        assert "charlie, Kibungo" in told
    assert "opened your record in an emergency" in said(alice, reverse("who_looked"))
    alice.post(reverse("emergency_seen", args=[EmergencyAccess.objects.get().pk]))
    assert REASON not in said(alice, reverse("home"))
    assert REASON in said(alice, reverse("permissions"))


def test_the_cursor_stands_where_the_doctor_types(world: World) -> None:
    charlie = world.browser("charlie")

    def focused(page: str) -> list[str]:
        return re.findall(r'<(?:input|textarea)[^>]*name="([a-z_]+)"[^>]*autofocus', page)

    assert focused(charlie.get(reverse("find_patient")).content.decode()) == ["national_id"]
    assert focused(charlie.get(reverse("emergency")).content.decode()) == ["national_id"]
    from_search = charlie.post(reverse("emergency"), {"national_id": NUMBER}).content.decode()
    assert focused(from_search) == ["reason"]


def test_until_the_record_is_asked_for_an_unknown_number_is_answered_like_a_known_one(world: World) -> None:
    pages: list[list[str]] = []
    for number in (NUMBER, UNKNOWN):
        charlie = world.browser("charlie")
        search = charlie.post(reverse("find_patient"), {"national_id": number})
        opened = charlie.post(reverse("emergency"), {"national_id": number, "reason": REASON})
        assert (search.status_code, opened.status_code) == (403, 302)
        both = [search.content.decode(), said(charlie, opened.url)]
        pages.append(
            [re.sub(rf'{number}|[0-9a-f-]{{36}}|value="[^"]*"|[0-9]{{2}}:[0-9]{{2}}', "", each) for each in both]
        )
        EmergencyAccess.objects.update(ends_at=world.now)
    assert pages[0] == pages[1]


def test_for_an_unknown_number_there_is_nothing_to_open(world: World) -> None:
    charlie = world.browser("charlie")
    opened = charlie.post(reverse("emergency"), {"national_id": UNKNOWN, "reason": REASON})
    assert charlie.get(f"{opened.url}record/").status_code == 403


def test_an_emergency_is_its_doctors_alone(world: World) -> None:
    opened = world.browser("charlie").post(reverse("emergency"), {"national_id": NUMBER, "reason": REASON})
    for who in ("bob", "alice", "admin"):
        said(world.browser(who), opened.url, 403)
        said(world.browser(who), f"{opened.url}record/", 403)


@pytest.mark.parametrize("form", [{"reason": "too short"}, {"reason": ""}, {"reason": "." * 40}])
def test_a_reason_is_asked_for_in_words(world: World, form: dict[str, str]) -> None:
    answer = world.browser("charlie").post(reverse("emergency"), {"national_id": NUMBER, **form})
    assert answer.status_code == 400
    assert "Say what the emergency is" in answer.content.decode()
    assert not EmergencyAccess.objects.exists()


def test_from_an_open_record_the_doctor_goes_on_to_what_is_kept_back(world: World) -> None:
    Hide.objects.create(patient=world.alice, kind="category", category="test", created_at=world.now)
    bob, address = world.browser("bob"), reverse("patient_emergency", args=[world.alice.pk])
    assert address in said(bob, world.record_pages()[0])
    assert bob.post(address, {"reason": REASON}).status_code == 302
    assert SECRET in said(bob, world.record_pages()[1])


def test_the_tick_has_the_patient_written_to(world: World, settings: Any) -> None:
    emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    assert tasks.tell_emergencies() == {"n_told": 0}
    Patient.objects.update(email="alice@example.org")
    assert tasks.tell_emergencies() == {"n_told": 1}
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]


# --- the API ----------------------------------------------------------------------------------------------------------


def api(world: World, who: str, path: str, body: dict[str, Any] | None = None) -> Any:
    token = tokens.issue(user=User.objects.get(username=who), now=timezone.now()).access
    headers = {"Authorization": f"Bearer {token}"}
    if body is None:
        return Client().get(path, headers=headers)
    return Client().post(path, body, content_type="application/json", headers=headers)


def test_the_api_leaves_out_what_is_kept_back_and_says_so_in_a_header(world: World) -> None:
    path = f"/api/patients/{NUMBER}/records/"
    before = api(world, "bob", path)
    assert "Record-Partial" not in before.headers
    Hide.objects.create(
        patient=world.alice,
        kind="record",
        table="obs",
        source_uuid=Record.objects.get(concept=SECRET).source_uuid,
        created_at=world.now,
    )
    after = api(world, "bob", path)
    assert {each["concept"] for each in after.json()["results"]} == {"HbA1c", "Weight"}
    assert SECRET not in after.content.decode()
    assert after.headers["Record-Partial"] == "true"
    assert set(after.json()) == set(before.json())
    assert SECRET in api(world, "alice", "/api/me/records/").content.decode()


def test_a_doctor_breaks_the_glass_over_the_api_alike_for_a_known_and_an_unknown_number(world: World) -> None:
    answers = [
        api(world, "charlie", "/api/emergencies/", {"national_id": number, "reason": REASON})
        for number in (NUMBER, UNKNOWN)
    ]
    assert [each.status_code for each in answers] == [202, 202]
    assert [set(each.json()) for each in answers] == [{"id", "until"}] * 2
    assert api(world, "charlie", f"/api/patients/{NUMBER}/records/").status_code == 200
    assert api(world, "charlie", f"/api/patients/{UNKNOWN}/records/").status_code == 403


@pytest.mark.parametrize(
    "who, body, status",
    [
        ("bob", {"national_id": NUMBER, "reason": "short"}, 400),
        ("bob", {"national_id": NUMBER, "reason": "." * 20}, 400),
        ("bob", {"reason": REASON}, 400),
        ("alice", {"national_id": NUMBER, "reason": REASON}, 403),
        ("admin", {"national_id": NUMBER, "reason": REASON}, 403),
    ],
)
def test_over_the_api_too_it_takes_a_doctor_and_a_reason(
    world: World, who: str, body: dict[str, str], status: int
) -> None:
    assert api(world, who, "/api/emergencies/", body).status_code == status
    assert not EmergencyAccess.objects.exists()


def test_a_fresh_read_tells_nothing_of_a_hidden_hospital_and_counts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def refresh(*, hospital: Any, patient: Any, **_: Any) -> patient_refresh.HospitalAnswer:
        asked[hospital.code] = patient
        return patient_refresh.HospitalAnswer(hospital=hospital.code, status="ok", n_created=3)

    monkeypatch.setattr(patient_refresh, "_refresh", refresh)
    assert world.alice.user is not None
    Hide.objects.create(patient=world.alice, kind="hospital", hospital=world.there, created_at=world.now)
    answer = api(world, "bob", f"/api/openmrs-sync/sync-patient/{NUMBER}", {})
    # The hidden one is asked for a patient whom nobody has: its answer, and how long it takes, tell nothing.
    assert not Patient.objects.filter(pk=asked.pop("there").pk).exists()
    assert asked == {"here": world.alice, "third": world.alice}
    assert {each["n_created"] for each in answer.json()["hospitals"]} == {0}


# --- admin ------------------------------------------------------------------------------------------------------------


def test_an_admin_makes_a_guardian_with_a_reason_and_ends_it(world: World) -> None:
    admin, carer = world.browser("admin"), world.browser("carer")
    end = world.now + dt.timedelta(days=300)
    form = {
        "patient": str(world.alice.pk),
        "carer": str(world.carer.pk),
        "kind": "guardian",
        "ends_at_0": f"{end:%Y-%m-%d}",
        "ends_at_1": "10:00:00",
    }
    add = reverse("admin:passport_proxy_add")
    assert "at least ten" in admin.post(add, {**form, "reason": "mother"}).content.decode()
    opened = {**form, "reason": "mother, birth certificate seen", "sensitive": ["hiv"]}
    assert "Patients choose on their own pages" in admin.post(add, opened).content.decode()
    assert admin.post(add, {**form, "reason": "mother, birth certificate seen"}).status_code == 302
    assert "you are this person&#x27;s guardian" in said(carer, world.record_pages()[0])
    proxy = Proxy.objects.get()
    assert "Sensitive subjects" not in said(admin, reverse("admin:passport_proxy_change", args=[proxy.pk]))
    action = {"action": "end", "_selected_action": [str(proxy.pk)]}
    admin.post(reverse("admin:passport_proxy_changelist"), action)
    said(carer, world.record_pages()[0], 403)
    assert [e.action for e in AuditEvent.objects.filter(action__startswith="proxy").order_by("seq")] == [
        "proxy_made",
        "proxy_ended",
    ]


def test_an_officer_reviews_an_emergency_in_admin(world: World) -> None:
    made = emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    emergencies.break_glass(user=world.charlie, national_id=UNKNOWN, reason=REASON, now=timezone.now())
    said(world.browser("charlie"), world.record_pages()[0])
    admin, address = world.browser("admin"), reverse("admin:passport_emergencyaccess_change", args=[made.pk])
    listed = said(admin, reverse("admin:passport_emergencyaccess_changelist") + "?review=open")
    assert "nobody holds the number" in listed
    page = said(admin, address)
    assert "opened the overview" in page
    unheld = EmergencyAccess.objects.get(patient=None)
    told = said(admin, reverse("admin:passport_emergencyaccess_change", args=[unheld.pk]))
    assert "nobody: no passport has this number" in told
    assert "1 emergency to review" not in said(admin, reverse("admin:index"))  # there are two
    assert "2 emergencies to review" in said(admin, reverse("admin:index"))
    assert "Claudine" not in page
    assert "Choose an outcome" in admin.post(address, {"outcome": ""}).content.decode()
    answer = admin.post(address, {"outcome": "justified", "review_note": "The ward confirms it."})
    assert answer.status_code == 302
    made.refresh_from_db()
    assert (made.outcome, made.reviewed_by) == ("justified", world.admin)
    assert "1 emergency to review" in said(admin, reverse("admin:index"))
    assert "still to review" in said(admin, reverse("admin:passport_emergencyaccess_changelist"))


@pytest.mark.parametrize(
    "outcome, told, in_the_list",
    [
        ("justified", "It was in order, and nothing more follows.", "An administrator: it was in order"),
        ("unclear", "The doctor is being asked", "it is not clear yet whether it was in order"),
        ("not_justified", "It was not in order. They follow it up", "it was not in order; it is followed up"),
    ],
)
def test_the_patient_reads_what_the_review_of_an_emergency_found(
    outcome: str, told: str, in_the_list: str, world: World
) -> None:
    made = emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    alice, seen = world.browser("alice"), reverse("emergency_seen", args=[made.pk])
    assert "A data protection officer has still to look at this" in said(alice, reverse("home"))
    alice.post(seen)
    assert REASON not in said(alice, reverse("home"))
    note = "The ward never heard of it."
    emergencies.review(emergency=made, actor=world.admin, outcome=outcome, note=note, now=timezone.now())
    for address in (reverse("home"), reverse("permissions")):
        page = said(alice, address)
        assert told in page
        assert f'name="outcome" value="{outcome}"' in page
        assert note not in page
    listed = said(alice, reverse("who_looked"))
    assert in_the_list in listed
    assert note not in listed
    assert in_the_list.rpartition(": ")[2] in said(alice, reverse("who_looked_file", args=["csv"]))
    alice.post(seen, {"outcome": outcome})
    assert told not in said(alice, reverse("home"))
    assert told in said(alice, reverse("permissions"))


def test_an_outcome_that_came_while_the_patient_read_is_still_told(world: World) -> None:
    made = emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    alice, seen = world.browser("alice"), reverse("emergency_seen", args=[made.pk])
    said(alice, reverse("home"))
    emergencies.review(emergency=made, actor=world.admin, outcome="unclear", note="", now=timezone.now())
    for typed in ({}, {"outcome": ""}, {"outcome": "justified"}, {"outcome": "\0"}):
        alice.post(seen, typed)
        assert "The doctor is being asked" in said(alice, reverse("home"))
    assert not AuditEvent.objects.filter(action="break_glass_seen").exists()
    alice.post(seen, {"outcome": "unclear"})
    assert "The doctor is being asked" not in said(alice, reverse("home"))
    assert AuditEvent.objects.filter(action="break_glass_seen").count() == 1
    address = reverse("admin:passport_emergencyaccess_change", args=[made.pk])
    assert "the outcome not yet" not in said(world.browser("admin"), address)
    emergencies.review(emergency=made, actor=world.admin, outcome="unclear", note="Asked twice.", now=timezone.now())
    assert "The doctor is being asked" not in said(alice, reverse("home"))  # nothing new to the patient
    emergencies.review(emergency=made, actor=world.admin, outcome="justified", note="", now=timezone.now())
    assert "It was in order" in said(alice, reverse("home"))
    assert "the outcome not yet" in said(world.browser("admin"), address)


def test_what_a_review_found_is_told_to_the_patient_alone(world: World) -> None:
    made = emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    emergencies.review(emergency=made, actor=world.admin, outcome="not_justified", note="", now=timezone.now())
    for who in ("charlie", "bob"):
        page = world.browser(who).get(reverse("patient_overview", args=[world.alice.pk])).content.decode()
        assert "It was not in order" not in page
    bob = world.browser("bob")
    bob.post(reverse("emergency_seen", args=[made.pk]), {"outcome": "not_justified"})
    made.refresh_from_db()
    assert made.seen_at is None


def test_an_admin_claims_rows_for_a_doctor_and_undoes_it(world: World) -> None:
    uuid = Record.objects.get(concept="Weight").provider_uuid
    row = Doctor.objects.create(hospital=world.there, provider_uuid=uuid, name="Dr C", created_at=world.now)
    admin, charlie = world.browser("admin"), world.browser("charlie")
    address = reverse("admin:passport_doctor_changelist")
    chosen = {"_selected_action": [str(row.pk)]}
    admin.post(address, {**chosen, "action": "claim"})
    said(charlie, world.record_pages()[0], 403)
    admin.post(address, {**chosen, "action": "claim", "account": str(world.charlie.pk)})
    assert "because you have written in it" in said(charlie, world.record_pages()[0])
    admin.post(address, {**chosen, "action": "undo_claim"})
    said(charlie, world.record_pages()[0], 403)


def test_the_sensitive_concepts_go_out_and_in_through_admin(world: World) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    admin = world.browser("admin")
    sheet = admin.get(reverse("admin:passport_sensitiveconcept_export")).content
    assert VIRAL_LOAD.encode() in sheet
    more = SimpleUploadedFile("more.csv", sheet + b"violence,my-own-uuid,,,ours\r\nx,y,,,z\r\n")
    answer = admin.post(reverse("admin:passport_sensitiveconcept_import"), {"sheet": more})
    assert "Line" in answer.content.decode()
    assert SensitiveConcept.objects.filter(concept_uuid="my-own-uuid").count() == 1


def test_no_admin_page_shows_what_is_recorded_or_kept_back(world: World) -> None:
    """Every list and every row's page of the admin, walked for the value, the concept and the number."""
    from django.contrib import admin as site

    Hide.objects.create(patient=world.alice, kind="category", category="test", created_at=world.now)
    Record.objects.filter(concept=SECRET).update(value="MARKED-VALUE")
    emergencies.break_glass(user=world.charlie, national_id=NUMBER, reason=REASON, now=timezone.now())
    browser = world.browser("admin")
    seen = 0
    for model in site.site._registry:
        if model.__name__ == "PatientIdentifier":
            continue
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = [reverse(f"{base}_changelist")]
        first = model._default_manager.first()
        pages += [reverse(f"{base}_change", args=[first.pk])] if first else []
        for page in pages:
            answer = browser.get(page, follow=True)
            assert answer.status_code == 200, page
            text = answer.content.decode()
            assert "MARKED-VALUE" not in text
            assert SECRET not in text
            seen += 1
    assert seen > 20
    assert not any(model in site.site._registry for model in (Record, Hide))


def test_an_admin_without_another_reason_is_refused_on_every_page_of_a_record(world: World) -> None:
    admin = world.browser("admin")
    for address in [*world.record_pages(), reverse("patient_record", args=[world.alice.pk, world.key("HbA1c")])]:
        said(admin, address, 403)
    assert api(world, "admin", f"/api/patients/{NUMBER}/records/").status_code == 403
    assert admin.post(reverse("find_patient"), {"national_id": NUMBER}).status_code == 403
