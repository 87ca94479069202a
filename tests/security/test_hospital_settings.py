"""SSRF and worse through a hospital's settings: by form, by file and over the API one rule holds."""

import socket
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from hospitals import addresses, connections, probe, validation
from hospitals.connections import open_hospital
from hospitals.errors import HospitalMisconfigured
from hospitals.loading import load
from hospitals.models import Hospital, TlsMode
from hospitals.registry import HospitalSettings, create_hospital
from passport.api.tokens import issue
from passport.models import AuditEvent, User
from passport.secrets import seal

ENTRY = {"code": "evil", "name": "Evil", "host": "db.example", "database": "openmrs", "username": "u", "password": "p"}
#: Every spelling of an address that is ours and no hospital's.
FORBIDDEN = [
    "127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "::1", "::ffff:127.0.0.1",
    "::ffff:7f00:1", "169.254.169.254", "0xa9fea9fe", "2852039166", "::ffff:169.254.169.254", "fd00:ec2::254",
    "100.100.100.200", "0", "::", "fe80::1", "224.0.0.1",
]  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(settings: Any) -> Any:
    """POST as an admin, with a token."""
    settings.REQUIRE_TOTP = False
    admin = User.objects.create_user(username="root", password="correct horse battery", role="admin")
    token = issue(user=admin, now=timezone.now(), has_code=True).access

    def post(name: str, body: object) -> Any:
        return Client().post(
            f"/api/openmrs-sync/{name}", body, "application/json", headers={"Authorization": f"Bearer {token}"}
        )

    return post


@pytest.fixture
def _production(settings: Any) -> None:
    settings.DEBUG, settings.ALLOWED_SOURCE_NETWORKS = False, []


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("host", FORBIDDEN)
def test_no_spelling_of_our_own_addresses_is_connected_to(host: str, api: Any) -> None:
    """T56: `initialize` obeys the rule of the form: the host is refused, at the latest when it is resolved."""
    (line,) = api("initialize", {"hospitals": [{**ENTRY, "host": host}]}).json()["hospitals"]
    assert not line["ok"]
    failed = [step for step in line["steps"] if step["result"] == "fail"]
    assert failed[0]["name"] in {"settings", "name"}
    for hospital in Hospital.objects.all():
        with pytest.raises(HospitalMisconfigured), open_hospital(hospital):
            pass


@pytest.mark.usefixtures("_production")
def test_a_name_that_leads_to_two_addresses_is_refused_for_the_worse_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 3306)) for address in ("41.186.1.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(HospitalMisconfigured):
        addresses.resolve("two.example", 3306)


@pytest.mark.usefixtures("_production")
def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers otherwise the second time: the driver is given the address, not the name."""
    given: list[str] = []
    monkeypatch.setattr(connections, "resolve", lambda host, port: ["41.186.1.1"])
    monkeypatch.setattr(connections, "_log_in", lambda wrapper, **_: given.append(wrapper.settings_dict["HOST"]))
    monkeypatch.setattr(connections, "_check_peer", lambda wrapper: None)
    hospital = Hospital(host="moves.example", port=3306, tls_mode=TlsMode.NONE, password_sealed=seal("p"))
    connections._connect(hospital, alias="x", open_by=time.monotonic() + 5)
    assert given == ["41.186.1.1"]


@pytest.mark.parametrize("changed", [{"host": "evil.example"}, {"port": 3307}, {"tls_mode": "none"}, {"username": "x"}])
def test_a_moved_hospital_without_its_password_is_refused_over_the_api(changed: dict[str, Any], api: Any) -> None:
    load([ENTRY], timezone.now())
    entry = {key: value for key, value in ENTRY.items() if key != "password"} | changed
    (line,) = api("initialize", {"hospitals": [entry]}).json()["hospitals"]
    assert line["steps"][0]["message"].startswith("password is missing.")
    stored = Hospital.objects.get(code="evil")
    assert (stored.host, stored.port, stored.tls_mode) == ("db.example", 3306, "verified")


@pytest.mark.parametrize(
    "name", ["Kigali\u202egnp", "Kigali\x00", "Kig\u200bali", "A\u2028B", "A\x85B", "\u2066A\u2069"]
)
def test_a_name_that_hides_or_turns_its_letters_is_refused(name: str) -> None:
    with pytest.raises(validation.Unacceptable):
        validation.name(name)


def test_names_in_any_script_are_fine() -> None:
    for name in ("Hôpital Saint-Luc", "مستشفى", "Nyarugenge (CHUK)", "病院"):
        assert validation.name(name) == name


@pytest.mark.parametrize(
    "name, body",
    [("start", {"intervalMinute": 5}), ("initialize", {"hospital": []}), ("start", {"1199080012345678": 1})],
)
def test_a_misspelt_key_of_a_body_is_refused(name: str, body: dict[str, Any], api: Any) -> None:
    answer = api(name, body)
    assert answer.status_code == 400
    assert "not known here" in str(answer.json())
    assert not any(key in str(answer.json()["errors"]) for key in body if key.isdigit())
    assert not AuditEvent.objects.filter(action="sync_started").exists()


def test_many_dead_hospitals_do_not_add_up(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Each accepts and says nothing. All together they are given up when the time of one is over."""
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    monkeypatch.setattr(probe, "SECONDS", 2.0)
    settings.SOURCE_OPEN_TIMEOUT = 30
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        fields = {"name": "Dead", "host": "127.0.0.1", "database": "d", "username": "u", "password": "p", "port": port}
        hospitals = [
            create_hospital(
                wanted=HospitalSettings(code=f"dead-{n}", **{**fields, "tls_mode": "none"}),
                actor=None,
                now=timezone.now(),
            )
            for n in range(20)
        ]
        tests = probe.test_connections(hospitals=hospitals, now=timezone.now())
    assert [test.hospital for test in tests] == hospitals
    assert not any(test.is_ok for test in tests)
    given_up = [test for test in tests if test.steps[0]["message"].startswith("The test was not done after")]
    assert len(given_up) >= 20 - probe.AT_ONCE  # whose turn never came, for one
    assert AuditEvent.objects.filter(action="hospital_tested").count() == 20


def test_a_refused_refresh_is_one_row(api: Any, settings: Any) -> None:
    load([{**ENTRY, "is_enabled": False}], timezone.now())
    hospital = Hospital.objects.get(code="evil")
    doctor = User.objects.create_user(
        username="doc", password="correct horse battery", role="doctor", hospital=hospital
    )
    token = issue(user=doctor, now=timezone.now(), has_code=True).access
    answer = Client().post(
        "/api/openmrs-sync/sync-patient/1199080012345678?hospital=other", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403
    refusals = AuditEvent.objects.filter(actor_id=doctor.pk).values_list("action", "basis")
    assert list(refusals) == [("sync_patient_refused", "refused")]


def test_a_code_in_other_bytes_than_utf_8_is_an_unknown_code() -> None:
    with pytest.raises(CommandError, match=r"No hospital has the code \\udcff") as refused:
        call_command("sync", hospital=["\udcff"])
    assert refused.value.returncode == 2
