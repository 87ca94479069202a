"""encounter_diagnosis, conditions and allergies → records.

The concept shown is the word "Diagnosis", "Condition" or "Allergy", the value what it is; concept_id and concept_uuid
are the coded diagnosis', condition's or allergen's own, so that it can be compared across hospitals.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from openmrs_sync.enricher.context import Context, Event
from openmrs_sync.enricher.qualifiers import DiagnosisKey, diagnosis_key
from openmrs_sync.enricher.values import clean, details_json
from openmrs_sync.rows import AllergyRow, Concept, ConditionRow, DiagnosisRow, ReactionRow, RecordRow

#: The concept "other" of an allergy that is typed in, where the setting does not name it: CIEL's.
_OTHER_ALLERGEN = "5622AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def migrated_diagnoses(context: Context, diagnoses: Iterable[DiagnosisRow]) -> frozenset[DiagnosisKey]:
    """Return what the live rows of encounter_diagnosis say: obs groups that say the same are their older selves."""
    return frozenset(
        diagnosis_key(row.patient_id, row.encounter_id, row.diagnosis_coded, row.diagnosis_non_coded)
        for row in diagnoses
        if not context.why_not(row.voided, row.patient_id, context.event(row.encounter_id))
        and (row.diagnosis_coded is not None or row.diagnosis_non_coded)
    )


def diagnosis_renderer(context: Context) -> Callable[[DiagnosisRow], RecordRow | str]:
    """Return the function for rows of encounter_diagnosis. Clinical time: its encounter's."""

    def render(row: DiagnosisRow) -> RecordRow | str:
        event = context.event(row.encounter_id)
        value = _value(context, row.diagnosis_coded, row.diagnosis_coded_name, row.diagnosis_non_coded)
        at = event.at if event.at[0] is not None else context.moments[row.date_created]
        return _statement(
            context,
            row,
            table="encounter_diagnosis",
            word="Diagnosis",
            coded=row.diagnosis_coded,
            value=value,
            event=event,
            at=at,
            certainty=(row.certainty or "").lower() or None,
            rank=row.rank,
        )

    return render


def condition_renderer(context: Context) -> Callable[[ConditionRow], RecordRow | str]:
    """Return the function for rows of `conditions`, core's and emrapi's. Clinical time: its onset, if known."""

    def render(row: ConditionRow) -> RecordRow | str:
        onset = context.moments[row.onset_date]
        return _statement(
            context,
            row,
            table="conditions",
            word="Condition",
            coded=row.condition_coded,
            value=_value(context, row.condition_coded, row.condition_coded_name, row.condition_non_coded),
            event=context.event(row.encounter_id),
            at=onset if onset[0] is not None else context.moments[row.date_created],
            details={
                "clinical_status": (row.clinical_status or "").lower(),
                "verification_status": (row.verification_status or "").lower(),
                "onset": onset[0],
                "ended": context.local(row.end_date),
                # emrapi's table holds a concept here, core's a text
                "end_reason": context.concept_name(row.end_reason)
                if isinstance(row.end_reason, int)
                else row.end_reason,
            },
        )

    return render


def allergy_renderer(context: Context, reactions: Iterable[ReactionRow]) -> Callable[[AllergyRow], RecordRow | str]:
    """Return the function for allergies. Nothing says since when they are known but the day of entry."""
    reactions_of: dict[int, list[str]] = defaultdict(list)
    for reaction in reactions:
        # with a text the concept is "other"
        name = reaction.reaction_non_coded or context.concept_name(reaction.reaction_concept_id)
        if name:
            reactions_of[reaction.allergy_id].append(clean(name))
    other = (context.dictionaries.setting("allergy.concept.otherNonCoded") or _OTHER_ALLERGEN).lower()

    def render(row: AllergyRow) -> RecordRow | str:
        coded = row.coded_allergen
        is_other = coded is not None and context.dictionaries.concept(coded).uuid.lower() == other
        return _statement(
            context,
            row,
            table="allergy",
            word="Allergy",
            coded=coded,
            value=_value(context, None if is_other and row.non_coded_allergen else coded, None, row.non_coded_allergen),
            event=context.event(row.encounter_id),
            at=context.moments[row.date_created],
            details={
                "severity": context.concept_name(row.severity_concept_id),
                "reactions": reactions_of.get(row.allergy_id),
                "type": (row.allergen_type or "").lower(),
                "comments": row.comments,
            },
        )

    return render


def _value(context: Context, coded: int | None, name_id: int | None, text: str | None) -> str:
    """Return the chosen name or the label, with the text that was typed in beside it; "" when there is neither."""
    typed = clean(text or "").strip()
    if coded is None:
        return typed
    name = context.coded_values[coded, name_id]
    return f"{name} ({typed})" if typed and typed != name else name


def _statement(
    context: Context,
    row: DiagnosisRow | ConditionRow | AllergyRow,
    *,
    table: str,
    word: str,
    coded: int | None,
    value: str,
    event: Event,
    at: tuple[str | None, int],
    certainty: str | None = None,
    rank: int | None = None,
    details: Mapping[str, object] | None = None,
) -> RecordRow | str:
    if reason := context.why_not(row.voided, row.patient_id, event):
        return reason
    concept: Concept | None = context.dictionaries.concept(coded) if coded is not None else None
    category, rule, is_hidden = context.categorise(table, concept)
    if is_hidden:
        return "hidden_by_admin"
    if not value:
        return "no_value"
    if event.patient_id not in (None, row.patient_id):
        return "encounter_of_another_patient"
    return RecordRow(
        table=table,
        source_id=row[0],
        source_uuid=row.uuid or "",
        category=category,
        category_rule=rule,
        concept_id=coded,
        concept_uuid=concept.uuid if concept else "",
        concept=word,
        value=value,
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
        certainty=certainty,
        rank=rank,
        provider=event.provider,
        provider_uuid=event.provider_uuid,
        location=event.location,
        entered_at_local=context.local(row.date_created),
        details=details_json(details or {}),
    )
