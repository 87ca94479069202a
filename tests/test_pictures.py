"""The pictures in docs are those that the command makes, each is shown somewhere, and they stay small."""

import re
from pathlib import Path

from tests.parts import ROOT
from tests.pictures.pages import PICTURES

FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 2_000_000
SHOWN = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*\bsrc=\"([^\"]+)\"")


def made() -> set[str]:
    return {f"{picture.name}-{look.name}.webp" for picture in PICTURES for look in picture.kept}


def shown() -> dict[Path, set[Path]]:
    """File of documentation → the pictures that it shows."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {
        page: {
            (page.parent / (first or second)).resolve()
            for first, second in SHOWN.findall(page.read_text())
            if "://" not in first + second
        }
        for page in pages
    }


def test_every_picture_that_docs_show_is_there() -> None:
    assert [f"{page}: {one}" for page, pictures in shown().items() for one in pictures if not one.is_file()] == []
    assert shown()[ROOT / "README.md"]


def test_the_command_makes_every_picture_that_is_kept_and_docs_show_each() -> None:
    kept = {path.name for path in FOLDER.iterdir() if path.suffix != ".md"}
    assert kept == made()
    assert kept == {path.name for path in shown()[FOLDER / "README.md"]}


def test_no_two_pages_share_a_picture() -> None:
    names = [picture.name for picture in PICTURES]
    assert len(names) == len(set(names))


def test_the_pictures_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES
