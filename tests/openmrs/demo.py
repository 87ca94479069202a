"""`./run demo`: three made-up hospitals, web, worker, and a doctor who never rests. Ctrl-C or SIGTERM ends all of it.

Everything is made afresh at each start and lies in var/demo/; the logins, with new passwords, in var/demo-logins.json.
PORT chooses the web's port, VAR_DIR another place than var/.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import MySQLdb

from tests.openmrs.doctor import DemoDoctor
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.people import MODERN, OLD, SyntheticPerson, fill, make_people, people_at
from tests.openmrs.server import (
    CHECKOUT,
    LOOPBACK,
    MariaDBServer,
    ServerFailed,
    ServerMissing,
    die_with_parent,
)

WEB_TIMEOUT = 60.0  # seconds until the web must answer
SYNC_TIMEOUT = 90.0  # seconds for the first sync
STOP_TIMEOUT = 28.0  # a worker ends the batch in hand; here that is a matter of a second
DOCTOR_PAUSE = 5.0  # seconds between two things that the demo doctor does
N_WRITTEN = 8  # the doctor sees so many of the passport holders, those with a login first
N_PATIENT_LOGINS = 2

#: code, name and OpenMRS version of the two hospitals that hold people, by their place in people.py
HOSPITALS = {
    OLD: ("rugezi", "Rugezi Health Centre", "1.9"),
    MODERN: ("muhazi", "Muhazi District Hospital", "2.6"),
}
SWITCHED_OFF = ("nyungwe", "Nyungwe Hospital")
TIME_ZONE, UTC_OFFSET = "Africa/Kigali", "+02:00"  # no daylight saving there
WORKER = [sys.executable, "manage.py", "work"]
WORDS = (
    "acacia banana bridge candle cloud coffee dance drum eagle field flute forest garden ginger harvest honey island "
    "lake lantern lemon mango market meadow morning mountain ocean orange paper pepper pigeon planet pumpkin rain "
    "river saffron sand silver song star stone summer sunrise thunder tiger valley velvet violin water willow window"
).split()


class DemoRefused(Exception):
    """The demo cannot start, or went on no longer. The message is one sentence with the next step."""


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One way in. `sees` says what to look at first."""

    role: str
    username: str
    password: str
    url: str
    sees: str
    hospital: str | None = None
    national_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Bell:
    """Turns the first signal into `Stopped`; while everything ends, signals are heard no more."""

    is_ending: bool = False

    def ring(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_ending:
            self.is_ending = True
            raise Stopped


@dataclass(slots=True, kw_only=True)
class Place:
    """Where this demo's files are."""

    var: Path
    folder: Path = field(init=False)
    logins: Path = field(init=False)
    database: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.var / "demo"
        self.logins = self.var / "demo-logins.json"
        self.database = self.folder / "passport.sqlite3"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def main() -> int:
    bell = Bell()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, bell.ring)
    try:
        with contextlib.ExitStack() as stack:
            try:
                run(stack)
            finally:
                bell.is_ending = True
                say("\nThe demo ends.")
    except Stopped:
        return 0
    except (DemoRefused, ServerMissing, ServerFailed) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    return 0


def run(stack: contextlib.ExitStack) -> None:
    """Start everything, say that it is there, and watch it. Ends by an exception only."""
    port = chosen_port()
    check_port(port)
    place = Place(var=Path(os.environ.get("VAR_DIR") or CHECKOUT / "var").resolve())
    stack.enter_context(only_one(place))
    prepare(place)
    set_environment(place)
    has_tables = take_empty_database(place)
    url = f"http://{LOOPBACK}:{port}"

    say("Making three hospitals …")
    children = Children(place=place)
    stack.callback(children.end)
    children.start("web", web_command(port))  # they load while the hospitals are filled
    if has_tables:
        children.start("worker", WORKER)
    people = make_people(today=dt.datetime.now(dt.UTC).date())
    server = MariaDBServer(data_dir=place.folder / "mariadb", extra_args=[f"--default-time-zone={UTC_OFFSET}"])
    certificate = start_server(stack, server)
    with ThreadPoolExecutor(max_workers=1) as pool:
        filling = pool.submit(fill_hospitals, server, people)
        set_up_passport(place)
        if not has_tables:
            keep_empty_database(place)
            children.start("worker", WORKER)
        reach = filling.result()
    closed_port = stack.enter_context(port_where_nobody_listens())

    say("Reading them for the first time …")
    logins = make_logins(people, url=url)
    register(logins=logins, people=people, hospitals=hospital_settings(reach, certificate, closed_port))
    wait_for_web(url, children)
    wait_for_first_sync(children)
    doctor = start_doctor(stack, server, person_ids=reach.patients_of_doctor)
    write_logins(place, url=url, logins=logins)
    say(greeting(url, logins, place))
    watch(children, server=server, doctor=doctor)


# -- before anything starts ---------------------------------------------------------------------------------


def chosen_port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isdigit() and 1 <= int(text) <= 65535):
        raise DemoRefused("PORT must be a number from 1 to 65535, such as PORT=8001 ./run demo")
    return int(text)


def check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn binds
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            raise DemoRefused(f"Port {port} is for root only; choose another: PORT=8001 ./run demo") from None
        except OSError:
            raise DemoRefused(
                f"Port {port} is in use; stop what listens there, or choose another: PORT={port % 65535 + 1} ./run demo"
            ) from None


@contextlib.contextmanager
def only_one(place: Place) -> Iterator[None]:
    """Two demos would pull the ground from under each other."""
    place.var.mkdir(parents=True, exist_ok=True)
    with (place.var / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoRefused(
                "The demo of this folder is running already; stop it first, or give this one a place of its own: "
                "VAR_DIR=/tmp/another-demo PORT=8001 ./run demo"
            ) from None
        yield


def prepare(place: Place) -> None:
    """Nothing of an earlier demo is kept: its passwords least of all."""
    place.logins.unlink(missing_ok=True)
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(mode=0o700)


def set_environment(place: Place) -> None:
    """Say every setting, for us and for web and worker: a developer's .env must not lead the demo elsewhere."""
    ours = {
        "DJANGO_SETTINGS_MODULE": "passport.settings",
        "VAR_DIR": str(place.folder),
        "DATABASE_URL": f"sqlite:///{place.database}",
        "CONTROL_DATABASE_URL": "",
        "REDIS_URL": "",
        "DEBUG": "true",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "AUDIT_KEY": "",
        "CREDENTIAL_KEYS": "",  # made under DEBUG, and kept in var/demo/
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "CSRF_TRUSTED_ORIGINS": "",
        "ALLOWED_SOURCE_NETWORKS": "",
        "NATIONAL_ID_PATTERN": "",
        "OPENMRS_AUTO_START_SYNC": "true",
        "OPENMRS_SYNC_INTERVAL": "1",
        "Q_WORKERS": "2",
        "REQUIRE_TOTP": "false",
        "SECURE_COOKIES": "false",
        "BEHIND_TLS_PROXY": "false",
        "TIME_ZONE_DISPLAY": TIME_ZONE,
        "LOG_LEVEL": "INFO",
    }
    for name in ours:
        os.environ.pop(f"{name}_FILE", None)
    os.environ |= ours


# -- the hospitals ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How to reach the two hospitals that run, by their place; and whom the demo doctor sees."""

    by_place: Mapping[str, Mapping[str, Any]]
    patients_of_doctor: Sequence[int]


def start_server(stack: contextlib.ExitStack, server: MariaDBServer) -> Path:
    """Start it with TLS, as a modern hospital's server has it; return the authority's certificate."""
    stack.callback(server.close)
    stack.callback(server.kill)  # before it is closed: nothing in it is kept, so it need not end in order
    return server.start_with_tls()


def fill_hospitals(server: MariaDBServer, people: Sequence[SyntheticPerson]) -> Reach:
    by_place, person_ids = {}, {}
    for place, (code, name, version) in HOSPITALS.items():
        hospital = PretendHospital(server, f"openmrs_{code}", version, name=name, time_zone=TIME_ZONE).create()
        until = hospital.clock() - dt.timedelta(hours=1)
        person_ids[place] = fill(hospital, people_at(people, place), place, until=until)
        by_place[place] = hospital.grant_reader(user=f"passport_{code}", password=secrets.token_urlsafe(16))
        hospital.close()
    seen = [person.national_id for person in holders(people) if MODERN in person.hospitals]
    return Reach(
        by_place=by_place,
        patients_of_doctor=[person_ids[MODERN][national_id] for national_id in seen[:N_WRITTEN]],
    )


@contextlib.contextmanager
def port_where_nobody_listens() -> Iterator[int]:
    """Bound and not listening: whoever connects is refused, and nobody else can take the port."""
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        yield closed.getsockname()[1]


def hospital_settings(reach: Reach, certificate: Path, closed_port: int) -> list[dict[str, Any]]:
    """The three hospitals in the words of `load_hospitals`. The old one has no TLS, as old ones do not."""
    common = {"time_zone": TIME_ZONE, "locales": ["en"], "national_id_types": ["National ID"]}
    tls = {
        OLD: {"tls_mode": "none"},
        MODERN: {"tls_mode": "verified", "tls_ca": certificate.read_text()},
    }
    running = [
        {"code": code, "name": name, **common, **tls[place], **reach.by_place[place]}
        for place, (code, name, _version) in HOSPITALS.items()
    ]
    code, name = SWITCHED_OFF
    off = {"host": LOOPBACK, "port": closed_port, "database": "openmrs", "username": "passport", "password": "unused"}
    return [*running, {"code": code, "name": name, **common, "tls_mode": "none", **off}]


# -- Patient Passport ---------------------------------------------------------------------------------------


def empty_database(place: Place) -> Path:
    """Where an empty database with all tables is kept for the next start: making them takes longer than the rest.

    Its name changes with our code and with the versions of what we build on.
    """
    told = hashlib.sha256(sys.version.encode())
    ours = [
        path for package in ("passport", "hospitals", "openmrs_sync") for path in (CHECKOUT / package).rglob("*.py")
    ]
    for path in [CHECKOUT / "requirements" / "base.txt", *sorted(ours)]:
        told.update(path.read_bytes())
    return place.var / f"demo-empty-{told.hexdigest()[:12]}.sqlite3"


def take_empty_database(place: Place) -> bool:
    """Whether the demo's database has its tables already."""
    kept = empty_database(place)
    if kept.exists():
        shutil.copyfile(kept, place.database)
        return True
    return False


def keep_empty_database(place: Place) -> None:
    """Make the tables, and keep a copy for the next start instead of older ones."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for older in place.var.glob("demo-empty-*.sqlite3"):
        older.unlink()
    fresh = place.folder / "empty.sqlite3"
    with contextlib.closing(sqlite3.connect(place.database)) as connection:
        connection.execute("VACUUM INTO ?", (str(fresh),))
    fresh.replace(empty_database(place))


def set_up_passport(place: Place) -> None:
    import django

    django.setup()
    from django.conf import settings

    if Path(settings.DATABASES["default"]["NAME"]) != place.database or len(settings.DATABASES) > 1:
        raise DemoRefused("The settings lead to another database than the demo's own; look into .env for NAME_FILE.")


def register(*, logins: Sequence[Login], people: Sequence[SyntheticPerson], hospitals: Sequence[object]) -> None:
    """Passport holders, hospitals and logins, by the verbs that admin, API and commands use."""
    from django.db import connections
    from django.utils import timezone

    from hospitals.loading import Outcome, load
    from openmrs_sync.queue import enqueue_tick
    from passport.accounts import create_account
    from passport.models.accounts import Role
    from passport.registration import register_patient

    now, admin = timezone.now(), None
    for login in (login for login in logins if login.role == Role.ADMIN):
        admin = create_account(username=login.username, role=Role.ADMIN, password=login.password, actor=None, now=now)
    for person in holders(people):
        register_patient(
            national_id=person.national_id,
            given_name=person.given,
            family_name=person.family,
            birth_date=person.birth_date,
            sex=person.sex,
            actor=admin,
            now=now,
        )
    if refused := [result for result in load(hospitals, now, actor=admin) if result.outcome == Outcome.REFUSED]:
        raise DemoRefused(f"A hospital could not be registered: {refused[0].code}: {' '.join(refused[0].messages)}")
    enqueue_tick()  # the worker may be there already, and looks by itself only now and then
    for login in (login for login in logins if login.role != Role.ADMIN):  # while the worker reads: hashing takes time
        create_account(
            username=login.username,
            role=Role(login.role),
            password=login.password,
            actor=admin,
            now=now,
            hospital_code=login.hospital,
            national_id=login.national_id,
        )
    connections.close_all()


def holders(people: Sequence[SyntheticPerson]) -> list[SyntheticPerson]:
    return [person for person in people if person.has_passport]


def make_logins(people: Sequence[SyntheticPerson], *, url: str) -> list[Login]:
    """An admin, a doctor at the modern hospital, and two patients, with passwords made anew."""
    patients = holders(people)[:N_PATIENT_LOGINS]
    return [
        Login(
            role="admin",
            username="admin",
            password=new_password(),
            url=f"{url}/admin/",
            sees="hospitals, runs, receipts, a held match",
        ),
        Login(
            role="doctor",
            username="dr.ineza",
            password=new_password(),
            url=f"{url}/patients/",
            sees=f"search for {patients[0].national_id}",
            hospital=HOSPITALS[MODERN][0],
        ),
        *(
            Login(
                role="patient",
                username=username_of(person),
                password=new_password(),
                url=f"{url}/",
                sees="two hospitals, one history",
                national_id=person.national_id,
            )
            for person in patients
        ),
    ]


def new_password() -> str:
    """Easy to type, made anew at each start: three of 50 words and three digits."""
    return "-".join([*(secrets.choice(WORDS) for _ in range(3)), str(secrets.randbelow(900) + 100)])


def username_of(person: SyntheticPerson) -> str:
    name = unicodedata.normalize("NFKD", f"{person.given}.{person.family}").encode("ascii", "ignore").decode()
    return name.lower()


# -- web, worker, doctor ------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Children:
    """Our processes, each in a session of its own (Ctrl-C in the terminal is our business) with a log of its own."""

    place: Place
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> None:
        with self.place.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509  only from the main thread
            )

    def check(self) -> None:
        """Raises DemoRefused when one of them has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise DemoRefused(
                    f"The {name} ended by itself (status {process.returncode}); the end of {self.place.log(name)}:\n"
                    + tail(self.place.log(name))
                )

    def end(self) -> None:
        """Ask all of them first, then wait: they end side by side."""
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def web_command(port: int) -> list[str]:
    bind = ["--bind", f"{LOOPBACK}:{port}", "--no-control-socket", "--graceful-timeout", "3"]
    size = ["--worker-class", "gthread", "--workers", "2", "--threads", "4"]
    return [sys.executable, "-m", "gunicorn", "passport.wsgi", *bind, *size]


def wait_for_web(url: str, children: Children) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    if not wait_until(answers, children, seconds=WEB_TIMEOUT):
        raise DemoRefused(f"The web does not answer; the end of its log:\n{tail(children.place.log('web'))}")


def wait_for_first_sync(children: Children) -> None:
    """The worker reads the hospitals as it always does; only whether it has is looked at here."""
    from django.db import connections

    from openmrs_sync.models import SyncRun

    def has_read_all() -> bool:
        ended = SyncRun.objects.filter(finished_at__isnull=False)
        return ended.values("hospital").distinct().count() == len(HOSPITALS) + 1

    if not wait_until(has_read_all, children, seconds=SYNC_TIMEOUT):
        say(f"The first sync has not ended yet; what the worker says is in {children.place.log('worker')}")
    connections.close_all()


def wait_until(is_so: Callable[[], bool], children: Children, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.check()
        if is_so():
            return True
        time.sleep(0.2)
    return False


def start_doctor(stack: contextlib.ExitStack, server: MariaDBServer, *, person_ids: Sequence[int]) -> threading.Thread:
    is_over = threading.Event()
    doctor = threading.Thread(target=work_as_doctor, args=(server, person_ids, is_over), daemon=True)

    def end() -> None:
        is_over.set()
        doctor.join(10)

    stack.callback(end)
    doctor.start()
    return doctor


def hospital_by_day(server: MariaDBServer) -> PretendHospital:
    """The modern one, to be opened: uuids drawn as when it was filled would be those of rows that are there."""
    code, name, version = HOSPITALS[MODERN]
    return PretendHospital(server, f"openmrs_{code}", version, name=name, seed=f"{code} by day", time_zone=TIME_ZONE)


def work_as_doctor(server: MariaDBServer, person_ids: Sequence[int], is_over: threading.Event) -> None:
    """Add, correct or void something every few seconds. Ends when told to, or when the hospital's server is gone."""
    hospital = hospital_by_day(server).open()
    doctor = DemoDoctor(hospital, person_ids)
    with contextlib.suppress(MySQLdb.Error):  # the watch sees that the server or this thread has ended
        while not is_over.wait(DOCTOR_PAUSE):
            doctor.act()
        hospital.close()


def watch(children: Children, *, server: MariaDBServer, doctor: threading.Thread) -> None:
    """Until a signal comes. Raises DemoRefused when something has ended by itself."""
    while True:
        children.check()
        if not server.is_running:
            raise DemoRefused(f"The hospitals' MariaDB ended by itself; the end of its log:\n{tail(server.log)}")
        if not doctor.is_alive():
            raise DemoRefused("The demo doctor has ended by itself; please report it, and start the demo again.")
        time.sleep(0.5)


# -- what is said -------------------------------------------------------------------------------------------


def write_logins(place: Place, *, url: str, logins: Sequence[Login]) -> None:
    """For scripts: {"url", "logins": [fields of Login]}. Readable by this user only; there at once or not at all."""
    said = {"url": url, "logins": [asdict(login) for login in logins]}
    fresh = place.folder / "logins.json"
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(said, file, indent=2)
    fresh.replace(place.logins)


def greeting(url: str, logins: Sequence[Login], place: Place) -> str:
    rows = [("who", "log in as", "password", "where", "look at")]
    rows += [(login.role, login.username, login.password, login.url, login.sees) for login in logins]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )
    patient = next(login for login in logins if login.role == "patient")
    off = SWITCHED_OFF[1]
    return (
        f"\nReady: {url}\n\n{table}\n\n"
        f"Try first: log in as {patient.username}. A doctor at {HOSPITALS[MODERN][1]} writes something every "
        f"{DOCTOR_PAUSE:.0f} seconds;\nit is read within seconds and appears in the history. {off} is switched off: "
        f"the pages say so.\n\nLogins: {shown(place.logins)}   Logs: {shown(place.folder)}/*.log   End: Ctrl-C\n"
    )


def shown(path: Path) -> str:
    """The path, from here if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def tail(path: Path) -> str:
    return path.read_text(errors="replace")[-1500:] if path.exists() else "(no log)"


def say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # `./run demo | head` goes on without being heard
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
