"""What is shown of a patient: which records, in which order, and how far they can be trusted."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openmrs_sync.models import Breaker
from passport import history
from passport.access import Action, open_record
from passport.history import BadCursor, BadFilter, Filters, FreshnessState, Standing, Status, parse_filters
from passport.models import Link, Record
from passport.models.record import Category
from tests.records import Chart, make_account, make_hospital, make_patient, number, own_scope

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def chart() -> Chart:
    hospital = make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW)
    return Chart(patient=make_patient(national_id="1199780012345678", now=NOW), hospital=hospital, now=NOW)


def another(chart: Chart) -> Chart:
    return Chart(patient=chart.patient, hospital=make_hospital(name="Butare", code="butare", now=NOW), now=NOW)


def concepts(chart: Chart, **filters: Any) -> list[str]:
    page = history.records_page(scope=own_scope(chart.patient), filters=Filters(**filters))
    return [view.concept for view in page.results]


# --- the list ---------------------------------------------------------------------------------------------------------


def test_records_of_all_hospitals_are_newest_first_and_undated_last(chart: Chart) -> None:
    chart.add(concept="old", at="2020-01-01 10:00:00")
    chart.add(concept="undated")
    other = another(chart)
    other.add(concept="new", at="2026-01-01 10:00:00")
    chart.save()
    other.save()
    assert concepts(chart) == ["new", "old", "undated"]


def test_a_record_says_what_the_contract_says(chart: Chart) -> None:
    made = chart.add(concept="HbA1c", at="2026-03-01 10:20:30", **number(9.1, "%", 4, 6.5), group_id=5, visit_id=3)
    chart.save()
    (view,) = history.records_page(scope=own_scope(chart.patient)).results
    assert (view.id, view.hospital, view.hospital_name) == (made.key, "ruhengeri", "Ruhengeri")
    assert (view.value, view.value_number, view.unit, view.low, view.high, view.flag) == (
        "9.1",
        9.1,
        "%",
        4,
        6.5,
        "high",
    )
    assert (view.at, view.date, view.group, view.visit) == ("2026-03-01T10:20:30+02:00", "2026-03-01", 5, 3)
    assert (view.source.table, view.source.id, view.source.uuid) == ("obs", made.source_id, made.source_uuid)


@pytest.mark.parametrize(
    "zone, at_local, at",
    [
        ("Africa/Kigali", "1930-01-01 00:00:00", "1930-01-01T00:00:00+02:00"),
        ("Europe/Paris", "2024-10-27 02:30:00", "2024-10-27T02:30:00+02:00"),
        ("Africa/Cairo", "2024-04-26 00:00:00", "2024-04-26T00:00:00+02:00"),
        ("nowhere", "2024-04-26 00:00:00", None),
    ],
)
def test_the_shown_day_is_the_hospitals_day(chart: Chart, zone: str, at_local: str, at: str | None) -> None:
    """T38, T94"""
    chart.add(concept="x", at=at_local)
    chart.save()
    type(chart.hospital).objects.update(time_zone=zone)
    (view,) = history.records_page(scope=own_scope(chart.patient)).results
    assert (view.at, view.date) == (at, at_local[:10])


@pytest.mark.parametrize("change", [{"state": "held"}, {"state": "unlinked"}, {"state": "ended"}, {"epoch": 2}])
def test_records_of_a_link_that_does_not_count_are_shown_to_nobody(chart: Chart, change: dict[str, Any]) -> None:
    made = chart.add(concept="x", at="2026-01-01 10:00:00")
    chart.save()
    assert concepts(chart) == ["x"]
    Link.objects.update(**change)
    patient = chart.patient
    assert concepts(chart) == []
    assert history.record_detail(scope=own_scope(patient), key=made.key) is None
    assert history.visits_page(scope=own_scope(patient)).results == []
    assert history.overview(scope=own_scope(patient), now=NOW).latest_results == []


def test_a_record_that_still_names_the_patient_under_another_ones_link_is_not_shown(chart: Chart) -> None:
    chart.add(concept="x", at="2026-01-01 10:00:00")
    chart.save()
    Link.objects.update(patient=make_patient(national_id="AB1234", now=NOW))
    assert concepts(chart) == []


def test_what_a_worker_wrote_after_its_claim_had_run_out_is_not_shown(chart: Chart) -> None:
    chart.add(concept="late").token = 6
    chart.add(concept="good").token = 7
    chart.save()
    Link.objects.update(min_token=7)
    assert concepts(chart) == ["good"]


def test_pages_by_key_hold_every_record_once(chart: Chart) -> None:
    for index in range(23):
        chart.add(concept=str(index), at=None if index < 5 else "2026-01-01 10:00:00")
    chart.save()
    seen, cursor = [], None
    while True:
        page = history.records_page(scope=own_scope(chart.patient), cursor=cursor, limit=4)
        seen += [view.id for view in page.results]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 23
    assert seen == [view.id for view in history.records_page(scope=own_scope(chart.patient)).results]


@pytest.mark.parametrize("cursor", ["x", "é", "MTI", "AAAA", "MTow", "-1:x", "OjowMDAxMDFvMDAwMDAwMDAwMQ", "a" * 5000])
def test_a_cursor_that_is_not_ours_is_refused(chart: Chart, cursor: str) -> None:
    for read in (history.records_page, history.visits_page):
        with pytest.raises(BadCursor):
            read(scope=own_scope(chart.patient), cursor=cursor)
    with pytest.raises(BadCursor):
        history.looks_page(patient=chart.patient, cursor=cursor)


def test_days_are_the_hospitals_and_both_inclusive(chart: Chart) -> None:
    for at in ("2026-01-01 00:00:00", "2026-01-01 23:59:59", "2026-01-02 00:00:00", None):
        chart.add(concept=str(at), at=at)
    chart.save()
    first = dt.date(2026, 1, 1)
    assert concepts(chart, from_date=first, to_date=first) == ["2026-01-01 23:59:59", "2026-01-01 00:00:00"]
    assert concepts(chart, from_date=dt.date(2026, 1, 2)) == ["2026-01-02 00:00:00"]
    assert concepts(chart, to_date=dt.date(2025, 12, 31)) == []


def test_categories_hospitals_and_withdrawn_ones_are_kept_apart(chart: Chart) -> None:
    chart.add(concept="vital", category="vital")
    chart.add(concept="gone", status="withdrawn")
    other = another(chart)
    other.add(concept="there")
    chart.save()
    other.save()
    assert concepts(chart, category=Category.VITAL) == ["vital"]
    assert concepts(chart, hospital="butare") == ["there"]
    assert concepts(chart, status=Status.WITHDRAWN) == ["gone"]
    assert sorted(concepts(chart, status=Status.ALL)) == ["gone", "there", "vital"]


@pytest.mark.parametrize("q", ["HÉMOGLOBINE", "hemoglobine", "globine élevée", "ELEVEE", "100%_"])
def test_words_are_found_without_case_and_accents(chart: Chart, q: str) -> None:
    chart.add(concept="Hémoglobine", value="Élevée 100%_")
    chart.add(concept="Globule", value="Normal 100x")
    chart.save()
    assert concepts(chart, q=q) == ["Hémoglobine"]
    assert [v.n_records for v in history.visits_page(scope=own_scope(chart.patient), filters=Filters(q=q)).results] == [
        1
    ]


def test_a_search_is_paged_like_the_rest(chart: Chart) -> None:
    for index in range(9):
        chart.add(concept=f"{'glucose' if index % 2 else 'other'} {index}", at=f"2026-01-0{index + 1} 10:00:00")
    chart.save()
    first = history.records_page(scope=own_scope(chart.patient), filters=Filters(q="glucose"), limit=3)
    second = history.records_page(
        scope=own_scope(chart.patient), filters=Filters(q="glucose"), limit=3, cursor=first.next
    )
    assert [v.concept[-1] for v in (*first.results, *second.results)] == ["7", "5", "3", "1"]
    assert second.next is None


@pytest.mark.parametrize(
    "params, field",
    [
        ({"category": "Test"}, "category"),
        ({"hospital": "nowhere"}, "hospital"),
        ({"status": "gone"}, "status"),
        ({"from": "01/02/2026"}, "from"),
        ({"to": "20260102"}, "to"),
        ({"to": "2026-02-30"}, "to"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "to"),
        ({"q": "x" * 201}, "q"),
        ({"q": "a\x00"}, "q"),
    ],
)
def test_an_unknown_filter_value_is_refused_by_name(chart: Chart, params: dict[str, str], field: str) -> None:
    with pytest.raises(BadFilter) as refusal:
        parse_filters(params)
    assert refusal.value.field == field


def test_filters_are_read_from_a_query(chart: Chart) -> None:
    query = {"category": "test", "hospital": "ruhengeri", "from": "2026-01-01", "to": "", "q": " a b ", "status": "all"}
    assert parse_filters(query) == Filters(
        category=Category.TEST, hospital="ruhengeri", from_date=dt.date(2026, 1, 1), q="a b", status=Status.ALL
    )
    assert parse_filters({"category": "", "unknown": "x"}).is_empty


# --- one record -------------------------------------------------------------------------------------------------------


def test_one_record_is_shown_with_what_stands_around_it(chart: Chart) -> None:
    malaria = chart.add(concept="Diagnosis", value="Malaria", group_id=9)
    severity = chart.add(concept="Severity", value="severe", part_of=malaria.key, group_id=9)
    fever = chart.add(concept="Fever", group_id=9)
    chart.add(concept="Elsewhere", group_id=10)
    chart.save()
    detail = history.record_detail(scope=own_scope(chart.patient), key=malaria.key)
    assert detail is not None
    assert [v.id for v in detail.qualifiers] == [severity.key]
    assert [v.id for v in detail.group] == [fever.key]
    below = history.record_detail(scope=own_scope(chart.patient), key=severity.key)
    assert below is not None
    assert below.qualified is not None
    assert below.qualified.id == malaria.key


def test_the_key_of_another_patients_record_is_the_key_of_none(chart: Chart) -> None:
    other = Chart(patient=make_patient(national_id="AB1234", now=NOW), hospital=chart.hospital, now=NOW)
    theirs = other.add(concept="x")
    other.save()
    assert history.record_detail(scope=own_scope(chart.patient), key=theirs.key) is None


# --- by visit ---------------------------------------------------------------------------------------------------------


def visits(chart: Chart, **filters: Any) -> list[history.VisitView]:
    return list(history.visits_page(scope=own_scope(chart.patient), filters=Filters(**filters)).results)


def test_a_visit_gathers_what_was_recorded_in_it(chart: Chart) -> None:
    visit_id = chart.visit(title="Clinic", at="2026-03-01 08:00:00")
    diagnosis = chart.add(
        concept="Diagnosis", value="Malaria", category="condition", visit_id=visit_id, at="2026-03-01 09:00:00"
    )
    for name in ("certain", "first"):
        chart.add(
            concept=name, category="condition", part_of=diagnosis.key, visit_id=visit_id, at="2026-03-01 09:00:00"
        )
    for name in ("Hb", "Ht"):
        chart.add(concept=name, group_id=77, visit_id=visit_id, at="2026-03-01 10:00:00")
    chart.add(concept="Glucose", visit_id=visit_id, at="2026-03-01 09:30:00", provider="Dr Bosco")
    chart.save()
    (visit,) = visits(chart)
    assert (visit.title, visit.date, visit.location, visit.n_records) == ("Clinic", "2026-03-01", "Outpatients", 7)
    assert visit.providers == ["Dr Aline Mukamana", "Dr Bosco"]
    condition, tests = visit.groups
    ((entry,),) = [block.entries for block in condition.blocks]
    assert (entry.record.id, [q.concept for q in entry.qualifiers]) == (diagnosis.key, ["certain", "first"])
    assert [(b.group, [e.record.concept for e in b.entries]) for b in tests.blocks] == [
        (None, ["Glucose"]),
        (77, ["Hb", "Ht"]),
    ]


def test_without_a_visit_the_encounter_and_without_that_the_day_gathers(chart: Chart) -> None:
    header = chart.add(
        concept="Encounter", value="Vitals", table="encounter", category="visit", at="2026-02-01 08:00:00"
    )
    header.encounter_id = header.source_id
    chart.add(concept="a", encounter_id=header.source_id, at="2026-02-01 08:10:00")
    for at in ("2026-02-02 08:00:00", "2026-02-02 23:00:00", "2026-02-03 08:00:00", None):
        chart.add(concept=str(at), at=at)
    chart.save()
    assert [(v.title, v.date, v.n_records) for v in visits(chart)] == [
        ("", "2026-02-03", 1),
        ("", "2026-02-02", 2),
        ("Vitals", "2026-02-01", 2),
        ("", None, 1),
    ]


def test_two_hospitals_with_the_same_visit_id_have_two_visits(chart: Chart) -> None:
    other = another(chart)
    for each in (chart, other):
        each.add(concept="x", visit_id=5, at="2026-02-01 08:00:00")
        each.save()
    assert sorted(v.hospital for v in visits(chart)) == ["butare", "ruhengeri"]


def test_a_filtered_visit_keeps_its_name_and_shows_the_matches_only(chart: Chart) -> None:
    visit_id = chart.visit(title="Clinic", at="2026-03-01 08:00:00")
    chart.add(concept="Weight", category="vital", visit_id=visit_id, at="2026-03-01 08:00:00")
    chart.add(concept="Hb", visit_id=visit_id, at="2026-03-01 08:00:00")
    chart.visit(title="Other", at="2026-02-01 08:00:00")
    chart.save()
    (visit,) = visits(chart, category=Category.TEST)
    assert (visit.title, visit.n_records, [g.category for g in visit.groups]) == ("Clinic", 1, ["test"])


def test_pages_of_visits_hold_every_visit_once_in_order(chart: Chart) -> None:
    for day in range(1, 8):
        visit_id = chart.visit(title=str(day), at=f"2026-01-0{day} 08:00:00")
        # Back-dated: a visit stands where it began, whatever was written down in it.
        chart.add(concept="x", visit_id=visit_id, at=f"2025-01-0{8 - day} 08:00:00")
    chart.save()
    titles, cursor = [], None
    while True:
        page = history.visits_page(scope=own_scope(chart.patient), cursor=cursor, limit=3)
        titles += [visit.title for visit in page.results]
        cursor = page.next
        if cursor is None:
            break
    assert titles == list("7654321")


def test_a_page_of_visits_ends_before_it_grows_too_long(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passport.history.visits.RECORDS_OF_A_VISITS_PAGE", 3)
    for day in (1, 2, 3):
        for _ in range(2 * day):
            chart.add(concept="x", visit_id=day, at=f"2026-01-0{day} 08:00:00")
    chart.save()
    assert [v.visit_id for v in visits(chart)] == [3]


def walked(chart: Chart) -> list[list[history.VisitView]]:
    """The visits of each page, by the link from one to the next."""
    pages, cursor = [], None
    while True:
        page = history.visits_page(scope=own_scope(chart.patient), cursor=cursor)
        pages.append(list(page.results))
        cursor = page.next
        if cursor is None:
            return pages


def entries_of(visit: history.VisitView) -> list[str]:
    return [entry.record.id for group in visit.groups for block in group.blocks for entry in block.entries]


def test_a_visit_longer_than_a_page_goes_on_on_the_next_and_no_group_is_torn(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passport.history.visits.RECORDS_OF_A_VISITS_PAGE", 10)
    visit_id = chart.visit(title="Ward", at="2026-03-01 08:00:00")
    ids = []
    for index in range(24):
        category = "condition" if index == 23 else "test"
        record = chart.add(
            concept=f"x{index}", at="2026-03-01 09:00:00", visit_id=visit_id, group_id=index // 4, category=category
        )
        ids.append(record.key)
    chart.visit(title="Before", at="2026-02-01 08:00:00")
    chart.save()
    pages = walked(chart)
    assert [[(v.title, v.n_before, len(entries_of(v)), v.n_after) for v in page] for page in pages] == [
        [("Ward", 0, 8, 16)],
        [("Ward", 8, 8, 8)],
        [("Ward", 16, 8, 0), ("Before", 0, 0, 0)],
    ]
    assert sorted(key for page in pages for visit in page for key in entries_of(visit)) == sorted(ids)


def test_a_page_that_begins_in_a_visit_shows_all_of_it_when_the_entry_has_gone(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passport.history.visits.RECORDS_OF_A_VISITS_PAGE", 2)
    keys = [chart.add(concept=f"x{n}", at="2026-03-01 09:00:00", visit_id=7).key for n in range(4)]
    chart.save()
    page = history.visits_page(scope=own_scope(chart.patient))
    Record.objects.filter(key=keys[2]).delete()
    (visit,) = history.visits_page(scope=own_scope(chart.patient), cursor=page.next).results
    assert entries_of(visit) == keys[:2]


def test_a_page_with_much_text_ends_early(chart: Chart) -> None:
    for day in range(1, 9):
        for hour in range(10, 16):
            chart.add(concept="Note", value="é" * 5000, at=f"2026-01-0{day} {hour}:00:00", visit_id=day)
    chart.save()
    pages = walked(chart)
    shown = [entries_of(visit) for page in pages for visit in page]
    assert len({key for keys in shown for key in keys}) == sum(len(keys) for keys in shown) == 48
    # 600 characters of each are shown, two bytes each
    assert {sum(len(entries_of(visit)) for visit in page) for page in pages} == {6}


# --- overview ---------------------------------------------------------------------------------------------------------


def order(chart: Chart, name: str, at: str = "2026-02-01 08:00:00", **details: str) -> None:
    chart.add(concept=name, value="1 tablet", table="orders", category="medication", at=at, details=details)


def test_medicines_hold_by_the_sources_dates_and_the_clock(chart: Chart) -> None:
    """T78"""
    order(chart, "running", expires="2026-03-10 00:00:00")
    order(chart, "expired", expires="2026-03-04 11:59:59")  # noon in Kigali is 10:00 UTC
    order(chart, "stopped", stopped="2026-03-01 00:00:00", expires="2026-03-10 00:00:00")
    order(chart, "open-ended")
    chart.save()
    found = {
        each.record.concept: each.standing
        for each in history.overview(scope=own_scope(chart.patient), now=NOW).medications
    }
    assert found == {"running": Standing.CURRENT, "open-ended": Standing.UNKNOWN}
    later = history.overview(scope=own_scope(chart.patient), now=NOW + dt.timedelta(days=30))
    assert [each.record.concept for each in later.medications] == ["open-ended"]


def test_the_newest_word_on_a_medicine_counts_unless_an_older_one_still_holds(chart: Chart) -> None:
    order(chart, "A", at="2026-01-01 08:00:00")
    order(chart, "A", at="2026-02-01 08:00:00", stopped="2026-02-10 00:00:00")
    order(chart, "B", at="2026-01-01 08:00:00", expires="2026-12-01 00:00:00")
    order(chart, "B", at="2026-02-01 08:00:00", stopped="2026-02-10 00:00:00")
    chart.save()
    found = history.overview(scope=own_scope(chart.patient), now=NOW).medications
    assert [(each.record.concept, each.standing) for each in found] == [("B", Standing.CURRENT)]


def test_conditions_say_whether_they_are_known_to_hold(chart: Chart) -> None:
    for value, details in {
        "Hypertension": {"clinical_status": "active"},
        "Malaria": {"clinical_status": "inactive"},
        "Fracture": {"clinical_status": "active", "ended": "2025-01-01 00:00:00"},
        "Typhoid": {"diagnosis_status": "Ruled Out Diagnosis"},
        "Diabetes": {},
    }.items():
        chart.add(concept="Condition", value=value, table="conditions", category="condition", details=details)
    chart.add(concept="Diagnosis", value="HYPERTENSION", table="encounter_diagnosis", category="condition")
    chart.save()
    found = history.overview(scope=own_scope(chart.patient), now=NOW).conditions
    assert {(each.record.value, each.standing) for each in found} == {
        ("Hypertension", Standing.CURRENT),
        ("Diabetes", Standing.UNKNOWN),
    }


def test_the_overview_shows_the_newest_of_each_result(chart: Chart) -> None:
    for month, value in ((1, 5.0), (3, 7.0), (2, 6.0)):
        chart.add(concept="Glucose", at=f"2026-0{month}-01 08:00:00", **number(value, "mmol/L"))
        chart.add(concept="Weight", category="vital", at=f"2026-0{month}-01 08:00:00", **number(value, "kg"))
    chart.add(concept="Glucose", at="2026-03-02 08:00:00", status="withdrawn", **number(99, "mmol/L"))
    chart.add(concept="Allergy", value="Penicillin", table="allergy", category="allergy")
    chart.save()
    found = history.overview(scope=own_scope(chart.patient), now=NOW)
    assert [v.value_number for v in found.latest_results] == [7.0]
    assert [v.value_number for v in found.latest_vitals] == [7.0]
    assert [v.value for v in found.allergies] == ["Penicillin"]


def test_a_hospital_with_a_held_match_may_hold_more(chart: Chart) -> None:
    other = another(chart)
    Link.objects.filter(pk=other.link.pk).update(state="held")
    assert history.overview(scope=own_scope(chart.patient), now=NOW).may_hold_more == ["Butare"]


# --- freshness --------------------------------------------------------------------------------------------------------


def fresh(chart: Chart) -> dict[str, tuple[str, dt.datetime | None]]:
    return {f.hospital: (f.state, f.read_at) for f in history.freshness(scope=own_scope(chart.patient), now=NOW)}


def test_a_hospital_that_was_just_looked_at_is_fresh(chart: Chart) -> None:
    Link.objects.update(refreshed_at=NOW - dt.timedelta(hours=5))
    Breaker.objects.update(last_success_at=NOW - 5 * MINUTE)
    assert fresh(chart) == {"ruhengeri": ("fresh", NOW - 5 * MINUTE)}


@pytest.mark.parametrize(
    "link, breaker, state, read_at",
    [
        ({}, {"last_success_at": NOW - 20 * MINUTE}, "late", NOW),
        ({"marks": 2, "stale_since": NOW - MINUTE, "refreshed_at": NOW - 60 * MINUTE}, {}, "fresh", NOW - 60 * MINUTE),
        ({"marks": 2, "stale_since": NOW - 60 * MINUTE}, {}, "late", NOW),
        ({"refreshed_at": NOW - dt.timedelta(hours=30)}, {}, "late", NOW),
        ({"refreshed_at": None}, {}, "late", None),
        ({}, {"last_success_at": NOW - 9 * MINUTE, "last_error_at": NOW - MINUTE}, "unreachable", NOW),
    ],
)
def test_a_hospital_says_how_far_it_can_be_trusted(
    chart: Chart, link: dict[str, Any], breaker: dict[str, Any], state: str, read_at: dt.datetime | None
) -> None:
    Link.objects.update(**link)
    Breaker.objects.update(**breaker)
    assert fresh(chart) == {"ruhengeri": (state, read_at)}


def test_a_paused_hospital_is_paused(chart: Chart) -> None:
    type(chart.hospital).objects.update(state="paused")
    assert fresh(chart)["ruhengeri"][0] == FreshnessState.PAUSED


def test_a_live_hospital_that_was_not_reached_is_named_although_nothing_is_known_there(chart: Chart) -> None:
    make_hospital(name="Reached", now=NOW)
    down = make_hospital(name="Down", code="down", now=NOW)
    Breaker.objects.filter(hospital=down).update(last_success_at=None, last_error_at=NOW)
    assert fresh(chart) == {"down": ("unreachable", None), "ruhengeri": ("fresh", NOW)}


# --- who looked, and what it costs ------------------------------------------------------------------------------------


def test_who_looked_is_told_in_words_of_ours(chart: Chart) -> None:
    bob = make_account(username="bob", role="doctor", hospital=chart.hospital, first_name="Bob", last_name="Gatera")
    chart.add(concept="x", at=chart.moment(1, "10:00:00"))
    chart.save()
    open_record(user=bob, action=Action.RECORDS, now=NOW, patient_id=chart.patient.pk)
    page = history.looks_page(patient=chart.patient, limit=1)
    (look,) = page.results
    assert (look.action, look.who, look.role, look.hospital, look.basis) == (
        "records_read",
        "Bob Gatera",
        "doctor",
        "ruhengeri",
        "care",
    )
    rest = history.looks_page(patient=chart.patient, cursor=page.next)
    assert [look.action for look in rest.results] == ["patient_registered"]


def test_the_version_changes_with_what_is_shown(chart: Chart) -> None:
    chart.add(concept="x")
    chart.save()
    first = history.version(scope=own_scope(chart.patient))
    assert history.version(scope=own_scope(chart.patient)) == first
    Record.objects.update(status="withdrawn", digest=0)
    assert history.version(scope=own_scope(chart.patient)) != first


@pytest.mark.parametrize(
    "read, n_queries",
    [
        (lambda s: history.records_page(scope=s), 2),
        (lambda s: history.records_page(scope=s, filters=Filters(q="x")), 3),
        (lambda s: history.visits_page(scope=s), 4),
        (lambda s: history.overview(scope=s, now=NOW), 8),
        (lambda s: history.freshness(scope=s, now=NOW), 3),
    ],
)
def test_a_read_makes_the_same_queries_however_long_the_history(chart: Chart, read: Any, n_queries: int) -> None:
    counts = []
    for round_ in range(2):
        for index in range(40):
            chart.add(concept=f"x{index}", visit_id=index, at=f"2026-01-01 10:{index:02}:0{round_}")
        chart.save()
        chart.records.clear()
        scope = own_scope(chart.patient)
        with CaptureQueriesContext(connection) as queries:
            read(scope)
        counts.append(len(queries))
    assert counts == [n_queries, n_queries]
