"""When nothing moved, nobody is looked up again; and whatever moves is seen at the next look, whoever moved it.

A deep look compares all of it every quarter of an hour, whatever is kept. Here no look is deep after the first.
"""

import importlib
import zlib
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from openmrs_sync import certificate, discovery, identity, looks, stillness
from openmrs_sync.models import ReceiptDay, Watermark
from passport.models import IdentityMove, Link, PatientIdentifier, PlaceholderNumber
from passport.registration import placeholder_numbers
from tests.integration import world
from tests.rules.ward import ALICE, BOB, CAROL, Rule, Ward, once, patient

pytestmark = pytest.mark.django_db

triggers = importlib.import_module("passport.migrations.0022_identity_moves_by_triggers")


def our_side(ward: Ward) -> bytes | None:
    return stillness.our_side(
        hospital=ward.hospital, identifier_type_ids=[type_of(ward)], placeholders=placeholder_numbers()
    )


def be_still(ward: Ward) -> None:
    """Look until what the last census came to is kept: after one that changed nobody."""
    for _ in range(3):
        ward.look()
    assert "of" in Watermark.objects.get().still


# ------------------------------------------------------------------------------------------------ nothing moved


def test_a_still_tick_looks_nobody_up(ward: Ward) -> None:
    for number in (ALICE, BOB):
        ward.see(ward.add_holder(number), 60)
    be_still(ward)
    with CaptureQueriesContext(connection) as asked:
        ward.look()
    assert not [one["sql"] for one in asked if 'FROM "passport_patientidentifier"' in one["sql"]]
    assert not [one["sql"] for one in asked if 'patient_id" AS' in one["sql"] and "passport_link" in one["sql"]]


def test_marks_and_counts_of_a_link_say_nothing_of_who_is_whom(ward: Ward) -> None:
    ward.see(ward.add_holder(ALICE), 60)
    be_still(ward)
    before = our_side(ward)
    Link.objects.update(marks=F("marks") + 1, n_source=9, is_urgent=True, refreshed_at=timezone.now())
    assert our_side(ward) == before is not None


def test_the_receipt_of_a_still_day_is_drawn_anew_when_somebody_was_read(ward: Ward, rule: Rule) -> None:
    rule.reworded(
        certificate,
        "_drawn_already",
        (" or links.linked(hospital).filter(refreshed_at__gte=drawn.read_at).exists()", ""),
    )
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    be_still(ward)
    before = ReceiptDay.objects.get().n_source
    ward.see(person, 61)
    ward.look()
    rule.ends(ReceiptDay.objects.get().n_source, kept=ward.link(person).n_source, taken_out=before)


# ------------------------------------------------------------------------------------------------ something moved


def test_a_number_that_is_registered_leads_to_its_person_at_the_next_look(ward: Ward, rule: Rule) -> None:
    """T46, after hours in which nothing moved."""
    rule.instead(stillness, "_moves", lambda _hospital: [])
    ward.see(ward.pretend.add_person(national_id=ALICE), 60)
    be_still(ward)
    world.register(ALICE)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


def test_a_number_that_is_typed_in_late_is_seen_at_the_next_look(ward: Ward, rule: Rule) -> None:
    """T47, after hours in which nothing moved."""
    rule.instead(stillness, "_key", lambda ours, _theirs: ours.hex())
    world.register(ALICE)
    person = ward.pretend.add_person()
    ward.see(person, 60)
    be_still(ward)
    ward.pretend.add_identifier(person, ALICE)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


def test_what_becomes_a_placeholder_leads_to_nobody_at_the_next_look(ward: Ward, rule: Rule) -> None:
    rule.reworded(stillness, "our_side", ("sorted(placeholders), ", ""))
    ward.see(ward.add_holder(ALICE), 60)
    be_still(ward)
    PlaceholderNumber.objects.create(number=ALICE)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


def test_who_is_held_is_judged_at_every_look(ward: Ward, rule: Rule) -> None:
    """T26: the hospital corrects the sex; no number moves by that."""
    keep = stillness.keep
    rule.instead(stillness, "keep", lambda census, *, ours, judged: keep(census, ours=ours, judged=()))
    world.register(ALICE, sex="F")
    person = ward.pretend.add_person(national_id=ALICE, sex="M")
    ward.see(person, 60)
    be_still(ward)
    ward.pretend.update("person", person, gender="F")
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


def test_a_number_on_five_persons_links_nobody_while_nothing_moves(ward: Ward, rule: Rule) -> None:
    """T49: who is in a crowd is judged at every look, and is in it still."""
    rule.reworded(stillness, "keep", ('"crowded": sorted(census.crowded_persons),', '"crowded": [],'))
    world.register(ALICE)
    for _ in range(5):
        ward.pretend.add_person(national_id=ALICE)
    for _ in range(3):
        ward.look()
    states = set(Link.objects.values_list("state", flat=True))
    rule.ends(states, kept={"held"}, taken_out={"linked"})


def test_what_moves_while_a_census_is_taken_is_seen_at_the_next_one(ward: Ward, rule: Rule, monkeypatch: Any) -> None:
    """Our side is read first: a number that is registered between the census and its keeping is in neither."""
    keep = stillness.keep
    rule.instead(stillness, "keep", lambda census, *, ours, judged: keep(census, ours=our_side(ward), judged=judged))
    ward.see(ward.pretend.add_person(national_id=ALICE), 60)
    once(monkeypatch, looks, "_settle", lambda: world.register(ALICE))
    ward.look()
    assert "of" in Watermark.objects.get().still
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


# ------------------------------------------------------------------------------------------------ by whatever way


def raw(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def first(_ward: Ward) -> Link:
    return Link.objects.order_by("person_id")[0]


#: What is written to our two tables, by the ORM one by one and in bulk, and by SQL.
WAYS = {
    "number created": lambda ward: PatientIdentifier.objects.create(
        patient=patient(ALICE), number="X1", created_at=timezone.now()
    ),
    "numbers created in bulk": lambda ward: PatientIdentifier.objects.bulk_create(
        [PatientIdentifier(patient=patient(ALICE), number=text, created_at=timezone.now()) for text in ("X1", "X2")]
    ),
    "number saved": lambda ward: setattr_and_save(PatientIdentifier.objects.get(number=BOB), number="X1"),
    "numbers updated": lambda ward: PatientIdentifier.objects.filter(number=BOB).update(patient=patient(ALICE)),
    "numbers deleted": lambda ward: PatientIdentifier.objects.filter(number=BOB).delete(),
    "number deleted by SQL": lambda ward: raw("DELETE FROM passport_patientidentifier WHERE number = %s", BOB),
    "number changed by SQL": lambda ward: raw(
        "UPDATE passport_patientidentifier SET number = 'X1' WHERE number = %s", BOB
    ),
    "link created": lambda ward: setattr_and_save(first(ward), pk=None, person_id=99),
    "link saved": lambda ward: setattr_and_save(first(ward), state="held"),
    "links updated": lambda ward: Link.objects.update(state="ended"),
    "links deleted": lambda ward: Link.objects.all().delete(),
    "link changed by SQL": lambda ward: raw("UPDATE passport_link SET state = 'held'"),
    "link deleted by SQL": lambda ward: raw("DELETE FROM passport_link"),
}


def setattr_and_save(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row._state.adding = "pk" in values
    row.save()


@pytest.mark.parametrize("way", WAYS)
def test_a_move_is_seen_by_whatever_way_it_is_made(ward: Ward, way: str) -> None:
    for number in (ALICE, BOB):
        ward.add_holder(number)
    ward.look()
    before = our_side(ward)
    assert before == our_side(ward) is not None
    WAYS[way](ward)
    assert our_side(ward) not in (before, None)


CHANGES = {
    "hospital_id": lambda ward: (
        world.live_hospital(ward.pretend.server, ward.pretend.database, number=2, code="other").pk
    ),
    "epoch": lambda ward: 7,
    "person_id": lambda ward: 99,
    "patient_id": lambda ward: world.register(CAROL).pk,
    "state": lambda ward: "held",
}


@pytest.mark.parametrize("column", triggers.DECISIVE)
def test_each_column_that_says_who_is_whom_is_watched(ward: Ward, column: str) -> None:
    ward.add_holder(ALICE)
    ward.look()
    value = CHANGES[column](ward)
    before = our_side(ward)
    Link.objects.update(**{column: value})
    assert our_side(ward) != before


def test_the_columns_that_are_watched_are_those_that_a_census_is_compared_with() -> None:
    """What else a known link holds is read again of whoever is judged, and decides nothing before."""
    compared = set(identity.KnownLink.__slots__) - {"pk", "person_uuid"}
    assert set(triggers.DECISIVE) == compared | {"hospital_id", "epoch"}


# ------------------------------------------------------------------------------------------------ what is believed


def test_every_trigger_is_in_force_after_the_last_migration(ward: Ward) -> None:
    """Fails when a later migration makes one of the two tables anew, on SQLite, and forgets them."""
    assert sorted(stillness.TRIGGERS) == sorted(name for name, _, _ in triggers.triggers())
    assert our_side(ward) is not None


@pytest.mark.parametrize("name, table, word", list(triggers.triggers()))
def test_without_one_of_the_triggers_nothing_is_believed(ward: Ward, name: str, table: str, word: str) -> None:
    if connection.vendor == "mysql":
        pytest.skip("there DDL ends the test's transaction")
    ward.see(ward.pretend.add_person(national_id=ALICE), 60)
    be_still(ward)
    raw(f"DROP TRIGGER {name}" + (f" ON {table}" if connection.vendor == "postgresql" else ""))
    assert our_side(ward) is None
    world.register(ALICE)
    ward.look()
    assert ward.seen_by(ALICE) == ["60"]


def test_the_moves_stay_few_and_what_was_kept_before_is_never_believed_again(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "MOST_MOVES", 3)
    seen = {our_side(ward)}
    for n in range(9):
        PatientIdentifier.objects.create(patient=world.register(f"10000{n}"), number=f"X{n}", created_at=timezone.now())
        found = our_side(ward)
        assert found not in seen
        seen.add(found)
    assert IdentityMove.objects.count() <= 4


def test_other_rules_are_other_rules(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    before = our_side(ward)
    assert stillness.our_side(hospital=ward.hospital, identifier_type_ids=[2, 3], placeholders=()) != before
    ward.hospital.epoch += 1
    assert our_side(ward) != before
    ward.hospital.epoch -= 1
    assert our_side(ward) == before
    monkeypatch.setattr(stillness, "_rules", lambda: "another text")
    assert our_side(ward) != before


def test_the_source_sums_up_its_identifiers_as_we_do_the_rows_that_we_read(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PAGE", 2)
    fetch, types = world_fetch(ward), [type_of(ward)]

    def both() -> list[discovery.Identifiers]:
        census = discovery.take_census(
            fetch,
            identifier_type_ids=types,
            holders_of=lambda _numbers: {},
            normalise=lambda text: text,
            crowd=5,
            with_numbered=False,
        )
        return [census.identifiers, discovery.read_identifiers(fetch, identifier_type_ids=types)]

    assert both() == [discovery.Identifiers(n=0, forwards=0, backwards=0)] * 2
    for text in (ALICE, BOB, " 1-é€ﬁ", "''\\%s"):
        person = ward.pretend.add_person(national_id=text)
    (last,) = ward.pretend.identifiers_of(person)
    ward.pretend.update("patient_identifier", last, patient_identifier_id=9_999)  # pages with nothing in them
    ours, theirs = both()
    assert ours == theirs
    assert ours.n == 4


def test_numbers_that_change_places_are_seen_though_one_of_the_sums_stays(ward: Ward) -> None:
    """CRC32 is so made that one sum stays for one such pair in some ten thousand; the other order is for those."""
    persons = [ward.add_holder(ALICE), ward.add_holder(BOB)]
    ids = [ward.pretend.identifiers_of(person)[0] for person in persons]

    def forwards(texts: tuple[str, str]) -> int:
        rows = zip(ids, persons, texts, strict=True)
        return sum(zlib.crc32(f"{own}|{person}|{text}".encode()) for own, person, text in rows)

    others = (f"11990800{n:08d}" for n in range(10_000_000))
    other = next(text for text in others if forwards((ALICE, text)) == forwards((text, ALICE)))
    ward.pretend.update("patient_identifier", ids[1], identifier=other)
    world.register(other)
    be_still(ward)
    for own, text in zip(ids, (other, ALICE), strict=True):
        ward.pretend.update("patient_identifier", own, identifier=text)
    ward.look()
    assert Link.objects.get(person_id=persons[0]).patient == patient(other)
    assert Link.objects.get(person_id=persons[1]).patient == patient(ALICE)


def test_whatever_moves_among_the_identifiers_moves_the_sums(ward: Ward) -> None:
    fetch, types = world_fetch(ward), [type_of(ward)]
    persons = [ward.pretend.add_person(national_id=number) for number in (ALICE, BOB)]
    (first, second) = [ward.pretend.identifiers_of(person)[0] for person in persons]
    seen = [discovery.read_identifiers(fetch, identifier_type_ids=types)]
    for change in (
        lambda: ward.pretend.change_identifier(first, CAROL),
        lambda: ward.pretend.update("patient_identifier", second, patient_id=persons[0]),
        lambda: ward.pretend.update("patient_identifier", first, voided=1),
        lambda: ward.pretend.add_identifier(persons[1], BOB),
        lambda: ward.pretend.update("patient_identifier", second, identifier_type=types[0] + 1),
    ):
        change()
        found = discovery.read_identifiers(fetch, identifier_type_ids=types)
        assert found not in seen
        seen.append(found)


def world_fetch(ward: Ward) -> Any:
    return lambda sql, params=(): list(ward.pretend.execute(sql, params))


def type_of(ward: Ward) -> int:
    found = ward.pretend.execute(
        "SELECT patient_identifier_type_id FROM patient_identifier_type WHERE name = 'National ID'"
    )
    return int(found[0][0])
