"""Equal-making: our records of a person are what the source's rows render to, no more, no less, no older."""

import hashlib
from typing import Any

import pytest
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import balance, pipeline, queries, reader, refresh, writer
from openmrs_sync import session as sessions
from openmrs_sync.enricher import context, statements
from openmrs_sync.models import ParkedRow
from openmrs_sync.stores import record_store
from passport.models import Record
from tests.integration import world
from tests.rules.ward import ALICE, BOB, Rule, Ward

pytestmark = pytest.mark.django_db


def test_the_digest_covers_the_rendered_record(ward: Ward, rule: Rule) -> None:
    """T85: a concept is renamed; not a column of the row itself has changed."""
    digest_of = writer.digest_of

    def of_the_source_row(row: Any, salted: Any) -> int:
        own = row._replace(concept="", category="", unit="", low=None, high=None, flag=None, order_at=0, location="")
        return digest_of(own, salted)

    rule.instead(writer, "digest_of", of_the_source_row)
    ward.pretend.rename_concept("weight", "Weight", in_place=True)
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.pretend.rename_concept("weight", "Body mass", in_place=True)
    ward.sync(full=True)
    rule.ends(Record.objects.get(table="obs").concept, kept="Body mass", taken_out="Weight")


@pytest.mark.slow
def test_the_digest_covers_whose_record_it_is(ward: Ward, rule: Rule) -> None:
    """T85: the number is corrected to Bob's: the same link, the same rows, another patient."""
    rule.store_under_locks()
    rule.instead(writer, "salted_by", lambda _patient_id: hashlib.blake2b(digest_size=8))
    world.register(BOB)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    (identifier,) = ward.pretend.identifiers_of(person)
    ward.pretend.change_identifier(identifier, BOB)
    ward.look()
    rule.ends(ward.seen_by(BOB), kept=["60"], taken_out=[])


@pytest.mark.slow
def test_a_record_that_was_withdrawn_is_not_taken_for_equal(ward: Ward, rule: Rule) -> None:
    """T20, T85: voided, read, un-voided: the row is again what it was, to the last byte."""
    rule.reworded(writer, "compare", ("elif known == (digest, link_id, True):", "elif known.digest == digest:"))
    rule.reworded(rule.store_under_locks(), "withdraw", ("_reason = %s, digest = 0,", "_reason = %s,"))
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.pretend.void_obs(weight)
    ward.sync()
    ward.pretend.unvoid_obs(weight)
    ward.sync()
    rule.ends(ward.values(), kept={weight: "60"}, taken_out={})


def test_what_is_gone_at_the_source_is_withdrawn(ward: Ward, rule: Rule) -> None:
    """T24: an engine that only adds and updates shows the purged row for ever."""
    rule.instead(refresh, "_lose", lambda *_, **__: None)
    first, second = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.purge_obs(first)
    ward.sync()
    rule.ends(ward.values(), kept={second: "61"}, taken_out={first: "60", second: "61"})


@pytest.mark.slow
def test_what_is_voided_at_the_source_is_withdrawn(ward: Ward, rule: Rule) -> None:
    """T19"""
    rule.reworded(
        writer,
        "compare",
        ("for left_out in (*person.excluded, *person.parked) if stored else ():", "for left_out in person.parked:"),
    )
    first, second = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.void_obs(first)
    ward.sync()
    rule.ends(ward.values(), kept={second: "61"}, taken_out={first: "60", second: "61"})


@pytest.mark.slow
def test_a_record_whose_row_is_now_parked_is_withdrawn(ward: Ward, rule: Rule) -> None:
    """The value was deleted at the hospital: we must not go on showing it."""
    rule.reworded(writer, "compare", ("(*person.excluded, *person.parked) if stored", "person.excluded if stored"))
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)
    ward.sync()
    ward.change_quietly(weight, value_numeric=None)
    ward.sync(full=True)
    rule.ends(ward.values(), kept={}, taken_out={weight: "60"})


@pytest.mark.slow
def test_parked_rows_are_replaced_and_not_only_added(ward: Ward, rule: Rule) -> None:
    """T11: a row that got its value is no longer in the list of what could not be shown."""
    rule.reworded(
        balance,
        "_replace_parked",
        ("ParkedRow.objects.filter(pk__in=ended).delete()", "ended.clear()"),
    )
    weight = ward.pretend.add_obs(ward.add_holder(ALICE), "weight")
    ward.sync()
    ward.change_quietly(weight, value_numeric=60)
    ward.sync(full=True)
    total = world.verified(ward.hospital).total
    assert total is not None
    found = (ParkedRow.objects.count(), total.n_unexplained)
    rule.ends(found, kept=(0, 0), taken_out=(1, 1))


@pytest.mark.slow
def test_parked_rows_are_replaced_together_with_the_mark(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T7, T11, T31: killed between the two, a row would be in neither list, and nobody would come back for it."""
    parked = "    _replace_parked(balances=balances, rendered=rendered, claim=claim, now=read_at)\n"
    rule.reworded(
        balance,
        "finish",
        (f"    {parked}", ""),
        ("            cursor.executemany(_FRESH, rows)\n", f"            cursor.executemany(_FRESH, rows)\n{parked}"),
    )
    weight = ward.pretend.add_obs(ward.add_holder(ALICE), "weight")
    with monkeypatch.context() as patch:

        def killed(**_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(balance, "_replace_parked", killed)
        with pytest.raises(KeyboardInterrupt):
            world.sync(ward.hospital)
    ward.look()
    found = list(ParkedRow.objects.values_list("source_id", flat=True))
    rule.ends(found, kept=[weight], taken_out=[])


@pytest.mark.slow
def test_only_differences_are_written(ward: Ward, rule: Rule) -> None:
    """Read again and nothing has changed: not a record is touched."""
    rule.reworded(writer, "compare", ("elif known == (digest, link_id, True):", "elif False:"))
    ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    run = ward.look(full=True)
    rule.ends((run.n_updated, run.n_unchanged), kept=(0, 3), taken_out=(3, 0))


@pytest.mark.slow
def test_a_transaction_has_at_most_so_many_rows(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web waits behind each of them."""
    monkeypatch.setattr(writer, "ROWS", 4)
    rule.reworded(writer, "write", ("for part in chunks(changes.upserts, ROWS):", "for part in [changes.upserts]:"))
    sizes: list[int] = []
    store_class = type(record_store())
    upsert = store_class.upsert

    def noted(store: Any, records: Any, **how: Any) -> None:
        sizes.append(len(records))
        upsert(store, records, **how)

    monkeypatch.setattr(store_class, "upsert", noted)
    ward.see(ward.add_holder(ALICE), *range(50, 59))
    ward.sync()
    rule.ends(sizes, kept=[4, 4, 2], taken_out=[10])


class NumberlessKeys(writer.Keys):
    def __init__(self, *, number: int, epoch: int) -> None:
        super().__init__(number=0, epoch=epoch)


class TimelessKeys(writer.Keys):
    def __init__(self, *, number: int, epoch: int) -> None:
        super().__init__(number=number, epoch=1)


@pytest.mark.slow
def test_a_hundredth_epoch_has_keys_of_the_same_length(ward: Ward, rule: Rule) -> None:
    """T32: each replaced source is an epoch, and a test hospital may see a hundred of them."""
    rule.instead(writer, "key_prefix", lambda *, number, epoch: f"{number:04d}{epoch:02d}")
    Hospital.objects.filter(pk=ward.hospital.pk).update(epoch=100)
    (weight, gone) = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.purge_obs(gone)
    ended = ward.try_to_sync()
    found = (ended, sorted(world.values(Hospital.objects.get())))
    rule.ends(found, kept=("ok", [weight]), taken_out=("internal", [weight, gone]))


@pytest.mark.slow
def test_the_hospital_is_part_of_the_key(ward: Ward, rule: Rule) -> None:
    """T34, T35: two hospitals cloned from one template have the same ids, of the same rows even."""
    rule.instead(sessions, "Keys", NumberlessKeys)
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    clone = world.live_hospital(ward.pretend.server, "rules", number=2, code="clone")
    world.synced(clone)
    found = [sorted(world.values(hospital)) for hospital in (ward.hospital, clone)]
    rule.ends(found, kept=[[weight], [weight]], taken_out=[[], [weight]])


@pytest.mark.slow
def test_the_epoch_is_part_of_the_key(ward: Ward, rule: Rule) -> None:
    """T32: what was of the earlier epoch stays its own until it is removed: the new one begins with nothing."""
    rule.instead(sessions, "Keys", TimelessKeys)
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    pipeline.accept_source(hospital=ward.hospital, actor=None, now=timezone.now())
    ward.sync()
    first = {key[4:6] for key in Record.objects.values_list("key", flat=True)}
    rule.ends(first, kept={"02"}, taken_out={"01"})


@pytest.mark.slow
def test_a_row_that_moved_moves_with_its_key(ward: Ward, rule: Rule) -> None:
    """From Alice to Bob in place; both are read. Two records of one row would be one too many."""
    key = writer.Keys.key
    owners: dict[int, int] = {}

    def by_person(keys: Any, table: str, source_id: int) -> str:
        # as with a key that holds the person: each owner has a record of their own
        return key(keys, table, source_id + 5_000_000_000 * owners.get(source_id, 0))

    rule.instead(writer.Keys, "key", by_person)
    rule.instead(refresh, "_lose", lambda *_, **__: None)
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    (weight,) = ward.see(alice, 60)
    ward.sync()
    ward.change_quietly(weight, person_id=bob, encounter_id=None)
    owners[weight] = 1
    ward.sync()
    rule.ends((ward.seen_by(ALICE), ward.seen_by(BOB)), kept=([], ["60"]), taken_out=(["60"], ["60"]))


@pytest.mark.slow
def test_whose_link_a_record_hangs_on_is_compared(ward: Ward, rule: Rule) -> None:
    """T86: a row moves between two persons who are one patient: the same patient, the same text, another link."""
    rule.reworded(
        writer,
        "compare",
        ("elif known == (digest, link_id, True):", "elif known[::2] == (digest, True):"),
    )
    first = ward.add_holder(ALICE)
    second = ward.pretend.add_person(national_id=ALICE)
    weight = ward.pretend.add_obs(first, "weight", 60.0)
    ward.see(second, 61)
    ward.sync()
    ward.change_quietly(weight, person_id=second)
    ward.sync(full=True)
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["61"])


@pytest.mark.slow
def test_everyone_of_a_long_list_of_persons_is_read(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T2: more persons than one statement asks for."""
    monkeypatch.setattr(queries, "MAX_IN", 2)
    rule.reworded(
        reader, "_fetch_in", ("unique[start : start + queries.MAX_IN]", "unique[start : start + queries.MAX_IN - 1]")
    )
    for number in (ALICE, BOB, "1197770011223344"):
        ward.pretend.add_obs(ward.add_holder(number), "weight", 60.0)
    ward.look()
    rule.ends(len(ward.values()) == 3, kept=True, taken_out=False)


@pytest.mark.slow
def test_what_is_in_a_voided_inner_group_is_not_shown(ward: Ward, rule: Rule) -> None:
    """T21, T76: the outer group lives."""
    rule.reworded(
        context.Groups,
        "__missing__",
        ("above, is_dead or bool(own.voided), own.", "above, bool(own.voided), own."),
    )
    person = ward.add_holder(ALICE)
    outer = ward.pretend.add_obs(person, "diagnosis set")
    inner = ward.pretend.add_obs(person, "diagnosis set", group=outer)
    ward.pretend.add_obs(person, "weight", 60.0, group=inner)
    ward.pretend.void("obs", inner)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_a_condition_on_anothers_encounter_is_parked(ward: Ward, rule: Rule) -> None:
    """Is it Alice's, or Bob's, whose encounter it hangs on?"""
    rule.reworded(statements, "_statement", ("if event.patient_id not in (None, row.patient_id):", "if False:"))
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    ward.pretend.add_condition(alice, "diabetes", encounter_id=ward.pretend.add_encounter(bob))
    ward.look()
    rule.ends(len(ward.values("conditions")), kept=0, taken_out=1)
