"""Tokens that nobody gave out: another algorithm, another key, another claim, another time. Each is 401 and tells why
to nobody.
"""

import base64
import datetime as dt
import json
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from passport import entries
from passport.api import tokens
from passport.models import Entry, User
from tests.records import make_account, make_patient

pytestmark = [
    pytest.mark.django_db,
    # Of PyJWT, about the keys and algorithms that are tried here.
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
NUMBER = "1199780012345678"


@pytest.fixture
def alice(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = make_patient(national_id=NUMBER, username="alice", now=timezone.now()).user
    assert user is not None
    return user


@pytest.fixture
def good(alice: User) -> str:
    """A token that opens what is hers."""
    access = tokens.issue(user=alice, now=timezone.now()).access
    assert me(access).status_code == 200
    return access


def me(access: str) -> Any:
    return Client().get("/api/me/", headers={"Authorization": f"Bearer {access}"})


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def signed(claims: dict[str, Any], *, key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, django_settings.SECRET_KEY if key is None else key, algorithm=algorithm)


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


def test_a_token_made_with_our_own_key_is_good(good: str) -> None:
    """Otherwise the tests below would prove nothing."""
    assert me(signed(claims_of(good))).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "RS256"])
def test_a_token_without_a_signature_is_none(good: str, algorithm: str) -> None:
    assert me(unsigned(claims_of(good), algorithm)).status_code == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_under_the_right_key_is_refused(good: str, algorithm: str) -> None:
    assert me(signed(claims_of(good), algorithm=algorithm)).status_code == 401


@pytest.mark.parametrize("key", ["x" * 50, " ", "only-for-tests"])
def test_another_key_is_refused(good: str, key: str) -> None:
    assert me(signed(claims_of(good), key=key)).status_code == 401


def test_a_header_names_no_key_of_its_own(good: str) -> None:
    """`jwk`, `jku` and `kid` in a header are somebody else's word on which key to believe."""
    for extra in ({"kid": "../../dev/null"}, {"jku": "https://evil.example/keys"}, {"jwk": {"kty": "oct", "k": "AA"}}):
        token = jwt.encode(claims_of(good), "k" * 40, algorithm="HS256", headers=extra)
        assert me(token).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"token_type": "refresh"},
        {"token_type": None},
        {"user_id": "00000000-0000-0000-0000-000000000000"},
        {"user_id": "' OR 1=1 --"},
        {"user_id": None},
        {"user_id": ["x"]},
        {"user_id": {"a": 1}},
        {"exp": 1},
        {"exp": "never"},
        {"exp": None},
        {"family": None},
        {"family": "somebody-elses"},
        {"family": ["x"]},
        {"as_of": ""},
        {"as_of": None},
        {"as_of": ["é"]},
    ],
)
def test_a_foreign_claim_is_refused_even_under_the_right_key(good: str, change: dict[str, Any]) -> None:
    claims = {name: value for name, value in (claims_of(good) | change).items() if value is not None}
    assert me(signed(claims)).status_code == 401


def test_a_claimed_role_is_not_believed(good: str) -> None:
    token = signed(claims_of(good) | {"role": "admin", "is_staff": True, "is_superuser": True})
    answer = Client().get("/api/openmrs-sync/status", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_a_token_of_another_account_needs_that_accounts_password(good: str) -> None:
    """Somebody else's id in one's own token: the stamp of the password does not fit."""
    bob = make_account(username="bob", role="admin")
    bob.set_password("another-long-password")
    bob.save()
    assert me(signed(claims_of(good) | {"user_id": str(bob.pk)})).status_code == 401


def test_every_refused_token_is_answered_alike(good: str, alice: User) -> None:
    """Which of them named an account that is there, nobody learns from a token that was not ours."""
    claims = claims_of(good)
    answers = {
        me(unsigned(claims, "none")).content,
        me(unsigned(claims | {"user_id": "00000000-0000-0000-0000-000000000000"}, "none")).content,
        me(jwt.encode(claims, "k" * 40, algorithm="HS256")).content,
    }
    assert len(answers) == 1
    gone = {me(signed(claims | {"user_id": "00000000-0000-0000-0000-000000000000"})).content}
    User.objects.filter(pk=alice.pk).update(is_active=False)
    gone.add(me(good).content)
    assert len(gone) == 1


@pytest.mark.parametrize("header", ["bearer", "JWT", "Token", "Basic"])
def test_another_kind_of_login_opens_nothing(good: str, header: str) -> None:
    assert Client().get("/api/me/", headers={"Authorization": f"{header} {good}"}).status_code == 401


def test_a_token_in_the_address_opens_nothing(good: str) -> None:
    """Addresses stand in logs and in the history of a browser."""
    for name in ("access", "token", "access_token", "jwt"):
        assert Client().get(f"/api/me/?{name}={good}").status_code == 401


def test_a_refresh_token_is_replayed_in_vain_and_costs_the_thief_the_family(alice: User) -> None:
    pair = tokens.issue(user=alice, now=timezone.now())
    newer = tokens.rotate(refresh=pair.refresh, now=timezone.now())
    with pytest.raises(tokens.TokenRefused):
        tokens.rotate(refresh=pair.refresh, now=timezone.now())
    assert me(newer.access).status_code == 401
    assert Entry.objects.get(user=alice).ended_at is not None


def test_a_forged_refresh_token_ends_nobodys_login(alice: User) -> None:
    pair = tokens.issue(user=alice, now=timezone.now())
    forged = unsigned(claims_of(pair.refresh), "none")
    for path in ("refresh", "logout"):
        Client().post(f"/api/auth/{path}/", {"refresh": forged}, content_type="application/json")
    assert me(pair.access).status_code == 200


def test_an_ended_login_ends_its_tokens_at_once(alice: User, good: str) -> None:
    entries.end_all(user=alice, actor=alice, why="owner", now=timezone.now())
    assert me(good).status_code == 401
    assert dt.timedelta(minutes=10) == django_settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]
