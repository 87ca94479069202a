#!/usr/bin/env python
"""Django's command line for Patient Passport."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main(arguments: list[str]) -> int:
    """Run one command. 2: a setting is wrong; what to do stands alone on standard error."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "passport.settings")
    try:
        execute_from_command_line(arguments)
    except ImproperlyConfigured as error:
        if "--traceback" in arguments:
            raise
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
