"""Mail that leaves by itself: handed over in a thread of its own, so that no answer waits for it.

The time of an answer must not tell whether somebody has an address here. A letter that cannot be handed over is logged
by its kind; whoever waits for it asks again.
"""

import logging
import threading
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`kind` is for our log; `to` empty: nobody gets it, and nobody can tell."""

    kind: str
    to: str
    subject: str
    body: str


def can_send() -> bool:
    """Whether a mail server was named in EMAIL_URL."""
    return not str(settings.EMAIL_BACKEND).endswith(".dummy.EmailBackend")


def send(letter: Letter) -> threading.Thread:
    """Hand it over and return at once. The same steps for a letter to nobody."""
    thread = threading.Thread(target=_hand_over, args=(letter,), name="letter", daemon=True)
    thread.start()
    return thread


def _hand_over(letter: Letter) -> None:
    if not letter.to:
        return
    try:
        EmailMessage(subject=letter.subject, body=letter.body, to=[letter.to]).send()
    except Exception as error:  # noqa: BLE001 - the entry point of its thread; its text may hold the address
        log.error("letter %s was not handed over: %s", letter.kind, type(error).__name__)  # noqa: TRY400
