"""Source rows → rendered records: names for ids, units, ranges and flags, the hospital's clock and UTC. Pure.

Every row of the seven tables becomes exactly one of: a record; excluded, with the first reason of a closed list that
holds; parked. A broken reference makes an unknown name and a bad date an undated record: neither is a reason to park.

    context        what many rows share: encounters with their providers and places, groups, moments, concepts
    qualifiers     which obs say something about another one: certainty, rank, abnormal flag, range
    observations   obs
    events         visits, encounters
    statements     encounter_diagnosis, conditions, allergies
    prescriptions  orders with their drug_order
    values         texts, numbers, dates, flags
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from zoneinfo import ZoneInfo

from openmrs_sync.enricher.context import Context, Shared
from openmrs_sync.enricher.events import encounter_renderer, visit_renderer
from openmrs_sync.enricher.observations import obs_renderer
from openmrs_sync.enricher.prescriptions import order_renderer
from openmrs_sync.enricher.qualifiers import find_notes
from openmrs_sync.enricher.statements import (
    allergy_renderer,
    condition_renderer,
    diagnosis_renderer,
    migrated_diagnoses,
)
from openmrs_sync.rows import Categorise, Dictionaries, LeftOut, RecordRow, Rendered, SourceBatch

__all__ = ["EXCLUSIONS", "Shared", "render"]

log = logging.getLogger(__name__)

#: Reasons why a row is no record and is not to be one. Everything else that is no record is parked.
EXCLUSIONS = frozenset(
    (
        *("voided", "parent_voided", "duplicate_of_migrated"),
        *("not_a_prescription", "hidden_by_admin", "group_without_value"),
    )
)


def render(
    batch: SourceBatch,
    *,
    dictionaries: Dictionaries,
    zone: ZoneInfo,
    categorise: Categorise,
    shared: Shared | None = None,
) -> list[Rendered]:
    """Return what became of each person's rows, one `Rendered` per person of the batch, in its order.

    `zone`: the hospital's; where its clock was put back, the first of the two equal times is meant.
    `shared`: of a run of many batches, made of the same dictionaries and rules.
    """
    context = Context(batch, dictionaries=dictionaries, zone=zone, categorise=categorise, shared=shared)
    people = {person_id: Rendered(person_id=person_id) for person_id in batch.persons}
    migrated = migrated_diagnoses(context, batch.diagnoses)
    notes, duplicates = find_notes(context, batch.obs, migrated)
    _render("obs", batch.obs, obs_renderer(context, notes, duplicates), people)
    _render("encounter", batch.encounters, encounter_renderer(context), people)
    _render("visit", batch.visits, visit_renderer(context), people)
    _render("encounter_diagnosis", batch.diagnoses, diagnosis_renderer(context), people)
    _render("conditions", batch.conditions, condition_renderer(context), people)
    _render("orders", batch.orders, order_renderer(context, batch.orders), people)
    _render("allergy", batch.allergies, allergy_renderer(context, batch.reactions), people)
    return list(people.values())


def _render(
    table: str,
    rows: Iterable[Any],  # every kind of row begins with its id, uuid and person
    render_row: Callable[[Any], RecordRow | str],
    people: dict[int, Rendered],
) -> None:
    """Put each row where it belongs. `render_row` returns the record or the reason why there is none."""
    person_id, person = None, Rendered(person_id=0)
    keep = person.records.append
    for row in rows:
        if row[2] != person_id:  # the rows of a person come together, as a rule
            person_id = row[2]
            person = people.get(person_id) or people.setdefault(person_id, Rendered(person_id=person_id))
            keep = person.records.append
        try:
            outcome = render_row(row)
        except Exception as error:  # noqa: BLE001 - one odd row must not stop a patient's history
            log.warning("unreadable row table=%s id=%s error=%s", table, row[0], type(error).__name__)
            outcome = "unreadable"
        if type(outcome) is not str:
            keep(outcome)  # type: ignore[arg-type]  # cheaper to test than RecordRow
        elif outcome in EXCLUSIONS:
            person.excluded.append(LeftOut(table, row[0], outcome))
        else:
            person.parked.append(LeftOut(table, row[0], outcome))
