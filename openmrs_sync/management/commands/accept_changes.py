"""`manage.py accept_changes CODE`: what the brake stopped is meant."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from openmrs_sync import pipeline
from openmrs_sync.management.commands.sync import named_hospitals


class Command(BaseCommand):
    help = "Confirms, once, what the brake stopped: the next sync withdraws what is gone at the source."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", metavar="CODE")

    def handle(self, *args: Any, **options: Any) -> None:
        (hospital,) = named_hospitals([options["code"]])
        pipeline.accept_changes(hospital=hospital, actor=None, now=timezone.now())
        self.stdout.write(f"{hospital.code}: the changes are accepted; the next sync writes them.")
