"""Every SQL text that the app `hospitals` sends to a source. The engine's own are in `openmrs_sync.queries`."""

import re

# --- the session ------------------------------------------------------------------------------------------------------

# READ COMMITTED, Django's default, makes a consistent snapshot silently ineffective.
REPEATABLE_READ = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
# The second lock behind the SELECT-only grant: even root's INSERT and DROP end in error 1792.
READ_ONLY = "SET SESSION TRANSACTION READ ONLY"
# sql_mode '': zero dates can be read and compared, and no server's ANSI_QUOTES changes what our SQL means.
# lock_wait_timeout (s): a hospital's ALTER TABLE must not keep us waiting, as everybody else waits behind it.
# wait_timeout (s): a server that drops the idle after a moment must not drop us while we write what was read.
SESSION = "SET SESSION sql_mode = '', lock_wait_timeout = 5, wait_timeout = 600"
MARIADB_TIME_LIMIT = "SET SESSION max_statement_time = %s"  # seconds; MariaDB 10.1
# Seconds after which the server ends a snapshot of ours in which nothing is asked any more: we froze, or the line died.
MARIADB_IDLE_LIMIT = f"{MARIADB_TIME_LIMIT}, idle_readonly_transaction_timeout = %s"  # MariaDB 10.3
MYSQL_TIME_LIMIT = "SET SESSION max_execution_time = %s"  # milliseconds; MySQL 5.7.8
CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"

START_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
START_SNAPSHOT_MARIADB_5 = "START TRANSACTION WITH CONSISTENT SNAPSHOT"  # READ ONLY came with MariaDB 10.0
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"


def bounded_by_mariadb(select: str, seconds: float) -> str:
    """The same, ended by the server after so long. With the statement: to set it before would be one more way."""
    return f"SET STATEMENT max_statement_time = {seconds:.3f} FOR {select}"


def bounded_by_mysql(select: str, seconds: float) -> str:
    """As above. Nothing but a SELECT can be bounded, and MySQL ends nothing else."""
    return re.sub(r"^SELECT\b", f"SELECT /*+ MAX_EXECUTION_TIME({int(seconds * 1000)}) */", select, count=1)


def kill(thread_id: int) -> str:
    """End another connection of ours, and what it is doing. Every account may end its own."""
    return f"KILL {int(thread_id)}"


# --- grants -----------------------------------------------------------------------------------------------------------

GRANTS = "SHOW GRANTS FOR CURRENT_USER()"
GRANTS_OF_THE_ROLE = "SHOW GRANTS FOR CURRENT_ROLE"  # MariaDB; those of the roles inside it, too
CURRENT_ROLE = "SELECT CURRENT_ROLE()"
GRANTS_TO_EVERYBODY = "SHOW GRANTS FOR PUBLIC"  # MariaDB 10.11


def grants_with_roles(roles: list[str]) -> str:
    """MySQL 8: the grants as if these roles were in force. `roles` as SHOW GRANTS quotes them."""
    return f"{GRANTS} USING {', '.join(roles)}"


def set_role(role: str) -> str:
    """MariaDB: bring a role of ours into force for this session. `role` quoted; NONE for none."""
    return f"SET ROLE {role}"


# --- the probe --------------------------------------------------------------------------------------------------------

TABLES = "SELECT LOWER(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
NOW = "SELECT NOW()"  # naive, in the zone of the server's session, which is left alone
# By primary key: a date_* column has no index in any version.
NEWEST_OBS_ENTERED = "SELECT date_created FROM obs ORDER BY obs_id DESC LIMIT 1"
NEWEST_OBS = "SELECT obs_id, person_id, concept_id, obs_datetime, voided FROM obs ORDER BY obs_id DESC LIMIT 1000"
IDENTIFIER_TYPES = "SELECT patient_identifier_type_id, uuid, name, retired FROM patient_identifier_type ORDER BY name"
# In pages by primary key: a million identifiers are read in about a second, and never held at once.
IDENTIFIERS = (
    "SELECT patient_identifier_id, identifier_type, identifier FROM patient_identifier "
    "WHERE voided = 0 AND patient_identifier_id > %s ORDER BY patient_identifier_id LIMIT %s"
)


def grant_script(*, account: str, database: str, requires_tls: bool) -> str:
    """For people to run at the hospital; we never send it. `account` quoted, `database` escaped for backticks."""
    tls = [
        "-- Nobody logs in unencrypted (MySQL 5.7, MariaDB 10.2 and later):",
        f"ALTER USER {account} REQUIRE SSL;",
    ]
    return "\n".join(
        [
            "-- Put in the address from which Patient Passport connects, and a password of your own.",
            "-- If the account exists already, run this line instead of CREATE USER, to take away what it may do now:",
            f"-- REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account};",
            f"CREATE USER {account} IDENTIFIED BY 'A-LONG-PASSWORD';",
            f"GRANT SELECT ON `{database}`.* TO {account};",
            *(tls if requires_tls else []),
            "-- This must list USAGE and SELECT, and nothing else:",
            f"SHOW GRANTS FOR {account};",
        ]
    )
