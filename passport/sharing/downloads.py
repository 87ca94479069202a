"""The life of a download: asked for by the patient, made by a worker, fetched by the patient, deleted by the clock.

A worker that dies of it is noticed by its silence; the next starts again. The file is kept in our database, so that any
web host can hand out what any worker made, and gone a day after it was made, or minutes after it was fetched.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from passport import upward
from passport.access import AccessRefused
from passport.audit import record_event
from passport.models import Download, DownloadPart, Patient, User

KEEP = dt.timedelta(days=1)
#: After it was fetched: a connection that broke may try again.
KEEP_FETCHED = dt.timedelta(minutes=10)
LONGEST_SILENCE = dt.timedelta(minutes=10)
MOST_TRIES = 3
MOST_A_DAY = 10
#: Bytes; below what every store takes in one statement.
PART = 256 * 1024
UNDER_WAY = (Download.Status.QUEUED, Download.Status.RUNNING)

#: (entries written, entries in all): a sign of life.
Note = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What is handed out. `content` is read from the database piece by piece."""

    n_bytes: int
    content: Iterator[bytes]


def ask(
    *, patient: Patient, actor: User, sensitive: frozenset[str], with_hidden: bool, language: str, now: dt.datetime
) -> Download | None:
    """One that waits for a worker; None when one is under way. Raises AccessRefused after very many in a day."""
    with transaction.atomic():
        # locked: of two who ask at once one gets a download
        Patient.objects.select_for_update(of=("self",)).only("pk").get(pk=patient.pk)
        mine = Download.objects.filter(patient=patient)
        if mine.filter(status__in=UNDER_WAY).exists():
            return None
        if mine.filter(asked_at__gt=now - dt.timedelta(days=1)).count() >= MOST_A_DAY:
            raise AccessRefused(_("You have asked for very many copies today. Go on tomorrow."))
        download = Download.objects.create(
            patient=patient,
            sensitive=sorted(sensitive),
            with_hidden=with_hidden,
            language=language,
            asked_at=now,
            alive_at=now,
        )
        upward.send_download(download_id=download.pk)
        _record("download_asked", download, actor=actor, now=now)
    return download


def take(*, download_id: UUID, now: dt.datetime) -> Download | None:
    """It, ours from now on; None when somebody has it: a queue may deliver a task twice."""
    waiting = Download.objects.filter(pk=download_id, status=Download.Status.QUEUED)
    if not waiting.update(status=Download.Status.RUNNING, n_tries=F("n_tries") + 1, alive_at=now):
        return None
    return Download.objects.select_related("patient").get(pk=download_id)


def live_on(*, download: Download, n_done: int, n_all: int, now: dt.datetime) -> None:
    _ours(download).update(n_done=n_done, n_all=n_all, alive_at=now)


@transaction.atomic
def done(*, download: Download, file: BinaryIO, now: dt.datetime) -> bool:
    """Keep the file, all of it or nothing. False when it is no longer ours: then the file is another worker's."""
    ended = {"status": Download.Status.DONE, "made_at": now, "alive_at": now, "n_done": F("n_all")}
    if not _ours(download).update(n_bytes=file.seek(0, 2), **ended):
        return False
    file.seek(0)
    for number, content in enumerate(iter(lambda: file.read(PART), b"")):
        DownloadPart.objects.create(download=download, number=number, content=content)
    return True


def fail(*, download: Download, now: dt.datetime) -> None:
    _ours(download).update(status=Download.Status.FAILED, alive_at=now)


def _ours(download: Download) -> QuerySet[Download]:
    """A worker that wakes up late finds another number of tries, and writes nothing."""
    return Download.objects.filter(pk=download.pk, status=Download.Status.RUNNING, n_tries=download.n_tries)


def revive(*, now: dt.datetime) -> list[UUID]:
    """Free what nobody works on any more; ids of those to send again. What was tried often enough has failed."""
    silent = Download.objects.filter(status__in=UNDER_WAY, alive_at__lt=now - LONGEST_SILENCE)
    silent.filter(n_tries__gte=MOST_TRIES).update(status=Download.Status.FAILED)
    found = list(silent.values_list("pk", flat=True))
    Download.objects.filter(pk__in=found).update(status=Download.Status.QUEUED, alive_at=now)
    return found


def clean(*, now: dt.datetime) -> int:
    """Delete files that are over. How many."""
    over = Q(made_at__lt=now - KEEP) | Q(fetched_at__lt=now - KEEP_FETCHED)
    ended = list(Download.objects.filter(over, status=Download.Status.DONE).values_list("pk", flat=True))
    Download.objects.filter(pk__in=ended).update(status=Download.Status.GONE)
    DownloadPart.objects.filter(download__in=ended).delete()
    _clean_folder()
    return len(ended)


def _clean_folder() -> None:
    """Where earlier versions kept the files, on this machine."""
    folder = Path(settings.VAR_DIR) / "downloads"
    if folder.is_dir():
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()


def last_of(patient: Patient) -> Download | None:
    return Download.objects.filter(patient=patient).order_by("-asked_at", "-pk").first()


def fetch(*, patient: Patient, actor: User, download_id: UUID, now: dt.datetime) -> File | None:
    """The file, for the patient alone; written down before it is handed out. None when there is none (any more)."""
    with transaction.atomic():
        mine = Download.objects.filter(pk=download_id, patient=patient, status=Download.Status.DONE)
        fresh = mine.filter(made_at__gt=now - KEEP).exclude(fetched_at__lt=now - KEEP_FETCHED).first()
        if fresh is None or not fresh.n_bytes:  # made by an earlier version: its file lay elsewhere
            return None
        mine.filter(fetched_at__isnull=True).update(fetched_at=now)
        _record("download_fetched", fresh, actor=actor, now=now)
    return File(n_bytes=fresh.n_bytes, content=_content(fresh))


def _content(download: Download) -> Iterator[bytes]:
    parts = DownloadPart.objects.filter(download=download)
    for number in parts.order_by("number").values_list("number", flat=True):
        # one at a time in memory
        yield bytes(parts.values_list("content", flat=True).get(number=number))


def _record(action: str, download: Download, *, actor: User, now: dt.datetime) -> None:
    record_event(
        action=action,
        actor=actor,
        now=now,
        patient_id=download.patient_id,
        basis="oneself",
        details={"download": download.pk},
    )
