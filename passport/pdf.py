"""PDF from our own print pages, by WeasyPrint (extra `pdf`). It reads what we give it and fetches nothing.

A record may hold any text; were it ever taken for mark-up, a document could be made to ask a server for something, or
to read a file of ours. So every address is refused, and styles and pictures are handed over with the page.
"""

from typing import Any, NoReturn

from django.contrib.staticfiles import finders


class PdfMissing(Exception):
    """WeasyPrint is not installed here. The message says what to do."""

    def __init__(self) -> None:
        super().__init__('PDF needs the extra "pdf": pip install "patient-passport[pdf]". Print the page instead.')


class FetchRefused(ValueError):
    """A document asked for something that was not handed over with it."""


def is_available() -> bool:
    try:
        _weasyprint()
    except PdfMissing:
        return False
    return True


def pdf_of(html: str, *, style: str = "passport/paper.css") -> bytes:
    """The page as PDF. `style`: one of our own static files, of which nothing is fetched either.

    Memory grows with the document: give at most a few hundred rows at a time. Raises PdfMissing.
    """
    weasyprint = _weasyprint()
    nothing = _refusing_fetcher(weasyprint)
    sheet = weasyprint.CSS(string=_text_of(style), url_fetcher=nothing)
    document = weasyprint.HTML(string=html, url_fetcher=nothing, media_type="print")
    return bytes(document.write_pdf(stylesheets=[sheet], presentational_hints=False))


def _weasyprint() -> Any:
    try:
        # not at the top: it takes half a second, needs libraries of the system, and is an extra
        import weasyprint
    except (ImportError, OSError):
        raise PdfMissing from None
    return weasyprint


def _text_of(style: str) -> str:
    found = finders.find(style)
    if not isinstance(found, str):
        raise FileNotFoundError(f"The style sheet {style} is not among the static files.")
    with open(found, encoding="utf-8") as file:  # noqa: PTH123 - finders give text
        return file.read()


def _refusing_fetcher(weasyprint: Any) -> Any:
    """WeasyPrint goes on without what it did not get, and says in its log that it was refused."""

    class Refusing(weasyprint.urls.URLFetcher):  # type: ignore[misc]  # the library has no types
        def fetch(self, url: str, headers: object = None) -> NoReturn:  # noqa: ARG002 - a fixed signature
            raise FetchRefused("Nothing is fetched for a PDF.")

    return Refusing()
