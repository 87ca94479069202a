"""What the story of several machines has done in a process with the shared store: `python -m tests.machines.inside`.

found PORT USER PASSWORD DATABASE …   migrates; a live hospital for each database, and who holds a passport
lost                                  a run is queued, the queue emptied, the schedule looked at; JSON
judged                                receipts of all hospitals counted afresh, and the audit chain; JSON
"""

import json
import sys
from collections import Counter

import django

NATIONAL_IDS = [f"11990800{number:08d}" for number in range(1, 4)]


def found(port: str, user: str, password: str, *databases: str) -> None:
    from django.core.management import call_command
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync import control
    from passport.registration import register_patient
    from passport.secrets import seal

    call_command("migrate", verbosity=0)
    for national_id in NATIONAL_IDS:
        register_patient(national_id=national_id, sex="F", birth_date=None, actor=None, now=timezone.now())
    for number, database in enumerate(databases, start=1):
        Hospital.objects.create(
            number=number,
            code=database,
            name=f"Hospital {number}",
            state="live",
            host="127.0.0.1",
            port=int(port),
            database=database,
            username=user,
            password_sealed=seal(password),
            tls_mode="none",
            locales=["en"],
            national_id_types=["National ID"],
        )
    control.start(interval_minutes=1, actor=None, now=timezone.now())


def lost() -> None:
    from django.utils import timezone
    from django_q.brokers import get_broker

    from openmrs_sync import queue, tasks
    from openmrs_sync.models import SyncRun

    before = timezone.now() - 2 * queue.TICK_PERIOD
    (run,) = queue.enqueue(hospitals=queue.live_hospitals(), trigger="admin", now=before).runs
    sizes = [get_broker().queue_size()]
    get_broker().purge_queue()
    for _ in range(2):
        tasks.tick()
        sizes.append(get_broker().queue_size())
    get_broker().purge_queue()
    print(json.dumps({"sizes": sizes, "status": SyncRun.objects.get(pk=run.pk).status}))


def judged() -> None:
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync import receipts
    from passport import audit
    from passport.models import AuditEvent

    counted = [
        receipts.receipt(hospital=hospital, verify=True, now=timezone.now()) for hospital in Hospital.objects.all()
    ]
    runs = Counter(
        details.get("run")
        for details in AuditEvent.objects.filter(action="openmrs_auto_sync").values_list("details", flat=True)
    )
    told = {
        "n_hospitals": len(counted),
        "unwell": [receipt.hospital for receipt in counted if not receipt.is_well],
        "runs_told_twice": [run for run, n in runs.items() if n > 1],
        "is_chain_whole": audit.verify().is_whole,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    django.setup()
    {"found": found, "lost": lost, "judged": judged}[sys.argv[1]](*sys.argv[2:])
