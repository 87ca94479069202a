"""Whoever holds the database, its file or its backup has nobody's recovery codes."""

import subprocess
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.db import connection

from passport.models import RecoveryCode, RecoveryDevice, User
from passport.views import credentials
from tests.records import make_account

pytestmark = pytest.mark.django_db(transaction=True)

hashing = import_module("passport.migrations.0017_hash_recovery_codes")


@pytest.fixture
def alice(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return make_account(username="alice")


def stored() -> bytes:
    """Every row of every table; on SQLite the file itself, with what was deleted from it."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # By another process: when this one closes the file, every lock that it has there is gone (POSIX).
        return subprocess.run(["cat", connection.settings_dict["NAME"]], capture_output=True, check=True).stdout
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [repr(row).encode() for row in cursor.fetchall()]
    return b"".join(found)


def device_of(account: User) -> RecoveryDevice:
    return RecoveryDevice.objects.get(user=account)


def test_no_code_stands_readable_in_the_database(alice: User) -> None:
    codes = credentials.make_recovery_codes(alice)
    found = stored()
    assert b"alice" in found
    assert [code for code in codes if code.encode() in found] == []


def test_each_code_opens_once_however_it_is_typed(alice: User) -> None:
    codes = credentials.make_recovery_codes(alice)
    assert device_of(alice).verify_token(f" {codes[0][:4].upper()} {codes[0][4:]}")
    assert not device_of(alice).verify_token(codes[0])
    assert credentials.n_recovery_codes(alice) == len(codes) - 1


def test_what_stands_in_the_database_opens_nothing(alice: User) -> None:
    credentials.make_recovery_codes(alice)
    code_hash = RecoveryCode.objects.values_list("code_hash", flat=True)[0]
    for typed in (code_hash, code_hash[-8:], code_hash[:8]):
        assert not device_of(alice).verify_token(typed)


def test_six_digits_of_an_app_are_no_try_at_a_recovery_code(alice: User) -> None:
    (code, *_) = credentials.make_recovery_codes(alice)
    assert not device_of(alice).verify_token("123456")
    assert device_of(alice).verify_token(code)


def test_after_a_wrong_code_the_next_must_wait(alice: User) -> None:
    (code, *_) = credentials.make_recovery_codes(alice)
    assert not device_of(alice).verify_token("aaaaaaaa")
    assert not device_of(alice).verify_token(code)


@pytest.fixture
def old_tables(alice: User) -> Any:
    """As the package had them, with two codes of hers that can be read."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {hashing.DEVICES} (id integer, user_id varchar(36), confirmed boolean)")
        cursor.execute(f"CREATE TABLE {hashing.TOKENS} (device_id integer, token varchar(16))")
        user_id = alice.pk.hex if connection.vendor != "postgresql" else str(alice.pk)
        cursor.execute(f"INSERT INTO {hashing.DEVICES} VALUES (7, %s, %s)", [user_id, True])
        for token in ("lmbyz4kq", "q3nbc2da"):
            cursor.execute(f"INSERT INTO {hashing.TOKENS} VALUES (7, %s)", [token])
    yield
    with connection.cursor() as cursor:
        for table in (hashing.TOKENS, hashing.DEVICES):
            cursor.execute(f"DROP TABLE {table}")


def test_codes_of_before_are_hashed_and_still_open(alice: User, old_tables: None) -> None:
    assert b"lmbyz4kq" in stored()
    hashing.hash_codes(apps, SimpleNamespace(connection=connection))
    assert b"lmbyz4kq" not in stored()
    assert credentials.n_recovery_codes(alice) == 2
    assert device_of(alice).verify_token("q3nbc2da")


def test_a_store_that_never_had_them_is_left_alone() -> None:
    hashing.hash_codes(apps, SimpleNamespace(connection=connection))
    assert not RecoveryDevice.objects.exists()


def test_no_hash_is_longer_than_its_column() -> None:
    longest = RecoveryCode._meta.get_field("code_hash").max_length
    assert len(make_password("x" * 8, hasher="argon2")) <= longest
    assert len(PBKDF2PasswordHasher().encode("x" * 8, "a" * 22)) <= longest
