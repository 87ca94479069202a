"""Dumps of real OpenMRS installs with demo patients, where this machine has them; they are not part of this repository.

Looked for in $OPENMRS_DUMPS, else in `../shared/openmrs` beside the checkout: `demo/*.sql.gz` with patients,
`schema/*.sql.gz` empty platforms, `columns.tsv` with the columns of nine versions.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.openmrs.server import CHECKOUT, MariaDBServer

DEMOS = {  # short name: file; the three of Bahmni are one hospital at three moments, with an upgrade after the first
    "refapp-1.11": "refapp-1.11-2015.sql.gz",
    "refapp-2.3": "refapp-2.3-2021.sql.gz",
    "bahmni-t0": "bahmni-t0-1.12-2016-08.sql.gz",
    "bahmni-t1": "bahmni-t1-2.0-2017-02.sql.gz",
    "bahmni-t2": "bahmni-t2-2.0-2017-04.sql.gz",
    "core-2.8": "core-testdata-2.8.sql.gz",
}
SCHEMAS = {
    "1.9": "openmrs-1.9.8-platform.sql.gz",
    "2.5": "openmrs-2.5.12-platform.sql.gz",
    "2.6": "openmrs-2.6.4-platform.sql.gz",
    "2.8": "openmrs-2.8-schema.sql.gz",
    "2.9": "openmrs-2.9-schema.sql.gz",
}
MISSING = "the dumps of real OpenMRS installs are not here: set OPENMRS_DUMPS to their folder"


def folder() -> Path | None:
    """Return where the dumps are, or None."""
    path = Path(os.environ.get("OPENMRS_DUMPS") or CHECKOUT.parent / "shared" / "openmrs")
    return path if (path / "columns.tsv").is_file() else None


def path_of(name: str) -> Path:
    """Return the file of a demo ("bahmni-t0") or of an empty platform ("2.6").  Raises FileNotFoundError."""
    root = folder()
    if root is None:
        raise FileNotFoundError(MISSING)
    return root / "demo" / DEMOS[name] if name in DEMOS else root / "schema" / SCHEMAS[name]


def load(server: MariaDBServer, name: str, database: str) -> None:
    """Make the database afresh and load a demo or an empty platform into it (0.4 to 1.5 s)."""
    server.create_database(database)
    server.load_sql_gz(path_of(name), database)


def columns() -> dict[str, set[tuple[str, str]]]:
    """Return the facts of columns.tsv: for each version of it, the (table, column) pairs that exist."""
    root = folder()
    if root is None:
        raise FileNotFoundError(MISSING)
    lines = (root / "columns.tsv").read_text(encoding="utf-8").splitlines()
    versions = lines[0].split("\t")[4:]
    found: dict[str, set[tuple[str, str]]] = {version: set() for version in versions}
    for line in lines[1:]:
        table, column, _type, _nullable, *exists = line.split("\t")
        for version, flag in zip(versions, exists, strict=True):
            if flag == "1":
                found[version].add((table, column))
    return found
