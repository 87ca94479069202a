"""Patients with long histories, as the engine leaves them: for measuring pages. Same arguments, same history."""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5

HOSPITALS = ("Ruhengeri", "Kibagabaga", "Remera")
TESTS = ("Haemoglobin", "Creatinine", "Glycémie à jeun", "Potassium", "Leucocytes", "Platelets", "ALAT", "Urea")
#: concept, CIEL code, unit, low, high, a value in order
VITALS = (
    ("Weight", 5089, "kg", None, None, 71.5),
    ("Systolic blood pressure", 5085, "mmHg", 90.0, 130.0, 124.0),
    ("Diastolic blood pressure", 5086, "mmHg", 60.0, 85.0, 81.0),
    ("Pulse", 5087, "/min", 60.0, 100.0, 78.0),
    ("Temperature", 5088, "°C", 36.0, 37.5, 36.7),
)
DIAGNOSES = ("Type 2 diabetes mellitus", "Malaria", "Hypertension", "Pneumonie", "Gastritis")
DRUGS = (
    "Metformin 500 mg tablet",
    "Artemether/lumefantrine 20/120 mg",
    "Amoxicilline 500 mg",
    "Amlodipine 5 mg tablet",
)
NOTE = "Says that she takes her tablets most days. Feet examined: no ulcer, pulses present. Next visit in three months."
#: Days from one visit to the one before it.
DAYS_APART = 11


def hospitals(*, now: dt.datetime) -> list[Any]:
    """Three live hospitals that were reached just now."""
    from hospitals.models import Hospital
    from openmrs_sync.models import Breaker

    found = []
    for number, name in enumerate(HOSPITALS, 1):
        hospital = Hospital.objects.create(
            number=number,
            code=name.lower(),
            name=name,
            state="live",
            host="127.0.0.1",
            database="openmrs",
            username="reader",
            time_zone="Africa/Kigali",
        )
        Breaker.objects.create(hospital=hospital, last_success_at=now, last_try_at=now)
        found.append(hospital)
    return found


def patient(*, number: int, sites: list[Any], n_records: int, now: dt.datetime) -> Any:
    """A passport holder with a login, and so many records spread over these hospitals."""
    from passport.models import Link, Record, User
    from passport.registration import register_patient

    holder = register_patient(
        national_id=f"119808{number:010d}",
        given_name="Claudine",
        family_name="Uwimana",
        birth_date=dt.date(1981, 3, 14),
        sex="F",
        actor=None,
        now=now,
    ).patient
    holder.user = User.objects.create(username=f"patient-{number}", role="patient", first_name="Claudine")
    holder.save(update_fields=["user"])
    if not n_records:
        return holder
    links = [
        Link.objects.create(
            hospital=site,
            person_id=1000 + number,
            person_uuid=str(uuid5(NAMESPACE_OID, f"{site.number}/{number}")),
            patient=holder,
            state="linked",
            reason="national_id",
            created_at=now,
            state_changed_at=now,
            marks=1,
            fresh_marks=1,
            fresh_config_version=site.config_version,
            refreshed_at=now,
        )
        for site in sites
    ]
    Record.objects.bulk_create(list(_records(links, number=number, n_records=n_records, now=now)), batch_size=500)
    return holder


def _records(links: list[Any], *, number: int, n_records: int, now: dt.datetime) -> Iterator[Any]:
    """Visits of 26 records, one hospital after the other, back in time."""
    n_made, visit = 0, 0
    while n_made < n_records:
        link = links[visit % len(links)]
        at = (now - dt.timedelta(days=2 + DAYS_APART * visit)).strftime("%Y-%m-%d 09:40:00")
        for position, fields in enumerate(_visit(visit)):
            if n_made == n_records:
                return
            yield _record(link, at=at, source_id=number * 1_000_000 + visit * 100 + position, visit=visit, **fields)
            n_made += 1
        visit += 1


def _visit(index: int) -> Iterator[dict[str, Any]]:
    """What one visit holds: its header, a diagnosis, eight tests in a panel, vital signs, two medicines, notes."""
    yield {"table": "visit", "category": "visit", "concept": "Visit", "value": "Outpatient visit"}
    yield {"table": "encounter", "category": "visit", "concept": "Encounter", "value": "Consultation"}
    disease = DIAGNOSES[index % len(DIAGNOSES)]
    yield {
        "table": "encounter_diagnosis",
        "category": "condition",
        "concept": "Diagnosis",
        "value": disease,
        "certainty": "confirmed",
        "rank": 1,
    }
    for position, test in enumerate(TESTS):
        value = 4.0 + (index + position) % 5
        yield _measured(test, value, "mmol/L", 4.0, 7.0) | {"category": "test", "group_id": index * 100 + 3}
    for concept, code, unit, low, high, value in VITALS:
        rule = f"mapping:CIEL:{code}"
        yield _measured(concept, value + index % 9, unit, low, high) | {
            "category": "vital",
            "category_rule": rule,
            "concept_uuid": f"{code}{'A' * (36 - len(str(code)))}",
        }
    for position in range(2):
        drug = DRUGS[(index + position) % len(DRUGS)]
        yield {
            "table": "orders",
            "category": "medication",
            "concept": drug,
            "value": "1 Tablet, Oral, Twice daily",
            "details": {"dose": "1", "dose_units": "Tablet", "route": "Oral", "frequency": "Twice daily"},
        }
    yield {"category": "other", "concept": "Clinical note", "value": NOTE}
    for position in range(7):
        yield {"category": "other", "concept": f"Question {position} of the form", "value": ("No", "Yes")[index % 2]}


def _measured(concept: str, value: float, unit: str, low: float | None, high: float | None) -> dict[str, Any]:
    flag = None
    if low is not None and high is not None:
        flag = "low" if value < low else "high" if value > high else "normal"
    return {
        "concept": concept,
        "value": f"{value:g}",
        "value_number": value,
        "unit": unit,
        "low": low,
        "high": high,
        "flag": flag,
    }


def _record(link: Any, *, at: str, source_id: int, visit: int, concept: str, **fields: Any) -> Any:
    from passport.models import Record, record_key

    table = fields.pop("table", "obs")
    defaults: dict[str, Any] = {
        "category_rule": "class:Misc",
        "concept_uuid": str(uuid5(NAMESPACE_OID, concept)),
        "unit": "",
        "withdrawn_reason": "",
        "provider": "Dr Aline Mukamana",
        "provider_uuid": str(uuid5(NAMESPACE_OID, "Dr Aline Mukamana")),
        "location": "Outpatients",
        "details": {},
    }
    return Record(
        key=record_key(number=link.hospital.number, epoch=1, table=table, source_id=source_id),
        link_id=link.pk,
        patient_id=link.patient_id,
        hospital_id=link.hospital_id,
        table=table,
        source_id=source_id,
        source_uuid=str(uuid5(NAMESPACE_OID, f"{link.hospital.number}/{table}/{source_id}")),
        concept=concept,
        concept_id=abs(hash_of(concept)),
        status="current",
        at_local=at,
        entered_at_local=at,
        order_at=int(dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC).timestamp()) - 7200,
        visit_id=visit,
        encounter_id=None if table == "visit" else visit,
        received_at=link.created_at,
        digest=source_id,
        token=1,
        **(defaults | fields),
    )


def hash_of(text: str) -> int:
    """A small number that is the same in every run."""
    return sum(ord(char) * (place + 1) for place, char in enumerate(text)) % 100_000
