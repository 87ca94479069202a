"""A hospital whose database becomes another one under us: upgraded, restored, re-pointed, closed to us."""

import io

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import alerts, overview, pipeline
from openmrs_sync.models import Alert, Breaker, Claim, SyncRun, Watermark
from passport.models import Link, Record, User
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer
from tests.openmrs.upgrade import dump, restore, upgrade

pytestmark = [pytest.mark.django_db, pytest.mark.integration]

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"


def seen(pretend: PretendHospital, person: int, *weights: float) -> list[int]:
    encounter = pretend.add_encounter(person)
    with pretend.bulk():
        return [pretend.add_obs(person, "weight", weight, encounter=encounter) for weight in weights]


def settled(site: Site) -> int:
    """Two dozen holders, so that what is oldest is not what is newest; the first is Alice, whose person is returned."""
    alice = site.add_holder(ALICE)
    for number in range(24):
        person = alice if not number else site.add_holder(f"11990800{number:08d}")
        seen(site.pretend, person, 40.0 + number)
    return alice


def failed(hospital: Hospital, kind: str) -> SyncRun:
    run = world.sync(hospital)
    assert (run.status, run.error_kind, bool(run.message)) == ("failed", kind, True)
    return run


# --- upgraded ---------------------------------------------------------------------------------------------------------


def test_a_hospital_that_is_upgraded_from_1_12_to_2_8_in_steps_keeps_its_history(
    mariadb: MariaDBServer, db: None, sources_on_loopback: None
) -> None:
    """T42: every step between two ticks; what each version adds is read, what each takes away is not missed."""
    site = world.open_site(mariadb, "huye_up", "1.12")
    alice, bob = site.add_holder(ALICE), site.add_holder(BOB)
    first = seen(site.pretend, alice, 60.0, 61.0)
    visit = site.pretend.add_visit(bob)
    encounter = site.pretend.add_encounter(bob, visit=visit)
    order = site.pretend.add_drug_order(bob, encounter=encounter)
    pretend = site.pretend
    site.sync()
    keys = set(Record.objects.values_list("key", flat=True))
    for weight, version in ((62.0, "2.0"), (63.0, "2.6"), (64.0, "2.8")):
        pretend = upgrade(pretend, version)
        assert world.nothing_changed(site.sync(full=True)), version
        edited = pretend.edit_obs(first[0], weight)
        first = [edited, *first[1:]]
        seen(pretend, bob, weight)
        site.sync()
        assert site.values()[edited] == f"{weight:g}"
        assert world.verified(site.hospital).is_well, version
    diagnosis = pretend.add_diagnosis(alice, "malaria", encounter=pretend.add_encounter(alice))
    site.sync()
    assert list(world.values(site.hospital, "encounter_diagnosis")) == [diagnosis]
    assert list(world.values(site.hospital, "orders")) == [order]
    assert sorted(site.values().values()) == ["61", "62", "63", "64", "64"]
    assert keys <= set(Record.objects.values_list("key", flat=True))
    assert world.verified(site.hospital).is_well
    fresh = world.live_hospital(mariadb, "huye_up", number=2, code="fresh")
    world.synced(fresh)
    assert world.as_values(world.shown(site.hospital)) == world.as_values(world.shown(fresh))


def test_an_upgrade_that_is_under_way_stops_this_hospital_with_the_tables_name_and_no_other(
    kigali: Site, huye: Site
) -> None:
    """T42: liquibase has taken a table away and not yet put the new one in its place."""
    for site in (kigali, huye):
        seen(site.pretend, site.add_holder(ALICE), 60.0)
        site.sync()
    kigali.pretend.execute("RENAME TABLE encounter TO encounter_old")
    run = failed(kigali.hospital, "schema_mismatch")
    assert "encounter" in run.message
    seen(huye.pretend, huye.pretend.rows("patient")[-1]["patient_id"], 61.0)
    huye.sync()
    assert sorted(huye.values().values()) == ["60", "61"]
    assert list(kigali.values().values()) == ["60"], "what was stored is shown"
    kigali.pretend.execute("RENAME TABLE encounter_old TO encounter")
    kigali.sync()
    assert world.verified(kigali.hospital).is_well


# --- restored ---------------------------------------------------------------------------------------------------------


def test_a_source_restored_from_last_nights_backup_gives_todays_ids_to_other_people(kigali: Site) -> None:
    """T32, T92: of the same hospital, so its old rows are themselves; ids of today are somebody else's now."""
    pretend = kigali.pretend
    alice = settled(kigali)
    kigali.sync()
    kept = kigali.values()
    backup = dump(pretend)
    bob = kigali.add_holder(BOB)
    lost = seen(pretend, bob, 80.0, 81.0)
    seen(pretend, alice, 90.0)
    kigali.sync()
    restore(pretend, backup)
    world.register(CAROL)
    carol = pretend.add_person(national_id=CAROL)
    again = seen(pretend, carol, 70.0, 71.0)
    assert (carol, again) == (bob, lost), "the ids are given again"
    kigali.sync()
    assert kigali.values() == {**kept, again[0]: "70", again[1]: "71"}
    bobs = Link.objects.filter(patient__identifiers__number=BOB, state="linked")
    assert not bobs.exists(), "his number is no longer there"
    carols = Link.objects.get(patient__identifiers__number=CAROL, state="linked")
    assert {found.patient_id for (_, row), found in world.shown(kigali.hospital).items() if row in again} == {
        carols.patient_id
    }
    assert world.verified(kigali.hospital).is_well
    assert world.nothing_changed(kigali.sync(full=True))


def test_a_source_restored_from_an_old_backup_waits_for_a_human_before_history_goes(kigali: Site) -> None:
    """T32, T90: more would be withdrawn than a day explains; nothing is, until somebody says that it is meant."""
    pretend = kigali.pretend
    alice = settled(kigali)
    kigali.sync()
    kept = sorted(kigali.values().values())
    backup = dump(pretend)
    seen(pretend, alice, *range(60, 160))
    kigali.sync()
    restore(pretend, backup)
    seen(pretend, alice, 99.0)
    failed(kigali.hospital, "would_erase")
    assert len(kigali.values()) == 124
    pipeline.accept_changes(hospital=kigali.hospital, actor=None, now=timezone.now())
    kigali.sync()
    assert sorted(kigali.values().values()) == [*kept, "99"]
    assert world.verified(kigali.hospital).is_well


def test_a_host_that_leads_to_another_hospital_is_refused_until_it_leads_back(
    kigali: Site, mariadb: MariaDBServer
) -> None:
    """T33: people of ours are patients there, too, with the same ids; not a row of it is stored under this name."""
    alice = kigali.add_holder(ALICE)
    seen(kigali.pretend, alice, 60.0, 61.0)
    kigali.sync()
    before = list(Record.objects.order_by("key").values())
    other = PretendHospital(mariadb, "elsewhere", "2.6", seed="another").create()
    uuid = kigali.pretend.national_id_type_uuid
    other.execute("UPDATE patient_identifier_type SET uuid = %s WHERE name = 'National ID'", (uuid,))
    there = other.add_person(national_id=ALICE)
    seen(other, there, 80.0, 81.0)
    assert there == alice
    mariadb.grant_reader(world.READER, world.PASSWORD, "elsewhere")
    Hospital.objects.update(database="elsewhere")
    for _ in range(2):
        failed(kigali.hospital, "source_replaced")
    assert list(Record.objects.order_by("key").values()) == before
    assert Breaker.objects.get().state == Breaker.State.OPEN
    Hospital.objects.update(database="kigali")
    kigali.sync()
    assert world.verified(kigali.hospital).is_well


# --- closed to us -----------------------------------------------------------------------------------------------------


def seen_and_synced(site: Site) -> list[dict[str, object]]:
    seen(site.pretend, site.add_holder(ALICE), 60.0, 61.0)
    site.sync()
    return list(Record.objects.order_by("key").values())


@pytest.mark.parametrize(
    "left, kind, word",
    [("nothing", "misconfigured", "grant script"), ("SELECT on `kigali`.`person`", "schema_mismatch", "may SELECT")],
)
def test_grants_that_shrink_to_nothing_are_named_and_change_nothing(
    kigali: Site, mariadb: MariaDBServer, left: str, kind: str, word: str
) -> None:
    """T40: the server says so, and the run is no green one."""
    before = seen_and_synced(kigali)
    mariadb.execute(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{world.READER}'@'%'")
    if left != "nothing":
        mariadb.execute(f"GRANT {left} TO '{world.READER}'@'%'")
    run = failed(kigali.hospital, kind)
    assert word in run.message
    assert list(Record.objects.order_by("key").values()) == before
    mariadb.grant_reader(world.READER, world.PASSWORD, "kigali")
    kigali.sync()


def empty_views(pretend: PretendHospital, *tables: str) -> None:
    for table in tables:
        pretend.execute(f"RENAME TABLE {table} TO hidden_{table}")
        pretend.execute(f"CREATE VIEW {table} AS SELECT * FROM hidden_{table} WHERE 1 = 0")


@pytest.mark.parametrize("tables", [("patient_identifier",), ("obs", "encounter", "visit")])
def test_a_run_that_read_nothing_is_amber_on_the_start_page_in_the_status_and_in_the_log(
    kigali: Site, tables: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """T40: views that filter everything away give no error at all."""
    before = seen_and_synced(kigali)
    empty_views(kigali.pretend, *tables)
    run = world.sync(kigali.hospital)
    assert (run.status, run.error_kind) == ("quiet", None)
    assert list(Record.objects.order_by("key").values()) == before
    assert "a hospital went quiet: kigali" in caplog.text
    (line,) = overview.read_overview(now=timezone.now()).lines
    assert line.last_error_kind == "quiet"
    alerts.look(now=timezone.now())
    assert Alert.objects.get(hospital=kigali.hospital).kind == Alert.Kind.GRANTS
    admin = User.objects.create_superuser("alice", password="long enough")
    client = Client()
    client.force_login(admin)
    page = client.get("/admin/").content.decode()
    assert "it read nothing where there used to be something" in page


def test_a_hospital_that_was_quiet_goes_on_when_it_may_be_read_again(kigali: Site) -> None:
    """T40"""
    seen_and_synced(kigali)
    empty_views(kigali.pretend, "patient_identifier")
    assert world.sync(kigali.hospital).status == "quiet"
    kigali.pretend.execute("DROP VIEW patient_identifier")
    kigali.pretend.execute("RENAME TABLE hidden_patient_identifier TO patient_identifier")
    assert world.nothing_changed(kigali.sync())
    breaker = Breaker.objects.get()
    assert (breaker.state, breaker.last_error_kind) == (Breaker.State.CLOSED, "")


def test_accept_source_in_the_middle_of_a_run_leaves_no_record_of_the_old_epoch_to_see(
    kigali: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T32, T88: an admin says so while a worker reads the old one."""
    from openmrs_sync import enricher

    seen_and_synced(kigali)
    seen(kigali.pretend, world.link_of(kigali.hospital, Link.objects.get().person_id).person_id, 62.0)
    render = enricher.render

    def accept_first(*arguments: object, **options: object) -> object:
        monkeypatch.undo()
        call_command("accept_source", "kigali", stdout=io.StringIO())
        return render(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(enricher, "render", accept_first)
    world.sync(kigali.hospital)
    assert not world.shown(kigali.hospital)
    kigali.sync()
    assert sorted(kigali.values().values()) == ["60", "61", "62"]
    assert not Record.objects.exclude(key__startswith="000102").exists()
    assert world.verified(kigali.hospital).is_well
    assert Claim.objects.get().lease_until is None
    assert Watermark.objects.get().epoch == 2
