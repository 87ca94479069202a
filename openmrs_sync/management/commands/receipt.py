"""`manage.py receipt`: per hospital, source rows = stored + parked + excluded + pending; the rest is unexplained."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from openmrs_sync import receipts
from openmrs_sync.management.commands.sync import named_hospitals
from openmrs_sync.receipts import FIGURES, Receipt


class Command(BaseCommand):
    help = "Shows the receipts of the live hospitals (or those named)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--hospital", action="append", metavar="CODE", default=[], help="may be repeated")
        parser.add_argument("--verify", action="store_true", help="count both sides afresh, by other SQL")
        parser.add_argument("--json", action="store_true", help="standard output holds only a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        hospitals = named_hospitals(options["hospital"])
        found = [
            receipts.show(hospital=hospital, verify=options["verify"], now=timezone.now()) for hospital in hospitals
        ]
        if options["json"]:
            self.stdout.write(json.dumps([each.as_dict() for each in found], indent=2))
        else:
            self.stdout.write("\n\n".join(as_text(each) for each in found))
        unwell = [each.hospital for each in found if not each.is_well]
        if unwell:
            raise CommandError(f"Not well: {', '.join(unwell)}", returncode=1)


def as_text(found: Receipt) -> str:
    since = f"last success {found.last_success_at:%Y-%m-%d %H:%M} UTC" if found.last_success_at else "never read"
    lines = [f"{found.hospital}: {since}"]
    if found.tables is None or found.total is None:
        return "\n".join([*lines, f"  The source could not be asked. {found.problem}"])
    lines.append(f"  {'':20}" + "".join(f"{name.removeprefix('n_'):>12}" for name in FIGURES))
    for name, figures in [*found.tables.items(), ("together", found.total)]:
        lines.append(f"  {name:20}" + "".join(f"{value:>12}" for value in figures.as_dict().values()))
    for title, words in (("excluded", found.excluded), ("persons", found.persons)):
        told = ", ".join(f"{'not known' if n is None else n} {word}" for word, n in (words or {}).items())
        lines.append(f"  {title}: {told or 'none'}")
    return "\n".join(lines)
