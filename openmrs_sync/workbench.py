"""Concepts without a category: how many people each touches, what it may be and why, and the rule that says so.

Counted by an inspection per hospital, from what is stored; what a concept is (class, mapping) is asked of the
hospital's dictionary. A rule changes no record: it makes the persons stale, and they are read again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q

from hospitals.connections import open_hospital
from hospitals.errors import SourceError
from hospitals.models import Hospital
from openmrs_sync import links, schema
from openmrs_sync.categoriser import VITAL_CODES
from openmrs_sync.dictionaries import Names
from openmrs_sync.errors import SyncError
from openmrs_sync.inspections import Note, Part
from openmrs_sync.models import ConceptRule, Inspection
from openmrs_sync.rows import chunks
from passport.audit import record_event
from passport.models import Link, Record, User
from passport.models.links import LinkState
from passport.models.record import Category

#: Of one hospital, those that touch most persons.
MOST_CONCEPTS = 500
LINKS_AT_ONCE = 500
#: What the categoriser says when nothing told it more.
UNDECIDED = "default"

# --- what a concept may be --------------------------------------------------------------------------------------------

#: Classes that say enough for a suggestion, and too little for a rule of ours.
CLASSES = {
    "symptom/finding": Category.CONDITION,
    "finding": Category.CONDITION,
    "problem": Category.CONDITION,
    "radiology/imaging procedure": Category.TEST,
    "radiology": Category.TEST,
    "labtest": Category.TEST,
    "medication": Category.MEDICATION,
    "medset": Category.MEDICATION,
    "pharmacologic drug class": Category.MEDICATION,
    "allergen": Category.ALLERGY,
}
#: With one of these a name says something of a diagnosis or a test, and is none.
QUALIFIERS = frozenset({"certainty", "order", "date", "time", "status", "note", "rank"})
#: Whole words of a name → category; the first that fits, so the narrower ones stand first.
WORDS: tuple[tuple[Category, frozenset[str]], ...] = (
    (Category.ALLERGY, frozenset({"allergy", "allergies", "allergic", "allergie"})),
    (
        Category.VITAL,
        frozenset("weight height temperature pulse pressure respiratory saturation bmi poids taille".split()),
    ),
    (Category.CONDITION, frozenset("diagnosis diagnostic disease symptom symptoms complaint pain fever cough".split())),
    (Category.MEDICATION, frozenset("drug drugs medication medicine regimen dose tablet treatment".split())),
    (
        Category.TEST,
        frozenset("test count serum urine blood culture smear glucose haemoglobin hemoglobin".split()),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    category: str
    reason: str


def suggest(concept: Mapping[str, Any]) -> Suggestion | None:
    """What an entry of a count may be, by mapping, class, unit or words, in this order; None when nothing tells."""
    for source, code in concept["mappings"]:
        if source == "CIEL" and code in VITAL_CODES:
            return Suggestion(category=Category.VITAL, reason=f"mapped to CIEL {code}, {VITAL_CODES[code]}")
    found = CLASSES.get(concept["class"].lower())
    # a number is measured, not found: CIEL has both under one class
    if found and not (found == Category.CONDITION and concept["unit"]):
        return Suggestion(category=found, reason=f"its class is {concept['class']}")
    if concept["unit"]:
        return Suggestion(category=Category.TEST, reason=f"it has numbers in {concept['unit']}")
    said = set(re.findall(r"[\w-]+", concept["name"].lower()))
    if said & QUALIFIERS:
        return None
    for category, words in WORDS:
        if hit := sorted(said & words):
            return Suggestion(category=category, reason=f"“{hit[0]}” in its name")
    return None


# --- counting ---------------------------------------------------------------------------------------------------------


def count_part(
    *,
    hospital: Hospital,
    progress: Mapping[str, Any],  # noqa: ARG001 - begun anew: it is quick
    until: float,  # noqa: ARG001
    note: Note,
) -> Part:
    """Count this hospital's concepts whose category nothing decided. One part; `result`: {"concepts": [{uuid, name,
    n_records, n_persons, class, datatype, unit, mappings}], "n_concepts", "is_asked"}.

    By link, as records are found by nothing else. A hospital that cannot be asked is counted all the same.
    """
    link_ids = list(links.linked(hospital).values_list("pk", flat=True))
    n_records: Counter[tuple[str, int]] = Counter()
    n_persons: Counter[tuple[str, int]] = Counter()
    names: dict[tuple[str, int], str] = {}
    n_done = 0
    for part in chunks(link_ids, LINKS_AT_ONCE):
        for uuid, concept_id, name, n_rows, n_links in _undecided(part):
            key = (uuid, concept_id)
            n_records[key] += n_rows
            n_persons[key] += n_links
            names[key] = name
        n_done += len(part)
        note(n_done, len(link_ids))
    largest = sorted(n_persons, key=lambda key: (-n_persons[key], -n_records[key], key))[:MOST_CONCEPTS]
    facts, n_source_rows, seconds = _ask(hospital, [concept_id for _, concept_id in largest])
    concepts = [
        {"uuid": key[0], "name": names[key], "n_records": n_records[key], "n_persons": n_persons[key]}
        | facts.get(key[1], {"class": "", "datatype": "", "unit": "", "mappings": []})
        for key in largest
    ]
    return Part(
        n_done=n_done,
        n_all=len(link_ids),
        n_source_rows=n_source_rows,
        source_seconds=seconds,
        result={"concepts": concepts, "n_concepts": len(n_persons), "is_asked": bool(facts) or not concepts},
    )


def _undecided(link_ids: Sequence[UUID]) -> Iterable[tuple[str, int, str, int, int]]:
    """(uuid, concept id, name, records, persons) of these links' current records."""
    return (
        Record.objects.filter(link_id__in=list(link_ids), status="current", table="obs")
        .filter(category=Category.OTHER, category_rule=UNDECIDED, concept_id__isnull=False)
        .exclude(concept_uuid="")
        .values_list("concept_uuid", "concept_id", "concept")
        .annotate(n_rows=Count("key"), n_links=Count("link_id", distinct=True))
        .order_by()
    )


def _ask(hospital: Hospital, concept_ids: Sequence[int]) -> tuple[dict[int, dict[str, Any]], int, float]:
    """(what the hospital's dictionary says of them, rows read there, seconds); nothing when it does not answer."""
    if not concept_ids or not hospital.is_live:
        return {}, 0, 0.0
    try:
        with open_hospital(hospital) as source:
            found = schema.discover(source.fetch)
            known = Names(source.fetch, found, hospital.locales or ["en"]).look_up(concept_ids)
            facts = {
                concept_id: {
                    "class": concept.concept_class,
                    "datatype": concept.datatype,
                    "unit": concept.unit,
                    "mappings": sorted(list(one) for one in concept.mappings),
                }
                for concept_id, concept in known.items()
            }
            return facts, source.n_rows, source.seconds
    except (SourceError, SyncError):
        return {}, 0, 0.0


# --- what was counted -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A concept at all hospitals where it was counted. `at`: hospital → (records, persons)."""

    uuid: str
    name: str
    at: Mapping[UUID, tuple[int, int]]
    suggestion: Suggestion | None

    @property
    def n_records(self) -> int:
        return sum(n for n, _ in self.at.values())

    @property
    def n_persons(self) -> int:
        """Each hospital's persons: somebody who was at two of them counts twice."""
        return sum(n for _, n in self.at.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`counted_at`: of the oldest count shown; None: nothing was counted. `under_way`: hospitals being counted."""

    concepts: Sequence[Undecided]
    counted_at: datetime | None
    under_way: Sequence[Hospital]
    not_asked: Sequence[Hospital]

    def find(self, uuid: str) -> Undecided | None:
        return next((one for one in self.concepts if one.uuid.lower() == uuid.lower()), None)


def read_bench() -> Bench:
    """The last counts of all hospitals together, without those concepts that a rule decides by now."""
    counts: dict[UUID, Inspection] = {}
    under_way: dict[UUID, Hospital] = {}
    asked = Inspection.objects.filter(kind=Inspection.Kind.CONCEPTS).select_related("hospital").defer("progress")
    for inspection in asked.order_by("asked_at", "pk"):
        if inspection.status == Inspection.Status.DONE:
            counts[inspection.hospital_id] = inspection
        elif inspection.status != Inspection.Status.FAILED:
            under_way[inspection.hospital_id] = inspection.hospital
    decided = {(uuid.lower(), hospital) for uuid, hospital in _rules().values_list("concept_uuid", "hospital_id")}
    return Bench(
        concepts=_merge(counts.values(), decided=decided),
        counted_at=min((one.finished_at for one in counts.values() if one.finished_at), default=None),
        under_way=list(under_way.values()),
        not_asked=[one.hospital for one in counts.values() if not one.result.get("is_asked", True)],
    )


def _rules() -> Any:
    return ConceptRule.objects.exclude(category="", is_hidden=False)


def _merge(counts: Iterable[Inspection], *, decided: set[tuple[str, UUID | None]]) -> list[Undecided]:
    at: dict[str, dict[UUID, tuple[int, int]]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for inspection in counts:
        for concept in inspection.result["concepts"]:
            uuid, hospital_id = concept["uuid"], inspection.hospital_id
            if {(uuid.lower(), None), (uuid.lower(), hospital_id)} & decided:
                continue
            at.setdefault(uuid, {})[hospital_id] = (concept["n_records"], concept["n_persons"])
            if uuid not in facts or (concept["class"] and not facts[uuid]["class"]):
                facts[uuid] = concept
    found = [
        Undecided(uuid=uuid, name=facts[uuid]["name"], at=where, suggestion=suggest(facts[uuid]))
        for uuid, where in at.items()
    ]
    return sorted(found, key=lambda one: (-one.n_persons, -one.n_records, one.uuid))


# --- deciding ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def decide(
    *, concept_uuid: str, hospital: Hospital | None, category: str, actor: User, now: datetime, is_hidden: bool = False,
    note: str = "",
) -> ConceptRule:  # fmt: skip
    """Make this the rule for the concept, at one hospital or at all (None), and everyone it may touch stale."""
    rule, _ = ConceptRule.objects.update_or_create(
        hospital=hospital,
        concept_uuid=concept_uuid,
        defaults={"category": category, "is_hidden": is_hidden, "note": note},
    )
    announce(rule=rule, hospital_ids={hospital.pk if hospital else None}, actor=actor, now=now)
    return rule


@transaction.atomic
def undo(*, rule: ConceptRule, actor: User, now: datetime) -> None:
    """Take the rule away: the concept is again what the dictionary says, or nothing."""
    announce(rule=rule, hospital_ids={rule.hospital_id}, actor=actor, now=now)
    rule.delete()


def announce(*, rule: ConceptRule, hospital_ids: set[UUID | None], actor: User, now: datetime) -> None:
    """Make every link of these hospitals stale, so that the rule is applied by reading again. None: all hospitals.

    By `config_version`, not by marks: a run that is under way has loaded the rules of before, and ends by this.
    """
    named = [one for one in hospital_ids if one is not None]
    touched = Hospital.objects.all() if None in hospital_ids else Hospital.objects.filter(pk__in=named)
    touched.update(config_version=F("config_version") + 1)
    details = {"rule": rule.pk, "category": rule.category, "is_hidden": rule.is_hidden}
    record_event(action="concept_rule_changed", actor=actor, now=now, hospital_id=rule.hospital_id, details=details)


def left_to_read() -> dict[Hospital, tuple[int, int]]:
    """Live hospitals where persons are still to be read under the rules of now → (done, in all)."""
    linked = Link.objects.filter(state=LinkState.LINKED, epoch=F("hospital__epoch"))
    behind = Q(fresh_config_version=F("hospital__config_version"))
    rows = linked.values("hospital").annotate(n_all=Count("pk"), n_done=Count("pk", filter=behind)).order_by()
    counts = {row["hospital"]: (row["n_done"], row["n_all"]) for row in rows if row["n_done"] < row["n_all"]}
    live = Hospital.objects.filter(pk__in=list(counts), state="live").order_by("name")
    return {hospital: counts[hospital.pk] for hospital in live}
