"""What is kept of a patient's records between two pages: never longer than the records stand as they did."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hospitals.models import Hospital
from passport import history
from passport.access import Basis, Scope
from passport.access.scope import scope_for
from passport.history import Filters, kept
from passport.history.kept import Reading
from passport.models import Hide, Link, Record, SensitiveConcept
from passport.models.links import LinkState
from tests.records import Chart, make_hospital, make_patient, own_scope

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)


@pytest.fixture
def chart() -> Chart:
    patient = make_patient(national_id="1199780012345678", now=NOW)
    found = Chart(patient=patient, hospital=make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW), now=NOW)
    found.add(concept="Weight", value="71", at="2026-01-01 10:00:00")
    found.add(concept="Pulse", value="80", at="2026-01-02 10:00:00", concept_uuid="secret-concept")
    found.save()
    return found


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty one: what other tests of this process kept is not counted."""
    fresh = kept._Memory()
    monkeypatch.setattr(kept, "_MEMORY", fresh)
    return fresh


def shown(scope: Scope) -> set[str]:
    """What stands on the page of the history, asked for twice: the second time from memory."""
    for _time in range(2):
        page = history.visits_page(scope=scope)
    entries = [e for v in page.results for g in v.groups for b in g.blocks for e in b.entries]
    return {f"{entry.record.concept} {entry.record.value}" for entry in entries}


def doctors(chart: Chart) -> Scope:
    return scope_for(patient=chart.patient, basis=Basis.CARE)


def n_queries(chart: Chart) -> int:
    scope = own_scope(chart.patient)
    with CaptureQueriesContext(connection) as queries:
        history.visits_page(scope=scope)
    return len(queries)


def test_a_second_look_reads_no_record_again(chart: Chart) -> None:
    assert n_queries(chart) == 4
    assert n_queries(chart) == 2  # the links, and whether a record has changed


def test_a_new_record_is_seen_at_once(chart: Chart) -> None:
    assert shown(own_scope(chart.patient)) == {"Weight 71", "Pulse 80"}
    chart.records.clear()
    chart.add(concept="Height", value="170", at="2026-01-03 10:00:00")
    chart.save()
    assert shown(own_scope(chart.patient)) == {"Weight 71", "Pulse 80", "Height 170"}


@pytest.mark.parametrize(
    "change",
    [
        {"value": "99", "digest": 4711, "token": 2},  # the same run may write a row twice, so each counts by itself
        {"value": "99", "digest": 4711},
        {"value": "99", "token": 2},
    ],
)
def test_a_record_that_the_engine_wrote_anew_is_seen_at_once(chart: Chart, change: dict[str, Any]) -> None:
    shown(own_scope(chart.patient))
    Record.objects.filter(concept="Pulse").update(**change)
    assert shown(own_scope(chart.patient)) == {"Weight 71", "Pulse 99"}


def test_a_new_value_is_on_the_curve_at_once_and_a_withdrawn_one_gone(chart: Chart) -> None:
    def curve() -> list[str]:
        key = Record.objects.filter(concept="Weight").order_by("-key").values_list("key", flat=True)[0]
        found = history.trend(scope=own_scope(chart.patient), key=key)
        return [record.value for record in found.records] if found else []

    Record.objects.update(category="vital")
    assert curve() == curve() == ["71"]
    chart.records.clear()
    chart.add(concept="Weight", value="72", at="2026-01-03 10:00:00", category="vital")
    chart.save()
    assert curve() == ["72", "71"]
    Record.objects.filter(value="71").update(status="withdrawn", withdrawn_reason="voided", digest=0)
    assert curve() == ["72"]


def test_a_record_that_was_withdrawn_or_deleted_is_gone_at_once(chart: Chart) -> None:
    shown(own_scope(chart.patient))
    Record.objects.filter(concept="Pulse").update(status="withdrawn", withdrawn_reason="voided", digest=0)
    assert shown(own_scope(chart.patient)) == {"Weight 71"}
    Record.objects.filter(concept="Weight").delete()
    assert shown(own_scope(chart.patient)) == set()


def test_one_record_for_another_in_one_run_is_seen(chart: Chart) -> None:
    """As many as before, the newest as new as before, under the same token: only the digest tells them apart."""
    shown(own_scope(chart.patient))
    Record.objects.filter(concept="Pulse").delete()
    chart.records.clear()
    chart.add(concept="Height", value="170", at="2026-01-03 10:00:00")
    chart.save()
    assert shown(own_scope(chart.patient)) == {"Weight 71", "Height 170"}


@pytest.mark.parametrize("state", [LinkState.HELD, LinkState.UNLINKED, LinkState.ENDED])
def test_a_link_that_is_cut_takes_everything_along(chart: Chart, state: str) -> None:
    assert shown(own_scope(chart.patient))
    Link.objects.update(state=state)
    assert shown(own_scope(chart.patient)) == set()


def test_late_writers_are_left_out_at_once(chart: Chart) -> None:
    assert shown(own_scope(chart.patient))
    Link.objects.update(min_token=2)
    assert shown(own_scope(chart.patient)) == set()


@pytest.mark.parametrize("first", ["patient", "doctor"])
def test_nobody_is_shown_what_was_made_for_somebody_else(chart: Chart, first: str) -> None:
    Hide.objects.create(
        patient=chart.patient, kind="record", table="obs", source_uuid=chart.records[0].source_uuid, created_at=NOW
    )
    if first == "patient":
        assert shown(own_scope(chart.patient)) == {"Weight 71", "Pulse 80"}
    assert shown(doctors(chart)) == {"Pulse 80"}
    assert shown(own_scope(chart.patient)) == {"Weight 71", "Pulse 80"}


def test_what_is_hidden_or_sensitive_from_now_on_is_gone_at_once(chart: Chart) -> None:
    assert shown(doctors(chart)) == {"Weight 71", "Pulse 80"}
    Hide.objects.create(patient=chart.patient, kind="sensitive", sensitive_set="hiv", created_at=NOW)
    assert shown(doctors(chart)) == {"Weight 71", "Pulse 80"}
    SensitiveConcept.objects.create(concept_uuid="secret-concept", sensitive_set="hiv", name="x")
    assert shown(doctors(chart)) == {"Weight 71"}
    Hide.objects.all().delete()
    assert shown(doctors(chart)) == {"Weight 71", "Pulse 80"}


def test_what_the_patient_hides_is_marked_at_once(chart: Chart) -> None:
    def n_hidden() -> int:
        page = history.visits_page(scope=own_scope(chart.patient))
        return sum(e.record.is_hidden for v in page.results for g in v.groups for b in g.blocks for e in b.entries)

    assert n_hidden() == 0
    Hide.objects.create(patient=chart.patient, kind="category", category="test", created_at=NOW)
    assert n_hidden() == 2


def test_a_hospital_is_called_by_its_new_name_at_once(chart: Chart) -> None:
    shown(own_scope(chart.patient))
    Hospital.objects.update(name="Musanze")
    (visit, *_) = history.visits_page(scope=own_scope(chart.patient)).results
    assert visit.hospital_name == "Musanze"


def test_other_filters_and_pages_are_other_entries(chart: Chart) -> None:
    scope = own_scope(chart.patient)
    whole, found = history.visits_page(scope=scope), history.visits_page(scope=scope, filters=Filters(q="pulse"))
    first = history.visits_page(scope=scope, limit=1)
    assert (len(whole.results), len(found.results), len(first.results)) == (2, 1, 1)
    second = history.visits_page(scope=scope, limit=1, cursor=first.next)
    assert [visit.key for visit in (*first.results, *second.results)] == [visit.key for visit in whole.results]


def test_medicines_are_judged_by_the_clock_however_long_they_are_kept(chart: Chart) -> None:
    chart.records.clear()
    details = {"expires": "2026-03-05 00:00:00"}
    chart.add(concept="Metformin", table="orders", category="medication", at="2026-01-03 10:00:00", details=details)
    chart.save()
    scope = own_scope(chart.patient)
    today, next_week = (history.all_medicines(scope=scope, now=NOW + dt.timedelta(days=days)) for days in (0, 7))
    assert (len(today.current), len(today.past)) == (1, 0)
    assert (len(next_week.current), len(next_week.past)) == (0, 1)
    assert history.overview(scope=scope, now=NOW).medications
    assert not history.overview(scope=scope, now=NOW + dt.timedelta(days=7)).medications


def test_no_more_is_kept_than_memory_is_meant_for_it(
    chart: Chart, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_RECORDS", 25)
    for name in range(4):
        Reading(own_scope(chart.patient)).keep(name, n_records=len, make=lambda: list(range(10)))
    assert memory._n_records == 20
    assert len(memory._entries) == 2
    # Too large to be kept at all: the others go, and so does it.
    Reading(own_scope(chart.patient)).keep("large", n_records=len, make=lambda: list(range(30)))
    assert (memory._n_records, len(memory._entries)) == (0, 0)


def test_what_nobody_asks_for_is_let_go_of(chart: Chart, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(own_scope(chart.patient))
    clock = iter([5.0, 5.0 + kept.LONGEST, 6.0 + kept.LONGEST])
    monkeypatch.setattr(kept.time, "monotonic", lambda: next(clock))
    reading.keep("old", n_records=len, make=list)
    reading.keep("newer", n_records=len, make=list)
    assert len(memory._entries) == 2
    reading.keep("newest", n_records=len, make=list)
    assert [key[1] for key in memory._entries] == [("newer",), ("newest",)]


def test_whether_a_record_has_changed_is_told_by_the_index_alone(chart: Chart) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Asks SQLite how it would look.")
    told = Reading(own_scope(chart.patient)).seen.changing.values("key", "token", "digest").explain()
    assert "COVERING INDEX passport_record_of_link" in told


def test_who_may_not_see_a_record_does_not_learn_that_it_changed(chart: Chart) -> None:
    Hide.objects.create(
        patient=chart.patient, kind="record", table="obs", source_uuid=chart.records[0].source_uuid, created_at=NOW
    )
    before = [history.version(scope=scope) for scope in (doctors(chart), own_scope(chart.patient))]
    Record.objects.filter(concept="Weight").update(value="72", digest=4711, token=2)
    after = [history.version(scope=scope) for scope in (doctors(chart), own_scope(chart.patient))]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]
