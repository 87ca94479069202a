"""One bad row or person among good ones: wherever it stands, it waits alone, is listed, and is never forgotten."""

import pytest

from openmrs_sync import session as sessions
from openmrs_sync.models import ParkedRow, SyncRun, Watermark
from passport.models import Link
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB = "1199080012345678", "1198570087654321"


def test_the_seventh_of_twenty_rows_waits_alone_and_is_stored_when_it_can_be(kigali: Site) -> None:
    """T7: the cursor stands above it, and that loses nothing."""
    person = kigali.add_holder(ALICE)
    kigali.sync()
    rows = [kigali.pretend.add_obs(person, "weight", None if n == 7 else 50.0 + n) for n in range(1, 21)]
    run = kigali.sync()
    assert (run.n_created, run.n_parked) == (19, 1)
    assert kigali.values().keys() == set(rows) - {rows[6]}
    assert Watermark.objects.get().heads["obs"]["mark"] == rows[-1]
    assert world.verified(kigali.hospital).is_well
    kigali.pretend.update("obs", rows[6], value_numeric=57.0)
    kigali.sync(full=True)
    assert kigali.values()[rows[6]] == "57"
    assert not ParkedRow.objects.exists()


@pytest.mark.parametrize("position", [0, 9, 19])
def test_a_bad_row_stops_no_other_wherever_it_stands(kigali: Site, position: int) -> None:
    """T8: first, in the middle, last."""
    person = kigali.add_holder(ALICE)
    rows = [kigali.pretend.add_obs(person, "weight", None if n == position else 50.0) for n in range(20)]
    assert kigali.sync().n_created == 19
    assert list(ParkedRow.objects.values_list("source_id", flat=True)) == [rows[position]]


@pytest.mark.parametrize("position", [0, 5, 10])
def test_a_person_who_cannot_be_rendered_stops_no_other_wherever_they_stand(
    kigali: Site, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    """T8"""
    persons = [kigali.add_holder(f"11990800{number:08d}") for number in range(11)]
    for person in persons:
        kigali.pretend.add_obs(person, "weight", 60.0)
    kigali.pretend.add_obs(persons[position], "note", "poison")
    note = kigali.pretend.row("concept", kigali.pretend.concept("note"))["uuid"]
    make = sessions.make_categorise

    def make_poisonous(rules):  # type: ignore[no-untyped-def]
        categorise = make(rules)

        def categorise_all_but_notes(table, concept):  # type: ignore[no-untyped-def]
            if concept is not None and concept.uuid == note:
                raise ZeroDivisionError
            return categorise(table, concept)

        return categorise_all_but_notes

    monkeypatch.setattr(sessions, "make_categorise", make_poisonous)
    assert world.sync(kigali.hospital).n_persons == 10
    assert list(Link.objects.filter(n_failures=1).values_list("person_id", flat=True)) == [persons[position]]


def test_a_row_that_fails_for_the_thirtieth_time_is_listed_and_counted_as_ever(kigali: Site) -> None:
    """T11: no number of attempts is the last."""
    empty = kigali.pretend.add_obs(kigali.add_holder(ALICE), "weight")
    for n_attempts in range(1, 31):
        run = kigali.sync(full=True, deep=False)
        assert run.n_parked == 1
        assert ParkedRow.objects.get().attempts == n_attempts
    assert list(ParkedRow.objects.values_list("source_id", "reason")) == [(empty, "no_value")]
    kigali.pretend.update("obs", empty, value_numeric=61.0)
    kigali.sync(full=True)
    assert kigali.values() == {empty: "61"}


def test_five_thousand_parked_rows_cost_the_live_ones_nothing(kigali: Site) -> None:
    """T10: a tick reads who moved, and not who waits; the one who waits gets what is new in the same tick, too."""
    waiting, living = kigali.add_holder(ALICE), kigali.add_holder(BOB)
    with kigali.pretend.bulk():
        for _ in range(5_000):
            kigali.pretend.add_obs(waiting, "weight")
    assert kigali.sync(deep=None).n_parked == 5_000
    for n in range(5):
        row = kigali.pretend.add_obs(living, "weight", 60.0 + n)
        run = kigali.sync(deep=None, trigger=SyncRun.Trigger.SCHEDULE)
        assert (run.n_persons, run.n_created, run.n_parked) == (1, 1, 0)
        assert row in kigali.values()
        assert run.n_source_rows < 5_000
    mine = kigali.pretend.add_obs(waiting, "weight", 70.0)
    kigali.sync(deep=None, trigger=SyncRun.Trigger.SCHEDULE)
    assert mine in kigali.values()
    assert ParkedRow.objects.count() == 5_000
