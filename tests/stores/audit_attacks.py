"""What one who may write to the database tries on the audit table. `python -m tests.stores.audit_attacks` tries all.

In a process of its own, against the store that DATABASE_URL names; prints which were refused as one JSON line.
"""

import datetime as dt
import json
import os

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
TABLE = "passport_auditevent"
COLUMNS = "seq, at, action, actor_role, basis, details, previous_hash, hash"
FORGED = "1, '2026-01-01 00:00:00', 'forged', 'system', '', '{}', '0', '0'"

EVERYWHERE = {
    "change one row": f"UPDATE {TABLE} SET basis = 'x' WHERE seq = 1",
    "change all rows": f"UPDATE {TABLE} SET basis = 'x'",
    "move a row": f"UPDATE {TABLE} SET seq = 99 WHERE seq = 1",
    "delete one row": f"DELETE FROM {TABLE} WHERE seq = 1",
    "delete all rows": f"DELETE FROM {TABLE}",
}
ATTACKS = {
    "sqlite": EVERYWHERE
    | {
        "replace by number": f"INSERT OR REPLACE INTO {TABLE} ({COLUMNS}) VALUES ({FORGED})",
        "replace by rowid": f"INSERT OR REPLACE INTO {TABLE} (rowid, {COLUMNS}) "
        f"SELECT rowid, 77, at, action, actor_role, basis, details, previous_hash, hash FROM {TABLE} WHERE seq = 1",
        "change in passing": f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({FORGED}) "
        "ON CONFLICT (seq) DO UPDATE SET basis = 'x'",
        "update or replace": f"UPDATE OR REPLACE {TABLE} SET seq = 2 WHERE seq = 1",
    },
    "postgresql": EVERYWHERE
    | {
        "change in passing": f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({FORGED}) "
        "ON CONFLICT (seq) DO UPDATE SET basis = 'x'",
        "truncate": f"TRUNCATE {TABLE}",
    },
    "mysql": EVERYWHERE
    | {
        "replace by number": f"REPLACE INTO {TABLE} ({COLUMNS}) VALUES ({FORGED})",
        "change in passing": f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({FORGED}) ON DUPLICATE KEY UPDATE basis = 'x'",
        "truncate": f"TRUNCATE TABLE {TABLE}",
    },
}


def environment(url: str, var: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": url, "CONTROL_DATABASE_URL": "", "VAR_DIR": var}


def write_rows() -> None:
    from passport.audit import record_event

    for number in range(3):
        record_event(action="tested", actor=None, now=NOW, details={"number": number})


def main() -> None:
    import django

    django.setup()
    from django.db import DatabaseError, connection, transaction

    from passport.audit import verify

    write_rows()
    refused, not_refused = [], []
    for name, statement in ATTACKS[connection.vendor].items():
        try:
            with transaction.atomic():
                connection.cursor().execute(statement)
        except DatabaseError:
            refused.append(name)
        else:
            not_refused.append(name)
    report = verify()
    told = {"vendor": connection.vendor, "n_rows": report.n_rows, "is_whole": report.is_whole}
    print(json.dumps(told | {"refused": refused, "not_refused": not_refused}))


if __name__ == "__main__":
    main()
