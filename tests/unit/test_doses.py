"""How a medicine is taken, in words."""

import pytest
from django.utils.translation import override

from passport.glossary.words import Plain, words_for
from passport.views import doses

pytestmark = pytest.mark.django_db


def plain(language: str) -> dict[str, Plain]:
    return dict(words_for(doses.CONCEPTS, language=language))


@pytest.mark.parametrize(
    "written, said",
    [
        ("1 Tablet, Oral, Twice daily", "1 tablet, by mouth, twice a day"),
        ("2 tablet, twice daily", "2 tablets, twice a day"),
        ("1/2 Tablet, Oral", "1/2 tablet, by mouth"),
        ("1 Capsule, as needed", "1 capsule, only when needed"),
        ("500 mg, Nasogastric, at night", "500 mg, Nasogastric, at night"),
        ("", ""),
    ],
)
def test_what_the_glossary_knows_is_said_in_plain_words(written: str, said: str) -> None:
    assert doses.taken(written, plain("en")) == said


def test_it_is_said_in_the_readers_language() -> None:
    assert doses.taken("500 mg, Subcutaneous, Twice daily", plain("fr")) == "500 mg, sous la peau, deux fois par jour"


def test_where_the_hospitals_own_words_are_wanted_they_stay() -> None:
    assert doses.taken("1 Tablet, Oral, Twice daily", {}) == "1 Tablet, Oral, Twice daily"


@pytest.mark.parametrize(
    "number, unit, said",
    [
        ("5", "Days", "5 jours"), (1, "Week(s)", "1 semaine"), ("3", "Month", "3 mois"),
        ("5", "doses", ""), ("a few", "Days", ""), ("5", None, ""),
    ],
)  # fmt: skip
def test_how_long_is_said_in_the_readers_words(number: object, unit: object, said: str) -> None:
    with override("fr"):
        assert doses.lasting(number, unit).replace("\xa0", " ") == said
