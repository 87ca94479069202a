"""What is in a download: everything that the record holds, withdrawn entries too, as PDF, CSV, JSON and FHIR.

Written into a file that has no name, so that nothing of it is left behind however its worker ends; the JSON, by far
the longest part, entry by entry.
"""

import datetime as dt
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import BinaryIO, Protocol, cast

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from passport import fhir, history, pdf, sheets
from passport.access import Basis, Scope
from passport.access.scope import scope_for, visible
from passport.history import LONGEST_PAGE, Filters, RecordView, Status
from passport.models import CorrectionRequest, Download, Patient, PatientIdentifier
from passport.sharing import paper
from passport.sharing.content import Wish
from passport.sharing.downloads import Note

#: What people look for comes first; what only programs need is on the right.
COLUMNS = (
    "date", "hospital_name", "category", "concept", "value", "unit", "flag", "low", "high", "certainty", "provider",
    "location", "status", "withdrawn_reason", "at", "received_at", "hospital", "id", "part_of",
)  # fmt: skip


class Paper(Protocol):
    """Makes HTML of the "summary" or the "history": the pages know how a record is shown."""

    def __call__(self, scope: Scope, *, what: str, now: dt.datetime) -> str: ...


#: A PDF of more entries takes more memory than a small machine has: then the summary alone is in it.
LONGEST_PDF = 2_000

WITHOUT = gettext_lazy(
    "Withdrawn entries are not in it; subjects that need special care, and what you keep from doctors, only if you "
    "chose so."
)
#: File, what it is, what else there is to say: those that people read come first.
FILES = (
    ("summary.pdf", gettext_lazy("Your summary, to read and to print."), WITHOUT),
    ("history.pdf", gettext_lazy("Your whole history by visit, to read and to print."), WITHOUT),
    ("record.csv", gettext_lazy("Every entry, also withdrawn ones, as a table for a spreadsheet."), ""),
    (
        "record.json",
        gettext_lazy(
            "The same for programs, with how up to date each hospital was, and the corrections that were asked for."
        ),
        "",
    ),
    (
        "summary.json",
        gettext_lazy("Your summary for the programs of other hospitals (FHIR R4, International Patient Summary)."),
        "",
    ),
)


@contextmanager
def made(*, download: Download, paper_html: Paper, note: Note, now: dt.datetime) -> Iterator[BinaryIO]:
    """The whole file, as long as the block lasts."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.VAR_DIR) as file:
        _write(cast(BinaryIO, file), download, paper_html=paper_html, note=note, now=now)
        yield cast(BinaryIO, file)


def _write(file: BinaryIO, download: Download, *, paper_html: Paper, note: Note, now: dt.datetime) -> None:
    scope = scope_for(patient=download.patient, basis=Basis.ONESELF)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        wish = Wish(sensitive=frozenset(download.sensitive), with_hidden=download.with_hidden)
        narrower = paper.scope_on_paper(scope, wish=wish)
        papers = _papers(narrower)
        with override(download.language or "en"):
            bundle.writestr("README.txt", _read_me(papers, now=now))
        n_all = visible(scope).records.count()
        _write_json(bundle, scope, note=lambda n: note(n // 3, n_all), now=now)
        table = _csv(scope, note=lambda n: note((n_all + n) // 3, n_all))
        bundle.writestr("record.csv", sheets.encoded(table))
        summary = fhir.patient_summary(scope=scope, now=now)
        bundle.writestr("summary.json", json.dumps(summary, ensure_ascii=False, indent=1))
        with override(download.language or "en"):
            for what in papers:
                bundle.writestr(f"{what}.pdf", pdf.pdf_of(paper_html(narrower, what=what, now=now)))


def _papers(scope: Scope) -> Sequence[str]:
    if not pdf.is_available():
        return ()
    return ("summary", "history") if paper.n_entries(scope) <= LONGEST_PDF else ("summary",)


def _read_me(papers: Sequence[str], *, now: dt.datetime) -> str:
    """What each file is, in the language in which the copy was asked for; only those that are there."""
    parts = [
        _("Patient Passport: a copy of your record, made %(at)s (UTC).")
        % {"at": now.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")}
    ]
    for name, what, more in FILES:
        if not name.endswith(".pdf") or name.removesuffix(".pdf") in papers:
            parts.append(f"{name}\n    {what} {more}".rstrip())
    if papers == ("summary",):
        parts.append(_("Your history is too long for a PDF here: the table has all of it."))
    parts.append(_("Keep this file safe: whoever has it can read all of it."))
    return "\r\n\r\n".join(part.replace("\n", "\r\n") for part in parts) + "\r\n"


def _entries(scope: Scope) -> Iterator[RecordView]:
    """Every entry that the patient may see, withdrawn ones too, newest first."""
    cursor: str | None = None
    while True:
        page = history.records_page(scope=scope, filters=Filters(status=Status.ALL), cursor=cursor, limit=LONGEST_PAGE)
        yield from page.results
        if page.next is None:
            return
        cursor = page.next


def _write_json(bundle: zipfile.ZipFile, scope: Scope, *, note: Callable[[int], None], now: dt.datetime) -> None:
    patient = scope.patient
    head = {
        "made_at": now,
        "patient": {
            "given_name": patient.given_name,
            "family_name": patient.family_name,
            "birth_date": patient.birth_date,
            "sex": patient.sex,
            "national_ids": list(
                PatientIdentifier.objects.filter(patient=patient)
                .order_by("created_at")
                .values_list("number", flat=True)
            ),
        },
        "freshness": [asdict(each) for each in history.freshness(scope=scope, now=now)],
        "corrections": _corrections(patient),
    }
    with bundle.open("record.json", "w") as file:
        # Written by hand at its edges, so that the entries never stand in memory together.
        file.write(json.dumps(head, cls=DjangoJSONEncoder, ensure_ascii=False)[:-1].encode() + b', "entries": [')
        for number, entry in enumerate(_entries(scope)):
            text = json.dumps(asdict(entry), cls=DjangoJSONEncoder, ensure_ascii=False)
            file.write(b",\n" * bool(number) + text.encode())
            if number % LONGEST_PAGE == 0:
                note(number)
        file.write(b"]}\n")


def _corrections(patient: Patient) -> list[dict[str, object]]:
    """What was asked of hospitals, the oldest first, with what they said."""
    asked = CorrectionRequest.objects.filter(patient=patient).order_by("asked_at", "pk")
    names = ("table", "source_id", "source_uuid", "reason", "words", "asked_at", "state", "state_at", "answer")
    return list(asked.values("hospital__code", *names))


def _csv(scope: Scope, *, note: Callable[[int], None]) -> str:
    def rows() -> Iterator[list[object]]:
        for number, entry in enumerate(_entries(scope)):
            if number % LONGEST_PAGE == 0:
                note(number)
            yield [getattr(entry, column) for column in COLUMNS]

    return sheets.sheet(header=COLUMNS, rows=rows())
