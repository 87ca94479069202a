"""python manage.py audit_verify"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from passport.audit import Break, record_event, verify

PROBLEMS = {
    Break.ALTERED: "row {seq} is not as it was written",
    Break.MISSING: "row {seq} is missing",
    Break.UNCHAINED: "row {seq} does not follow the row before it",
    Break.HEAD: "the end of the chain is not where it should be, after row {seq}",
}


class Command(BaseCommand):
    help = "Walks the audit chain and names the first row that is not as it was written."

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify()
        problem = report.problem.value if report.problem else ""
        record_event(
            action="audit_verified",
            actor=None,
            now=timezone.now(),
            basis=problem,
            details={"rows": report.n_rows, "first_broken": report.first_broken},
        )
        if report.problem is not None:
            raise CommandError(
                f"The audit chain is broken: {PROBLEMS[report.problem].format(seq=report.first_broken)}. "
                f"{report.n_rows} rows before it are whole. Keep the database as it is and find out who wrote to it.",
                returncode=1,
            )
        self.stdout.write(f"The audit chain is whole: {report.n_rows} rows, head {report.head_hash}.")
