"""Visits and encounters → records of category visit."""

from collections.abc import Callable

from openmrs_sync.enricher.context import Context
from openmrs_sync.enricher.values import details_json
from openmrs_sync.rows import EncounterRow, RecordRow, VisitRow


def encounter_renderer(context: Context) -> Callable[[EncounterRow], RecordRow | str]:
    """Return the function for encounters. The concept is the word "Encounter", the value its type."""
    category, rule, is_hidden = context.categorise("encounter", None)

    def render(row: EncounterRow) -> RecordRow | str:
        event = context.event(row.encounter_id)
        if reason := context.why_not(row.voided, row.patient_id, event):
            return reason
        if is_hidden:
            return "hidden_by_admin"
        return RecordRow(
            table="encounter",
            source_id=row.encounter_id,
            source_uuid=row.uuid,
            category=category,
            category_rule=rule,
            concept_id=None,
            concept_uuid="",
            concept="Encounter",
            value=context.dictionaries.encounter_type(row.encounter_type),
            value_number=None,
            unit="",
            low=None,
            high=None,
            flag=None,
            at_local=event.at[0],
            order_at=event.at[1],
            visit_id=row.visit_id,
            encounter_id=row.encounter_id,
            group_id=None,
            part_of=None,
            certainty=None,
            rank=None,
            provider=event.provider,
            provider_uuid=event.provider_uuid,
            location=event.location,
            entered_at_local=context.local(row.date_created),
            details="{}",
        )

    return render


def visit_renderer(context: Context) -> Callable[[VisitRow], RecordRow | str]:
    """Return the function for visits. The concept is the word "Visit", the value its type."""
    category, rule, is_hidden = context.categorise("visit", None)

    def render(row: VisitRow) -> RecordRow | str:
        if row.voided:
            return "voided"
        if row.patient_id in context.dead_persons:
            return "parent_voided"
        if is_hidden:
            return "hidden_by_admin"
        at_local, order_at = context.moments[row.date_started]
        return RecordRow(
            table="visit",
            source_id=row.visit_id,
            source_uuid=row.uuid,
            category=category,
            category_rule=rule,
            concept_id=None,
            concept_uuid="",
            concept="Visit",
            value=context.dictionaries.visit_type(row.visit_type_id),
            value_number=None,
            unit="",
            low=None,
            high=None,
            flag=None,
            at_local=at_local,
            order_at=order_at,
            visit_id=row.visit_id,
            encounter_id=None,
            group_id=None,
            part_of=None,
            certainty=None,
            rank=None,
            provider="",
            provider_uuid="",
            location=context.location(row.location_id),
            entered_at_local=context.local(row.date_created),
            details=details_json(
                {
                    "stopped": context.local(row.date_stopped),
                    "indication": context.concept_name(row.indication_concept_id),
                }
            ),
        )

    return render
