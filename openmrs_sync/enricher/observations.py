"""obs → records. Nearly all rows are here, so this loop counts: what rows share is looked up, not made again."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping

from openmrs_sync.enricher.context import NOWHERE, Context, Question
from openmrs_sync.enricher.qualifiers import Note
from openmrs_sync.enricher.values import (
    INTERPRETATIONS,
    Bounds,
    clean,
    complex_text,
    details_json,
    flag_of,
    moment_text,
    number_text,
)
from openmrs_sync.rows import ObsRow, RecordRow

#: A named tuple from a tuple, without the detour through Python that `RecordRow(…)` takes.
new_record = tuple.__new__
NOTHING = Note()
NOT_MEASURED: "Measure" = ("", None, None, None)
#: (comments, status, interpretation) of nearly all obs: nothing for the details
PLAIN = frozenset(((None, "FINAL", None), (None, None, None)))

#: What an obs says: as text, and as a number if it is one.
Value = tuple[str, float | None]


def obs_renderer(
    context: Context, notes: Mapping[int, Note], duplicates: Collection[int]
) -> Callable[[ObsRow], RecordRow | str]:
    """Return the function that makes one obs a record, or says why it is none."""
    encounters, groups, moments = context.encounters, context.groups, context.moments
    questions, dead_persons, group_parents = context.questions, context.dead_persons, context.group_parents
    value_of, measure, locations = value_renderer(context), measurer(context), context.locations
    answers, measurements, obs_ranges = context.answers, context.measurements, context.obs_ranges

    def render(row: ObsRow) -> RecordRow | str:
        if row[23]:  # by position: by name costs twice as much, a million times
            return "voided"
        obs_id, uuid, person_id, concept_id, encounter_id, _, obs_datetime, location_id, group_id = row[:9]
        patient_id, is_dead, visit_id, provider, provider_uuid, location, _ = encounters.get(encounter_id, NOWHERE)
        root_id, plain_details = None, "{}"
        if group_id is not None:
            root_id, root_person_id, is_group_dead, group_details = groups[group_id]
            is_dead = is_dead or is_group_dead
            plain_details = group_details if root_person_id == person_id else "{}"
        if is_dead or person_id in dead_persons:
            return "parent_voided"
        if obs_id in duplicates:
            return "duplicate_of_migrated"
        question = questions[concept_id]
        if question.is_hidden:
            return "hidden_by_admin"
        number = row[13]
        if number is not None and row[14] is row[20] is None and question.datatype == "Numeric" and not obs_ranges:
            # nearly every number: without a modifier, an interpretation or a range of its own
            text, unit, low, high, flag = measurements[concept_id, number]
        elif (value := value_of(row, question.datatype)) is None:
            return "group_without_value" if obs_id in group_parents else "no_value"
        else:
            text, number = value
            is_measured = number is not None or row[20] is not None
            unit, low, high, flag = measure(row, question, number) if is_measured else NOT_MEASURED
        if patient_id is not None and patient_id != person_id:
            return "encounter_of_another_patient"
        category, rule, _, concept_uuid, concept = question.shown
        at_local, order_at = moments[obs_datetime]
        part_of, certainty, rank, told = notes.get(obs_id, NOTHING)
        details = plain_details if row[9] is None else answers[plain_details, row[9]]
        is_plain = row[18:21] in PLAIN and not told
        # one tuple, in the order of RecordRow: put together from parts it would be copied for each
        record = (
            "obs", obs_id, uuid, category, rule, concept_id, concept_uuid, concept, text, number, unit, low, high, flag,
            at_local, order_at, visit_id, encounter_id, root_id, part_of, certainty, rank, provider, provider_uuid,
            location if location_id is None else locations[location_id], moments[row[22]][0],
            details if is_plain else _details(row, told, details),
        )  # fmt: skip
        return new_record(RecordRow, record)

    return render


def value_renderer(context: Context) -> Callable[[ObsRow, str], Value | None]:
    """Return the function (obs, datatype of its concept) → its value, None when no column holds one.

    The column of the datatype, if it is filled; else the one that is: a concept's datatype may have changed since, and
    Bahmni hangs groups on numeric concepts.
    """
    coded_values, dictionaries = context.coded_values, context.dictionaries

    def value_of(row: ObsRow, datatype: str) -> Value | None:
        coded, name_id, drug_id, moment, number, modifier, text, complex_value, boolean = row[9:18]
        if number is not None and datatype == "Numeric":
            return _measured(number, modifier)
        if text and datatype == "Text":
            return clean(text), None
        if drug_id is not None:
            return dictionaries.drug(drug_id), None
        if coded is not None:
            return coded_values[coded, name_id], None
        if complex_value:
            return clean(complex_text(complex_value)), None
        if moment is not None:
            return moment_text(moment, datatype), None
        if number is not None:
            return _measured(number, modifier)
        if text:
            return clean(text), None
        return _boolean_value(context, boolean)

    return value_of


def _measured(number: float, modifier: str | None) -> Value:
    """("<5", 5.0): without its modifier a number says something else, whatever the concept's datatype is by now."""
    return (modifier.strip() if modifier else "") + number_text(number), number


def _boolean_value(context: Context, boolean: int | None) -> Value | None:
    """value_boolean of 1.x, which holds something only in rows older than 1.9: in the hospital's own words."""
    if boolean is None:
        return None
    concept_id = context.setting_id("concept.true" if boolean else "concept.false")
    if concept_id is not None:
        return context.concept_name(concept_id), None
    return "Yes" if boolean else "No", None


#: unit, low, high, flag
Measure = tuple[str, float | None, float | None, str | None]


def measurer(context: Context) -> Callable[[ObsRow, Question, float | None], Measure]:
    """Return the function that gives a value its unit, its normal range and its flag.

    The range stored with the obs (2.7+) comes before the concept's. The interpretation that the hospital stored comes
    before what the range says. No range and no interpretation: no flag.
    """
    obs_ranges = context.obs_ranges

    def measure(row: ObsRow, question: Question, number: float | None) -> Measure:
        interpretation = row[20]
        flag = INTERPRETATIONS.get(interpretation.upper()) if interpretation else None
        if number is None:
            return "", None, None, flag
        bounds = question.bounds
        if obs_ranges and (own := obs_ranges.get(row[0])):
            bounds = Bounds(*own[1:])
        elif not question.has_bounds:
            return question.unit, None, None, flag
        if flag is None:
            flag = flag_of(number, row[14], bounds)
        return question.unit, bounds.low, bounds.high, flag

    return measure


def _details(row: ObsRow, told: Iterable[tuple[str, str]], plain_details: str) -> str:
    comments, status, interpretation = row[18:21]
    is_told = not interpretation or interpretation.upper() in INTERPRETATIONS
    return details_json(
        {
            "comments": comments,
            "status": status.lower() if status and status != "FINAL" else None,
            "interpretation": None if is_told else str(interpretation).lower().replace("_", " "),
            **json.loads(plain_details),
            **dict(told),
        }
    )
