"""Brute force, and a race on codes: one count of tries for all processes, safe against many at once, without a name."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from passport import attempts
from passport.models import Attempts, AuditEvent
from passport.views import credentials
from tests.records import PASSWORD, make_account, make_patient

pytestmark = pytest.mark.django_db
NUMBER = "1199780012345678"
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def three(subject: str = "x") -> list[attempts.Limit]:
    return [attempts.limit(kind="test", subject=subject, most=3, window=HOUR)]


def test_a_limit_holds_until_its_window_ends_and_does_not_slide() -> None:
    start = timezone.now()
    assert [attempts.take(three(), now=start + n * dt.timedelta(minutes=14)) for n in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert attempts.is_used_up(three(), now=start + dt.timedelta(minutes=59))
    assert attempts.take(three(), now=start + HOUR)


def test_what_is_given_back_does_not_count() -> None:
    now = timezone.now()
    for _ in range(10):
        assert attempts.take(three(), now=now)
        attempts.give_back(three())
    assert Attempts.objects.get().count == 0


def test_nobody_can_read_back_who_was_counted() -> None:
    attempts.take([attempts.limit(kind="test", subject=NUMBER, most=3, window=HOUR)], now=timezone.now())
    assert NUMBER not in str(list(Attempts.objects.values()))


def test_old_counts_are_cleaned_away() -> None:
    now = timezone.now()
    for subject in ("old", "young"):
        limit = three(subject)[0]
        ended = now - (dt.timedelta(days=2) if subject == "old" else dt.timedelta(hours=2))
        Attempts.objects.create(key=limit.key, count=3, until=ended)
    attempts.take(three("new"), now=now)  # whoever makes a row clears away
    kept = {three(subject)[0].key for subject in ("young", "new")}
    assert set(Attempts.objects.values_list("key", flat=True)) == kept


@pytest.mark.parametrize(
    "address, network",
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::/64"), ("::ffff:192.0.2.7", "::ffff:c000:207"), ("x", "x")],
)
def test_a_household_is_one_visitor(address: str, network: str) -> None:
    assert attempts.network(address) == network


@pytest.mark.django_db(transaction=True)
def test_sixteen_guesses_at_once_share_eight_tries() -> None:
    """A try is taken before the password is looked at."""
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")

    def guess(number: int) -> int:
        try:
            client = Client(REMOTE_ADDR=f"192.0.2.{number}")
            return int(client.post("/", {"name": "alice", "password": "wrong", "next": ""}).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(guess, range(16)))
    # Never one too many is let through. Fewer than eight may be: the name's counter and the account's are taken one
    # after the other, so the eighth guess of the one may be the ninth of the other, which turns it away.
    n_tried = found.count(200)
    assert 0 < n_tried <= credentials.MAX_FAILURES_PER_NAME
    assert found == [200] * n_tried + [429] * (16 - n_tried)
    assert AuditEvent.objects.filter(action="login_failed", basis="password").count() == n_tried


def test_an_account_is_closed_however_its_name_is_spelled() -> None:
    make_patient(national_id=NUMBER, now=timezone.now(), username="alice")
    for name in ("alice", NUMBER, "1 1997 8001 2345 678", " alice ") * 2:
        Client().post("/", {"name": name, "password": "wrong", "next": ""})
    assert Client().post("/", {"name": NUMBER, "password": PASSWORD, "next": ""}).status_code == 429


def test_honest_logins_do_not_use_up_an_address() -> None:
    make_account(username="alice")
    for _ in range(12):
        assert Client().post("/", {"name": "alice", "password": PASSWORD, "next": ""}).status_code == 302
    assert not Attempts.objects.filter(count__gt=0).exists()
