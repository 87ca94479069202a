"""How a medicine is taken, in the reader's words: "Oral, Twice daily" → "par la bouche, deux fois par jour". Pure.

A record keeps the names that the hospital's dictionary has for these words, not which concepts they are; so they are
known by the name that the glossary gives beside each. A word that it does not know stays the hospital's.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from passport.glossary.words import Plain
from passport.history.words import fold

#: Frequencies, routes and units of doses among the terms of the glossary, by CIEL's number.
TABLET, CAPSULE = "1513", "1608"
CIEL = ("160862", "160858", "160866", "160870", "160240", "160242", "160243", "160245", "160241", TABLET, CAPSULE)
CONCEPTS = frozenset(number.ljust(36, "A") for number in CIEL)

#: As the enricher writes it, whatever the hospital's language.
AS_NEEDED = "as needed"

_AMOUNT = re.compile(r"([0-9]+(?:[.,/][0-9]+)?) (\D.*)")
_COUNTED: Mapping[str, Callable[[float], str]] = {
    TABLET.ljust(36, "A"): lambda n: ngettext("%(n)s tablet", "%(n)s tablets", _whole(n)),
    CAPSULE.ljust(36, "A"): lambda n: ngettext("%(n)s capsule", "%(n)s capsules", _whole(n)),
}
#: Django's own texts, which are there in all languages.
_SPANS: Mapping[str, Callable[[int], str]] = {
    "minute": lambda n: ngettext("%(num)d minute", "%(num)d minutes", n),
    "hour": lambda n: ngettext("%(num)d hour", "%(num)d hours", n),
    "day": lambda n: ngettext("%(num)d day", "%(num)d days", n),
    "week": lambda n: ngettext("%(num)d week", "%(num)d weeks", n),
    "month": lambda n: ngettext("%(num)d month", "%(num)d months", n),
    "year": lambda n: ngettext("%(num)d year", "%(num)d years", n),
}


def taken(text: str, plain: Mapping[str, Plain]) -> str:
    """Each part between commas in plain words, where `plain`, by concept uuid, has any for its name."""
    known = _by_name(tuple((uuid, found.name, found.words) for uuid in CONCEPTS if (found := plain.get(uuid))))
    return ", ".join(_part(part, known) for part in text.split(", ")) if known else text


@lru_cache(maxsize=100)
def _by_name(found: tuple[tuple[str, str, str], ...]) -> Mapping[str, tuple[str, str]]:
    """Folded name → concept uuid and words. A page asks hundreds of times with the same words."""
    return {fold(name): (uuid, words) for uuid, name, words in found}


def lasting(number: object, unit: object) -> str:
    """`5` and `Days` → "5 days" in the reader's language; empty where either cannot be read so."""
    said = _SPANS.get(fold(str(unit or "")).removesuffix("(s)").removesuffix("s"))
    return said(int(str(number))) % {"num": int(str(number))} if said and str(number).isdigit() else ""


def _part(part: str, known: Mapping[str, tuple[str, str]]) -> str:
    if found := known.get(fold(part)):
        return _lowered(found[1])
    if part == AS_NEEDED:
        return _("only when needed")
    amount = _AMOUNT.fullmatch(part)
    if not amount or not (found := known.get(fold(amount[2]))):
        return part
    uuid, words = found
    number = amount[1]
    if counted := _COUNTED.get(uuid):
        return counted(_number(number)) % {"n": number}
    return f"{number} {_lowered(words)}"


def _lowered(words: str) -> str:
    return words[:1].lower() + words[1:]


def _number(text: str) -> float:
    return 1.0 if "/" in text else float(text.replace(",", "."))


def _whole(n: float) -> int:
    """For the choice of a plural: half a tablet is one, one and a half are several."""
    return 1 if n <= 1 else max(int(n), 2)
