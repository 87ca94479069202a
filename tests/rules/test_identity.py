"""Identity in the same snapshot: what is written under a patient was that patient's at the moment of reading."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from openmrs_sync import anchors, discovery, enricher, identity, links, matcher, pipeline, queries, reader, refresh
from openmrs_sync.models import Watermark
from passport.models import Link, Record
from tests.integration import world
from tests.rules.ward import ALICE, BOB, CAROL, Rule, Ward, admin, again, once, patient, point_to

pytestmark = pytest.mark.django_db


def test_the_matcher_runs_again_on_what_the_snapshot_says(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T92: between the look and the batch the hospital corrects the number, from Alice's to Bob's."""
    rule.instead(refresh, "_still_ours", lambda _session, *, read, persons: dict(persons))
    world.register(BOB)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    (identifier,) = ward.pretend.identifiers_of(person)
    once(monkeypatch, pipeline.looks, "look", lambda: ward.pretend.change_identifier(identifier, BOB))
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_who_was_told_apart_stays_apart_because_the_uuid_is_read_again(ward: Ward, rule: Rule) -> None:
    """T27, T92: a person id is used again for somebody else, whom an admin then tells apart from Alice; a later epoch
    begins from decisions alone, and those are kept by uuid."""
    rule.reworded(
        refresh,
        "_still_ours",
        ("if is_same and person is not None and person.uuid == link.person_uuid:", "if is_same:"),
    )
    ward.see(ward.add_holder(CAROL), *range(40, 70))  # older rows, by which the database is known
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    ward.pretend.purge_patient(person)
    ward.pretend.add_person(person_id=person, national_id=ALICE)
    ward.see(person, 99)
    ward.sync(full=True)
    links.decide(link=ward.link(person), verdict="different", actor=admin(), now=timezone.now())
    pipeline.accept_source(hospital=ward.hospital, actor=None, now=timezone.now())
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["99"])


@pytest.mark.slow
def test_whether_a_person_is_voided_is_read_again(ward: Ward, rule: Rule) -> None:
    """T21: the person alone is voided, without OpenMRS' cascade."""
    read_identity = reader.read_identity

    def without_voided(*arguments: Any, **options: Any) -> Any:
        persons, identifiers = read_identity(*arguments, **options)
        return {person_id: person._replace(is_voided=False) for person_id, person in persons.items()}, identifiers

    rule.instead(reader, "read_identity", without_voided)
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)
    ward.sync()
    ward.pretend.void("person", person)
    ward.sync()
    rule.ends(ward.values(), kept={}, taken_out={weight: "60"})


@pytest.mark.slow
def test_only_a_number_ever_links_and_a_contradiction_holds(ward: Ward, rule: Rule) -> None:
    """T26, T29: the number is Alice's, the sex is not."""
    rule.instead(matcher, "_contradiction", lambda **_: "")
    world.register(ALICE, sex="F")
    ward.see(ward.pretend.add_person(national_id=ALICE, sex="M"), 60)
    ward.sync()
    found = (ward.seen_by(ALICE), Link.objects.get().state)
    rule.ends(found, kept=([], "held"), taken_out=(["60"], "linked"))


@pytest.mark.slow
def test_what_a_human_decided_is_final(ward: Ward, rule: Rule) -> None:
    """T27: told apart, and the number still leads to her."""
    rule.instead(identity, "decisions", lambda **_: {})
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    links.decide(link=ward.link(person), verdict="different", actor=admin(), now=timezone.now())
    pipeline.accept_source(hospital=ward.hospital, actor=None, now=timezone.now())
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


# ------------------------------------------------------------------------------------------------ anchors


def beside(ward: Ward, database: str) -> None:
    """A hospital with Alice's weights, 60 and 61; then its address leads to a database where her person's id is
    Bob's."""
    ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    world.register(BOB)
    other = again(ward, database)
    ((person, obs),) = ward.pretend.execute("SELECT MAX(p.person_id), MIN(o.obs_id) FROM person p, obs o")
    other.add_person(person_id=person, national_id=BOB)
    encounter = other.add_encounter(
        person, encounter_id=ward.pretend.execute("SELECT MIN(encounter_id) FROM obs")[0][0]
    )
    for n, value in enumerate((80.0, 81.0)):
        other.add_obs(person, "weight", value, encounter=encounter, obs_id=obs + n)
    point_to(ward, database)


@pytest.mark.slow
def test_two_anchors_with_another_uuid_stop_the_hospital(ward: Ward, rule: Rule) -> None:
    """T32, T33: another hospital's database under this one's name."""
    rule.instead(anchors, "check", lambda _fetch, *, anchors: None)
    beside(ward, "rules_anchors")
    ended = ward.try_to_sync()
    found = (ended, ward.seen_by(ALICE), ward.seen_by(BOB))
    rule.ends(found, kept=("source_replaced", ["60", "61"], []), taken_out=("ok", [], ["80", "81"]))


@pytest.mark.slow
def test_anchors_are_checked_in_every_snapshot(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T32: the database is replaced between the look and the batch."""
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    before = set(Record.objects.values_list("source_uuid", flat=True))
    ward.mark(person)

    def restore() -> None:
        # as a restore from elsewhere leaves it: the same ids, other rows
        for table in ("person", "encounter", "obs"):
            ward.pretend.execute(f"UPDATE {table} SET uuid = UUID() WHERE creator = 1 AND uuid IS NOT NULL")

    rule.instead(refresh, "anchors", SimpleNamespace(check=lambda _fetch, *, anchors: None))
    rule.instead(refresh, "_still_ours", lambda _session, *, read, persons: dict(persons))
    once(monkeypatch, pipeline.looks, "look", restore)
    ended = ward.try_to_sync(deep=False)
    is_as_before = set(Record.objects.values_list("source_uuid", flat=True)) == before
    rule.ends((ended, is_as_before), kept=("source_replaced", True), taken_out=("ok", False))


@pytest.mark.slow
def test_one_row_with_another_uuid_is_normal_life(ward: Ward, rule: Rule) -> None:
    """T32: a purge, a restart of an old server, and the next row has the same id."""
    rule.instead(anchors, "CONTRADICTIONS", 1)
    person = ward.add_holder(ALICE)
    weights = ward.see(person, 60, 61)
    ward.sync()
    ward.pretend.purge_obs(weights[1])
    ward.pretend.add_obs(person, "weight", 99.0, obs_id=weights[1])
    ended = ward.try_to_sync()
    rule.ends((ended, ward.seen_by(ALICE)), kept=("ok", ["60", "99"]), taken_out=("source_replaced", ["60", "61"]))


@pytest.mark.slow
def test_a_missing_row_is_no_contradiction(ward: Ward, rule: Rule) -> None:
    """T24: three old rows are purged."""
    rule.reworded(
        anchors,
        "check",
        (
            "sum(uuid != expected[source_id] for source_id, uuid in rows)",
            "sum(dict(rows).get(source_id) != uuid for source_id, uuid in expected.items())",
        ),
    )
    weights = ward.see(ward.add_holder(ALICE), 60, 61, 62, 63)
    ward.sync()
    for weight in weights[:3]:
        ward.pretend.purge_obs(weight)
    ended = ward.try_to_sync()
    rule.ends(
        (ended, ward.seen_by(ALICE)), kept=("ok", ["63"]), taken_out=("source_replaced", ["60", "61", "62", "63"])
    )


@pytest.mark.slow
def test_an_accepted_source_begins_a_new_epoch_and_nothing_of_the_old_one_is_shown(ward: Ward, rule: Rule) -> None:
    """T32: accepted, and not read yet: what is stored is another database's."""

    def forget_the_anchors(*, hospital: Any, actor: Any, now: Any) -> None:
        Watermark.objects.filter(pk=hospital.pk).update(anchors=[])

    rule.instead(pipeline, "accept_source", forget_the_anchors)
    beside(ward, "rules_epoch")
    ward.try_to_sync()
    pipeline.accept_source(hospital=ward.hospital, actor=None, now=timezone.now())
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60", "61"])


# ------------------------------------------------------------------------------------------------ moved, or gone


@pytest.mark.slow
def test_a_missing_id_is_looked_up_to_tell_moved_from_gone(ward: Ward, rule: Rule) -> None:
    """A weight moves from Alice to Bob in place, and only Alice is read."""
    rule.instead(refresh, "_owners", lambda _source, _session, _lost: {})
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    (weight,) = ward.see(alice, 60)
    ward.see(bob, 80)
    ward.sync()
    ward.change_quietly(weight, person_id=bob, encounter_id=None)
    ward.read_person(alice)
    record = Record.objects.get(table="obs", source_id=weight)
    found = (record.withdrawn_reason, record.patient_id == patient(BOB).pk)
    rule.ends(found, kept=("moved", True), taken_out=("gone", False))


@pytest.mark.slow
def test_the_new_owner_of_a_moved_row_is_marked(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the watch saw, they are read next: until then nobody sees the weight."""
    monkeypatch.setattr(pipeline.looks.watcher, "WINDOW", 0)  # the row lies far below the newest
    rule.reworded(refresh, "_lose", ("if changes.moves:", "if False:"))
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    (weight,) = ward.see(alice, 60)
    ward.see(bob, 80)
    ward.sync()
    ward.change_quietly(weight, person_id=bob, encounter_id=None)
    ward.read_person(alice)
    ward.look()
    rule.ends(ward.seen_by(BOB), kept=["60", "80"], taken_out=["80"])


@pytest.mark.slow
def test_an_observation_on_anothers_encounter_is_a_contradiction_and_is_parked(ward: Ward, rule: Rule) -> None:
    """Is it Alice's, or Bob's, whose encounter it hangs on? Nobody can know, so nobody sees it."""
    rule.reworded(
        enricher.observations, "obs_renderer", ("if patient_id is not None and patient_id != person_id:", "if False:")
    )
    rule.instead(enricher, "obs_renderer", enricher.observations.obs_renderer)
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    ward.see(alice, 60, encounter=ward.pretend.add_encounter(bob))
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


# ------------------------------------------------------------------------------------------------ discovery


@pytest.mark.slow
def test_every_look_reads_all_identifiers(ward: Ward, rule: Rule) -> None:
    """T46, T47: Alice registers years after her number was typed in. A mark on the identifiers would be above it."""
    seen: list[int] = []

    def above_the_mark(identifier_type_ids: Any) -> str:
        least = seen[0] if seen else 0
        return live_identifiers(identifier_type_ids).replace(
            "AND voided = 0", f"AND voided = 0 AND {least} < patient_identifier_id"
        )

    live_identifiers = queries.live_identifiers
    rule.instead(queries, "live_identifiers", above_the_mark)
    rule.instead(identity, "to_end", lambda **_: [])
    ward.see(ward.pretend.add_person(national_id=ALICE), 60)
    ward.see(ward.add_holder(BOB), 80)
    ward.look()
    seen.extend(row[0] for row in ward.pretend.execute("SELECT MAX(patient_identifier_id) FROM patient_identifier"))
    world.register(ALICE)
    ward.see(ward.add_holder(CAROL), 70)  # so that there is something above the mark
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


@pytest.mark.slow
def test_a_number_that_leads_elsewhere_ends_the_link_at_the_next_look(ward: Ward, rule: Rule) -> None:
    """T92: the number was typed in for the wrong person, and is corrected."""
    rule.instead(identity, "to_end", lambda **_: [])
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    (identifier,) = ward.pretend.identifiers_of(person)
    ward.pretend.change_identifier(identifier, "1199080012345679")
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_identifiers_are_read_to_the_last_page(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T4: of three numbers two fit onto a page."""
    monkeypatch.setattr(discovery, "PAGE", 2)
    rule.reworded(discovery, "_pages", ("if len(page) < PAGE:", "if True:"))
    for number in (ALICE, BOB, CAROL):
        ward.see(ward.add_holder(number), 60)
    ward.look()
    rule.ends(ward.seen_by(CAROL), kept=["60"], taken_out=[])


@pytest.mark.slow
def test_the_latest_word_of_a_human_counts(ward: Ward, rule: Rule) -> None:
    """T27: told apart, and then found to be the same after all."""
    rule.reworded(identity, "decisions", ('rows.order_by("pk")', 'rows.order_by("-pk")'))
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    for verdict in ("different", "same"):
        links.decide(link=ward.link(person), verdict=verdict, actor=admin(), now=timezone.now())
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


@pytest.mark.slow
def test_anchors_are_the_oldest_rows(ward: Ward, rule: Rule) -> None:
    """T32: the newest three are purged, and their ids used again: normal life after a restart of an old server."""
    rule.reworded(anchors, "_oldest", ('.order_by("key")', '.order_by("-key")'))
    person = ward.add_holder(ALICE)
    weights = ward.see(person, *range(40, 70))
    ward.sync()
    for weight in weights[-3:]:
        ward.pretend.purge_obs(weight)
        ward.pretend.add_obs(person, "weight", 99.0, obs_id=weight)
    rule.ends(ward.try_to_sync(), kept="ok", taken_out="source_replaced")


@pytest.mark.slow
def test_a_person_that_is_gone_in_the_snapshot_is_hidden(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T92: purged between the look and the batch."""
    rule.reworded(
        refresh, "_settle_others", ('links.end(link_ids=gone, reason="person_gone", now=read.read_at)', "pass")
    )
    ward.see(ward.add_holder(CAROL), *range(40, 70))  # older rows, by which the database is known
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    ward.mark(person)
    once(monkeypatch, pipeline.looks, "look", lambda: ward.pretend.purge_patient(person))
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])
