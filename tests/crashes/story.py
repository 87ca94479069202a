"""One run that does everything that a run can do, and all that it leaves behind, comparable between two passports."""

import datetime as dt
from typing import Any

from django.utils import timezone

from hospitals.models import Location
from openmrs_sync import links
from openmrs_sync.claims import LEASE
from openmrs_sync.models import ParkedRow
from passport.models import Doctor, Link, Record, User
from tests.integration import world
from tests.integration.world import Site

ALICE, BOB, CAROL, DORA, EVE, FRANK = (f"11990800{number:08d}" for number in range(1, 7))
#: After this the lease of a worker that was killed is over.
LATER = LEASE + dt.timedelta(seconds=5)


def tell(site: Site) -> dict[int, str]:
    """Sync a first state, then have everything happen at once that the next run must carry over.

    Returns what is to be seen afterwards, of obs: source id → value.
    """
    pretend = site.pretend
    alice, bob, dora, frank = (site.add_holder(number) for number in (ALICE, BOB, DORA, FRANK))
    encounter = pretend.add_encounter(alice, visit=pretend.add_visit(alice))
    weights = [pretend.add_obs(alice, "weight", 60.0 + n, encounter=encounter) for n in range(3)]
    moved = pretend.add_encounter(alice, provider="nurse")
    pulse = pretend.add_obs(alice, "pulse", 80.0, encounter=moved)
    order = pretend.add_drug_order(bob, encounter=pretend.add_encounter(bob))
    empty = pretend.add_obs(bob, "weight")
    for person in (dora, frank):
        pretend.add_obs(person, "weight", 90.0, encounter=pretend.add_encounter(person))
    site.sync()

    edited = pretend.edit_obs(weights[0], 70.0)
    pretend.void_obs(weights[1])
    pretend.purge_obs(weights[2])
    pretend.update("encounter", moved, patient_id=bob)  # as 1.x does: the rows move with their ids
    pretend.update("obs", pulse, person_id=bob)
    pretend.stop_order(order)
    pretend.update("obs", empty, value_numeric=75.0)
    pretend.add_obs(bob, "note")  # parked
    pretend.rename_concept("pulse", "Heart rate", in_place=True)
    pretend.void_identifier(pretend.identifiers_of(dora)[0])
    carol = site.add_holder(CAROL)
    new = pretend.add_obs(carol, "weight", 50.0, encounter=pretend.add_encounter(carol, provider="midwife"))
    site.add_holder(EVE, sex="F")
    world.register("1199070000000099", sex="M")
    held = pretend.add_person(national_id="1199070000000099", sex="F")
    pretend.add_obs(held, "weight", 40.0)
    admin = User.objects.create_superuser("story", password="long enough")
    links.decide(link=world.link_of(site.hospital, frank), verdict="different", actor=admin, now=timezone.now())
    return {edited: "70", pulse: "80", empty: "75", new: "50"}


def left_behind(site: Site) -> dict[str, Any]:
    """Everything that a run leaves, but for moments, tokens, attempts and keys that are drawn by lot."""
    site.hospital.refresh_from_db()
    person_of = dict(Link.objects.values_list("pk", "person_id"))
    not_compared = {"received_at", "token", "link_id"}
    return {
        "records": [
            {name: value for name, value in record.items() if name not in not_compared}
            | {"person": person_of[record["link_id"]]}
            for record in Record.objects.order_by("key").values()
        ],
        "links": [
            {name: getattr(link, name) for name in ("person_id", "state", "reason", "patient_id", "candidates")}
            | {name: getattr(link, name) for name in ("n_source", "n_stored", "n_parked", "n_unexplained", "balance")}
            | {"is_fresh": link.state != "linked" or link.marks == link.fresh_marks, "n_failures": link.n_failures}
            for link in Link.objects.order_by("person_id")
        ],
        "parked": [
            (person_of[row.link_id], row.table, row.source_id, row.reason)
            for row in ParkedRow.objects.order_by("link__person_id", "table", "source_id")
        ],
        "doctors": sorted(Doctor.objects.values_list("provider_uuid", "name")),
        "locations": sorted(Location.objects.values_list("uuid", "name")),
    }
