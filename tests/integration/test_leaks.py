"""Nothing leaks: a passport of its own is set up, synced, read, refused and broken, with marked names and values.

Then everything that was written is searched for them: all output of all processes, every table that is not made to hold
them (sessions, queue, audit, the admin's history among them), and the headers.
"""

import contextlib
import datetime as dt
import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer, free_port
from tests.parts import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUMBER, UNKNOWN, BAD_LINE = "1198580044556677", "1197770033445566", "1196660022334455"
GIVEN, FAMILY, MAIL = "Zyxgiven", "Zyxfamily", "zyxmail@example.org"
VALUE, FIGURE, DIAGNOSIS = "Zyxvalue of an observation", "7654.25", "Zyxdiagnosis in free text"
#: Long enough that a random token does not hold one by chance.
MARKS = (
    *(NUMBER, UNKNOWN, BAD_LINE, "44556677", "33445566", "22334455"),
    *(GIVEN, FAMILY, "zyxmail", "zyxvalue", "zyxdiagnosis", FIGURE),
)
BORN = dt.date(1985, 2, 3)
PASSWORD = "correct horse battery staple"
PAGES = [
    *(
        "/",
        "/history/",
        f"/history/?q={quote(VALUE)}&from={FIGURE}",
        "/who-looked/",
        "/who-looked.csv",
        "/permissions/",
    ),
    *("/account/", f"/records/{NUMBER}", f"/patients/{NUMBER}/", "/patients/"),
]
ADMIN_PAGES = [
    *("", "passport/patient/", f"passport/patient/?q={FAMILY}", "passport/auditevent/", f"passport/patient/{NUMBER}/"),
    *("passport/link/", "hospitals/hospital/", "openmrs_sync/syncrun/"),
]
#: Tables that are there to hold what is marked.
HOLD_PATIENTS = {
    *("passport_patient", "passport_patientidentifier", "passport_record", "passport_user"),
    "passport_placeholdernumber",  # numbers of nobody
    "passport_emergencyaccess",  # the doctor's reason, in words, for the patient and the review
}


@dataclass(slots=True, kw_only=True)
class Passport:
    """A passport in a folder of its own. `said`: everything that its processes wrote."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": f"sqlite:///{self.folder / 'passport.sqlite3'}",
            "CONTROL_DATABASE_URL": "",
            "LOG_LEVEL": "DEBUG",
            "DEBUG": "true",
            "ALLOWED_SOURCE_NETWORKS": "127.0.0.0/8",
            "REQUIRE_TOTP": "false",
            "SECURE_COOKIES": "false",
        }

    def manage(self, *arguments: str, stdin: str = "", status: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        assert status is None or done.returncode == status, done.stderr[-3000:]
        return done.stdout

    @contextlib.contextmanager
    def running(self, name: str, *command: str) -> Iterator[None]:
        """This process in the background; all of its output is kept."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)
            self.said.append(log.read_text(errors="replace"))

    def store(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "passport.sqlite3", timeout=30)


@dataclass(slots=True, kw_only=True)
class Browser:
    """One visitor with cookies. Keeps every header that came back."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **headers}
        connection.request(method, path, body or None, {name.replace("_", "-"): value for name, value in sent.items()})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        for name, value in answer.getheaders():
            if not found_in(path):  # a redirect may repeat to its visitor the address that they typed
                self.headers.append((name, value))
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return answer.status, text

    def get(self, path: str, **headers: str) -> int:
        return self.ask("GET", path, **headers)[0]

    def post(self, path: str, **fields: str) -> int:
        fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
        return self.ask("POST", path, urlencode(fields), Content_Type="application/x-www-form-urlencoded")[0]

    def api(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, str]:
        headers = {"Content_Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return self.ask(method, f"/api/{path}", json.dumps(body) if body is not None else "", **headers)

    def log_in(self, name: str) -> int:
        self.get("/")
        page = self.ask("GET", "/")[1]
        fields = re.findall(r'<input[^>]*name="([^"]+)"', page)
        user = next(one for one in fields if one not in {"csrfmiddlewaretoken", "password", "next"})
        return self.post("/", **{user: name, "password": PASSWORD})


def set_up(passport: Passport, server: MariaDBServer) -> PretendHospital:
    pretend = PretendHospital(server, "leaks", "2.6").create()
    person = pretend.add_person(national_id=NUMBER, given=GIVEN, family=FAMILY, birth_date=BORN)
    encounter = pretend.add_encounter(person)
    pretend.add_obs(person, "note", VALUE, encounter=encounter)
    pretend.add_obs(person, "weight", float(FIGURE), encounter=encounter)
    passport.manage("migrate", "--verbosity", "0")
    hospital = {"code": "kigali", "name": "Kigali", "is_enabled": True, "national_id_types": ["National ID"]}
    read_as = {"time_zone": "Africa/Kigali", "locales": ["en"], "tls_mode": "none"}
    (passport.folder / "hospitals.json").write_text(json.dumps([pretend.grant_reader() | hospital | read_as]))
    passport.manage("load_hospitals", str(passport.folder / "hospitals.json"))
    (passport.folder / "patients.csv").write_text(
        "national_id,given_name,family_name,birth_date,sex,email\n"
        f"{NUMBER},{GIVEN},{FAMILY},1985-02-03,F,{MAIL}\n"
        f"{BAD_LINE},{GIVEN},{FAMILY},not-a-day-{UNKNOWN},F,{MAIL}\n"
        f"{NUMBER},{GIVEN},{FAMILY},1985-02-03,X{FAMILY},{MAIL}\n"
    )
    passport.manage("register_patients", str(passport.folder / "patients.csv"), status=None)
    for name, more in (
        ("boss", ["--role", "admin"]),
        ("doctor", ["--role", "doctor", "--hospital", "kigali"]),
        ("holder", ["--role", "patient", "--national-id", NUMBER]),
    ):
        passport.manage("create_account", name, *more, "--password-stdin", stdin=PASSWORD)
    passport.manage("create_account", "x", "--role", "patient", "--national-id", UNKNOWN, "--password-stdin",
                    stdin=PASSWORD, status=None)  # fmt: skip
    return pretend


def ask_for_everything(port: int) -> list[Browser]:
    """Pages, API, refusals, nonsense: by nobody, a patient, a doctor and an administrator."""
    nobody, holder, doctor, boss = (Browser(port=port) for _ in range(4))
    nobody.get("/")
    for name in (UNKNOWN, NUMBER, FAMILY):
        nobody.post("/", username=name, password=FAMILY)
        nobody.api("POST", "auth/token", {"username": name, "password": VALUE})
    for path in (f"patients/{NUMBER}/records/", f"patients/{UNKNOWN}/nothing", f"{NUMBER}", f"me/{FAMILY}"):
        nobody.api("GET", path)
        nobody.get(f"/{path}?q={NUMBER}", Referer=f"http://127.0.0.1/{NUMBER}")
    for visitor, name in ((holder, "holder"), (doctor, "doctor"), (boss, "boss")):
        assert visitor.log_in(name) == 302
        for path in PAGES:
            visitor.get(path)
        visitor.post("/patients/", national_id=NUMBER)
        visitor.post("/patients/", national_id=UNKNOWN)
        visitor.post("/emergency/", national_id=NUMBER, reason=f"{FAMILY} is unconscious here")
        token = json.loads(visitor.api("POST", "auth/token", {"username": name, "password": PASSWORD})[1])["access"]
        for number in (NUMBER, UNKNOWN, f"{NUMBER[:6]}/{NUMBER[6:]}"):
            for what in ("records", "summary", "fhir", "records/?category=zyxvalue&from=" + NUMBER):
                visitor.api("GET", f"patients/{number}/{what}", token=token)
            visitor.api("POST", f"openmrs-sync/sync-patient/{number}", token=token)
        for path in ("me", "me/records", "me/summary", "me/fhir", "me/access", "openmrs-sync/status"):
            visitor.api("GET", path, token=token)
        visitor.api("POST", "openmrs-sync/sync-all", token=token)  # the worker takes it later
        visitor.api("POST", "openmrs-sync/start", {"intervalMinutes": FAMILY, NUMBER: 1}, token=token)
        visitor.ask("POST", "/api/openmrs-sync/initialize", f"{{{NUMBER}", Authorization=f"Bearer {token}")
    for path in ADMIN_PAGES:
        boss.get(f"/admin/{path}")
    boss.post("/admin/passport/patient/add/", national_id=NUMBER, given_name=GIVEN, birth_date=FAMILY, sex="F")
    boss.post("/admin/passport/placeholdernumber/add/", number=BAD_LINE + "0")
    nobody.get("/health/ready")
    nobody.get("/metrics")
    return [nobody, holder, doctor, boss]


def break_everything(passport: Passport, browsers: list[Browser]) -> None:
    """Errors of the database, whose texts hold rows: pages, API and a sync while the records' table is away."""
    _, holder, doctor, _ = browsers
    with passport.store() as store:
        store.execute("ALTER TABLE passport_record RENAME TO away")
    try:
        assert holder.get(f"/history/?q={quote(VALUE)}") == 500
        token = json.loads(doctor.api("POST", "auth/token", {"username": "doctor", "password": PASSWORD})[1])["access"]
        assert doctor.api("GET", f"patients/{NUMBER}/records/", token=token)[0] == 500
        passport.manage("sync", "--full", "--json", status=None)
    finally:
        with passport.store() as store:
            store.execute("ALTER TABLE away RENAME TO passport_record")


def wait_for_a_queued_run(passport: Passport) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with passport.store() as store:
            if store.execute("SELECT COUNT(*) FROM django_q_task WHERE func LIKE '%sync_one'").fetchone()[0]:
                return
        time.sleep(1)
    raise AssertionError("the worker ran no sync")


def found_in(text: str) -> list[str]:
    low = text.lower()
    return [f"{mark}: …{low[max(0, at - 80) : at + 40]}…" for mark in MARKS if (at := low.find(mark.lower())) >= 0]


def in_tables(store: sqlite3.Connection) -> dict[str, list[str]]:
    """Table → what is marked in it, of all tables that are not there to hold it."""
    names = [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in HOLD_PATIENTS:
            rows = store.execute(f'SELECT * FROM "{name}"').fetchall()
            text = "\n".join(str(value) for row in rows for value in row if value is not None)
            if leaks := found_in(text):
                found[name] = leaks
    return found


def test_nothing_that_was_written_holds_a_name_a_number_or_a_value(mariadb: MariaDBServer, tmp_path: Path) -> None:
    """T83"""
    passport, port = Passport(folder=tmp_path), free_port()
    (tmp_path / "static").mkdir()
    set_up(passport, mariadb)
    passport.manage("sync", "--json")
    passport.manage("receipt", "--verify", "--json", status=None)
    web = [sys.executable, "-m", "gunicorn", "passport.wsgi", "-b", f"127.0.0.1:{port}", "--access-logfile", "-"]
    with passport.running("web", *web, "--log-level", "debug", "--threads", "4"):
        for _ in range(300):
            with contextlib.suppress(OSError):
                Browser(port=port).get("/health/live")
                break
            time.sleep(0.2)
        browsers = ask_for_everything(port)
        with passport.running("work", sys.executable, "manage.py", "work"):
            wait_for_a_queued_run(passport)
        break_everything(passport, browsers)
    passport.manage("audit_verify")

    everything = "\n".join(passport.said)
    assert '"logger": "django.request"' in everything  # what is searched is there
    assert "GET 500" in everything
    assert found_in(everything) == []
    with passport.store() as store:
        n_values = store.execute("SELECT COUNT(*) FROM passport_record WHERE value LIKE '%Zyx%'").fetchone()[0]
        assert n_values  # the marks did go through the engine
        assert in_tables(store) == {}
    headers = [(name.lower(), value) for browser in browsers for name, value in browser.headers]
    assert found_in("\n".join(value for name, value in headers if name != "set-cookie")) == []
    assert {value for name, value in headers if name == "referrer-policy"} <= {"same-origin", "no-referrer"}


def test_the_search_finds_what_is_marked() -> None:
    assert len(found_in(f"x {NUMBER} {FAMILY.upper()}")) == 3  # whole number, its end, name
    assert found_in("nothing of the kind") == []
