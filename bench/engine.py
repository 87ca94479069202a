"""One measurement of the engine, in a process of its own, so that its peak of memory is its own. Prints JSON lines.

    python -m bench.engine --url sqlite:////tmp/p.sqlite3 --var /tmp/v --steps prepare --hospital h1:3307:openmrs_a
    python -m bench.engine --url sqlite:////tmp/p.sqlite3 --var /tmp/v --steps first again idle --code h1

Steps: `prepare` makes the store, the hospitals, and a passport for everyone there with a National ID (`--share` of
them); `first`, `again` (everything re-read), `deep` and `idle` are runs of the engine; `render` reads, enriches and
categorises everyone and stores nothing. `--wait`: say `ready` and begin when a line comes in.
"""

import argparse
import json
import os
import re
import secrets
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hospitals.connections import Source
    from hospitals.models import Hospital

READER, PASSWORD = "passport", "bench-reader"
IDLE_TICKS = 7
OF_OBS = re.compile(r"\b(?:FROM|JOIN) obs\b")
HANDLERS = "SHOW SESSION STATUS LIKE 'Handler_read%'"
BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="DATABASE_URL")
    parser.add_argument("--var", required=True)
    parser.add_argument("--hospital", action="append", default=[], help="code:port:database, to prepare")
    parser.add_argument("--share", type=float, default=1.0, help="of the persons that hold a passport (1.0)")
    parser.add_argument("--code", help="the hospital to measure")
    parser.add_argument("--steps", nargs="+", required=True, choices=["prepare", *STEPS])
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--profile", help="write a cProfile of the steps to this file")
    options = parser.parse_args()
    set_up_django(url=options.url, var=options.var)
    if options.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    for step in options.steps:
        if step == "prepare":
            prepare(options.hospital, share=options.share)
            continue
        with profiled(options.profile and f"{options.profile}.{step}"):
            found = STEPS[step](options.code)
        print(json.dumps({"step": step, **found, "peak_mb": peak_mb()}), flush=True)


def set_up_django(*, url: str, var: str) -> None:
    os.environ |= {
        # as in production: under DEBUG Django keeps every statement
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": credential_key(Path(var)),
        "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
        "VAR_DIR": var,
        "DATABASE_URL": url,
        "CONTROL_DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "LOG_LEVEL": "WARNING",
    }
    import django

    django.setup()


def credential_key(var: Path) -> str:
    """The same for every process that shares the store: the hospital's password is sealed with it."""
    from cryptography.fernet import Fernet

    kept = var / "bench-key"
    if not kept.exists():
        kept.write_text(Fernet.generate_key().decode())
    return kept.read_text()


class profiled:  # noqa: N801 - read as a verb
    """`with profiled(file):` writes a cProfile there; without a file it does nothing."""

    def __init__(self, file: str | None) -> None:
        import cProfile

        self._file, self._profile = file, cProfile.Profile(time.process_time)  # not of other programs

    def __enter__(self) -> None:
        if self._file:
            self._profile.enable()

    def __exit__(self, *_error: object) -> None:
        if self._file:
            self._profile.disable()
            self._profile.dump_stats(self._file)


def peak_mb() -> float:
    """The most that this process held at once. Not `ru_maxrss`: a child inherits that of the process that made it."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


# --- the store --------------------------------------------------------------------------------------------------------


def prepare(hospitals: Iterable[str], *, share: float) -> None:
    from django.core.management import call_command

    from hospitals.models import Hospital
    from passport.secrets import seal

    call_command("migrate", verbosity=0)
    for number, (code, port, database) in enumerate((entry.split(":") for entry in hospitals), start=1):
        hospital = Hospital.objects.create(
            number=number,
            code=code,
            name=f"Bench {number}",
            state="live",
            host="127.0.0.1",
            port=int(port),
            database=database,
            username=READER,
            password_sealed=seal(PASSWORD),
            tls_mode="none",
            locales=["en"],
            national_id_types=["National ID"],
        )
        register_everyone(hospital, share=share)


def register_everyone(hospital: "Hospital", *, share: float) -> None:
    """Everyone with a National ID holds a passport, or each nth. In bulk: registration is not what is measured."""
    from django.utils import timezone

    from hospitals.connections import open_hospital
    from passport.models import Patient, PatientIdentifier
    from passport.registration import normalise_national_id

    sql = (
        "SELECT i.identifier, p.gender, p.birthdate FROM patient_identifier i"
        " JOIN patient_identifier_type t ON t.patient_identifier_type_id = i.identifier_type"
        " JOIN person p ON p.person_id = i.patient_id WHERE i.voided = 0 AND t.name = 'National ID'"
        " ORDER BY i.patient_id"
    )
    with open_hospital(hospital) as source:
        rows = source.fetch(sql)[:: round(1 / share)]
    now = timezone.now()
    patients, identifiers = [], []
    for identifier, sex, birth_date in rows:
        if number := normalise_national_id(identifier):
            patient = Patient(sex=sex, birth_date=birth_date, created_at=now)
            patients.append(patient)
            identifiers.append(PatientIdentifier(patient=patient, number=number, created_at=now))
    Patient.objects.bulk_create(patients, batch_size=BATCH)
    PatientIdentifier.objects.bulk_create(identifiers, batch_size=BATCH)


# --- the steps --------------------------------------------------------------------------------------------------------


def sync(code: str, *, full: bool = False, deep: bool, trigger: str = "command") -> dict[str, Any]:
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital

    hospital = Hospital.objects.get(code=code)
    began, cpu_began = time.perf_counter(), time.process_time()
    run = sync_hospital(hospital=hospital, trigger=trigger, now=timezone.now(), full=full, deep=deep)
    if run.status != "ok":
        raise SystemExit(f"{run.status}: {run.message}")
    return {
        "seconds": round(time.perf_counter() - began, 4),
        "cpu_seconds": round(time.process_time() - cpu_began, 4),
        "source_seconds": round(run.source_seconds, 4),
        "n_persons": run.n_persons,
        "n_read": run.n_read,
        "n_written": run.n_created + run.n_updated + run.n_withdrawn,
    }


def first(code: str) -> dict[str, Any]:
    """Everything is read and stored; `n_obs`: those of linked persons, voided ones too."""
    return sync(code, deep=True) | {"n_obs": n_obs_of_links(code)}


def again(code: str) -> dict[str, Any]:
    return sync(code, full=True, deep=True)


def deep(code: str) -> dict[str, Any]:
    """A deep look at a hospital where nothing moved."""
    return sync(code, deep=True, trigger="schedule")


def idle(code: str) -> dict[str, Any]:
    """Ticks at a hospital where nothing moved; one more counts what the source's handlers read of obs."""
    sync(code, deep=False, trigger="schedule")
    ticks = [sync(code, deep=False, trigger="schedule") for _ in range(IDLE_TICKS)]
    n_read, n_other = obs_reads(code)
    return {
        "seconds": statistics.median(tick["seconds"] for tick in ticks),
        "source_seconds": statistics.median(tick["source_seconds"] for tick in ticks),
        "n_persons": sum(tick["n_persons"] for tick in ticks),
        "obs_reads": n_read,
        "other_reads": n_other,
    }


def obs_reads(code: str) -> tuple[int, int]:
    """Handler_read_* of the statements of one idle tick: those that name obs, and the others."""
    from hospitals.connections import Source

    fetch, counted = Source.fetch, [0, 0]

    def reads(source: "Source") -> int:
        return sum(int(value) for _, value in fetch(source, HANDLERS))

    def fetch_and_count(source: "Source", sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        own = -reads(source) + reads(source)  # what asking costs
        before = reads(source)
        rows = fetch(source, sql, params)
        counted[0 if OF_OBS.search(sql) else 1] += reads(source) - before - own
        return rows

    Source.fetch = fetch_and_count  # type: ignore[method-assign]
    try:
        sync(code, deep=False, trigger="schedule")
    finally:
        Source.fetch = fetch  # type: ignore[method-assign]
    return counted[0], counted[1]


def render(code: str) -> dict[str, Any]:
    """Read, enrich and categorise everyone whose number is known, in batches as the engine makes them and with the next
    one read ahead as it does; no store.
    """
    from concurrent.futures import ThreadPoolExecutor
    from zoneinfo import ZoneInfo

    from hospitals.connections import open_hospital
    from hospitals.models import Hospital
    from openmrs_sync import enricher, reader, schema
    from openmrs_sync.categoriser import make_categorise
    from openmrs_sync.dictionaries import Names
    from openmrs_sync.pipeline import BATCH_ROWS, _collector_paused
    from openmrs_sync.session import category_rules

    hospital = Hospital.objects.get(code=code)
    with open_hospital(hospital) as source:
        fetch = source.fetch
        types = "SELECT patient_identifier_type_id FROM patient_identifier_type WHERE name = 'National ID'"
        type_ids = [row[0] for row in fetch(types)]
        persons = [
            row[0]
            for row in fetch(
                "SELECT DISTINCT patient_id FROM patient_identifier WHERE voided = 0 AND identifier_type IN %s",
                [type_ids],
            )
        ]
        began, cpu_began = time.perf_counter(), time.process_time()
        found = schema.discover(fetch)
        names = Names(fetch, found, ["en"])
        categorise = make_categorise(category_rules(hospital))
        shared, zone = enricher.Shared(dictionaries=names, categorise=categorise), ZoneInfo(hospital.time_zone)

        def read(persons: list[int]) -> Any:
            with source.snapshot():
                batch = reader.read_batch(fetch, found, person_ids=persons, identifier_type_ids=type_ids)
                names.prepare(batch)
            return batch

        n_rows = 0
        batches = reader.plan(fetch, found, person_ids=persons, max_rows=BATCH_ROWS)
        with ThreadPoolExecutor(max_workers=1) as ahead, _collector_paused():
            coming = ahead.submit(read, batches[0])
            for following in [*batches[1:], None]:
                batch = coming.result()
                if following:
                    coming = ahead.submit(read, following)
                people = enricher.render(batch, dictionaries=names, zone=zone, categorise=categorise, shared=shared)
                n_rows += sum(len(one.records) + len(one.excluded) + len(one.parked) for one in people)
        return {
            "seconds": round(time.perf_counter() - began, 4),
            "cpu_seconds": round(time.process_time() - cpu_began, 4),
            "source_seconds": round(source.seconds, 4),
            "n_read": n_rows,
        }


def n_obs_of_links(code: str) -> int:
    """By the links' last balances."""
    from passport.models import Link

    balances: Iterator[dict[str, Any]] = (
        Link.objects.filter(hospital__code=code, state="linked").values_list("balance", flat=True).iterator()
    )
    return sum(balance.get("obs", {}).get("source", 0) for balance in balances)


STEPS = {"first": first, "again": again, "deep": deep, "idle": idle, "render": render}


if __name__ == "__main__":
    main()
