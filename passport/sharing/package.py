"""What is in a download: everything that the record holds, withdrawn entries too, as JSON and CSV; FHIR; PDF.

Written into a file that has no name, so that nothing of it is left behind however its worker ends; the JSON, by far
the longest part, entry by entry.
"""

import datetime as dt
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import BinaryIO, Protocol, cast

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import override

from passport import fhir, history, pdf, sheets
from passport.access import Basis, Scope
from passport.access.scope import scope_for, visible
from passport.history import LONGEST_PAGE, Filters, RecordView, Status
from passport.models import CorrectionRequest, Download, Patient, PatientIdentifier
from passport.sharing import paper
from passport.sharing.content import Wish
from passport.sharing.downloads import Note

COLUMNS = (
    "id", "category", "hospital", "hospital_name", "date", "at", "concept", "value", "unit", "low", "high", "flag",
    "status", "withdrawn_reason", "certainty", "provider", "location", "part_of", "received_at",
)  # fmt: skip


class Paper(Protocol):
    """Makes HTML of the "summary" or the "history": the pages know how a record is shown."""

    def __call__(self, scope: Scope, *, what: str, now: dt.datetime) -> str: ...


#: A PDF of more entries takes more memory than a small machine has: then the summary alone is in it.
LONGEST_PDF = 2_000

READ_ME = """Patient Passport: a copy of your record, made {at} (UTC).

record.json    every entry, also withdrawn ones, with how fresh each hospital was, and the
               corrections that were asked for
record.csv     the same entries as a table
summary.json   your summary as FHIR R4 (International Patient Summary)
summary.pdf, history.pdf   to read and to print; withdrawn entries are not in them, and subjects that
               need special care and what you keep from doctors only if you chose so

Keep this file safe: whoever has it can read all of it.
"""


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
        bundle.writestr("README.txt", READ_ME.format(at=now.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")))
        n_all = visible(scope).records.count()
        _write_json(bundle, scope, note=lambda n: note(n // 3, n_all), now=now)
        bundle.writestr("record.csv", _csv(scope, note=lambda n: note((n_all + n) // 3, n_all)))
        summary = fhir.patient_summary(scope=scope, now=now)
        bundle.writestr("summary.json", json.dumps(summary, ensure_ascii=False, indent=1))
        _write_pdf(bundle, download, scope, paper_html=paper_html, now=now)


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


def _write_pdf(
    bundle: zipfile.ZipFile, download: Download, scope: Scope, *, paper_html: Paper, now: dt.datetime
) -> None:
    if not pdf.is_available():
        return
    wish = Wish(sensitive=frozenset(download.sensitive), with_hidden=download.with_hidden)
    narrower = paper.scope_on_paper(scope, wish=wish)
    kinds = ["summary", "history"] if paper.n_entries(narrower) <= LONGEST_PDF else ["summary"]
    with override(download.language or "en"):
        for what in kinds:
            bundle.writestr(f"{what}.pdf", pdf.pdf_of(paper_html(narrower, what=what, now=now)))
