"""python manage.py copy_records --to URL"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from openmrs_sync.moving import CannotCopy, copy_records


class Command(BaseCommand):
    help = (
        "Copies everything into an empty, migrated relational database, or the records into MongoDB, and compares. "
        "Stop the worker first; afterwards set DATABASE_URL (and CONTROL_DATABASE_URL) and run receipt --verify."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, metavar="URL", help="As DATABASE_URL: postgres://… mongodb://…")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            copied = copy_records(url=options["to"], now=timezone.now())
        except (CannotCopy, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{copied.n_rows:,} rows and {copied.n_records:,} records copied and compared. Now set DATABASE_URL, "
            "run receipt --verify, and start web and worker again."
        )
