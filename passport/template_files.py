"""Our templates without their indentation: it is for those who write them, and would be a fifth of what is sent."""

import re
from typing import Any

from django.template.loaders import filesystem

#: Where spaces mean something: they are part of what translators see, or of what is shown.
_KEPT = re.compile(
    r"(\{% *(blocktranslate|blocktrans|verbatim)\b.*?\{% *end\2 *%\}|<(pre|textarea|script)\b.*?</\3>)", re.DOTALL
)
_INDENTATION = re.compile(r"\n[ \t]+")


class Loader(filesystem.Loader):
    """Each line stays a line, so that an error names the right one."""

    def get_contents(self, origin: Any) -> str:
        text = super().get_contents(origin)
        return unindented(text) if str(origin.name).endswith(".html") else text


def unindented(text: str) -> str:
    parts, end = [], 0
    for kept in _KEPT.finditer(text):
        parts += [_INDENTATION.sub("\n", text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join([*parts, _INDENTATION.sub("\n", text[end:])])
