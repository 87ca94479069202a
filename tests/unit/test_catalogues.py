"""The translations themselves: complete, whole, compiled. Whether pages use them is tested where pages are rendered."""

import datetime as dt
import gettext
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import formats, translation

from passport.templatetags.pages import day, figure, month_day, short_day
from tests.catalogues import LANGUAGES, PLACEHOLDER, messages, path_of
from tests.parts import ROOT, require

N_PLURALS = 2  # of French and of Kinyarwanda alike


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_without_a_translation(language: str) -> None:
    found = messages(language)
    assert len(found) > 600
    assert [each.singular for each in found if each.is_fuzzy or not all(each.translations)] == []
    wanted = {each.singular: N_PLURALS if each.plural else 1 for each in found}
    assert {each.singular: len(each.translations) for each in found} == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_stay_exactly_as_they_are(language: str) -> None:
    for each in messages(language):
        wanted = {tuple(sorted(PLACEHOLDER.findall(text))) for text in each.texts}
        got = {tuple(sorted(PLACEHOLDER.findall(text))) for text in each.translations}
        assert got == wanted, each.singular
        assert {text.count("%") for text in each.translations} == {text.count("%") for text in each.texts}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_stays_a_sentence(language: str) -> None:
    """The full stop is what a cut translation loses; markup has no place in a text."""
    for each in messages(language):
        if each.context:  # months that are cut short end in a point, or not
            continue
        for text in each.translations:
            assert text == text.strip()
            assert text.endswith((".", "?")) == each.singular.endswith((".", "?")), (each.singular, text)
            assert "<" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    wanted: dict[object, str] = {}
    for each in messages(language):
        if each.plural:
            wanted |= {(each.key, number): text for number, text in enumerate(each.translations)}
        else:
            wanted[each.key] = each.translations[0]
    with path_of(language, suffix="mo").open("rb") as compiled:
        catalogue = dict(gettext.GNUTranslations(compiled)._catalog)  # type: ignore[attr-defined]
    catalogue.pop("")  # the heading
    assert catalogue == wanted


def test_both_languages_say_the_same_texts() -> None:
    french, kinyarwanda = ({each.key for each in messages(language)} for language in LANGUAGES)
    assert french == kinyarwanda


def test_the_kinyarwanda_says_that_it_awaits_review() -> None:
    assert "Awaiting review by a speaker." in path_of("rw").read_text().splitlines()[0]


@pytest.mark.slow
def test_every_text_of_the_code_is_in_the_catalogues(tmp_path: Path) -> None:
    """A new text? `./run messages`, then its two translations. Made twice, the files are the same to the byte."""
    require("msgfmt")
    copy = tmp_path / "copy"
    for name in ("locale", "passport", "hospitals", "openmrs_sync", "templates", "manage.py"):
        source = ROOT / name
        copy_one = shutil.copytree if source.is_dir() else shutil.copy
        copy.mkdir(exist_ok=True)
        copy_one(source, copy / name)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "PYTHONPATH": str(copy),
        "DEBUG": "true",
        "SECRET_KEY": "x" * 50,
        "VAR_DIR": str(tmp_path),
    }

    def make() -> dict[Path, bytes]:
        subprocess.run([sys.executable, "locale/messages.py"], cwd=copy, env=environment, check=True, timeout=120)
        files = [path_of(language, suffix=suffix, root=copy) for language in LANGUAGES for suffix in ("po", "mo")]
        return {path: path.read_bytes() for path in files}

    first = make()
    for language in LANGUAGES:
        assert {each.key for each in messages(language, root=copy)} <= {each.key for each in messages(language)}
    assert make() == first


# --- days and figures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "language, wanted",
    [
        ("en", ("4 August 2024", "4 Aug 2024", "4 Aug", "6.5")),
        ("fr", ("4 août 2024", "4 août 2024", "4 août", "6,5")),
        ("rw", ("4 Kanama 2024", "4 Kan 2024", "4 Kan", "6.5")),
    ],
)
def test_days_and_figures_are_written_as_the_language_writes_them(language: str, wanted: tuple[str, ...]) -> None:
    moment = "2024-08-04 10:35:00"
    with translation.override(language):
        assert (day(moment), short_day(moment), month_day(moment), figure(6.50)) == wanted


def test_kinyarwanda_has_its_own_months_and_days_of_the_week() -> None:
    english, kinyarwanda = (set(_names(language)) for language in ("en", "rw"))
    assert len(english) == len(kinyarwanda) == 19
    assert not english & kinyarwanda


def _names(language: str) -> list[str]:
    with translation.override(language):
        months = [formats.date_format(dt.date(2024, month, 1), "F") for month in range(1, 13)]
        return months + [formats.date_format(dt.date(2024, 1, day), "l") for day in range(1, 8)]
