"""The sections of the summary: the three that an IPS must have, told or not, and what there is of results and signs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from passport.fhir import narrative, resources
from passport.fhir.codes import LOINC, TERMINOLOGY, Json, absent, coding
from passport.fhir.resources import Names
from passport.history import Freshness, FreshnessState, Overview, RecordView, Stated
from passport.history.encounters import encounter_key
from passport.history.vitals import pressures, vitals_in_order

ABSENT_SYSTEM = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
#: Of sections that have no LOINC code.
OURS, SOURCES = "urn:patient-passport:section", "sources"
#: A hospital, and a sentence about it.
SourceRow = tuple[str, str]
#: The two numbers of a blood pressure.
UPPER_LOWER = ("upper", "lower")
NO_LIST = "No hospital that we read has told anything about this. That does not mean that there is nothing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """LOINC code and title; resources in the order shown; rows of the same in words, under `header`."""

    code: str
    display: str
    title: str
    entries: Sequence[Json]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    system: str = LOINC

    def as_json(self) -> Json:
        words = narrative.table(header=self.header, rows=self.rows) if self.rows else narrative.sentence(NO_LIST)
        entries = [{"reference": f"urn:uuid:{resource['id']}"} for resource in self.entries]
        return {
            "title": self.title,
            "code": {"coding": [coding(self.system, self.code, self.display)]},
            "text": words,
        } | ({"entry": entries} if entries else {})


def of(shown: Overview, names: Names, *, encounters: Collection[str]) -> list[Section]:
    """All sections, in the order in which a doctor reads them. `encounters`: keys of those in the document."""
    return [
        _allergies(shown, names),
        _medicines(shown, names, encounters),
        _problems(shown, names, encounters),
        _observations(
            shown.latest_results,
            names,
            encounters,
            code="30954-2",
            display="Relevant diagnostic tests/laboratory data Narrative",
            title="Latest results",
        ),
        _observations(
            vitals_in_order(shown.latest_vitals),
            names,
            encounters,
            lone=shown.repeated,
            code="8716-3",
            display="Vital signs",
            title="Latest vital signs",
        ),
    ]


def in_english(shown: Overview) -> list[SourceRow]:
    """How far each hospital's part can be trusted, with moments in UTC: for programs, and people abroad."""
    told = [(each.hospital_name, _fresh(each)) for each in shown.freshness]
    return told + [(name, "May hold more: a match of identities is being checked.") for name in shown.may_hold_more]


def _fresh(state: Freshness) -> str:
    at = resources.instant(state.read_at) if state.read_at else ""
    if state.state is FreshnessState.FRESH:
        return f"Read until {at}." if at else "Not read yet: its records are still to come."
    why = {
        FreshnessState.LATE: "Late",
        FreshnessState.UNREACHABLE: "Not reached",
        FreshnessState.PAUSED: "Switched off",
    }[state.state]
    return f"{why} since {at}: newer records may be missing." if at else f"{why}, never read: its records are missing."


def sources(rows: Sequence[SourceRow]) -> Section:
    """In words alone: what is not there because a hospital was not reached is not "nothing"."""
    return Section(
        system=OURS,
        code=SOURCES,
        display="How complete this summary is",
        title="How complete this summary is",
        entries=[],
        header=("Hospital", "What can be missing"),
        rows=rows,
    )


def _allergies(shown: Overview, names: Names) -> Section:
    return Section(
        code="48765-2",
        display="Allergies and adverse reactions Document",
        title="Allergies and intolerances",
        entries=[resources.allergy(view, names) for view in shown.allergies] or [_no_allergies(names)],
        header=("Allergy", "Reactions", "Recorded", "Hospital"),
        rows=[_allergy_row(view) for view in shown.allergies],
    )


def _medicines(shown: Overview, names: Names, encounters: Collection[str]) -> Section:
    told = [resources.medication(one, names, has_encounter=_is_in(one.record, encounters)) for one in shown.medications]
    return Section(
        code="10160-0",
        display="History of Medication use Narrative",
        title="Medicines",
        entries=told or [_no_medicines(names)],
        header=("Medicine", "How to take it", "Known to be taken now", "Since", "Hospital"),
        rows=[_stated_row(one) for one in shown.medications],
    )


def _problems(shown: Overview, names: Names, encounters: Collection[str]) -> Section:
    told = [resources.condition(one, names, has_encounter=_is_in(one.record, encounters)) for one in shown.conditions]
    return Section(
        code="11450-4",
        display="Problem list - Reported",
        title="Conditions",
        entries=told or [_no_problems(names)],
        header=("Condition", "What was written", "Known to hold now", "Since", "Hospital"),
        rows=[_stated_row(one) for one in shown.conditions],
    )


def _observations(
    views: Sequence[RecordView],
    names: Names,
    encounters: Collection[str],
    *,
    code: str,
    display: str,
    title: str,
    lone: Collection[str] = (),
) -> Section:
    """`lone`: ids of those that are no part of a blood pressure, whatever they measure."""
    lowers = pressures([view for view in views if view.id not in lone])
    in_pairs = {view.id for view in lowers.values()}
    found = [(view, lowers.get(view.id)) for view in views if view.id not in in_pairs]
    return Section(
        code=code,
        display=display,
        title=title,
        entries=[
            resources.blood_pressure(view, lower, names, has_encounter=_is_in(view, encounters))
            if lower
            else resources.observation(view, names, has_encounter=_is_in(view, encounters))
            for view, lower in found
        ],
        header=("What", "Result", "Flag", "Day", "Hospital"),
        rows=[_pressure_row(view, lower) if lower else _observed_row(view) for view, lower in found],
    )


def _is_in(view: RecordView, encounters: Collection[str]) -> bool:
    return view.encounter is not None and encounter_key(view) in encounters


def _allergy_row(view: RecordView) -> Sequence[str]:
    reactions = ", ".join(map(str, view.details.get("reactions") or ()))
    return view.value or view.concept, reactions, view.date or "not known", view.hospital_name


def _stated_row(stated: Stated) -> Sequence[str]:
    view = stated.record
    return view.concept, view.value, stated.standing.value, view.date or "not known", view.hospital_name


def _observed_row(view: RecordView) -> Sequence[str]:
    flag = (view.flag or "").replace("_", " ")
    return view.concept, f"{view.value} {view.unit}".strip(), flag, view.date or "not known", view.hospital_name


def _pressure_row(upper: RecordView, lower: RecordView) -> Sequence[str]:
    _concept, _value, flag, day, hospital = _observed_row(upper)
    both = flag, _observed_row(lower)[2]
    told = (
        flag
        if both[0] == both[1]
        else ", ".join(f"{name}: {each}" for name, each in zip(UPPER_LOWER, both, strict=True) if each)
    )
    return "Blood pressure", f"{upper.value}/{lower.value} {upper.unit}".strip(), told, day, hospital


def _no_allergies(names: Names) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "id": resources.id_of("AllergyIntolerance", f"none/{names.patient.pk}"),
        "clinicalStatus": {"coding": [coding(f"{TERMINOLOGY}/allergyintolerance-clinical", "active")]},
        "code": _no("no-allergy-info", "No information about allergies"),
        "patient": names.subject,
    }


def _no_medicines(names: Names) -> Json:
    return {
        "resourceType": "MedicationStatement",
        "id": resources.id_of("Medication", f"none/{names.patient.pk}"),
        "status": "unknown",
        "medicationCodeableConcept": _no("no-medication-info", "No information about medications"),
        "subject": names.subject,
        "_effectiveDateTime": absent("not-applicable"),
    }


def _no_problems(names: Names) -> Json:
    return {
        "resourceType": "Condition",
        "id": resources.id_of("Condition", f"none/{names.patient.pk}"),
        "clinicalStatus": {"coding": [coding(f"{TERMINOLOGY}/condition-clinical", "active")]},
        "category": [{"coding": [coding(f"{TERMINOLOGY}/condition-category", "problem-list-item")]}],
        "code": _no("no-problem-info", "No information about problems"),
        "subject": names.subject,
    }


def _no(code: str, display: str) -> Json:
    return {"coding": [coding(ABSENT_SYSTEM, code, display)], "text": display}
