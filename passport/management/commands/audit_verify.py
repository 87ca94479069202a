"""python manage.py audit_verify [--published FILE]"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from passport.audit import AuditReport, Break, record_event, verify
from passport.audit_heads import Head, NotAHead, first_mismatch, read_published

PROBLEMS = {
    Break.ALTERED: "row {seq} is not as it was written",
    Break.MISSING: "row {seq} is missing",
    Break.UNCHAINED: "row {seq} does not follow the row before it",
    Break.HEAD: "the end of the chain is not where it should be, after row {seq}",
    Break.OTHER_KEY: "from row {seq} on the rows hang together, but they are signed with another key",
}
KEEP = "Keep the database as it is and find out who wrote to it."
GIVE_THE_KEY = (
    "Was AUDIT_KEY changed, or SECRET_KEY, from which it is derived when it is not set? Then put the old key into "
    "AUDIT_OLD_KEYS (docs/security.md says how to find it) and verify again. If not, keep the database as it is and "
    "find out who wrote to it."
)


class Command(BaseCommand):
    help = "Walks the audit chain and names the first row that is not as it was written."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--published", metavar="FILE", help="also compare with the heads that were published: lines of JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        heads = _read(options["published"]) if options["published"] else []
        report = verify()
        mismatch = first_mismatch(heads) if report.is_whole else None
        problem = report.problem.value if report.problem else "published" if mismatch else ""
        record_event(
            action="audit_verified",
            actor=None,
            now=timezone.now(),
            basis=problem,
            details={"rows": report.n_rows, "first_broken": report.first_broken, "published": len(heads)},
        )
        if report.problem is not None:
            raise CommandError(_sentence(report), returncode=1)
        if mismatch is not None:
            raise CommandError(
                f"The audit chain is not the one that was published: the head of {mismatch.head.day} (line "
                f"{mismatch.line}, row {mismatch.head.seq}) is not in it. Somebody wrote the chain anew, or this is "
                f"another database or a backup from before that day. {KEEP}",
                returncode=1,
            )
        self.stdout.write(f"The audit chain is whole: {report.n_rows} rows, head {report.head_hash}.")
        if options["published"]:
            self.stdout.write(f"All {len(heads)} published heads are in it.")


def _sentence(report: AuditReport) -> str:
    problem = report.problem or Break.ALTERED
    remedy = GIVE_THE_KEY if problem is Break.OTHER_KEY else KEEP
    return (
        f"The audit chain is broken: {PROBLEMS[problem].format(seq=report.first_broken)}. "
        f"{report.n_rows} rows before it are whole. {remedy}"
    )


def _read(name: str) -> list[Head]:
    try:
        return read_published(Path(name).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        raise CommandError("The file of published heads cannot be read.", returncode=2) from None
    except NotAHead as error:
        raise CommandError(str(error), returncode=2) from None
