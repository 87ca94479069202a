"""The connection test: named steps from the host's name to a timed read, each with pass, fail or hint and a sentence.

A step that fails and makes the rest impossible ends the test; the rest is listed as not tried. What was found is
stored, so that the admin sees it later and the National ID's type is picked by fact. No identifier leaves this module,
only counts.
"""

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from hospitals import queries
from hospitals.addresses import resolve
from hospitals.connections import Source, open_hospital
from hospitals.errors import HospitalUnreachable, SchemaMismatch, SourceError
from hospitals.faults import TlsRefused
from hospitals.grants import check_grants, may_read_every_database
from hospitals.identifier_types import resolve_identifier_types
from hospitals.models import ConnectionTest, Hospital, TlsMode
from hospitals.registry import mark_tested
from passport.audit import record_event
from passport.models import User
from passport.registration import fits_pattern, normalise_national_id

STEPS = ("name", "tcp", "tls", "login", "grants", "openmrs", "clock", "identifier_types", "timed_read")
NEEDED_TABLES = frozenset(
    {
        "concept", "concept_name", "encounter", "encounter_provider", "location", "obs", "orders", "patient",
        "patient_identifier", "patient_identifier_type", "person", "provider", "visit",
    }
)  # fmt: skip
# The newest table that is there says which version this is at least.
VERSION_BY_TABLE = (
    ("obs_reference_range", "2.7"),
    ("encounter_diagnosis", "2.2"),
    ("allergy", "2.0"),
    ("order_frequency", "1.10"),
    ("encounter_provider", "1.9"),
)
CLOCK_TOLERANCE = timedelta(minutes=5)
SLOW_READ = 2.0  # seconds for a thousand rows
IDENTIFIERS_A_PAGE = 50_000
TESTS_KEPT = 20  # per hospital
SECONDS = 20.0  # for one test, and for all tests of one request: the web server and its proxy give up after 30
AT_ONCE = 8  # hospitals that are tested at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`name` is one of STEPS and `result` pass, fail or hint; both are part of the API."""

    name: str
    result: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCount:
    """An identifier type, its values that are not voided, and how many of them can be a National ID."""

    uuid: str
    name: str
    is_retired: bool
    n_live: int
    n_parsing: int


ODD_ANSWER = "What the server answered cannot be read. Check that host and port are those of the hospital's OpenMRS."
OVERDUE = (
    f"The test was not done after {SECONDS:.0f} seconds and was given up. Test this hospital by itself, and look at "
    "the line and the server's load if it is slow then, too."
)


class _Ended(Exception):
    """A step failed that the rest needs."""


class _Report:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.types: list[TypeCount] = []
        self.is_counted = False

    def add(self, name: str, message: str, *, result: str = "pass") -> None:
        self.steps.append(Step(name=name, result=result, message=message))

    @contextlib.contextmanager
    def step(self, name: str, *, is_needed: bool = True) -> Iterator[None]:
        """A SourceError inside is this step's failure; a needed one ends the test."""
        try:
            yield
        except SourceError as error:
            self.add(name, str(error), result="fail")
            # A dropped connection fails everything after it, needed or not.
            if is_needed or isinstance(error, HospitalUnreachable):
                raise _Ended from None
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            # Rows of another shape than any MySQL server sends for these statements.
            self.add(name, ODD_ANSWER, result="fail")
            raise _Ended from None

    def all_steps(self) -> list[Step]:
        """In the order of STEPS, those that were not tried included."""
        tried = {step.name for step in self.steps}
        not_tried = [
            Step(name=name, result="hint", message="Not tried, because an earlier step failed.")
            for name in STEPS
            if name not in tried
        ]
        return sorted([*self.steps, *not_tried], key=lambda step: STEPS.index(step.name))


def test_connection(  # it tests, and is no test
    *,
    hospital: Hospital,
    now: datetime,
    actor: User | None = None,  # noqa: PT028
) -> ConnectionTest:
    """Run the steps, store and return them. On success a draft is *tested*. Never raises for what the hospital does.

    `steps` are dicts of Step, `identifier_types` dicts of TypeCount. Takes about SECONDS at most.
    """
    report = _examine(hospital, now=now, end_by=time.monotonic() + SECONDS)
    return _store(report, hospital=hospital, now=now, actor=actor)


test_connection.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test where it is imported


def test_connections(
    *,
    hospitals: Sequence[Hospital],
    now: datetime,
    actor: User | None = None,  # noqa: PT028
) -> list[ConnectionTest]:
    """The same for many, some at a time, in SECONDS for all of them together: dead ones do not add up.

    In the hospitals' order. One whose turn did not come, or that was not done in time, failed at its first step.
    """
    end_by = time.monotonic() + SECONDS
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe")
    try:
        under_way = [pool.submit(_examine, hospital, now=now, end_by=end_by) for hospital in hospitals]
        done, _late = wait(under_way, timeout=max(0.0, end_by - time.monotonic()))
        reports = [future.result() if future in done else _overdue() for future in under_way]
    finally:
        # Whoever is late ends by itself: each connection is cut at `end_by`.
        pool.shutdown(wait=False, cancel_futures=True)
    return [
        _store(report, hospital=hospital, now=now, actor=actor)
        for hospital, report in zip(hospitals, reports, strict=True)
    ]


test_connections.__test__ = False  # type: ignore[attr-defined]


def _overdue() -> _Report:
    report = _Report()
    report.add("name", OVERDUE, result="fail")
    return report


def _examine(hospital: Hospital, *, now: datetime, end_by: float) -> _Report:
    """Everything that asks the hospital, and nothing that asks our own database: this runs in threads."""
    report = _Report()
    with contextlib.suppress(_Ended):
        _reach(report, hospital)
        _look(report, hospital, now=now, end_by=end_by)
    return report


def _store(report: _Report, *, hospital: Hospital, now: datetime, actor: User | None) -> ConnectionTest:
    if report.is_counted:
        with contextlib.suppress(_Ended), report.step("identifier_types", is_needed=False):
            _identifier_types(report, hospital)
    steps = report.all_steps()
    is_ok = all(step.result != "fail" for step in steps)
    with transaction.atomic():
        test = ConnectionTest.objects.create(
            hospital=hospital,
            at=now,
            is_ok=is_ok,
            steps=[asdict(step) for step in steps],
            identifier_types=[asdict(one) for one in report.types],
        )
        failed = [step.name for step in steps if step.result == "fail"]
        record_event(
            action="hospital_tested",
            actor=actor,
            now=now,
            hospital_id=hospital.pk,
            details={"is_ok": is_ok, "failed": failed},
        )
        if is_ok:
            mark_tested(hospital=hospital, actor=actor, now=now)
        kept = hospital.connection_tests.order_by("-at", "-pk").values_list("pk", flat=True)[:TESTS_KEPT]
        hospital.connection_tests.exclude(pk__in=list(kept)).delete()
    return test


def _reach(report: _Report, hospital: Hospital) -> None:
    with report.step("name"):
        addresses = resolve(hospital.host, hospital.port)
        report.add("name", f"The host leads to {_count(len(addresses), 'address', 'addresses')}.")
    with report.step("tcp"):
        started = perf_counter()
        _connect(addresses, hospital.port)
        report.add("tcp", f"The port answers after {_milliseconds(started)}.")


def _connect(addresses: list[str], port: int) -> None:
    for address in addresses:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address, port), timeout=settings.SOURCE_CONNECT_TIMEOUT),
        ):
            return
    raise HospitalUnreachable(
        "Nobody answers at this port. Check host and port, the firewall, and that the server runs."
    )


def _look(report: _Report, hospital: Hospital, *, now: datetime, end_by: float) -> None:
    with _login(report, hospital, end_by=end_by) as source:
        with report.step("grants"):
            _grants(report, source)
        with report.step("openmrs"):
            _openmrs(report, source)
        with report.step("clock", is_needed=False):
            _clock(report, source, hospital=hospital, now=now)
        with report.step("identifier_types", is_needed=False):
            report.types = count_identifier_types(source)
            report.is_counted = True
        with report.step("timed_read", is_needed=False):
            _timed_read(report, source)


@contextlib.contextmanager
def _login(report: _Report, hospital: Hospital, *, end_by: float) -> Iterator[Source]:
    """Both `tls` and `login`: the driver does them in one go."""
    plain = hospital.tls_mode == TlsMode.NONE
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(open_hospital(hospital, end_by=end_by))
        except TlsRefused as error:
            report.add("tls", str(error), result="fail")
            raise _Ended from None
        except SourceError as error:
            # Whether TLS came about is not known: the driver does not tell which of the two it was at.
            report.add("login", str(error), result="fail")
            raise _Ended from None
        if plain:
            report.add(
                "tls", "Not encrypted, as chosen. Choose TLS unless the way is protected otherwise.", result="hint"
            )
        elif hospital.tls_mode == TlsMode.UNVERIFIED:
            report.add("tls", "Encrypted, but anybody could pose as this server. Enter its authority.", result="hint")
        else:
            report.add("tls", "Encrypted, and the server's certificate is verified.")
        kind = "MariaDB" if source.is_mariadb else "MySQL"
        report.add(
            "login",
            " ".join([f"Logged in; the server is {kind} {source.server_version}.", *source.hints]),
            result="hint" if source.hints else "pass",
        )
        yield source


def _grants(report: _Report, source: Source) -> None:
    check_grants(source)
    if may_read_every_database(source):
        report.add(
            "grants",
            "The account can only read, but it may read every database of the server. Grant it OpenMRS' database only.",
            result="hint",
        )
    else:
        report.add("grants", "The account can only read.")


def _openmrs(report: _Report, source: Source) -> None:
    tables = {str(row[0]) for row in source.fetch(queries.TABLES)}
    missing = sorted(NEEDED_TABLES - tables)
    if missing:
        raise SchemaMismatch(
            f"Tables of OpenMRS are missing or may not be read: {', '.join(missing)}. "
            "Check the database's name, and run the grant script at the hospital."
        )
    version = next(version for table, version in VERSION_BY_TABLE if table in tables)
    report.add("openmrs", f"This is an OpenMRS database, of version {version} or later.")


def _clock(report: _Report, source: Source, *, hospital: Hospital, now: datetime) -> None:
    ours = now.astimezone(ZoneInfo(hospital.time_zone)).replace(tzinfo=None)
    ((theirs,),) = source.fetch(queries.NOW)
    newest = source.fetch(queries.NEWEST_OBS_ENTERED)
    off: timedelta = theirs - ours
    half_hours = round(off / timedelta(minutes=30))
    if newest and newest[0][0] and newest[0][0] - ours > CLOCK_TOLERANCE:
        message = "The newest observation was entered in the future. Check the hospital's time zone in its settings."
    elif abs(off) <= CLOCK_TOLERANCE:
        report.add("clock", "The server's clock agrees with ours in the hospital's time zone.")
        return
    elif half_hours and abs(off - half_hours * timedelta(minutes=30)) <= CLOCK_TOLERANCE:
        message = (
            f"The server's clock shows {half_hours / 2:+g} hours against the hospital's time zone. "
            "Check that this is the zone in which OpenMRS itself runs."
        )
    else:
        message = (
            f"The server's clock is {round(off.total_seconds() / 60):+d} minutes off. "
            "Nothing is read wrongly; tell the hospital."
        )
    report.add("clock", message, result="hint")


def _identifier_types(report: _Report, hospital: Hospital) -> None:
    """Which of the types that were counted are chosen; names that are found now are remembered by their uuid."""
    resolved = resolve_identifier_types(hospital=hospital, types=report.types)
    chosen = [one for one in report.types if one.uuid in resolved.uuids]
    n_parsing = sum(one.n_parsing for one in chosen)
    hints = list(resolved.hints)
    if not n_parsing:
        hints.append("No value of the chosen types can be a National ID. Compare with the other types below.")
    summary = (
        f"{_count(len(chosen), 'identifier type is', 'identifier types are')} chosen; "
        f"{n_parsing:,} of {_count(sum(one.n_live for one in chosen), 'value', 'values')} can be a National ID."
    )
    report.add("identifier_types", " ".join([summary, *hints]), result="hint" if hints else "pass")


def count_identifier_types(source: Source) -> list[TypeCount]:
    """Every identifier type of the source with its counts. Reads all live identifiers, in pages."""
    n_live: Counter[int] = Counter()
    n_parsing: Counter[int] = Counter()
    above = 0
    while page := source.fetch(queries.IDENTIFIERS, [above, IDENTIFIERS_A_PAGE]):
        if page[-1][0] <= above:
            raise ValueError("the same page again")  # else a hostile server would have us ask for ever
        above = page[-1][0]
        for _id, type_id, identifier in page:
            n_live[type_id] += 1
            number = normalise_national_id(identifier or "")
            n_parsing[type_id] += number is not None and fits_pattern(number)
        if len(page) < IDENTIFIERS_A_PAGE:
            break
    return [
        TypeCount(
            uuid=uuid, name=name or "", is_retired=bool(retired), n_live=n_live[type_id], n_parsing=n_parsing[type_id]
        )
        for type_id, uuid, name, retired in source.fetch(queries.IDENTIFIER_TYPES)
    ]


def _timed_read(report: _Report, source: Source) -> None:
    started = perf_counter()
    rows = source.fetch(queries.NEWEST_OBS)
    is_slow = perf_counter() - started > SLOW_READ
    message = f"Read {_count(len(rows), 'observation', 'observations')} in {_milliseconds(started)}."
    if is_slow:
        message += " That is slow; look at the line and the server's load."
    report.add("timed_read", message, result="hint" if is_slow else "pass")


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _milliseconds(started: float) -> str:
    return f"{(perf_counter() - started) * 1000:.0f} ms"
