"""`python -m bench.storage [--records N] [STORE …]`: bytes of a record with its index, and pages at that size.

A hospital of 20,000 generated obs is synced by the engine, so that rows are as wide as real ones. Then its records are
copied within the store, each copy under another hospital's number, with links and patients of its own, four links to a
patient, until there are so many. Sizes are what the store itself says; pages are read through `passport.history`, each
time of another patient drawn by lot, once. What MongoDB would get is measured as BSON: not how it lies on its disk.
"""

import argparse
import contextlib
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from bench.engine import register_everyone
from bench.server import generate
from tests.openmrs.server import MariaDBServer

ROOT = Path(__file__).resolve().parent.parent
READER, PASSWORD, DATABASE = "passport", "bench-reader", "openmrs_bench"
N_OBS, N_PATIENTS, N_HOSPITALS = 20_000, 200, 60
LINKS_OF_A_PATIENT = 4
#: Ids of one copy begin so far above those of the one before.
APART = 1_000_000
N_PAGES = 300


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.storage", description=__doc__.split("\n")[0])
    parser.add_argument("stores", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args(list(arguments))
    if options.inside:
        _inside(n_records=options.records, port=int(options.inside))
        return
    with MariaDBServer() as server:
        generate(server, database=DATABASE, n_obs=N_OBS, n_patients=N_PATIENTS, seed=3)
        server.grant_reader(READER, PASSWORD, DATABASE)
        for name in options.stores:
            with tempfile.TemporaryDirectory(prefix="passport-storage-") as var, _store(name, var) as url:
                inside = ["--inside", str(server.port), "--records", str(options.records)]
                command = [sys.executable, "-m", "bench.storage", *inside]
                subprocess.run(command, check=True, cwd=ROOT, env=os.environ | _environment(url, var))


@contextlib.contextmanager
def _store(name: str, var: str) -> Iterator[str]:
    """The DATABASE_URL of an empty store."""
    if name == "sqlite":
        yield f"sqlite:///{Path(var, 'passport.sqlite3')}"
        return
    from tests.parts import newest_postgresql
    from tests.stores.postgres import PostgresServer

    class Larger(PostgresServer):
        def command(self) -> Sequence[str]:
            return [*super().command(), "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]

    programs = newest_postgresql()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed here: apt-get install postgresql")
    with Larger(programs) as server:
        server.create_database("passport")
        yield server.url("passport")


def _environment(url: str, var: str) -> dict[str, str]:
    return {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
        "VAR_DIR": var,
        "DATABASE_URL": url,
        "CONTROL_DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "LOG_LEVEL": "ERROR",
    }


# --- in a process that has the store ----------------------------------------------------------------------------------


def _inside(*, n_records: int, port: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    _sync(port)
    figures: dict[str, Any] = {"store": connection.vendor, "bson_bytes": _bson_bytes()}
    began = time.monotonic()
    patients = _copy(n_records)
    figures |= {"fill_s": round(time.monotonic() - began)}
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    figures |= _sizes()
    figures["pages"] = _pages(patients)
    print(json.dumps(figures), flush=True)


def _sync(port: int) -> None:
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital
    from passport.secrets import seal

    for number in range(1, N_HOSPITALS + 1):
        hospital = Hospital.objects.create(
            number=number,
            code=f"h{number}",
            name=f"Hospital {number}",
            state="live" if number == 1 else "paused",
            host="127.0.0.1",
            port=port,
            database=DATABASE,
            username=READER,
            password_sealed=seal(PASSWORD),
            tls_mode="none",
            locales=["en"],
            national_id_types=["National ID"],
        )
    hospital = Hospital.objects.get(number=1)
    register_everyone(hospital, share=1.0)
    run = sync_hospital(hospital=hospital, trigger="command", now=timezone.now(), full=False, deep=True)
    if run.status != "ok":
        raise SystemExit(f"{run.status}: {run.message}")


def _bson_bytes() -> dict[str, int]:
    """Of a record as the MongoDB backend stores it: names and values, not compressed."""
    import bson
    from bson.codec_options import CodecOptions

    from passport.models import Record

    options: Any = CodecOptions(uuid_representation=bson.UuidRepresentation.STANDARD)
    columns = [(field.attname, field.column) for field in Record._meta.concrete_fields]
    sizes = [
        len(bson.encode({column: getattr(record, name) for name, column in columns}, codec_options=options))
        for record in Record.objects.order_by("key")[:5_000]
    ]
    return {"mean": round(statistics.mean(sizes)), "p95": round(statistics.quantiles(sizes, n=20)[18])}


def _copy(n_records: int) -> list[uuid.UUID]:
    """Fill the store; the patients that were made."""
    from django.db import connection, transaction

    from hospitals.models import Hospital
    from passport.models import Link, Patient, Record

    hospitals = dict(Hospital.objects.values_list("number", "pk"))
    links = list(Link.objects.all())
    patient_of = {patient.pk: patient for patient in Patient.objects.all()}
    n_copies = n_records // Record.objects.count()
    made: list[uuid.UUID] = []
    with connection.cursor() as cursor:
        kind = "UUID" if connection.vendor == "postgresql" else "TEXT"
        cursor.execute(f"CREATE TEMP TABLE copied (old_link {kind}, link {kind}, patient {kind})")
        owners: dict[uuid.UUID, uuid.UUID] = {}
        for copy in range(1, n_copies):
            hospital = 2 + copy % (N_HOSPITALS - 1)
            if copy % LINKS_OF_A_PATIENT == 1:
                owners = {old: uuid.uuid4() for old in patient_of}
                Patient.objects.bulk_create(
                    [
                        Patient(pk=new, sex=patient_of[old].sex, created_at=patient_of[old].created_at)
                        for old, new in owners.items()
                    ]
                )
                made += owners.values()
            new_links = []
            for link in links:
                fields = {field.attname: getattr(link, field.attname) for field in Link._meta.concrete_fields}
                fields |= {
                    "id": uuid.uuid4(),
                    "hospital_id": hospitals[hospital],
                    "patient_id": owners[link.patient_id],
                }
                fields["person_id"] = link.person_id + copy * APART
                new_links.append(Link(**fields))
            with transaction.atomic():
                Link.objects.bulk_create(new_links)
                cursor.execute("DELETE FROM copied")
                raw = (lambda one: one) if connection.vendor == "postgresql" else (lambda one: one.hex)
                pairs = zip(links, new_links, strict=True)
                cursor.executemany(
                    "INSERT INTO copied VALUES (%s, %s, %s)",
                    [(raw(old.pk), raw(new.pk), raw(new.patient_id)) for old, new in pairs],
                )
                cursor.execute(_copy_text(hospital, copy, raw(hospitals[hospital])))
    return made


def _copy_text(hospital: int, copy: int, hospital_id: object) -> str:
    from django.db import connection

    from passport.models import Record

    quote, shift = connection.ops.quote_name, copy * APART
    digits = "lpad(({})::text, 10, '0')" if connection.vendor == "postgresql" else "printf('%010d', {})"
    number = "substr({}, 8)::bigint" if connection.vendor == "postgresql" else "CAST(substr({}, 8) AS INTEGER)"

    def key(column: str) -> str:
        return f"'{hospital:04d}01' || substr({column}, 7, 1) || " + digits.format(f"{number.format(column)} + {shift}")

    changed = {
        "_id": key("r._id"),
        "link_id": "c.link",
        "patient_id": "c.patient",
        "hospital_id": f"'{hospital_id}'",
        "source_id": f"r.source_id + {shift}",
        "part_of": f"CASE WHEN r.part_of IS NULL THEN NULL ELSE {key('r.part_of')} END",
    }
    columns = [field.column for field in Record._meta.concrete_fields]
    listed = ", ".join(changed.get(name, f"r.{quote(name)}") for name in columns)
    return (
        f"INSERT INTO passport_record ({', '.join(map(quote, columns))}) SELECT {listed} FROM passport_record r"
        # the first hospital's keys: those that were synced
        " JOIN copied c ON c.old_link = r.link_id WHERE r._id >= '000101' AND r._id < '000102'"
        # a first sync writes person by person
        " ORDER BY r.link_id, r._id"
    )


def _sizes() -> dict[str, Any]:
    from django.db import connection

    from passport.models import Link, Patient, Record

    n = {"records": Record.objects.count(), "links": Link.objects.count(), "patients": Patient.objects.count()}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT relname, pg_relation_size(oid) FROM pg_class"
                " WHERE relkind IN ('r', 'i', 't') AND relname LIKE 'passport_%'"
            )
        else:
            cursor.execute("SELECT name, SUM(pgsize) FROM dbstat WHERE name LIKE '%passport_%' GROUP BY name")
        sizes = {name: int(size) for name, size in cursor.fetchall()}
    names = {"passport_record": "records", "passport_link": "links", "passport_patient": "patients"}
    each = {
        name: round(size / n[names[table]])
        for name, size in sorted(sizes.items())
        for table in names
        if name == table or (table in name and _table_of(name) == table)
    }
    return {"n": n, "bytes_each": each, "mb_all": round(sum(sizes.values()) / 1e6)}


def _table_of(index: str) -> str:
    """Of the three tables that grow with records, the one that this index is on."""
    name = index.removeprefix("sqlite_autoindex_")
    for table in ("passport_record", "passport_link", "passport_patient"):
        if name == table or (
            name.startswith(f"{table}_") and not name.startswith((f"{table}decision", f"{table}ident"))
        ):
            return table
    return ""


def _pages(patients: Sequence[uuid.UUID]) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from passport import history
    from passport.access import Basis
    from passport.access.scope import scope_for
    from passport.models import Patient

    now = timezone.now()
    kinds: dict[str, Callable[[Any], object]] = {
        "history": lambda scope: history.records_page(scope=scope),
        "visits": lambda scope: history.visits_page(scope=scope),
        "overview": lambda scope: history.overview(scope=scope, now=now),
        "version": lambda scope: history.version(scope=scope),
    }
    found: dict[str, Any] = {}
    drawn = random.Random(7)
    for name, read in kinds.items():
        times, n_queries, cpu = [], 0, 0.0
        for pk in drawn.sample(list(patients), min(N_PAGES, len(patients))):
            scope = scope_for(patient=Patient.objects.get(pk=pk), basis=Basis.ONESELF)
            began, cpu_began = time.perf_counter(), time.process_time()
            read(scope)
            times.append((time.perf_counter() - began) * 1000)
            cpu += (time.process_time() - cpu_began) * 1000
        with CaptureQueriesContext(connection) as queries:
            read(scope)
            n_queries = len(queries)
        if name == "history":
            found["plan"] = _plan(scope)
        found[name] = {
            "median_ms": round(statistics.median(times), 1),
            "p95_ms": round(statistics.quantiles(times, n=20)[18], 1),
            "cpu_ms": round(cpu / len(times), 1),
            "n_queries": n_queries,
        }
    return found


def _plan(scope: Any) -> str:
    """Of the first page of a history; of a patient who was just read."""
    from django.db import connection

    from passport.access.scope import visible

    options = {"analyze": True, "buffers": True} if connection.vendor == "postgresql" else {}
    return visible(scope).records.filter(status="current").order_by("-order_at", "-key")[:51].explain(**options)


if __name__ == "__main__":
    main(sys.argv[1:])
