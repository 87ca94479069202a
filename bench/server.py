"""A hospital to measure against: a private MariaDB, filled by the generator that stands beside the checkout."""

import subprocess
import sys
from pathlib import Path

from tests.openmrs.server import MariaDBServer

GENERATOR = Path(__file__).resolve().parent.parent.parent / "shared" / "bench" / "gen_openmrs.py"
#: The identifier type of the generated National IDs, by name.
NATIONAL_ID = "National ID"


class GeneratorMissing(RuntimeError):
    """The generator is not part of this project; the bench cannot run without it."""


def generate(server: MariaDBServer, *, database: str, n_obs: int, n_patients: int, seed: int) -> str:
    """Fill a database with a synthetic OpenMRS 2.6 and return its DSN. Same arguments, same rows.

    Raises GeneratorMissing. About 5 s per 200,000 obs.
    """
    if not GENERATOR.exists():
        raise GeneratorMissing("gen_openmrs.py is not beside the checkout, so there is nothing to measure against.")
    server.grant("generator", "generator", "ALL PRIVILEGES", "*.*")
    dsn = f"mysql://generator:generator@127.0.0.1:{server.port}/{database}"
    size = ["--patients", str(n_patients), "--obs", str(n_obs), "--seed", str(seed)]
    subprocess.run([sys.executable, str(GENERATOR), "--dsn", dsn, "--create", *size], check=True, stdout=sys.stderr)
    return dsn
