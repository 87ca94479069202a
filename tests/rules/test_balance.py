"""Balance: what we lose ourselves is noticed, said, and read again."""

import datetime as dt
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from openmrs_sync import balance, reader, receipts
from openmrs_sync.stores import record_store
from passport.models import Link, Record
from tests.integration import world
from tests.rules.ward import ALICE, Rule, Ward

pytestmark = pytest.mark.django_db


def lose_a_row_in_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the reader: the first obs of a batch is dropped."""
    read_batch = reader.read_batch

    def forgetful(*arguments: Any, **options: Any) -> Any:
        batch = read_batch(*arguments, **options)
        del batch.obs[0]
        return batch

    monkeypatch.setattr(reader, "read_batch", forgetful)


def lose_a_row_in_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the store: the first record of a write does not arrive."""
    store_class = type(record_store())
    upsert = store_class.upsert
    monkeypatch.setattr(store_class, "upsert", lambda store, records, **how: upsert(store, records[1:], **how))


def n_unexplained() -> int:
    return Link.objects.get().n_unexplained


def test_the_source_counts_its_own_rows(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T39: a sum over what we made of the rows is always right."""
    draw = balance.draw

    def of_what_was_made(*, rendered: Any, counts: Any, **more: Any) -> Any:
        made: dict[str, Counter[int]] = {table: Counter() for table in counts}
        for person in rendered:
            for row in (*person.records, *person.parked, *person.excluded):
                made[row.table][person.person_id] += 1
        return draw(rendered=rendered, counts=made, **more)

    rule.instead(balance, "draw", of_what_was_made)
    ward.see(ward.add_holder(ALICE), 60, 61)
    lose_a_row_in_reading(monkeypatch)
    ward.sync()
    assert len(ward.values()) == 1
    rule.ends(n_unexplained(), kept=1, taken_out=0)


@pytest.mark.slow
def test_what_is_stored_is_counted_in_the_store_after_writing(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T39: what was sent is not what is there."""
    tables = balance._tables

    def as_sent(person: Any, *, counts: Any, stored: Any) -> Any:
        return tables(person, counts=counts, stored=Counter(row.table for row in person.records))

    rule.instead(balance, "_tables", as_sent)
    ward.see(ward.add_holder(ALICE), 60, 61)
    lose_a_row_in_writing(monkeypatch)
    ward.sync()
    assert len(world.shown(ward.hospital)) == 2
    rule.ends(n_unexplained(), kept=1, taken_out=0)


@pytest.mark.slow
def test_a_withdrawn_record_does_not_count_as_stored(ward: Ward, rule: Rule) -> None:
    """T39: it would make up for one that is missing."""
    rule.reworded(
        rule.store_under_locks(),
        "count_current",
        (" AND status = %s GROUP BY", " GROUP BY"),
        ("[*link_of, CURRENT]", "[*link_of]"),
    )
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.void_obs(weights[0])
    ward.sync()
    rule.ends(n_unexplained(), kept=0, taken_out=-1)


@pytest.mark.slow
def test_voided_rows_are_counted_at_the_source_too(ward: Ward, rule: Rule) -> None:
    """A row that is left out must stand in the balance as left out, with its reason."""
    read_fingerprints = reader.read_fingerprints

    def live_ones(fetch: Any, schema: Any, *, table: str, person_ids: Any) -> Any:
        found = read_fingerprints(fetch, schema, table=table, person_ids=person_ids)
        voided = Counter(ward.pretend.execute("SELECT person_id FROM obs WHERE voided = 1")) if table == "obs" else {}
        return {person: (n - voided.get((person,), 0), *more) for person, (n, *more) in found.items()}

    rule.instead(reader, "read_fingerprints", live_ones)
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.pretend.void_obs(weights[0])
    ward.sync()
    rule.ends(n_unexplained(), kept=0, taken_out=-1)


@pytest.mark.slow
def test_a_difference_keeps_the_link_due_after_a_pause(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T39: it heals by itself, and not only at the sweep."""
    rule.reworded(balance, "finish", ("each.link.marks if is_even else each.link.marks - 1", "each.link.marks"))
    ward.see(ward.add_holder(ALICE), 60, 61)
    now = timezone.now()
    with monkeypatch.context() as patch:
        lose_a_row_in_writing(patch)
        ward.look(now=now)
    at_once = now + dt.timedelta(minutes=1)
    ward.look(trigger="schedule", now=at_once)
    assert len(world.shown(ward.hospital)) == 2, "not before its time"
    ward.look(trigger="schedule", now=now + balance.RETRY_AFTER + dt.timedelta(minutes=1))
    rule.ends(len(world.shown(ward.hospital)), kept=3, taken_out=2)


@pytest.mark.slow
def test_verify_counts_both_sides_afresh(ward: Ward, rule: Rule) -> None:
    """T39: a record is deleted by hand."""

    def by_the_last_balances(hospital: Any, counts: Any) -> Any:
        return SimpleNamespace(persons=receipts._sum_balances(hospital, counts))

    rule.instead(receipts, "_count_afresh", by_the_last_balances)
    ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    Record.objects.filter(table="obs", value="60").delete()
    total = world.verified(ward.hospital).total
    assert total is not None
    rule.ends(total.n_unexplained, kept=1, taken_out=0)


@pytest.mark.slow
def test_verify_compares_sets_of_ids_and_not_only_counts(ward: Ward, rule: Rule) -> None:
    """T93: a record of a row that is not there, in place of one that is."""
    rule.reworded(receipts, "_is_even", ("return here == sum_ids(rows.live)", "return here.n == sum_ids(rows.live).n"))
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    Record.objects.filter(table="obs").update(source_id=weight + 1)
    total = world.verified(ward.hospital).total
    assert total is not None
    rule.ends(total.n_unexplained, kept=2, taken_out=0)


@pytest.mark.slow
def test_verify_looks_at_a_difference_once_more(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync may write between the counting of the two sides: only what differs again is unexplained."""
    ask = receipts._ask
    asked: list[Any] = []

    def ask_then_sync(found: Any, mine: Any) -> Any:
        first = not asked
        counted = ask(found, mine) if first or rule.is_kept else asked[0]
        asked.append(counted)
        if first:
            Record.objects.filter(table="obs", value="60").delete()  # as a sync does whose look saw the purge
            ward.pretend.execute("DELETE FROM obs WHERE value_numeric = 60")
        return counted

    rule.instead(receipts, "_ask", receipts._ask)
    monkeypatch.setattr(receipts, "_ask", ask_then_sync)
    ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    total = world.verified(ward.hospital).total
    assert total is not None
    rule.ends(total.n_unexplained, kept=0, taken_out=1)
