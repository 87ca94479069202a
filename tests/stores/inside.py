"""What a test has done inside a process that has a store of its own: `python -m tests.stores.inside NAME ARGUMENTS`.

Each prints one JSON value on standard output. The settings come from the environment.

    sync                            sync --json, and receipt --verify --json after it
    later HOURS                     a sync by a worker whose clock says so many hours from now
    again_as_new                    everything written anew, as if the store held nothing: it copes
    plans                           how PostgreSQL finds the records of a link in a table it knows nothing of
    histories NATIONAL_ID …         everything that passport.history says of each
    frozen CODE NATIONAL_ID         reads this patient there and stops itself (SIGSTOP) right before it writes records
    down                            what a run says whose store does not answer
    beat                            a tick, as if a worker were at work
    together                        every hospital read at the same moment, each by a thread of its own
"""

import contextlib
import dataclasses
import datetime as dt
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import django

#: Moments of our own: they differ between stores that were written one after the other.
OURS = {"received_at", "refreshed_at", "last_success_at", "confirmed_at", "lag_seconds", "freshness"}


def command(*arguments: str) -> Any:
    from django.core.management import CommandError, call_command

    out = io.StringIO()
    with contextlib.suppress(CommandError):  # a status other than 0; what was printed says which
        call_command(*arguments, stdout=out)
    return json.loads(out.getvalue())


def sync() -> Any:
    return {"runs": command("sync", "--json"), "receipts": command("receipt", "--verify", "--json")}


def later(hours: str) -> Any:
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital

    now = timezone.now() + dt.timedelta(hours=float(hours))
    return [
        run_of(sync_hospital(hospital=each, trigger="command", now=now, deep=True)) for each in Hospital.objects.all()
    ]


def again_as_new() -> Any:
    from openmrs_sync.stores import record_store
    from passport.models import Record

    store = type(record_store())
    upsert = store.upsert

    def as_new(self: Any, records: Any, *, by: Any, are_new: bool = False) -> None:
        upsert(self, records, by=by, are_new=True)

    store.upsert = as_new  # type: ignore[method-assign]
    Record.objects.update(digest=0)
    return command("sync", "--full", "--json")


def plans() -> Any:
    from openmrs_sync.stores import record_store
    from passport.models import Link, Record

    links = list(Link.objects.values_list("pk", flat=True))
    keys = list(Record.objects.values_list("pk", flat=True)[:50])
    store, found = record_store(), []
    fetch = store._fetch  # type: ignore[attr-defined]

    def explain(sql: str, params: Any) -> Any:
        found.append("\n".join(row[0] for row in fetch(f"EXPLAIN {sql}", params)))
        return fetch(sql, params)

    store._fetch = explain  # type: ignore[attr-defined]
    store.of_links(links)
    store.count_current(links)
    store.owners(keys)
    return found


def run_of(run: Any) -> dict[str, Any]:
    return {"status": run.status, "error_kind": run.error_kind, "message": run.message, "n_unchanged": run.n_unchanged}


def histories(*national_ids: str) -> Any:
    from django.utils import timezone

    from passport import history
    from passport.registration import find_patient
    from tests.records import own_scope

    now, found = timezone.now(), {}
    for number in national_ids:
        patient = find_patient(national_id=number)
        assert patient is not None
        everything = history.Filters(status=history.Status.ALL)
        records = list(pages(patient, everything))
        found[number] = plain(
            {
                "all": records,
                "current": list(pages(patient, history.Filters())),
                "searched": list(pages(patient, history.Filters(q="weight"))),
                "tests": list(pages(patient, history.Filters(category="test", to_date=dt.date(2026, 1, 1)))),
                "visits": history.visits_page(scope=own_scope(patient)),
                "overview": history.overview(scope=own_scope(patient), now=now),
                "details": [history.record_detail(scope=own_scope(patient), key=each.id) for each in records[:3]],
                "has_version": bool(history.version(scope=own_scope(patient))),
            }
        )
    return found


def pages(patient: Any, filters: Any) -> Iterator[Any]:
    from passport import history
    from tests.records import own_scope

    cursor = None
    while True:
        page = history.records_page(scope=own_scope(patient), filters=filters, cursor=cursor, limit=40)
        yield from page.results
        if page.next is None:
            return
        cursor = page.next


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value) if each.name not in OURS
        }
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def frozen(code: str, national_id: str) -> Any:
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync import stores
    from openmrs_sync.pipeline import refresh_patient
    from passport.registration import find_patient

    store = type(stores.record_store())
    # A relational store's fence is a lock: who is stopped behind it stops the others, too, until its connection ends.
    name = "upsert" if store.has_late_writers else "fence"
    original = getattr(store, name)

    def stop_first(*arguments: Any, **named: Any) -> Any:
        setattr(store, name, original)
        os.kill(os.getpid(), signal.SIGSTOP)
        return original(*arguments, **named)

    setattr(store, name, stop_first)
    hospital, patient = Hospital.objects.get(code=code), find_patient(national_id=national_id)
    assert patient is not None
    return refresh_patient(hospital=hospital, patient=patient, now=timezone.now()).status


def down() -> Any:
    from openmrs_sync.models import SyncRun
    from passport.models import Link

    command("sync", "--json")
    run = SyncRun.objects.latest("started_at")
    return {**run_of(run), "n_failed_links": Link.objects.filter(n_failures__gt=0).count()}


def beat() -> Any:
    from django.utils import timezone

    from openmrs_sync import queue

    queue.beat(now=timezone.now())
    return True


def together() -> Any:
    from django.db import connections
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital
    from passport.models import Doctor, Link, Patient, Record

    hospitals, runs = list(Hospital.objects.all()), []
    ready = threading.Barrier(len(hospitals))

    def read(hospital: Hospital) -> None:
        ready.wait()
        runs.append(run_of(sync_hospital(hospital=hospital, trigger="command", now=timezone.now(), deep=True)))
        connections.close_all()

    threads = [threading.Thread(target=read, args=(hospital,)) for hospital in hospitals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = {"n_links": Link, "n_patients": Patient, "n_doctors": Doctor, "n_records": Record}
    return {"runs": runs} | {name: model.objects.count() for name, model in counts.items()}


if __name__ == "__main__":
    django.setup()
    known = (sync, later, again_as_new, plans, histories, frozen, down, beat, together)
    actions = {each.__name__: each for each in known}
    print(json.dumps(actions[sys.argv[1]](*sys.argv[2:])))
