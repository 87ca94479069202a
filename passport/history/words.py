"""Whether a text holds the words that were searched for. Done here: no two stores agree on case and accents."""

import unicodedata
from collections.abc import Iterable, Sequence


def words_of(text: str) -> list[str]:
    return fold(text).split()


def holds(text: str, words: Iterable[str]) -> bool:
    searched = fold(text)
    return all(word in searched for word in words)


def fold(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in apart if not unicodedata.combining(char))


class Searched:
    """The same of many records. Histories repeat themselves: what was looked at once is not looked at again."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._found: dict[str, frozenset[str]] = {}

    def is_in(self, *texts: str) -> bool:
        """Whether each word is in one of the texts. It has no space, so none reaches from one text into the next."""
        left = set(self._words)
        for text in texts:
            left -= self._words_in(text)
        return not left

    def _words_in(self, text: str) -> frozenset[str]:
        found = self._found.get(text)
        if found is None:
            folded = fold(text)
            found = self._found[text] = frozenset(word for word in self._words if word in folded)
        return found
