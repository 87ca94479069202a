"""Whether a text holds the words that were searched for. Done here: no two stores agree on case and accents."""

import unicodedata
from collections.abc import Iterable


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
