"""The receipt: source rows = stored + parked + excluded + pending; what is left is unexplained, and found by key."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from openmrs_sync import links, receipts
from openmrs_sync.models import ConceptRule
from openmrs_sync.receipts import Receipt
from openmrs_sync.recount import sum_ids
from passport.models import AuditEvent, Link, LinkDecision, PlaceholderNumber, Record
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

FIGURES = ["n_source", "n_stored", "n_parked", "n_excluded", "n_pending", "n_unexplained"]
TABLES = ["obs", "encounter", "visit", "encounter_diagnosis", "conditions", "orders", "allergy"]
PERSONS = ["voided", "unlinked", "held", "linked", "without_national_id", "unmatched"]


def last(site: Site) -> Receipt:
    return receipts.receipt(hospital=site.hospital, verify=False, now=timezone.now())


def figures(found: Receipt, table: str | None = None) -> tuple[int, ...]:
    """n_source, n_stored, n_parked, n_excluded, n_pending, n_unexplained."""
    of_table = found.total if table is None else (found.tables or {})[table]
    assert of_table is not None
    return tuple(of_table.as_dict().values())


def told(found: Receipt) -> dict[str, Any]:
    """All of it but the lag, which is another one a second later."""
    return {name: value for name, value in found.as_dict().items() if name != "lag_seconds"}


def command(*arguments: str) -> tuple[int, Any]:
    """The exit status of `receipt --json` and what it printed."""
    out = io.StringIO()
    try:
        call_command("receipt", "--json", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, json.loads(out.getvalue() or "null")
    return 0, json.loads(out.getvalue())


def clinic(site: Site, n_weights: int = 3) -> tuple[int, list[int]]:
    """A passport holder with a visit, an encounter and some weights."""
    person = site.add_holder("1199080012345678")
    visit = site.pretend.add_visit(person)
    encounter = site.pretend.add_encounter(person, visit=visit)
    return person, [site.pretend.add_obs(person, "weight", 60.0 + n, encounter=encounter) for n in range(n_weights)]


# ------------------------------------------------------------------------------------------------ the last balances


def test_a_receipt_adds_up_after_a_sync(kigali: Site) -> None:
    _, weights = clinic(kigali)
    kigali.pretend.void_obs(weights[0])
    kigali.sync()
    assert figures(last(kigali)) == (5, 4, 0, 1, 0, 0)
    assert figures(last(kigali), "obs") == (3, 2, 0, 1, 0, 0)
    assert told(world.verified(kigali.hospital)) == told(last(kigali))


def test_without_verify_the_source_is_not_contacted(kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    before = told(last(kigali))
    kigali.pretend.server.drop_database(kigali.pretend.database)
    assert told(last(kigali)) == before


def test_a_hospital_that_was_never_read_knows_nothing_of_its_persons(kigali: Site) -> None:
    found = last(kigali)
    assert figures(found) == (0, 0, 0, 0, 0, 0)
    assert found.as_dict()["persons"] == dict.fromkeys(PERSONS)
    assert (found.lag_seconds, found.last_success_at) == (None, None)


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_prints_the_contract_and_nothing_else(kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    status, (found,) = command("--verify")
    assert status == 0
    assert list(found) == [
        *("hospital", *FIGURES, "excluded", "tables", "persons", "lag_seconds", "last_success_at"),
    ]
    assert list(found["tables"]) == TABLES
    assert all(list(of_table) == FIGURES for of_table in found["tables"].values())
    assert list(found["persons"]) == PERSONS


def test_an_unknown_code_is_a_bad_argument(kigali: Site) -> None:
    assert command("--hospital", "nowhere")[0] == 2


def test_a_paused_hospital_has_a_receipt_only_when_it_is_named(kigali: Site) -> None:
    type(kigali.hospital).objects.update(state="paused")
    assert command() == (0, [])
    assert [found["hospital"] for found in command("--hospital", "kigali")[1]] == ["kigali"]


def test_an_unreachable_source_has_nulls_and_exit_status_1(kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    type(kigali.hospital).objects.update(port=1)
    status, (found,) = command("--verify")
    assert status == 1
    assert {found[name] for name in (*FIGURES, "tables", "excluded", "persons")} == {None}
    assert found["last_success_at"] is not None


def test_the_command_leaves_an_audit_row(kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    command()
    event = AuditEvent.objects.get(action="receipt_command")
    assert event.hospital_id == kigali.hospital.pk
    assert event.details["n_source"] == 5


def test_the_command_has_a_table_for_people(kigali: Site) -> None:
    clinic(kigali)
    kigali.sync()
    out = io.StringIO()
    call_command("receipt", stdout=out)
    assert [line.split() for line in out.getvalue().splitlines() if "together" in line] == [
        ["together", "5", "5", "0", "0", "0", "0"]
    ]


# ------------------------------------------------------------------------------------------------ what verify finds


def test_a_record_that_was_lost_on_our_side_is_unexplained_until_a_full_sync_heals_it(kigali: Site) -> None:
    """T39"""
    _, weights = clinic(kigali)
    kigali.sync()
    Record.objects.filter(table="obs", source_id=weights[1]).delete()
    assert figures(last(kigali)) == (5, 5, 0, 0, 0, 0), "nobody looked"
    status, (found,) = command("--verify")
    assert (status, found["n_unexplained"], found["tables"]["obs"]["n_unexplained"]) == (1, 1, 1)
    kigali.sync(full=True)
    assert command("--verify")[0] == 0


def test_a_record_without_a_row_is_unexplained_even_when_the_counts_are_equal(kigali: Site) -> None:
    _, weights = clinic(kigali)
    kigali.sync()
    Record.objects.filter(table="obs", source_id=weights[1]).update(source_id=999_999)
    assert figures(world.verified(kigali.hospital), "obs")[-1] == 2


def test_a_record_under_another_patient_is_unexplained(kigali: Site) -> None:
    _, weights = clinic(kigali)
    stranger = world.register("1198870000000001")
    kigali.sync()
    Record.objects.filter(table="obs", source_id=weights[1]).update(patient_id=stranger.pk)
    assert figures(world.verified(kigali.hospital), "obs")[-1] == 1


def test_a_record_that_a_late_writer_left_is_unexplained(kigali: Site) -> None:
    """T79: reads ignore what was written under a token below the link's."""
    person, weights = clinic(kigali)
    kigali.sync()
    token = Record.objects.first().token  # type: ignore[union-attr]
    Link.objects.filter(person_id=person).update(min_token=token)
    assert world.verified(kigali.hospital).is_well
    Record.objects.filter(table="obs", source_id=weights[1]).update(token=token - 1)
    assert figures(world.verified(kigali.hospital), "obs")[-1] == 1


def test_two_rows_that_swapped_their_persons_are_found(kigali: Site) -> None:
    """T93: equal counts, and equal XOR of the two persons' ids."""
    _, (first, second, *_) = clinic(kigali)
    other = kigali.add_holder("1199080087654321")
    third = kigali.pretend.add_obs(other, "weight", 70.0)
    kigali.sync()
    kigali.pretend.update("obs", first, person_id=other, encounter_id=None)
    kigali.pretend.update("obs", third, person_id=Link.objects.exclude(person_id=other).get().person_id)
    assert figures(world.verified(kigali.hospital), "obs")[-1] == 4
    kigali.sync()
    assert figures(world.verified(kigali.hospital), "obs") == (4, 4, 0, 0, 0, 0)
    assert second in world.values(kigali.hospital)


def test_a_row_above_the_mark_is_pending(kigali: Site) -> None:
    person, _ = clinic(kigali)
    kigali.sync()
    kigali.pretend.add_obs(person, "weight", 77.0)
    assert figures(world.verified(kigali.hospital), "obs") == (4, 3, 0, 0, 1, 0)


def test_rows_of_a_marked_link_are_pending(kigali: Site) -> None:
    _, weights = clinic(kigali)
    kigali.sync()
    Record.objects.filter(table="obs", source_id=weights[1]).delete()
    links.mark_all(hospital=kigali.hospital, now=timezone.now())
    assert figures(world.verified(kigali.hospital), "obs") == (3, 2, 0, 0, 1, 0)


def test_everything_of_a_link_that_was_never_read_is_pending(kigali: Site) -> None:
    person, _ = clinic(kigali)
    kigali.sync()
    other = kigali.add_holder("1199080087654321")
    kigali.pretend.add_obs(other, "weight", 70.0)
    kigali.sync()
    Record.objects.filter(link_id=world.link_of(kigali.hospital, other).pk).delete()
    Link.objects.filter(person_id=other).update(refreshed_at=None)
    assert figures(world.verified(kigali.hospital), "obs") == (4, 3, 0, 0, 1, 0)
    assert person != other


def test_a_difference_left_by_a_refresh_is_unexplained_and_never_pending(kigali: Site) -> None:
    person, weights = clinic(kigali)
    kigali.sync()
    Record.objects.filter(table="obs", source_id=weights[1]).delete()
    link = world.link_of(kigali.hospital, person)
    # as `writer.finish` leaves it: stale by one mark, to be tried again
    Link.objects.filter(pk=link.pk).update(n_unexplained=1, fresh_marks=link.marks - 1)
    assert figures(world.verified(kigali.hospital), "obs") == (3, 2, 0, 0, 0, 1)


def test_a_void_that_no_look_has_seen_is_unexplained_and_gone_after_the_next(kigali: Site) -> None:
    _, weights = clinic(kigali)
    kigali.sync()
    kigali.pretend.void_obs(weights[0])
    assert figures(world.verified(kigali.hospital), "obs") == (3, 3, 0, 1, 0, 1)
    kigali.sync()
    assert figures(world.verified(kigali.hospital), "obs") == (3, 2, 0, 1, 0, 0)


def test_sums_of_neighbouring_ids_differ() -> None:
    assert sum_ids([1, 4]) != sum_ids([2, 3])
    assert sum_ids([1, 2]) == sum_ids([2, 1])


# ------------------------------------------------------------------------------------------------ reasons, persons


def test_each_reason_for_exclusion_is_counted_the_same_by_both_wordings(kigali: Site) -> None:
    """T21, T76, T77: the closed list of reasons."""
    hospital, person = kigali.pretend, kigali.add_holder("1199080012345678")
    encounter = hospital.add_encounter(person)
    hospital.void_obs(hospital.add_obs(person, "weight", 60.0, encounter=encounter))  # voided
    group = hospital.add_obs(person, "diagnosis set", encounter=encounter)
    middle = hospital.add_obs(person, "diagnosis set", encounter=encounter, group=group)
    hospital.add_obs(person, "weight", 61.0, encounter=encounter, group=middle)  # parent_voided, two levels down
    hospital.void("obs", group)  # voided; `middle` is parent_voided
    bare = hospital.add_obs(person, "diagnosis set", encounter=encounter)  # group_without_value: voided members count
    hospital.void_obs(hospital.add_obs(person, "weight", 62.0, encounter=encounter, group=bare))  # voided
    visit = hospital.add_visit(person)
    inside = hospital.add_encounter(person, visit=visit)  # parent_voided
    hospital.add_obs(person, "weight", 63.0, encounter=inside)  # parent_voided
    hospital.void("visit", visit)  # voided
    twice = hospital.add_obs_group_diagnosis(person, "malaria", encounter=encounter)  # four rows: duplicates
    hospital.add_diagnosis(person, "malaria", encounter=encounter)
    order = hospital.add_drug_order(person, encounter=encounter)
    hospital.stop_order(order)  # not_a_prescription
    hospital.add_test_order(person, "haemoglobin", encounter=encounter)  # not_a_prescription
    hospital.add_obs(person, "smoker", True, encounter=encounter)  # hidden_by_admin
    empty = hospital.add_obs(person, "note", encounter=encounter)  # parked: no_value
    uuid = hospital.row("concept", hospital.concept("smoker"))["uuid"]
    ConceptRule.objects.create(hospital=kigali.hospital, concept_uuid=uuid, is_hidden=True)

    kigali.sync()

    found = world.verified(kigali.hospital)
    assert found.excluded == {
        "duplicate_of_migrated": 4,
        "group_without_value": 1,
        "hidden_by_admin": 1,
        "not_a_prescription": 2,
        "parent_voided": 4,
        "voided": 4,
    }
    assert told(found) == told(last(kigali))
    assert figures(found)[-2:] == (0, 0)
    assert figures(found)[2] == 1
    assert not {twice, empty} & world.ids(world.shown(kigali.hospital))


def test_every_row_of_a_voided_person_is_excluded(kigali: Site) -> None:
    person, _ = clinic(kigali)
    kigali.sync()
    kigali.pretend.void("person", person)
    kigali.sync()
    found = world.verified(kigali.hospital)
    assert figures(found) == (5, 0, 0, 5, 0, 0)
    assert found.excluded == {"parent_voided": 5}
    assert told(found) == told(last(kigali))


def test_each_patient_is_counted_in_the_first_that_fits(kigali: Site) -> None:
    hospital = kigali.pretend
    kigali.add_holder("1199080012345671")  # linked
    hospital.void_patient(kigali.add_holder("1199080012345672"))  # voided, its number too
    world.register("1199080012345673", sex="M")
    hospital.add_person(national_id="1199080012345673", sex="F")  # held
    apart = kigali.add_holder("1199080012345674")  # unlinked
    hospital.add_person(national_id="1199080012345675")  # unmatched
    hospital.add_person(national_id="0000000000000000")  # a placeholder: without
    PlaceholderNumber.objects.create(number="1199080099999999")
    hospital.add_person(national_id="1199080099999999")  # one on the admin's list: without
    hospital.add_person()  # without
    hospital.add_person(is_patient=False)  # no patient
    kigali.sync()
    link = world.link_of(kigali.hospital, apart)
    LinkDecision.objects.create(
        hospital=kigali.hospital,
        person_uuid=link.person_uuid,
        patient_id=link.patient_id,
        verdict="different",
        decided_at=timezone.now(),
    )
    Link.objects.filter(pk=link.pk).update(state="unlinked")
    kigali.sync()
    expected = {
        "voided": 1,
        "unlinked": 1,
        "held": 1,
        "linked": 1,
        "without_national_id": 3,
        "unmatched": 1,
    }
    assert world.verified(kigali.hospital).persons == expected
    assert last(kigali).persons == expected
