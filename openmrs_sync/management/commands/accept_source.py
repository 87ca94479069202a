"""`manage.py accept_source CODE`: the replaced or restored source is meant."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from openmrs_sync import pipeline
from openmrs_sync.management.commands.sync import named_hospitals


class Command(BaseCommand):
    help = "Says that a replaced or restored source is meant: a new epoch begins, and everyone is read again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", metavar="CODE")

    def handle(self, *args: Any, **options: Any) -> None:
        (hospital,) = named_hospitals([options["code"]])
        pipeline.accept_source(hospital=hospital, actor=None, now=timezone.now())
        self.stdout.write(f"{hospital.code}: the source is accepted; the next sync reads everyone again.")
