"""Reading the environment, and refusing nonsense with a sentence that says what to do.

Used by `settings` only. Every function raises ImproperlyConfigured whose message names the setting and the remedy,
and never repeats a secret's value.
"""

import ipaddress
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

SQLITE_OPTIONS = {
    # IMMEDIATE: a transaction that begins by reading cannot fail later when it wants to write.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000; "
    # checkpoints of 80 MB instead of 4, and 16 MB of pages in memory: measurably faster first syncs
    "PRAGMA wal_autocheckpoint=20000; PRAGMA cache_size=-16000;",
}


POSTGRES_OPTIONS = {
    "connect_timeout": 5,
    # A database host that vanished without a word is noticed after a minute, not after the kernel's two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def made_secret(env: environ.FileAwareEnv, *, name: str, debug: bool, var: Path) -> str:
    """The secret from the environment; under DEBUG a missing one is made once and kept in var/."""
    value: str = env.str(name, default="").strip()
    if value:
        return value
    if not debug:
        raise ImproperlyConfigured(
            f"{name} is not set. Make one with: {_recipe(name)}  and put it into .env as {name}=…"
        )
    kept = var / f"{name.lower()}.txt"
    if not kept.exists():
        var.mkdir(parents=True, exist_ok=True)
        made = Fernet.generate_key().decode() if name == "CREDENTIAL_KEYS" else secrets.token_urlsafe(50)
        fresh = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(made)
        try:
            # A hard link fails where the file exists: two processes that start at once agree on one secret.
            kept.hardlink_to(fresh)
        except FileExistsError:
            pass  # the other process was first, and its secret is read below
        finally:
            fresh.unlink()
    return kept.read_text().strip()


def _recipe(name: str) -> str:
    if name == "CREDENTIAL_KEYS":
        return 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
    return 'python -c "import secrets; print(secrets.token_urlsafe(50))"'


def fernet_keys(text: str) -> list[str]:
    """The comma-separated Fernet keys; the first encrypts, all decrypt."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except (ValueError, TypeError):
            raise ImproperlyConfigured(
                f"CREDENTIAL_KEYS: key number {number} is not a Fernet key. Make one with: {_recipe('CREDENTIAL_KEYS')}"
            ) from None
    if not keys:
        raise ImproperlyConfigured(f"CREDENTIAL_KEYS is empty. Make a key with: {_recipe('CREDENTIAL_KEYS')}")
    return keys


def whole_number(env: environ.FileAwareEnv, *, name: str, default: int, low: int, high: int) -> int:
    text = env.str(name, default=str(default)).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}.")
    return int(text)


def yes_or_no(env: environ.FileAwareEnv, *, name: str, default: bool) -> bool:
    text = env.str(name, default="true" if default else "false").strip().lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false.")


def networks(text: str, *, name: str) -> list[str]:
    """CIDRs, comma-separated; an empty list means: no explicit list was given."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} must be a comma-separated list of networks such as 10.0.0.0/8."
            ) from None
    return found


def places(text: str, *, name: str) -> list[str]:
    """Comma-separated places to tell something at: file:/path, mailto:someone@…, https://…"""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for place in found:
        scheme, _, rest = place.partition(":")
        is_right = {
            "file": rest.startswith("/"),
            "mailto": re.fullmatch(r"[^@\s]+@[^@\s]+", rest) is not None,
            "https": rest.startswith("//") and bool(urlsplit(place).hostname),
        }
        if not is_right.get(scheme, False):
            raise ImproperlyConfigured(
                f"{name} must hold file:/full/path, mailto:someone@example.org or https://host/path, comma-separated."
            )
    return found


def vault(text: str, *, name: str) -> str:
    """The address of a key vault without the slash at its end, or "" for none."""
    address = urlsplit(text.strip())
    if text.strip() and (address.scheme != "https" or not address.hostname or address.path.strip("/") or address.query):
        raise ImproperlyConfigured(f"{name} must be the address of a vault such as https://name.vault.azure.net")
    return text.strip().rstrip("/")


def public_url(text: str, *, name: str) -> str:
    """The address under which people reach the pages, without the slash at its end, or "" for none."""
    given = text.strip()
    address = urlsplit(given)
    is_host = address.scheme in {"https", "http"} and address.hostname and not address.username
    if given and (not is_host or address.path.strip("/") or address.query or address.fragment):
        raise ImproperlyConfigured(
            f"{name} must be the address of the start page, such as https://passport.example.org"
        )
    return given.rstrip("/")


def sms_backend(text: str, *, name: str) -> str:
    """The dotted path of a class, or "" for none. Whether it is there a system check says: settings import nothing."""
    if text.strip() and not re.fullmatch(r"[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)+", text.strip()):
        raise ImproperlyConfigured(f"{name} must be the path of a class, such as passport.sms.WebhookBackend.")
    return text.strip()


def webhook(text: str, *, name: str) -> str:
    """An https address, or one of this machine itself, or "" for none."""
    address = urlsplit(text.strip())
    is_here = address.hostname in {"localhost", "127.0.0.1", "::1"}
    is_right = bool(address.hostname) and (address.scheme == "https" or (address.scheme == "http" and is_here))
    if text.strip() and not is_right:
        raise ImproperlyConfigured(f"{name} must be an https address; http only for a gateway on this machine.")
    return text.strip()


def pattern(text: str, *, name: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise ImproperlyConfigured(f"{name} is not a regular expression. Example: [0-9]{{16}}") from None
    return text


def redis_url(text: str) -> str:
    if text and urlsplit(text).scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured("REDIS_URL must look like redis://host:6379/0.")
    return text


def mail(url: str) -> dict[str, Any]:
    """Django's EMAIL_ settings for a URL; without one nothing is sent."""
    if url and not url.startswith(
        ("smtp://", "smtps://", "smtp+tls://", "smtp+ssl://", "filemail://", "memorymail://")
    ):
        raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587.")
    try:
        return dict(environ.FileAwareEnv.email_url_config(url or "dummymail://"))
    except ValueError:  # a port that is no number
        raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587.") from None


def is_mongodb(url: str) -> bool:
    return url.startswith(("mongodb://", "mongodb+srv://"))


def relational(url: str, *, name: str, base: Path) -> dict[str, Any]:
    """Django's settings for a sqlite, postgres or mysql URL."""
    scheme = url.split(":", 1)[0]
    if scheme not in {"sqlite", "postgres", "postgresql", "mysql"}:
        raise ImproperlyConfigured(
            f"{name} must begin with sqlite://, postgres:// or mysql:// "
            "(mongodb:// is for DATABASE_URL only and holds the records)."
        )
    try:
        config: dict[str, Any] = environ.FileAwareEnv.db_url_config(url)
    except ValueError:  # a port that is no number, a bracket that stays open
        raise ImproperlyConfigured(
            f"{name} is not an address. Example: {scheme}://user:password@host:3306/passport"
        ) from None
    if not config.get("NAME"):
        raise ImproperlyConfigured(f"{name} names no database. Example: {scheme}://user:password@host/passport")
    if scheme == "sqlite":
        path = Path(config["NAME"])
        config["NAME"] = str(path if path.is_absolute() else base / path)
        Path(config["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        config["OPTIONS"] = {**SQLITE_OPTIONS}
        # To open a file anew for every page costs more than most of its queries.
        config["CONN_MAX_AGE"] = 60
    elif scheme == "mysql":
        config["OPTIONS"] = {"charset": "utf8mb4", "isolation_level": "read committed", "connect_timeout": 5}
        config["CONN_MAX_AGE"] = 60
        config["CONN_HEALTH_CHECKS"] = True
    else:
        config["OPTIONS"] = POSTGRES_OPTIONS | config.get("OPTIONS", {})
        config["CONN_MAX_AGE"] = 60
        config["CONN_HEALTH_CHECKS"] = True
    return config


def mongodb(url: str) -> dict[str, Any]:
    """Django's settings for the records in MongoDB. The database's name is the URL's path."""
    name = urlsplit(url).path.strip("/")
    if not name:
        raise ImproperlyConfigured(
            "DATABASE_URL names no database. Example: mongodb://user:password@host:27017/passport"
        )
    parts = urlsplit(url)
    query = (
        parts.query
        if "serverSelectionTimeoutMS" in parts.query
        else f"{parts.query}&serverSelectionTimeoutMS=5000".lstrip("&")
    )
    return {
        "ENGINE": "django_mongodb_backend",
        "HOST": parts._replace(query=query).geturl(),
        "NAME": name,
    }
