"""The whole story of one hospital: everything that its version can hold, and everything that can happen to it."""

import datetime as dt
from dataclasses import dataclass, field

from django.utils import timezone

from openmrs_sync.rows import TABLES
from tests.integration import world
from tests.integration.world import Site
from tests.openmrs import ddl

ALICE, BOB, CAROL = "1199080012345678", "1198570087654321", "1197770011223344"
#: One of every datatype, with what is shown.
OF_EVERY_KIND = (
    ("weight", 61.5, "61.5"),
    ("note", "Ça va – é", "Ça va – é"),
    ("malaria rdt", "malaria", "Malaria"),
    ("smoker", True, "True"),
)


@dataclass(slots=True)
class Life:
    """Alice and Bob, who hold passports, Carol who loses hers to a merge, and their rows by name."""

    site: Site
    alice: int = 0
    bob: int = 0
    loser: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Something in every table that the version has."""
        h, rows = self.site.pretend, self.rows
        self.alice, self.bob = self.site.add_holder(ALICE), self.site.add_holder(BOB)
        self.loser = h.add_person()
        rows["visit"] = h.add_visit(self.alice)
        rows["encounter"] = h.add_encounter(self.alice, visit=rows["visit"], provider="nurse", location="maternity")
        rows["moving"] = h.add_encounter(self.alice)
        rows["moving obs"] = h.add_obs(self.alice, "pulse", 71.0, encounter=rows["moving"])
        for concept, value, _ in OF_EVERY_KIND:
            rows[concept] = h.add_obs(self.alice, concept, value, encounter=rows["encounter"])
        for name in ("edited", "voided", "purged", "silent"):
            rows[name] = h.add_obs(self.alice, "pulse", 72.0, encounter=rows["encounter"])
        rows["group"] = h.add_obs_group_diagnosis(self.alice, "hypertension", encounter=rows["encounter"])
        rows["order"] = h.add_drug_order(self.alice, encounter=rows["encounter"], days=90)
        h.add_test_order(self.alice, "hba1c", encounter=rows["encounter"])
        if h.has("encounter_diagnosis"):
            rows["diagnosis"] = h.add_diagnosis(self.alice, "malaria", encounter=rows["encounter"])
        if h.has("conditions"):
            rows["condition"] = h.add_condition(self.alice, "diabetes")
        if h.has("allergy"):
            rows["allergy"] = h.add_allergy(self.alice, "penicillin", comment="seen")
        if h.has("obs_reference_range"):
            h.insert("obs_reference_range", obs_id=rows["edited"], low_normal=50, hi_normal=71)
        theirs = h.add_encounter(self.loser)
        h.add_obs(self.loser, "weight", 80.0, encounter=theirs)

    def go_on(self) -> None:
        """What people at the hospital do through OpenMRS, each as its version does it."""
        h, rows = self.site.pretend, self.rows
        if ddl.order(h.version) >= (2, 0):
            rows["edited"] = h.edit_obs(rows["edited"], 99.0)
        else:
            h.edit_obs_in_place(rows["edited"], 99.0)
        h.void_obs(rows["voided"])
        h.purge_obs(rows["purged"])
        h.move_encounter(rows["moving"], self.bob)
        h.stop_order(rows["order"])
        h.merge_patients(self.alice, self.loser)
        if h.has("encounter_diagnosis"):
            h.edit_diagnosis(rows["diagnosis"], certainty="PROVISIONAL")
        if h.has("conditions"):
            rows["condition"] = h.edit_condition(rows["condition"])
        if h.has("allergy"):
            rows["allergy"] = h.edit_allergy(rows["allergy"])
        h.add_identifier(self._carol(), CAROL)

    def _carol(self) -> int:
        """Somebody whose number is typed in late."""
        h = self.site.pretend
        world.register(CAROL)
        carol = h.add_person()
        h.add_obs(carol, "weight", 55.0)
        return carol

    def correct_by_sql(self) -> None:
        """What leaves no stamp: names, units, places, doctors, an un-void."""
        h = self.site.pretend
        h.rename_concept("weight", "Body weight", in_place=True)
        h.rename_concept("malaria", "Paludisme", in_place=True)
        h.change_unit("pulse", "per minute")
        h.rename_location("maternity", "Ward 7")
        h.rename_provider("nurse", "Solange", "Ingabire")
        h.unvoid_obs(self.rows["voided"])


def tables_with_records(site: Site) -> set[str]:
    return {table for table, _ in world.shown(site.hospital)}


def tables_of(version: str) -> set[str]:
    """The tables of a version that become records."""
    return {table for table in TABLES if ddl.columns_of(table, version)}


def is_even(site: Site) -> bool:
    """Both sides recounted: nothing unexplained, nothing left to do, and every source row in one place."""
    found = world.verified(site.hospital)
    total = found.total
    assert total is not None
    assert total.n_source == total.n_stored + total.n_parked + total.n_excluded, found.as_dict()
    return found.is_well and (total.n_unexplained, total.n_pending) == (0, 0)


def equals_a_first_read(site: Site, *, number: int) -> bool:
    """Our records are those that a passport would have that reads this hospital for the first time."""
    fresh = world.live_hospital(site.pretend.server, site.pretend.database, number=number, code=f"fresh-{number}")
    world.synced(fresh)
    one, other = (world.as_values(world.shown(hospital)) for hospital in (site.hospital, fresh))
    assert one == other
    return bool(one)


def live_through(site: Site) -> Life:
    """From the first registration to the sweep; each step is proved by a recount of both sides."""
    now, life = timezone.now(), Life(site)
    life.begin()
    first = site.sync(now=now)
    assert (first.n_withdrawn, first.n_persons) == (0, 2)
    assert tables_with_records(site) == tables_of(site.pretend.version)
    assert [site.values()[life.rows[concept]] for concept, *_ in OF_EVERY_KIND] == [
        shown for *_, shown in OF_EVERY_KIND
    ]
    assert is_even(site)
    assert world.nothing_changed(site.sync(now=now))
    assert world.nothing_changed(site.sync(now=now, full=True))

    life.go_on()
    run = site.sync(now=now)
    assert run.n_withdrawn >= 2
    assert site.values()[life.rows["edited"]] == "99"
    assert not {life.rows["voided"], life.rows["purged"]} & site.values().keys()
    assert "80" in site.values().values(), "the loser's"
    assert "55" in site.values().values(), "whose number came late"
    moved = world.shown(site.hospital)["encounter", life.rows["moving"]]
    assert moved.link_id == world.link_of(site.hospital, life.bob).pk
    assert "stopped" in world.shown(site.hospital)["orders", life.rows["order"]].details
    assert is_even(site)
    assert equals_a_first_read(site, number=101)

    life.correct_by_sql()
    site.sync(now=now)
    shown = world.shown(site.hospital)
    weight = shown["obs", life.rows["weight"]]
    assert (weight.concept, weight.location, weight.provider) == ("Body weight", "Ward 7", "Solange Ingabire")
    assert (shown["obs", life.rows["voided"]].unit, shown["obs", life.rows["malaria rdt"]].value) == (
        "per minute",
        "Paludisme",
    )
    assert is_even(site)
    assert equals_a_first_read(site, number=102)

    site.pretend.update("obs", life.rows["silent"], value_numeric=73.0)
    site.sync(now=now + dt.timedelta(hours=25), deep=False)
    assert site.values()[life.rows["silent"]] == "73"
    assert is_even(site)
    return life
