"""python manage.py create_account USERNAME --role admin|doctor|patient … --password-stdin"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from passport.accounts import AccountRefused, RoleIncomplete, create_account
from passport.models.accounts import Role


class Command(BaseCommand):
    help = "Makes a login with a role. The password is read from standard input, so that no list of processes shows it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--hospital", metavar="CODE", help="where a doctor works")
        parser.add_argument("--national-id", metavar="N", help="of the registered patient whose account this is")
        parser.add_argument("--password-stdin", required=True, action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            create_account(
                username=options["username"],
                role=Role(options["role"]),
                password=sys.stdin.readline().rstrip("\r\n"),
                actor=None,
                now=timezone.now(),
                hospital_code=options["hospital"],
                national_id=options["national_id"],
            )
        except RoleIncomplete as error:
            raise CommandError(str(error), returncode=2) from error
        except AccountRefused as error:
            raise CommandError(str(error), returncode=1) from error
        self.stdout.write("The account was created.")
