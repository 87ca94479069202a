"""The yardstick: every obs row through a bare SSCursor, the 21 columns that a record needs. Prints JSON.

python -m bench.bare_read --port 3307 --database openmrs_a --user passport --password …
"""

import argparse
import json
import time

import MySQLdb
from MySQLdb.cursors import SSCursor

COLUMNS = (
    "obs_id, uuid, person_id, concept_id, encounter_id, obs_datetime, location_id, obs_group_id, value_coded, "
    "value_coded_name_id, value_drug, value_datetime, value_numeric, value_modifier, value_text, value_complex, "
    "comments, status, date_created, voided, date_voided"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--database", "--user", "--password"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    connection = MySQLdb.connect(
        host="127.0.0.1",
        port=options.port,
        db=options.database,
        user=options.user,
        passwd=options.password,
        charset="utf8mb4",
        cursorclass=SSCursor,
    )
    began, cpu_began = time.perf_counter(), time.process_time()
    cursor = connection.cursor()
    cursor.execute(f"SELECT {COLUMNS} FROM obs")
    n_rows = sum(1 for _ in cursor)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    print(json.dumps({"n_obs": n_rows, "seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}))


if __name__ == "__main__":
    main()
