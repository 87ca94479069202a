"""The sections in words: what a person reads where no program does. XHTML as FHIR allows it, everything escaped."""

from collections.abc import Iterable, Sequence

from django.utils.html import escape

from passport.fhir.codes import Json


def table(*, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Json:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return _div(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def sentence(text: str) -> Json:
    return _div(f"<p>{_text(text)}</p>")


def _div(inner: str) -> Json:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'}


def _text(text: str) -> str:
    # XML has no place for control characters, whatever a hospital's text holds.
    return escape("".join(c for c in text if c in "\t\n" or c.isprintable()))
