"""The account may SELECT and nothing else. Proved from SHOW GRANTS at every test and every sync, never assumed.

Allowed are USAGE, SELECT, SHOW VIEW and SHOW DATABASES, on anything. Everything else is refused, also what seems
harmless: EXECUTE may run a procedure that writes, LOCK TABLES stops the hospital, PROCESS shows other people's queries
with their values.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from hospitals import queries
from hospitals.errors import HospitalUnreachable, SourceError, WritableAccount
from hospitals.models import Hospital, TlsMode

ALLOWED = frozenset({"USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES"})

# MySQL 8's partial revokes, and which role MariaDB puts into force: lines of SHOW GRANTS that grant nothing.
GIVES_NOTHING = ("REVOKE ", "SET DEFAULT ROLE ")

# Names may hold anything, ` ON ` and brackets too; empty quotes take their place before the text is read.
_QUOTED = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"")
_PRIVILEGES = re.compile(r"GRANT (?P<privileges>.*?) ON .* TO ", re.DOTALL)
_ROLES = re.compile(r"GRANT (?P<roles>.+) TO (?:[`'\"].*)$", re.DOTALL)
_COLUMNS = re.compile(r"\([^()]*\)")
_ROLE_NAME = r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')(?:@(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'))?"


class Granted(Protocol):
    """What is needed of a source: `hospitals.connections.Source`, or a list of lines in a test."""

    is_mariadb: bool

    def fetch(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...


def check_grants(source: Granted) -> None:
    """Return when the account can only read.

    Raises WritableAccount that names the privileges that are too many, never a database or a user (SHOW GRANTS holds
    password hashes); HospitalUnreachable.
    """
    lines = [str(row[0]) for row in source.fetch(queries.GRANTS)]
    lines += _lines_for_everybody(source)
    roles = roles_in(lines)
    if roles:
        lines += _lines_of_roles(source, roles)
    too_many = sorted({privilege for line in lines for privilege in privileges_in(line)} - ALLOWED)
    if too_many:
        raise WritableAccount(
            f"The account may do more than read: {', '.join(too_many)}. "
            "Run the grant script at the hospital, so that it may SELECT and nothing else."
        )


def may_read_every_database(source: Granted) -> bool:
    """Whether SELECT is granted on *.*, which shows us more than OpenMRS."""
    lines = [_QUOTED.sub("``", str(row[0])) for row in source.fetch(queries.GRANTS)]
    return any("SELECT" in privileges_in(line) and " ON *.* " in line for line in lines)


def privileges_in(line: str) -> set[str]:
    """The privileges of one line of SHOW GRANTS, in upper case; a line that cannot be read counts as `unknown`.

    >>> privileges_in("GRANT SELECT (`a`, `b`), INSERT (`c`) ON `d`.`t` TO `u`@`%`") == {"SELECT", "INSERT"}
    True
    """
    text = _QUOTED.sub("``", line.strip())
    if text.upper().startswith(GIVES_NOTHING):
        return set()
    found = _PRIVILEGES.match(text)
    if found is None:
        # A role is read by itself, but the right to hand it on is a right to change the hospital's accounts.
        if _ROLES.match(line.strip()):
            return {"ADMIN OPTION"} if "WITH ADMIN OPTION" in text.upper() else set()
        return {"unknown"}
    privileges = {part.strip().upper() for part in _COLUMNS.sub("", found["privileges"]).split(",") if part.strip()}
    if "WITH GRANT OPTION" in text.upper():
        privileges.add("GRANT OPTION")
    return privileges


def roles_in(lines: list[str]) -> list[str]:
    """The roles that these lines give, quoted as they stand there."""
    found: list[str] = []
    for line in lines:
        line = line.strip()
        if _PRIVILEGES.match(_QUOTED.sub("``", line)) or line.upper().startswith(GIVES_NOTHING):
            continue
        match = _ROLES.match(line)
        if match:
            found += re.findall(_ROLE_NAME, line[len("GRANT ") : line.upper().rindex(" TO ")])
    return list(dict.fromkeys(found))


def grant_script(hospital: Hospital) -> str:
    """The statements for the hospital's DBA: an account that may SELECT in this one database. Holds no password."""
    account = f"{_text(hospital.username)}@'ADDRESS-OF-PATIENT-PASSPORT'"
    return queries.grant_script(
        account=account,
        # In GRANT a bare _ stands for any character, and would let us into other databases, too.
        database=hospital.database.replace("`", "``").replace("_", "\\_").replace("%", "\\%"),
        requires_tls=hospital.tls_mode != TlsMode.NONE,
    )


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _name(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def _lines_for_everybody(source: Granted) -> list[str]:
    """What MariaDB 10.11 grants to PUBLIC, and so to us. Older servers and MySQL do not know it."""
    if not source.is_mariadb:
        return []
    try:
        return [str(row[0]) for row in source.fetch(queries.GRANTS_TO_EVERYBODY)]
    except HospitalUnreachable:
        raise
    except SourceError:  # no such thing on this server, or nothing granted
        return []


def _lines_of_roles(source: Granted, roles: list[str]) -> list[str]:
    """What the account could do after SET ROLE, which needs no right.

    Raises WritableAccount when the server does not tell.
    """
    try:
        if not source.is_mariadb:
            return [str(row[0]) for row in source.fetch(queries.grants_with_roles(roles))]
        ((in_force,),) = source.fetch(queries.CURRENT_ROLE)
        lines: list[str] = []
        for role in roles:  # MariaDB tells a role's rights only while it is in force
            source.fetch(queries.set_role(role))
            lines += [str(row[0]) for row in source.fetch(queries.GRANTS_OF_THE_ROLE)]
        source.fetch(queries.set_role(_name(in_force) if in_force else "NONE"))
        return lines
    except HospitalUnreachable:
        raise
    except SourceError:
        raise WritableAccount(
            "The account has a role whose rights cannot be seen. "
            "Run the grant script at the hospital, so that it needs no role."
        ) from None
