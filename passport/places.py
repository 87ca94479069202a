"""Telling something at a place outside: a file, a mail address, an https address. What is told holds no patient.

Places come from settings (`environment.places`); errors name the setting and the kind of place, never the address,
which may carry a secret.
"""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from django.core.mail import send_mail

WEBHOOK_SECONDS = 10


class NotTold(Exception):
    """A place could not be told. The message ends in the next step."""


def tell(place: str, *, setting: str, subject: str, text: str, body: str) -> None:
    """Tell it at one place. Raises NotTold.

    A file gets `body` as one more line, a mail `subject` and `text`, an https address `body` as JSON by POST.
    """
    kind, _, rest = place.partition(":")
    if kind == "file":
        _append(Path(rest), body, setting=setting)
    elif kind == "mailto":
        _mail(rest, subject=subject, text=text)
    else:
        _post(place, body, setting=setting)


def _append(path: Path, line: str, *, setting: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError:
        raise NotTold(
            f"The file in {setting} cannot be written. See that its folder exists and lets this user write."
        ) from None


def _mail(address: str, *, subject: str, text: str) -> None:
    try:
        send_mail(subject, text, None, [address])
    except OSError:  # smtplib's errors, refused and unreachable alike
        raise NotTold("The mail could not be sent. Check EMAIL_URL and the mail server.") from None


def _post(place: str, body: str, *, setting: str) -> None:
    address = urlsplit(place)
    path = f"{address.path or '/'}?{address.query}".rstrip("?")
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, timeout=WEBHOOK_SECONDS)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            status = response.status
    except (OSError, http.client.HTTPException):
        raise NotTold(f"The https address in {setting} does not answer. Check it and its server.") from None
    finally:
        connection.close()
    if not 200 <= status < 300:  # a redirect is not followed: it would lead elsewhere than was set
        raise NotTold(f"The https address in {setting} answered {status}. Check it and its server.")
