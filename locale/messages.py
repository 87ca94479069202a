"""Make the message catalogues anew from the texts in the code: `./run messages`.

The same code gives the same files on every machine: no date of the run, no line numbers, no guesses ("fuzzy" ones),
no width. A text that has no translation yet stands there with an empty one, and a test names it.
"""

import re
from pathlib import Path

import django
from django.core.management import call_command
from django.core.management.commands import compilemessages, makemessages

LOCALE = Path(__file__).resolve().parent
LANGUAGES = ("fr", "rw")
#: The admin's pages speak English, but for Django's own words.
IGNORED = (".venv", "var", "tests", "bench", "static", "docs", "requirements", "templates/admin")


class Make(makemessages.Command):
    #: Without guesses: a translation of another sentence is worse than none.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching", "--no-wrap"]


def main() -> None:
    django.setup()
    call_command(
        Make(),
        locale=list(LANGUAGES),
        ignore_patterns=list(IGNORED),
        no_wrap=True,
        add_location="file",
        no_obsolete=True,
        verbosity=0,
    )
    for language in LANGUAGES:
        catalogue = LOCALE / language / "LC_MESSAGES" / "django.po"
        text = catalogue.read_text(encoding="utf-8")
        catalogue.write_text(re.sub(r'^"POT-Creation-Date:.*\n', "", text, flags=re.M), encoding="utf-8")
    call_command(compilemessages.Command(), locale=list(LANGUAGES), ignore_patterns=list(IGNORED), verbosity=0)


if __name__ == "__main__":
    main()
