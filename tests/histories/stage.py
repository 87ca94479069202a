"""One hospital, one passport, and what must hold between the two.

The hospital is a real database of a real schema, put back to its first state before each history; our store is the
test's SQLite, in one transaction that is rolled back after it.
"""

import datetime as dt
import itertools
import random
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import OperationalError, connection, connections, transaction
from django.db.models import F, QuerySet

from hospitals.models import Hospital
from openmrs_sync import claims, links, pipeline, receipts
from openmrs_sync.models import ConceptRule, ParkedRow, SyncRun
from passport import erasure, merging, registration
from passport.access import scope
from passport.models import (
    Link,
    LinkDecision,
    Merge,
    Patient,
    PatientIdentifier,
    PlaceholderNumber,
    Record,
    User,
)
from passport.models.links import LinkState
from tests.histories import hospital as at_the_hospital
from tests.histories.batches import in_small_batches, in_this_thread, on_this_line
from tests.histories.derivation import Decision, Derivation, Holder, Key, OurSide, Row, Tables
from tests.histories.faults import Fault, Killed, striking
from tests.histories.hospital import Edit
from tests.histories.moments import Moments, is_ours, noting_snapshots, of_person, parked_of, persons_of
from tests.integration import world
from tests.openmrs import ddl, real
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

#: All of the record that means something; `category_rule` and `received_at` are how it came to be.
COMPARED = (
    *(
        "source_uuid",
        "category",
        "concept_id",
        "concept_uuid",
        "concept",
        "value",
        "value_number",
        "unit",
        "low",
        "high",
    ),
    *("flag", "at_local", "order_at", "visit_id", "encounter_id", "group_id", "certainty", "rank", "provider"),
    *("provider_uuid", "location", "entered_at_local", "details"),
)
ZONES = ("Africa/Cairo", "Africa/Kigali", "America/Sao_Paulo")
LANGUAGES = (["en"], ["fr", "en"], ["rw"])
TYPES = (["National ID"], ["National ID", at_the_hospital.OTHER_TYPE])
#: The tables that a verb of `hospital` writes to.
CHANGED = {
    *("person", "person_name", "patient", "patient_identifier", "person_merge_log", "visit", "encounter"),
    *("encounter_provider", "obs", "orders", "drug_order", "test_order", "encounter_diagnosis", "conditions"),
    *("allergy", "allergy_reaction", "concept", "concept_name", "concept_numeric", "drug", "location"),
}
#: The hospital's clock is this far from its database server's.
CLOCKS = (dt.timedelta(), dt.timedelta(hours=-7), dt.timedelta(hours=20), dt.timedelta(days=-400))
#: By the hospital's clock: what it has before a history begins.
BUILT_AT = dt.datetime(2026, 1, 14, 8, 30)
STEPS_OF_OUR_CLOCK = tuple(dt.timedelta(hours=hours) for hours in (1, -1, 30, -30, 24 * 40, -24 * 40))
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
#: Everyone is due by then, as `sweep_hours` says.
A_DAY_LATER = dt.timedelta(hours=30)
#: Persons with a number of their own where many are.
CROWD = 10
#: Of a session at the hospital: who wants a row that another transaction has is refused it at once. No locks on gaps:
#: those depend on when the server happened to clear away what was deleted.
EQUAL_CONFLICTS = "SET SESSION innodb_lock_wait_timeout = 0, tx_isolation = 'READ-COMMITTED'"
#: Of fewer none is erased.
MANY_HOLDERS = 4
#: Whole runs within which everything must be equal once the sweep is due.
RUNS_TO_SETTLE = 3


#: (table, id, patient): the row is of a person who is that patient
Truth = tuple[str, int, UUID]
#: A link with all that a history may show by it, withdrawn records too.
Seen = tuple[Link, list[Record]]


class HistoryFailed(AssertionError):
    """What must hold does not."""


# ------------------------------------------------------------------------------------------------ the place


@dataclass(slots=True, kw_only=True)
class Building:
    """A hospital's database, and how it looks at the beginning of a history: with three persons, or with more."""

    server: MariaDBServer
    pretend: PretendHospital
    tables: list[str]  # all that this version has
    counting: list[str]  # those of the changed ones that number their rows by themselves

    def put_back(self, first_state: str) -> None:
        h = self.pretend
        h.execute("SET FOREIGN_KEY_CHECKS = 0")
        with h.atomic():
            for table in sorted(CHANGED & set(self.tables)):
                h.execute(f"DELETE FROM `{table}`")
                h.execute(f"INSERT INTO `{table}` SELECT * FROM `{self.pretend.database}_{first_state}`.`{table}`")
        for table in self.counting:
            h.execute(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")  # that is one more than the largest
        h.execute(EQUAL_CONFLICTS)
        h.random = random.Random("history")
        h._encounter_facts.clear()


@dataclass(slots=True, kw_only=True)
class Place:
    """A hospital's building, and how our side knows it."""

    building: Building
    hospital: Hospital
    admin: User

    @property
    def server(self) -> MariaDBServer:
        return self.building.server

    @property
    def pretend(self) -> PretendHospital:
        return self.building.pretend


def build(server: MariaDBServer, version: str) -> Building:
    """A hospital of this version, the first of its persons a bystander.

    With the real tables of that version where they are at hand.
    """
    name = f"history_{version.replace('.', '_')}"
    pretend = PretendHospital(server, name, version, time_zone=ZONES[0])
    pretend.clock = lambda: BUILT_AT
    pretend.create()
    tables = ddl.tables_of(version)
    if version in real.SCHEMAS and real.folder() is not None:
        pretend = _on_real_tables(pretend, version)
    building = Building(server=server, pretend=pretend, tables=tables, counting=_counting(pretend))
    few, crowd = at_the_hospital.NUMBERS[:3], at_the_hospital.NUMBERS[3:CROWD]
    for first_state, numbers in (("few", few), ("crowd", crowd)):
        for number in numbers:
            who = pretend.add_person(national_id=number)
            encounter = pretend.add_encounter(who, visit=pretend.add_visit(who))
            pretend.add_obs(who, "weight", 60.0, encounter=encounter)
        server.create_database(f"{pretend.database}_{first_state}")
        for table in tables:
            pretend.execute(f"CREATE TABLE `{pretend.database}_{first_state}`.`{table}` AS SELECT * FROM `{table}`")
    return building


def _counting(pretend: PretendHospital) -> list[str]:
    found = pretend.execute(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = DATABASE() AND extra = 'auto_increment'"
    )
    return sorted({name for (name,) in found} & CHANGED)


def open_place(building: Building) -> Place:
    pretend = building.pretend
    return Place(
        building=building,
        hospital=world.live_hospital(building.server, pretend.database, time_zone=ZONES[0]),
        admin=User.objects.create_user("ada", password=None, role="admin"),
    )


def _on_real_tables(pretend: PretendHospital, version: str) -> PretendHospital:
    """The same rows in the tables of a real platform, with its constraints and its other columns."""
    database = f"{pretend.database}_real"
    real.load(pretend.server, version, database)
    pretend.execute("SET FOREIGN_KEY_CHECKS = 0")
    for table in ddl.tables_of(version):
        names = {row[0].lower() for row in pretend.execute(f"SHOW COLUMNS FROM `{database}`.`{table}`")}
        shared = ", ".join(f"`{name}`" for name in pretend.columns(table) if name in names)
        pretend.execute(f"DELETE FROM `{database}`.`{table}`")
        pretend.execute(f"INSERT INTO `{database}`.`{table}` ({shared}) SELECT {shared} FROM `{table}`")
    pretend.close()
    moved = PretendHospital(pretend.server, database, version, time_zone=pretend.time_zone)
    moved.clock = pretend.clock
    moved.execute("SET FOREIGN_KEY_CHECKS = 0")
    return moved.open()


# ------------------------------------------------------------------------------------------------ one history


@dataclass(slots=True)
class Said:
    """A decision that was made, as it was meant."""

    pk: int
    person_uuid: str
    patient_id: UUID
    is_same: bool


@dataclass(slots=True)
class Stage:
    """One history as it goes. Every method is a step; small numbers choose among what is there."""

    place: Place
    now: dt.datetime = dt.datetime(2026, 1, 15, 9, tzinfo=dt.UTC)
    #: by the clock of the hospital's database server, and how far OpenMRS' own is from it
    now_there: dt.datetime = dt.datetime(2026, 1, 15, 9)
    clock_there: dt.timedelta = dt.timedelta()
    holders: dict[UUID, Holder] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    #: by the merge's key: the passport that was joined to another one
    joined: dict[UUID, UUID] = field(default_factory=dict)
    #: how far our clock was set back since the last sweep: until it has made up for it nobody is due by it
    set_back: dt.timedelta = dt.timedelta()
    #: open transactions at the hospital, by number
    late: dict[int, tuple[Any, PretendHospital]] = field(default_factory=dict)
    #: (table, id, patient) that was true at some committed moment since the last time that all was equal
    once_true: set[Truth] = field(default_factory=set)
    #: the same, of earlier times, of rows that were nobody's when all was equal: gone, or of somebody not linked
    may_return: set[Truth] = field(default_factory=set)
    #: of the run under way or of the last one
    moments: Moments = field(default_factory=Moments)
    #: links that somebody waits for → how many snapshots the run had had by then, if one was under way
    asked: dict[UUID, int] = field(default_factory=dict)
    #: nothing happened since then that only the sweep finds
    is_loud: bool = True
    #: each person is a batch or nearly so, and the next one is read before this one is written
    is_in_batches: bool = False
    #: too slow for snapshots
    is_line_slow: bool = False
    time_zone: str = ZONES[0]
    locales: list[str] = field(default_factory=lambda: list(LANGUAGES[0]))
    rules: dict[str, tuple[str, bool]] = field(default_factory=dict)
    types: list[str] = field(default_factory=lambda: list(TYPES[0]))
    placeholders: set[str] = field(default_factory=set)
    _undo: ExitStack = field(default_factory=ExitStack)
    _reading: Any = None
    #: what was seen last, and how many rows our store had changed by then
    _seen: tuple[int, list[Seen]] = (-1, [])

    # -------------------------------------------------------------------------------- beginning and end

    def open(self) -> None:
        self.place.building.put_back("few")
        self.pretend.clock = lambda: self.now_there + self.clock_there
        self._reading = self.place.server.connect(self.pretend.database)
        self._undo.enter_context(_equal_uuids())
        self._undo.enter_context(_equal_times())
        self._undo.enter_context(_undone())
        self.register(0)
        self.register(1)

    def fill(self) -> None:
        """More people than that are here, and are passport holders."""
        self.place.building.put_back("crowd")
        for other in range(2, CROWD):
            self.register(other, is_noted=other == CROWD - 1)

    def close(self) -> None:
        for session in list(self.late):
            self.rollback(session)
        self._reading.close()
        self.pretend.execute("SET GLOBAL init_connect = ''")
        self._undo.close()

    @property
    def pretend(self) -> PretendHospital:
        return self.place.pretend

    @property
    def hospital(self) -> Hospital:
        return Hospital.objects.get(pk=self.place.hospital.pk)

    # -------------------------------------------------------------------------------- at the hospital

    def edits(self, session: int, some: Iterable[Edit]) -> None:
        """Nobody looks in between. `session` 0 commits each; 1 and 2 are transactions that stay open until commit() or
        rollback().
        """
        for edit in some:
            self._edit(session, *edit)
            self.pass_time(SECOND)
        if not session:
            self.note_truth()

    def day(self, some: Iterable[tuple[int, Edit]]) -> None:
        """The same, in turns; who has a transaction open goes home with it open."""
        for session, edit in some:
            self._edit(session, *edit)
            self.pass_time(SECOND)
        self.note_truth()

    def _edit(self, session: int, what: str, pick: int, other: int, n: int) -> None:
        h = self.pretend
        self.is_loud = self.is_loud and what not in at_the_hospital.SILENT
        if session:
            if session not in self.late:
                late = h.transaction()
                self.late[session] = late, late.__enter__()
                self.late[session][1].execute(EQUAL_CONFLICTS)
                self.late[session][1].execute("SET SESSION FOREIGN_KEY_CHECKS = 0")
                self.late[session][1].execute("START TRANSACTION")  # once more: the isolation is that of the next one
            h = self.late[session][1]
        try:
            at_the_hospital.at_hospital(h, what, pick, other, n)
        except Exception as error:
            if not _is_conflict(error):
                raise
            if session:
                self.rollback(session)

    def commit(self, session: int) -> None:
        if session in self.late:
            transaction_, _ = self.late.pop(session)
            transaction_.__exit__(None, None, None)
            self.note_truth()

    def rollback(self, session: int) -> None:
        if session in self.late:
            transaction_, late = self.late.pop(session)
            late.rollback()
            transaction_.__exit__(None, None, None)

    def rebuild(self, pick: int) -> None:
        """A DBA rebuilds a table, where nobody holds it at this moment."""
        table = sorted(CHANGED & set(self.place.building.tables))[pick % len(CHANGED)]
        try:
            self.pretend.execute(f"ALTER TABLE `{table}` NOWAIT FORCE")
        except Exception as error:
            if not _is_conflict(error):
                raise

    def step_hospital_clock(self, n: int) -> None:
        """Set back, it stamps what the watch takes for old."""
        self.clock_there = CLOCKS[n % len(CLOCKS)]
        self.is_loud = self.is_loud and self.clock_there >= dt.timedelta()

    def pass_time(self, time: dt.timedelta) -> None:
        """On both sides; the steps of a clock are not this."""
        self.now += time
        self.now_there += time

    # -------------------------------------------------------------------------------- our side

    def register(self, other: int, *, is_noted: bool = True) -> None:
        number = at_the_hospital.NUMBERS[other % len(at_the_hospital.NUMBERS)]
        if number in self.placeholders:
            return
        registered = registration.register_patient(
            national_id=number, sex="F", birth_date=dt.date(1990, 1, 1), actor=None, now=self.now
        )
        if registered.created:
            self.holders[registered.patient.pk] = Holder(
                patient=registered.patient.pk, sex="F", birth_date=dt.date(1990, 1, 1), numbers=(number,)
            )
        if is_noted:
            self.note_truth()

    def add_number(self, pick: int, other: int) -> None:
        """Give a passport holder one more number."""
        number = at_the_hospital.NUMBERS[other % len(at_the_hospital.NUMBERS)]
        patient = self._one_of_ours(pick)
        with suppress(registration.NumberTaken, registration.NumberIsPlaceholder):
            registration.add_identifier(patient=patient, national_id=number, actor=None, now=self.now)
        self._ask_who_is_who()

    def correct_number(self, pick: int, other: int, n: int) -> None:
        """A wrong number is put right on our side; the old one stays as an alias, or is free again."""
        number = at_the_hospital.NUMBERS[other % len(at_the_hospital.NUMBERS)]
        found = PatientIdentifier.objects.filter(patient=self._one_of_ours(pick)).order_by("pk")
        if wrong := list(found)[n // 2 % max(len(found), 1) :]:
            with suppress(registration.NumberTaken, registration.NumberIsPlaceholder):
                registration.correct_identifier(
                    identifier=wrong[0], national_id=number, keeps_old=bool(n % 2), actor=None, now=self.now
                )
        self._ask_who_is_who()

    def list_placeholder(self, other: int, is_on: bool) -> None:
        """A number goes on the list of those that stand for none, or comes off it; somebody may hold it all the same:
        who was registered at that very moment.
        """
        number = at_the_hospital.NUMBERS[1 + other % (len(at_the_hospital.NUMBERS) - 1)]
        PlaceholderNumber.objects.filter(number=number).delete()
        self.placeholders.discard(number)
        if is_on:
            PlaceholderNumber.objects.create(number=number)
            self.placeholders.add(number)
        self.note_truth()

    def join(self, pick: int, other: int) -> None:
        """Two passports turn out to be one person's."""
        with suppress(merging.MergeRefused):
            kept, merged = self._one_of_ours(pick), self._one_of_ours(other)
            made = merging.merge(kept=kept, merged=merged, actor=self.place.admin, now=self.now)
            self.joined[made.pk] = merged.pk
        self._ask_who_is_who()

    def part(self, pick: int) -> None:
        """And were two persons' all the same."""
        if self.joined:
            made = Merge.objects.get(pk=list(self.joined)[pick % len(self.joined)])
            with suppress(merging.MergeRefused):
                merging.undo(merge=made, actor=self.place.admin, now=self.now)
                del self.joined[made.pk]
            self._ask_who_is_who()

    def erase(self, pick: int) -> None:
        """All of one passport holder goes for good, with those that were joined to it; two always stay."""
        patient = self._one_of_ours(pick)
        if self.joined or len(self.holders) < MANY_HOLDERS:
            return
        erasure.erase(patient=patient, confirmation=str(patient.pk), actor=self.place.admin, now=self.now)
        del self.holders[patient.pk]
        self._ask_who_is_who()

    def _one_of_ours(self, pick: int) -> Patient:
        """Who was not joined to somebody else."""
        found = [patient for patient in self.holders if patient not in self.joined.values()]
        return Patient.objects.get(pk=found[pick % len(found)])

    def _ask_who_is_who(self) -> None:
        """Numbers and decisions went from one holder to another: what our side knows of them."""
        numbers: dict[UUID, list[str]] = {}
        for patient_id, number in PatientIdentifier.objects.order_by("pk").values_list("patient_id", "number"):
            numbers.setdefault(patient_id, []).append(number)
        for holder in list(self.holders.values()):
            self._replace(holder, is_noted=False, numbers=tuple(numbers.get(holder.patient, ())))
        decisions = LinkDecision.objects.filter(hospital=self.place.hospital, undone_at=None).order_by("pk")
        self.said = [Said(one.pk, one.person_uuid, one.patient_id, one.verdict == "same") for one in decisions]
        self.note_truth()

    def lose_records(self, pick: int, n: int) -> int:
        """Somebody deletes records of ours by hand; returns how many of those that are shown."""
        seen = [record.key for _, records in self.visible() for record in current(records)]
        lost = [seen[(pick + step) % len(seen)] for step in range(min(n, len(seen)))]
        Record.objects.filter(key__in=lost).delete()
        self.is_loud = False
        return len(lost)

    def correct_patient(self, pick: int, n: int) -> None:
        """The admin corrects sex or birth date of a passport holder."""
        holder = list(self.holders.values())[pick % len(self.holders)]
        sex, born = (
            ("F", "M", "U", "F")[n % 4],
            (dt.date(1990, 1, 1), dt.date(1991, 1, 1), None, dt.date(1950, 1, 1))[n % 4],
        )
        patient = Patient.objects.get(pk=holder.patient)
        Patient.objects.filter(pk=holder.patient).update(sex=sex, birth_date=born)
        registration.judge_again(patient=patient, now=self.now)
        self._replace(holder, sex=sex, birth_date=born)

    def _replace(self, holder: Holder, *, is_noted: bool = True, **changes: Any) -> None:
        values = {name: getattr(holder, name) for name in Holder.__slots__}
        self.holders[holder.patient] = Holder(**values | changes)
        if is_noted:
            self.note_truth()

    def decide(self, pick: int, other: int, is_same: bool) -> None:
        """An admin says of a person that they are, or are not, that patient."""
        found = list(links.current(self.hospital).exclude(state=LinkState.ENDED).order_by("person_id"))
        if not found:
            return
        link = found[pick % len(found)]
        candidates = [patient for patient in self.holders if str(patient) in link.candidates] or [link.patient_id]
        patient_id = candidates[other % len(candidates)]
        verdict = "same" if is_same else "different"
        links.decide(link=link, verdict=verdict, actor=self.place.admin, now=self.now, patient_id=patient_id)
        self._ask_who_is_who()  # of a passport that was joined it is said of the other one

    def undo(self, pick: int) -> None:
        if self.said:
            said = self.said.pop(pick % len(self.said))
            decision = LinkDecision.objects.get(pk=said.pk)
            links.undo_decision(decision=decision, actor=self.place.admin, now=self.now)
            self.note_truth()

    def configure(self, what: str, pick: int, n: int) -> None:
        """The admin corrects the time zone or the languages, or says how a concept is to be taken."""
        changes: dict[str, Any] = {}
        with transaction.atomic():
            if what == "zone":
                self.time_zone = changes["time_zone"] = ZONES[n % 3]
            elif what == "types":
                self.types = changes["national_id_types"] = list(TYPES[n % 2])
                changes["national_id_type_uuids"] = {}
            elif what == "languages":
                self.locales = changes["locales"] = list(LANGUAGES[n % 3])
            else:
                self._rule(pick, n)
            Hospital.objects.filter(pk=self.place.hospital.pk).update(config_version=F("config_version") + 1, **changes)

    def _rule(self, pick: int, n: int) -> None:
        concepts = (*at_the_hospital.NUMERIC, "malaria", "coded diagnosis", "metformin", "penicillin")
        uuid = self.pretend.row("concept", self.pretend.concept(concepts[pick % len(concepts)]))["uuid"]
        rules = ConceptRule.objects.filter(hospital=self.place.hospital, concept_uuid=uuid)
        rules.delete()
        self.rules.pop(uuid, None)
        if n % 3:
            category, is_hidden = ("test", False) if n % 3 == 1 else ("", True)
            ConceptRule.objects.create(
                hospital=self.place.hospital, concept_uuid=uuid, category=category, is_hidden=is_hidden
            )
            self.rules[uuid] = category, is_hidden

    def ask(self, pick: int) -> None:
        """Somebody waits for a fresh read of this patient."""
        patient = list(self.holders)[pick % len(self.holders)]
        mine = links.linked(self.hospital).filter(patient_id=patient)
        links.mark_patient(patient=Patient.objects.get(pk=patient), hospital=self.hospital, now=self.now)
        self.asked |= dict.fromkeys(mine.values_list("pk", flat=True), len(self.moments.snapshots))

    def step_our_clock(self, n: int) -> None:
        step = STEPS_OF_OUR_CLOCK[n % len(STEPS_OF_OUR_CLOCK)]
        self.now += step
        self.set_back += max(-step, dt.timedelta())

    # -------------------------------------------------------------------------------- reading

    def run(self, kind: str, *, fault: Fault | None = None, pick: int = 0) -> SyncRun | None:
        """`kind`: tick (the idle look), due (deep when it is time), sweep (a day later), sync (deep), full, patient.

        None: it was killed, or read one patient.
        """
        if kind == "sweep":
            self.pass_time(A_DAY_LATER + self.set_back)
        before, waiting = self._refreshed(), set(self.asked)
        try:
            with noting_snapshots(self) as self.moments, striking(self, fault):
                run = self._run(kind, pick)
        except Killed:
            run = None
        except OperationalError:  # of one patient's read: whoever asked for it is told so
            if fault is None or fault.what not in ("lock", "fill"):
                raise
            run = None
        after = self._refreshed()
        read = {link for link, at in after.items() if before.get(link) != at}
        self._check_true(read)
        if fault is None or isinstance(fault.what, str) or not any(map(is_ours, fault.what)):
            self._check_as_read(read)
        left = waiting & self.asked.keys() & set(links.linked(self.hospital).values_list("pk", flat=True)) - read
        self._forget_who_was_read(read, waiting)
        if fault is None and run is not None and run.status == "ok":
            if left:
                raise HistoryFailed(f"Somebody waited for {len(left)} persons, and they were not read.")
            if kind == "sweep" and (unswept := self._refreshed(links.linked(self.hospital)).keys() - read):
                raise HistoryFailed(f"{len(unswept)} persons were not read in a sweep.")
        return run

    def _forget_who_was_read(self, read: set[UUID], waiting: set[UUID]) -> None:
        """Who was asked for in the middle of the run may be of a batch that was read after that."""
        read_in = self.moments.read_in
        for link in read & self.asked.keys():
            if link in waiting or read_in.get(link, 0) > self.asked[link]:
                del self.asked[link]

    def _refreshed(self, some: QuerySet[Link] | None = None) -> dict[UUID, Any]:
        """When each link was read last, of those too that are not linked now and may be after the run."""
        return dict((links.current(self.hospital) if some is None else some).values_list("pk", "refreshed_at"))

    def _check_true(self, read: set[UUID]) -> None:
        """What was read in this run is as it was at some moment since its first snapshot, however it went."""
        true = self.moments.once_true or ()
        for link, records in self.visible() if read else ():
            if link.pk not in read:
                continue
            seen = [(one.table, one.source_id, link.patient_id) for one in current(records)]
            if wrong := [one[:2] for one in seen if one not in true]:
                raise HistoryFailed(f"Just read, and not true any more: {wrong} under person {link.person_id}.")

    def _check_as_read(self, read: set[UUID]) -> None:
        """What was read in this run is, to the letter, what its snapshot said, the parked rows too."""
        for link, records in self.visible() if read else ():
            derivation = self.moments.of(link.pk, link.person_id) if link.pk in read else None
            if derivation is None:
                continue
            expected, parked = of_person(derivation, link.person_id), parked_of(link.pk)
            _compare(_by_key([(link, records)]), expected[0])
            if parked != expected[1]:
                raise HistoryFailed(f"Just read; parked: {parked} instead of {expected[1]}")
            self._check_left_behind(derivation, link, records)

    def _check_left_behind(self, derivation: Derivation, link: Link, records: list[Record]) -> None:
        """What is kept as withdrawn is dead or gone at the source, and was not carried to somebody else."""
        owners = persons_of(derivation)
        for one in records:
            if one.status != "current" and owners.get((one.table, one.source_id), link.person_id) != link.person_id:
                raise HistoryFailed(f"Withdrawn {one.table} {one.source_id} stays with {link.person_id}; it moved.")

    def _run(self, kind: str, pick: int = 0) -> SyncRun | None:
        # what NOW() is for whoever connects from now on
        seconds = int(self.now_there.replace(tzinfo=dt.UTC).timestamp())
        self.pretend.execute(f"SET GLOBAL init_connect = 'SET timestamp = {seconds}'")
        is_scheduled = kind in ("tick", "due", "sweep")
        batches = in_small_batches() if self.is_in_batches and kind != "patient" else in_this_thread()
        with on_this_line(is_slow=self.is_line_slow), batches:
            if kind == "patient":
                patients = list(self.holders)
                patient = Patient.objects.get(pk=patients[pick % len(patients)])
                pipeline.refresh_patient(hospital=self.hospital, patient=patient, now=self.now)
                return None
            return pipeline.sync_hospital(
                hospital=self.hospital,
                trigger=SyncRun.Trigger.SCHEDULE if is_scheduled else SyncRun.Trigger.COMMAND,
                now=self.now,
                full=kind == "full",
                deep={"tick": False, "due": None, "sweep": None}.get(kind, True),
            )

    def be_overtaken(self) -> None:
        """The worker sleeps past its lease; another one takes the hospital and reads it."""
        self.pass_time(claims.LEASE + MINUTE)
        before = self._refreshed()
        with _as_another_worker(self.hospital):
            self._run("sync")
        for link, read_at in self._refreshed().items():
            if before.get(link) != read_at:
                self.moments.overtaken[link] = self.moments.snapshots[-1]
                self.asked.pop(link, None)

    def accept(self, run: SyncRun) -> None:
        """The admin says that what the brake stopped is meant, or that the source is."""
        if run.error_kind == "would_erase":
            pipeline.accept_changes(hospital=self.hospital, actor=self.place.admin, now=self.now)
        elif run.error_kind == "source_replaced":
            pipeline.accept_source(hospital=self.hospital, actor=self.place.admin, now=self.now)

    # -------------------------------------------------------------------------------- what must hold

    def derive(self) -> Derivation:
        return Derivation(
            Tables(self._reading),
            OurSide(
                holders=list(self.holders.values()),
                decisions=[
                    Decision(person_uuid=said.person_uuid, patient=said.patient_id, is_same=said.is_same)
                    for said in self.said
                ],
                time_zone=self.time_zone,
                locales=self.locales,
                rules=self.rules,
                national_id_types=self.types,
                placeholders=frozenset(self.placeholders),
            ),
        )

    def note_truth(self) -> None:
        true_now = self.true_now()
        self.once_true |= true_now
        if self.moments.once_true is not None:
            self.moments.once_true |= true_now

    def true_now(self) -> set[Truth]:
        return {(*key, patient) for key, patient in self.derive().owners().items()}

    def visible(self) -> list[Seen]:
        """By the product's own door, which is not asked again while nothing was written to our store."""
        n_changed = getattr(connection.connection, "total_changes", None)  # SQLite counts; others are always asked
        if n_changed is None or n_changed != self._seen[0]:
            seen = [
                (link, list(scope.records_of(patient, [link])))
                for patient in self.holders
                for link in scope.linked(patient).order_by("person_id")
            ]
            self._seen = n_changed, seen
        return self._seen[1]

    def check_visible(self) -> None:
        """No record is seen under a patient whose it never was, and none by a link that a human cut."""
        spoken = {(said.person_uuid, said.patient_id): said.is_same for said in self.said}
        epoch = self.hospital.epoch
        for link, records in self.visible():
            if link.n_unexplained:
                raise HistoryFailed(f"{link.n_unexplained} rows of person {link.person_id} are unexplained.")
            seen = [(one.table, one.source_id, one.status) for one in records]
            where = f"under {self._name(link.patient_id)}, person {link.person_id}"
            may_be = {"current": self.once_true, "withdrawn": self.once_true | self.may_return}
            wrong = [one for one in seen if (*one[:2], link.patient_id) not in may_be[one[2]]]
            if wrong:
                raise HistoryFailed(f"Seen under the wrong patient: {wrong} {where}.")
            if seen and (link.state != LinkState.LINKED or link.epoch != epoch):
                raise HistoryFailed(f"Seen by a link that is {link.state}: {seen} {where}.")
            if seen and not spoken.get((link.person_uuid, link.patient_id), True):
                raise HistoryFailed(f"Seen by a link that was cut: {seen} {where}.")

    def settle(self) -> None:
        """One sweep later all is equal, and another look changes nothing."""
        self.sweep()
        self.check_equal()

    def sweep(self) -> None:
        """Everyone was read again, and every record and every parked row is right."""
        # further than the watch looks back for stamps: what is read now is read because nobody read it for so long
        self.pass_time(A_DAY_LATER + self.set_back)
        self.set_back, before = dt.timedelta(), self._refreshed()
        self.read_until_fresh()
        after = self._refreshed(links.linked(self.hospital))
        if unswept := [link for link, at in after.items() if at == before.get(link)]:
            raise HistoryFailed(f"{len(unswept)} persons were not read in a sweep.")
        derivation = self.derive()
        self._check_links(derivation)
        self._check_records(derivation.fate.records)
        self._check_parked(derivation)
        self.is_loud = abs(self.clock_there) < dt.timedelta(days=1)

    def check_persons(self, persons: list[int]) -> None:
        """What these persons' links show is what it must be, now."""
        derivation = self.derive()
        for link, records in self.visible():
            if link.person_id in persons:
                _compare(_by_key([(link, records)]), of_person(derivation, link.person_id)[0])
                self._check_left_behind(derivation, link, records)

    def look_again(self) -> None:
        """What the watch is made to see is here without the sweep."""
        if self.is_loud:
            self.read_until_fresh()
            derivation = self.derive()
            self._check_links(derivation)
            self._check_records(derivation.fate.records)

    def read_until_fresh(self) -> None:
        n_whole = 0
        while n_whole < RUNS_TO_SETTLE:
            run = self._run("sync")
            assert run is not None
            self.check_visible()
            if run.status == "busy":
                self.pass_time(claims.LEASE + MINUTE)
            elif run.error_kind in ("would_erase", "source_replaced"):
                self.accept(run)
            elif run.status != "ok" or run.message not in ("", pipeline.TOO_SLOW):
                raise HistoryFailed(f"A look failed: {run.status} {run.error_kind} {run.message}")
            else:
                n_whole += 1
                if not self._stale():
                    self.asked.clear()
                    return
            self.pass_time(MINUTE)
        raise HistoryFailed(f"{self._stale()} links are stale after {RUNS_TO_SETTLE} whole runs.")

    def _stale(self) -> int:
        return links.linked(self.hospital).filter(links.stale(self.hospital)).count()

    def check_equal(self) -> None:
        derivation = self.derive()
        self._check_withdrawn(derivation)
        receipt = receipts.receipt(hospital=self.hospital, verify=True, now=self.now)
        if receipt.total is None or (receipt.total.n_unexplained, receipt.total.n_pending) != (0, 0):
            raise HistoryFailed(f"The receipt does not add up: {receipt.total}")
        if receipt.excluded != _counted(derivation.fate.excluded.values()):
            raise HistoryFailed(
                f"Excluded: {receipt.excluded} instead of {_counted(derivation.fate.excluded.values())}"
            )
        again = self._run("full")
        assert again is not None
        if again.status != "ok" or not world.nothing_changed(again):
            raise HistoryFailed(f"Another look changed something: {again.status} {world.counts(again)}")
        # what is gone at the source stays where it was last, withdrawn; what it was when its link was taken away, too
        owners = derivation.owners()
        self.may_return = {one for one in self.once_true | self.may_return if one[:2] not in owners}
        self.once_true = self.true_now()
        self.check_visible()

    def _check_links(self, derivation: Derivation) -> None:
        found = {
            link.person_id: (link.state, link.patient_id if link.state == LinkState.LINKED else None)
            for link in links.current(self.hospital)
            if link.state != LinkState.ENDED
        }
        expected = {person: (match.state, match.patient) for person, match in derivation.matches.items()}
        for person in sorted(found.keys() | expected.keys()):
            have, want = found.get(person), expected.get(person)
            if have != want and not (want is None and have == ("unlinked", None)):
                raise HistoryFailed(f"Person {person} is {have}, and must be {want}.")

    def _check_records(self, expected: dict[Key, Row]) -> None:
        _compare(_by_key(self.visible()), expected)

    def _check_parked(self, derivation: Derivation) -> None:
        linked = links.linked(self.hospital).values_list("pk", flat=True)
        rows = ParkedRow.objects.filter(link_id__in=list(linked))
        found = {(row.table, row.source_id): row.reason for row in rows}
        if found != derivation.fate.parked:
            raise HistoryFailed(f"Parked: {found} instead of {derivation.fate.parked}")

    def _check_withdrawn(self, derivation: Derivation) -> None:
        """What is kept as withdrawn is dead or gone at the source, and was not carried to somebody else."""
        owners = derivation.owners()
        for link, records in self.visible():
            for table, source_id in [(one.table, one.source_id) for one in records if one.status != "current"]:
                is_there = source_id in derivation.tables.rows[table]
                if is_there and owners.get((table, source_id)) != link.patient_id:
                    raise HistoryFailed(f"Withdrawn {table} {source_id} stays with person {link.person_id}; it moved.")

    def _name(self, patient: UUID) -> str:
        return f"patient {list(self.holders).index(patient)}"


def current(records: Iterable[Record]) -> list[Record]:
    return [one for one in records if one.status == "current"]


def _by_key(seen: Iterable[Seen]) -> dict[Key, tuple[UUID, Record]]:
    """The current ones."""
    return {(one.table, one.source_id): (link.patient_id, one) for link, records in seen for one in current(records)}


def _compare(found: dict[Key, tuple[UUID, Record]], expected: dict[Key, Row]) -> None:
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or surplus:
        raise HistoryFailed(f"Missing: {missing}. Surplus: {surplus}.")
    for key, (patient, record) in found.items():
        want = expected[key]
        have = {name: getattr(record, name) for name in COMPARED} | {"patient": patient}
        have["part_of"] = _source_of(record.part_of)
        differing = {
            name: (have[name], want[name]) for name in (*COMPARED, "patient", "part_of") if have[name] != want[name]
        }
        if differing:
            raise HistoryFailed(f"{key} differs (ours, must be): {differing}")


def _counted(words: Any) -> dict[str, int]:
    counted: dict[str, int] = {}
    for word in sorted(words):
        counted[word] = counted.get(word, 0) + 1
    return counted


def _source_of(key: str | None) -> Key | None:
    return None if key is None else ({"o": "obs"}[key[6]], int(key[7:]))


def _is_conflict(error: Exception) -> bool:
    """Two of the hospital's transactions want one row: lock wait, deadlock, duplicate key."""
    return bool(error.args) and error.args[0] in (1205, 1213, 1020, 1062)


@contextmanager
def _undone() -> Iterator[None]:
    """What is written to our store in the block is not there afterwards.

    Inside, each transaction of the engine is a savepoint, those too that Django would join to the one around them: a
    worker that is killed in the middle of it leaves nothing of it.
    """
    enter = transaction.Atomic.__enter__

    def enter_with_savepoint(block: transaction.Atomic) -> None:
        block.savepoint = True
        enter(block)

    with transaction.atomic(), mock.patch.object(transaction.Atomic, "__enter__", enter_with_savepoint):
        yield
        transaction.set_rollback(True)


@contextmanager
def _equal_uuids() -> Iterator[None]:
    """The same steps make the same uuids, so that a history can be told again."""
    chance = random.Random("uuids")
    with mock.patch.object(uuid, "os") as os:
        os.urandom = chance.randbytes
        yield


@contextmanager
def _equal_times() -> Iterator[None]:
    """A run takes as long as it has steps, however laden this machine is: a lease ends at the same step each time."""
    ticks = itertools.count()
    with mock.patch.object(claims, "time") as time:
        time.monotonic = lambda: next(ticks) / 1000
        yield


@contextmanager
def _as_another_worker(hospital: Hospital) -> Iterator[None]:
    """This thread has the hospital open already; another process would not know."""
    alias = f"hospital-{hospital.pk}"
    mine = getattr(connections._connections, alias, None)
    if mine is not None:
        del connections[alias]
    try:
        yield
    finally:
        if mine is not None:
            connections[alias] = mine
