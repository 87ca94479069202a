"""Parts of a page as HTML, kept like the records that they were made of: to make them takes most of a page's time.

What a part shows besides its records stands in its name, so that another reader, day or choice has another one.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from passport.history.kept import Reading
from passport.views.plain import NO_WORDS, PlainWords

#: So much HTML counts as one record, where memory is counted in records.
BYTES_OF_A_RECORD = 500


def kept_part(
    reading: Reading,
    template: str,
    *shown: Hashable,
    make: Callable[[], Mapping[str, Any]],
    plain: PlainWords = NO_WORDS,
) -> SafeString:
    """The template with what `make` gives, from memory where none of all that it shows has changed.

    `shown`: all that it depends on besides the records that this look may show, the page's language and the plain
    words; so also what follows from the clock, and where its links lead. Neither the request nor the account is in it.
    """
    return reading.keep(
        *("part", template, get_language(), frozenset(plain.items()), *shown),
        n_records=lambda html: 1 + len(html) // BYTES_OF_A_RECORD,
        make=lambda: render_to_string(template, dict(make())),
    )
