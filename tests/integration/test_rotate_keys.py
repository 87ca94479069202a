"""Every sealed secret moves under a new key, and the old one can go."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from hospitals.models import Hospital
from passport.models import AuditEvent
from passport.resealing import sealed_fields
from passport.secrets import SecretUnavailable, is_current, open_sealed, rotate, seal

pytestmark = pytest.mark.django_db


def hospital(number: int, password_sealed: str) -> Hospital:
    return Hospital.objects.create(
        number=number,
        code=f"h{number}",
        name=f"H {number}",
        host="db.example",
        database="openmrs",
        username="passport",
        password_sealed=password_sealed,
    )


@pytest.fixture
def keys(settings: Any) -> list[str]:
    """The old key and the new one; secrets are sealed with the old."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [old]
    return [old, new]


def test_after_the_rotation_the_old_key_is_not_needed(keys: list[str], settings: Any) -> None:
    one, reference = hospital(1, seal("tr0ub4dor&3")), hospital(2, seal("env:HUYE_PASSWORD"))
    hospital(3, "")
    settings.CREDENTIAL_KEYS = [keys[1], keys[0]]
    assert not is_current(one.password_sealed)
    call_command("rotate_keys")
    settings.CREDENTIAL_KEYS = [keys[1]]
    one.refresh_from_db()
    reference.refresh_from_db()
    assert open_sealed(one.password_sealed) == "tr0ub4dor&3"
    assert reference.password_sealed == "env:HUYE_PASSWORD"
    event = AuditEvent.objects.get(action="keys_rotated")
    assert event.details == {"resealed": 1, "current": 0, "unopened": 0}


def test_a_rotation_that_was_cut_off_goes_on(
    keys: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        hospital(number, seal("tr0ub4dor&3"))
    settings.CREDENTIAL_KEYS = [keys[1], keys[0]]
    calls: list[str] = []

    def dies_at_the_second(text: str) -> str:
        calls.append(text)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rotate(text)

    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr("passport.resealing.rotate", dies_at_the_second)
        call_command("rotate_keys")
    assert sum(is_current(one.password_sealed) for one in Hospital.objects.all()) == 1
    call_command("rotate_keys")
    assert "2 secrets sealed anew, 1 were under the first key already" in capsys.readouterr().out
    assert all(is_current(one.password_sealed) for one in Hospital.objects.all())


def test_a_secret_that_no_key_opens_is_named_and_stops_no_other(keys: list[str], settings: Any) -> None:
    lost = hospital(1, Fernet(Fernet.generate_key()).encrypt(b"x").decode())
    fine = hospital(2, seal("tr0ub4dor&3"))
    settings.CREDENTIAL_KEYS = [keys[1], keys[0]]
    with pytest.raises(CommandError, match=str(lost.pk)) as refused:
        call_command("rotate_keys")
    assert refused.value.returncode == 1
    fine.refresh_from_db()
    assert is_current(fine.password_sealed)
    assert AuditEvent.objects.get(action="keys_rotated").basis == "failed"
    settings.CREDENTIAL_KEYS = [keys[1]]
    lost.refresh_from_db()
    with pytest.raises(SecretUnavailable):
        open_sealed(lost.password_sealed)


def test_every_sealed_field_is_found_by_its_name() -> None:
    assert (Hospital, "password_sealed") in set(sealed_fields())
