"""One's own account on the pages: claiming a passport, passwords, codes, logins, how one is reached."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from passport import claiming, entries
from passport.models import Attempts, AuditEvent, Consent, Entry, OneTimeCode, Patient, RecoveryCode, User
from tests.records import PASSWORD, make_account, make_hospital, make_patient

NUMBER, OTHER_NUMBER = "1198180012345678", "1199070098765432"
BIRTH_DATE = dt.date(1981, 3, 14)
NEW = "four unlikely words here"
FIREFOX = "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture
def admin() -> User:
    return make_account(username="grace", role="admin", is_superuser=True)


@pytest.fixture
def alice(admin: User) -> Patient:
    return make_patient(national_id=NUMBER, now=timezone.now())


def code_for(patient: Patient, admin: User) -> str:
    return claiming.issue_code(patient=patient, actor=admin, now=timezone.now())


def prove(client: Client, code: str, *, number: str = NUMBER, born: str = "1981-03-14") -> Any:
    return client.post(reverse("claim"), {"national_id": number, "birth_date": born, "code": code})


def choose(client: Client, password: str = NEW, **more: str) -> Any:
    return client.post(reverse("claim_password"), {"new": password, "again": password, **more})


def log_in(client: Client, name: str, password: str = PASSWORD) -> Any:
    return client.post(reverse("home"), {"name": name, "password": password, "next": ""})


def browser_of(username: str, password: str = PASSWORD, agent: str = FIREFOX) -> Client:
    client = Client(headers={"User-Agent": agent})
    assert log_in(client, username, password).status_code == 302
    return client


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))


def letters_sent(n: int) -> list[Any]:
    """They leave in threads of their own."""
    import threading

    for thread in threading.enumerate():
        if thread.name == "letter":
            thread.join()
    assert len(mail.outbox) == n
    return mail.outbox


# --- taking one's passport --------------------------------------------------------------------------------------------


def test_a_patient_takes_their_passport_and_is_logged_in(alice: Patient, admin: User) -> None:
    client = Client()
    code = code_for(alice, admin)
    assert prove(client, f" {code.lower()} ")["Location"] == reverse("claim_password")
    assert choose(client, consents="on")["Location"] == "/"
    assert "Uwimana" in client.get("/").content.decode()
    assert log_in(Client(), NUMBER, NEW).status_code == 302
    assert Consent.objects.get(patient=alice).how == "online"
    account = User.objects.get(patient=alice)
    assert NUMBER not in account.username
    assert "uwimana" not in account.username.casefold()
    assert {"desk_code_issued", "claim_proved", "passport_claimed", "account_created", "login"} <= set(actions())


def test_the_code_is_kept_as_a_hash_only(alice: Patient, admin: User) -> None:
    code = code_for(alice, admin)
    kept = OneTimeCode.objects.get()
    assert claiming.plain(code) not in kept.code_hash
    assert code not in str(list(AuditEvent.objects.values_list("details", flat=True)))


@pytest.mark.parametrize(
    "spoil",
    [
        {"code": "WRONG-ONE"},
        {"number": OTHER_NUMBER},
        {"number": "1199999999999999"},
        {"number": "!!"},
        {"born": "1981-03-15"},
    ],
    ids=["code", "other person", "nobody", "no number", "birth date"],
)
def test_whatever_is_wrong_the_answer_and_the_work_are_the_same(
    spoil: dict[str, str], alice: Patient, admin: User
) -> None:
    """Content, status, queries and hashes: what a stranger could tell apart."""
    make_patient(national_id=OTHER_NUMBER, now=timezone.now(), given_name="Bob")
    code = spoil.pop("code", None) or code_for(alice, admin)
    prove(Client(), "AAAA-AAAA", number="55555555551")  # the hash of nobody's code is made once
    n_queries, page = _work(lambda client: prove(client, code, number="1200000000000001"))
    assert _work(lambda client: prove(client, code, **spoil)) == (n_queries, page)


def _work(ask: Any) -> tuple[int, str]:
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashes: list[int] = []
    original = MD5PasswordHasher.encode

    def counted(self: Any, password: str, salt: str) -> str:
        hashes.append(1)
        return original(self, password, salt)

    client = Client()
    Attempts.objects.all().delete()
    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as queries:
        patch.setattr(MD5PasswordHasher, "encode", counted)
        answer = ask(client)
    assert answer.status_code == 200
    text = re.sub(r'value="[^"]*"|csrfmiddlewaretoken', "", answer.content.decode())
    return len(queries) * 100 + len(hashes), text


def test_a_code_is_good_for_five_tries(alice: Patient, admin: User) -> None:
    code = code_for(alice, admin)
    for _ in range(5):
        assert "do not fit together" in prove(Client(), "AAAA-AAAA").content.decode()
    assert prove(Client(), code).status_code == 200


def test_a_code_ends_by_time_and_by_the_next_one(alice: Patient, admin: User, settings: Any) -> None:
    first = code_for(alice, admin)
    second = code_for(alice, admin)
    assert prove(Client(), first).status_code == 200
    with time_machine.travel(timezone.now() + dt.timedelta(hours=settings.DESK_CODE_HOURS, minutes=1)):
        assert prove(Client(), second).status_code == 200
    assert prove(Client(), second).status_code == 302


def test_too_many_tries_for_a_number_close_it_whoever_asks(alice: Patient, admin: User) -> None:
    code = code_for(alice, admin)
    for number in range(claiming.MAX_PER_NUMBER):
        prove(Client(REMOTE_ADDR=f"192.0.2.{number}"), "AAAA-AAAA", number="1 1981 8001 2345 678")
    answer = prove(Client(REMOTE_ADDR="192.0.2.99"), code)
    assert answer.status_code == 429
    assert "Wait an hour" in answer.content.decode()


def test_too_many_tries_from_an_address_close_it_for_every_number(alice: Patient, admin: User) -> None:
    code = code_for(alice, admin)
    for number in range(claiming.MAX_PER_ADDRESS):
        # one household under IPv6: the end of the address changes at will
        prove(Client(REMOTE_ADDR=f"2001:db8::{number:x}"), "AAAA-AAAA", number=f"77{number:06d}1")
    assert prove(Client(REMOTE_ADDR="2001:db8::ffff"), code).status_code == 429
    assert prove(Client(REMOTE_ADDR="2001:db8:1::1"), code).status_code == 302


def test_a_code_is_used_once(alice: Patient, admin: User) -> None:
    first, second, code = Client(), Client(), code_for(alice, admin)
    prove(first, code)
    prove(second, code)
    assert choose(first)["Location"] == "/"
    assert choose(second, "another unlikely sentence")["Location"] == reverse("claim")
    assert prove(Client(), code).status_code == 200
    assert log_in(Client(), NUMBER, NEW).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_use_a_code_at_once_one_wins(alice: Patient, admin: User) -> None:
    code_for(alice, admin)
    code_id, now = OneTimeCode.objects.get().pk, timezone.now()

    def take(number: int) -> str:
        try:
            claiming.take(code_id=code_id, password=f"{NEW} {number}", now=now)
        except claiming.ClaimRefused:
            return "refused"
        finally:
            connections.close_all()
        return "won"

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(take, range(8)))
    assert found == ["refused"] * 7 + ["won"]
    assert User.objects.filter(role="patient").count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_guesses_at_once_share_the_five_tries(alice: Patient, admin: User) -> None:
    code_for(alice, admin)

    def guess(number: int) -> None:
        try:
            claiming.prove(
                national_id=NUMBER,
                birth_date=BIRTH_DATE,
                code="AAAAAAAA",
                address=f"192.0.2.{number}",
                now=timezone.now(),
            )
        except claiming.ClaimRefused:
            pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(8)))
    assert OneTimeCode.objects.get().n_tries == claiming.MAX_TRIES
    assert Attempts.objects.get(key__startswith="claim-number:").count == 8


def test_the_code_opens_a_forgotten_passport_and_ends_its_logins(alice: Patient, admin: User) -> None:
    alice.user = make_account(username="alice")
    alice.save(update_fields=["user"])
    before = browser_of("alice")
    client, code = Client(), code_for(alice, admin)
    prove(client, code)
    assert choose(client)["Location"] == "/"
    assert before.get(reverse("own_history")).status_code == 302
    assert log_in(Client(), "alice", PASSWORD).status_code == 200
    assert log_in(Client(), "alice", NEW).status_code == 302


def test_a_code_of_the_desk_is_no_second_factor(alice: Patient, admin: User) -> None:
    alice.user = make_account(username="alice")
    alice.save(update_fields=["user"])
    TOTPDevice.objects.create(user=alice.user, name="app", confirmed=True)
    client = Client()
    prove(client, code_for(alice, admin))
    assert choose(client)["Location"] == reverse("log_in_code")
    assert client.get(reverse("own_history")).status_code == 302


def test_the_session_in_which_a_code_was_proved_is_new(alice: Patient, admin: User) -> None:
    """A session that somebody else planted leads nowhere."""
    client = Client()
    session = client.session
    session["planted"] = "yes"
    session.save()
    planted = session.session_key
    prove(client, code_for(alice, admin))
    proved = client.session.session_key
    choose(client)
    assert len({planted, proved, client.session.session_key}) == 3
    assert "planted" not in client.session


def test_a_proof_runs_out(alice: Patient, admin: User) -> None:
    client = Client()
    prove(client, code_for(alice, admin))
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=16)):
        assert choose(client)["Location"] == reverse("claim")


@pytest.mark.parametrize(
    "password", ["password", "Uwimana1981", NUMBER, "14031981", "passport2026", "aaaaaaaaaaaa", "abcdefghijk", "short"]
)
def test_a_password_that_others_would_try_is_refused_with_a_sentence(
    password: str, alice: Patient, admin: User
) -> None:
    client = Client()
    prove(client, code_for(alice, admin))
    answer = choose(client, password)
    assert answer.status_code == 200
    assert 'class="errors"' in answer.content.decode()
    assert choose(client, NEW).status_code == 302  # the code is still good


@pytest.mark.parametrize("password", ["pässwört mit ☃ und 漢字", "    eight spaces    ", "x7" + "long enough " * 10])
def test_every_character_is_welcome(password: str, alice: Patient, admin: User) -> None:
    client = Client()
    prove(client, code_for(alice, admin))
    assert choose(client, password).status_code == 302
    assert log_in(Client(), NUMBER, password).status_code == 302


def test_a_password_typed_on_another_keyboard_is_the_same(alice: Patient, admin: User) -> None:
    client = Client()
    prove(client, code_for(alice, admin))
    choose(client, "cafe\u0301 au lait ce matin")
    assert log_in(Client(), NUMBER, "caf\u00e9 au lait ce matin").status_code == 302


def test_without_a_code_beside_it_a_password_needs_fifteen_characters(
    alice: Patient, admin: User, settings: Any
) -> None:
    settings.PASSWORD_ONLY_MIN_LENGTH = 15
    client = Client()
    prove(client, code_for(alice, admin))
    page = choose(client, "elevenchars").content.decode()
    assert "at least 15 characters" in page
    assert choose(client, "fifteen letters!").status_code == 302


# --- a forgotten password ---------------------------------------------------------------------------------------------


def reset_address(letter: Any) -> str:
    found = re.search(r"http://testserver(/\S+)", letter.body)
    assert found is not None
    return found.group(1)


def test_a_letter_leads_to_another_password_once(alice: Patient) -> None:
    alice.user = make_account(username="alice", email="alice@example.org")
    alice.save(update_fields=["user"])
    before = browser_of("alice")
    Client().post(reverse("forgotten"), {"name": NUMBER})
    (letter,) = letters_sent(1)
    assert letter.to == ["alice@example.org"]
    client = Client()
    assert client.get(reset_address(letter))["Location"] == reverse("reset_password")
    done = client.post(reverse("reset_password"), {"new": NEW, "again": NEW})
    assert "Your new password is kept" in done.content.decode()
    assert before.get(reverse("own_history")).status_code == 302
    assert client.get("/account/").status_code == 302  # a letter is no log-in
    assert log_in(Client(), "alice", NEW).status_code == 302
    again = Client()
    again.get(reset_address(letter))
    assert again.get(reverse("reset_password")).status_code == 410
    assert NUMBER not in letter.body + letter.subject


def test_a_forgotten_password_gets_one_answer_and_the_same_work(alice: Patient) -> None:
    make_account(username="withaddress", email="w@example.org")
    make_account(username="without")
    make_account(username="closed", email="c@example.org", is_active=False)
    found = {
        name: _work(lambda client, name=name: client.post(reverse("forgotten"), {"name": name}))
        for name in ("withaddress", "without", "closed", "nobody", NUMBER)
    }
    assert len(set(found.values())) == 1
    assert [letter.to for letter in letters_sent(1)] == [["w@example.org"]]


def test_letters_cannot_be_asked_for_without_end() -> None:
    make_account(username="alice", email="alice@example.org")
    answers = [Client().post(reverse("forgotten"), {"name": "alice"}).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]


@pytest.mark.parametrize("spoiled", ["x", "cx1-0123456789abcdef0123456789abcdef"])
def test_a_made_up_link_opens_nothing(spoiled: str) -> None:
    account = make_account(username="alice", email="alice@example.org")
    client = Client()
    client.get(reverse("reset_link", args=[account.pk, spoiled]))
    assert client.get(reverse("reset_password")).status_code == 410
    assert client.post(reverse("reset_password"), {"new": NEW, "again": NEW}).status_code == 410
    assert log_in(Client(), "alice", NEW).status_code == 200


# --- the password, changed --------------------------------------------------------------------------------------------


def change(client: Client, current: str = PASSWORD, new: str = NEW) -> Any:
    return client.post(reverse("account_password"), {"current": current, "new": new, "again": new})


def token_of(username: str) -> dict[str, str]:
    body = {"username": username, "password": PASSWORD}
    return dict(Client().post("/api/auth/token/", body, content_type="application/json").json())


def me(pair: dict[str, str]) -> int:
    return Client().get("/api/me/", headers={"Authorization": f"Bearer {pair['access']}"}).status_code


def test_a_changed_password_ends_every_other_login_and_token() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    here, there, pair = browser_of("alice"), browser_of("alice"), token_of("alice")
    assert change(here)["Location"] == reverse("account")
    assert here.get(reverse("own_history")).status_code == 200
    assert there.get(reverse("own_history")).status_code == 302
    assert me(pair) == 401
    assert Entry.objects.filter(ended_at__isnull=True).count() == 1
    assert AuditEvent.objects.get(action="password_changed").basis == "changed"


def test_the_password_is_asked_for_before_it_is_changed() -> None:
    make_account(username="alice")
    client = browser_of("alice")
    assert "This is not your password" in change(client, current="wrong").content.decode()
    for _ in range(8):
        change(client, current="wrong")
    assert change(client).status_code == 429
    assert log_in(Client(), "alice", NEW).status_code != 302


# --- one-time codes ---------------------------------------------------------------------------------------------------


def set_up(client: Client) -> str:
    client.get(reverse("account_codes"))
    device = TOTPDevice.objects.get(confirmed=False)
    answer = client.post(reverse("account_codes"), {"code": f"{totp(device.bin_key):06d}", "current": PASSWORD})
    assert "Keep these recovery codes" in answer.content.decode()
    return answer.content.decode()


def test_a_patient_may_set_up_codes_and_go_without_again() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client = browser_of("alice")
    set_up(client)
    assert log_in(Client(), "alice")["Location"] == reverse("log_in_code")
    client.post(f"{reverse('account_codes_renew')}?end=1", {"current": PASSWORD})
    assert log_in(Client(), "alice")["Location"] == "/"
    assert {"code_enrolled", "code_devices_removed"} <= set(actions())


def test_staff_cannot_go_without_codes(settings: Any) -> None:
    settings.REQUIRE_TOTP = True
    hospital = make_hospital(name="H", now=timezone.now())
    doctor = make_account(username="doctor", role="doctor", hospital=hospital)
    device = TOTPDevice.objects.create(user=doctor, name="app", confirmed=True)
    client = Client()
    log_in(client, "doctor")
    client.post(reverse("log_in_code"), {"code": f"{totp(device.bin_key):06d}"})
    assert client.get(reverse("account")).status_code == 200
    assert client.post(f"{reverse('account_codes_renew')}?end=1", {"current": PASSWORD}).status_code == 404
    assert TOTPDevice.objects.filter(user=doctor).exists()


def test_a_new_phone_takes_the_place_of_the_one_before() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client = browser_of("alice")
    set_up(client)
    first = TOTPDevice.objects.get()
    before = set(RecoveryCode.objects.values_list("code_hash", flat=True))
    set_up(client)
    assert TOTPDevice.objects.get().pk != first.pk
    assert not before & set(RecoveryCode.objects.values_list("code_hash", flat=True))


def test_a_code_that_was_used_is_not_taken_again() -> None:
    """Somebody looked over a shoulder: the same six digits open nothing within their half minute."""
    account = make_account(username="alice")
    device = TOTPDevice.objects.create(user=account, name="app", confirmed=True)
    with time_machine.travel(timezone.now(), tick=False):
        code = f"{totp(device.bin_key):06d}"
        for expected in (302, 200):
            client = Client()
            log_in(client, "alice")
            assert client.post(reverse("log_in_code"), {"code": code}).status_code == expected


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_recovery_code_at_once_one_enters() -> None:
    account = make_account(username="alice")
    TOTPDevice.objects.create(user=account, name="app", confirmed=True)
    from passport.views import credentials

    (code, *_) = credentials.make_recovery_codes(account)
    clients = [Client(), Client()]
    for client in clients:
        log_in(client, "alice")

    def enter(client: Client) -> int:
        try:
            return int(client.post(reverse("log_in_code"), {"code": code}).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(enter, clients)) == [200, 302]


# --- logins -----------------------------------------------------------------------------------------------------------


def test_each_login_is_listed_in_coarse_words() -> None:
    make_account(username="alice")
    client = Client(headers={"User-Agent": FIREFOX}, REMOTE_ADDR="41.186.77.12")
    log_in(client, "alice")
    page = client.get(reverse("account_logins")).content.decode()
    assert "Firefox, Android" in page
    assert "an address that begins with 41.186.x.x" in page
    assert "41.186.77.12" not in page
    assert FIREFOX not in str(list(Entry.objects.values()))


def test_one_login_is_ended_and_the_others_stay() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    here, there = browser_of("alice"), browser_of("alice")
    entry = Entry.objects.order_by("started_at").last()
    assert entry is not None
    here.post(reverse("account_logins"), {"which": str(entry.pk)})
    assert there.get(reverse("own_history")).status_code == 302
    assert here.get(reverse("own_history")).status_code == 200


def test_a_token_s_login_is_ended_at_once() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client, pair = browser_of("alice"), token_of("alice")
    entry = Entry.objects.get(kind="api")
    assert me(pair) == 200
    client.post(reverse("account_logins"), {"which": str(entry.pk)})
    assert me(pair) == 401
    body = {"refresh": pair["refresh"]}
    assert Client().post("/api/auth/refresh/", body, content_type="application/json").status_code == 401


def test_nobody_ends_the_login_of_somebody_else() -> None:
    make_account(username="alice")
    make_account(username="bob")
    alice, bob = browser_of("alice"), browser_of("bob")
    entry = Entry.objects.get(user__username="bob")
    for which in (str(entry.pk), "x", ""):
        alice.post(reverse("account_logins"), {"which": which})
    assert bob.get(reverse("account")).status_code == 200


def test_all_other_logins_end_together() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    here, there, pair = browser_of("alice"), browser_of("alice"), token_of("alice")
    here.post(reverse("account_logins"), {"which": "all"})
    assert here.get(reverse("own_history")).status_code == 200
    assert there.get(reverse("own_history")).status_code == 302
    assert me(pair) == 401


def test_an_idle_login_ends_and_leads_back_to_its_page(settings: Any) -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client = browser_of("alice")
    later = timezone.now() + dt.timedelta(minutes=settings.SESSION_IDLE_MINUTES, seconds=5)
    with time_machine.travel(later):
        answer = client.get("/history/?category=test")
        assert answer["Location"] == "/?next=%2Fhistory%2F%3Fcategory%3Dtest"
        page = client.get(answer["Location"])
        assert 'value="/history/?category=test"' in page.content.decode()
    assert Entry.objects.get().ended_by == "idle"


def test_use_keeps_a_login_and_what_a_page_asks_by_itself_does_not(settings: Any) -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client, start = browser_of("alice"), timezone.now()
    half = dt.timedelta(minutes=settings.SESSION_IDLE_MINUTES * 0.6)
    with time_machine.travel(start + half):
        assert client.get(reverse("own_history")).status_code == 200
    with time_machine.travel(start + 2 * half):
        assert client.get(reverse("own_version")).status_code == 200
    with time_machine.travel(start + 3 * half):
        assert client.get(reverse("own_history")).status_code == 302


def test_a_closed_account_is_outside_everywhere_at_once() -> None:
    patient = make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client, pair = browser_of("alice"), token_of("alice")
    User.objects.filter(pk=patient.user_id).update(is_active=False)
    assert client.get(reverse("own_history")).status_code == 302
    assert me(pair) == 401


def test_the_origin_of_a_login_is_coarse() -> None:
    found = {
        address: entries.origin(address=address, user_agent="").place
        for address in ("127.0.0.1", "10.1.2.3", "41.186.1.2", "2001:db8:1::5", "::ffff:41.186.1.2", "nonsense")
    }
    assert found == {
        "127.0.0.1": "loopback",
        "10.1.2.3": "private",
        "41.186.1.2": "41.186.x.x",
        "2001:db8:1::5": "private",
        "::ffff:41.186.1.2": "41.186.x.x",
        "nonsense": "",
    }


# --- how one is reached -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_new_address_is_proved_and_the_old_one_is_told() -> None:
    account = make_account(username="alice", email="old@example.org")
    client = browser_of("alice")
    client.post(reverse("account_contact"), {"save_email": "1", "email": "new@example.org", "current": PASSWORD})
    account.refresh_from_db()
    assert account.email == "old@example.org"
    proof = next(letter for letter in letters_sent(2) if letter.to == ["new@example.org"])
    address = reset_address(proof)
    make_account(username="bob")
    browser_of("bob").get(address)  # somebody else who found the letter
    account.refresh_from_db()
    assert account.email == "old@example.org"
    client.get(address)
    account.refresh_from_db()
    assert account.email == "new@example.org"
    told = [letter.to[0] for letter in letters_sent(4)]
    assert sorted(told) == ["new@example.org", "new@example.org", "old@example.org", "old@example.org"]


def test_a_new_address_needs_the_password() -> None:
    account = make_account(username="alice", email="old@example.org")
    client = browser_of("alice")
    body = {"save_email": "1", "email": "new@example.org", "current": "wrong"}
    assert "This is not your password" in client.post(reverse("account_contact"), body).content.decode()
    assert not account.contact_changes.exists()


def test_a_telephone_number_is_kept_with_the_passport_too() -> None:
    patient = make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    browser_of("alice").post(reverse("account_contact"), {"save_phone": "1", "phone": "+250 788 123 456"})
    patient.refresh_from_db()
    assert patient.phone == "+250 788 123 456"


# --- what one agreed to -----------------------------------------------------------------------------------------------


def test_a_consent_is_given_and_taken_back() -> None:
    patient = make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    client = browser_of("alice")
    client.post(reverse("account_consent"), {"what": "give"})
    assert Consent.objects.filter(patient=patient, withdrawn_at__isnull=True).count() == 1
    client.post(reverse("account_consent"), {"what": "withdraw"})
    assert Consent.objects.filter(patient=patient, withdrawn_at__isnull=True).count() == 0
    assert {"consent_recorded", "consent_withdrawn"} <= set(actions())
