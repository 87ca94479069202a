"""python manage.py rotate_keys"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from passport.resealing import reseal_all


class Command(BaseCommand):
    help = (
        "Seals every kept secret anew under the first of CREDENTIAL_KEYS. Put the new key first, keep the old one "
        "behind it, run this, then take the old one away. May be run again at any time."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        told = reseal_all(actor=None, now=timezone.now())
        self.stdout.write(
            f"{told.n_resealed} secrets sealed anew, {told.n_current} were under the first key already, "
            f"{told.n_references} are references."
        )
        if told.unopened:
            raise CommandError(
                f"No key opens the secrets of: {', '.join(told.unopened)}. Add the key that they were sealed with to "
                "CREDENTIAL_KEYS and run this again, or enter these secrets anew. Keep the old keys until then.",
                returncode=1,
            )
        self.stdout.write("The keys behind the first one are no longer needed.")
