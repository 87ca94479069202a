"""Sealed secrets and references to secrets."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from passport.secrets import SecretUnavailable, is_reference, open_sealed, rotate, seal

SECRET = "tr0ub4dor&3 é"


def test_what_is_sealed_can_be_opened_and_not_read() -> None:
    sealed = seal(SECRET)
    assert SECRET not in sealed
    assert open_sealed(sealed) == SECRET
    assert not is_reference(sealed)
    assert seal(SECRET) != sealed  # two equal passwords do not show


def test_nothing_stays_nothing() -> None:
    assert (seal(""), open_sealed("")) == ("", "")


def test_a_lost_key_is_an_error_and_never_the_sealed_text(settings: Any) -> None:
    sealed = seal(SECRET)
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SecretUnavailable, match="CREDENTIAL_KEYS") as caught:
        open_sealed(sealed)
    assert sealed not in str(caught.value)


@pytest.mark.parametrize("text", ["plain", "gAAAAA", "é"])
def test_what_was_never_sealed_is_an_error(text: str) -> None:
    with pytest.raises(SecretUnavailable):
        open_sealed(text)


def test_a_new_first_key_seals_and_the_old_one_still_opens(settings: Any) -> None:
    old, new = list(settings.CREDENTIAL_KEYS), Fernet.generate_key().decode()
    sealed = seal(SECRET)
    settings.CREDENTIAL_KEYS = [new, *old]
    rotated = rotate(sealed)
    settings.CREDENTIAL_KEYS = [new]
    assert open_sealed(rotated) == SECRET
    assert rotate("env:KIGALI") == "env:KIGALI"


def test_a_variable_is_read_at_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seal("env:KIGALI_PASSWORD") == "env:KIGALI_PASSWORD"
    with pytest.raises(SecretUnavailable, match="KIGALI_PASSWORD is not set"):
        open_sealed("env:KIGALI_PASSWORD")
    monkeypatch.setenv("KIGALI_PASSWORD", SECRET)
    assert open_sealed("env:KIGALI_PASSWORD") == SECRET


def test_a_file_is_read_at_use_without_its_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        open_sealed(f"file:{file}")
    file.write_text(f"{SECRET}\n")
    assert open_sealed(f"file:{file}") == SECRET
    file.write_text("\n")
    with pytest.raises(SecretUnavailable, match="empty"):
        open_sealed(f"file:{file}")


@pytest.mark.parametrize("reference", ["env:", "env:not a name", "file:", "file:relative/path"])
def test_a_reference_that_leads_nowhere_is_refused_at_once(reference: str) -> None:
    with pytest.raises(SecretUnavailable):
        seal(reference)


@pytest.mark.parametrize(
    "reference",
    ["env:SECRET_KEY", "env:CREDENTIAL_KEYS_FILE", "file:/proc/self/environ", "env:IDENTITY_HEADER", "file:/dev/fd/3"],
)
def test_our_own_secrets_are_sent_to_no_hospital(reference: str) -> None:
    with pytest.raises(SecretUnavailable, match="Patient Passport itself"):
        open_sealed(reference)


def test_a_file_of_our_own_is_sent_to_no_hospital(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.VAR_DIR / "made.txt").write_text("x")
    (tmp_path / "link").symlink_to(settings.VAR_DIR / "made.txt")
    (tmp_path / "key").write_text("x")
    monkeypatch.setenv("AUDIT_KEY_FILE", str(tmp_path / "key"))
    for path in (settings.VAR_DIR / "made.txt", tmp_path / "link", tmp_path / "key"):
        with pytest.raises(SecretUnavailable, match="Patient Passport itself"):
            open_sealed(f"file:{path}")
