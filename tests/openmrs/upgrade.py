"""Upgrades, dumps and restores of a pretend hospital: its rows, ids and uuids in the tables of another version.

    modern = upgrade(hospital, "2.0")      the same database, with 2.0's tables; returns the hospital to go on with
    backup = dump(hospital)                a copy of its content at this moment
    restore(hospital, backup)              the content is again what it was then

What OpenMRS' own liquibase does between versions, as far as a reader of histories sees it: tables and columns come and
go, rows stay. Data that its modules move (conditions, allergies, obs groups to encounter_diagnosis) are not moved here.
"""

from __future__ import annotations

from tests.openmrs import ddl
from tests.openmrs.hospital import PretendHospital

LENIENT = "SET SESSION sql_mode = '', foreign_key_checks = 0"


def upgrade(hospital: PretendHospital, version: str) -> PretendHospital:
    """Nobody may use the hospital meanwhile; connections of readers stay open and find the new tables."""
    server, name, old = hospital.server, hospital.database, hospital.version
    building = f"{name}_building"
    server.create_database(building, charset="latin1" if ddl.is_old(version) else "utf8mb3")
    hospital.close()
    connection = server.connect(building)
    cursor = connection.cursor()
    cursor.execute(LENIENT)
    for statement in ddl.create_statements(version):
        cursor.execute(statement)
    kept = set(ddl.tables_of(old))
    for table in ddl.tables_of(version):
        if table in kept:
            _copy(cursor, table, source=name, target=building, columns=_common(table, old, version))
    for table in kept:
        cursor.execute(f"DROP TABLE `{name}`.`{table}`")
    for table in ddl.tables_of(version):
        cursor.execute(f"RENAME TABLE `{building}`.`{table}` TO `{name}`.`{table}`")
    connection.close()
    server.drop_database(building)
    return PretendHospital(server, name, version, time_zone=hospital.time_zone, seed=f"{name} {version}").open()


def dump(hospital: PretendHospital) -> str:
    """The name of the database that holds the copy."""
    backup = f"{hospital.database}_backup"
    hospital.flush()
    hospital.server.create_database(backup)
    _copy_all(hospital, source=hospital.database, target=backup)
    return backup


def restore(hospital: PretendHospital, backup: str) -> None:
    """Every table as it was; the ids that were given since then are given again, as an old MySQL does."""
    hospital.close()
    for table in ddl.tables_of(hospital.version):
        hospital.server.execute(f"DROP TABLE `{hospital.database}`.`{table}`")
    _copy_all(hospital, source=backup, target=hospital.database)


def _copy_all(hospital: PretendHospital, *, source: str, target: str) -> None:
    connection = hospital.server.connect(target)
    cursor = connection.cursor()
    cursor.execute(LENIENT)
    for table in ddl.tables_of(hospital.version):
        cursor.execute(f"CREATE TABLE `{target}`.`{table}` LIKE `{source}`.`{table}`")
        _copy(cursor, table, source=source, target=target, columns=list(ddl.columns_of(table, hospital.version)))
    connection.close()


def _common(table: str, old: str, new: str) -> list[str]:
    return [name for name in ddl.columns_of(table, old) if name in ddl.columns_of(table, new)]


def _copy(cursor: object, table: str, *, source: str, target: str, columns: list[str]) -> None:
    names = ", ".join(f"`{name}`" for name in columns)
    cursor.execute(  # type: ignore[attr-defined]  # the driver has no types
        f"INSERT INTO `{target}`.`{table}` ({names}) SELECT {names} FROM `{source}`.`{table}`"
    )
