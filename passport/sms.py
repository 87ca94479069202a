"""Short messages: handed to whatever `SMS_BACKEND` names. None by default; then nobody is offered any.

A backend is a class that takes no argument and has `send(to=…, text=…)`. Two are here; another is ten lines.
Numbers and texts stand in no log and no exception.
"""

import http.client
import json
import sys
from typing import Protocol, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.module_loading import import_string

WEBHOOK_SECONDS = 10


class SmsNotSent(Exception):
    """The message was not taken. The message ends in the next step."""


class SmsBackend(Protocol):
    def send(self, *, to: str, text: str) -> None:
        """Hand it over. Raises SmsNotSent."""


def can_send() -> bool:
    return bool(settings.SMS_BACKEND)


def send(*, to: str, text: str) -> None:
    """Hand it to the backend. Raises SmsNotSent."""
    backend = cast(SmsBackend, import_string(settings.SMS_BACKEND)())
    backend.send(to=to, text=text)


class ConsoleBackend:
    """Writes it to standard error, where one tries the pages out. Not for real people: the number stands there."""

    def send(self, *, to: str, text: str) -> None:
        sys.stderr.write(f"SMS to {to}: {text}\n")


class WebhookBackend:
    """Posts `{"to": …, "text": …}` as JSON to SMS_WEBHOOK_URL, with SMS_WEBHOOK_TOKEN as bearer token if there is one.

    Most gateways of telephone companies, or ten lines in front of them, take that. Any 2xx means: taken.
    """

    def send(self, *, to: str, text: str) -> None:
        address = urlsplit(settings.SMS_WEBHOOK_URL)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(address.hostname), address.port, timeout=WEBHOOK_SECONDS)
        headers = {"Content-Type": "application/json"}
        if settings.SMS_WEBHOOK_TOKEN:
            headers["Authorization"] = f"Bearer {settings.SMS_WEBHOOK_TOKEN}"
        path = f"{address.path or '/'}?{address.query}".rstrip("?")
        try:
            connection.request("POST", path, json.dumps({"to": to, "text": text}), headers)
            with connection.getresponse() as response:
                status = response.status
        except (OSError, http.client.HTTPException):
            raise SmsNotSent("The gateway in SMS_WEBHOOK_URL does not answer. Check it and its server.") from None
        finally:
            connection.close()
        if not 200 <= status < 300:  # a redirect is not followed: it would lead elsewhere than was set
            raise SmsNotSent(f"The gateway in SMS_WEBHOOK_URL answered {status}. Check it and its server.")
