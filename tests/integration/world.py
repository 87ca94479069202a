"""A passport with hospitals around it: what the engine's tests stand on. Nothing here is mocked.

hospital = live_hospital(server, "kigali", number=1, national_id_types=["National ID"])
patient = register("1199080012345678")
run = sync(hospital)                      a whole run with the deep look, as `manage.py sync` does
current(hospital)                         the records of its linked links: {(table, source id): record}
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from hospitals.models import Hospital, HospitalState, TlsMode
from openmrs_sync import pipeline, receipts
from openmrs_sync.models import SyncRun
from openmrs_sync.receipts import Receipt
from passport.models import Link, Patient, Record
from passport.models.links import LinkState
from passport.models.patients import Sex
from passport.registration import register_patient
from passport.secrets import seal
from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

READER, PASSWORD = "passport", "read-only-please"
#: Fields in which two reads of one row may differ.
NOT_COMPARED = ("key", "link_id", "patient_id", "hospital_id", "received_at", "token", "digest", "part_of")


def live_hospital(server: MariaDBServer, database: str, *, number: int = 1, **fields: Any) -> Hospital:
    """A live hospital with this database as its source, and the account that may read it."""
    server.grant_reader(READER, PASSWORD, database)
    values: dict[str, Any] = {
        "number": number,
        "code": database.replace("_", "-").lower(),
        "name": f"Hospital {number}",
        "state": HospitalState.LIVE,
        "host": server.host,
        "port": server.port,
        "database": database,
        "username": READER,
        "password_sealed": seal(PASSWORD),
        "tls_mode": TlsMode.NONE,
        "time_zone": "Africa/Kigali",
        "locales": ["en"],
        "national_id_types": ["National ID"],
    }
    return Hospital.objects.create(**values | fields)


def register(national_id: str, *, sex: str | None = "F", birth_date: dt.date | None = dt.date(1990, 1, 1)) -> Patient:
    known_sex = sex if sex in Sex.values else Sex.UNKNOWN
    return register_patient(
        national_id=national_id, sex=known_sex, birth_date=birth_date, actor=None, now=timezone.now()
    ).patient


def sync(
    hospital: Hospital,
    *,
    full: bool = False,
    deep: bool | None = True,
    now: dt.datetime | None = None,
    trigger: str = SyncRun.Trigger.COMMAND,
) -> SyncRun:
    hospital.refresh_from_db()
    return pipeline.sync_hospital(hospital=hospital, trigger=trigger, now=now or timezone.now(), full=full, deep=deep)


def synced(hospital: Hospital, **options: Any) -> SyncRun:
    """A sync that must be well."""
    run = sync(hospital, **options)
    assert (run.status, run.error_kind, run.message) == ("ok", None, "")
    return run


def verified(hospital: Hospital) -> Receipt:
    hospital.refresh_from_db()
    return receipts.receipt(hospital=hospital, verify=True, now=timezone.now())


def link_of(hospital: Hospital, person_id: int) -> Link:
    hospital.refresh_from_db()
    return Link.objects.get(hospital=hospital, epoch=hospital.epoch, person_id=person_id)


def shown(hospital: Hospital, patient: Patient | None = None) -> dict[tuple[str, int], Record]:
    """What may be seen: current records by linked links of the present epoch, filtered by link and patient."""
    hospital.refresh_from_db()
    links = Link.objects.filter(hospital=hospital, epoch=hospital.epoch, state=LinkState.LINKED)
    if patient is not None:
        links = links.filter(patient=patient)
    found: dict[tuple[str, int], Record] = {}
    for link_id, patient_id, min_token in links.values_list("pk", "patient_id", "min_token"):
        mine = Record.objects.filter(link_id=link_id, patient_id=patient_id, status="current", token__gte=min_token)
        found |= {(record.table, record.source_id): record for record in mine}
    return found


def values(hospital: Hospital, table: str = "obs") -> dict[int, str]:
    """source id → value of what may be seen of one table."""
    return {source_id: record.value for (of, source_id), record in shown(hospital).items() if of == table}


def as_values(records: Mapping[tuple[str, int], Record]) -> dict[tuple[str, int], dict[str, Any]]:
    """Every field in which two reads of the same source row must agree; `part_of` without the hospital's number."""
    fields = [field.name for field in Record._meta.get_fields() if field.name not in NOT_COMPARED]
    return {
        key: {name: getattr(record, name) for name in fields}
        | {"part_of": record.part_of[6:] if record.part_of else record.part_of}
        for key, record in records.items()
    }


def counts(run: SyncRun) -> dict[str, int]:
    names = ("n_created", "n_updated", "n_withdrawn", "n_unchanged", "n_parked", "n_excluded")
    return {name.removeprefix("n_"): getattr(run, name) for name in names}


def nothing_changed(run: SyncRun) -> bool:
    return (run.n_created, run.n_updated, run.n_withdrawn) == (0, 0, 0)


def ids(records: Iterable[tuple[str, int]], table: str = "obs") -> set[int]:
    return {source_id for of, source_id in records if of == table}


@dataclass(frozen=True, slots=True)
class Site:
    """A pretend hospital and how our passport knows it."""

    pretend: PretendHospital
    hospital: Hospital

    def add_holder(self, national_id: str, *, sex: str = "F", birth_date: dt.date = dt.date(1990, 1, 1)) -> int:
        """Somebody who is a patient here and holds a passport: the person's id."""
        register(national_id, sex=sex, birth_date=birth_date)
        return self.pretend.add_person(national_id=national_id, sex=sex, birth_date=birth_date)

    def sync(self, **options: Any) -> SyncRun:
        return synced(self.hospital, **options)

    def values(self, table: str = "obs") -> dict[int, str]:
        return values(self.hospital, table)


def open_site(server: MariaDBServer, database: str, version: str = "2.6", *, number: int = 1, **seed: Any) -> Site:
    pretend = PretendHospital(server, database, version, **seed).create()
    return Site(pretend, live_hospital(server, database, number=number))
