"""A pretend hospital: what people at a real one do to OpenMRS' tables, each as a verb.

The verbs leave the rows that OpenMRS leaves, stamps that do not move included. What they do is told in each docstring;
2.x and 1.x differ in edits, merges and moved encounters.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tests.openmrs import ddl, seeding
from tests.openmrs.dictionary import CONCEPTS
from tests.openmrs.rows import ADMIN, NotInThisVersion, Rows
from tests.openmrs.server import MariaDBServer

__all__ = ["NotInThisVersion", "PretendHospital"]

NEVER_COPIED = ("uuid", "creator", "date_created", "value_coded_name_id", "changed_by", "date_changed")
VOID_COLUMNS = ("voided", "voided_by", "date_voided", "void_reason")
DATATYPES = {concept.key: concept.datatype for concept in CONCEPTS}
VALUE_COLUMNS = {
    "Numeric": "value_numeric",
    "Coded": "value_coded",
    "Boolean": "value_coded",
    "Text": "value_text",
    "Complex": "value_complex",
    "Date": "value_datetime",
    "Time": "value_datetime",
    "Datetime": "value_datetime",
}


class PretendHospital(Rows):
    """One OpenMRS database with verbs.  The package's docstring lists them all."""

    def __init__(
        self,
        server: MariaDBServer,
        database: str,
        version: str = "2.6",
        *,
        seed: str | int | None = None,
        name: str = "Pretend District Hospital",
        time_zone: str = "Africa/Kigali",
    ) -> None:
        super().__init__(server, database, version, seed=seed, time_zone=time_zone)
        self.name = name
        self.concepts: dict[str, int] = {}
        self.drugs: dict[str, int] = {}
        self.locations: dict[str, int] = {}
        self.providers: dict[str, int] = {}
        self.provider_names: dict[str, str] = {}
        self.encounter_types: dict[str, int] = {}
        self.visit_types: dict[str, int] = {}
        self.identifier_types: dict[str, int] = {}
        self.order_types: dict[str, int] = {}
        self.frequencies: dict[str, int] = {}
        self.clinician_role = self.care_setting = 0
        self._n_patients = 0
        self._encounter_facts: dict[int, tuple[dt.datetime, int | None]] = {}

    def create(self) -> Self:
        """Make the database afresh: tables, dictionary, staff, places, identifier types; no patient."""
        self.close()
        self.server.create_database(self.database, charset="latin1" if ddl.is_old(self.version) else "utf8mb3")
        for statement in ddl.create_statements(self.version):
            self.execute(statement)
        seeding.seed(self)
        return self

    def open(self) -> Self:
        """Take up a hospital that another process created: the look-ups are read from its database."""
        seeding.look_up(self)
        return self

    def grant_reader(self, user: str = "passport", password: str = "read-only-please") -> dict[str, Any]:
        """Make the account that Passport uses, and return how to reach this hospital with it."""
        self.server.grant_reader(user, password, self.database)
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "username": user,
            "password": password,
        }

    # -- look-ups: a key of dictionary.py, or an id that goes through ---------------------------------

    def concept(self, key: str | int) -> int:
        return key if isinstance(key, int) else self.concepts[key]

    def drug(self, key: str | int) -> int:
        return key if isinstance(key, int) else self.drugs[key]

    def location(self, key: str | int | None) -> int | None:
        return self.locations[key] if isinstance(key, str) else key

    def provider(self, key: str | int) -> int:
        return key if isinstance(key, int) else self.providers[key]

    def encounter_type(self, key: str | int) -> int:
        return key if isinstance(key, int) else self.encounter_types[key]

    def visit_type(self, key: str | int) -> int:
        return key if isinstance(key, int) else self.visit_types[key]

    def identifier_type(self, name: str | int) -> int:
        return name if isinstance(name, int) else self.identifier_types[name]

    @property
    def national_id_type_uuid(self) -> str:
        return str(self.row("patient_identifier_type", self.identifier_types["National ID"])["uuid"])

    # -- people and identifiers -----------------------------------------------------------------------

    def add_person(
        self,
        *,
        national_id: str | None = None,
        sex: str | None = "F",
        birth_date: dt.date | str | None = dt.date(1990, 1, 1),
        birth_date_estimated: bool = False,
        given: str = "Test",
        family: str = "Person",
        is_patient: bool = True,
        **columns: Any,
    ) -> int:
        """Register somebody: person, name, and for a patient the OpenMRS ID and, if given, a National ID.

        As in real hospitals the National ID is not the preferred identifier.
        """
        person = self.insert(
            "person",
            gender=sex or "",
            birthdate=birth_date,
            birthdate_estimated=int(birth_date_estimated),
            **columns,
        )
        self.insert("person_name", person_id=person, preferred=1, given_name=given, family_name=family)
        if is_patient:
            self.insert("patient", patient_id=person)
            self._n_patients += 1
            self.add_identifier(person, f"100{person:05X}", type="OpenMRS ID", preferred=True)
        if national_id is not None:
            self.add_identifier(person, national_id)
        return person

    def add_identifier(
        self,
        person: int,
        identifier: str,
        *,
        type: str | int = "National ID",
        preferred: bool = False,
        **columns: Any,
    ) -> int:
        """No uniqueness is checked: the database has no such constraint either."""
        return self.insert(
            "patient_identifier",
            patient_id=person,
            identifier=identifier,
            identifier_type=self.identifier_type(type),
            preferred=int(preferred),
            **{"location_id": self.location("unknown")} | columns,
        )

    def identifiers_of(self, person: int, type: str | int = "National ID") -> list[int]:
        """Return the ids of the live identifiers of this type."""
        found = self.rows("patient_identifier", patient_id=person, identifier_type=self.identifier_type(type), voided=0)
        return [row["patient_identifier_id"] for row in found]

    def change_identifier(self, identifier_id: int, identifier: str) -> None:
        """Correct it in place; date_changed moves."""
        self.change("patient_identifier", identifier_id, identifier=identifier)

    def void_identifier(self, identifier_id: int) -> None:
        self.void("patient_identifier", identifier_id)

    def unvoid_identifier(self, identifier_id: int) -> None:
        self.unvoid("patient_identifier", identifier_id)

    def move_identifier(self, identifier_id: int, to_person: int) -> None:
        """The number was typed in for the wrong patient: the same row, now of another."""
        self.change("patient_identifier", identifier_id, patient_id=to_person)

    def void_patient(self, person: int, *, reason: str = "registered twice") -> None:
        """Void patient, person, names, identifiers and encounters with what is in them.

        Not: obs without encounter, visits, conditions, allergies. OpenMRS leaves those alone too.
        """
        with self.atomic():
            for encounter in self.rows("encounter", patient_id=person, voided=0):
                self.void_encounter(encounter["encounter_id"], reason=reason)
            for table in ("patient_identifier", "person_name"):
                owner = "patient_id" if table == "patient_identifier" else "person_id"
                for row in self.rows(table, **{owner: person}, voided=0):
                    self.void(table, row[self.key_of(table)], reason=reason)
            self.void("patient", person, reason=reason)
            self.void("person", person, reason=reason)

    def unvoid_patient(self, person: int) -> None:
        """Undo void_patient(): what was voided with the same reason comes back."""
        with self.atomic():
            reason = self.row("patient", person)["void_reason"]
            self.unvoid("person", person)
            self.unvoid("patient", person)
            for table, owner in (("patient_identifier", "patient_id"), ("person_name", "person_id")):
                for row in self.rows(table, **{owner: person}, voided=1, void_reason=reason):
                    self.unvoid(table, row[self.key_of(table)])
            for row in self.rows("encounter", patient_id=person, voided=1, void_reason=reason):
                self.unvoid_encounter(row["encounter_id"])

    def purge_patient(self, person: int) -> None:
        """Delete the patient with everything: nothing is left."""
        with self.atomic():
            for encounter in self.rows("encounter", patient_id=person):
                self.purge_encounter(encounter["encounter_id"])
            self.execute("DELETE FROM obs WHERE person_id = %s", (person,))
            for table in ("conditions", "allergy", "visit", "patient_identifier"):
                if self.has(table):
                    self.execute(f"DELETE FROM {table} WHERE patient_id = %s", (person,))
            self.delete("patient", person)
            self.execute("DELETE FROM person_name WHERE person_id = %s", (person,))
            self.delete("person", person)

    def merge_patients(self, winner: int, loser: int) -> int:
        """Merge as PatientService.mergePatients does, and return the id of the person_merge_log row.

        Visits and encounters move (date_changed). Obs: 2.x voids each and inserts a copy; 1.x updates person_id in
        place with no stamp; those without encounter are voided and copied by both. Orders move with no stamp.
        Conditions and allergies stay with the loser. Identifiers and names are copied, the originals voided.
        """
        with self.atomic():
            encounters = [row["encounter_id"] for row in self.rows("encounter", patient_id=loser)]
            for table in ("visit", "encounter"):
                for row in self.rows(table, patient_id=loser):
                    self.change(table, row[self.key_of(table)], patient_id=winner)
            self._hand_over_obs(loser, winner, encounters)
            self.execute("UPDATE orders SET patient_id = %s WHERE patient_id = %s", (winner, loser))
            self._hand_over_diagnoses(encounters, winner)
            self._copy_names_and_numbers(loser, winner)
            self.void_patient(loser, reason=f"Merged with patient #{winner}")
            return self.insert(
                "person_merge_log", winner_person_id=winner, loser_person_id=loser, merged_data="<merged/>"
            )

    def _hand_over_obs(self, loser: int, winner: int, encounters: Sequence[int]) -> None:
        everything = self.rows("obs", person_id=loser)
        copied = [
            row for row in everything if not row["voided"] and (self._is_2x or row["encounter_id"] not in encounters)
        ]
        kept = {row["obs_id"] for row in everything} - {row["obs_id"] for row in copied}
        for obs in sorted(kept):
            self.update("obs", obs, person_id=winner)
        self._replace_obs(copied, person_id=winner)

    def _hand_over_diagnoses(self, encounters: Iterable[int], person: int) -> None:
        if self.has("encounter_diagnosis"):
            for encounter in encounters:
                for row in self.rows("encounter_diagnosis", encounter_id=encounter):
                    self.change("encounter_diagnosis", row["diagnosis_id"], patient_id=person)

    def _copy_names_and_numbers(self, loser: int, winner: int) -> None:
        for table, owner in (("patient_identifier", "patient_id"), ("person_name", "person_id")):
            for row in self.rows(table, **{owner: loser}, voided=0):
                copied = self._copy_of(table, row)
                self.insert(table, **copied | {owner: winner, "preferred": 0})

    # -- visits and encounters ------------------------------------------------------------------------

    def add_visit(
        self,
        person: int,
        *,
        type: str | int = "outpatient",
        location: str | int | None = "opd",
        started: dt.datetime | str | None = None,
        stopped: dt.datetime | None = None,
        **columns: Any,
    ) -> int:
        """Open a visit; without `stopped` it stays open."""
        return self.insert(
            "visit",
            patient_id=person,
            visit_type_id=self.visit_type(type),
            location_id=self.location(location),
            date_started=started or self.clock(),
            date_stopped=stopped,
            **columns,
        )

    def close_visit(self, visit: int, at: dt.datetime | None = None) -> None:
        self.change("visit", visit, date_stopped=at or self.clock())

    def void_visit(self, visit: int, *, reason: str = "entered in error") -> None:
        """Void the visit with its encounters and what is in them."""
        with self.atomic():
            for row in self.rows("encounter", visit_id=visit, voided=0):
                self.void_encounter(row["encounter_id"], reason=reason)
            self.void("visit", visit, reason=reason)

    def unvoid_visit(self, visit: int) -> None:
        """Undo void_visit(): encounters voided with the same reason come back."""
        with self.atomic():
            reason = self.row("visit", visit)["void_reason"]
            for row in self.rows("encounter", visit_id=visit, voided=1, void_reason=reason):
                self.unvoid_encounter(row["encounter_id"])
            self.unvoid("visit", visit)

    def add_encounter(
        self,
        person: int,
        *,
        type: str | int = "consultation",
        provider: str | int | None = "physician",
        visit: int | None = None,
        location: str | int | None = "opd",
        at: dt.datetime | str | None = None,
        **columns: Any,
    ) -> int:
        """Add an encounter and, unless `provider` is None, who saw the patient."""
        moment, place = at or self.clock(), self.location(location)
        encounter = self.insert(
            "encounter",
            patient_id=person,
            encounter_type=self.encounter_type(type),
            location_id=place,
            visit_id=visit,
            encounter_datetime=moment,
            **columns,
        )
        if isinstance(moment, dt.datetime):
            self._encounter_facts[encounter] = (moment, place)
        if provider is not None:
            self.add_encounter_provider(encounter, provider)
        return encounter

    def add_encounter_provider(self, encounter: int, provider: str | int) -> int:
        return self.insert(
            "encounter_provider",
            encounter_id=encounter,
            provider_id=self.provider(provider),
            encounter_role_id=self.clinician_role,
        )

    def void_encounter(self, encounter: int, *, reason: str = "entered in error") -> None:
        """Void the encounter with its obs and orders, and diagnoses where they are a table."""
        with self.atomic():
            for table, key in self._inside_an_encounter():
                for row in self.rows(table, encounter_id=encounter, voided=0):
                    self.void(table, row[key], reason=reason)
            self.void("encounter", encounter, reason=reason)

    def unvoid_encounter(self, encounter: int) -> None:
        """Undo void_encounter(): what was voided with the same reason comes back."""
        with self.atomic():
            reason = self.row("encounter", encounter)["void_reason"]
            for table, key in self._inside_an_encounter():
                for row in self.rows(table, encounter_id=encounter, voided=1, void_reason=reason):
                    self.unvoid(table, row[key])
            self.unvoid("encounter", encounter)

    def purge_encounter(self, encounter: int) -> None:
        """Delete the encounter with everything in it."""
        with self.atomic():
            for order in self.rows("orders", encounter_id=encounter):
                for table in ("drug_order", "test_order"):
                    self.execute(f"DELETE FROM {table} WHERE order_id = %s", (order["order_id"],))
            for table in ("obs", "orders", "encounter_provider", "encounter_diagnosis"):
                if self.has(table):
                    self.execute(f"DELETE FROM {table} WHERE encounter_id = %s", (encounter,))
            self.delete("encounter", encounter)

    def move_encounter(self, encounter: int, to_person: int) -> None:
        """The form was filled in for the wrong patient.

        date_changed of the encounter moves. Obs: 2.x voids and re-creates each; 1.x updates person_id in place with
        no stamp. Orders: in place, no stamp.
        """
        with self.atomic():
            self.change("encounter", encounter, patient_id=to_person)
            rows = self.rows("obs", encounter_id=encounter)
            if self._is_2x:
                self._replace_obs([row for row in rows if not row["voided"]], person_id=to_person)
            for row in rows:
                if row["voided"] or not self._is_2x:
                    self.update("obs", row["obs_id"], person_id=to_person)
            self.execute("UPDATE orders SET patient_id = %s WHERE encounter_id = %s", (to_person, encounter))
            self._hand_over_diagnoses([encounter], to_person)

    def change_encounter(self, encounter: int, *, at: dt.datetime) -> None:
        """Correct the encounter's time: obs that inherited it are replaced (2.x) or updated in place (1.x)."""
        with self.atomic():
            before = self.row("encounter", encounter)["encounter_datetime"]
            self.change("encounter", encounter, encounter_datetime=at)
            self._encounter_facts.pop(encounter, None)
            inherited = self.rows("obs", encounter_id=encounter, voided=0, obs_datetime=before)
            if self._is_2x:
                self._replace_obs(inherited, obs_datetime=at)
            else:
                for row in inherited:
                    self.update("obs", row["obs_id"], obs_datetime=at)

    def _inside_an_encounter(self) -> list[tuple[str, str]]:
        tables = [("obs", "obs_id"), ("orders", "order_id"), ("encounter_diagnosis", "diagnosis_id")]
        return [(table, key) for table, key in tables if self.has(table)]

    # -- obs ------------------------------------------------------------------------------------------

    def add_obs(
        self,
        person: int,
        concept: str | int,
        value: Any = None,
        *,
        encounter: int | None = None,
        group: int | None = None,
        at: dt.datetime | str | None = None,
        location: str | int | None = None,
        **columns: Any,
    ) -> int:
        """Add an obs.  The value's column follows from the concept's datatype, or is named (`value_text=…`).

        Time and place are the encounter's unless given.
        """
        moment, place = self._time_and_place(encounter)
        return self.insert(
            "obs",
            person_id=person,
            concept_id=self.concept(concept),
            encounter_id=encounter,
            obs_group_id=group,
            obs_datetime=at or moment,
            location_id=self.location(location) or place,
            **(self._value(concept, value) | columns),
        )

    def edit_obs(self, obs: int, value: Any = None, **columns: Any) -> int:
        """Edit through ObsService: a new row with previous_version, then the old one is voided.

        Since 2.1 the status of the new row is AMENDED. Members of an edited group stay where they are.
        """
        with self.atomic():
            row = self.row("obs", obs)
            new = self._copy_of("obs", row) | {"previous_version": obs}
            if value is not None:
                new |= dict.fromkeys(VALUE_COLUMNS.values()) | self._value(row["concept_id"], value)
            if new.get("status") == "FINAL":
                new["status"] = "AMENDED"
            new_id = self.insert("obs", **new | columns)
            self.void("obs", obs, reason=None)
            return new_id

    def edit_obs_in_place(self, obs: int, value: Any = None, **columns: Any) -> None:
        """Edit as 1.x does when a form is saved: the obs shows nothing, date_changed of the encounter moves."""
        with self.atomic():
            row = self.row("obs", obs)
            if value is not None:
                columns = self._value(row["concept_id"], value) | columns
            self.update("obs", obs, **columns)
            if row["encounter_id"] is not None:
                self.change("encounter", row["encounter_id"])

    def void_obs(self, obs: int, *, reason: str | None = "entered in error") -> None:
        """Void the obs and the live members of its group.  The encounter does not notice."""
        with self.atomic():
            for member in self.rows("obs", obs_group_id=obs, voided=0):
                self.void_obs(member["obs_id"], reason=reason)
            self.void("obs", obs, reason=reason)

    def unvoid_obs(self, obs: int) -> None:
        """Un-void the obs and the members that were voided with it.  No trace remains."""
        with self.atomic():
            row = self.row("obs", obs)
            self.unvoid("obs", obs)
            for member in self.rows("obs", obs_group_id=obs, voided=1, void_reason=row["void_reason"]):
                self.unvoid_obs(member["obs_id"])

    def purge_obs(self, obs: int) -> None:
        """DELETE the obs and the members of its group."""
        with self.atomic():
            for member in self.rows("obs", obs_group_id=obs):
                self.purge_obs(member["obs_id"])
            self.delete("obs", obs)

    def _time_and_place(self, encounter: int | None) -> tuple[Any, int | None]:
        if encounter is None:
            return self.clock(), None
        if encounter not in self._encounter_facts:
            row = self.row("encounter", encounter)
            self._encounter_facts[encounter] = (row["encounter_datetime"] or self.clock(), row["location_id"])
        return self._encounter_facts[encounter]

    def _value(self, concept: str | int, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if isinstance(value, bool):
            value = self.concept("true" if value else "false")
        column = VALUE_COLUMNS[self._datatype(concept)]
        if column == "value_coded":
            value = self.concept(value)
        elif column == "value_datetime" and isinstance(value, dt.time):
            value = dt.datetime.combine(dt.date(1970, 1, 1), value)
        return {column: value}

    def _datatype(self, concept: str | int) -> str:
        if isinstance(concept, str):
            return DATATYPES[concept]
        return str(self.row("concept_datatype", self.row("concept", concept)["datatype_id"])["name"])

    def _replace_obs(self, rows: Sequence[Mapping[str, Any]], **changes: Any) -> None:
        """Void each live obs and insert a copy with these changes; groups stay groups, of the copies."""
        copies: dict[int, int] = {}
        for row in rows:
            new = self._copy_of("obs", row) | changes | {"previous_version": row["obs_id"]}
            if new.get("status") == "FINAL":
                new["status"] = "AMENDED"
            copies[row["obs_id"]] = self.insert("obs", **new)
            self.void("obs", row["obs_id"], reason=None)
        for row in rows:  # afterwards: a group may have been inserted later than its members
            if row["obs_group_id"] in copies:
                self.update("obs", copies[row["obs_id"]], obs_group_id=copies[row["obs_group_id"]])

    def _copy_of(self, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
        left_out = {self.key_of(table), *NEVER_COPIED, *VOID_COLUMNS}
        return {name: value for name, value in row.items() if name not in left_out}

    @property
    def _is_2x(self) -> bool:
        return ddl.order(self.version) >= (2, 0)

    # -- orders ---------------------------------------------------------------------------------------

    def add_drug_order(
        self,
        person: int,
        drug: str | int | None = "metformin",
        *,
        encounter: int,
        orderer: str | int = "physician",
        at: dt.datetime | None = None,
        days: int | None = None,
        dose: float | None = 1,
        dose_units: str = "tablet",
        frequency: str = "twice daily",
        non_coded: str | None = None,
        **columns: Any,
    ) -> int:
        """Prescribe.  `days` sets auto_expire_date; `non_coded` is a drug that no list has (1.12 and later)."""
        moment = at or self._time_and_place(encounter)[0]
        ends = moment + dt.timedelta(days=days) if days else None
        if isinstance(drug, int):
            concept = self.row("drug", drug)["concept_id"]
        else:
            concept = self.concept(drug or "other")
        inventory = None if drug is None else self.drug(drug)
        with self.atomic_unless_bulk():
            order = self._add_order("Drug Order", person, concept, encounter, orderer, moment, ends, columns)
            self.insert(
                "drug_order",
                order_id=order,
                drug_inventory_id=inventory,
                dose=dose,
                **self._dosing(dose_units, frequency, days, non_coded),
            )
        return order

    def add_test_order(
        self,
        person: int,
        concept: str | int,
        *,
        encounter: int,
        orderer: str | int = "physician",
        at: dt.datetime | None = None,
        type: str = "Test Order",
        **columns: Any,
    ) -> int:
        """Order a test.  `type="Lab Order"` is a local type of class org.openmrs.Order, without test_order row."""
        moment = at or self._time_and_place(encounter)[0]
        with self.atomic_unless_bulk():
            order = self._add_order(type, person, self.concept(concept), encounter, orderer, moment, None, columns)
            if type == "Test Order":
                self.insert("test_order", order_id=order)
        return order

    def stop_order(self, order: int, at: dt.datetime | None = None) -> int:
        """Stop it: a DISCONTINUE row, and date_stopped of the order in place with no stamp.  Returns the new row's id.

        Until 1.9: `discontinued` of the order itself, and its id is returned.
        """
        moment = at or self.clock()
        if ddl.is_old(self.version):
            self.update("orders", order, discontinued=1, discontinued_date=moment, discontinued_by=ADMIN)
            return order
        return self._follow_order(order, "DISCONTINUE", moment, {})

    def revise_order(self, order: int, at: dt.datetime | None = None, **columns: Any) -> int:
        """Change a prescription: a REVISE row, and the earlier one is stopped.  `columns` are drug_order's."""
        return self._follow_order(order, "REVISE", at or self.clock(), columns)

    def void_order(self, order: int, *, reason: str = "entered in error") -> None:
        """Void it.  Voiding a DISCONTINUE or REVISE row sets date_stopped of the earlier order back to NULL."""
        with self.atomic():
            row = self.row("orders", order)
            self.void("orders", order, reason=reason)
            if row.get("previous_order_id") and row["order_action"] in ("DISCONTINUE", "REVISE"):
                self.update("orders", row["previous_order_id"], date_stopped=None)

    def _follow_order(self, order: int, action: str, moment: dt.datetime, columns: dict[str, Any]) -> int:
        with self.atomic():
            new = self._copy_of("orders", self.row("orders", order)) | {
                "order_action": action,
                "previous_order_id": order,
                "date_activated": moment,
                "date_stopped": None,
                "order_number": self._order_number(),
            }
            if action == "DISCONTINUE":
                new["auto_expire_date"] = moment
            new_id = self.insert("orders", **new)
            if drug_order := self.rows("drug_order", order_id=order):
                self.insert("drug_order", **drug_order[0] | columns | {"order_id": new_id})
            self.update("orders", order, date_stopped=moment)
            return new_id

    def _add_order(
        self,
        kind: str,
        person: int,
        concept: int,
        encounter: int,
        orderer: str | int,
        moment: dt.datetime,
        ends: dt.datetime | None,
        columns: dict[str, Any],
    ) -> int:
        if ddl.is_old(self.version):
            ours: dict[str, Any] = {"start_date": moment}
        else:
            ours = {
                "date_activated": moment,
                "order_action": "NEW",
                "care_setting": self.care_setting,
                "order_number": self._order_number(),
            }
        return self.insert(
            "orders",
            order_type_id=self.order_types[kind],
            patient_id=person,
            concept_id=concept,
            encounter_id=encounter,
            # until 1.9 a user ordered, since 1.10 a provider
            orderer=ADMIN if ddl.is_old(self.version) else self.provider(orderer),
            auto_expire_date=ends,
            **ours | columns,
        )

    def _dosing(self, dose_units: str, frequency: str, days: int | None, non_coded: str | None) -> dict[str, Any]:
        if ddl.is_old(self.version):
            return {"units": dose_units, "frequency": frequency, "prn": 0, "complex": 0}
        dosing = {
            "dosing_type": "org.openmrs.SimpleDosingInstructions",
            "dose_units": self.concept(dose_units),
            "frequency": self.frequencies[frequency],
            "route": self.concept("oral"),
            "duration": days,
            "duration_units": self.concept("days") if days else None,
            "as_needed": 0,
        }
        return dosing | ({"drug_non_coded": non_coded} if non_coded else {})

    def _order_number(self) -> str:
        return f"ORD-{self.random.randrange(10**9):09d}"

    # -- diagnoses, conditions, allergies -------------------------------------------------------------

    def add_diagnosis(
        self,
        person: int,
        what: str | int,
        *,
        encounter: int,
        certainty: str = "CONFIRMED",
        rank: int = 1,
        **columns: Any,
    ) -> int:
        """Add an encounter_diagnosis row (2.2 and later).  A text that is no concept's key is non-coded."""
        column = "dx_rank" if self.has("encounter_diagnosis", "dx_rank") else "rank"
        coded = self._coded(what, "diagnosis_coded", "diagnosis_non_coded")
        values = {**coded, column: rank, **columns}
        return self.insert(
            "encounter_diagnosis", patient_id=person, encounter_id=encounter, certainty=certainty, **values
        )

    def edit_diagnosis(self, diagnosis: int, **columns: Any) -> None:
        """Edit in place, as OpenMRS does; date_changed moves."""
        self.change("encounter_diagnosis", diagnosis, **columns)

    def void_diagnosis(self, diagnosis: int) -> None:
        self.void("encounter_diagnosis", diagnosis)

    def add_obs_group_diagnosis(
        self,
        person: int,
        what: str | int,
        *,
        encounter: int,
        certainty: str = "Confirmed",
        rank: str = "Primary",
    ) -> int:
        """Add a diagnosis as the reference application did before 2.2: an obs group.  Returns the group's id."""
        with self.atomic_unless_bulk():
            group = self.add_obs(person, "diagnosis set", encounter=encounter)
            coded = self._coded(what, "value_coded", "value_text")
            question = "coded diagnosis" if "value_coded" in coded else "non-coded diagnosis"
            self.add_obs(person, question, encounter=encounter, group=group, **coded)
            self.add_obs(person, "diagnosis certainty", certainty, encounter=encounter, group=group)
            self.add_obs(person, "diagnosis order", rank, encounter=encounter, group=group)
        return group

    def migrate_obs_group_diagnosis(self, group: int) -> int:
        """Migrate as emrapi does: the group is voided with a reason that names the table, the new row is back-dated."""
        with self.atomic():
            parent = self.row("obs", group)
            members = {row["concept_id"]: row for row in self.rows("obs", obs_group_id=group, voided=0)}
            coded = members.get(self.concept("coded diagnosis"))
            text = members.get(self.concept("non-coded diagnosis"))
            certain = members[self.concept("diagnosis certainty")]["value_coded"] == self.concept("Confirmed")
            self.void_obs(group, reason="Migrated to the encounter_diagnosis table")
            return self.add_diagnosis(
                parent["person_id"],
                coded["value_coded"] if coded else text["value_text"] if text else "",
                encounter=parent["encounter_id"],
                certainty="CONFIRMED" if certain else "PROVISIONAL",
                date_created=parent["date_created"],
            )

    def add_condition(
        self,
        person: int,
        what: str | int,
        *,
        status: str = "ACTIVE",
        onset: dt.datetime | None = None,
        **columns: Any,
    ) -> int:
        """Add to the problem list.  Until 2.1 the table is emrapi's: `concept_id` and `status`, coded only."""
        if self.has("conditions", "clinical_status"):
            values = {"clinical_status": status, "verification_status": "CONFIRMED"}
            values |= self._coded(what, "condition_coded", "condition_non_coded")
        else:
            self.columns("conditions")
            known = isinstance(what, int) or what in self.concepts
            values = {"status": status, "concept_id": self.concept(what if known else "other")}
            values |= {} if known else {"condition_non_coded": what}
        return self.insert("conditions", patient_id=person, onset_date=onset, **values | columns)

    def edit_condition(self, condition: int, **columns: Any) -> int:
        """Edit: a new row; the old one is voided **without date_voided**, only date_changed moves (2.2+)."""
        with self.atomic():
            earlier = next(
                name for name in ("previous_version", "previous_condition_id") if self.has("conditions", name)
            )
            new = self._copy_of("conditions", self.row("conditions", condition)) | {earlier: condition}
            new_id = self.insert("conditions", **new | columns)
            self.change("conditions", condition, voided=1, voided_by=ADMIN, void_reason="Condition edited")
            return new_id

    def void_condition(self, condition: int) -> None:
        self.void("conditions", condition)

    def add_allergy(
        self,
        person: int,
        allergen: str | int,
        *,
        severity: str | None = "severe",
        reactions: Sequence[str | int] = ("hives",),
        type: str = "DRUG",
        comment: str | None = None,
        **columns: Any,
    ) -> int:
        """Add an allergy with its reactions (2.0 and later).  A text that is no concept's key is non-coded."""
        known = isinstance(allergen, int) or allergen in self.concepts
        values: dict[str, Any] = {"coded_allergen": self.concept(allergen if known else "other")}
        if not known:
            values["non_coded_allergen"] = allergen
        if comment is not None:
            values["comments" if self.has("allergy", "comments") else "comment"] = comment
        with self.atomic_unless_bulk():
            allergy = self.insert(
                "allergy",
                patient_id=person,
                allergen_type=type,
                severity_concept_id=self.concept(severity) if severity else None,
                **values | columns,
            )
            for reaction in reactions:
                self.add_reaction(allergy, reaction)
        return allergy

    def add_reaction(self, allergy: int, reaction: str | int) -> int:
        """Reactions have no stamp; they are really deleted with delete("allergy_reaction", id)."""
        known = isinstance(reaction, int) or reaction in self.concepts
        text = {} if known else {"reaction_non_coded": reaction}
        concept = self.concept(reaction if known else "other")
        return self.insert("allergy_reaction", allergy_id=allergy, reaction_concept_id=concept, **text)

    def edit_allergy(self, allergy: int, **columns: Any) -> int:
        """Edit: void + new, with the reactions."""
        with self.atomic():
            new_id = self.insert("allergy", **self._copy_of("allergy", self.row("allergy", allergy)) | columns)
            for row in self.rows("allergy_reaction", allergy_id=allergy):
                self.insert("allergy_reaction", **self._copy_of("allergy_reaction", row) | {"allergy_id": new_id})
            self.void("allergy", allergy)
            return new_id

    def void_allergy(self, allergy: int) -> None:
        self.void("allergy", allergy)

    def _coded(self, what: str | int, coded: str, non_coded: str) -> dict[str, Any]:
        if isinstance(what, int) or what in self.concepts:
            return {coded: self.concept(what)}
        return {non_coded: what}

    # -- dictionary and staff -------------------------------------------------------------------------

    def rename_concept(self, concept: str | int, name: str, *, locale: str = "en", in_place: bool = False) -> int:
        """Void the name, add a new one, and return its id; `in_place`: by plain SQL, no stamp."""
        with self.atomic():
            old = self.rows(
                "concept_name", concept_id=self.concept(concept), locale=locale, locale_preferred=1, voided=0
            )[0]
            if in_place:
                self.update("concept_name", old["concept_name_id"], name=name)
                return int(old["concept_name_id"])
            new_id = self.insert("concept_name", **self._copy_of("concept_name", old) | {"name": name})
            self.void("concept_name", old["concept_name_id"])
            self.change("concept", self.concept(concept))
            return new_id

    def change_unit(self, concept: str | int, units: str | None) -> None:
        """Correct a unit by SQL, as migrations do: no stamp anywhere."""
        self.update("concept_numeric", self.concept(concept), units=units)

    def change_range(self, concept: str | int, **columns: float | None) -> None:
        """Change low_normal, hi_normal, low_critical, hi_critical by SQL: no stamp anywhere."""
        self.update("concept_numeric", self.concept(concept), **columns)

    def rename_location(self, location: str | int, name: str) -> None:
        """By SQL: no stamp."""
        self.execute("UPDATE location SET name = %s WHERE location_id = %s", (name, self.location(location)))

    def rename_provider(self, provider: str | int, given: str, family: str) -> None:
        """The provider's person has another name, by SQL: no stamp."""
        person = self.row("provider", self.provider(provider))["person_id"]
        self.execute(
            "UPDATE person_name SET given_name = %s, family_name = %s WHERE person_id = %s AND voided = 0",
            (given, family, person),
        )
