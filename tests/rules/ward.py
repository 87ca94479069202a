"""One hospital with its passport, and a rule of the engine that is kept or taken out.

A test of a rule runs twice. Once the rule is in force and what is shown is right. Once it is taken out: replaced by
what a simpler engine would do, and the very same events must end wrong, in the way that is written in the test.
So each test proves that it can fail.
"""

import datetime as dt
import inspect
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import links
from openmrs_sync.models import SyncRun
from openmrs_sync.stores import record_store
from openmrs_sync.stores.relational import RelationalStore
from passport import history
from passport.models import Link, Patient, User
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.hospital import PretendHospital
from tests.records import own_scope

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"
LONG_AGO = dt.datetime(2024, 3, 1, 10, 0)
#: What people leave behind at a hospital, children first.
LIVES = (
    *("allergy_reaction", "allergy", "encounter_diagnosis", "conditions", "drug_order", "test_order", "orders", "obs"),
    *("encounter_provider", "encounter", "visit", "person_merge_log", "patient_identifier", "patient"),
)


class Rule:
    """Kept or taken out. A test names what it replaces, plays its events, and says how both end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self._monkeypatch = monkeypatch
        self._is_named = self._is_judged = False

    def instead(self, owner: Any, name: str, naive: Any) -> None:
        """What an engine without this rule has in place of `owner.name`."""
        assert hasattr(owner, name), name
        self._is_named = True
        if not self.is_kept:
            self._monkeypatch.setattr(owner, name, naive)

    def reworded(self, owner: Any, name: str, *changes: tuple[str, str]) -> None:
        """The same function with a few words changed: for a rule that is a word in the middle of something else."""
        self._is_named = True
        if self.is_kept:
            return
        function = getattr(owner, name)
        text = textwrap.dedent(inspect.getsource(function))
        for old, new in changes:
            assert text.count(old) == 1, f"{name} no longer has: {old}"
            text = text.replace(old, new)
        made: dict[str, Any] = {}
        scope = inspect.unwrap(function).__globals__
        exec(compile(text, f"<{name} without its rule>", "exec"), scope, made)  # noqa: S102 - our own text
        self.instead(owner, name, made[name])

    def store_under_locks(self) -> type[RelationalStore]:
        """The store of this run, for a rule that needs its lock. Skips where no transaction reaches over both stores:
        there the rule is kept by lines of that store, which `tests/mutants` breaks.
        """
        store = type(record_store())
        if not issubclass(store, RelationalStore):
            self._is_named = self._is_judged = True
            pytest.skip("a rule of the stores that write under the claim's lock")
        return store

    def ends(self, found: object, *, kept: object, taken_out: object) -> None:
        """Compare what came of it. `taken_out`: how it goes wrong without the rule."""
        assert kept != taken_out
        self._is_judged = True
        expected = kept if self.is_kept else taken_out
        assert found == expected, f"{found!r} is not {expected!r}"

    def is_proved(self) -> bool:
        return self._is_named and self._is_judged


class Ward(Site):
    """A site whose database is used again: emptied of people, not made anew."""

    def see(self, person: int, *weights: float, encounter: int | None = None) -> list[int]:
        """An encounter with these weights: the ids of the obs."""
        encounter = encounter or self.pretend.add_encounter(person)
        with self.pretend.bulk():
            return [self.pretend.add_obs(person, "weight", weight, encounter=encounter) for weight in weights]

    def look(self, **options: Any) -> SyncRun:
        """A tick without the deep look."""
        return world.synced(self.hospital, deep=False, **options)

    def try_to_sync(self, **options: Any) -> str:
        """What came of a run: ok, or the kind of its failure."""
        run = world.sync(self.hospital, **options)
        return str(run.error_kind or run.status)

    def change_quietly(self, obs: int, **columns: Any) -> None:
        """As 1.x and plain SQL do: nothing moves but the value itself."""
        self.pretend.update("obs", obs, **columns)

    def link(self, person: int) -> Link:
        return world.link_of(self.hospital, person)

    def mark(self, *persons: int) -> None:
        links.mark_persons(hospital=self.hospital, person_ids=persons, now=timezone.now())

    def read_person(self, person: int) -> None:
        """Read this one and nobody else, as `sync-patient` does, but without a look before."""
        from openmrs_sync import claims, pipeline

        run = SyncRun.objects.create(hospital=self.hospital, trigger="api", status="running", started_at=timezone.now())
        self.mark(person)
        wanted = [self.link(person).pk]

        def work(session: Any, counts: Any) -> None:
            pipeline._refresh_all(session, counts, link_ids=wanted, until=None)

        assert pipeline._attempt(run, work, clock=claims.Clock.at(timezone.now()), end_by=math.inf).status == "ok"

    def seen_by(self, national_id: str) -> list[str]:
        """The weights that this patient finds in their history."""
        found = history.records_page(scope=own_scope(patient(national_id)), limit=100).results
        return sorted(view.value for view in found if view.source.table == "obs")


def patient(national_id: str) -> Patient:
    return Patient.objects.get(identifiers__number=national_id)


def admin() -> User:
    return User.objects.get_or_create(username="ada", defaults={"role": "admin"})[0]


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, event: Any) -> None:
    """Let this happen right after the first call of `owner.name`."""
    call, done = getattr(owner, name), []

    def call_then(*arguments: Any, **options: Any) -> Any:
        found = call(*arguments, **options)
        if not done:
            done.append(True)
            event()
        return found

    monkeypatch.setattr(owner, name, call_then)


def empty(pretend: PretendHospital, staff: Sequence[int]) -> None:
    """Nobody was ever here but the staff. Ids go on where they were."""
    pretend.execute("SET foreign_key_checks = 0")
    for table in LIVES:
        if pretend.has(table):
            pretend.execute(f"DELETE FROM {table}")
    kept = ", ".join(map(str, staff))
    for table in ("person_name", "person"):
        pretend.execute(f"DELETE FROM {table} WHERE person_id NOT IN ({kept})")


def open_ward(pretend: PretendHospital, staff: Sequence[int], *, number: int = 1) -> Ward:
    empty(pretend, staff)
    return Ward(pretend, world.live_hospital(pretend.server, pretend.database, number=number))


def again(ward: Ward, database: str) -> PretendHospital:
    """Another database with the same ids under other uuids, but for the identifier type's."""
    other = PretendHospital(ward.pretend.server, database, "2.6", seed="another").create()
    uuid = ward.pretend.national_id_type_uuid
    other.execute("UPDATE patient_identifier_type SET uuid = %s WHERE name = 'National ID'", (uuid,))
    other.server.grant_reader(world.READER, world.PASSWORD, database)
    return other


def point_to(ward: Ward, database: str) -> None:
    Hospital.objects.filter(pk=ward.hospital.pk).update(database=database)
