"""Snapshot: everything of a batch is one moment of the source, and nobody there waits for it longer than its limit."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import MySQLdb
import pytest

import hospitals.queries
from hospitals import connections, faults, moments
from hospitals.connections import Source
from hospitals.errors import HospitalMisconfigured, SnapshotTooLong
from openmrs_sync import pace, pipeline, queries, reader, refresh, writer
from openmrs_sync.dictionaries import Names
from openmrs_sync.models import Breaker
from tests.integration import world
from tests.rules.ward import ALICE, BOB, CAROL, Rule, Ward, once

pytestmark = pytest.mark.django_db

#: So many statements take longer than any snapshot may.
TOO_MANY = 10**9


def hand_over_in_mid_read(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice's rows are read; then the hospital moves her weight to Bob, as 2.x does; then Bob's rows are read."""
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    weight = ward.pretend.add_obs(alice, "weight", 60.0)
    monkeypatch.setattr(queries, "MAX_IN", 1)  # one statement a person, as with more persons than fit into one
    read_batch = reader.read_batch

    def in_order(*arguments: Any, person_ids: Any, **options: Any) -> Any:
        return read_batch(*arguments, person_ids=sorted(person_ids), **options)

    monkeypatch.setattr(reader, "read_batch", in_order)
    fetch, done = Source.fetch, []

    def fetch_then_move(source: Source, sql: str, params: Any = ()) -> Any:
        rows = fetch(source, sql, params)
        if not done and "`value_numeric`" in sql:
            done.append(True)
            with ward.pretend.atomic():
                ward.pretend.add_obs(bob, "weight", 60.0, previous_version=weight)
                ward.pretend.void("obs", weight)
        return rows

    monkeypatch.setattr(Source, "fetch", fetch_then_move)
    assert ward.try_to_sync(deep=False) == "ok"
    assert done


def alter_obs(ward: Ward) -> str:
    """Whether the hospital may alter `obs` now: `at once`, or the error of who waited for a second."""
    with contextlib.closing(ward.pretend.server.connect(ward.pretend.database, autocommit=True)) as hospital:
        cursor = hospital.cursor()
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        try:
            cursor.execute("ALTER TABLE obs COMMENT 'while they are busy'")
        except MySQLdb.OperationalError as error:
            return f"error {error.args[0]}"
        return "at once"


def test_a_batch_is_read_in_one_snapshot(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T81: without, the weight is in both histories: Alice's as it was, Bob's as it is now."""
    rule.instead(Source, "snapshot", lambda _source: contextlib.nullcontext())
    hand_over_in_mid_read(ward, monkeypatch)
    found = {"alice": ward.seen_by(ALICE), "bob": ward.seen_by(BOB)}
    rule.ends(found, kept={"alice": ["60"], "bob": []}, taken_out={"alice": ["60"], "bob": ["60"]})


@pytest.mark.slow
def test_the_snapshot_is_taken_under_repeatable_read(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T81: under READ COMMITTED, Django's default, the very same statement gives no snapshot."""
    read_committed = hospitals.queries.REPEATABLE_READ.replace("REPEATABLE READ", "READ COMMITTED")
    rule.instead(hospitals.queries, "REPEATABLE_READ", read_committed)
    hand_over_in_mid_read(ward, monkeypatch)
    found = {"alice": ward.seen_by(ALICE), "bob": ward.seen_by(BOB)}
    rule.ends(found, kept={"alice": ["60"], "bob": []}, taken_out={"alice": ["60"], "bob": ["60"]})


@pytest.mark.slow
def test_the_snapshot_is_closed_before_we_write(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T89: the hospital alters a table while we write."""

    @contextlib.contextmanager
    def never_closed(source: Source) -> Iterator[None]:
        source.fetch(hospitals.queries.START_SNAPSHOT)
        yield

    rule.instead(Source, "snapshot", never_closed)
    ward.see(ward.add_holder(ALICE), 60)
    altered: list[str] = []

    once(monkeypatch, writer, "compare", lambda: altered.append(alter_obs(ward)))
    ward.look()
    rule.ends(altered, kept=["at once"], taken_out=["error 1205"])


@pytest.mark.slow
def test_batches_are_planned_by_rows_and_a_giant_goes_alone(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45: how long a snapshot lasts is how much is read in it."""

    def all_at_once(*_: Any, person_ids: Any, **__: Any) -> list[list[int]]:
        return [list(person_ids)]

    rule.instead(reader, "plan", all_at_once)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 12)
    first, giant, last, another = (ward.add_holder(number) for number in (ALICE, BOB, CAROL, "1196660011223344"))
    for person in (first, last, another):
        ward.see(person, 60, 61)
    ward.see(giant, *range(40, 60))
    snapshots: list[list[int]] = []
    read_batch = reader.read_batch

    def noted(*arguments: Any, person_ids: Any, **options: Any) -> Any:
        snapshots.append(sorted(person_ids))
        return read_batch(*arguments, person_ids=person_ids, **options)

    monkeypatch.setattr(reader, "read_batch", noted)
    ward.look()
    rule.ends(
        snapshots,
        kept=[[first], [giant], [last, another]],
        taken_out=[[first, giant, last, another]],
    )


@pytest.mark.slow
def test_we_do_not_queue_behind_the_hospitals_own_locks(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T89: a statement of ours that waits for an ALTER gives up after five seconds; the server's own default is a
    day."""
    rule.instead(hospitals.queries, "SESSION", "SET SESSION sql_mode = ''")
    with connections.open_hospital(ward.hospital) as source:
        ((seconds,),) = source.fetch("SELECT @@lock_wait_timeout")
    rule.ends(int(seconds), kept=5, taken_out=86_400)


@pytest.mark.slow
def test_a_table_that_is_altered_under_our_snapshot_is_no_fault_of_anybody(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T89: error 1412 is transient: the next tick tries again, instead of stopping the hospital for an hour."""
    fault_from_code = faults.fault_from_code

    def as_an_error(code: int, text: str) -> Any:
        return HospitalMisconfigured("Stop.") if code == 1412 else fault_from_code(code, text)

    rule.instead(connections, "fault_from_code", as_an_error)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    read_identity = reader.read_identity

    def alter_then_read(*arguments: Any, **options: Any) -> Any:
        found = read_identity(*arguments, **options)
        # a table that this snapshot has not touched yet: the ALTER would wait for the others
        ward.pretend.execute("ALTER TABLE visit FORCE, ALGORITHM = COPY")
        return found

    ward.look()
    ward.mark(person)
    monkeypatch.setattr(reader, "read_identity", alter_then_read)
    assert ward.try_to_sync(deep=False) == ("unreachable" if rule.is_kept else "misconfigured")
    rule.ends(Breaker.objects.get().state, kept=Breaker.State.CLOSED, taken_out=Breaker.State.OPEN)


def when_first_obs_are_read(monkeypatch: pytest.MonkeyPatch, then: Any) -> None:
    fetch, done = Source.fetch, []

    def fetch_then(source: Source, sql: str, params: Any = ()) -> Any:
        rows = fetch(source, sql, params)
        if not done and "`value_numeric`" in sql:
            done.append(True)
            then()
        return rows

    monkeypatch.setattr(Source, "fetch", fetch_then)


@pytest.mark.slow
def test_a_slow_server_is_asked_for_less_at_once(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T45, T89: slow is who needs longer than nothing. The second batch was read ahead, as it had been planned."""
    rule.instead(pace.Tempo, "note", lambda *_, **__: None)
    monkeypatch.setattr(pace, "SNAPSHOT_SECONDS", 0.0)
    monkeypatch.setattr(pace, "FEWEST_ROWS", 1)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 8)
    numbers = [f"11{n}806500112233" for n in range(10, 20)]
    people = [ward.add_holder(number) for number in numbers]
    for person in people:
        ward.see(person, 60, 61)
    snapshots: list[int] = []
    read_batch = reader.read_batch

    def noted(*arguments: Any, person_ids: Any, **options: Any) -> Any:
        snapshots.append(len(person_ids))
        return read_batch(*arguments, person_ids=person_ids, **options)

    monkeypatch.setattr(reader, "read_batch", noted)
    ward.look()
    rule.ends(snapshots, kept=[2, 2, 1, 1, 1, 1, 1, 1], taken_out=[2, 2, 2, 2, 2])
    assert [ward.seen_by(number) for number in numbers] == [["60", "61"]] * 10


@pytest.mark.slow
@pytest.mark.parametrize("n_statements", [reader.N_STATEMENTS, TOO_MANY], ids=["in a snapshot", "without"])
def test_what_changed_between_the_legs_of_a_giant_is_read_again(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch, n_statements: int
) -> None:
    """T45, T81: each leg is a moment of its own, and all that is kept is of one moment."""
    monkeypatch.setattr(reader, "N_STATEMENTS", n_statements)

    def unlooked(_fetch: Any, _schema: Any, legs: list[reader.Leg], **_person: Any) -> Any:
        return [row for leg in legs for row in leg.rows]

    rule.instead(reader, "_join_legs", unlooked)
    monkeypatch.setattr(refresh, "LEG_ROWS", 4)
    giant, other = ward.add_holder(ALICE), ward.add_holder(BOB)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 8)
    edited, voided, deleted, moved, *_ = ward.see(giant, *range(50, 60))

    def change() -> None:
        ward.pretend.update("obs", edited, value_numeric=80.0)  # in place, as 1.x does
        ward.pretend.update("obs", voided, voided=1)
        ward.pretend.delete("obs", deleted)
        ward.pretend.update("obs", moved, person_id=other, encounter_id=None)
        ward.pretend.add_obs(giant, "weight", 81.0)

    when_first_obs_are_read(monkeypatch, change)
    ward.try_to_sync(deep=False)
    rule.ends(
        sorted(ward.seen_by(ALICE)),
        kept=["54", "55", "56", "57", "58", "59", "80", "81"],
        taken_out=["50", "51", "52", "54", "55", "56", "57", "58", "59", "81"],  # one wrong, one voided, one deleted
    )
    if rule.is_kept:
        assert ward.seen_by(BOB) == ["53"]


@pytest.mark.slow
def test_a_giant_is_read_in_legs_and_locks_nobody_out_between_them(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: the hospital alters `obs` while the largest of its patients is read."""
    rule.instead(reader, "read_legs", lambda *_, **__: [])
    monkeypatch.setattr(refresh, "LEG_ROWS", 4)
    ward.see(ward.add_holder(ALICE), *range(50, 60))
    altered: list[str] = []

    when_first_obs_are_read(monkeypatch, lambda: altered.append(alter_obs(ward)))
    ward.look()
    rule.ends(altered, kept=["at once"], taken_out=["error 1205"])
    assert ward.seen_by(ALICE) == [str(weight) for weight in range(50, 60)]


@pytest.mark.slow
def test_what_a_snapshot_is_too_short_for_is_read_all_the_same(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: each answer takes a tenth of a second, and a snapshot may be open for eight of them."""
    rule.instead(refresh, "at_one_moment", in_a_snapshot)
    monkeypatch.setattr(connections, "SNAPSHOT_LIMIT", 0.8)
    fetch, slow = Source.fetch, []

    def slowly(source: Source, sql: str, params: Any = ()) -> Any:
        if source._in_snapshot:
            slow.append(sql)
            time.sleep(0.1)
        return fetch(source, sql, params)

    monkeypatch.setattr(Source, "fetch", slowly)
    ward.see(ward.add_holder(ALICE), 60)
    found = ward.try_to_sync(deep=False)
    rule.ends(found, kept="ok", taken_out="unreachable")
    assert 2 <= len(slow) <= 8
    assert ward.seen_by(ALICE) == (["60"] if rule.is_kept else [])


def in_a_snapshot(source: Source, read: Callable[[], Any], **_options: Any) -> Any:
    """Or not at all."""
    with source.snapshot():
        return read()


@pytest.fixture
def no_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """No source is fast enough for one."""
    monkeypatch.setattr(reader, "N_STATEMENTS", TOO_MANY)


@pytest.mark.slow
@pytest.mark.usefixtures("no_snapshots")
def test_what_is_read_without_a_snapshot_is_read_until_it_is_twice_the_same(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T81: once, the weight is in both histories: Alice's as it was, Bob's as it is now."""
    rule.instead(moments, "_read_twice", lambda _source, read, **_options: read())
    hand_over_in_mid_read(ward, monkeypatch)
    found = {"alice": ward.seen_by(ALICE), "bob": ward.seen_by(BOB)}
    rule.ends(found, kept={"alice": [], "bob": ["60"]}, taken_out={"alice": ["60"], "bob": ["60"]})


@pytest.mark.slow
@pytest.mark.usefixtures("no_snapshots")
def test_nobody_waits_for_what_is_read_without_a_snapshot(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: the hospital alters `obs` as soon as it was read, and much else is still to be."""
    rule.instead(refresh, "at_one_moment", in_a_snapshot)
    ward.see(ward.add_holder(ALICE), 60)
    altered: list[str] = []
    when_first_obs_are_read(monkeypatch, lambda: altered.append(alter_obs(ward)))
    ward.try_to_sync(deep=False)
    rule.ends(altered, kept=["at once"], taken_out=["error 1205"])


@pytest.mark.slow
@pytest.mark.usefixtures("no_snapshots")
def test_who_is_changed_all_the_while_waits_and_the_others_go_on(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T81: no two times are the same, so there is no moment of hers to show."""
    rule.instead(pipeline, "NeverTheSame", ZeroDivisionError)
    alice, bob, carol = (ward.add_holder(number) for number in (ALICE, BOB, CAROL))
    weight, *_ = ward.see(alice, 60)
    ward.see(bob, 70)
    ward.see(carol, 80)
    fetch, weights = Source.fetch, itertools.count(61)

    def fetch_then_change(source: Source, sql: str, params: Any = ()) -> Any:
        rows = fetch(source, sql, params)
        if "`value_numeric`" in sql and any(row[0] == weight for row in rows):
            ward.change_quietly(weight, value_numeric=float(next(weights)))
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Source, "fetch", fetch_then_change)
        run = world.sync(ward.hospital, deep=False)
    found = [ward.seen_by(number) for number in (ALICE, BOB, CAROL)]
    rule.ends(found, kept=[[], ["70"], ["80"]], taken_out=[[], [], []])
    if rule.is_kept:
        assert (run.status, ward.link(alice).n_failures) == ("ok", 1)
        assert run.message.startswith("1 persons could not be read; they are tried again by themselves. Somebody was")
        ward.try_to_sync(deep=False)
        assert ward.seen_by(ALICE) == [f"{next(weights) - 1}"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_snapshots")
def test_names_are_asked_for_each_time_that_the_rows_are(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T82: the concept is renamed between the two times."""
    rule.instead(Names, "as_known_now", lambda _names: lambda: None)
    ward.see(ward.add_holder(ALICE), 60)

    def rename() -> None:
        ward.pretend.execute(
            "UPDATE concept_name SET name = %s WHERE concept_id = %s AND locale = 'en'",
            ("Mass", ward.pretend.concept("weight")),
        )

    before = ward.pretend.execute(
        "SELECT concept_name_id, name FROM concept_name WHERE concept_id = %s", (ward.pretend.concept("weight"),)
    )
    once(monkeypatch, Names, "prepare", rename)
    try:
        ward.try_to_sync(deep=False)
    finally:
        for name_id, name in before:
            ward.pretend.update("concept_name", name_id, name=name)
    (name,) = {record.concept for (table, _), record in world.shown(ward.hospital).items() if table == "obs"}
    rule.ends(name == "Mass", kept=True, taken_out=False)


@pytest.mark.slow
def test_a_source_that_is_too_slow_once_is_not_tried_again(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45, T89: a run with many batches opens one snapshot in vain, and not one for each."""
    rule.instead(pace.Tempo, "is_least", False)
    monkeypatch.setattr(pace, "FEWEST_ROWS", 500)
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 4)
    opened: list[float] = []

    @contextlib.contextmanager
    def never_long_enough(_source: Source) -> Iterator[None]:
        opened.append(0.0)
        raise SnapshotTooLong
        yield

    monkeypatch.setattr(Source, "snapshot", never_long_enough)
    for number in (ALICE, BOB, CAROL):
        ward.see(ward.add_holder(number), 60)
    ward.try_to_sync(deep=False)
    rule.ends(len(opened), kept=1, taken_out=3)
    assert [ward.seen_by(number) for number in (ALICE, BOB, CAROL)] == [["60"]] * 3
