"""`manage.py load_hospitals [FILE.json]`"""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hospitals.loading import NotALoad, Outcome, hospitals_from_environment, hospitals_from_json, load


class Command(BaseCommand):
    help = (
        "Creates or updates hospitals, by their code, from a JSON list, or without a file from the variables "
        "HOSPITAL_n_…. Status 0: all well; 1: an entry was refused; 2: the file cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", metavar="FILE.json", help="a JSON list of hospitals; - for standard input"
        )

    def handle(self, *args: Any, file: str | None, **options: Any) -> None:
        try:
            entries = hospitals_from_json(_read(file)) if file else hospitals_from_environment(os.environ)
        except NotALoad as error:
            raise CommandError(str(error), returncode=2) from None
        if not entries:
            self.stdout.write("There is no hospital to load.")
        results = load(entries, timezone.now())
        for result in results:
            name = result.code or f"entry {result.position}"
            self.stdout.write(" ".join([f"{name}: {result.outcome}.", *result.messages]))
        n_refused = sum(result.outcome == Outcome.REFUSED for result in results)
        if n_refused:
            raise CommandError(f"{n_refused} of {len(results)} hospitals refused.", returncode=1)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise NotALoad("The file cannot be read. Wanted is a text file in UTF-8 that this user may read.") from None
