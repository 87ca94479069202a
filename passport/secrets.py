"""Secrets at rest: sealed with Fernet, or a reference to where the secret lies.

The first of `settings.CREDENTIAL_KEYS` seals, all of them open. A reference (`env:NAME`, `file:/run/secrets/x`,
`azure:NAME` in the key vault of `settings.AZURE_KEY_VAULT`) is kept as it is and followed at every use, so a rotated
secret needs no restart. A wrong key is an error: sealed text is never handed out.
"""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from passport import azure

ENV = "env:"
FILE = "file:"
AZURE = "azure:"
LONGEST_FILE = 4096  # bytes; a password is short, and a reference must not read a large file into memory

# Whoever may edit a hospital must not be able to send our own secrets to a server of theirs.
OUR_OWN = frozenset({
    "SECRET_KEY", "CREDENTIAL_KEYS", "AUDIT_KEY", "AUDIT_OLD_KEYS", "AUDIT_PUBLISH_TO", "DATABASE_URL",
    "CONTROL_DATABASE_URL", "REDIS_URL", "EMAIL_URL", "IDENTITY_HEADER",
})  # fmt: skip
# Of the kernel: /proc/self/environ holds all of the above.
NOT_FILES = (Path("/proc"), Path("/sys"), Path("/dev"))


class SecretUnavailable(Exception):
    """The secret cannot be had. The message says why and what to do, and never holds the secret."""


def is_reference(text: str) -> bool:
    """Whether the text names a place (`env:NAME`, `file:/path`, `azure:NAME`) instead of being the secret itself."""
    return text.startswith((ENV, FILE, AZURE))


def check_reference(text: str) -> None:
    """Refuse a reference that can never be followed, or that leads to a secret of our own.

    Raises SecretUnavailable. Whether the place holds anything is seen at use, not here.
    """
    if text.startswith(ENV):
        name = text.removeprefix(ENV)
        if not name.isidentifier():
            raise SecretUnavailable("env: must be followed by the name of a variable, such as env:KIGALI_PASSWORD.")
        if name.removesuffix("_FILE") in OUR_OWN:
            raise SecretUnavailable("This variable holds a secret of Patient Passport itself. Name another one.")
    elif text.startswith(FILE):
        path = Path(text.removeprefix(FILE))
        if not path.is_absolute():
            raise SecretUnavailable("file: must be followed by a full path, such as file:/run/secrets/kigali.")
        real = path.resolve()
        ours = {Path(os.environ[f"{name}_FILE"]).resolve() for name in OUR_OWN if os.environ.get(f"{name}_FILE")}
        folders = (settings.VAR_DIR.resolve(), *NOT_FILES)
        if any(real.is_relative_to(folder) for folder in folders) or real in {*ours, settings.BASE_DIR / ".env"}:
            raise SecretUnavailable("This file holds secrets of Patient Passport itself. Name another one.")
    elif text.startswith(AZURE):
        try:
            azure.check_name(text.removeprefix(AZURE))
        except azure.VaultUnavailable as error:
            raise SecretUnavailable(str(error)) from None


def seal(text: str) -> str:
    """Return what may be stored: the text sealed with the first key; a reference as it is; "" for "".

    Raises SecretUnavailable for a reference that `check_reference` refuses.
    """
    if not text:
        return ""
    if is_reference(text):
        check_reference(text)
        return text
    return _keys().encrypt(text.encode()).decode()


def open_sealed(text: str) -> str:
    """Return the secret behind stored text: opened, or read from where the reference leads.

    Raises SecretUnavailable when no key opens it or the place is empty.
    """
    if not text:
        return ""
    if is_reference(text):
        return _follow(text)
    try:
        return _keys().decrypt(text.encode()).decode()
    except InvalidToken:
        raise SecretUnavailable(
            "None of CREDENTIAL_KEYS opens this secret. Add the key it was sealed with to CREDENTIAL_KEYS, "
            "or enter the secret again."
        ) from None


def is_current(text: str) -> bool:
    """Whether nothing is to be rotated here: a reference, nothing, or sealed with the first key."""
    if not text or is_reference(text):
        return True
    try:
        Fernet(settings.CREDENTIAL_KEYS[0]).decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def rotate(text: str) -> str:
    """Return the same secret sealed with the first key; references and "" as they are.

    Raises SecretUnavailable when no key opens it.
    """
    return text if is_reference(text) else seal(open_sealed(text))


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def _follow(reference: str) -> str:
    check_reference(reference)
    if reference.startswith(ENV):
        name = reference.removeprefix(ENV)
        value = os.environ.get(name, "")
        if not value:
            raise SecretUnavailable(f"The environment variable {name} is not set. Set it and start again.")
        return value
    if reference.startswith(AZURE):
        try:
            return azure.read_secret(reference.removeprefix(AZURE))
        except azure.VaultUnavailable as error:
            raise SecretUnavailable(str(error)) from None
    path = Path(reference.removeprefix(FILE))
    try:
        with path.open("rb") as file:
            value = file.read(LONGEST_FILE).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SecretUnavailable(
            "The file that holds the secret cannot be read. See that it exists, is text, and may be read by this user."
        ) from None
    if not value:
        raise SecretUnavailable("The file that holds the secret is empty. Write the secret into it.")
    return value
