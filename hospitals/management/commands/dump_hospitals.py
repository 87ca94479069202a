"""`manage.py dump_hospitals`"""

import json
from typing import Any

from django.core.management.base import BaseCommand

from hospitals.loading import dump_hospitals


class Command(BaseCommand):
    help = "Writes the hospitals as JSON that load_hospitals takes. Passwords are left out unless they are references."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(dump_hospitals(), ensure_ascii=False, indent=2))
