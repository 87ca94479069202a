"""Tests and their curves: what is one test, what stands beside it, what is never put together."""

import datetime as dt
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hospitals.models import Hospital
from passport import charts, history
from passport.history.results import unit_of
from passport.models import Hide, Patient, SourceConcept
from tests.records import (
    Chart,
    fill_district_hospital,
    fill_oddly,
    fill_with_many,
    make_account,
    make_hospital,
    make_patient,
    number,
    own_scope,
    vital,
)

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)
GLUCOSE = "160912AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
OTHER_UUID = "0f6c6b4e-6f0b-4b4e-9a53-0d2f6a0a7a11"


@pytest.fixture(autouse=True)
def _ground(settings: Any) -> None:
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture
def alice() -> Patient:
    return make_patient(national_id="1198180012345678", username="alice", now=NOW)


@pytest.fixture
def district() -> Hospital:
    return make_hospital(name="Kigali District Hospital", code="kigali", now=timezone.now())


@pytest.fixture
def centre() -> Hospital:
    return make_hospital(name="Remera Health Centre", code="remera", now=timezone.now())


def chart_of(patient: Patient, hospital: Hospital) -> Chart:
    return Chart(patient=patient, hospital=hospital, now=NOW)


def glucose(chart: Chart, at: str, value: float, *, unit: str = "mmol/L", uuid: str = GLUCOSE, **fields: Any) -> Any:
    return chart.add(concept="Fasting glucose", at=at, concept_uuid=uuid, **(number(value, unit, 3.9, 6.1) | fields))


def rows_of(patient: Patient) -> list[history.ResultRow]:
    return history.result_rows(scope=own_scope(patient))


def client_of(patient: Patient) -> Client:
    client = Client()
    client.force_login(patient.user)
    return client


def page_of(patient: Patient, name: str = "own_results", *args: object, query: str = "") -> str:
    answer = client_of(patient).get(reverse(name, args=args) + query)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def test_the_value_before_is_said_in_words_too(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for day, value in (("2026-01-01", "False"), ("2026-02-01", "True")):
        chart.add(concept="Sickling", value=value, at=f"{day} 08:00:00", concept_uuid="sickling")
    chart.save()
    page = page_of(alice)
    assert "before: No · 1 Jan 2026" in page
    assert "False" not in page


# --- what is one test -------------------------------------------------------------------------------------------------


def test_a_test_is_one_row_with_its_newest_value_and_the_one_before(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for day, value in (("2026-01-01", 5.0), ("2026-03-01", 7.5), ("2026-02-01", 9.9)):
        glucose(chart, f"{day} 08:00:00", value)
    chart.save()
    [row] = rows_of(alice)
    assert (row.newest.value, row.previous and row.previous.value, list(row.numbers)) == ("7.5", "9.9", [5.0, 9.9, 7.5])


def test_hospitals_share_a_row_where_concept_and_unit_are_the_same(
    alice: Patient, district: Hospital, centre: Hospital
) -> None:
    for hospital, unit in ((district, "mmol/L"), (centre, "mmol / l")):
        chart = chart_of(alice, hospital)
        glucose(chart, "2026-01-01 08:00:00", 5, unit=unit)
        chart.save()
    [row] = rows_of(alice)
    assert row.hospitals == ["kigali", "remera"]


def test_units_are_never_mixed(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    glucose(chart, "2026-01-01 08:00:00", 5)
    glucose(chart, "2026-02-01 08:00:00", 90, unit="mg/dL")
    chart.save()
    rows = rows_of(alice)
    assert {(row.newest.unit, row.previous) for row in rows} == {("mmol/L", None), ("mg/dL", None)}
    found = history.trend(scope=own_scope(alice), key=chart.records[0].key)
    assert found is not None
    assert [each.unit for each in found.charts] == ["mg/dL", "mmol/L"]


def test_a_name_alone_joins_no_hospitals(alice: Patient, district: Hospital, centre: Hospital) -> None:
    for hospital in (district, centre):
        chart = chart_of(alice, hospital)
        glucose(chart, "2026-01-01 08:00:00", 5, uuid="")
        chart.save()
    assert len(rows_of(alice)) == 2


@pytest.mark.parametrize("codes, n_rows", [([["CIEL", "160912"]], 1), ([["CIEL", "160912"], ["CIEL", "887"]], 2)])
def test_a_ciel_code_joins_hospitals_only_where_it_is_the_only_one(
    codes: list[list[str]], n_rows: int, alice: Patient, district: Hospital, centre: Hospital
) -> None:
    SourceConcept.objects.create(hospital=centre, concept_uuid=OTHER_UUID, codes=codes)
    for hospital, uuid in ((district, GLUCOSE), (centre, OTHER_UUID)):
        chart = chart_of(alice, hospital)
        glucose(chart, "2026-01-01 08:00:00", 5, uuid=uuid)
        chart.save()
    assert len(rows_of(alice)) == n_rows


@pytest.mark.parametrize(
    "one, other, is_same",
    [("mmol/L", "mmol/l", True), ("µmol/L", "μmol/l", True), ("mg/dL", "mg/L", False), ("mL", "ML", False)],
)
def test_units_are_compared_as_written_but_for_the_litre(one: str, other: str, is_same: bool) -> None:
    assert (unit_of(one) == unit_of(other)) is is_same


def test_what_was_withdrawn_is_no_value_and_not_the_one_before(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    glucose(chart, "2026-01-01 08:00:00", 5)
    gone = glucose(chart, "2026-02-01 08:00:00", 77, status="withdrawn", withdrawn_reason="voided")
    chart.save()
    [row] = rows_of(alice)
    assert (row.newest.value, row.previous) == ("5", None)
    found = history.trend(scope=own_scope(alice), key=gone.key)
    assert found is not None
    assert [record.value for record in found.records] == ["5"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_says_value_flag_range_hospital_and_the_value_before(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    glucose(chart, "2026-01-01 08:00:00", 5)
    glucose(chart, "2026-02-01 08:00:00", 7.5)
    chart.save()
    page = page_of(alice)
    for words in (
        "Blood sugar before eating",  # in plain words
        "Fasting glucose",  # and the hospital's own
        "7.5",
        "high",
        "usual there: 3.9 to 6.1",
        "before: 5 mmol/L · 1 Jan 2026",
        "Last values, the newest at the end: 5, 7.5",
        "Kigali District Hospital",
    ):
        assert words in page


def test_tests_of_one_group_stand_in_one_panel(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for index, name in enumerate(("Haemoglobin", "Platelets", "Alone")):
        group = {"group_id": 7, "details": {"group": "Full blood count"}} if name != "Alone" else {}
        chart.add(concept=name, at="2026-01-01 08:00:00", concept_uuid=f"u{index}", **number(5, "x"), **group)
    chart.save()
    page = page_of(alice)
    panel = page.split('<div class="panel">')[1].split("</ul>")[0]
    assert "Full blood count" in panel
    assert "Haemoglobin" in panel
    assert "Platelets" in panel
    assert "Alone" not in panel


def test_only_what_is_out_of_range_can_be_asked_for(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    fill_district_hospital(chart)
    chart.save()
    page = page_of(alice, query="?flagged=1")
    assert "HbA1c" in page
    assert "Potassium" in page
    assert "Creatinine" not in page  # in range
    assert "Weight" not in page  # no range: not called anything


def test_the_choices_keep_each_other_and_count_what_they_would_leave(
    alice: Patient, district: Hospital, centre: Hospital
) -> None:
    for hospital, value in ((district, 7.0), (centre, 5.0)):
        chart = chart_of(alice, hospital)
        chart.add(concept=f"Test at {hospital.name}", at="2026-01-01 08:00:00", **number(value, "x", 4, 6))
        chart.save()
    page = page_of(alice, query="?flagged=1")
    counts = re.findall(
        r'href="([^"]*)"[^>]*>(?:<svg.*?</svg>)?<span>([^<]*)</span> <span class="choice-n">(\d+)', page
    )
    assert counts == [
        ("/results/?", "Out of range only", "1"),
        ("/results/?hospital=kigali&flagged=1", "Kigali District Hospital", "1"),
        ("/results/?hospital=remera&flagged=1", "Remera Health Centre", "0"),
    ]


@pytest.mark.parametrize("query", ["?q=glucosé", "?q=BLOOD+sugar", "?q=fasting"])
def test_a_search_finds_own_and_plain_words_without_accents(query: str, alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    glucose(chart, "2026-01-01 08:00:00", 5)
    chart.add(concept="Weight", at="2026-01-01 08:00:00", **number(60, "kg"))
    chart.save()
    assert "<bdi>60</bdi>" in page_of(alice)
    page = page_of(alice, query=query)
    assert "Fasting glucose" in page
    assert "<bdi>60</bdi>" not in page


@pytest.mark.parametrize("query", ["?q=nothing", "?hospital=unknown", "?flagged=1", "?page=99", "?page=x&flagged=2"])
def test_no_choice_leaves_the_page_blank(query: str, alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    glucose(chart, "2026-01-01 08:00:00", 5)
    chart.save()
    page = page_of(alice, query=query)
    assert "Show all tests" in page or "Fasting glucose" in page


def test_a_patient_without_results_reads_why(alice: Patient, district: Hospital) -> None:
    Hospital.objects.update(state="retired")
    assert "No hospital has been found yet" in page_of(alice)
    Hospital.objects.update(state="live")
    Chart(patient=alice, hospital=district, now=timezone.now()).save()
    assert "none has recorded a test or a measurement" in page_of(alice)


# --- the curve --------------------------------------------------------------------------------------------------------


def test_the_curve_shows_out_of_range_by_shape_and_hospitals_by_dash(
    alice: Patient, district: Hospital, centre: Hospital
) -> None:
    first = chart_of(alice, district)
    for month, value in ((1, 5.0), (2, 7.5), (3, 3.0)):
        glucose(first, f"2026-0{month}-01 08:00:00", value)
    second = chart_of(alice, centre)
    for month, value in ((1, 5.5), (4, 5.6)):
        glucose(second, f"2026-0{month}-02 08:00:00", value)
    first.save()
    second.save()
    page = page_of(alice, "own_trend", first.records[0].key)
    drawing = page[page.index('<svg class="chart"') : page.index("<figcaption>")]
    assert drawing.count('class="chart-mark is-in"') == 3
    assert drawing.count('class="chart-mark is-out"') == drawing.count("chart-arrow") == 2
    assert {*re.findall(r"chart-line (dash-\d)", drawing)} == {"dash-0", "dash-1"}
    assert "<circle" in drawing
    assert '<rect x="-4.2"' in drawing
    assert drawing.count("chart-band") == 1
    assert "5 values. From 1 Jan 2026 to 2 Apr 2026." in drawing
    assert "2 are out of range." in drawing


def test_the_table_holds_the_same_numbers_as_the_curve(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for month in range(1, 10):
        glucose(chart, f"2026-0{month}-01 08:00:00", month)
    chart.save()
    page = page_of(alice, "own_trend", chart.records[0].key)
    drawn = re.findall(r"<title>[^·<]* · ([\d.]+) mmol/L", page)
    listed = re.findall(r"<td><strong><bdi>([\d.]+)</bdi>", page)
    assert drawn == listed[::-1] == [str(month) for month in range(1, 10)]


def test_both_blood_pressures_stand_in_one_chart(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for name, value in (("Systolic blood pressure", 148), ("Diastolic blood pressure", 92)):
        vital(chart, concept=name, at="2026-01-01 08:00:00", visit_id=1, concept_uuid=name, **number(value, "mmHg"))
    chart.save()
    found = history.trend(scope=own_scope(alice), key=chart.records[1].key)
    assert found is not None
    assert found.is_pressure
    assert [[curve.records[0].value for curve in each.curves] for each in found.charts] == [["148", "92"]]


def pressure(chart: Chart, *numbers: tuple[str, float, str, dict[str, Any]]) -> list[Any]:
    """Each is (which, how much, when, more fields)."""
    names = {"upper": "Systolic blood pressure", "lower": "Diastolic blood pressure"}
    ranges = {"upper": (90, 130), "lower": (60, 85)}
    found = [
        vital(
            chart,
            concept=names[which],
            concept_uuid=which,
            at=at,
            visit_id=1,
            **(number(value, "mmHg", *ranges[which]) | more),
        )
        for which, value, at, more in numbers
    ]
    chart.save()
    return found


def pressures_told(alice: Patient, about: Any) -> list[tuple[str, str, str]]:
    """Of each row of the table: the numbers, the words about them, the usual range."""
    page = page_of(alice, "own_trend", about.key)
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td.*?</td>", row, re.S)]
            for row in table.split("</tr>")[:-1]]  # fmt: skip
    return [(value.partition(" ")[0], value.partition("mmHg")[2].strip(), usual) for value, usual, _hospital in rows]


AT = "2026-01-01 08:00:00"


def test_a_blood_pressure_stands_in_one_row_as_people_write_it(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    upper, lower = pressure(chart, ("upper", 148, AT, {"group_id": 7}), ("lower", 82, AT, {"group_id": 7}))
    assert pressures_told(alice, upper) == [("148/82", "upper: high", "90 to 130 / 60 to 85")]
    page = page_of(alice, "own_trend", upper.key)
    assert all(reverse("own_record", args=[each.key]) in page for each in (upper, lower))


@pytest.mark.parametrize(
    "high, low, told",
    [(148, 92, "high"), (120, 80, "in range"), (120, 92, "lower: high"), (148, 50, "upper: high, lower: low")],
)
def test_the_words_of_a_blood_pressure_say_which_number_they_mean(
    high: float, low: float, told: str, alice: Patient, district: Hospital
) -> None:
    chart = chart_of(alice, district)
    [upper, _lower] = pressure(chart, ("upper", high, AT, {}), ("lower", low, AT, {}))
    assert [words for _value, words, _range in pressures_told(alice, upper)] == [told]


@pytest.mark.parametrize(
    "numbers",
    [
        [("upper", 148, AT, {}), ("lower", 92, "2026-01-01 08:05:00", {})],
        [("upper", 148, AT, {"group_id": 7}), ("lower", 92, AT, {"group_id": 8})],
        [("upper", 148, AT, {"encounter_id": 3}), ("lower", 92, AT, {"encounter_id": 4})],
        [("upper", 148, AT, {}), ("upper", 150, AT, {}), ("lower", 92, AT, {})],
        [("upper", 148, AT, {}), ("lower", 92, AT, {"unit": "kPa"})],
    ],
    ids=["other moment", "other group", "other encounter", "which of two", "other unit"],
)
def test_numbers_that_may_not_belong_together_stay_apart(
    numbers: list[Any], alice: Patient, district: Hospital
) -> None:
    chart = chart_of(alice, district)
    found = pressure(chart, *numbers)
    page = page_of(alice, "own_trend", found[0].key)
    listed = re.findall(r"<td><strong><bdi>([^<]+)</bdi>", page)
    assert sorted(listed) == sorted(f"{value:g}" for _which, value, _at, _more in numbers)


def test_the_days_are_chosen_in_the_address(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for month in range(1, 10):
        glucose(chart, f"2026-0{month}-15 08:00:00", month)
    chart.save()
    key = chart.records[0].key
    page = page_of(alice, "own_trend", key, query="?from=2026-03-15&to=2026-05-15")
    assert re.findall(r"<td><strong><bdi>([\d.]+)", page) == ["5", "4", "3"]
    assert "No value in these days" in page_of(alice, "own_trend", key, query="?from=2020-01-01&to=2020-12-31")
    answer = client_of(alice).get(reverse("own_trend", args=[key]) + "?from=2026-05-01&to=2026-01-01")
    assert answer.status_code == 400
    assert "The last day is before the first." in unescape(answer.content.decode())


def test_a_long_curve_says_how_much_is_left_out_and_leads_there(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    for day in range(history.LONGEST_TREND + 7):
        glucose(chart, f"{dt.date(2026, 1, 1) + dt.timedelta(days=day)} 08:00:00", 5)
    chart.save()
    page = page_of(alice, "own_trend", chart.records[0].key)
    assert "7 older values are not on this page" in page
    [older] = re.findall(r'href="([^"]*)">Show the older ones', page)
    assert older.endswith("?to=2026-01-08")


def test_words_have_a_table_and_no_curve(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    record = chart.add(concept="Malaria rapid test", value="Positive", at="2026-01-01 08:00:00")
    chart.save()
    page = page_of(alice, "own_trend", record.key)
    assert "so there is no curve" in page
    assert "Positive" in page
    assert '<svg class="chart"' not in page


def test_a_record_that_is_no_measurement_has_no_curve(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    note = chart.add(concept="Note", value="x", category="other", at="2026-01-01 08:00:00")
    chart.save()
    for key in (note.key, "000101o9999999999", "x"):
        assert client_of(alice).get(reverse("own_trend", args=[key])).status_code == 404


@pytest.mark.parametrize(
    "values", [[0.0], [5.0, 5.0], [1e15, -1e15], [1e-9, 2e-9], [-0.0, 0.0], [3.0, 3.0000001], [1e300, 1.0]]
)
def test_any_numbers_can_be_drawn(values: list[float]) -> None:
    points = [
        charts.Point(at=index, value=value, words="", flag="", low=None, high=None)
        for index, value in enumerate(values)
    ]
    drawing = charts.chart(
        name="n", series=[charts.Series(points=points, shape=0)], ticks=[], words="", figures=str, unit="x"
    )
    places = [float(y) for y in re.findall(r' y="(-?[\d.]+)" overflow', drawing)]
    assert len(places) == len(values)
    assert all(0 <= place <= charts.HEIGHT for place in places)


def test_names_in_a_drawing_are_escaped(alice: Patient, district: Hospital) -> None:
    Hospital.objects.filter(pk=district.pk).update(name="<b>Kigali</b>")
    chart = chart_of(alice, district)
    for month in (1, 2):
        chart.add(concept="<i>x</i>", at=f"2026-0{month}-01 08:00:00", **number(1, "<u>"))
    chart.save()
    for name, args in (("own_results", ()), ("own_trend", (chart.records[0].key,))):
        page = client_of(alice).get(reverse(name, args=args)).content.decode()
        assert "<b>Kigali" not in page
        assert "<i>x" not in page
        assert "<u>" not in page


# --- what one may not see, odd and large histories --------------------------------------------------------------------


def test_what_is_kept_back_is_in_no_row_count_or_curve_of_a_doctor(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    here = f"{timezone.now().date()} 00:00:00"
    kept, _shown, secret = (
        glucose(chart, here, 77.7),
        glucose(chart, "2026-01-01 08:00:00", 5),
        chart.add(concept="Secret test", at=here, value="SECRET"),
    )
    chart.add(concept="Weight", at=here, **number(60, "kg"))
    chart.save()
    for record in (kept, secret):
        Hide.objects.create(patient=alice, kind="record", table="obs", source_uuid=record.source_uuid, created_at=NOW)
    client = Client()
    client.force_login(make_account(username="doctor", role="doctor", hospital=district))
    pages = [
        client.get(reverse(f"patient_{name}", args=[alice.pk, *args])).content.decode()
        for name, args in (("results", ()), ("trend", (chart.records[1].key,)))
    ]
    assert "Fasting glucose" in pages[0]
    assert "5" in pages[1]
    for page in pages:
        assert "77.7" not in page
        assert "SECRET" not in page
        assert "Secret" not in page
    assert 'Out of range only</span> <span class="choice-n">0<' in pages[0]  # the one that is, is kept back
    assert client.get(reverse("patient_trend", args=[alice.pk, kept.key])).status_code == 404
    assert "77.7" in page_of(alice)


def test_odd_values_make_whole_pages(alice: Patient, district: Hospital) -> None:
    chart = chart_of(alice, district)
    fill_oddly(chart)
    chart.save()
    assert "Entry without a name" in page_of(alice)
    for record in chart.records:
        if record.category in history.MEASURED:
            assert "</html>" in page_of(alice, "own_trend", record.key)


@pytest.mark.parametrize("name", ["own_results", "own_trend"])
def test_the_number_of_queries_does_not_grow_with_the_results(
    name: str, alice: Patient, district: Hospital, django_assert_max_num_queries: Any
) -> None:
    chart = chart_of(alice, district)
    fill_with_many(chart, n_records=25)
    chart.save()
    args = [next(record.key for record in chart.records if record.category == "test")] if name == "own_trend" else []
    client = client_of(alice)

    def n_queries() -> int:
        with django_assert_max_num_queries(22) as found:
            assert client.get(reverse(name, args=args)).status_code == 200
        return len(found)

    before = n_queries()
    more = chart_of(alice, make_hospital(name="Another", now=NOW))
    fill_with_many(more, n_records=600)
    more.save()
    assert n_queries() == before
