"""The ward and the rule. One database for all tests here: making its tables takes longer than any of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.openmrs.server import MariaDBServer

if TYPE_CHECKING:  # models cannot be imported before Django is set up, and this file is read earlier
    from tests.openmrs.hospital import PretendHospital
    from tests.rules.ward import Rule, Ward


@pytest.fixture(params=["kept", "taken_out"])
def rule(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator["Rule"]:
    from tests.rules.ward import Rule

    rule = Rule(monkeypatch, is_kept=request.param == "kept")
    yield rule
    assert rule.is_proved(), "a rule's test names what it takes out, and says how both end"


@pytest.fixture(scope="session")
def built(mariadb: MariaDBServer) -> Iterator["tuple[PretendHospital, list[int]]"]:
    from tests.openmrs.hospital import PretendHospital

    pretend = PretendHospital(mariadb, "rules", "2.6").create()
    staff = [row[0] for row in pretend.execute("SELECT person_id FROM person")]
    yield pretend, staff
    pretend.close()


@pytest.fixture
def ward(built: "tuple[PretendHospital, list[int]]", db: None, settings: Any) -> "Ward":
    from tests.rules.ward import open_ward

    # Django's test runner turns DEBUG off, and with it the permission to reach a hospital on this machine.
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    return open_ward(*built)
