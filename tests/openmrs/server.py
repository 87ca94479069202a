"""A private MariaDB server for tests and for the demo: it starts in under a second and dies with its parent.

The server has its own data folder, socket and loopback port, reads no option file, and keeps nothing of
any other server. `root` has no password and may only come in through the socket, which lies in a folder that
nobody but us can enter; everyone else comes over TCP, as a hospital's readers do.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import gzip
import hashlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import MySQLdb

CHECKOUT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
SBIN = "/usr/sbin:/usr/local/sbin:/usr/local/mysql/bin:/opt/homebrew/bin:/usr/libexec"
START_TIMEOUT = 30.0  # seconds; a start takes 0.4 s, a laden machine ten times that
STOP_TIMEOUT = 20.0
TEMPLATE_EDITION = "1"  # part of the name of the cached data folder: raise it when INITIAL_SQL changes
# Only the socket may carry an account without password: a TCP port is open to every user of the machine.
INITIAL_SQL = "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');\n"
SMALL = [
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-log-buffer-size=2M",
    "--innodb-use-native-aio=0",
    "--key-buffer-size=1M",
    "--performance-schema=0",
    "--max-connections=200",
    "--skip-log-bin",
]
# Tests lose nothing when the machine loses power; the demo asks for `durable`.
FORGETFUL = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync",
    "--innodb-file-per-table=0",  # a pretend hospital has forty tables, and each test makes them afresh
]


class ServerMissing(RuntimeError):
    """No MariaDB on this machine; the message says what to install."""


class ServerFailed(RuntimeError):
    """The server did not start; the message ends in the last lines of its log."""


def find_program(name: str) -> str:
    """Return the path of a MariaDB program.  Raises ServerMissing."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":" + SBIN)
    if path is None:
        raise ServerMissing(
            f"{name} was not found. A private MariaDB is needed; no service is started. "
            "On Debian or Ubuntu: apt-get install mariadb-server-core mariadb-client-core"
        )
    return path


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class MariaDBServer:
    """One private server.  `with MariaDBServer() as server:` starts it and leaves nothing behind.

    `data_dir`     kept between runs when given (the demo); a temporary folder otherwise
    `version`      what the server says it is, for example "5.7.40"
    `extra_args`   more arguments of mariadbd, for example ["--default-time-zone=+02:00"]
    `durable`      survives a crash without losing the last second
    """

    def __init__(
        self,
        *,
        data_dir: Path | str | None = None,
        port: int | None = None,
        version: str | None = None,
        extra_args: Sequence[str] = (),
        durable: bool = False,
    ) -> None:
        self.host = LOOPBACK
        self.port = port or free_port()
        self._port_is_ours_to_choose = port is None
        self.version = version
        self.extra_args = list(extra_args)
        self.durable = durable
        # Not below data_dir: the path of a socket may have 107 characters at most.
        self._work = Path(tempfile.mkdtemp(prefix="pp-mariadb-"))
        self.data_dir = Path(data_dir).resolve() if data_dir else self._work / "data"
        self.socket = self._work / "s"
        self.log = self._work / "mariadbd.log"
        self.n_starts = 0  # whoever keeps a connection sees by it that theirs is dead
        self._tls_args: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []  # none or one; shared with the finalizer
        # Runs at close(), when nobody holds this object any more, or at the interpreter's end.
        self._finalizer = weakref.finalize(self, _end, self._processes, self._work)

    # -- life -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id while the server runs (frozen counts), else None."""
        return self._processes[0].pid if self.is_running else None

    @property
    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[0].poll() is None

    def start(self) -> Self:
        """Start and return when the server answers; the port and the content survive stop() and start().

        Raises ServerMissing, ServerFailed.
        """
        if self.is_running:
            return self
        mariadbd = find_program("mariadbd")
        if not (self.data_dir / "mysql").is_dir():
            _copy_template(self.data_dir, mariadbd)
        for attempt in (1, 2, 3):
            self._launch(mariadbd)
            if self._answers():
                return self
            self._reap(signal.SIGKILL)
            # Between free_port() and the start another process may have taken the port.
            if not (self._port_is_ours_to_choose and "use" in self._log_tail() and attempt < 3):
                break
            self.port = free_port()
        raise ServerFailed("mariadbd did not start:\n" + self._log_tail())

    def stop(self) -> None:
        """Shut down in order; start() continues with the same content on the same port."""
        if self.is_running:
            self.thaw()
            self._reap(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as when the power goes.  Without `durable` the last second of commits may be lost."""
        if self.is_running:
            self._reap(signal.SIGKILL)

    def close(self) -> None:
        """End the server and remove what was temporary.  For good: start() does not come after it."""
        if self.durable or self.data_dir.parent != self._work:
            self.stop()
        else:
            self.kill()
        self._finalizer()

    def freeze(self) -> None:
        """SIGSTOP: the port still accepts connections (the kernel does that), and nothing is answered."""
        if self.is_running:
            self._processes[0].send_signal(signal.SIGSTOP)
            self._wait_until_stopped()

    def _wait_until_stopped(self) -> None:
        """A signal takes its time to reach every thread; until then one of them may still answer."""
        threads = Path(f"/proc/{self._processes[0].pid}/task")
        deadline = time.monotonic() + 5
        while threads.is_dir() and time.monotonic() < deadline:
            states = {(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()}
            if states <= {"T", "t"}:
                return
            time.sleep(0.01)

    def thaw(self) -> None:
        """Undo freeze()."""
        if self.is_running:
            self._processes[0].send_signal(signal.SIGCONT)

    def start_with_tls(self, *, names: Sequence[str] = (LOOPBACK, "localhost")) -> Path:
        """(Re)start with TLS offered, certified for these names; return the path of the CA certificate."""
        folder = self._work / "tls"
        make_certificates(folder, names=names)
        self._tls_args = [
            f"--ssl-ca={folder / 'ca.pem'}",
            f"--ssl-cert={folder / 'server.pem'}",
            f"--ssl-key={folder / 'server.key'}",
        ]
        self.stop()
        self.start()
        return folder / "ca.pem"

    # -- use ------------------------------------------------------------------------------------------

    def connect(
        self,
        database: str | None = None,
        *,
        user: str = "root",
        password: str = "",
        autocommit: bool = True,
        **options: Any,
    ) -> Any:
        """Return a MySQLdb connection: root through the socket, everyone else over TCP.

        Bytes come as str, datetimes naive, zero dates as None.
        """
        if user == "root":
            options |= {"unix_socket": str(self.socket)}
        else:
            options |= {"host": self.host, "port": self.port}
        if database is not None:
            options["database"] = database
        return MySQLdb.connect(
            user=user,
            password=password,
            charset="utf8mb4",
            autocommit=autocommit,
            **options,
        )

    def execute(self, sql: str, arguments: Sequence[Any] = (), *, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as root, committed, and return its rows."""
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())
        finally:
            connection.close()

    def create_database(self, name: str, *, charset: str = "utf8mb4") -> None:
        """Create the database afresh: one of that name is dropped."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET {charset}")

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def grant_reader(self, user: str, password: str, database: str) -> None:
        """Create the account if need be, and let it SELECT in this database and nothing else."""
        self.grant(user, password, "SELECT", f"`{database}`.*")

    def grant_writer(self, user: str, password: str, database: str) -> None:
        """An account that could write, as a careless DBA makes it.  Passport must refuse it."""
        self.grant(user, password, "SELECT, INSERT, UPDATE, DELETE", f"`{database}`.*")

    def grant(self, user: str, password: str, privileges: str, target: str) -> None:
        """Create the account if need be, set its password, and grant `privileges` on `target`."""
        account = f"'{user}'@'%%'"
        self.execute(f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY %s", (password,))
        self.execute(f"ALTER USER {account} IDENTIFIED BY %s", (password,))
        self.execute(f"GRANT {privileges} ON {target} TO '{user}'@'%'")

    def load_sql_gz(self, path: Path | str, database: str) -> None:
        """Feed a (gzipped) SQL file to the client, into a database that exists.  Raises ServerFailed."""
        opener = gzip.open if str(path).endswith(".gz") else open
        command = [
            find_program("mariadb"),
            "--no-defaults",
            f"--socket={self.socket}",
            "--user=root",
            database,
        ]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stdin is not None
        try:
            with opener(path, "rb") as content:
                shutil.copyfileobj(content, client.stdin, 1 << 20)
        except BrokenPipeError:
            pass  # the client said why on standard error, which is raised below
        _out, errors = client.communicate()
        if client.returncode:
            raise ServerFailed(f"{Path(path).name} could not be loaded: {errors.decode(errors='replace')[:2000]}")

    # -- inside ---------------------------------------------------------------------------------------

    def _launch(self, mariadbd: str) -> None:
        command = [
            mariadbd,
            "--no-defaults",
            f"--datadir={self.data_dir}",
            f"--socket={self.socket}",
            f"--pid-file={self._work / 'pid'}",
            f"--tmpdir={self._work}",
            f"--bind-address={LOOPBACK}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            *_as_user(),
            *SMALL,
            *([] if self.durable else FORGETFUL),
            *([f"--version={self.version}"] if self.version else []),
            *self._tls_args,
            *self.extra_args,
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is the parent's business
                preexec_fn=die_with_parent(),  # noqa: PLW1509  only from the main thread
            )
        self._processes[:] = [process]
        self.n_starts += 1

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while self.is_running and time.monotonic() < deadline:
            try:
                self.connect().close()
                return True
            except MySQLdb.OperationalError:
                time.sleep(0.02)
        return False

    def _reap(self, number: signal.Signals) -> None:
        for process in self._processes:
            _end_process(process, number)
        self._processes.clear()

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(no log)"


def make_certificates(folder: Path, *, names: Sequence[str]) -> None:
    """Write ca.pem, server.pem and server.key: a certificate authority of our own and a server's certificate.

    Each name is a host name or an IP address. The certificates are good for a week.
    """
    from cryptography import x509  # here: who only starts servers needs no cryptography
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def certify(
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: str,
        issuer_key: ec.EllipticCurvePrivateKey,
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=7))
        )

    ca_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    ca = certify("Pretend hospital CA", ca_key, "Pretend hospital CA", ca_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    server = certify(names[0], key, "Pretend hospital CA", ca_key).add_extension(alternatives, critical=False)
    folder.mkdir(mode=0o700, exist_ok=True)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _as_user() -> list[str]:
    """mariadbd refuses to run as root unless it is told to."""
    return ["--user=root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def _copy_template(data_dir: Path, mariadbd: str) -> None:
    """Make `data_dir` an initialised, empty data folder: a copy (0.05 s) of one that is made once (1 s)."""
    told = subprocess.run([mariadbd, "--no-defaults", "--version"], capture_output=True, check=True).stdout
    name = "mariadb-empty-" + hashlib.sha256(told + INITIAL_SQL.encode() + TEMPLATE_EDITION.encode()).hexdigest()[:12]
    template = _cache_folder() / name
    if not template.is_dir():
        _make_template(template)
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    shutil.copytree(template, data_dir, dirs_exist_ok=True)


def _cache_folder() -> Path:
    """`var/` of the checkout, or a folder of our own in the temporary folder when that cannot be written."""
    folder = CHECKOUT / "var"
    try:
        folder.mkdir(exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:  # a read-only checkout
        pass
    folder = Path(tempfile.gettempdir()) / f"pp-mariadb-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else's: what lies there would run as our server
        raise ServerFailed(f"{folder} belongs to another user: remove it")
    return folder


def _make_template(template: Path) -> None:
    """Initialise next to the final place and rename: of several processes one wins, none sees a half."""
    building = Path(tempfile.mkdtemp(prefix="mariadb-init-", dir=template.parent))
    extra = building / "extra.sql"
    extra.write_text(INITIAL_SQL)
    command = [
        find_program("mariadb-install-db"),
        "--no-defaults",
        f"--datadir={building / 'data'}",
        f"--extra-file={extra}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--innodb-log-file-size=16M",
        *_as_user(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerFailed("mariadb-install-db failed:\n" + (done.stdout + done.stderr)[-3000:])
        try:
            (building / "data").rename(template)
        except OSError:
            if not template.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def die_with_parent() -> Any:
    """Return a function for the child to call before exec, or None where the kernel offers nothing.

    Linux ends the child when the *thread* that started it ends, so only the main thread may ask for it.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent, set_death_signal = ctypes.CDLL(None), os.getpid(), 1

    def ask() -> None:
        libc.prctl(set_death_signal, signal.SIGKILL)  # not SIGTERM: a frozen server would not hear it
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return ask


def _end(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
        _end_process(process, signal.SIGTERM)
    processes.clear()
    shutil.rmtree(folder, ignore_errors=True)


def _end_process(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
