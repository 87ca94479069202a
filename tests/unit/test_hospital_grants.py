"""Reading SHOW GRANTS, in the words of MySQL 5.6 to 8 and MariaDB."""

from collections.abc import Sequence
from typing import Any

import pytest

from hospitals.errors import HospitalMisconfigured, WritableAccount
from hospitals.grants import check_grants, privileges_in, roles_in

READ_ONLY = [
    "GRANT USAGE ON *.* TO 'passport'@'10.0.0.5' IDENTIFIED BY PASSWORD '*7B9EBEED26AA52ED10C0F549FA863F13C39E0209'",
    "GRANT SELECT ON `openmrs`.* TO 'passport'@'10.0.0.5'",
    "GRANT SELECT, SHOW VIEW ON `open\\_mrs`.* TO `passport`@`%`",
    "GRANT USAGE ON *.* TO `passport`@`%` REQUIRE SSL WITH MAX_USER_CONNECTIONS 5",
    "GRANT SELECT (`a, INSERT`, `b) ON x`) ON `o``d ON d`.`t` TO `passport`@`%`",
    "GRANT SHOW DATABASES ON *.* TO `passport`@`%`",
    "REVOKE INSERT ON `mysql`.* FROM `passport`@`%`",
    "SET DEFAULT ROLE `reader` FOR `passport`@`%`",
    "GRANT `reader`@`%` TO `passport`@`%`",
]
TOO_MANY = [
    ("GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost'", {"ALL PRIVILEGES"}),
    ("GRANT ALL PRIVILEGES ON `openmrs`.* TO `p`@`%` WITH GRANT OPTION", {"ALL PRIVILEGES", "GRANT OPTION"}),
    ("GRANT SELECT, INSERT (`a`), UPDATE ON `openmrs`.`obs` TO `p`@`%`", {"INSERT", "UPDATE"}),
    ("GRANT SELECT, LOCK TABLES ON `openmrs`.* TO `p`@`%`", {"LOCK TABLES"}),
    ("GRANT EXECUTE ON PROCEDURE `openmrs`.`fix` TO `p`@`%`", {"EXECUTE"}),
    ("GRANT FILE, PROCESS ON *.* TO `p`@`%`", {"FILE", "PROCESS"}),
    ("GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `p`@`%`", {"BACKUP_ADMIN", "XA_RECOVER_ADMIN"}),
    ("GRANT PROXY ON ''@'' TO 'p'@'%' WITH GRANT OPTION", {"PROXY", "GRANT OPTION"}),
    ("GRANT USAGE ON *.* TO `p`@`%` WITH GRANT OPTION", {"GRANT OPTION"}),
    ("GRANT `reader`@`%` TO `p`@`%` WITH ADMIN OPTION", {"ADMIN OPTION"}),
    ("something new", {"unknown"}),
]


class Told:
    """A server that answers SHOW GRANTS and, in MySQL's way, with roles."""

    is_mariadb = False

    def __init__(self, lines: list[str], with_roles: list[str] | None = None) -> None:
        self.lines, self.with_roles, self.asked = lines, with_roles, ""

    def fetch(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if " USING " not in sql:
            return [(line,) for line in self.lines]
        self.asked = sql
        if self.with_roles is None:
            raise HospitalMisconfigured("no right to see the role")
        return [(line,) for line in self.with_roles]


def test_an_account_that_can_only_read_passes() -> None:
    check_grants(Told([line for line in READ_ONLY if "reader" not in line]))


@pytest.mark.parametrize("line, expected", TOO_MANY)
def test_what_is_too_many_is_named(line: str, expected: set[str]) -> None:
    assert privileges_in(line) - {"SELECT", "USAGE"} == expected
    with pytest.raises(WritableAccount, match=sorted(expected)[0]):
        check_grants(Told([*READ_ONLY[:2], line], with_roles=[]))


def test_roles_are_found_as_they_are_quoted() -> None:
    assert roles_in([*READ_ONLY, "GRANT `a`@`%`,`b TO c`@`h` TO `p`@`%`", "GRANT `d` TO `p`@`%`"]) == [
        "`reader`@`%`",
        "`a`@`%`",
        "`b TO c`@`h`",
        "`d`",
    ]


def test_mysql_is_asked_for_the_grants_with_the_roles_in_force() -> None:
    told = Told(READ_ONLY, with_roles=["GRANT SELECT, DELETE ON `openmrs`.* TO `p`@`%`"])
    with pytest.raises(WritableAccount, match="DELETE"):
        check_grants(told)
    assert told.asked.endswith("USING `reader`@`%`")


def test_a_role_that_cannot_be_seen_is_refused() -> None:
    with pytest.raises(WritableAccount, match="cannot be seen"):
        check_grants(Told(READ_ONLY))


def test_no_password_hash_gets_into_the_message() -> None:
    with pytest.raises(WritableAccount) as caught:
        check_grants(Told([READ_ONLY[0], "GRANT INSERT ON *.* TO 'p'@'%' IDENTIFIED BY PASSWORD '*7B9EBEED26'"]))
    assert "7B9EBEED26" not in str(caught.value)
