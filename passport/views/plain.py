"""Plain words beside the hospital's own: what an entry is called for someone who is no doctor."""

from collections.abc import Iterable, Mapping

from django.utils.translation import get_language

from passport.access.scope import concepts_of
from passport.glossary.words import Plain, words_for
from passport.history import RecordView
from passport.history.words import fold
from passport.models.glossary import Language
from passport.views import doses

PlainWords = Mapping[str, Plain]
#: For places that show the hospital's words alone.
NO_WORDS: PlainWords = {}


def plain_words(records: Iterable[RecordView]) -> PlainWords:
    """By concept uuid, in the language of the page, for the questions and the answers of these records. One query."""
    shown = list(records)
    uuids = {uuid for record in shown for uuid in concepts_of(record)}
    if any(record.source.table == "orders" for record in shown):
        uuids |= doses.CONCEPTS
    return words_for(uuids, language=_language())


def dose_words() -> PlainWords:
    """For places that name things as the hospital does, and yet must say how a medicine is taken. One query."""
    return words_for(doses.CONCEPTS, language=_language())


def _language() -> str:
    return (get_language() or Language.ENGLISH.value)[:2]


def heading(own: str, plain: Plain | None) -> tuple[str, str]:
    """The plain words and beneath them the hospital's own; only the own where no others are known or they are equal."""
    if plain is None or fold(plain.words) == fold(own):
        return own, ""
    return plain.words, own


def explained_once(records: Iterable[RecordView], plain: PlainWords) -> list[Plain]:
    """The same of several entries, each explanation once."""
    return list({found.more: found for record in records for found in explained(record, plain)}.values())


def explained(record: RecordView, plain: PlainWords) -> list[Plain]:
    """What there is to explain about an entry: its question, then its answer."""
    return [found for uuid in concepts_of(record) if (found := plain.get(uuid)) and found.more]
