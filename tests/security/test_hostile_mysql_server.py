"""A hospital's server that means harm: each attack ends in one named error, in time, and takes little of our memory."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hospitals import connections
from hospitals.connections import open_hospital
from hospitals.errors import HospitalMisconfigured, HospitalUnreachable, SourceError
from hospitals.models import Hospital, TlsMode
from hospitals.probe import test_connection as probe
from passport.secrets import seal
from tests.security import hostile_mysql as hostile
from tests.security.hostile_mysql import Answer, HostileServer

PASSWORD = "tr0ub4dor&3"
MB = 1024 * 1024
#: (what the server does, what we make of it)
ATTACKS: list[tuple[Answer, type[SourceError]]] = [
    (hostile.ask_for_a_file, HospitalMisconfigured),
    (hostile.send_garbage, HospitalUnreachable),
    (hostile.announce_absurdly_many_columns, HospitalUnreachable),
    (hostile.announce_many_columns, HospitalUnreachable),
    (hostile.send_results_without_end, HospitalUnreachable),
    (hostile.send_one_row_without_end, HospitalUnreachable),
    (hostile.send_rows_without_end, HospitalMisconfigured),
]

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def _impatient(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    settings.SOURCE_READ_TIMEOUT = 1
    settings.SOURCE_OPEN_TIMEOUT = settings.SOURCE_STATEMENT_TIMEOUT = 3
    monkeypatch.setattr(connections, "MOST_MEMORY", 64 * MB)


def at(server: HostileServer, **changes: Any) -> Hospital:
    fields = {"code": "evil", "name": "Evil", "host": "127.0.0.1", "database": "openmrs", "username": "passport"}
    fields |= {"tls_mode": TlsMode.NONE, "password_sealed": seal(PASSWORD)}
    return Hospital(number=1, port=server.port, **(fields | changes))


def named(function: Callable[..., object]) -> str:
    return function.__name__


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("attack, error", ATTACKS, ids=[named(attack) for attack, _ in ATTACKS])
def test_once_it_is_trusted(attack: Answer, error: type[SourceError]) -> None:
    """T73: the driver is told not to obey, and what it would swallow has an end."""
    before = peak()
    with (
        HostileServer(answer=hostile.once_it_is_trusted(attack)) as server,
        pytest.raises(error) as refused,
        open_hospital(at(server)) as source,
    ):
        source.fetch("SELECT 1")
    assert type(refused.value) is error
    assert peak() - before < 300 * MB


@pytest.mark.parametrize("attack, error", ATTACKS, ids=[named(attack) for attack, _ in ATTACKS])
def test_from_its_first_answer_on(attack: Answer, error: type[SourceError]) -> None:
    before = peak()
    with HostileServer(answer=attack) as server, pytest.raises(SourceError), open_hospital(at(server)):
        pass
    assert peak() - before < 300 * MB


def test_no_file_is_sent_to_a_server_that_asks_for_one() -> None:
    """T73: hostname, as the file that the server asks for, is in no packet of ours."""
    with (
        HostileServer(answer=hostile.once_it_is_trusted(hostile.ask_for_a_file)) as server,
        pytest.raises(HospitalMisconfigured, match="asked for a file"),
        open_hospital(at(server)) as source,
    ):
        source.fetch("SELECT 1")
    content = Path(hostile.FILE.decode()).read_bytes().strip()
    assert any(packet.startswith(b"\x03SELECT 1") for packet in server.heard)
    assert not any(content in packet for packet in server.heard if not packet.startswith(b"\x03"))
    # what is sent after the request for the file is the driver's refusal: an empty packet, and the goodbye
    asked = next(n for n, packet in enumerate(server.heard) if packet.startswith(b"\x03SELECT 1"))
    assert server.heard[asked + 1] == b""


@pytest.mark.parametrize("mode", [TlsMode.NONE, TlsMode.UNVERIFIED, TlsMode.VERIFIED])
def test_the_password_is_sent_to_nobody_who_asks_for_it_in_clear_text(mode: TlsMode) -> None:
    with (
        HostileServer(greet=hostile.greet_and_ask_for_the_password) as server,
        pytest.raises(HospitalMisconfigured),
        open_hospital(at(server, tls_mode=mode)),
    ):
        pass
    assert not any(PASSWORD.encode() in packet for packet in server.heard)


@pytest.mark.parametrize("greet", [hostile.send_garbage, hostile.send_one_row_without_end], ids=named)
def test_what_greets_like_no_server_is_an_error_of_ours(greet: Answer) -> None:
    with HostileServer(greet=greet) as server, pytest.raises(SourceError), open_hospital(at(server)):
        pass


def test_a_server_that_answers_everything_with_nothing_is_named() -> None:
    with (
        HostileServer(answer=hostile.nothing) as server,
        pytest.raises(HospitalMisconfigured, match="does not speak as a MySQL server"),
        open_hospital(at(server)),
    ):
        pass


@pytest.mark.parametrize("attack", [attack for attack, _ in ATTACKS] + [hostile.nothing], ids=named)
def test_the_test_of_the_connection_says_it_in_a_step(attack: Answer) -> None:
    """An admin who presses the button reads a sentence, whatever the server does."""
    with HostileServer(answer=attack) as server:
        hospital = at(server)
        hospital.save()
        test = probe(hospital=hospital, now=timezone.now())
    assert not test.is_ok
    failed = [step for step in test.steps if step["result"] == "fail"]
    assert [step["name"] for step in failed] == ["login"]
    assert PASSWORD not in str(test.steps)
