"""The link decides who sees: what is stored is shown only through a linked link, to that link's patient."""

import time
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from openmrs_sync import enricher, janitor, links, pipeline
from openmrs_sync.models import Claim
from openmrs_sync.stores.relational import RelationalStore
from openmrs_sync.stores.shapes import StoredRecord
from passport.access import scope
from passport.models import Link, Record
from tests.integration import world
from tests.rules.ward import ALICE, BOB, Rule, Ward, admin, once

pytestmark = pytest.mark.django_db


def tell_apart(ward: Ward, person: int) -> None:
    links.decide(link=ward.link(person), verdict="different", actor=admin(), now=timezone.now())


def test_a_history_asks_first_which_links_are_linked(ward: Ward, rule: Rule) -> None:
    """T27, T87: told apart a moment ago; the records are still in the store, for the janitor to clean up."""

    rule.instead(scope, "linked", lambda patient_id: Link.objects.filter(patient_id=patient_id))
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    tell_apart(ward, person)
    assert Record.objects.filter(table="obs", status="current").count() == 1
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


def look_only(ward: Ward) -> None:
    """Who is whom, and who may have changed; the time is over before anybody is read."""
    pipeline.sync_hospital(
        hospital=ward.hospital, trigger="schedule", now=timezone.now(), deep=False, until=time.monotonic()
    )


def pointed_to_bob(ward: Ward) -> None:
    """Alice's person gets Bob's number; a look sees it, and nothing has been read yet."""
    world.register(BOB)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    (identifier,) = ward.pretend.identifiers_of(person)
    ward.pretend.change_identifier(identifier, BOB)
    look_only(ward)


@pytest.mark.slow
def test_a_history_filters_records_by_patient(ward: Ward, rule: Rule) -> None:
    """T87, T92: by the link alone Bob would at once see what was read as Alice's."""

    def by_link(_patient_id: UUID, links: list[Link]) -> Any:
        return Record.objects.filter(link_id__in=[link.pk for link in links])

    rule.instead(scope, "records_of", by_link)
    pointed_to_bob(ward)
    rule.ends(ward.seen_by(BOB), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_a_history_filters_records_by_link(ward: Ward, rule: Rule) -> None:
    """T87, T92: by the patient alone Alice would go on seeing a person who is Bob."""

    rule.instead(scope, "linked", lambda _patient_id: Link.objects.all())
    rule.instead(scope, "records_of", lambda patient_id, _links: Record.objects.filter(patient_id=patient_id))
    pointed_to_bob(ward)
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_records_of_an_earlier_claim_are_not_read(ward: Ward, rule: Rule) -> None:
    """T79: what a frozen worker wrote late carries a token below the link's least."""
    rule.reworded(
        scope,
        "written_for",
        ("shown |= Q(link_id=link.pk, token__gte=link.min_token)", "shown |= Q(link_id=link.pk)"),
    )
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    Link.objects.update(min_token=Claim.objects.get().token + 1)
    rule.ends(ward.seen_by(ALICE), kept=[], taken_out=["60"])


@pytest.mark.slow
def test_a_refresh_withdraws_by_link_never_by_patient(ward: Ward, rule: Rule) -> None:
    """T29, T86: two persons of one hospital are one patient, and one of them is read."""

    def of_patient(_store: RelationalStore, link_ids: Any) -> dict[str, StoredRecord]:
        asked = dict(Link.objects.filter(pk__in=link_ids).values_list("patient_id", "pk"))
        found = Record.objects.filter(patient_id__in=asked)
        return {one.key: StoredRecord(one.digest, asked[one.patient_id], one.status == "current") for one in found}

    rule.instead(rule.store_under_locks(), "of_links", of_patient)
    first = ward.add_holder(ALICE)
    second = ward.pretend.add_person(national_id=ALICE)
    ward.see(first, 60)
    ward.see(second, 61)
    ward.sync()
    ward.read_person(second)
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["61"])


@pytest.mark.slow
def test_a_link_that_was_decided_meanwhile_keeps_its_state(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T87: told apart between the census and the link's change: the decision wins, and the next look judges again."""
    rule.reworded(
        pipeline.looks.identity,
        "_change",
        (
            "pk=link.pk, state=link.state, patient_id=link.patient_id",
            "pk=link.pk",
        ),
    )
    world.register(ALICE, sex="F")
    person = ward.pretend.add_person(national_id=ALICE, sex="M")
    ward.see(person, 60)
    ward.look()  # held: the sex contradicts
    ward.pretend.execute("UPDATE person SET gender = 'F' WHERE person_id = %s", (person,))
    once(monkeypatch, pipeline.looks.identity, "judge", lambda: tell_apart(ward, person))
    look_only(ward)
    rule.ends(ward.link(person).state, kept="unlinked", taken_out="linked")


@pytest.mark.slow
def test_what_was_written_for_a_link_that_is_no_longer_linked_is_cleaned_up(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T87: told apart while its first batch was written, so no balance ever said that something is there."""
    rule.instead(links, "note_inflight", lambda **_: None)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    once(monkeypatch, enricher, "render", lambda: tell_apart(ward, person))
    ward.look()
    assert ward.seen_by(ALICE) == []
    ward.look()
    rule.ends(Record.objects.filter(table="obs").count(), kept=0, taken_out=1)


@pytest.mark.slow
def test_the_janitor_repeats_until_nothing_is_left(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of whoever was told apart do not stay for ever."""
    rule.instead(janitor, "clean", lambda **_: 0)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    tell_apart(ward, person)
    ward.look()
    rule.ends(Record.objects.filter(table="obs").count(), kept=0, taken_out=1)


@pytest.mark.slow
def test_whoever_is_told_apart_from_one_candidate_is_held_for_the_other(ward: Ward, rule: Rule) -> None:
    """T26: two holders' numbers on one person; being told apart from one is no proof for the other."""
    rule.reworded(links, "decide", ("LinkState.HELD if is_open else state", "LinkState.LINKED if is_open else state"))
    world.register(BOB)
    person = ward.add_holder(ALICE)
    ward.pretend.add_identifier(person, BOB)
    ward.look()
    tell_apart(ward, person)
    rule.ends(ward.link(person).state, kept="held", taken_out="linked")
