"""Secrets from an Azure key vault, read with this machine's managed identity. Two requests of the standard library.

The vault's address and the beginning of the names come from the settings, never from the reference: who edits a
hospital chooses neither where our token goes nor a secret that is not a hospital's. Redirects are not followed.
"""

import http.client
import json
import os
import re
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings

#: The metadata service of Azure's virtual machines; App Service and containers say theirs in IDENTITY_ENDPOINT.
METADATA_SERVICE = "http://169.254.169.254/metadata/identity/oauth2/token"
RESOURCE = "https://vault.azure.net"
SECONDS = 5  # for each of the two requests
LONGEST_ANSWER = 64 * 1024
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class VaultUnavailable(Exception):
    """The secret cannot be had. The message says what to do; never the token, the secret or the vault's answer."""


def check_name(name: str) -> None:
    """Refuse a name that can never be a hospital's secret. Raises VaultUnavailable; asks nobody."""
    if not settings.AZURE_KEY_VAULT:
        raise VaultUnavailable("azure: needs a vault. Set AZURE_KEY_VAULT and start again.")
    if not _NAME.fullmatch(name) or not name.startswith(settings.AZURE_SECRET_PREFIX):
        raise VaultUnavailable(
            "azure: must be followed by a secret's name of letters, digits and dashes that begins with "
            f"{settings.AZURE_SECRET_PREFIX} (AZURE_SECRET_PREFIX)."
        )


def read_secret(name: str) -> str:
    """The present version of this secret. Raises VaultUnavailable within twice SECONDS."""
    check_name(name)
    address = urlsplit(f"{settings.AZURE_KEY_VAULT}/secrets/{name}?api-version=7.4")
    answer = _ask(address, {"Authorization": f"Bearer {_token()}"}, what="The key vault")
    value = answer.get("value")
    if not isinstance(value, str) or not value:
        raise VaultUnavailable("The secret in the key vault is empty. Write the password into it.")
    return value


def _token() -> str:
    """A token of the managed identity for key vaults."""
    endpoint, header = os.environ.get("IDENTITY_ENDPOINT", ""), os.environ.get("IDENTITY_HEADER", "")
    if endpoint and header:
        query, headers = {"api-version": "2019-08-01", "resource": RESOURCE}, {"X-IDENTITY-HEADER": header}
    else:
        endpoint = METADATA_SERVICE
        query, headers = {"api-version": "2018-02-01", "resource": RESOURCE}, {"Metadata": "true"}
    answer = _ask(urlsplit(f"{endpoint}?{urlencode(query)}"), headers, what="The managed identity's service")
    token = answer.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,20000}", token):
        raise VaultUnavailable("The managed identity gave no token. See that this machine has one.")
    return token


def _ask(address: SplitResult, headers: dict[str, str], *, what: str) -> dict[str, Any]:
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(address.hostname), address.port, timeout=SECONDS)
    try:
        connection.request("GET", f"{address.path}?{address.query}", headers=headers)
        with connection.getresponse() as response:
            status, body = response.status, response.read(LONGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        raise VaultUnavailable(
            f"{what} does not answer. Check the network, AZURE_KEY_VAULT and the identity."
        ) from None
    finally:
        connection.close()
    if status == 404:
        raise VaultUnavailable(f"{what} knows no secret of this name. Make it, or correct the name.")
    if status in {401, 403}:
        raise VaultUnavailable(f"{what} refuses us. Let this machine's identity read secrets there.")
    try:
        answer = json.loads(body) if status == 200 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise VaultUnavailable(f"{what} answered {status}, which is of no use. Try again, then ask its administrator.")
    return answer
