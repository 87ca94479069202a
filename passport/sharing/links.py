"""How a link is written. Source: SMART Health Links, "Construct a SHLink Payload"."""

import json
import secrets
from base64 import urlsafe_b64decode

from django.utils.crypto import get_random_string

from passport.models import Share
from passport.secrets import open_sealed, seal
from passport.sharing.sealing import base64url, new_key

#: Of the address: as many bits as the specification asks for, 43 characters.
TOKEN_BYTES = 32
PASSCODE_DIGITS = 6


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_sealed_key() -> str:
    return seal(base64url(new_key()))


def new_passcode() -> str:
    """Digits, so that it can be said over the telephone in any language. Five tries: one in 200,000 guesses it."""
    return get_random_string(PASSCODE_DIGITS, "0123456789")


def key_of(share: Share) -> bytes:
    """Raises SecretUnavailable when CREDENTIAL_KEYS no longer opens it."""
    return urlsafe_b64decode(open_sealed(share.key_sealed) + "=")


def link_to(share: Share, *, page: str, manifest: str) -> str:
    """The whole link for the recipient. `page`: the address for people; `manifest`: the one for programs.

    Raises SecretUnavailable.
    """
    payload = {
        "url": manifest,
        "exp": int(share.ends_at.timestamp()),
        "flag": "P" if share.passcode_hash else "",
        "key": open_sealed(share.key_sealed),
        "label": share.label,
        "v": 1,
    }
    # "Omitted" is how the specification says that there is none.
    told = {name: value for name, value in payload.items() if value != ""}
    return f"{page}#shlink:/{base64url(json.dumps(told, separators=(',', ':')).encode())}"
