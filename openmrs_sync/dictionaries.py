"""Names by id: what the hospital calls its concepts, drugs, providers, places and types.

Only the ids that a batch uses are loaded, in bulk, and kept for the run. Labels follow OpenMRS' own order (getName,
getPreferredName of org.openmrs.Concept): the preferred name in a locale, else the fully specified one, then the same in
the next locale.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openmrs_sync import queries
from openmrs_sync.rows import Concept, Fetch, Place, Provider, Schema, SourceBatch

_EMRAPI = "org.openmrs.module.emrapi"
#: Sources whose mappings the engine knows, in lower case, and how it spells them. CEIL is how Bahmni spells CIEL.
MAPPING_SOURCES = {
    _EMRAPI: _EMRAPI,
    "ciel": "CIEL",
    "ceil": "CIEL",
    "loinc": "LOINC",
    "snomed ct": "SNOMED CT",
    "snomed": "SNOMED CT",
    "icd-10-who": "ICD-10-WHO",
    "icd 10 - who": "ICD-10-WHO",
    "icd-11-who": "ICD-11-WHO",
    "rxnorm": "RxNORM",
    "pih": "PIH",
    "ampath": "AMPATH",
}
_SAME = "SAME-AS"

_TYPE_ORDER = {"FULLY_SPECIFIED": 0, None: 1, "SHORT": 2, "INDEX_TERM": 3}
_SETTING_TRUE, _SETTING_FALSE = "concept.true", "concept.false"


class Names:
    """The `Dictionaries` of one hospital for one run. Call `prepare` with the rows of one moment, then look up.

    `locales`: the hospital's, best first, such as ["fr", "en"]. What was not prepared gives a placeholder.
    """

    def __init__(self, fetch: Fetch, schema: Schema, locales: Sequence[str]) -> None:
        self._fetch = fetch
        self._schema = schema
        self._concepts: dict[int, Concept] = {}
        self._concept_names: dict[int, str | None] = {}
        self._drugs: dict[int, str] = {}
        self._providers: dict[int, Provider] = {}
        self._locations: dict[int, Place] = {}
        self._settings: dict[str, str] = dict(self._rows("global_property", queries.SETTINGS))
        self._classes = self._all("concept_class", "concept_class_id name")
        self._datatypes = self._all("concept_datatype", "concept_datatype_id name")
        self._encounter_types = self._all("encounter_type", "encounter_type_id name")
        self._visit_types = self._all("visit_type", "visit_type_id name")
        self._map_types = self._all("concept_map_type", "concept_map_type_id name")
        sources = self._all("concept_reference_source", "concept_source_id name")
        self._sources = {
            source_id: MAPPING_SOURCES[name.lower()]
            for source_id, name in sources.items()
            if name.lower() in MAPPING_SOURCES
        }
        self._locales = locale_order([*locales, self._settings.get("default_locale") or "en"])

    # ------------------------------------------------------------------------------------- loading

    def as_known_now(self) -> Callable[[], None]:
        """A function that forgets what was loaded since this call, so that it is asked for again."""
        kept = [(names, len(names)) for names in self._loaded()]

        def forget() -> None:
            for names, n in kept:
                while len(names) > n:
                    names.popitem()  # the one that came last

        return forget

    def _loaded(self) -> "tuple[dict[int, Any], ...]":
        return self._concepts, self._concept_names, self._drugs, self._providers, self._locations

    def prepare(self, batch: SourceBatch) -> None:
        """Load every name that this batch needs and that is not known yet."""
        self._load(self._drugs, _drug_ids(batch), self._load_drugs)
        self._load(self._concept_names, _concept_name_ids(batch), self._load_concept_names)
        self._load(self._providers, _provider_ids(batch), self._load_providers)
        self._load(self._locations, _location_ids(batch), self._load_locations)
        concept_ids = _concept_ids(batch)
        for setting in (_SETTING_TRUE, _SETTING_FALSE):
            if (value := self._settings.get(setting) or "").isdigit():
                concept_ids.add(int(value))
        self._load(self._concepts, concept_ids, self._load_concepts)

    def look_up(self, concept_ids: Collection[int]) -> dict[int, Concept]:
        """What these concepts are; one that the hospital no longer has is not among them."""
        self._load(self._concepts, set(concept_ids), self._load_concepts)
        return {one: self._concepts[one] for one in concept_ids if one in self._concepts}

    def _load(self, known: Mapping[int, object], ids: set[int | None], load: Callable[[list[int]], None]) -> None:
        wanted = [one for one in ids if one is not None and one not in known]
        for start in range(0, len(wanted), queries.MAX_IN):
            load(wanted[start : start + queries.MAX_IN])

    def _load_concepts(self, ids: list[int]) -> None:
        names: dict[int, list[_Name]] = defaultdict(list)
        for concept_id, *name in self._fetch(queries.concept_names(self._schema, ids), ()):
            names[concept_id].append(tuple(name))
        numbers = {
            row[0]: row
            for row in self._entries(
                "concept_numeric", "concept_id units low_normal hi_normal low_critical hi_critical", ids
            )
        }
        mappings = self._mappings(ids)
        for concept_id, uuid, class_id, datatype_id in self._entries(
            "concept", "concept_id uuid class_id datatype_id", ids
        ):
            _, unit, *bounds = numbers.get(concept_id, (concept_id, None, None, None, None, None))
            low_normal, high_normal, low_critical, high_critical = bounds
            self._concepts[concept_id] = Concept(
                concept_id=concept_id,
                uuid=uuid,
                name=label(names[concept_id], self._locales) or f"Concept {concept_id}",
                full_name=_full_name(names[concept_id], self._locales),
                concept_class=self._classes.get(class_id, ""),
                datatype=self._datatypes.get(datatype_id, ""),
                unit=unit or "",
                low_normal=low_normal,
                high_normal=high_normal,
                low_critical=low_critical,
                high_critical=high_critical,
                mappings=frozenset((source, code) for source, code, _ in mappings[concept_id]),
                codes=tuple(sorted({(s, code) for s, code, kind in mappings[concept_id] if _is_code(s, kind)})),
            )

    def _mappings(self, concept_ids: list[int]) -> dict[int, set[tuple[str, str, str]]]:
        """concept_id → (source, code, kind of mapping such as SAME-AS)."""
        mappings: dict[int, set[tuple[str, str, str]]] = defaultdict(set)
        if self._sources:
            for concept_id, source_id, code, type_id in self._rows(
                "concept_reference_map", queries.concept_mappings(concept_ids, self._sources)
            ):
                mappings[concept_id].add((self._sources[source_id], code, self._map_types.get(type_id, "").upper()))
        return mappings

    def _load_concept_names(self, ids: list[int]) -> None:
        # voided names too: it is what the clinician chose
        self._concept_names.update(dict.fromkeys(ids))
        self._concept_names.update(self._entries("concept_name", "concept_name_id name", ids))

    def _load_drugs(self, ids: list[int]) -> None:
        for drug_id, name, strength in self._entries("drug", "drug_id name strength", ids):
            self._drugs[drug_id] = _with_strength(name or f"Drug {drug_id}", strength)

    def _load_providers(self, ids: list[int]) -> None:
        rows = list(self._entries("provider", "provider_id uuid person_id name identifier", ids))
        person_ids = [row[2] for row in rows if row[2] is not None]
        people = {}
        if person_ids and self._schema.has("person_name"):
            for person_id, *parts in self._fetch(queries.person_names(self._schema, person_ids), ()):
                people[person_id] = " ".join(part.strip() for part in parts if part and part.strip())
        for provider_id, uuid, person_id, name, identifier in rows:
            shown = people.get(person_id) or name or identifier or f"Provider {provider_id}"
            self._providers[provider_id] = Provider(provider_id=provider_id, uuid=uuid, name=shown)

    def _load_locations(self, ids: list[int]) -> None:
        for location_id, uuid, name, parent_id, is_retired in self._entries(
            "location", "location_id uuid name parent_location retired", ids
        ):
            self._locations[location_id] = Place(
                location_id=location_id,
                uuid=uuid,
                name=name or f"Location {location_id}",
                parent_location_id=parent_id,
                is_retired=bool(is_retired),
            )

    def _all(self, table: str, names: str) -> dict[int, str]:
        return {key: name or "" for key, name in self._entries(table, names, None)}

    def _entries(self, table: str, names: str, ids: Iterable[int] | None) -> Iterator[tuple[Any, ...]]:
        if self._schema.has(table):
            yield from self._fetch(queries.entries(self._schema, table, names, ids), ())

    def _rows(self, table: str, query: str) -> list[tuple[Any, ...]]:
        return self._fetch(query, ()) if self._schema.has(table) else []

    # ------------------------------------------------------------------------------------- looking up

    def concept(self, concept_id: int) -> Concept:
        concept = self._concepts.get(concept_id)
        if concept is None:
            concept = Concept(
                concept_id=concept_id,
                uuid="",
                name=f"Unknown concept {concept_id}",
                concept_class="",
                datatype="",
            )
        return concept

    def concepts_seen(self) -> Collection[Concept]:
        """The concepts that were loaded so far."""
        return list(self._concepts.values())  # another thread may be loading more

    def concept_name(self, concept_name_id: int) -> str | None:
        return self._concept_names.get(concept_name_id)

    def drug(self, drug_id: int) -> str:
        return self._drugs.get(drug_id) or f"Unknown drug {drug_id}"

    def provider(self, provider_id: int) -> Provider:
        provider = self._providers.get(provider_id)
        return provider or Provider(provider_id=provider_id, uuid="", name=f"Unknown provider {provider_id}")

    def providers_seen(self) -> Collection[Provider]:
        """The providers that were loaded so far, each named as on records."""
        return list(self._providers.values())  # another thread may be loading more

    def location(self, location_id: int) -> Place:
        return self._locations.get(location_id) or Place(
            location_id=location_id,
            uuid="",
            name=f"Unknown location {location_id}",
            parent_location_id=None,
            is_retired=False,
        )

    def encounter_type(self, encounter_type_id: int) -> str:
        return self._encounter_types.get(encounter_type_id) or f"Unknown encounter type {encounter_type_id}"

    def visit_type(self, visit_type_id: int) -> str:
        return self._visit_types.get(visit_type_id) or f"Unknown visit type {visit_type_id}"

    def setting(self, name: str) -> str | None:
        """Return a global property of OpenMRS, of those named in `queries.SETTINGS`."""
        return self._settings.get(name)


def _is_code(source: str, kind: str) -> bool:
    """Narrower or broader than a code is another thing than it; emrapi's words are for OpenMRS alone."""
    return kind == _SAME and source != _EMRAPI


# ----------------------------------------------------------------------------------------- labels

#: concept_name_id, name, locale, locale_preferred, concept_name_type
_Name = tuple[Any, ...]


def locale_order(locales: Iterable[str]) -> list[str]:
    """Return each locale followed by its bare language, once: ["en_GB", "fr"] → ["en_GB", "en", "fr"]."""
    ordered: dict[str, None] = {}
    for locale in locales:
        tidy = locale.strip().replace("-", "_")
        ordered.update(dict.fromkeys((tidy, tidy.partition("_")[0])))
    return [locale for locale in ordered if locale]


def label(names: Sequence[_Name], locales: Sequence[str]) -> str:
    """Return what the hospital calls a concept, "" when it has no name.

    Per locale in order the preferred name, else the fully specified one. Then any: a name in a language of ours first,
    fully specified before synonyms before short names, the oldest first.
    """
    best = min(names, key=lambda name: _label_order(name, locales), default=None)
    return str(best[1]) if best else ""


def _label_order(name: _Name, locales: Sequence[str]) -> tuple[int, int, int, int]:
    name_id, _, locale, is_preferred, name_type = name
    kind = -1 if is_preferred else _TYPE_ORDER.get(name_type, 1)
    if locale in locales and kind <= 0:
        return 0, locales.index(locale), kind, name_id
    language = locale.partition("_")[0]
    return 1, locales.index(language) if language in locales else len(locales), kind, name_id


def _full_name(names: Sequence[_Name], locales: Sequence[str]) -> str:
    return label([name for name in names if name[4] == "FULLY_SPECIFIED"], ["en", *locales])


def _with_strength(name: str, strength: str | None) -> str:
    """Most hospitals write the strength into the name; where only its column has it, it must not be lost."""
    if not strength or any(letter.isdigit() for letter in name):
        return name
    return f"{name} {strength}"


# ----------------------------------------------------------------------------------------- ids in use


def _concept_ids(batch: SourceBatch) -> set[int | None]:
    ids: set[int | None] = {row.value_coded for row in batch.obs}
    ids.update({row.concept_id for row in batch.obs})
    ids.update(row.indication_concept_id for row in batch.visits)
    ids.update(row.diagnosis_coded for row in batch.diagnoses)
    ids.update(row.reaction_concept_id for row in batch.reactions)
    for condition in batch.conditions:
        ids.add(condition.condition_coded)
        if isinstance(condition.end_reason, int):  # emrapi's table holds a concept here
            ids.add(condition.end_reason)
    for allergy in batch.allergies:
        ids.update((allergy.coded_allergen, allergy.severity_concept_id))
    for order in batch.orders:
        ids.update((order.concept_id, order.dose_units, order.frequency, order.route))
        ids.update((order.quantity_units, order.duration_units))
    return ids


def _concept_name_ids(batch: SourceBatch) -> set[int | None]:
    ids: set[int | None] = {row.value_coded_name_id for row in batch.obs}
    ids.update(row.diagnosis_coded_name for row in batch.diagnoses)
    ids.update(row.condition_coded_name for row in batch.conditions)
    return ids


def _drug_ids(batch: SourceBatch) -> set[int | None]:
    return {row.value_drug for row in batch.obs} | {row.drug_inventory_id for row in batch.orders}


def _provider_ids(batch: SourceBatch) -> set[int | None]:
    ids: set[int | None] = {row.orderer for row in batch.orders}
    for provider_ids in batch.encounter_providers.values():
        ids.update(provider_ids)
    return ids


def _location_ids(batch: SourceBatch) -> set[int | None]:
    ids: set[int | None] = {row.location_id for row in batch.obs}
    ids.update(row.location_id for row in batch.encounters)
    ids.update(row.location_id for row in batch.visits)
    return ids
