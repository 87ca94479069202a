"""Who holds a passport, nobody learns at any door: for a number that somebody has and one that nobody has, the status,
the bytes, the headers, the number of queries and the number of password hashes are the same. No clock is asked.

The one place where a doctor without access learns something is their own hospital's files, by `sync-patient`: the
answer there says whether a linked person is in them. That is tested at the end, with what limits it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from passport import claiming
from passport.access import lookups
from passport.models import AccessGrant, AuditEvent, Patient, User
from tests.records import make_patient
from tests.security import matrix
from tests.security.matrix import NUMBER, REASON, UNKNOWN_NUMBER, World, undone

pytestmark = pytest.mark.django_db

Door = Callable[[World, str], Any]
#: Holders of every kind: with a login, without one yet, whose login was closed, with a login that has no password.
WITHOUT_LOGIN, CLOSED, WITHOUT_PASSWORD = "1198280011111111", "1198370022222222", "1198480033333333"
HOLDERS = (NUMBER, WITHOUT_LOGIN, CLOSED, WITHOUT_PASSWORD)


def page(address: str, actor: str, **form: str) -> Door:
    def knock(world: World, name: str) -> Any:
        filled = {key: value.format(name=name) for key, value in form.items()}
        return world.client(actor).post(reverse(address), filled, REMOTE_ADDR=matrix.ELSEWHERE)

    return knock


def api(method: str, path: str, actor: str, body: str = "") -> Door:
    def knock(world: World, name: str) -> Any:
        return world.ask(actor, method, path.replace("NAME", name), data=body.replace("NAME", name))

    return knock


#: Where a username is taken, or a number in its place.
NAMED: dict[str, Door] = {
    "log in": page("home", "anonymous", name="{name}", password="wrong-password", next=""),
    "log in over the API": api(
        "POST", "/api/auth/token/", "anonymous", '{"username": "NAME", "password": "wrong-password"}'
    ),
    "log in over the API with a code": api(
        "POST", "/api/auth/token/", "anonymous", '{"username": "NAME", "password": "wrong-password", "otp": "000000"}'
    ),
    "forgotten": page("forgotten", "anonymous", name="{name}"),
}
#: Where a number is.
NUMBERED: dict[str, Door] = {
    "claim": page("claim", "anonymous", national_id="{name}", birth_date="1981-03-14", code="AAAA-AAAA-AAAA"),
    "claim with another birth date": page(
        "claim", "anonymous", national_id="{name}", birth_date="1999-01-01", code="AAAA-AAAA-AAAA"
    ),
    "a doctor's search": page("find_patient", "stranger", national_id="{name}"),
    "an admin's search": page("find_patient", "admin", national_id="{name}"),
    "break the glass on the page": page("emergency", "stranger", national_id="{name}", reason=REASON),
    "break the glass over the API": api(
        "POST", "/api/emergencies/", "stranger", f'{{"national_id": "NAME", "reason": "{REASON}"}}'
    ),
    "records": api("GET", "/api/patients/NAME/records/", "stranger"),
    "summary": api("GET", "/api/patients/NAME/summary/", "stranger"),
    "fhir": api("GET", "/api/patients/NAME/fhir/", "stranger"),
    "records, for another patient": api("GET", "/api/patients/NAME/records/", "other"),
    "records, for an admin": api("GET", "/api/patients/NAME/records/", "admin"),
    "a filter that is none": api("GET", "/api/patients/NAME/records/?category=nonsense", "stranger"),
    "a fresh read": api("POST", "/api/openmrs-sync/sync-patient/NAME", "stranger"),
    "a fresh read at one's own hospital": api(
        "POST", "/api/openmrs-sync/sync-patient/NAME?hospital=kibagabaga", "stranger"
    ),
    "a fresh read elsewhere": api("POST", "/api/openmrs-sync/sync-patient/NAME?hospital=kigali", "stranger"),
    "a fresh read for another patient": api("POST", "/api/openmrs-sync/sync-patient/NAME", "other"),
}
DOORS = NAMED | NUMBERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    status: int
    headers: dict[str, str]
    body: str
    n_queries: int
    n_hashes: int


@pytest.fixture
def world(settings: Any) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    world = matrix.build()
    make_patient(national_id=WITHOUT_LOGIN, username=None, given_name="Dorothee", now=world.now)
    make_patient(national_id=CLOSED, username="closed", given_name="Emile", now=world.now)
    User.objects.filter(username="closed").update(is_active=False)
    make_patient(national_id=WITHOUT_PASSWORD, username="unset", given_name="Fidele", now=world.now)
    unset = User.objects.get(username="unset")
    unset.set_unusable_password()
    unset.save(update_fields=["password"])
    for patient in Patient.objects.filter(identifiers__number__in=[NUMBER, WITHOUT_LOGIN]):
        # What is wrong with a claim is then the code, and it may not show.
        claiming.issue_code(patient=patient, actor=world.people["admin"], now=world.now)
    return world


def seen(world: World, door: Door, name: str, monkeypatch: pytest.MonkeyPatch) -> Seen:
    hashes: list[int] = []
    plain = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashes.append(1)
        return plain(self, password, salt)

    cache.clear()
    claiming._nobodys_hash.cache_clear()  # as in a process that has just begun
    with undone(), CaptureQueriesContext(connection) as queries, monkeypatch.context() as patch:
        patch.setattr(MD5PasswordHasher, "encode", counted)
        answer = door(world, name)
    own = re.compile(r'csrfmiddlewaretoken|name="next"')
    body = "\n".join(line for line in answer.content.decode().splitlines() if not own.search(line))
    # What was typed stands in the form again; ids and times are new in every answer.
    body = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", body.replace(name, "NAME"))
    body = re.sub(r'"until":"[^"]*"', "", body)
    headers = {name: value for name, value in answer.headers.items() if name not in {"Set-Cookie", "Content-Length"}}
    headers = {name: re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", value) for name, value in headers.items()}
    return Seen(status=answer.status_code, headers=headers, body=body, n_queries=len(queries), n_hashes=len(hashes))


def told(
    world: World, doors: dict[str, Door], monkeypatch: pytest.MonkeyPatch, *, names: Any, nobody: str
) -> list[str]:
    """The doors that answer one of these names otherwise than one that nobody has."""
    wrong = []
    for what, door in doors.items():
        unknown = seen(world, door, nobody, monkeypatch)
        answers = {name: seen(world, door, name, monkeypatch) for name in names}
        wrong += [f"{what}: {name}: {known} / {unknown}" for name, known in answers.items() if known != unknown]
    return wrong


def test_no_door_tells_whether_a_number_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(world, DOORS, monkeypatch, names=HOLDERS, nobody=UNKNOWN_NUMBER) == []


def test_no_door_tells_whether_a_username_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("alice", "admin", "stranger", "gone_doctor", "unset")
    assert told(world, NAMED, monkeypatch, names=names, nobody="nobody-at-all") == []


def test_a_door_costs_a_hash_whoever_knocks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above would count nothing."""
    costs = {
        what: seen(world, DOORS[what], number, monkeypatch).n_hashes
        for what in ("log in", "log in over the API", "claim")
        for number in (NUMBER, UNKNOWN_NUMBER)
    }
    assert 0 not in costs.values()


def test_who_is_no_doctor_breaks_no_glass_and_learns_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    actors = ("anonymous", "own", "other", "carer", "admin")
    doors = {actor: page("emergency", actor, national_id="{name}", reason=REASON) for actor in actors}
    assert told(world, doors, monkeypatch, names=[NUMBER], nobody=UNKNOWN_NUMBER) == []


def test_a_patient_who_lets_a_doctor_in_learns_of_no_login(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who has one nor who works where."""
    AccessGrant.objects.all().delete()

    def let_in_and_look(world: World, name: str) -> Any:
        form = {"let-hospital": "kigali", "let-doctor": name, "let-term": "month"}
        assert world.client("own").post(reverse("let_in"), form).status_code == 302
        return world.client("own").get(reverse("permissions"))

    names = ("relation", "gone_doctor", "stranger", "alice")
    assert told(world, {"let in": let_in_and_look}, monkeypatch, names=names, nobody="nobody-at-all") == []


@pytest.mark.parametrize("door", ["log in", "log in over the API"])
def test_guessing_ends_alike_for_a_known_and_an_unknown_name(door: str, world: World) -> None:
    statuses = {}
    for number in (NUMBER, UNKNOWN_NUMBER):
        with undone():
            statuses[number] = [DOORS[door](world, number).status_code for _ in range(10)]
    assert statuses[NUMBER] == statuses[UNKNOWN_NUMBER]
    assert statuses[NUMBER][-1] == 429


def test_guessing_from_one_address_ends_whatever_is_guessed(world: World) -> None:
    last = 0
    for index in range(70):
        form = {"name": f"guess-{index}", "password": "wrong-password", "next": ""}
        last = Client().post("/", form, REMOTE_ADDR="203.0.113.9").status_code
    assert last == 429


# --- a doctor at their own hospital's files ---------------------------------------------------------------------------


def test_who_goes_through_numbers_by_fresh_reads_is_stopped_and_written_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_OF_ACCOUNT", 3)
    door = DOORS["a fresh read"]
    statuses = [door(world, f"119978001234{n:04d}").status_code for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    rows = AuditEvent.objects.filter(actor_id=world.people["stranger"].pk)
    assert rows.filter(action="sync_patient", basis="own_hospital").count() == 3
    assert rows.filter(action="sync_patient_refused").count() == 2


@pytest.mark.parametrize("number", [NUMBER, UNKNOWN_NUMBER])
def test_a_number_that_is_read_afresh_again_and_again_is_closed_whether_anybody_holds_it(
    number: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records and fresh reads share one count."""
    monkeypatch.setattr(lookups, "MOST_OF_NUMBER", 2)
    assert [DOORS[what](world, number).status_code for what in ("records", "a fresh read")] == [403, 200]
    assert DOORS["a fresh read"](world, number).status_code == 429


def test_a_doctor_with_access_reads_afresh_as_often_as_need_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MOST_OF_NUMBER", 1)
    monkeypatch.setattr(lookups, "MOST_OF_ACCOUNT", 1)
    address = f"/api/openmrs-sync/sync-patient/{NUMBER}"
    assert [world.ask("relation", "POST", address).status_code for _ in range(4)] == [200] * 4
