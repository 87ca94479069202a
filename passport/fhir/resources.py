"""One record → one resource. Every reference is a urn:uuid of the same document."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from passport.fhir.codes import (
    BLOOD_PRESSURE,
    INTERPRETATIONS,
    LOINC,
    TERMINOLOGY,
    VERIFICATION,
    VITAL_SIGNS,
    Codes,
    Json,
    absent,
    clinical_status,
    coded,
    coding,
    concept,
    quantity,
)
from passport.history import RecordView, Standing, Stated
from passport.history.encounters import encounter_key
from passport.history.vitals import PRESSURE
from passport.models import Patient
from passport.models.patients import Sex

#: The root of all ids in a document: the same record has the same id in each.
OURS = UUID("6f1f4f6e-3f0c-5f4b-9f27-3a1f6b0a9c11")
GENDERS = {Sex.MALE: "male", Sex.FEMALE: "female", Sex.OTHER: "other", Sex.UNKNOWN: "unknown"}
NATIONAL_ID = "urn:patient-passport:national-id"
#: Followed by code and table: whose row a resource is made from, its value the row's uuid.
HOSPITAL_CODE = "urn:patient-passport:hospital"
#: Of `details["status"]`, obs.status of OpenMRS in lower case.
OBS_STATUS = {"preliminary": "preliminary", "amended": "amended", "final": "final"}
ALLERGY_CATEGORY = {"drug": "medication", "food": "food", "environment": "environment"}
SEVERITIES = ("mild", "moderate", "severe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the resources of one document share: the patient, the codes of concepts, how a dose is said."""

    patient: Patient
    codes: Codes
    dose: Callable[[str], str] = str

    @property
    def subject(self) -> Json:
        return reference("Patient", str(self.patient.pk))


def id_of(kind: str, key: str) -> str:
    return str(uuid5(OURS, f"{kind}/{key}"))


def reference(kind: str, key: str) -> Json:
    return {"reference": f"urn:uuid:{id_of(kind, key)}"}


def origin(view: RecordView) -> Json:
    """The source row, by hospital, table and uuid; ids of OpenMRS are only unique within one of its tables."""
    if not view.source.uuid:
        return {}
    system = f"{HOSPITAL_CODE}:{view.hospital}:{view.source.table}"
    return {"identifier": [{"system": system, "value": view.source.uuid}]}


def entry(resource: Json) -> Json:
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


def patient(person: Patient, *, numbers: Sequence[str]) -> Json:
    name = {"family": person.family_name, "given": [person.given_name] if person.given_name else None}
    known = {key: value for key, value in name.items() if value}
    resource: Json = {
        "resourceType": "Patient",
        "id": id_of("Patient", str(person.pk)),
        "identifier": [{"system": NATIONAL_ID, "value": number} for number in numbers],
        "name": [known or absent()],
        "gender": GENDERS.get(Sex(person.sex), "unknown"),
    }
    if person.birth_date:
        resource["birthDate"] = person.birth_date.isoformat()
    else:
        resource["_birthDate"] = absent()
    if person.died_on:
        resource["deceasedDateTime"] = person.died_on.isoformat()
    if not numbers:
        del resource["identifier"]
    return resource


def organization(*, code: str, name: str) -> Json:
    return {
        "resourceType": "Organization",
        "id": id_of("Organization", code),
        "identifier": [{"system": HOSPITAL_CODE, "value": code}],
        "name": name,
    }


def practitioner(view: RecordView) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": id_of("Practitioner", practitioner_key(view)),
        "name": [{"text": view.provider}],
    }


def practitioner_key(view: RecordView) -> str:
    return f"{view.hospital}/{view.provider}"


def encounter(view: RecordView, names: Names) -> Json:
    """Its class is not said by OpenMRS, and whether it is over only by its visit: both are coded as not known."""
    resource: Json = {
        "resourceType": "Encounter",
        "id": id_of("Encounter", view.id),
        "status": "unknown",
        "class": absent(),
        "subject": names.subject,
        "serviceProvider": reference("Organization", view.hospital),
    }
    if words := view.value or view.concept:
        resource["type"] = [{"text": words}]
    if view.at:
        resource["period"] = {"start": view.at}
    if view.location:
        resource["location"] = [{"location": {"display": view.location}}]
    return resource


def condition(stated: Stated, names: Names, *, has_encounter: bool) -> Json:
    view = stated.record
    is_diagnosis = view.source.table in {"encounter_diagnosis", "obs"}
    resource: Json = {
        "resourceType": "Condition",
        "id": id_of("Condition", view.id),
        "clinicalStatus": clinical_status(view, stated.standing),
        "category": [coded("condition-category", "encounter-diagnosis" if is_diagnosis else "problem-list-item")],
        "code": concept(
            hospital=view.hospital, concept_uuid=subject_uuid(view), text=view.value or view.concept, codes=names.codes
        ),
        "subject": names.subject,
    }
    certainty = view.certainty or str(view.details.get("verification_status", ""))
    if status := VERIFICATION.get(certainty.lower()):
        resource["verificationStatus"] = coded("condition-ver-status", status)
    for name, element in (("onset", "onsetDateTime"), ("ended", "abatementDateTime")):
        if when := view.details.get(name):
            resource[element] = str(when)[:10]
    return resource | origin(view) | _recorded(view) | _by(view, "recorder") | _encounter(view, has_encounter)


def medication(stated: Stated, names: Names, *, has_encounter: bool) -> Json:
    """An order is a MedicationRequest; a medicine that an observation tells of is a MedicationStatement."""
    view = stated.record
    if view.source.table != "orders":
        return _medication_statement(stated, names)
    details = view.details
    status = {Standing.CURRENT: "active", Standing.PAST: "stopped", Standing.UNKNOWN: "unknown"}[stated.standing]
    dosage: Json = {"text": names.dose(view.value)} if view.value else {}
    if details.get("route"):
        dosage["route"] = {"text": str(details["route"])}
    if details.get("frequency"):
        dosage["timing"] = {"code": {"text": str(details["frequency"])}}
    if (dose := _number(details.get("dose"))) is not None:
        dosage["doseAndRate"] = [{"doseQuantity": quantity(dose, str(details.get("dose_units") or ""))}]
    if details.get("as_needed"):
        dosage["asNeededBoolean"] = True
    if details.get("instructions"):
        dosage["patientInstruction"] = str(details["instructions"])
    resource: Json = {
        "resourceType": "MedicationRequest",
        "id": id_of("Medication", view.id),
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": concept(
            hospital=view.hospital, concept_uuid=view.concept_uuid, text=view.concept, codes=names.codes
        ),
        "subject": names.subject,
    }
    if view.at:
        resource["authoredOn"] = view.at
    if dosage:
        resource["dosageInstruction"] = [dosage]
    return resource | origin(view) | _by(view, "requester") | _encounter(view, has_encounter)


def _medication_statement(stated: Stated, names: Names) -> Json:
    view = stated.record
    resource: Json = {
        "resourceType": "MedicationStatement",
        "id": id_of("Medication", view.id),
        "status": "unknown",
        "medicationCodeableConcept": concept(
            hospital=view.hospital, concept_uuid=subject_uuid(view), text=view.value or view.concept, codes=names.codes
        ),
        "subject": names.subject,
        "informationSource": reference("Organization", view.hospital),
    }
    return resource | origin(view) | _moment(view)


def allergy(view: RecordView, names: Names) -> Json:
    """A row that stands in OpenMRS' list is an active allergy there: one that is over is voided."""
    resource: Json = {
        "resourceType": "AllergyIntolerance",
        "id": id_of("AllergyIntolerance", view.id),
        "clinicalStatus": coded("allergyintolerance-clinical", "active"),
        "code": concept(
            hospital=view.hospital, concept_uuid=subject_uuid(view), text=view.value or view.concept, codes=names.codes
        ),
        "patient": names.subject,
    }
    if category := ALLERGY_CATEGORY.get(str(view.details.get("type", "")).lower()):
        resource["category"] = [category]
    severity = str(view.details.get("severity", "")).lower()
    if reactions := [str(one) for one in view.details.get("reactions") or []]:
        told: Json = {"severity": severity} if severity in SEVERITIES else {}
        resource["reaction"] = [{"manifestation": [{"text": one} for one in reactions]} | told]
    return resource | origin(view) | _recorded(view) | _by(view, "recorder")


def observation(view: RecordView, names: Names, *, has_encounter: bool, qualifiers: Sequence[RecordView] = ()) -> Json:
    category = "vital-signs" if view.category == "vital" else "laboratory"
    resource: Json = {
        "resourceType": "Observation",
        "id": id_of("Observation", view.id),
        "status": OBS_STATUS.get(str(view.details.get("status", "final")), "unknown"),
        "category": [coded("observation-category", category)],
        "code": concept(hospital=view.hospital, concept_uuid=view.concept_uuid, text=view.concept, codes=names.codes),
        "subject": names.subject,
        "performer": [_performer(view)],
    }
    resource |= _value(view, names) | _moment(view)
    if view.flag in INTERPRETATIONS:
        code, display = INTERPRETATIONS[view.flag]
        resource["interpretation"] = [
            {"coding": [coding(f"{TERMINOLOGY}/v3-ObservationInterpretation", code, display)]}
        ]
    bounds = {"low": view.low, "high": view.high}
    if known := {name: quantity(bound, view.unit) for name, bound in bounds.items() if bound is not None}:
        resource["referenceRange"] = [known]
    notes = [str(view.details["comments"])] if view.details.get("comments") else []
    notes += [f"{other.concept}: {other.value}" for other in qualifiers]
    if notes:
        resource["note"] = [{"text": note} for note in notes]
    return resource | origin(view) | _encounter(view, has_encounter)


#: What is said of each number of a blood pressure.
OF_A_COMPONENT = ("code", "valueQuantity", "interpretation", "referenceRange")


def blood_pressure(upper: RecordView, lower: RecordView, names: Names, *, has_encounter: bool) -> Json:
    """Both numbers of one measurement, as FHIR's profile of a blood pressure wants them: one Observation in two parts.

    Its id is made of the upper one's, its identifiers are those of both.
    """
    both = [observation(view, names, has_encounter=has_encounter) for view in (upper, lower)]
    parts = [{name: one[name] for name in OF_A_COMPONENT if name in one} for one in both]
    for part, (loinc, display) in zip(parts, (VITAL_SIGNS[code] for code in PRESSURE), strict=True):
        others = [each for each in part["code"].get("coding", []) if each["system"] != LOINC]
        part["code"] = part["code"] | {"coding": [*others, coding(LOINC, loinc, display)]}
    whole = {name: value for name, value in both[0].items() if name not in OF_A_COMPONENT}
    notes = [note for one in both for note in one.get("note", [])]
    return (
        whole
        | {"code": {"coding": [coding(LOINC, BLOOD_PRESSURE, "Blood pressure panel")], "text": "Blood pressure"}}
        | {"component": parts, "identifier": [*both[0]["identifier"], *both[1]["identifier"]]}
        | ({"note": notes} if notes else {})
    )


def _value(view: RecordView, names: Names) -> Json:
    if view.value_number is not None:
        value = quantity(view.value_number, view.unit)
        comparator = next((sign for sign in ("<=", ">=", "<", ">") if view.value.startswith(sign)), None)
        return {"valueQuantity": value | ({"comparator": comparator} if comparator else {})}
    if answer := str(view.details.get("answer", "")):
        return {
            "valueCodeableConcept": concept(
                hospital=view.hospital, concept_uuid=answer, text=view.value, codes=names.codes
            )
        }
    return (
        {"valueString": view.value}
        if view.value.strip()
        else {"dataAbsentReason": coded("data-absent-reason", "unknown")}
    )


def subject_uuid(view: RecordView) -> str:
    """The concept that the record is about: the coded answer of an observation; of a statement its own."""
    if view.source.table == "obs":
        return str(view.details.get("answer", "")) or ("" if view.value else view.concept_uuid)
    return view.concept_uuid


def _performer(view: RecordView) -> Json:
    if view.provider:
        return reference("Practitioner", practitioner_key(view))
    return reference("Organization", view.hospital)


def _by(view: RecordView, element: str) -> Json:
    return {element: reference("Practitioner", practitioner_key(view))} if view.provider else {}


def _encounter(view: RecordView, has_encounter: bool) -> Json:
    return {"encounter": reference("Encounter", encounter_key(view))} if has_encounter else {}


def _moment(view: RecordView) -> Json:
    return {"effectiveDateTime": view.at} if view.at else {"_effectiveDateTime": absent()}


def _recorded(view: RecordView) -> Json:
    return {"recordedDate": view.at} if view.at else {}


def _number(text: object) -> float | None:
    try:
        return float(str(text)) if text is not None else None
    except ValueError:
        return None


def instant(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).isoformat(timespec="seconds")
