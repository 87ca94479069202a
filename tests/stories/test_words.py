"""How a row reads: names in one language only, no range, no category, groups, days in every zone."""

import datetime as dt
import zoneinfo
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hospitals.models import Hospital
from openmrs_sync.models import ParkedRow
from passport.history.shown import view
from passport.models import Link, Patient, Record
from tests.integration import world
from tests.integration.world import Site
from tests.records import own_scope
from tests.source_rows import DAY, condition, encounter, obs, one_record, visit

pytestmark = pytest.mark.django_db

ALICE = "1199080012345678"
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})


@pytest.fixture(params=["kigali", "huye"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def record(source_id: int, table: str = "obs") -> Record:
    return Record.objects.get(table=table, source_id=source_id)


# ------------------------------------------------------------------------------------------- names, flags, categories


@pytest.mark.integration
def test_a_concept_that_has_a_french_name_only_is_stored_and_shown_under_it(site: Site) -> None:
    """T51"""
    person = site.add_holder(ALICE)
    site.pretend.execute("DELETE FROM concept_name WHERE locale <> 'fr'")
    weight = site.pretend.add_obs(person, "weight", 60.0)
    answer = site.pretend.add_obs(person, "malaria rdt", "malaria")
    site.sync()
    assert (record(weight).concept, record(weight).value) == ("Poids (kg)", "60")
    assert (record(answer).concept, record(answer).value) == ("Test rapide du paludisme", "Paludisme")
    assert not ParkedRow.objects.exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    "concept, value, flag, unit",
    [
        ("white cells", 3.0, "low", "10^3/uL"),
        ("pulse", 120.0, "high", "beats/min"),
        ("pulse", 150.0, "critically_high", "beats/min"),
        ("haemoglobin", 6.0, "critically_low", "g/dL"),
        ("pulse", 70.0, "normal", "beats/min"),
        ("weight", 500.0, None, "kg"),
        ("gravida", 3.0, None, ""),
    ],
)
def test_a_flag_says_what_the_sources_range_says_and_no_range_says_nothing(
    kigali: Site, concept: str, value: float, flag: str | None, unit: str
) -> None:
    """T52"""
    row = kigali.pretend.add_obs(kigali.add_holder(ALICE), concept, value)
    kigali.sync()
    assert (record(row).flag, record(row).unit) == (flag, unit)


@pytest.mark.integration
def test_what_no_rule_knows_is_other_and_says_so(kigali: Site) -> None:
    """T54: a weight is a vital sign and no disease; what nobody mapped is "other", by the rule "default"."""
    person = kigali.add_holder(ALICE)
    weight = kigali.pretend.add_obs(person, "weight", 60.0)
    unmapped = kigali.pretend.add_obs(person, "gravida", 3.0)
    kigali.pretend.execute(
        "DELETE FROM concept_reference_map WHERE concept_id = %s", (kigali.pretend.concept("gravida"),)
    )
    kigali.sync()
    assert (record(weight).category, record(unmapped).category, record(unmapped).category_rule) == (
        "vital",
        "other",
        "default",
    )
    assert not [shown for shown in world.shown(kigali.hospital).values() if shown.category == "condition"]


# ------------------------------------------------------------------------------------------- groups


@pytest.mark.integration
def test_groups_in_every_odd_shape_are_told_and_add_up(site: Site) -> None:
    """T76: four deep; a live member of a voided group; a group that holds nothing; a number that heads a group."""
    person, hospital = site.add_holder(ALICE), site.pretend
    visit_of = hospital.add_encounter(person)

    def add(concept: str, value: float | None = None, group: int | None = None) -> int:
        return hospital.add_obs(person, concept, value, encounter=visit_of, group=group)

    deep = add("full blood count", group=add("full blood count", group=add("full blood count")))
    leaf = add("haemoglobin", 12.0, group=deep)
    dead = add("full blood count")
    orphan = add("haemoglobin", 13.0, group=dead)
    hospital.update("obs", dead, voided=1)
    empty = add("full blood count")
    heading = add("haemoglobin", group=None)
    member = add("white cells", 6.0, group=heading)
    both = add("haemoglobin", 14.0)
    inside = add("platelets", 200.0, group=both)
    site.sync()
    assert site.values() == {leaf: "12", member: "6", both: "14", inside: "200"}
    assert orphan not in site.values()
    assert list(ParkedRow.objects.values_list("source_id", "reason")) == [(empty, "no_value")]
    assert world.verified(site.hospital).is_well


# ------------------------------------------------------------------------------------------- days

MOMENTS = st.datetimes(min_value=dt.datetime(1890, 1, 1), max_value=dt.datetime(2090, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
MIDNIGHTS = st.dates(min_value=dt.date(1890, 1, 1), max_value=dt.date(2090, 1, 1)).map(
    lambda day: dt.datetime.combine(day, dt.time())
)
#: The clock goes forward at midnight: this hour does not exist there.
GAPS = st.sampled_from(
    [
        (dt.datetime(2024, 4, 26, 0, 0), "Africa/Cairo"),
        (dt.datetime(2018, 11, 4, 0, 0), "America/Sao_Paulo"),
        (dt.datetime(2018, 11, 4, 0, 30), "America/Sao_Paulo"),
        (dt.datetime(2011, 12, 30, 12, 0), "Pacific/Apia"),  # the whole day
        (dt.datetime(2024, 10, 27, 2, 30), "Europe/Paris"),  # twice
    ]
)


@given(
    where=st.one_of(st.tuples(st.one_of(MOMENTS, MIDNIGHTS), st.sampled_from(ZONES)), GAPS), ours=st.sampled_from(ZONES)
)
def test_the_shown_day_is_the_hospitals_in_every_zone_of_theirs_and_ours(
    where: tuple[dt.datetime, str], ours: str
) -> None:
    """T38, T94: from the source's row to what is shown, moments, midnights and days alike."""
    moment, zone = where
    rows = (
        obs(1, obs_datetime=moment, value_numeric=60.0),
        encounter(2, encounter_datetime=moment),
        visit(3, date_started=moment),
        condition(4, onset_date=moment, condition_non_coded="malaria", clinical_status="ACTIVE"),
    )
    with timezone.override(ZoneInfo(ours)):
        shown = [view_of(row, zone) for row in rows]
        day = one_record(obs(5, DAY, value_datetime=dt.datetime.combine(moment.date(), dt.time())), zone=ZoneInfo(zone))
    assert [each.date for each in shown] == [moment.date().isoformat()] * len(rows)
    assert [each.at[:19] if each.at else None for each in shown] == [moment.isoformat()] * len(rows)
    assert day.value == moment.date().isoformat()


def view_of(row: object, zone: str):  # type: ignore[no-untyped-def]  # a RecordView
    """As the page gets it, without the store in between: it keeps `at_local` as the text that it is."""
    rendered = one_record(row, zone=ZoneInfo(zone))
    hospital = Hospital(code="kigali", name="Kigali", time_zone=zone)
    stored = Record(key="0", at_local=rendered.at_local, received_at=timezone.now())
    return view(stored, Link(hospital=hospital), own_scope(Patient()))
