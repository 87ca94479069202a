"""A document sealed for whoever holds the key: JWE, compact, `dir` with A256GCM (RFC 7516, 7518)."""

import json
import os
from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_IV_BYTES, _TAG_BYTES = 12, 16


def base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def seal_document(content: bytes, *, key: bytes, media_type: str) -> str:
    """The five parts of a compact JWE; of them the second, an encrypted key, is empty. A new IV each time."""
    header = json.dumps({"alg": "dir", "enc": "A256GCM", "cty": media_type}, separators=(",", ":")).encode()
    protected, iv = base64url(header), os.urandom(_IV_BYTES)
    sealed = AESGCM(key).encrypt(iv, content, protected.encode())
    text, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    return ".".join([protected, "", base64url(iv), base64url(text), base64url(tag)])
