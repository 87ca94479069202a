"""Which obs say something about another one: a diagnosis' certainty and rank, a result's abnormal flag and range.

A qualifier is a record of its own with `part_of`; what can be said in the record it qualifies is said there too.

Diagnoses as obs (every OpenMRS before 2.2, and later ones in legacy mode) are groups whose concepts are found by their
mappings to emrapi: names differ by distribution. In Bahmni a result is a group of the value and its flag, range and
notes, known by their fully specified names or by class.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from openmrs_sync.enricher.context import EMRAPI, Context
from openmrs_sync.rows import Concept, ObsRow

DIAGNOSIS_SET = (EMRAPI, "Diagnosis Concept Set")
DIAGNOSES = frozenset(((EMRAPI, "Coded Diagnosis"), (EMRAPI, "Non-Coded Diagnosis")))
CERTAINTY = (EMRAPI, "Diagnosis Certainty")
RANK = (EMRAPI, "Diagnosis Order")

#: Bahmni's members of a result group, by fully specified name; members of these classes too.
RESULT_QUALIFIERS = frozenset(
    ("LAB_ABNORMAL", "LAB_MINNORMAL", "LAB_MAXNORMAL", "LAB_NOTES", "LAB_REPORT", "REFERRED_OUT")
)
QUALIFIER_CLASSES = frozenset(("Abnormal", "Duration"))
#: Bahmni's members of a diagnosis group that the diagnosis itself must show: a ruled-out one is none.
DIAGNOSIS_DETAILS = {
    "Bahmni Diagnosis Status": "diagnosis_status",
    "Bahmni Diagnosis Revised": "diagnosis_revised",
}
_CERTAINTIES = ("confirmed", "presumed", "provisional")
_RANKS = {"primary": 1, "secondary": 2}

#: (person, encounter, coded concept or text) of a diagnosis
DiagnosisKey = tuple[int, int | None, int | str | None]


class Note(NamedTuple):
    """What an obs' group says about it."""

    part_of: int | None = None
    certainty: str | None = None
    rank: int | None = None
    details: tuple[tuple[str, str], ...] = ()


def find_notes(
    context: Context, obs: Sequence[ObsRow], migrated: frozenset[DiagnosisKey]
) -> tuple[dict[int, Note], set[int]]:
    """Return obs_id → Note, and the ids of obs that only repeat a migrated diagnosis, their group included."""
    notes: dict[int, Note] = {}
    duplicates: set[int] = set()
    concepts = {concept_id: context.questions[concept_id].concept for concept_id in {row.concept_id for row in obs}}
    sets = {concept_id for concept_id, concept in concepts.items() if DIAGNOSIS_SET in concept.mappings}
    qualifiers = {concept_id for concept_id, concept in concepts.items() if _is_result_qualifier(concept)}
    if not sets and not qualifiers:
        return notes, duplicates
    parents = {(row.obs_id, row.person_id): row.concept_id for row in obs if row.obs_id in context.group_parents}
    for (group_id, person_id), members in _live_members(obs).items():
        parent_concept = parents.get((group_id, person_id))
        if parent_concept in sets:
            if _note_diagnosis(context, members, notes, migrated):
                duplicates.update((group_id, *(member.obs_id for member in members)))
        elif any(member.concept_id in qualifiers for member in members):
            _note_result(context, members, qualifiers, parent_concept, notes)
    return notes, duplicates


def diagnosis_key(person_id: int, encounter_id: int | None, coded: int | None, text: str | None) -> DiagnosisKey:
    return person_id, encounter_id, coded if coded is not None else (text or "").strip()


def _is_result_qualifier(concept: Concept) -> bool:
    return concept.full_name in RESULT_QUALIFIERS or concept.concept_class in QUALIFIER_CLASSES


def _live_members(obs: Iterable[ObsRow]) -> dict[tuple[int, int], list[ObsRow]]:
    """(group, person) → members: a group says nothing of another person's obs, whoever is in the batch."""
    members: dict[tuple[int, int], list[ObsRow]] = defaultdict(list)
    for row in obs:
        if row.obs_group_id is not None and not row.voided:
            members[row.obs_group_id, row.person_id].append(row)
    return members


def _note_diagnosis(
    context: Context, members: Sequence[ObsRow], notes: dict[int, Note], migrated: frozenset[DiagnosisKey]
) -> bool:
    """Note a group's members; return whether its diagnoses are all migrated."""
    diagnoses = []
    certainty, rank, details = None, None, {}
    no = context.setting_id("concept.false")
    for member in members:
        concept = context.questions[member.concept_id].concept
        if concept.mappings & DIAGNOSES:
            diagnoses.append(member)
        elif CERTAINTY in concept.mappings:
            certainty = _word(context, member, _CERTAINTIES)
        elif RANK in concept.mappings:
            rank = _RANKS.get(_word(context, member, tuple(_RANKS)) or "")
        elif (key := DIAGNOSIS_DETAILS.get(concept.full_name)) and member.value_coded not in (None, no):
            details[key] = context.concept_name(member.value_coded)
    if not diagnoses:
        return False
    shown = min(diagnoses)
    is_hidden = context.questions[shown.concept_id].is_hidden
    for member in members:
        if member in diagnoses:
            notes[member.obs_id] = Note(None, certainty, rank, tuple(sorted(details.items())))
        elif not is_hidden:
            notes[member.obs_id] = Note(part_of=shown.obs_id)
    return all(
        diagnosis_key(one.person_id, one.encounter_id, one.value_coded, one.value_text) in migrated for one in diagnoses
    )


def _word(context: Context, member: ObsRow, words: tuple[str, ...]) -> str | None:
    """Return which of these words an answer means: by its mapping to emrapi, else by its fully specified name."""
    if member.value_coded is None:
        return None
    concept = context.dictionaries.concept(member.value_coded)
    codes = {code.lower() for source, code in concept.mappings if source == EMRAPI}
    name = (concept.full_name or concept.name).lower()
    return next((word for word in words if word in codes), None) or next(
        (word for word in words if name.startswith(word)), None
    )


def _note_result(
    context: Context,
    members: Sequence[ObsRow],
    qualifiers: set[int],
    parent_concept: int | None,
    notes: dict[int, Note],
) -> None:
    """Note what a group's qualifiers qualify: its one other member, or the one that the group is named after."""
    values = [member for member in members if member.concept_id not in qualifiers]
    values = [
        member
        for member in values
        if member.obs_id not in context.group_parents and not context.questions[member.concept_id].is_hidden
    ]
    if len(values) > 1:
        values = [member for member in values if member.concept_id == parent_concept]
    if len(values) == 1:
        for member in members:
            if member.concept_id in qualifiers:
                notes[member.obs_id] = Note(part_of=values[0].obs_id)
