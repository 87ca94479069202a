"""python manage.py erase_patient PATIENT_ID --confirm PATIENT_ID | --list-due"""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from passport.erasure import ErasureRefused, erase
from passport.models import Patient
from passport.standing import due_for_erasure


class Command(BaseCommand):
    help = (
        "Deletes a person by law: patient, numbers, links, entries, permissions, login. The audit keeps ids only. "
        "--list-due names the passports of people who died RETENTION_YEARS ago or earlier, by id."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("patient", nargs="?", type=UUID, help="the passport's id, as admin shows it")
        parser.add_argument("--confirm", metavar="PATIENT_ID", default="", help="the same id once more")
        parser.add_argument("--list-due", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["list_due"]:
            due = due_for_erasure(now=now)
            for each in due:
                self.stdout.write(str(each.pk))
            self.stderr.write(f"{len(due)} passports are due.")
            return
        if options["patient"] is None:
            raise CommandError("Name a passport by its id, or give --list-due.", returncode=2)
        patient = Patient.objects.filter(pk=options["patient"]).first()
        if patient is None:
            raise CommandError("There is no passport with this id.", returncode=1)
        try:
            erased = erase(patient=patient, confirmation=options["confirm"], actor=None, now=now)
        except ErasureRefused as error:
            raise CommandError(str(error), returncode=1) from error
        self.stdout.write(
            f"Deleted: {erased.n_passports} passports, {erased.n_identifiers} numbers, {erased.n_links} links, "
            f"{erased.n_records} entries, {erased.n_accounts} logins."
        )
