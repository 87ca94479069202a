"""How a hospital is reached, against real servers: errors by class, TLS proved, no way to write, nothing left open."""

import contextlib
import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from hospitals import connections as hospital_connections
from hospitals import queries
from hospitals.connections import open_hospital
from hospitals.errors import (
    HospitalMisconfigured,
    HospitalUnreachable,
    SchemaMismatch,
    SnapshotTooLong,
    SourceError,
    WritableAccount,
    WrongCredentials,
)
from hospitals.faults import TlsRefused
from hospitals.grants import check_grants, grant_script
from hospitals.models import Hospital, TlsMode
from passport.secrets import seal
from tests.openmrs.server import MariaDBServer, free_port, make_certificates

PASSWORD = "tr0ub4dor&3"

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


def hospital_at(server: MariaDBServer, **changes: Any) -> Hospital:
    """Alice's hospital as it would be stored; nothing here needs it in the database."""
    fields: dict[str, Any] = {
        "number": 1,
        "code": "alice",
        "name": "Alice's",
        "host": "127.0.0.1",
        "port": server.port,
        "database": "alice",
        "username": "passport",
        "password_sealed": seal(PASSWORD),
        "tls_mode": TlsMode.NONE,
    }
    return Hospital(**{**fields, **changes})


def prepare(server: MariaDBServer) -> MariaDBServer:
    server.create_database("alice")
    server.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, at DATETIME, bit_flag BIT(1), day DATE, span TIME)",
        database="alice",
    )
    server.grant_reader("passport", PASSWORD, "alice")
    return server


@pytest.fixture(autouse=True)
def _private_servers_may_be_hospitals(settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]  # Django's test runner turns DEBUG off


@pytest.fixture
def alice(mariadb: MariaDBServer) -> MariaDBServer:
    return prepare(mariadb)


@pytest.fixture(scope="module")
def tls_server() -> Iterator[MariaDBServer]:
    with MariaDBServer() as server:
        yield prepare(server)


def is_registered(hospital: Hospital) -> bool:
    return hasattr(connections._connections, f"hospital-{hospital.pk}")


def is_left_on_the_server(server: MariaDBServer) -> bool:
    return any(row[1] == "passport" for row in server.execute("SHOW PROCESSLIST"))


def test_rows_are_fetched_and_counted(alice: MariaDBServer) -> None:
    alice.execute("INSERT INTO alice.things (id) VALUES (1), (2)")
    with open_hospital(hospital_at(alice)) as source:
        assert source.fetch("SELECT id FROM things WHERE id IN %s ORDER BY id", [(1, 2, 3)]) == [(1,), (2,)]
        assert source.n_rows >= 2
        assert source.seconds > 0
        assert source.is_mariadb
        assert source.server_version.startswith("10.") or source.version > (10,)
        assert not source.is_encrypted
        assert source.hints == []


def test_a_percent_sign_without_params_is_sent_as_it_is(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source:
        assert source.fetch("SELECT 'abc' LIKE 'a%', '%s'") == [(1, "%s")]


def test_odd_values_arrive_as_the_engine_expects_them(alice: MariaDBServer) -> None:
    alice.execute("SET SESSION sql_mode=''")
    alice.execute("INSERT INTO alice.things VALUES (1, '2020-02-29 10:00:00', b'1', '2020-02-29', '26:30:00')")
    connection = alice.connect("alice")
    cursor = connection.cursor()
    cursor.execute("SET sql_mode=''")
    cursor.execute(
        "INSERT INTO things VALUES (2, '0000-00-00', b'0', '2010-00-00', NULL)",
    )
    connection.close()
    with open_hospital(hospital_at(alice)) as source:
        first, second = source.fetch("SELECT at, bit_flag, day, span FROM things ORDER BY id")
        assert source.fetch("SELECT id FROM things WHERE at = '0000-00-00'") == [(2,)]
    moment = dt.datetime(2020, 2, 29, 10, 0)
    assert first == (moment, 1, dt.date(2020, 2, 29), dt.timedelta(hours=26, minutes=30))
    assert second == (None, 0, None, None)


def test_the_session_has_the_settings_that_we_count_on(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source:
        (row,) = source.fetch(
            "SELECT @@tx_isolation, @@tx_read_only, @@lock_wait_timeout, @@max_statement_time, @@sql_mode, "
            "@@character_set_connection, @@time_zone"
        )
    assert row == ("REPEATABLE-READ", 1, 5, 25, "", "utf8mb4", "SYSTEM")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO things (id) VALUES (9)",
        "DELETE FROM things",
        "DROP TABLE things",
        "TRUNCATE things",
        "CREATE TABLE more (id INT)",
    ],
)
def test_even_an_account_with_all_rights_cannot_write(alice: MariaDBServer, statement: str) -> None:
    alice.grant("almighty", PASSWORD, "ALL PRIVILEGES", "*.*")
    alice.execute("INSERT INTO alice.things (id) VALUES (1)")
    with open_hospital(hospital_at(alice, username="almighty")) as source, pytest.raises(SourceError, match="1792"):
        source.fetch(statement)
    alice.execute("DROP USER 'almighty'@'%'")
    assert alice.execute("SELECT id FROM alice.things") == [(1,)]


def test_two_statements_in_one_text_are_refused(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source, pytest.raises(SourceError, match="1064"):
        source.fetch("SELECT 1; SELECT 2")


def test_the_server_cannot_ask_for_a_local_file(alice: MariaDBServer) -> None:
    alice.grant("almighty", PASSWORD, "ALL PRIVILEGES", "*.*")
    with open_hospital(hospital_at(alice, username="almighty")) as source, pytest.raises(SourceError) as caught:
        source.fetch("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE things")
    alice.execute("DROP USER 'almighty'@'%'")
    # Not 1792: the refusal is the client's own, before the read-only session has a say.
    assert "1792" not in str(caught.value)


def test_a_snapshot_does_not_see_what_comes_after_it(alice: MariaDBServer) -> None:
    """T81"""
    with open_hospital(hospital_at(alice)) as source:
        with source.snapshot():
            before = source.fetch("SELECT COUNT(*) FROM things")
            alice.execute("INSERT INTO alice.things (id) VALUES (5)")
            assert source.fetch("SELECT COUNT(*) FROM things") == before == [(0,)]
        assert source.fetch("SELECT COUNT(*) FROM things") == [(1,)]


def test_a_snapshot_begins_with_its_with_and_not_with_the_first_read(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source, source.snapshot():
        alice.execute("INSERT INTO alice.things (id) VALUES (5)")
        assert source.fetch("SELECT COUNT(*) FROM things") == [(0,)]


def test_snapshots_do_not_nest(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source, source.snapshot():
        with pytest.raises(RuntimeError, match="open already"), source.snapshot():
            pass
        assert source.fetch("SELECT 1") == [(1,)]


def test_a_failed_snapshot_is_ended_and_the_next_one_works(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source:
        with pytest.raises(SchemaMismatch), source.snapshot():
            source.fetch("SELECT 1 FROM nowhere")
        assert source.fetch("SELECT @@in_transaction") == [(0,)]
        with source.snapshot():
            assert source.fetch("SELECT @@in_transaction") == [(1,)]


SLOW = "SELECT COUNT(*) FROM seq_1_to_1000000000000 WHERE seq * RAND() > 2"


def test_the_server_ends_what_takes_longer_than_a_snapshot_may(
    alice: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: on the same connection, which goes on."""
    with open_hospital(hospital_at(alice)) as source:
        monkeypatch.setattr(hospital_connections, "SNAPSHOT_LIMIT", 0.8)
        with pytest.raises(SnapshotTooLong), source.snapshot():
            ours = source.fetch("SELECT CONNECTION_ID()")
            source.fetch(SLOW)
        assert source.fetch("SELECT @@in_transaction, CONNECTION_ID()") == [(0, *ours[0])]
        with source.snapshot():
            assert source.fetch("SELECT COUNT(*) FROM things") == [(0,)]


def test_what_no_server_ends_is_cut_off_and_killed(alice: MariaDBServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """T45, T89: MySQL 5.6 cannot end a statement, and an answer may be long on its way. We hang up and connect anew."""
    with open_hospital(hospital_at(alice)) as source:
        source.bounded = None
        source.fetch("SET SESSION max_statement_time = 0")
        monkeypatch.setattr(hospital_connections, "SNAPSHOT_LIMIT", 0.8)
        with pytest.raises(SnapshotTooLong), source.snapshot():
            ours = source.fetch("SELECT CONNECTION_ID()")
            source.fetch(SLOW)
        assert source.fetch("SELECT CONNECTION_ID()") != ours
        assert source.fetch("SELECT @@tx_read_only, @@tx_isolation, @@in_transaction") == [(1, "REPEATABLE-READ", 0)]
        patience = time.monotonic() + 30  # by itself it goes on for some minutes
        while SLOW in [row[7] for row in alice.execute("SHOW FULL PROCESSLIST")]:
            assert time.monotonic() < patience, "what nobody waits for is still being computed"
            time.sleep(0.05)
        with source.snapshot():
            assert source.fetch("SELECT COUNT(*) FROM things") == [(0,)]
    while is_left_on_the_server(alice):
        time.sleep(0.05)


def test_no_statement_begins_when_a_snapshots_time_is_over(
    alice: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_hospital(hospital_at(alice)) as source:
        monkeypatch.setattr(hospital_connections, "SNAPSHOT_LIMIT", 0.8)
        with pytest.raises(SnapshotTooLong), source.snapshot():
            assert source.fetch("SELECT 1") == [(1,)]
            time.sleep(0.8)
            source.fetch("SELECT 1")
        assert source.fetch("SELECT @@in_transaction") == [(0,)]


def test_a_snapshot_of_a_worker_that_froze_is_ended_by_the_server(
    alice: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: whoever alters a table there waits no longer for us when we do not even hang up."""
    monkeypatch.setattr(hospital_connections, "SNAPSHOT_LIMIT", 1.0)
    with open_hospital(hospital_at(alice)) as source, contextlib.suppress(HospitalUnreachable), source.snapshot():
        source.fetch("SELECT COUNT(*) FROM things")
        while is_left_on_the_server(alice):
            time.sleep(0.05)
        alice.execute("ALTER TABLE alice.things COMMENT 'nobody holds it'")


def test_only_a_select_is_bounded_for_mysql() -> None:
    bounded = queries.bounded_by_mysql("SELECT 1 FROM (SELECT 2) a", 1.5)
    assert bounded == "SELECT /*+ MAX_EXECUTION_TIME(1500) */ 1 FROM (SELECT 2) a"


def test_nothing_is_left_after_the_with(alice: MariaDBServer) -> None:
    hospital = hospital_at(alice)
    with open_hospital(hospital):
        assert is_registered(hospital)
    assert not is_registered(hospital)
    assert f"hospital-{hospital.pk}" not in connections.settings


def test_nothing_is_left_after_a_failure_inside(alice: MariaDBServer) -> None:
    hospital = hospital_at(alice)
    with pytest.raises(ZeroDivisionError), open_hospital(hospital):
        raise ZeroDivisionError
    assert not is_registered(hospital)
    with open_hospital(hospital) as source:  # and it can be opened again
        ours = source.fetch("SELECT CONNECTION_ID()")
        others = [row for row in alice.execute("SHOW PROCESSLIST") if row[1] == "passport"]
    assert [(row[0],) for row in others] == ours


def test_another_thread_does_not_see_the_alias_and_may_open_its_own(alice: MariaDBServer) -> None:
    hospital = hospital_at(alice)
    seen: list[object] = []

    def look() -> None:
        seen.append(is_registered(hospital))
        with open_hospital(hospital) as source:
            seen.append(source.fetch("SELECT 1"))
        seen.append(is_registered(hospital))

    with open_hospital(hospital):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [False, [(1,)], False]


def test_a_hospital_is_not_opened_twice_in_one_thread(alice: MariaDBServer) -> None:
    hospital = hospital_at(alice)
    with open_hospital(hospital) as source:
        with pytest.raises(RuntimeError, match="open in this thread"), open_hospital(hospital):
            pass
        assert source.fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "changes, kind",
    [
        ({"password_sealed": "wrong"}, WrongCredentials),
        ({"username": "mallory"}, WrongCredentials),
        ({"database": "nowhere"}, HospitalMisconfigured),
        ({"port": 0}, HospitalUnreachable),
        ({"host": "no-such-host.invalid"}, HospitalUnreachable),
        ({"host": "169.254.169.254"}, HospitalMisconfigured),
        ({"tls_mode": TlsMode.UNVERIFIED}, TlsRefused),
        ({"tls_mode": TlsMode.VERIFIED}, TlsRefused),
        ({"password_sealed": "env:NOBODY_HAS_SET_THIS"}, HospitalMisconfigured),
    ],
)
def test_a_refusal_has_its_class_and_tells_no_secret(
    alice: MariaDBServer, changes: dict[str, Any], kind: type[SourceError]
) -> None:
    if changes.get("password_sealed") == "wrong":
        changes = {"password_sealed": seal(f"{PASSWORD}-wrong")}
    if changes.get("port") == 0:
        changes = {"port": free_port()}
    hospital = hospital_at(alice, **changes)
    with pytest.raises(SourceError) as caught, open_hospital(hospital):
        pass
    assert isinstance(caught.value, kind)
    assert caught.value.kind == kind.kind
    assert PASSWORD not in repr(caught.value)
    assert "passport'@" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert not is_registered(hospital)


@pytest.mark.parametrize("statement", ["SELECT nothing FROM things", "SELECT 1 FROM nowhere"])
def test_a_missing_table_or_column_is_named(alice: MariaDBServer, statement: str) -> None:
    with open_hospital(hospital_at(alice)) as source, pytest.raises(SchemaMismatch, match=r"nothing|alice\.nowhere"):
        source.fetch(statement)


def test_an_error_does_not_repeat_the_value_that_caused_it(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice)) as source, pytest.raises(SourceError) as caught:
        source.fetch("SELECT EXTRACTVALUE(%s, %s)", ["<a/>", "//1199080012345678["])
    assert "1199080012345678" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_slow_statement_is_given_up(alice: MariaDBServer, settings: Any) -> None:
    settings.SOURCE_READ_TIMEOUT = 6  # the server gives up after 1 s
    with open_hospital(hospital_at(alice)) as source, pytest.raises(HospitalUnreachable, match="1969"):
        source.fetch("SELECT COUNT(*) FROM seq_1_to_1000000000000 WHERE seq * RAND() > 2")


def test_a_server_that_stops_answering_is_unreachable(settings: Any) -> None:
    settings.SOURCE_READ_TIMEOUT = 1
    with MariaDBServer() as server:
        hospital = hospital_at(prepare(server))
        with open_hospital(hospital) as source:
            server.freeze()
            with pytest.raises(HospitalUnreachable):
                source.fetch("SELECT 1")
            server.thaw()
        assert not is_registered(hospital)


def test_a_server_that_is_killed_is_unreachable() -> None:
    with MariaDBServer() as server:
        hospital = hospital_at(prepare(server))
        with open_hospital(hospital) as source, contextlib.suppress(HospitalUnreachable), source.snapshot():
            server.kill()
            with pytest.raises(HospitalUnreachable):
                source.fetch("SELECT 1")
        assert not is_registered(hospital)


def test_a_port_that_accepts_and_says_nothing_is_given_up(alice: MariaDBServer, settings: Any) -> None:
    settings.SOURCE_CONNECT_TIMEOUT = 1
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hospital = hospital_at(alice, port=silent.getsockname()[1])
        began = dt.datetime.now(dt.UTC)
        with pytest.raises(HospitalUnreachable), open_hospital(hospital):
            pass
    assert (dt.datetime.now(dt.UTC) - began).total_seconds() < 5


def test_a_certificate_of_a_known_authority_is_accepted(tls_server: MariaDBServer) -> None:
    authority = tls_server.start_with_tls().read_text()
    for host in ("127.0.0.1", "localhost"):
        hospital = hospital_at(tls_server, host=host, tls_mode=TlsMode.VERIFIED, tls_ca=authority)
        with open_hospital(hospital) as source:
            assert source.is_encrypted


def test_a_certificate_of_another_authority_is_refused(tls_server: MariaDBServer, tmp_path: Path) -> None:
    make_certificates(tmp_path / "another", names=["127.0.0.1"])
    another = (tmp_path / "another" / "ca.pem").read_text()
    tls_server.start_with_tls()
    for authority in (another, ""):
        hospital = hospital_at(tls_server, tls_mode=TlsMode.VERIFIED, tls_ca=authority)
        with pytest.raises(HospitalMisconfigured, match="2026"), open_hospital(hospital):
            pass


def test_a_certificate_for_another_host_is_refused(tls_server: MariaDBServer) -> None:
    authority = tls_server.start_with_tls(names=("elsewhere.example",)).read_text()
    hospital = hospital_at(tls_server, tls_mode=TlsMode.VERIFIED, tls_ca=authority)
    with pytest.raises(HospitalMisconfigured, match="2026"), open_hospital(hospital):
        pass


def test_an_unverified_connection_is_encrypted_all_the_same(tls_server: MariaDBServer) -> None:
    tls_server.start_with_tls(names=("elsewhere.example",))
    with open_hospital(hospital_at(tls_server, tls_mode=TlsMode.UNVERIFIED)) as source:
        assert source.is_encrypted


def test_a_name_that_moves_after_the_check_leads_nowhere(
    tls_server: MariaDBServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tls_server.start_with_tls().read_text()
    settings.ALLOWED_SOURCE_NETWORKS = ["10.0.0.0/8"]
    # Our look-up is told an allowed address, and the driver's own look-up, which no check can reach, another.
    monkeypatch.setattr("hospitals.connections.resolve", lambda host, port: ["10.0.0.1"])
    hospital = hospital_at(tls_server, host="localhost", tls_mode=TlsMode.VERIFIED, tls_ca=authority)
    with pytest.raises(HospitalMisconfigured, match="ALLOWED_SOURCE_NETWORKS"), open_hospital(hospital):
        pass
    assert not is_registered(hospital)


def test_localhost_means_tcp_and_never_the_socket(alice: MariaDBServer) -> None:
    with open_hospital(hospital_at(alice, host="localhost")) as source:
        ((peer,),) = source.fetch("SELECT HOST FROM information_schema.processlist WHERE ID = CONNECTION_ID()")
    assert peer.startswith("127.0.0.1:")


def test_this_machine_is_not_a_hospital_in_production(alice: MariaDBServer, settings: Any) -> None:
    settings.ALLOWED_SOURCE_NETWORKS = []
    with pytest.raises(HospitalMisconfigured, match="ALLOWED_SOURCE_NETWORKS"), open_hospital(hospital_at(alice)):
        pass
    settings.ALLOWED_SOURCE_NETWORKS = ["127.0.0.0/8"]
    with open_hospital(hospital_at(alice)) as source:
        assert source.fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize("version", ["5.6.51", "5.7.40", "8.0.36"])
def test_old_and_other_servers_are_read_and_refuse_writes_too(version: str) -> None:
    """T44"""
    with MariaDBServer(version=version) as server, open_hospital(hospital_at(prepare(server))) as source:
        assert source.server_version.startswith(version)
        assert not source.is_mariadb
        assert len(source.hints) == 1  # it says MySQL, and does not know MySQL's time limit
        with source.snapshot():
            assert source.fetch("SELECT COUNT(*) FROM things") == [(0,)]
        with pytest.raises(SourceError):
            source.fetch("INSERT INTO things (id) VALUES (9)")


def test_a_server_older_than_we_read_is_refused() -> None:
    with MariaDBServer(version="5.5.62") as server:
        hospital = hospital_at(prepare(server))
        with pytest.raises(HospitalMisconfigured, match="older"), open_hospital(hospital):
            pass


GRANTS = [
    ("SELECT", "alice.*", None),
    ("SELECT, SHOW VIEW", "alice.*", None),
    ("SELECT (id, at)", "alice.things", None),
    ("SHOW DATABASES", "*.*", None),
    ("INSERT", "alice.*", "INSERT"),
    ("UPDATE (at)", "alice.things", "UPDATE"),
    ("ALL PRIVILEGES", "alice.*", "ALL PRIVILEGES"),
    ("LOCK TABLES", "alice.*", "LOCK TABLES"),
    ("FILE", "*.*", "FILE"),
    ("PROCESS", "*.*", "PROCESS"),
    ("CREATE", "elsewhere.*", "CREATE"),
]


@pytest.mark.parametrize("privileges, target, refused", GRANTS)
def test_an_account_that_can_do_more_than_read_is_refused(
    alice: MariaDBServer, privileges: str, target: str, refused: str | None
) -> None:
    alice.grant("bob", PASSWORD, "SELECT", "alice.*")
    alice.grant("bob", PASSWORD, privileges, target)
    try:
        with open_hospital(hospital_at(alice, username="bob")) as source:
            if refused is None:
                check_grants(source)
            else:
                with pytest.raises(WritableAccount, match=refused):
                    check_grants(source)
    finally:
        alice.execute("DROP USER 'bob'@'%'")


@pytest.mark.parametrize("privilege, is_refused", [("SELECT", False), ("DELETE", True)])
def test_a_role_counts_although_it_is_not_in_force(alice: MariaDBServer, privilege: str, is_refused: bool) -> None:
    alice.grant("bob", PASSWORD, "SELECT", "alice.*")
    alice.execute("CREATE ROLE usual")
    alice.execute("GRANT usual TO 'bob'@'%'")
    alice.execute("SET DEFAULT ROLE usual FOR 'bob'@'%'")
    alice.execute("CREATE ROLE inner_role")
    alice.execute("CREATE ROLE `a role, with ON`")
    alice.execute(f"GRANT {privilege} ON alice.* TO inner_role")
    alice.execute("GRANT inner_role TO `a role, with ON`")
    alice.execute("GRANT `a role, with ON` TO 'bob'@'%'")
    try:
        refusal = pytest.raises(WritableAccount, match=privilege) if is_refused else contextlib.nullcontext()
        with open_hospital(hospital_at(alice, username="bob")) as source:
            with refusal:
                check_grants(source)
            assert source.fetch("SELECT CURRENT_ROLE()") == [("usual",)]
    finally:
        alice.execute("DROP USER 'bob'@'%'")
        alice.execute("DROP ROLE usual, inner_role, `a role, with ON`")


def test_what_everybody_may_do_counts(alice: MariaDBServer) -> None:
    alice.execute("GRANT UPDATE ON alice.* TO PUBLIC")
    try:
        with open_hospital(hospital_at(alice)) as source, pytest.raises(WritableAccount, match="UPDATE"):
            check_grants(source)
    finally:
        alice.execute("REVOKE UPDATE ON alice.* FROM PUBLIC")


@pytest.mark.parametrize("database", ["alice", "open_mrs`s"])
def test_the_grant_script_makes_an_account_that_passes(alice: MariaDBServer, database: str) -> None:
    quoted = database.replace("`", "``")
    alice.execute(f"CREATE DATABASE IF NOT EXISTS `{quoted}`")
    hospital = hospital_at(alice, username="o'brien", database=database)
    script = grant_script(hospital).replace("ADDRESS-OF-PATIENT-PASSPORT", "%").replace("A-LONG-PASSWORD", PASSWORD)
    for line in script.splitlines():
        if not line.startswith("--"):
            alice.execute(line.rstrip(";"))
    with open_hospital(hospital) as source:
        check_grants(source)
    alice.execute("DROP USER 'o''brien'@'%'")


def test_a_server_that_asks_for_the_password_in_clear_text_does_not_get_it(alice: MariaDBServer) -> None:
    """Without a verified certificate the server may be anybody."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=ask_for_clear_text, args=(listener, heard))
        thread.start()
        hospital = hospital_at(alice, port=listener.getsockname()[1])
        with pytest.raises(HospitalMisconfigured, match="5010"), open_hospital(hospital):
            pass
        thread.join()
    assert heard  # it did get as far as the login
    assert not any(PASSWORD.encode() in packet for packet in heard)


def ask_for_clear_text(listener: socket.socket, heard: list[bytes]) -> None:
    """A hostile server: greets like MySQL, then switches the login to mysql_clear_password."""
    greeting = (
        b"\x0a5.7.40\x00" + b"\x01\x00\x00\x00" + b"12345678\x00" + b"\xff\xf7" + b"\x21" + b"\x02\x00" + b"\xff\x81"
        b"\x15" + b"\x00" * 10 + b"123456789012\x00" + b"mysql_native_password\x00"
    )
    switch = b"\xfemysql_clear_password\x00\x00"
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(len(greeting).to_bytes(3, "little") + b"\x00" + greeting)
        heard.append(connection.recv(4096))
        connection.sendall(len(switch).to_bytes(3, "little") + b"\x02" + switch)
        with contextlib.suppress(OSError):
            heard.append(connection.recv(4096))
