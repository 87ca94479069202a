"""What many rows of a batch share, worked out once: parents, providers, places, concepts, moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from openmrs_sync.enricher.values import Bounds, Moments, details_json, flag_of, number_text
from openmrs_sync.rows import UNDATED, Categorise, Concept, Dictionaries, EncounterRow, ObsRow, SourceBatch

EMRAPI = "org.openmrs.module.emrapi"
#: Texts of one kind that are remembered from batch to batch.
MOST_KEPT = 20_000
Key = TypeVar("Key")
Kept = TypeVar("Kept")


class Event(NamedTuple):
    """An encounter, as the rows that hang on it see it. `patient_id` None: there is no such encounter."""

    patient_id: int | None
    is_dead: bool  # it, or its visit, is voided
    visit_id: int | None
    provider: str
    provider_uuid: str
    location: str
    at: tuple[str | None, int]


NO_BOUNDS = Bounds(None, None, None, None)
NOWHERE = Event(None, False, None, "", "", "", (None, UNDATED))


class Group(NamedTuple):
    """The groups above an obs: the outermost one, whether any of them is voided, and the details that name it.

    `person_id`: whose the outermost one is; None when it is not in the batch. It names the group for its own person's
    obs alone: who else is in the batch is chance, and a record must not change with it.
    """

    root_id: int
    person_id: int | None
    is_dead: bool
    details: str  # JSON: {"group": the outermost one's concept}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A concept as obs ask it, with all that follows from it alone."""

    concept: Concept
    #: category, rule, concept id, uuid and label: a stretch of every record of this concept
    shown: tuple[str, str, int, str, str]
    is_hidden: bool
    datatype: str
    unit: str
    bounds: Bounds
    has_bounds: bool


class Questions(dict[int, Question]):
    """concept_id → Question, made when first asked for. What is not known is not kept: a later batch may know it."""

    def __init__(self, dictionaries: Dictionaries, categorise: Categorise) -> None:
        super().__init__()
        self._dictionaries = dictionaries
        self._categorise = categorise

    def __missing__(self, concept_id: int) -> Question:
        concept = self._dictionaries.concept(concept_id)
        category, rule, is_hidden = self._categorise("obs", concept)
        bounds = Bounds(concept.low_normal, concept.high_normal, concept.low_critical, concept.high_critical)
        question = Question(
            concept=concept,
            shown=(category, rule, concept_id, concept.uuid, concept.name),
            is_hidden=is_hidden,
            datatype=concept.datatype,
            unit=concept.unit,
            bounds=bounds,
            has_bounds=bounds != NO_BOUNDS,
        )
        if concept.uuid:
            self[concept_id] = question
        return question


def _kept(known: dict[Key, Kept], key: Key, value: Kept) -> Kept:
    """Remember a value, and forget all before there are so many that memory would grow with the hospital."""
    if len(known) >= MOST_KEPT:
        known.clear()
    known[key] = value
    return value


#: What a number says without its modifier: text, unit, low, high, flag.
Measured = tuple[str, str, float | None, float | None, str | None]


class Measurements(dict[tuple[int, float], Measured]):
    """(concept_id, number) → what it says by the range of its concept."""

    def __init__(self, questions: Questions) -> None:
        super().__init__()
        self._questions = questions

    def __missing__(self, key: tuple[int, float]) -> Measured:
        concept_id, number = key
        question = self._questions[concept_id]
        bounds = question.bounds
        flag = flag_of(number, None, bounds)
        measured = number_text(number), question.unit, bounds.low, bounds.high, flag
        return _kept(self, key, measured) if question.concept.uuid else measured


class CodedValues(dict[tuple[int, int | None], str]):
    """(value_coded, value_coded_name_id) → what the clinician chose: that very name, if it exists, else the label."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        super().__init__()
        self._dictionaries = dictionaries

    def __missing__(self, key: tuple[int, int | None]) -> str:
        concept_id, name_id = key
        if name_id is not None and (chosen := self._dictionaries.concept_name(name_id)):
            return _kept(self, key, chosen)
        concept = self._dictionaries.concept(concept_id)
        return _kept(self, key, concept.name) if concept.uuid and name_id is None else concept.name


class Answers(dict[tuple[str, int], str]):
    """(details, value_coded) → the details with the uuid of the coded answer: by it plain words and codes are found."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        super().__init__()
        self._dictionaries = dictionaries

    def __missing__(self, key: tuple[str, int]) -> str:
        details, concept_id = key
        answer = self._dictionaries.concept(concept_id).uuid
        if not answer:
            return details
        return _kept(self, key, _with_answer(details, answer))


def _with_answer(details: str, answer: str) -> str:
    """As `details_json` would put it: "answer" sorts before "group", the only other key."""
    told = details_json({"answer": answer})
    return told if details == "{}" else f"{told[:-1]},{details[1:]}"


class Locations(dict[int, str]):
    """location_id → its name."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        super().__init__()
        self._dictionaries = dictionaries

    def __missing__(self, location_id: int) -> str:
        place = self._dictionaries.location(location_id)
        return _kept(self, location_id, place.name) if place.uuid else place.name


class Shared:
    """What all batches of one run share: it follows from the dictionaries and rules alone, which a run keeps, too."""

    def __init__(self, *, dictionaries: Dictionaries, categorise: Categorise) -> None:
        self.questions = Questions(dictionaries, categorise)
        self.measurements = Measurements(self.questions)
        self.coded_values = CodedValues(dictionaries)
        self.answers = Answers(dictionaries)
        self.locations = Locations(dictionaries)


class Groups(dict[int, Group]):
    """obs_group_id → Group, by the outermost that exists. One that does not is its own root and voids nothing."""

    def __init__(self, batch: SourceBatch, dictionaries: Dictionaries) -> None:
        super().__init__()
        self._dictionaries = dictionaries
        self._own: dict[int, ObsRow] = {row.obs_id: row for row in batch.obs if row.obs_id in batch.group_parents}
        self._others = batch.other_parents.get("obs", {})
        self._named: dict[int, str] = {}  # concept of an outermost group → the details of its members

    def __missing__(self, group_id: int) -> Group:
        is_dead, root_id, seen = False, group_id, set[int]()
        above: int | None = group_id
        while above is not None and above not in seen:  # groups in a circle must not hang us
            seen.add(above)
            if own := self._own.get(above):
                root_id, is_dead, above = above, is_dead or bool(own.voided), own.obs_group_id
            elif other := self._others.get(above):
                root_id, is_dead, above = above, is_dead or bool(other.voided), other.parent_id
            else:
                break
        if root := self._own.get(root_id):
            details = self._named.get(root.concept_id)
            if details is None:
                name = self._dictionaries.concept(root.concept_id).name
                details = self._named[root.concept_id] = details_json({"group": name})
            group = self[group_id] = Group(root_id, root.person_id, is_dead, details)
        else:
            group = self[group_id] = Group(root_id, None, is_dead, "{}")
        return group


class Context:
    """Everything that the renderers look up. One per batch."""

    def __init__(
        self,
        batch: SourceBatch,
        *,
        dictionaries: Dictionaries,
        zone: ZoneInfo,
        categorise: Categorise,
        shared: Shared | None = None,
    ) -> None:
        shared = shared or Shared(dictionaries=dictionaries, categorise=categorise)
        self.dictionaries = dictionaries
        self.categorise = categorise
        self.moments = Moments(zone)
        self.questions, self.measurements, self.coded_values = (
            shared.questions,
            shared.measurements,
            shared.coded_values,
        )
        self.answers, self.locations = shared.answers, shared.locations
        self.groups = Groups(batch, dictionaries)
        self.group_parents = batch.group_parents
        self.obs_ranges = batch.obs_ranges
        self.dead_persons = frozenset(person_id for person_id, person in batch.persons.items() if person.is_voided)
        self._visits = {visit.visit_id: visit for visit in batch.visits}
        self._other_visits = batch.other_parents.get("visit", {})
        self.encounters: dict[int | None, Event] = {None: NOWHERE}
        for encounter_id, parent in batch.other_parents.get("encounter", {}).items():
            is_dead = bool(parent.voided) or self._is_dead_visit(parent.parent_id)
            self.encounters[encounter_id] = NOWHERE._replace(
                patient_id=parent.person_id, is_dead=is_dead, visit_id=parent.parent_id
            )
        for encounter in batch.encounters:
            self.encounters[encounter.encounter_id] = self._event(
                encounter, batch.encounter_providers.get(encounter.encounter_id, ())
            )

    def location(self, location_id: int | None) -> str:
        return self.locations[location_id] if location_id is not None else ""

    def event(self, encounter_id: int | None) -> Event:
        return self.encounters.get(encounter_id, NOWHERE)

    def concept_name(self, concept_id: int | None) -> str:
        return self.dictionaries.concept(concept_id).name if concept_id is not None else ""

    def setting_id(self, name: str) -> int | None:
        """Return the concept id that a global property holds, None when it holds none."""
        value = (self.dictionaries.setting(name) or "").strip()
        return int(value) if value.isdigit() else None

    def local(self, moment: object) -> str | None:
        """Return a moment as it is shown, None when it is absent or impossible."""
        return self.moments[moment][0]  # type: ignore[index]  # anything that is no datetime is undated

    def why_not(self, row_voided: int, person_id: int, event: Event) -> str | None:
        """Return the first reason for which a row (that has no group) is dead, None when it lives."""
        if row_voided:
            return "voided"
        if event.is_dead or person_id in self.dead_persons:
            return "parent_voided"
        return None

    def _is_dead_visit(self, visit_id: int | None) -> bool:
        if visit_id is None:
            return False
        visit = self._visits.get(visit_id) or self._other_visits.get(visit_id)
        return visit is not None and bool(visit.voided)

    def _event(self, encounter: EncounterRow, provider_ids: Sequence[int]) -> Event:
        # one person with two roles is one name
        providers = list({one: self.dictionaries.provider(one) for one in provider_ids}.values())
        location_id = encounter.location_id
        visit = self._visits.get(encounter.visit_id) if encounter.visit_id is not None else None
        # another patient's visit may be in the batch by chance
        if location_id is None and visit is not None and visit.patient_id == encounter.patient_id:
            location_id = visit.location_id
        return Event(
            patient_id=encounter.patient_id,
            is_dead=bool(encounter.voided) or self._is_dead_visit(encounter.visit_id),
            visit_id=encounter.visit_id,
            provider=", ".join(provider.name for provider in providers),
            provider_uuid=providers[0].uuid if providers else "",
            location=self.location(location_id),
            at=self.moments[encounter.encounter_datetime],
        )
