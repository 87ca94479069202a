"""What a look leaves out, and that nothing of it shows anywhere. Alice is the patient, Bob her doctor."""

import datetime as dt
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from passport import history
from passport.access import AccessRefused, Action, Basis, Choice, Scope, hides, open_record, share_scope
from passport.access.scope import scope_for
from passport.history import Filters, Status
from passport.models import (
    AuditEvent,
    EmergencyAccess,
    Hide,
    Link,
    Patient,
    Proxy,
    Record,
    SensitiveConcept,
    SourceConcept,
)
from passport.models.links import LinkState
from tests.records import Chart, make_account, make_hospital, make_patient, own_scope

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
HIV = "138405AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
VIRAL_LOAD = "856AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
SHOWN, SECRET = "Glucose", "Syphilis"


class World:
    def __init__(self) -> None:
        self.here = make_hospital(name="Ruhengeri", code="here", now=NOW)
        self.there = make_hospital(name="Butare", code="there", now=NOW)
        self.alice: Patient = make_patient(national_id="1199780012345678", now=NOW, username="alice")
        self.bob = make_account(username="bob", role="doctor", hospital=self.here)
        self.chart = Chart(patient=self.alice, hospital=self.here, now=NOW)
        self.other = Chart(patient=self.alice, hospital=self.there, now=NOW)

    def add(self, concept: str, *, chart: Chart | None = None, **fields: Any) -> Record:
        return (chart or self.chart).add(concept=concept, value="5", at="2026-03-01 10:00:00", **fields)

    def save(self) -> None:
        for chart in (self.chart, self.other):
            chart.save()

    @property
    def own(self) -> Scope:
        return own_scope(self.alice)

    @property
    def doctors(self) -> Scope:
        return scope_for(patient=self.alice, basis=Basis.CARE)

    @property
    def carers(self) -> Scope:
        return scope_for(patient=self.alice, basis=Basis.CARER)

    def hide(self, record: Record) -> Hide:
        assert self.alice.user is not None
        return hides.hide_record(scope=self.own, actor=self.alice.user, key=record.key, now=NOW)

    def hide_other(self, what: str) -> Hide:
        assert self.alice.user is not None
        common: dict[str, Any] = {"patient": self.alice, "actor": self.alice.user, "now": NOW}
        if what == "category":
            return hides.hide_category(category="condition", **common)
        if what == "hospital":
            return hides.hide_hospital(hospital=self.there, **common)
        return hides.hide_set(sensitive_set="hiv", **common)


@pytest.fixture
def world(db: None) -> World:
    return World()


def concepts(scope: Scope, **filters: Any) -> list[str]:
    page = history.records_page(scope=scope, filters=Filters(status=Status.ALL, **filters))
    return sorted(view.concept for view in page.results)


def everything(scope: Scope) -> str:
    """All that any read says, as text."""
    keys = Record.objects.order_by("key").values_list("key", flat=True)
    return repr(
        [
            history.records_page(scope=scope, filters=Filters(status=Status.ALL)),
            history.records_page(scope=scope, filters=Filters(q=SECRET)),
            history.visits_page(scope=scope, filters=Filters(status=Status.ALL)),
            history.visits_page(scope=scope, filters=Filters(q=SECRET)),
            history.overview(scope=scope, now=NOW),
            history.freshness(scope=scope, now=NOW),
            [detail for key in keys if (detail := history.record_detail(scope=scope, key=key))],
        ]
    )


# --- what a patient keeps back ----------------------------------------------------------------------------------------


def one_secret(world: World, how: str) -> None:
    """Three ordinary entries, and one that is kept back in this way."""
    world.add(SHOWN, visit_id=1, group_id=7)
    world.add("Pulse", category="vital", visit_id=1)
    secret: dict[str, Any] = {"visit_id": 1, "group_id": 7}
    if how == "category":
        secret |= {"category": "condition", "category_rule": "class:Diagnosis"}
    if how == "sensitive":
        secret = {"visit_id": 1, "concept_uuid": HIV}
    record = world.add(SECRET, chart=world.other if how == "hospital" else None, provider=f"Dr {SECRET}", **secret)
    world.save()
    if how == "record":
        world.hide(record)
    else:
        world.hide_other(how)


@pytest.mark.parametrize("how", ["record", "category", "hospital", "sensitive"])
def test_what_is_kept_back_shows_nowhere_to_a_doctor(world: World, how: str) -> None:
    one_secret(world, how)
    assert SECRET in everything(world.own)
    assert SHOWN in everything(world.doctors)
    assert SECRET not in everything(world.doctors)
    assert SECRET not in everything(world.carers)


@pytest.mark.parametrize("how", ["record", "category", "hospital", "sensitive"])
def test_a_doctors_view_is_as_if_it_had_never_been_recorded(world: World, how: str) -> None:
    one_secret(world, how)
    hidden = everything(world.doctors)
    Record.objects.filter(concept=SECRET).delete()
    if how == "hospital":
        Link.objects.filter(hospital=world.there).delete()
    assert everything(replace(world.doctors, left_out=Choice())) == hidden


@pytest.mark.parametrize("how", ["record", "category", "hospital", "sensitive"])
def test_in_an_emergency_it_is_shown_and_marked(world: World, how: str) -> None:
    one_secret(world, how)
    scope = scope_for(patient=world.alice, basis=Basis.BREAK_GLASS)
    marked = {view.concept for view in history.records_page(scope=scope).results if view.is_hidden}
    assert marked == {SECRET}
    assert not scope.is_partial


def test_the_patient_sees_it_marked_too(world: World) -> None:
    one_secret(world, "record")
    assert [view.is_hidden for view in history.records_page(scope=world.own).results if view.concept == SECRET] == [
        True
    ]


def test_the_doctor_is_told_that_something_is_kept_back_whether_or_not_it_is_there(world: World) -> None:
    world.add(SHOWN)
    world.save()
    assert not world.doctors.is_partial
    world.hide_other("category")  # there is no condition
    assert world.doctors.is_partial


def test_what_qualifies_a_hidden_entry_goes_with_it(world: World) -> None:
    malaria = world.add("Malaria", category="condition")
    world.add("Certainty", category="other", part_of=malaria.key)
    world.add("Severity", category="other")
    world.save()
    world.hide_other("category")
    assert concepts(world.doctors) == ["Severity"]


def test_a_hidden_hospital_is_not_named_among_those_that_may_hold_more(world: World) -> None:
    world.add(SHOWN)
    world.save()
    Link.objects.filter(hospital=world.there).update(state=LinkState.HELD)
    assert history.overview(scope=world.doctors, now=NOW).may_hold_more == ["Butare"]
    world.hide_other("hospital")
    assert history.overview(scope=world.doctors, now=NOW).may_hold_more == []


def test_an_entry_stays_hidden_in_a_new_epoch(world: World) -> None:
    secret = world.add(SECRET)
    world.save()
    world.hide(secret)
    Record.objects.filter(key=secret.key).delete()
    again = Chart(patient=world.alice, hospital=world.here, now=NOW)
    again.add(concept=SECRET, source_uuid=secret.source_uuid, at="2026-03-01 10:00:00")
    again.save()
    assert (concepts(world.own), concepts(world.doctors)) == ([SECRET], [])


def test_its_twin_in_a_cloned_database_is_hidden_with_it(world: World) -> None:
    secret = world.add(SECRET)
    world.add(SECRET, chart=world.other, source_uuid=secret.source_uuid)
    world.add(SHOWN)
    world.save()
    world.hide(secret)
    assert concepts(world.doctors) == [SHOWN]


def test_a_row_without_a_uuid_hides_itself_only(world: World) -> None:
    secret = world.add(SECRET, source_uuid="")
    world.add(SHOWN, source_uuid="")
    world.save()
    world.hide(secret)
    assert concepts(world.doctors) == [SHOWN]


def test_one_hides_from_ones_own_record_only(world: World) -> None:
    mine = world.add(SHOWN)
    world.save()
    bob = make_patient(national_id="AB1234", now=NOW, username="bobby")
    assert bob.user is not None
    with pytest.raises(AccessRefused):
        hides.hide_record(scope=own_scope(bob), actor=bob.user, key=mine.key, now=NOW)
    with pytest.raises(AccessRefused):
        hides.hide_record(scope=world.doctors, actor=world.bob, key=mine.key, now=NOW)
    assert not Hide.objects.exists()


def test_what_is_shown_again_is_seen_again_and_only_the_patient_can_show_it(world: World) -> None:
    secret = world.add(SECRET)
    world.save()
    hide = world.hide(secret)
    bob = make_patient(national_id="AB1234", now=NOW, username="bobby")
    assert bob.user is not None
    assert world.alice.user is not None
    assert not hides.show_again(patient=bob, actor=bob.user, hide_id=hide.pk, now=NOW)
    assert concepts(world.doctors) == []
    assert hides.show_again(patient=world.alice, actor=world.alice.user, hide_id=hide.pk, now=NOW)
    assert concepts(world.doctors) == [SECRET]


def test_the_audit_row_of_a_hide_does_not_say_what_was_hidden(world: World) -> None:
    world.hide_other("category")
    event = AuditEvent.objects.get(action="hide_added")
    assert event.patient_id == world.alice.pk
    assert "condition" not in repr(event.details)


def test_the_same_hide_twice_is_one(world: World) -> None:
    world.hide_other("category")
    world.hide_other("category")
    assert Hide.objects.count() == AuditEvent.objects.filter(action="hide_added").count() == 1


# --- sensitive sets ---------------------------------------------------------------------------------------------------


def test_the_table_begins_with_concepts_of_ciel_by_uuid_and_by_code(db: None) -> None:
    assert set(SensitiveConcept.objects.filter(concept_uuid=HIV).values_list("sensitive_set", flat=True)) == {"hiv"}
    by_code = SensitiveConcept.objects.filter(source="CIEL")
    assert by_code.count() == SensitiveConcept.objects.exclude(concept_uuid="").count() > 50
    assert set(by_code.values_list("sensitive_set", flat=True)) == {"hiv", "mental_health", "violence", "pregnancy"}
    assert {len(uuid) for uuid in SensitiveConcept.objects.values_list("concept_uuid", flat=True)} == {0, 36}


@pytest.fixture
def sensitive(world: World) -> World:
    world.add(SHOWN)
    world.add("Viral load", concept_uuid=VIRAL_LOAD)
    world.add("Diagnosis", concept_uuid=str(uuid4()), details={"answer": HIV})
    world.save()
    return world


def test_a_sensitive_entry_is_left_out_for_carers_and_not_for_doctors(sensitive: World) -> None:
    assert concepts(sensitive.carers) == [SHOWN]
    assert concepts(sensitive.doctors) == concepts(sensitive.own) == ["Diagnosis", SHOWN, "Viral load"]
    assert sensitive.carers.is_partial


def test_a_carer_sees_the_sets_that_the_patient_chose(sensitive: World) -> None:
    carer = make_account(username="carer")
    Proxy.objects.create(
        patient=sensitive.alice, carer=carer, sensitive=["hiv"], created_at=NOW, ends_at=NOW + dt.timedelta(days=1)
    )
    opened = open_record(user=carer, action=Action.RECORDS, now=NOW, patient_id=sensitive.alice.pk)
    assert len(concepts(opened.scope)) == 3
    sensitive.add("Pregnancy test", concept_uuid="45".ljust(36, "A"))
    Record.objects.bulk_create(sensitive.chart.records[-1:])
    assert len(concepts(opened.scope)) == 3


def test_a_share_and_a_print_leave_out_what_was_not_chosen(sensitive: World) -> None:
    assert concepts(share_scope(patient=sensitive.alice)) == [SHOWN]
    assert len(concepts(share_scope(patient=sensitive.alice, sensitive=["hiv"]))) == 3
    assert concepts(sensitive.own.without_sensitive()) == [SHOWN]
    assert len(concepts(sensitive.own.without_sensitive(but=["hiv"]))) == 3


def test_a_share_leaves_out_what_is_hidden_unless_the_patient_chose_otherwise(world: World) -> None:
    secret = world.add(SECRET)
    world.add(SHOWN)
    world.save()
    world.hide(secret)
    assert concepts(share_scope(patient=world.alice)) == concepts(world.own.without_hidden()) == [SHOWN]
    assert concepts(share_scope(patient=world.alice, with_hidden=True)) == [SHOWN, SECRET]


def test_no_choice_makes_a_scope_wider(sensitive: World) -> None:
    assert concepts(sensitive.carers.without_sensitive(but=["hiv"])) == [SHOWN]
    sensitive.hide_other("sensitive")
    assert concepts(sensitive.doctors.without_sensitive(but=["hiv"])) == [SHOWN]


def test_the_sets_are_marked_on_the_records(sensitive: World) -> None:
    views = history.records_page(scope=sensitive.own).results
    assert {view.concept: view.sensitive for view in views} == {
        SHOWN: (),
        "Viral load": ("hiv",),
        "Diagnosis": ("hiv",),
    }


def test_a_concept_is_sensitive_by_a_code_that_a_hospital_maps_it_to(world: World) -> None:
    ours = str(uuid4())
    world.add(SHOWN)
    odd = world.add("VIH", concept_uuid=ours)
    world.save()
    assert "VIH" in concepts(world.carers)
    SourceConcept.objects.create(hospital=world.here, concept_uuid=ours, codes=[["ICD-10", "B20"], ["ciel", "138405"]])
    assert concepts(world.carers) == [SHOWN]
    detail = history.record_detail(scope=world.own, key=odd.key)
    assert detail is not None
    assert detail.record.sensitive == ("hiv",)


def test_a_change_of_the_table_counts_at_once(world: World) -> None:
    ours = str(uuid4())
    world.add("Counselling", concept_uuid=ours)
    world.save()
    assert concepts(world.carers) == ["Counselling"]
    SensitiveConcept.objects.create(sensitive_set="violence", concept_uuid=ours)
    assert concepts(world.carers) == []


def test_what_was_recorded_in_one_group_with_it_and_the_headings_above_it_go_too(world: World) -> None:
    world.add("Viral load", concept_uuid=VIRAL_LOAD, group_id=3, visit_id=9, encounter_id=5)
    world.add("Sample taken", group_id=3, visit_id=9, encounter_id=5)
    world.add("HIV clinic", table="encounter", category="visit", visit_id=9, encounter_id=5)
    world.add("ART visit", table="visit", category="visit", visit_id=9)
    world.add("Weight", category="vital", visit_id=9, encounter_id=5)
    world.add("Other group", group_id=4)
    world.save()
    assert concepts(world.carers) == ["Other group", "Weight"]
    said = everything(world.carers)
    assert "HIV clinic" not in said
    assert "ART visit" not in said


def test_a_qualifier_of_a_sensitive_entry_goes_with_it(world: World) -> None:
    hiv = world.add("HIV", concept_uuid=HIV)
    world.add("Certainty", part_of=hiv.key)
    world.save()
    assert concepts(world.carers) == []


def test_what_comes_in_between_two_queries_is_left_out_all_the_same(sensitive: World) -> None:
    from passport.access.scope import visible
    from passport.history.shown import views_of

    seen = visible(sensitive.carers)
    assert [view.concept for view in views_of(Record.objects.all(), seen)] == [SHOWN]


def test_an_emergency_opens_the_hidden_and_the_sensitive(sensitive: World) -> None:
    sensitive.hide_other("sensitive")
    EmergencyAccess.objects.create(
        doctor=sensitive.bob,
        patient=sensitive.alice,
        reason="unconscious at the door",
        created_at=NOW,
        ends_at=NOW + dt.timedelta(hours=1),
    )
    opened = open_record(user=sensitive.bob, action=Action.RECORDS, now=NOW, patient_id=sensitive.alice.pk)
    assert len(concepts(opened.scope)) == 3
    later = open_record(
        user=sensitive.bob, action=Action.RECORDS, now=NOW + dt.timedelta(hours=1), patient_id=sensitive.alice.pk
    )
    assert concepts(later.scope) == [SHOWN]
