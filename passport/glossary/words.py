"""Which plain words a concept has."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from passport.models.glossary import GlossaryTerm, Language

FILE = Path(__file__).with_name("terms.csv")
#: Languages of the file that a speaker has read.
REVIEWED = {Language.ENGLISH, Language.FRENCH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """`name`: the dictionary's; `more`: a sentence or two, may be empty; `is_reviewed`: by a speaker."""

    name: str
    words: str
    more: str
    is_reviewed: bool


def words_for(concept_uuids: Iterable[str], *, language: str) -> Mapping[str, Plain]:
    """Plain words by concept uuid, for those that have any in this language. One query."""
    uuids = {uuid for uuid in concept_uuids if uuid}
    if not uuids:
        return {}
    of_file = {uuid: terms[language] for uuid in uuids if language in (terms := shipped().get(uuid, {}))}
    own = GlossaryTerm.objects.filter(concept_uuid__in=sorted(uuids), language=language)
    return of_file | {term.concept_uuid: as_plain(term) for term in own}


def as_plain(term: GlossaryTerm) -> Plain:
    return Plain(name=term.name, words=term.words, more=term.more, is_reviewed=term.is_reviewed)


@cache
def shipped() -> Mapping[str, Mapping[str, Plain]]:
    """What comes with the passport: concept uuid → language → words."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {line["concept"]: _terms(line) for line in csv.DictReader(lines)}


def _terms(line: Mapping[str, str]) -> Mapping[str, Plain]:
    return {
        language.value: Plain(
            name=line["name"],
            words=line[language.value],
            more=line[f"{language.value}_more"],
            is_reviewed=language in REVIEWED,
        )
        for language in Language
        if line[language.value]
    }
