"""Asking by number and being refused is counted, by account and by number; whoever has a right is never slowed."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from passport.access import lookups
from passport.models import AuditEvent
from tests.integration.test_api_records import NUMBER, Cast
from tests.records import make_account

pytestmark = pytest.mark.django_db
UNKNOWN = "1199780012345679"


@pytest.fixture
def cast(db: None, settings: Any) -> Cast:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    return Cast()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MOST_OF_ACCOUNT", 3)
    monkeypatch.setattr(lookups, "MOST_OF_NUMBER", 5)


def asked(cast: Cast, who: str, number: str) -> int:
    status: int = cast.get(who, f"/api/patients/{number}/records/").status_code
    return status


def searched(cast: Cast, who: Any, number: str) -> int:
    client = Client()
    client.force_login(who)
    status: int = client.post("/patients/", {"national_id": number}).status_code
    return status


@pytest.mark.parametrize("ask", [asked, searched])
def test_an_account_that_tries_number_after_number_is_slowed(cast: Cast, ask: Any) -> None:
    who = "charlie" if ask is asked else cast.charlie
    assert [ask(cast, who, f"119978001234{n:04d}") for n in range(5)] == [403, 403, 403, 429, 429]


@pytest.mark.parametrize("number", [NUMBER, UNKNOWN])
def test_a_number_that_many_accounts_try_is_slowed_whether_anybody_holds_it(cast: Cast, number: str) -> None:
    for name in ("dora", "emil", "fanny"):
        make_account(username=name, role="doctor", hospital=cast.charlie.hospital)
    found = [asked(cast, name, number) for name in ("dora", "emil", "fanny", "dora", "emil", "fanny", "charlie")]
    assert found == [403, 403, 403, 403, 403, 429, 429]


def test_whoever_has_a_right_is_never_slowed_by_it(cast: Cast) -> None:
    for _ in range(7):
        asked(cast, "charlie", NUMBER)
    assert asked(cast, "bob", NUMBER) == 200
    assert asked(cast, "alice", NUMBER) == 200
    assert [asked(cast, "bob", NUMBER) for _ in range(9)] == [200] * 9


def test_every_spelling_counts_as_the_same_number(cast: Cast) -> None:
    for name in ("dora", "emil", "fanny"):
        make_account(username=name, role="doctor", hospital=cast.charlie.hospital)
    spellings = [NUMBER, f"{NUMBER[:4]}-{NUMBER[4:]}", f" {NUMBER}", f"{NUMBER[:8]} {NUMBER[8:]}", f"'{NUMBER}", NUMBER]
    who = ["dora", "emil", "fanny", "dora", "emil", "fanny"]
    assert [asked(cast, name, number) for name, number in zip(who, spellings, strict=True)][-1] == 429


def test_a_slowed_refusal_is_written_down_too(cast: Cast) -> None:
    for _ in range(5):
        asked(cast, "charlie", NUMBER)
    assert AuditEvent.objects.filter(action="records_read_refused", actor_id=cast.charlie.pk).count() == 5
