"""`manage.py migrate`: Django's, for every database of ours."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import DEFAULT_DB_ALIAS

from passport.router import records_alias


class Command(DjangoCommand):
    """Without --database also the records' store, where they have one of their own (`DATABASE_URL=mongodb://…`)."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: Any) -> Any:
        return super().get_check_kwargs(options) | {"databases": _aliases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        for alias in _aliases(options):
            super().handle(*args, **options | {"database": alias})


def _aliases(options: Mapping[str, Any]) -> list[str]:
    return [options["database"]] if options["database"] else list(dict.fromkeys([DEFAULT_DB_ALIAS, records_alias()]))
