"""A hospital to measure against: a private MariaDB, filled by the generator that stands beside the checkout, else by
`generated`."""

import subprocess
import sys
from pathlib import Path

from bench import generated
from tests.openmrs.server import MariaDBServer

GENERATOR = Path(__file__).resolve().parent.parent.parent / "shared" / "bench" / "gen_openmrs.py"


def generate(
    server: MariaDBServer, *, database: str, n_obs: int, n_patients: int, seed: int, first_person: int = 1
) -> None:
    """Fill a database with a synthetic OpenMRS 2.6, everyone with a National ID. Same arguments, same rows.

    `first_person`: the number of its first patient among all people; hospitals whose numbers overlap share patients.
    About 5 s per 200,000 obs.
    """
    if not GENERATOR.is_file():
        generated.fill(server, database=database, n_obs=n_obs, n_patients=n_patients, first_person=first_person)
        return
    server.grant("generator", "generator", "ALL PRIVILEGES", "*.*")
    dsn = f"mysql://generator:generator@127.0.0.1:{server.port}/{database}"
    size = ["--patients", str(n_patients), "--obs", str(n_obs), "--seed", str(seed)]
    subprocess.run(
        [sys.executable, str(GENERATOR), "--dsn", dsn, "--create", *size, "--first-person", str(first_person)],
        check=True,
        stdout=sys.stderr,
    )
    _give_everyone_a_number(server, database=database, first_person=first_person)


def _give_everyone_a_number(server: MariaDBServer, *, database: str, first_person: int) -> None:
    """The generator leaves 12 in 100 without a National ID; every obs is to be one of a linked person."""
    server.execute(
        "INSERT INTO patient_identifier (patient_id, identifier, identifier_type, date_created, uuid)"
        f" SELECT p.patient_id, CONCAT('9', LPAD(p.patient_id + {first_person}, 15, '0')), 2, p.date_created, UUID()"
        " FROM patient p WHERE NOT EXISTS (SELECT 1 FROM patient_identifier i"
        " WHERE i.patient_id = p.patient_id AND i.identifier_type = 2 AND i.voided = 0)",
        database=database,
    )
    server.execute("ANALYZE TABLE patient_identifier", database=database)
