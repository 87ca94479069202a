"""python manage.py register_patients FILE.csv"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from passport.registration import FileUnusable, register_file


class Command(BaseCommand):
    help = (
        "Registers patients from a CSV file with the header national_id,given_name,family_name,birth_date,sex"
        "[,email,phone]. Lines that cannot be registered are named by number; the others are registered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = register_file(path=options["file"], actor=None, now=timezone.now())
        except FileUnusable as error:
            raise CommandError(str(error), returncode=2) from error
        for refused in report.refused:
            self.stderr.write(f"line {refused.line}: {refused.reason}")
        self.stdout.write(f"created {report.n_created}, known {report.n_known}, refused {len(report.refused)}")
        if report.refused:
            raise CommandError("Correct the lines above and run the command again.", returncode=1)
