"""`manage.py sync`: read hospitals here and now, without the queue."""

import json
import signal
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from openmrs_sync import pipeline, runs
from openmrs_sync.models import SyncRun


class Command(BaseCommand):
    help = "Reads the live hospitals (or those named) now, and says what changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--hospital", action="append", metavar="CODE", default=[], help="may be repeated")
        parser.add_argument("--full", action="store_true", help="read every linked person again")
        parser.add_argument("--json", action="store_true", help="standard output holds only a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        hospitals = named_hospitals(options["hospital"])
        with batch_ends_on_signal():
            results = [sync_now(hospital=hospital, full=options["full"]) for hospital in hospitals]
        if options["json"]:
            self.stdout.write(json.dumps([runs.as_dict(run) for run in results], indent=2))
        else:
            for run in results:
                self.stdout.write(as_line(run))
        unwell = [run.hospital.code for run in results if run.status != SyncRun.Status.OK]
        if unwell:
            raise CommandError(f"Not well: {', '.join(unwell)}", returncode=1)


def named_hospitals(codes: list[str]) -> list[Hospital]:
    """The hospitals with these codes, in this order; all live ones when none is named. Unknown: exit status 2."""
    if not codes:
        return list(Hospital.objects.filter(state=HospitalState.LIVE).order_by("number"))
    # Bytes that are no UTF-8 come as halves of characters, which neither a database nor a terminal takes.
    codes = [code.encode(errors="backslashreplace").decode() for code in codes]
    found = Hospital.objects.in_bulk(codes, field_name="code")
    if unknown := [code for code in codes if code not in found]:
        known = ", ".join(Hospital.objects.order_by("code").values_list("code", flat=True)) or "none"
        raise CommandError(f"No hospital has the code {', '.join(unknown)}. Known: {known}", returncode=2)
    return [found[code] for code in dict.fromkeys(codes)]


def sync_now(*, hospital: Hospital, full: bool) -> SyncRun:
    """One run with the deep look; a hospital that is not live is skipped, its source not contacted.

    So is one whose turn would have come after SIGTERM.
    """
    now = timezone.now()
    if not hospital.is_live or pipeline.is_stopping():
        return SyncRun(hospital=hospital, status=SyncRun.Status.SKIPPED, started_at=now)
    run = pipeline.sync_hospital(hospital=hospital, trigger=SyncRun.Trigger.COMMAND, now=now, full=full, deep=True)
    with suppress(*pipeline.STORE_ERRORS):  # locked or full: then the run's own message says so
        runs.record_run(run=run, actor=None, now=timezone.now())
    return run


def as_line(run: SyncRun) -> str:
    changes = f"{run.n_created} created, {run.n_updated} updated, {run.n_withdrawn} withdrawn"
    rest = f"{run.n_unchanged} unchanged, {run.n_parked} parked, {run.n_excluded} excluded"
    told = f"{run.hospital.code}: {run.status}, {run.n_persons} persons: {changes}, {rest}; {run.seconds:.1f} s"
    return f"{told}. {run.message}" if run.message else told


@contextmanager
def batch_ends_on_signal() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the batch in hand and save where it is; what is left stays stale."""

    def stop(*_signal: Any) -> None:
        pipeline.request_stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
