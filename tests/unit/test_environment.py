"""Settings refuse nonsense with a sentence that says what to do, and never repeat a secret."""

from pathlib import Path
from typing import Any

import environ
import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from passport import environment


def env(monkeypatch: pytest.MonkeyPatch, **values: str) -> Any:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return environ.FileAwareEnv()


def test_mail_is_off_without_an_address_and_nonsense_is_refused() -> None:
    assert environment.mail("")["EMAIL_BACKEND"].endswith(".dummy.EmailBackend")
    found = environment.mail("smtp+tls://user:secret@mail.example.org:587")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.org", 587, True)
    for nonsense in ("mail.example.org", "https://mail.example.org", "consolemail://", "smtp://h:port"):
        with pytest.raises(ImproperlyConfigured, match="EMAIL_URL must look like") as refused:
            environment.mail(nonsense)
        assert nonsense not in str(refused.value)


def test_a_missing_secret_is_refused_with_the_command_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)

    with pytest.raises(ImproperlyConfigured, match="python -c"):
        environment.made_secret(env(monkeypatch), name="SECRET_KEY", debug=False, var=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_under_debug_a_missing_secret_is_made_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CREDENTIAL_KEYS", raising=False)

    made = [
        environment.made_secret(env(monkeypatch), name="CREDENTIAL_KEYS", debug=True, var=tmp_path) for _ in range(2)
    ]

    assert made[0] == made[1] == environment.fernet_keys(made[0])[0]
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")

    found = environment.made_secret(
        env(monkeypatch, SECRET_KEY_FILE=str(file)), name="SECRET_KEY", debug=False, var=tmp_path
    )

    assert found == "from-a-file"


def test_the_first_key_encrypts_and_a_bad_one_is_named_by_its_place() -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    assert environment.fernet_keys(", ".join(keys)) == keys

    with pytest.raises(ImproperlyConfigured, match="key number 2") as refused:
        environment.fernet_keys(f"{keys[0]},not-a-key")

    assert "not-a-key" not in str(refused.value)
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        environment.fernet_keys(" , ")


@pytest.mark.parametrize("text", ["0", "-1", "1441", "1.5", "x", "", "1e3"])
def test_a_number_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OPENMRS_SYNC_INTERVAL must be a whole number from 1 to 1440"):
        environment.whole_number(
            env(monkeypatch, OPENMRS_SYNC_INTERVAL=text), name="OPENMRS_SYNC_INTERVAL", default=5, low=1, high=1440
        )


@pytest.mark.parametrize("text,meant", [("TRUE", True), ("on", True), ("0", False), ("No", False)])
def test_yes_and_no_may_be_said_in_several_ways(monkeypatch: pytest.MonkeyPatch, text: str, meant: bool) -> None:
    assert environment.yes_or_no(env(monkeypatch, DEBUG=text), name="DEBUG", default=not meant) is meant


def test_maybe_is_neither_yes_nor_no(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="DEBUG must be true or false"):
        environment.yes_or_no(env(monkeypatch, DEBUG="maybe"), name="DEBUG", default=False)


@pytest.mark.parametrize("url", ["mongodb://h/x", "oracle://h/x", "passport.sqlite3", "http://h/x"])
def test_the_control_plane_is_relational(url: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="sqlite://, postgres:// or mysql://"):
        environment.relational(url, name="CONTROL_DATABASE_URL", base=tmp_path)


def test_a_server_without_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="names no database"):
        environment.relational("postgres://user:secret@host", name="DATABASE_URL", base=tmp_path)
    with pytest.raises(ImproperlyConfigured, match="names no database"):
        environment.mongodb("mongodb://user:secret@host")


def test_a_mongodb_that_is_away_is_noticed_within_seconds() -> None:
    config = environment.mongodb("mongodb://host:27017/passport?w=majority")

    assert config["NAME"] == "passport"
    assert config["HOST"].endswith("?w=majority&serverSelectionTimeoutMS=5000")


def test_networks_and_patterns_are_read_at_the_start_and_not_at_the_first_use() -> None:
    assert environment.networks("10.0.0.0/8, 192.168.0.0/16", name="N") == ["10.0.0.0/8", "192.168.0.0/16"]
    with pytest.raises(ImproperlyConfigured, match=r"10\.0\.0\.0/8"):
        environment.networks("10.0.0.0/99", name="ALLOWED_SOURCE_NETWORKS")
    with pytest.raises(ImproperlyConfigured, match="not a regular expression"):
        environment.pattern("[0-9", name="NATIONAL_ID_PATTERN")
    with pytest.raises(ImproperlyConfigured, match="redis://"):
        environment.redis_url("localhost:6379")


def test_places_to_tell_something_at_are_a_file_a_mail_address_or_an_https_address() -> None:
    said = "file:/var/heads.jsonl, mailto:dpo@example.org,https://example.org/heads"
    assert environment.places(said, name="AUDIT_PUBLISH_TO") == [part.strip() for part in said.split(",")]
    assert environment.places(" ", name="AUDIT_PUBLISH_TO") == []


@pytest.mark.parametrize(
    "wrong", ["heads.jsonl", "file:heads", "mailto:nobody", "http://example.org/", "https://", "ftp://x/y"]
)
def test_a_place_that_cannot_be_told_at_is_refused(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"AUDIT_PUBLISH_TO must hold"):
        environment.places(wrong, name="AUDIT_PUBLISH_TO")


def test_a_vault_is_an_https_address_without_a_path() -> None:
    assert environment.vault(" https://name.vault.azure.net/ ", name="X") == "https://name.vault.azure.net"
    assert environment.vault("", name="X") == ""


@pytest.mark.parametrize("wrong", ["http://name.vault.azure.net", "name", "https://", "https://name/secrets/x"])
def test_anything_else_is_no_vault(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="AZURE_KEY_VAULT must be"):
        environment.vault(wrong, name="AZURE_KEY_VAULT")


@pytest.mark.parametrize("text", ["", "https://passport.example.org", "http://127.0.0.1:8000"])
def test_the_address_of_the_pages_is_one_without_a_path(text: str) -> None:
    assert environment.public_url(f" {text}/" if text else "", name="PUBLIC_URL") == text


@pytest.mark.parametrize(
    "wrong", ["passport.example.org", "https://h/path", "https://h/?q", "ftp://h", "https://user:secret@h", "https://"]
)
def test_anything_else_is_no_address_of_pages(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL must be") as refused:
        environment.public_url(wrong, name="PUBLIC_URL")
    assert "secret" not in str(refused.value)


def test_a_gateway_for_sms_is_an_https_address_or_on_this_machine() -> None:
    for right in ("", "https://gateway.example.org/sms?from=passport", "http://localhost:8080/send"):
        assert environment.webhook(right, name="SMS_WEBHOOK_URL") == right
    for wrong in ("http://gateway.example.org", "gateway", "https://"):
        with pytest.raises(ImproperlyConfigured, match="SMS_WEBHOOK_URL must be an https address"):
            environment.webhook(wrong, name="SMS_WEBHOOK_URL")


def test_a_backend_for_sms_is_named_by_its_path() -> None:
    assert environment.sms_backend(" passport.sms.ConsoleBackend ", name="SMS_BACKEND") == "passport.sms.ConsoleBackend"
    for wrong in ("console", "passport.sms.", "os.system('x')"):
        with pytest.raises(ImproperlyConfigured, match="SMS_BACKEND must be the path"):
            environment.sms_backend(wrong, name="SMS_BACKEND")
