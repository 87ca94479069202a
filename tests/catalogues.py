"""The message catalogues as tests read them: `locale/*/LC_MESSAGES/django.po`, without gettext's tools."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.parts import ROOT

LANGUAGES = ("fr", "rw")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One text. `translations` has one entry, or one for each plural form."""

    context: str
    singular: str
    plural: str
    translations: tuple[str, ...]
    is_fuzzy: bool

    @property
    def key(self) -> str:
        """As gettext's compiled files spell it."""
        return f"{self.context}\x04{self.singular}" if self.context else self.singular

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.singular, self.plural) if self.plural else (self.singular,)


def path_of(language: str, *, suffix: str = "po", root: Path = ROOT) -> Path:
    return root / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def messages(language: str, *, root: Path = ROOT) -> list[Message]:
    """All texts of a catalogue but its heading."""
    blocks = path_of(language, root=root).read_text(encoding="utf-8").split("\n\n")
    return [message for block in blocks for message in _message(block)]


def _message(block: str) -> Iterator[Message]:
    parts: dict[str, str] = {}
    name, is_fuzzy = "", False
    for line in block.splitlines():
        if line.startswith("#"):
            is_fuzzy |= line.startswith("#,") and "fuzzy" in line
        elif line.startswith('"'):
            parts[name] += ast.literal_eval(line)
        elif line:
            name, _space, text = line.partition(" ")
            parts[name] = ast.literal_eval(text)
    if parts.get("msgid"):
        yield Message(
            context=parts.get("msgctxt", ""),
            singular=parts["msgid"],
            plural=parts.get("msgid_plural", ""),
            translations=tuple(text for name, text in parts.items() if name.startswith("msgstr")),
            is_fuzzy=is_fuzzy,
        )
