"""`manage.py work`: the queue, and the supervisor that keeps it at work. SIGTERM ends it within 30 seconds."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from hospitals.models import Hospital
from openmrs_sync import control, lookout, supervisor


class Command(BaseCommand):
    help = "Runs the queue under a supervisor until SIGTERM or Ctrl-C, which end the batch in hand."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        # The supervisor starts the cluster and the lookout as processes of their own by these.
        parser.add_argument("--cluster", action="store_true", help=argparse.SUPPRESS)
        parser.add_argument("--lookout", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cluster"]:
            supervisor.run_cluster()
            return
        if options["lookout"]:
            lookout.run_lookout()
            return
        # A worker with other keys than the others' would stop every hospital for all of them.
        self.check(databases=["default"])
        for line in opening_lines():
            self.stdout.write(line)
        self.stdout.flush()
        supervisor.Supervisor().run()


def opening_lines() -> list[str]:
    """One line per hospital, and the interval."""
    word = control.read_control()
    lines = [
        f"{hospital.code}: {hospital.state}"
        + (f", every {hospital.sync_interval_minutes} min" if hospital.sync_interval_minutes else "")
        for hospital in Hospital.objects.order_by("number")
    ]
    state = "running" if word.is_running else "stopped"
    return [*(lines or ["No hospital yet."]), f"The schedule is {state}, every {word.interval_minutes} min."]
