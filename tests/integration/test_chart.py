"""Overview and history: what is new, what stood there before, what two databases hold alike, and the years."""

import datetime as dt
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from passport import audit, history
from passport.access import Basis
from passport.access.scope import scope_for, visible
from passport.history import Filters, kept
from passport.history.news import last_here, news, since_visit
from passport.models import Hide, Link, Patient, User
from passport.models.links import LinkState
from tests.integration.test_pages import _ground, logged_in, text_of  # noqa: F401 - a fixture, autouse
from tests.records import Chart, fill_with_many, make_account, make_hospital, make_patient, number, own_scope

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
UUID = "8a6b1f0e-0000-4000-8000-000000000001"


@pytest.fixture
def patient() -> Patient:
    return make_patient(national_id="1199780012345678", username="alice", now=NOW)


@pytest.fixture
def chart(patient: Patient) -> Chart:
    return Chart(patient=patient, hospital=make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW), now=NOW)


def clone_of(chart: Chart) -> Chart:
    """The same person at a hospital whose database was copied from this one."""
    hospital = make_hospital(name="Butare", code="butare", now=NOW)
    return Chart(patient=chart.patient, hospital=hospital, now=NOW)


def lines_of(scope: Any, **filters: Any) -> list[history.Entry]:
    page = history.visits_page(scope=scope, filters=Filters(**filters))
    return [e for visit in page.results for group in visit.groups for block in group.blocks for e in block.entries]


@pytest.mark.parametrize("value, shown", [("False", "No"), ("TRUE", "Yes"), ("2026-12-31", "31 Dec 2026")])
def test_what_a_computer_wrote_is_read_as_people_write_it(chart: Chart, value: str, shown: str) -> None:
    chart.add(concept="Asked", value=value, category="other", at="2024-05-01 10:00:00")
    chart.save()
    page = text_of(logged_in(chart.patient.user), reverse("own_history"))
    assert shown in page
    assert value not in page
    entry = text_of(logged_in(chart.patient.user), reverse("own_record", args=[chart.records[0].key]))
    assert f'<p class="own" dir="auto">{value}</p>' in entry  # there the hospital's own words stand beneath


# --- twins ------------------------------------------------------------------------------------------------------------


def add_twins(chart: Chart, **other: Any) -> Chart:
    clone = clone_of(chart)
    for each, more in ((chart, {}), (clone, other)):
        same: dict[str, Any] = {"at": "2024-05-01 10:00:00", "source_uuid": UUID, **number(5, "mmol/L"), **more}
        each.add(concept="Glucose", **same)
        each.save()
    return clone


def test_a_row_of_a_cloned_database_is_shown_once_and_both_are_named(chart: Chart) -> None:
    """T34"""
    add_twins(chart)
    (entry,) = lines_of(own_scope(chart.patient))
    assert entry.record.hospital == "ruhengeri"
    assert entry.also_held_by == ["Butare"]
    page = text_of(logged_in(chart.patient.user), reverse("own_history"))
    assert page.count("Glucose") == 1
    assert "also held by Butare" in page


def test_copies_that_say_different_things_are_both_shown(chart: Chart) -> None:
    """T34: a difference between two hospitals is never hidden."""
    add_twins(chart, value="7")
    entries = lines_of(own_scope(chart.patient))
    assert {entry.record.value for entry in entries} == {"5", "7"}
    assert [entry.also_held_by for entry in entries] == [[], []]


def test_the_same_uuid_at_one_hospital_is_no_twin(chart: Chart) -> None:
    clone_of(chart).save()
    for _ in range(2):
        chart.add(concept="Glucose", at="2024-05-01 10:00:00", source_uuid=UUID, **number(5, "mmol/L"))
    chart.save()
    assert len(lines_of(own_scope(chart.patient))) == 2


def test_a_hidden_hospital_is_not_named_as_a_twin(chart: Chart) -> None:
    clone = add_twins(chart)
    Hide.objects.create(patient=chart.patient, kind="hospital", hospital=clone.hospital, created_at=NOW)
    doctor = scope_for(patient=chart.patient, basis=Basis.CARE)
    assert [entry.also_held_by for entry in lines_of(doctor)] == [[]]


def test_with_the_first_hospital_hidden_the_twin_stands_for_itself(chart: Chart) -> None:
    clone = add_twins(chart)
    Hide.objects.create(patient=chart.patient, kind="hospital", hospital=chart.hospital, created_at=NOW)
    (entry,) = lines_of(scope_for(patient=chart.patient, basis=Basis.CARE))
    assert entry.record.hospital == clone.hospital.code
    assert entry.also_held_by == []


def test_a_twin_of_a_link_that_does_not_count_is_not_named(chart: Chart) -> None:
    clone = add_twins(chart)
    Link.objects.filter(pk=clone.link.pk).update(state=LinkState.HELD)
    (entry,) = lines_of(own_scope(chart.patient))
    assert entry.also_held_by == []


# --- what stood there before ------------------------------------------------------------------------------------------


def add_versions(chart: Chart, *, before: str = "2024-05-01 10:00:00", after: str = "2024-05-02 08:00:00") -> None:
    same: dict[str, Any] = {"at": "2024-05-01 09:00:00", "encounter_id": 7, "concept_id": 21}
    withdrawn = {"status": "withdrawn", "withdrawn_reason": "voided"}
    chart.add(concept="Weight", entered_at_local=before, **number(715, "kg"), **withdrawn, **same)
    chart.add(concept="Weight", entered_at_local=after, **number(71.5, "kg"), **same)
    chart.save()


def test_a_corrected_entry_keeps_what_stood_there_before_behind_a_click(chart: Chart) -> None:
    add_versions(chart)
    page = text_of(logged_in(chart.patient.user), reverse("own_history"))
    assert "corrected" in page
    before = page.index("What stood here before")
    assert page.index("715") > before > page.index("71.5")
    assert "has taken back" not in page  # it is told once


def test_answers_entered_together_are_no_versions_of_each_other(chart: Chart) -> None:
    add_versions(chart, after="2024-05-01 10:00:00")
    (entry,) = lines_of(own_scope(chart.patient))
    assert entry.earlier == []


def test_two_answers_that_are_left_share_no_earlier_one(chart: Chart) -> None:
    chart.add(concept="Weight", at="2024-05-01 09:00:00", encounter_id=7, concept_id=21, **number(72, "kg"))
    add_versions(chart)
    assert [entry.earlier for entry in lines_of(own_scope(chart.patient))] == [[], []]


def test_what_was_taken_back_without_another_answer_is_said_with_a_way_to_it(chart: Chart) -> None:
    at = "2024-05-01 09:00:00"
    chart.add(concept="Pulse", at=at, encounter_id=7, **number(80, "/min"))
    chart.add(concept="Haemoglobin", at=at, encounter_id=7, status="withdrawn", withdrawn_reason="voided")
    chart.add(concept="Elsewhere", at=at, encounter_id=7, status="withdrawn", withdrawn_reason="moved")
    chart.save()
    client = logged_in(chart.patient.user)
    answer = client.get(reverse("own_history"))
    page = answer.content.decode()
    assert "The hospital has taken back 1 entry of this visit." in page
    assert "Haemoglobin" not in page
    assert "Haemoglobin" in text_of(client, answer.context["cards"][0].withdrawn_url)


def test_a_hidden_entry_that_was_taken_back_is_not_counted_for_a_doctor(chart: Chart) -> None:
    at = "2024-05-01 09:00:00"
    chart.add(concept="Pulse", at=at, encounter_id=7, category="vital")
    chart.add(concept="x", at=at, encounter_id=7, category="other", status="withdrawn", withdrawn_reason="voided")
    chart.save()
    Hide.objects.create(patient=chart.patient, kind="category", category="other", created_at=NOW)
    (visit,) = history.visits_page(scope=scope_for(patient=chart.patient, basis=Basis.CARE)).results
    assert visit.n_withdrawn == 0
    (visit,) = history.visits_page(scope=own_scope(chart.patient)).results
    assert visit.n_withdrawn == 1


# --- groups -----------------------------------------------------------------------------------------------------------


def test_a_group_of_several_categories_is_one_card(chart: Chart) -> None:
    """T53: neither 324 cards for 324 obs, nor the members of one group in several."""
    at = "2024-05-01 09:00:00"
    for index in range(324):
        category = ("test", "test", "other")[index % 3]
        details = {"group": f"Panel {index // 12}"}
        chart.add(
            concept=f"Part {index}", at=at, encounter_id=7, group_id=index // 12, category=category, details=details
        )
    chart.save()
    page = history.visits_page(scope=own_scope(chart.patient))
    groups = [group for visit in page.results for group in visit.groups]
    while page.next:  # so long a visit goes on on the next page, between two groups
        page = history.visits_page(scope=own_scope(chart.patient), cursor=page.next)
        groups += [group for visit in page.results for group in visit.groups]
    assert [len(block.entries) for group in groups for block in group.blocks] == [12] * 27
    assert {group.category for group in groups} == {"test"}


# --- years ------------------------------------------------------------------------------------------------------------


def test_each_year_leads_to_the_page_that_begins_with_it(chart: Chart) -> None:
    for year in (2026, 2024, 2019):
        for day in range(1, 13):
            chart.add(concept=f"Test {year}", at=f"{year}-01-{day:02d} 08:00:00")
    chart.add(concept="Undated", at=None)
    chart.save()
    client = logged_in(chart.patient.user)
    years = client.get(reverse("own_history")).context["years"]
    assert [(each.name, each.words, each.is_here) for each in years] == [
        ("2026", "12 visits", True),
        ("2024", "12 visits", False),
        ("2019", "12 visits", False),
        ("No date", "1 visit", False),
    ]
    for each in years:
        visits = client.get(each.url).context["visits"]
        assert (visits[0].date or "No date")[: len(each.name)] == each.name


def test_the_years_keep_the_filters(chart: Chart) -> None:
    for year in (2026, 2024):
        chart.add(concept="Test", at=f"{year}-01-05 08:00:00")
    chart.add(concept="Note", at="2020-01-05 08:00:00", category="other")
    chart.save()
    years = logged_in(chart.patient.user).get(reverse("own_history") + "?category=test").context["years"]
    assert [each.name for each in years] == ["2026", "2024"]
    assert all("category=test" in each.url for each in years)


# --- what is new ------------------------------------------------------------------------------------------------------


def look(patient: Patient, at: dt.datetime, *, who: User | None = None, basis: Basis = Basis.ONESELF) -> None:
    audit.record_event(
        action="overview_read", actor=who or patient.user, now=at, patient_id=patient.pk, hospital_id=None, basis=basis
    )


def test_the_last_visit_here_ended_before_the_pause_and_is_ones_own(patient: Patient) -> None:
    assert patient.user is not None
    scope = own_scope(patient)
    assert last_here(scope=scope, user=patient.user, now=NOW) is None
    carer = make_account(username="carer")
    look(patient, NOW - 5 * HOUR)
    look(patient, NOW - 2 * HOUR, who=carer, basis=Basis.CARER)
    look(patient, NOW - dt.timedelta(minutes=10))
    look(patient, NOW)
    assert last_here(scope=scope, user=patient.user, now=NOW) == NOW - 5 * HOUR
    assert last_here(scope=scope, user=carer, now=NOW) == NOW - 2 * HOUR


def test_what_came_in_since_is_told_on_the_overview_and_marked_in_the_history(patient: Patient) -> None:
    now = timezone.now()
    chart = Chart(patient=patient, hospital=make_hospital(name="Ruhengeri", now=now), now=now - 5 * HOUR)
    chart.add(concept="Old test", at="2024-05-01 09:00:00")
    chart.now = now - HOUR
    chart.add(concept="New test", at="2024-05-01 09:00:00")
    chart.save()
    look(patient, now - 2 * HOUR)
    client = logged_in(patient.user)
    answer = client.get("/")
    assert "New since your last visit here" in answer.content.decode()
    assert "1 entry is new or has changed since you were last here" in answer.content.decode()
    assert [line.name for line in answer.context["news"].lines] == ["New test"]
    cards = client.get(reverse("own_history")).context["cards"]
    marked = {line.name: line.is_new for card in cards for section in card.sections for line in section.lines}
    assert marked == {"Old test": False, "New test": True}


def test_a_first_visit_and_one_without_news_are_sentences(patient: Patient, chart: Chart) -> None:
    client = logged_in(patient.user)
    assert "This is your first visit here." in text_of(client, "/")
    look(patient, timezone.now() - dt.timedelta(minutes=1))
    now = timezone.now()
    other = make_patient(national_id="1199780012340000", username="bob", now=now)
    look(other, now - 2 * HOUR)
    assert "Nothing new has come in since you were last here" in text_of(logged_in(other.user), "/")


def test_what_a_carer_may_not_see_is_not_counted_as_new(chart: Chart) -> None:
    chart.add(concept="a", at="2024-05-01 09:00:00", category="test")
    chart.add(concept="b", at="2024-05-01 09:00:00", category="other")
    chart.save()
    Hide.objects.create(patient=chart.patient, kind="category", category="other", created_at=NOW)
    since = NOW - HOUR
    assert news(seen=visible(own_scope(chart.patient)), since=since).n_entries == 2
    found = news(seen=visible(scope_for(patient=chart.patient, basis=Basis.CARER)), since=since)
    assert (found.n_entries, [each.concept for each in found.newest]) == (1, ["a"])


def test_a_doctor_is_not_told_what_is_new_to_themselves(chart: Chart) -> None:
    chart.add(concept="a", at=f"{timezone.now():%Y-%m-%d} 00:10:00")
    chart.save()
    doctor = make_account(username="doctor", role="doctor", hospital=chart.hospital)
    answer = logged_in(doctor).get(reverse("patient_overview", args=[chart.patient.pk]))
    assert answer.status_code == 200
    assert answer.context["news"] is None


def test_changes_since_the_visit_at_a_hospital_leave_that_visit_and_today_out(chart: Chart) -> None:
    last = chart.visit(title="Clinic", at="2026-02-01 08:00:00")
    chart.add(concept="Of that visit", at="2026-02-01 09:00:00", visit_id=last)
    chart.visit(title="Today", at="2026-03-04 08:00:00")
    other = clone_of(chart)
    other.add(concept="Before", at="2026-01-31 09:00:00")
    other.add(concept="Since", at="2026-02-11 09:00:00")
    for each in (chart, other):
        each.save()
    found = since_visit(scope=own_scope(chart.patient), hospital_id=chart.hospital.pk, now=NOW)
    assert found is not None
    assert found.visit.value == "Clinic"
    assert [each.concept for each in found.news.newest] == ["Since"]
    assert since_visit(scope=own_scope(chart.patient), hospital_id=other.hospital.pk, now=NOW) is None


# --- how up to date ---------------------------------------------------------------------------------------------------


def test_the_overview_says_first_to_when_it_is_up_to_date_and_who_was_not_reached(patient: Patient) -> None:
    now = timezone.now()
    Chart(patient=patient, hospital=make_hospital(name="Ruhengeri", now=now), now=now).save()
    page = text_of(logged_in(patient.user), "/")
    assert page.index("Up to date to") < page.index("Allergies")
    make_hospital(name="Kibagabaga", now=now, reached_ago=dt.timedelta(days=4))
    page = text_of(logged_in(patient.user), "/")
    first = page.index("Up to date to")
    assert first < page.index("<b>Kibagabaga</b>: Not reached since") < page.index("Allergies")


# --- qualities --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_twelve_thousand_records_make_no_more_queries_and_no_larger_page(
    patient: Patient, django_assert_max_num_queries: Any
) -> None:
    def pages() -> list[tuple[int, int]]:
        found = []
        for address in ("/", reverse("own_history")):
            cache.clear()
            kept.forget()
            with django_assert_max_num_queries(60) as queries:
                answer = logged_in(patient.user).get(address)
            found.append((len(queries), len(answer.content)))
        return found

    now = timezone.now()
    for index, n_records in enumerate((600, 12_000)):
        chart = Chart(patient=patient, hospital=make_hospital(name=f"Hospital {index}", now=now), now=now)
        fill_with_many(chart, n_records=n_records)
        chart.save()
        if index == 0:
            pages()
            small = pages()
    large = pages()
    assert [n for n, _size in large] == [n for n, _size in small]
    assert all(size < 2.5 * before for (_, size), (_, before) in zip(large, small, strict=True))


@pytest.mark.slow
def test_cards_that_were_kept_speak_as_the_reader_does_and_lead_to_their_pages(patient: Patient) -> None:
    now = timezone.now()
    hospital = make_hospital(name="Ruhengeri", now=now)
    chart = Chart(patient=patient, hospital=hospital, now=now)
    chart.add(concept="Fever", value="yes", at=chart.moment(2, "09:40:00"))
    chart.save()
    doctor = make_account(username="bob", role="doctor", hospital=hospital)
    own, theirs = reverse("own_history"), reverse("patient_history", args=[patient.pk])
    kept.forget()

    def page(user: Any, address: str, language: str = "en") -> str:
        return logged_in(user).get(address, headers={"Accept-Language": language}).content.decode()

    key = chart.records[0].key
    first = page(patient.user, own)
    assert f'href="{reverse("own_record", args=[key])}"' in first
    assert "Entries outside a visit" in first
    assert "Entries outside a visit" not in page(patient.user, own, language="fr")
    assert f'href="{reverse("patient_record", args=[patient.pk, key])}"' in page(doctor, theirs)
    assert f'href="{reverse("own_record", args=[key])}"' not in page(doctor, theirs)
    Hide.objects.create(patient=patient, kind="category", category="test", created_at=now)
    assert "Fever" not in page(doctor, theirs)
    assert "kept from doctors" in page(patient.user, own)
