"""python manage.py breach_report --from DAY --to DAY [--user NAME] [--hospital CODE] [--json]"""

import datetime as dt
import json
from dataclasses import asdict, fields
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from passport import breach, sheets, upward
from passport.audit import record_event
from passport.models import User

COLUMNS = [field.name for field in fields(breach.Opening)]


class Command(BaseCommand):
    help = "Whose records were opened by whom, on what basis, how often: ids and counts, as CSV or JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="begin", required=True, metavar="DAY", help="first day, such as 2026-03-01")
        parser.add_argument("--to", dest="end", required=True, metavar="DAY", help="last day, included")
        parser.add_argument("--user", metavar="NAME", help="only what this account opened")
        parser.add_argument("--hospital", metavar="CODE", help="only what accounts of this hospital opened")
        parser.add_argument("--json", action="store_true", help="JSON instead of CSV")

    def handle(self, *args: Any, **options: Any) -> None:
        begin, end = _day(options["begin"]), _day(options["end"]) + dt.timedelta(days=1)
        if end <= begin:
            raise CommandError("--to lies before --from.", returncode=2)
        actor_id, hospital_id = _account(options["user"]), _hospital(options["hospital"])
        found = list(breach.openings(begin=begin, end=end, actor_id=actor_id, hospital_id=hospital_id))
        # Before anything is printed: what cannot be written down is not told.
        record_event(
            action="breach_reported",
            actor=None,
            now=timezone.now(),
            hospital_id=hospital_id,
            details={"from": begin, "to": end, "account": str(actor_id or ""), "rows": len(found)},
        )
        rows = [_plain(one) for one in found]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self.stdout.write(sheets.sheet(header=COLUMNS, rows=([row[name] for name in COLUMNS] for row in rows)))


def _plain(one: breach.Opening) -> dict[str, Any]:
    values = {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(one).items()}
    return values | {"first_at": one.first_at.isoformat(), "last_at": one.last_at.isoformat()}


def _day(text: str) -> dt.datetime:
    """The beginning of this day where the passport is."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise CommandError("A day is written as 2026-03-01.", returncode=2) from None
    return dt.datetime.combine(day, dt.time(), ZoneInfo(settings.TIME_ZONE_DISPLAY))


def _account(name: str | None) -> UUID | None:
    if name is None:
        return None
    found = User.objects.filter(username=name).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError("There is no account of this name.", returncode=2)
    return found


def _hospital(code: str | None) -> UUID | None:
    if code is None:
        return None
    found: UUID | None = upward.hospitals().filter(code=code).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError("No hospital has this code.", returncode=2)
    return found
