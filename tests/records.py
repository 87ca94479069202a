"""Histories for tests of the pages: hospitals, patients and records as the engine leaves them, made through the ORM."""

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.hashers import make_password

from hospitals.models import Hospital, HospitalState
from openmrs_sync.models import Breaker
from passport.access import Basis, Scope
from passport.access.scope import scope_for
from passport.models import UNDATED, Link, Patient, Record, User, record_key
from passport.models.accounts import Role
from passport.models.links import LinkState
from passport.registration import register_patient

PASSWORD = "a-long-password-for-tests"
_hospital_numbers = count(1)
_person_ids = count(1000)
_source_ids = count(1)


def make_hospital(*, name: str, now: dt.datetime, code: str = "", reached_ago: dt.timedelta | None = None) -> Hospital:
    """A live hospital that was reached now, or last so long ago."""
    number = next(_hospital_numbers)
    hospital = Hospital.objects.create(
        number=number,
        code=code or f"hospital-{number}",
        name=name,
        state=HospitalState.LIVE,
        host="127.0.0.1",
        database="openmrs",
        username="reader",
        time_zone="Africa/Kigali",
    )
    last_success_at = now - (reached_ago or dt.timedelta())
    Breaker.objects.create(
        hospital=hospital,
        last_success_at=last_success_at,
        last_try_at=now,
        **({"state": "open", "last_error_at": now, "last_error_kind": "unreachable"} if reached_ago else {}),
    )
    return hospital


def make_account(*, username: str, role: str = Role.PATIENT, **fields: Any) -> User:
    return User.objects.create(
        username=username,
        role=role,
        is_staff=role == Role.ADMIN,
        password=_password_hash(settings.PASSWORD_HASHERS[0]),
        **fields,
    )


@cache
def _password_hash(_hasher: str) -> str:
    """Slow on purpose, and the same for everyone here, as long as a test asks for no other way of hashing."""
    return make_password(PASSWORD)


def make_patient(
    *,
    national_id: str,
    now: dt.datetime,
    username: str = "",
    given_name: str = "Claudine",
    family_name: str = "Uwimana",
    birth_date: dt.date | None = dt.date(1981, 3, 14),
    sex: str = "F",
) -> Patient:
    """A passport holder, with a login where a username is given."""
    patient = register_patient(
        national_id=national_id,
        given_name=given_name,
        family_name=family_name,
        birth_date=birth_date,
        sex=sex,
        actor=None,
        now=now,
    ).patient
    if username:
        patient.user = make_account(username=username, first_name=given_name, last_name=family_name)
        patient.save(update_fields=["user"])
    return patient


def own_scope(patient: Patient) -> Scope:
    """All of a patient's record, as they see it themselves."""
    return scope_for(patient=patient, basis=Basis.ONESELF)


@dataclass(slots=True, kw_only=True)
class Chart:
    """What one hospital wrote about one patient. Collects records; `save` stores them."""

    patient: Patient
    hospital: Hospital
    now: dt.datetime
    link: Link = field(init=False)
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = Link.objects.create(
            hospital=self.hospital,
            person_id=next(_person_ids),
            person_uuid=str(uuid4()),
            patient=self.patient,
            state=LinkState.LINKED,
            reason="national_id",
            created_at=self.now,
            state_changed_at=self.now,
            marks=1,
            fresh_marks=1,
            fresh_config_version=self.hospital.config_version,
            refreshed_at=self.now,
        )

    def add(self, *, concept: str, value: str = "", at: str | None = None, table: str = "obs", **fields: Any) -> Record:
        """One record; `at` is the hospital's clock, `YYYY-MM-DD HH:MM:SS`. Anything else by the column's name."""
        source_id = next(_source_ids)
        order_at = UNDATED
        if at:
            order_at = int(dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC).timestamp()) - 7200
        defaults: dict[str, Any] = {
            "source_uuid": str(uuid4()),
            "category": "test",
            "category_rule": "class:Test",
            "concept_id": None,
            "concept_uuid": "",
            "value_number": None,
            "unit": "",
            "low": None,
            "high": None,
            "flag": None,
            "status": "current",
            "withdrawn_reason": "",
            "visit_id": None,
            "encounter_id": None,
            "group_id": None,
            "part_of": None,
            "certainty": None,
            "rank": None,
            "provider": "Dr Aline Mukamana",
            "provider_uuid": str(uuid4()),
            "location": "Outpatients",
            "entered_at_local": at,
            "details": {},
        }
        record = Record(
            key=record_key(number=self.hospital.number, epoch=1, table=table, source_id=source_id),
            link_id=self.link.pk,
            patient_id=self.patient.pk,
            hospital_id=self.hospital.pk,
            table=table,
            source_id=source_id,
            concept=concept,
            value=value,
            at_local=at,
            order_at=order_at,
            received_at=self.now,
            digest=source_id,
            token=1,
            **(defaults | fields),
        )
        self.records.append(record)
        return record

    def visit(self, *, title: str, at: str, location: str = "Outpatients") -> int:
        """A visit with its header; returns the visit's id."""
        record = self.add(
            concept="Visit",
            value=title,
            at=at,
            table="visit",
            category="visit",
            category_rule="table:visit",
            location=location,
            provider="",
        )
        record.visit_id = record.source_id
        return record.source_id

    def moment(self, days_ago: int, time: str) -> str:
        """The hospital's clock, so many days before `now`."""
        return f"{self.now.date() - dt.timedelta(days=days_ago)} {time}"

    def save(self) -> None:
        Record.objects.bulk_create(self.records)
        self.link.n_stored = sum(record.status == "current" for record in self.records)
        self.link.save(update_fields=["n_stored"])


def number(value: float, unit: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """Value, unit, range and flag of a measured number."""
    flag = None
    if low is not None or high is not None:
        flag = "low" if low is not None and value < low else "high" if high is not None and value > high else "normal"
    return {
        "value": f"{value:g}",
        "value_number": value,
        "unit": unit,
        "low": low,
        "high": high,
        "flag": flag,
    }


CIEL_CODES = {
    "Systolic blood pressure": 5085,
    "Diastolic blood pressure": 5086,
    "Pulse": 5087,
    "Temperature": 5088,
    "Weight": 5089,
}


def vital(chart: Chart, *, concept: str, at: str, visit_id: int, **fields: Any) -> Record:
    rule = f"mapping:CIEL:{CIEL_CODES[concept]}"
    return chart.add(concept=concept, at=at, category="vital", category_rule=rule, visit_id=visit_id, **fields)


def fill_district_hospital(chart: Chart) -> None:
    """A visit for diabetes with everything that a page can show."""
    at = chart.moment(2, "09:40:00")
    visit_id = chart.visit(title="Non-communicable diseases clinic", at=chart.moment(2, "09:12:00"))
    here: dict[str, Any] = {"at": at, "visit_id": visit_id}
    chart.add(
        concept="Diagnosis",
        value="Type 2 diabetes mellitus",
        table="encounter_diagnosis",
        category="condition",
        category_rule="table:encounter_diagnosis",
        certainty="confirmed",
        rank=1,
        **here,
    )
    chart.add(
        concept="Condition",
        value="Hypertension",
        table="conditions",
        category="condition",
        category_rule="table:conditions",
        details={"clinical_status": "active", "onset": chart.moment(900, "00:00:00")},
        **here,
    )
    chart.add(
        concept="Metformin 500 mg tablet",
        value="1 Tablet, Oral, Twice daily",
        table="orders",
        category="medication",
        category_rule="table:orders",
        details={
            "dose": "1",
            "dose_units": "Tablet",
            "route": "Oral",
            "frequency": "Twice daily",
            "duration": "90",
            "duration_units": "Days",
            "instructions": "With meals",
            "started": at,
            "expires": chart.moment(-88, "09:40:00"),
        },
        **here,
    )
    chart.add(
        concept="Allergy",
        value="Penicillin",
        table="allergy",
        category="allergy",
        category_rule="table:allergy",
        details={"severity": "Severe", "reactions": ["Rash", "Hives"], "type": "drug"},
        **here,
    )
    group_id = 500
    for concept, values in {
        "HbA1c": number(9.1, "%", 4, 6.5),
        "Fasting glucose": number(11.2, "mmol/L", 3.9, 6.1),
        "Creatinine": number(74, "µmol/L", 45, 84),
    }.items():
        chart.add(concept=concept, group_id=group_id, **values, **here)
    chart.add(concept="Potassium", **(number(6.9, "mmol/L", 3.5, 5.1) | {"flag": "critically_high"}), **here)
    for concept, values in {
        "Weight": number(71.5, "kg"),
        "Systolic blood pressure": number(148, "mmHg", 90, 130),
        "Diastolic blood pressure": number(92, "mmHg", 60, 85),
        "Pulse": number(78, "/min", 60, 100),
        "Temperature": number(36.7, "°C", 36, 37.5),
    }.items():
        vital(chart, concept=concept, **values, **here)
    chart.add(
        concept="Clinical note",
        value="Says that she takes her tablets most days. Feet examined: no ulcer, pulses present.\n"
        "Next visit in three months with a new HbA1c.",
        category="other",
        category_rule="default",
        **here,
    )
    chart.add(
        concept="Haemoglobin",
        status="withdrawn",
        withdrawn_reason="voided",
        **number(1.2, "g/dL", 12, 16),
        **here,
    )


def fill_health_centre(chart: Chart) -> None:
    """An older visit for malaria, and one antenatal visit years before."""
    visit_id = chart.visit(title="Outpatient visit", at=chart.moment(599, "14:20:00"), location="Consultation 2")
    here: dict[str, Any] = {
        "at": chart.moment(599, "14:35:00"),
        "visit_id": visit_id,
        "provider": "Jean Bosco Habimana",
    }
    malaria = chart.add(
        concept="Visit diagnosis",
        value="Malaria",
        category="condition",
        category_rule="mapping:emrapi:Coded Diagnosis",
        certainty="presumed",
        **here,
    )
    chart.add(concept="Severity", value="without complications", category="condition", part_of=malaria.key, **here)
    chart.add(concept="Malaria rapid test", value="Positive", flag="abnormal", **here)
    vital(chart, concept="Temperature", at=here["at"], visit_id=visit_id, **number(39.1, "°C", 36, 37.5))
    chart.add(
        concept="Artemether/lumefantrine 20/120 mg",
        value="4 Tablet, Oral, Twice daily",
        table="orders",
        category="medication",
        category_rule="table:orders",
        details={"started": here["at"], "expires": chart.moment(596, "14:35:00")},
        **here,
    )
    then = chart.moment(2650, "08:45:00")
    antenatal = chart.visit(title="Antenatal care", at=then, location="Maternity")
    vital(chart, concept="Weight", at=then, visit_id=antenatal, **number(64, "kg"))
    chart.add(concept="Gestational age", value="28", unit="weeks", at=then, visit_id=antenatal)


def fill_oddly(chart: Chart) -> None:
    """What real databases hold: no date, no name, 400 characters, right to left, mark-up, an absurd number."""
    chart.add(concept="Blood group", value="O+", at=None, provider="", location="")
    chart.add(concept="", value="?", at="2024-01-31 00:00:00", provider="", location="")
    chart.add(concept="Very long name of a test " * 16, **number(1, "unit"), at="2024-01-31 10:00:00")
    chart.add(concept="Unbroken" + "x" * 392, **number(1, "u" * 50), at="2024-01-31 10:00:00")
    chart.add(
        concept="ملاحظة سريرية", value="المريض يشكو من صداع منذ يومين", at="2024-01-30 10:00:00", category="other"
    )
    chart.add(
        concept="<script>alert(1)</script>", value='<b>bold</b> & "quoted" {{ 7|add:7 }}', at="2024-01-30 10:00:00"
    )
    chart.add(concept="Pain 😖", **number(1e15, "¿"), at="1899-12-31 23:59:59")
    chart.add(concept="Note", value="word " * 4000, at="2024-01-29 10:00:00", category="other")
    chart.add(concept="Weight", at="2024-01-29 10:00:00", category="vital", category_rule="x", **number(-0.0, "kg"))


def fill_with_many(chart: Chart, *, n_records: int) -> None:
    """So many glucose results, twenty a visit, a visit every three days back in time."""
    visit_id, at = 0, ""
    for index in range(n_records):
        if index % 20 == 0:
            at = chart.moment(3 * (index // 20), "08:00:00")
            visit_id = chart.visit(title="Ward round", at=at, location="Ward 3")
        chart.add(concept=f"Glucose {index % 20}", at=at, visit_id=visit_id, **number(4 + index % 7, "mmol/L", 4, 6))
