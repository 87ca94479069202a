"""Eight processes write the audit at once: one chain, no row lost. How fast is measured by bench/audit_writers.py."""

import json
import subprocess
import sys

import pytest
from django.db import connection

from passport.audit import verify
from passport.models import AuditEvent
from tests.parts import ROOT

N_WRITERS, N_ROWS = 8, 40

WRITER = """
import datetime as dt, sys, django
django.setup()
from django.db import transaction
from passport.audit import record_event
for number in range(int(sys.argv[2])):
    with transaction.atomic():
        details = {"who": sys.argv[1], "n": number}
        record_event(action="written", actor=None, now=dt.datetime.now(dt.UTC), details=details)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_eight_processes_make_one_chain_and_lose_no_row() -> None:
    assert connection.vendor == "sqlite"  # the file that the processes inherit by DATABASE_URL
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(who), str(N_ROWS)], cwd=ROOT) for who in range(N_WRITERS)
    ]
    assert [writer.wait(240) for writer in writers] == [0] * N_WRITERS
    report = verify()
    assert (report.is_whole, report.n_rows) == (True, N_WRITERS * N_ROWS)
    written = [json.dumps(details, sort_keys=True) for details in AuditEvent.objects.values_list("details", flat=True)]
    assert len(set(written)) == N_WRITERS * N_ROWS
