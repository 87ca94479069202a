"""The engine's first sync of one hospital into an empty SQLite passport, all its patients registered. Prints JSON.

In a process of its own, so that its peak of memory is its own. Then a second, full sync: what re-reading costs.

    python -m bench.first_sync --port 3307 --database openmrs_a --user passport --password … --var /tmp/empty
"""

import argparse
import json
import os
import resource
import secrets
import time
from pathlib import Path

from cryptography.fernet import Fernet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--database", "--user", "--password", "--var"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--profile", help="write a cProfile to this file")
    options = parser.parse_args()
    os.environ |= {
        # as in production: under DEBUG Django keeps every statement
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
        "VAR_DIR": options.var,
        "DATABASE_URL": f"sqlite:///{Path(options.var, 'passport.sqlite3')}",
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "LOG_LEVEL": "WARNING",
    }
    import django

    django.setup()
    print(json.dumps(_measure(options)))


def _measure(options: argparse.Namespace) -> dict[str, object]:
    from django.core.management import call_command
    from django.utils import timezone

    from hospitals.models import Hospital
    from openmrs_sync.pipeline import sync_hospital
    from passport.models import Record
    from passport.secrets import seal

    call_command("migrate", verbosity=0)
    hospital = Hospital.objects.create(
        number=1,
        code="bench",
        name="Bench",
        state="live",
        host="127.0.0.1",
        port=options.port,
        database=options.database,
        username=options.user,
        password_sealed=seal(options.password),
        tls_mode="none",
        locales=["en"],
        national_id_types=["National ID"],
    )
    _register_all(hospital)
    figures: dict[str, object] = {"what": "engine"}
    profile = None
    if options.profile:
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
    for name in ("first", "again"):
        began, cpu_began = time.perf_counter(), time.process_time()
        run = sync_hospital(hospital=hospital, trigger="command", now=timezone.now(), full=name == "again", deep=True)
        if run.status != "ok":
            raise SystemExit(f"{run.status}: {run.message}")
        figures[name] = {
            "seconds": round(time.perf_counter() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu_began, 3),
            "source_seconds": round(run.source_seconds, 3),
            "n_read": run.n_read,
            "n_created": run.n_created,
            "n_updated": run.n_updated,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        if profile:
            profile.disable()
            profile.dump_stats(options.profile)
            break
    began = time.perf_counter()
    run = sync_hospital(hospital=hospital, trigger="schedule", now=timezone.now(), deep=False)
    figures["idle"] = {"seconds": round(time.perf_counter() - began, 3), "n_source_rows": run.n_source_rows}
    return figures | {"n_records": Record.objects.count()}


def _register_all(hospital: object) -> None:
    """Everyone with a National ID holds a passport. Written in bulk: registration is not what is measured."""
    from django.utils import timezone

    from hospitals.connections import open_hospital
    from passport.models import Patient, PatientIdentifier
    from passport.registration import normalise_national_id

    sql = (
        "SELECT i.identifier, p.gender, p.birthdate FROM patient_identifier i"
        " JOIN person p ON p.person_id = i.patient_id WHERE i.voided = 0 AND i.identifier_type = 2"
    )
    with open_hospital(hospital) as source:  # type: ignore[arg-type]
        rows = source.fetch(sql)
    now = timezone.now()
    patients, identifiers = [], []
    for identifier, sex, birth_date in rows:
        if number := normalise_national_id(identifier):
            patient = Patient(sex=sex, birth_date=birth_date, created_at=now)
            patients.append(patient)
            identifiers.append(PatientIdentifier(patient=patient, number=number, created_at=now))
    Patient.objects.bulk_create(patients, batch_size=500)
    PatientIdentifier.objects.bulk_create(identifiers, batch_size=500)


if __name__ == "__main__":
    main()
