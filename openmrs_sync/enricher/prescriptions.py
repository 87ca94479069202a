"""orders with their drug_order → records of medicines.

The concept is the drug's name, the value dose, route and frequency in words. Whether it is still being taken changes
with the clock while no row changes, so it is not said here: the details hold what it follows from.
"""

import json
from collections.abc import Callable, Iterable, Mapping

from openmrs_sync.enricher.context import Context
from openmrs_sync.enricher.values import clean, details_json, number_text
from openmrs_sync.rows import OrderRow, RecordRow

#: Bahmni's variable doses, in dosing_instructions
_TIMES_OF_DAY = ("morningDose", "afternoonDose", "eveningDose")

#: What an order does to the one before it
STOPPING = frozenset({"DISCONTINUE", "REVISE"})


def order_renderer(context: Context, orders: Iterable[OrderRow]) -> Callable[[OrderRow], RecordRow | str]:
    """Return the function for `orders`, all of the batch. Provider: who ordered, else who saw the patient."""
    followers = _followers(orders)

    def render(row: OrderRow) -> RecordRow | str:
        event = context.event(row.encounter_id)
        if reason := context.why_not(row.voided, row.patient_id, event):
            return reason
        if not row.is_drug_order or row.order_action == "DISCONTINUE":
            return "not_a_prescription"
        concept = context.dictionaries.concept(row.concept_id) if row.concept_id is not None else None
        category, rule, is_hidden = context.categorise("orders", concept)
        if is_hidden:
            return "hidden_by_admin"
        if event.patient_id not in (None, row.patient_id):
            return "encounter_of_another_patient"
        provider, provider_uuid = event.provider, event.provider_uuid
        if row.orderer is not None:
            orderer = context.dictionaries.provider(row.orderer)
            provider, provider_uuid = orderer.name, orderer.uuid
        is_scheduled = row.urgency == "ON_SCHEDULED_DATE" and row.scheduled_date is not None
        at = context.moments[row.scheduled_date if is_scheduled else row.date_activated]
        instructions = _read_instructions(row.dosing_instructions)
        dosing, course = _dosing(context, row, instructions), _course(context, row, instructions)
        stop = _stop(context, row, followers.get((row.patient_id, row.order_id)))
        return RecordRow(
            table="orders",
            source_id=row.order_id,
            source_uuid=row.uuid,
            category=category,
            category_rule=rule,
            concept_id=row.concept_id,
            concept_uuid=concept.uuid if concept else "",
            concept=_drug_name(context, row),
            value=_in_words(dosing) or str(course["instructions"]),
            value_number=None,
            unit="",
            low=None,
            high=None,
            flag=None,
            at_local=at[0],
            order_at=at[1],
            visit_id=event.visit_id,
            encounter_id=row.encounter_id,
            group_id=None,
            part_of=None,
            certainty=None,
            rank=None,
            provider=provider,
            provider_uuid=provider_uuid,
            location=event.location,
            entered_at_local=context.local(row.date_created),
            details=details_json({**dosing, **course, **stop, "started": at[0]}),
        )

    return render


def _followers(orders: Iterable[OrderRow]) -> dict[tuple[int, int], OrderRow]:
    """Return person and order → the order that stopped it: OpenMRS writes another row for that, of who stopped it.

    Of several the newest by its id: the source may send its rows in any order.
    """
    stopping = [
        row for row in orders if row.previous_order_id is not None and row.order_action in STOPPING and not row.voided
    ]
    stopping.sort(key=lambda row: row.order_id)
    return {(row.patient_id, row.previous_order_id): row for row in stopping if row.previous_order_id is not None}


def _stop(context: Context, row: OrderRow, follower: OrderRow | None) -> dict[str, object]:
    """Return who stopped it and how (DISCONTINUE, REVISE), as far as the source says."""
    if row.date_stopped is None or follower is None:
        return {}
    by = context.dictionaries.provider(follower.orderer).name if follower.orderer is not None else ""
    return {"stopped_by": by, "stopped_action": follower.order_action}


def _drug_name(context: Context, row: OrderRow) -> str:
    if row.drug_inventory_id is not None:
        return context.dictionaries.drug(row.drug_inventory_id)
    return clean(row.drug_non_coded or "") or context.concept_name(row.concept_id) or "Unknown drug"


def _read_instructions(text: str | None) -> dict[str, object]:
    """Return dosing_instructions as Bahmni's JSON object, other text as {"instructions": text}."""
    try:
        read = json.loads(text or "{}")
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"instructions": text}


def _dosing(context: Context, row: OrderRow, instructions: Mapping[str, object]) -> dict[str, object]:
    """Return dose, units, route, frequency and as_needed in words; an absent one is None or ""."""
    dose: object = number_text(row.dose) if row.dose is not None else instructions.get("dose")
    if dose is None and any(time in instructions for time in _TIMES_OF_DAY):
        dose = "-".join(str(instructions.get(time) or 0) for time in _TIMES_OF_DAY)
    units = context.concept_name(row.dose_units) or row.dose_units_text or instructions.get("doseUnits")
    return {
        "dose": str(dose) if dose is not None else None,
        "dose_units": units,
        "route": context.concept_name(row.route),
        "frequency": context.concept_name(row.frequency) or row.frequency_text,
        "as_needed": True if row.as_needed else None,
    }


def _in_words(dosing: Mapping[str, object]) -> str:
    """{"dose": "1", "dose_units": "Tablet", "route": "Oral", …} → "1 Tablet, Oral, Twice daily, as needed"."""
    amount = " ".join(str(dosing[key]) for key in ("dose", "dose_units") if dosing[key]) if dosing["dose"] else ""
    parts = [amount, dosing["route"], dosing["frequency"], "as needed" if dosing["as_needed"] else ""]
    return clean(", ".join(str(part) for part in parts if part))


def _course(context: Context, row: OrderRow, instructions: Mapping[str, object]) -> dict[str, object]:
    told = [row.instructions, instructions.get("instructions"), instructions.get("additionalInstructions")]
    return {
        "duration": number_text(row.duration) if row.duration is not None else None,
        "duration_units": context.concept_name(row.duration_units),
        "quantity": number_text(row.quantity) if row.quantity is not None else None,
        "quantity_units": context.concept_name(row.quantity_units),
        "instructions": clean("; ".join(dict.fromkeys(str(one) for one in told if one))),
        "stopped": context.local(row.date_stopped),
        "expires": context.local(row.auto_expire_date),
        "action": row.order_action,
        "fulfiller_status": row.fulfiller_status,
        "order_number": row.order_number,
    }
