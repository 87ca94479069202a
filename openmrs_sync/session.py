"""One open hospital for the length of one run: the source, the claim, and what rendering needs."""

from dataclasses import dataclass, field
from threading import Lock
from zoneinfo import ZoneInfo

from django.db.models import Q

from hospitals.connections import Source
from hospitals.grants import check_grants
from hospitals.identifier_types import resolve_identifier_types
from hospitals.models import Hospital
from openmrs_sync import links, pace, schema
from openmrs_sync.categoriser import make_categorise
from openmrs_sync.claims import HeldClaim
from openmrs_sync.dictionaries import Names
from openmrs_sync.enricher import Shared
from openmrs_sync.journal import Journal
from openmrs_sync.models import ConceptRule, Watermark
from openmrs_sync.rows import Categorise, CategoryRule, Schema
from openmrs_sync.writer import Keys


@dataclass(slots=True, kw_only=True)
class Session:
    """Made by `open_session`. `hospital` is as it was then: a change of its settings needs a new session."""

    hospital: Hospital
    source: Source
    claim: HeldClaim
    schema: Schema
    identifier_type_ids: tuple[int, ...]
    names: Names
    zone: ZoneInfo
    categorise: Categorise
    shared: Shared
    keys: Keys
    watermark: Watermark
    crowded_persons: frozenset[int] = frozenset()
    doctors_named: set[str] = field(default_factory=set)
    concepts_told: set[str] = field(default_factory=set)
    #: the look found that no link came, changed or went since the last one
    is_still: bool = False
    #: nothing of this hospital and epoch was stored when the run began
    is_first: bool = False
    #: persons whose refresh failed in this run; they wait by themselves
    n_set_aside: int = 0
    #: of these, those that somebody at the hospital was changing again and again
    n_never_the_same: int = 0
    journal: Journal = field(default_factory=Journal)
    tempo: pace.Tempo = field(default_factory=pace.Tempo)
    #: what batches share (`shared`) is filled by one thread at a time
    rendering: Lock = field(default_factory=Lock)

    def is_outdated(self) -> bool:
        """Whether an admin changed, since the session was opened, what decides how rows are matched or shown."""
        now = Hospital.objects.values_list("config_version", "epoch", "state").get(pk=self.hospital.pk)
        return now != (self.hospital.config_version, self.hospital.epoch, self.hospital.state)


def open_session(*, source: Source, claim: HeldClaim, journal: Journal | None = None) -> Session:
    """Prove the grants, learn what the source has, and load the rules.

    Raises WritableAccount, SchemaMismatch, HospitalMisconfigured (no National ID type).
    """
    hospital = Hospital.objects.get(pk=claim.hospital.pk)
    check_grants(source)
    found = schema.discover(source.fetch)
    types = schema.identifier_types(source.fetch, found)
    chosen = resolve_identifier_types(hospital=hospital, types=types).uuids
    watermark, _ = Watermark.objects.get_or_create(pk=hospital.pk, defaults={"epoch": hospital.epoch})
    names, categorise = (
        Names(source.fetch, found, hospital.locales or ["en"]),
        make_categorise(category_rules(hospital)),
    )
    return Session(
        hospital=hospital,
        source=source,
        claim=claim,
        schema=found,
        identifier_type_ids=tuple(each.identifier_type_id for each in types if each.uuid in chosen),
        names=names,
        zone=ZoneInfo(hospital.time_zone),
        categorise=categorise,
        shared=Shared(dictionaries=names, categorise=categorise),
        keys=Keys(number=hospital.number, epoch=hospital.epoch),
        watermark=watermark,
        journal=journal or Journal(),
        is_first=not links.current(hospital).exclude(inflight=0, refreshed_at=None).exists(),
    )


def category_rules(hospital: Hospital) -> list[CategoryRule]:
    """The admin's rules, those of all hospitals first: of two on one concept the later wins."""
    rules = ConceptRule.objects.filter(Q(hospital=hospital) | Q(hospital__isnull=True))
    return [
        CategoryRule(concept_uuid=rule.concept_uuid, category=rule.category, is_hidden=rule.is_hidden)
        for rule in sorted(rules, key=lambda rule: rule.hospital_id is not None)
    ]
