"""What one live row says: names for ids, units, ranges, flags, moments. For the derivation; plain, row by row."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from tests.histories.derivation import OurSide, Row, Tables, groups_above, live_members

EMRAPI = "org.openmrs.module.emrapi"
BY_TABLE = {
    "encounter_diagnosis": "condition",
    "conditions": "condition",
    "orders": "medication",
    "allergy": "allergy",
    "visit": "visit",
    "encounter": "visit",
}
BY_CLASS = {
    "Diagnosis": "condition",
    "Symptom": "condition",
    "Drug": "medication",
    "Test": "test",
    "LabSet": "test",
}
VITALS = {"5085", "5086", "5087", "5088", "5089", "5090", "5092", "5242"}
FLAGS = {
    "NORMAL": "normal",
    "LOW": "low",
    "HIGH": "high",
    "CRITICALLY_LOW": "critically_low",
    "CRITICALLY_HIGH": "critically_high",
    "ABNORMAL": "abnormal",
    "CRITICALLY_ABNORMAL": "abnormal",
    "OFF_SCALE_LOW": "low",
    "OFF_SCALE_HIGH": "high",
}
#: `order_at` of what has no date
UNDATED = -(2**53)


def mappings(tables: Tables, concept_id: int | None) -> set[tuple[str, str]]:
    """(source, code) of a concept's mappings."""
    found = set()
    for row in tables.having("concept_reference_map", "concept_id", concept_id):
        term = tables.rows["concept_reference_term"][row["concept_reference_term_id"]]
        found.add((tables.rows["concept_reference_source"][term["concept_source_id"]]["name"], term["code"]))
    return found


def is_diagnosis_set(tables: Tables, concept_id: int) -> bool:
    return (EMRAPI, "Diagnosis Concept Set") in mappings(tables, concept_id)


def is_diagnosis(tables: Tables, concept_id: int) -> bool:
    return bool(mappings(tables, concept_id) & {(EMRAPI, "Coded Diagnosis"), (EMRAPI, "Non-Coded Diagnosis")})


class Renderer:
    def __init__(self, tables: Tables, ours: OurSide, said_again: set[int]) -> None:
        self.tables, self.ours, self.said_again = tables, ours, said_again
        self.zone = ZoneInfo(ours.time_zone)
        self.members = live_members(tables)
        default = (tables.get("global_property", "default_locale") or {}).get("property_value") or "en"
        self.locales: list[str] = []
        for locale in (*ours.locales, default):
            for one in (locale, locale.split("_")[0]):
                if one not in self.locales:
                    self.locales.append(one)

    # -------------------------------------------------------------------------------- names

    def label(self, concept_id: int, *, only_full: bool = False) -> str:
        """Per locale the preferred name, else the fully specified one; then any, the fully specified first."""
        locales = ["en", *self.locales] if only_full else self.locales
        names = [row for row in self.tables.having("concept_name", "concept_id", concept_id) if not row["voided"]]
        if only_full:
            names = [row for row in names if row["concept_name_type"] == "FULLY_SPECIFIED"]
        for locale in locales:
            here = [row for row in names if row["locale"] == locale]
            for wanted in (
                [row for row in here if row["locale_preferred"]],
                [row for row in here if row["concept_name_type"] == "FULLY_SPECIFIED"],
            ):
                if wanted:
                    return str(wanted[0]["name"])
        kinds = ["FULLY_SPECIFIED", None, "SHORT", "INDEX_TERM"]

        def rank(row: Row) -> tuple[int, int, int]:
            language = row["locale"].split("_")[0]
            place = locales.index(language) if language in locales else len(locales)
            return (
                place,
                -1 if row["locale_preferred"] else kinds.index(row["concept_name_type"]),
                row["concept_name_id"],
            )

        return str(min(names, key=rank)["name"]) if names else ""

    def concept(self, concept_id: int | None) -> str:
        if concept_id is None:
            return ""
        if concept_id not in self.tables.rows["concept"]:
            return f"Unknown concept {concept_id}"
        return self.label(concept_id) or f"Concept {concept_id}"

    def concept_uuid(self, concept_id: int | None) -> str:
        row = self.tables.get("concept", concept_id)
        return row["uuid"] if row else ""

    def chosen(self, concept_id: int, name_id: int | None) -> str:
        """The very name that the clinician chose, voided or not; else the label."""
        name = self.tables.get("concept_name", name_id)
        return name["name"] if name else self.concept(concept_id)

    def drug(self, drug_id: int) -> str:
        row = self.tables.get("drug", drug_id)
        if row is None:
            return f"Unknown drug {drug_id}"
        name, strength = row["name"] or f"Drug {drug_id}", row.get("strength")
        return name if not strength or any(char.isdigit() for char in name) else f"{name} {strength}"

    def provider(self, provider_id: int | None) -> str:
        if provider_id is None:
            return ""
        row = self.tables.get("provider", provider_id)
        if row is None:
            return f"Unknown provider {provider_id}"
        names = [one for one in self.tables.having("person_name", "person_id", row["person_id"]) if not one["voided"]]
        if names:
            best = min(names, key=lambda one: (not one["preferred"], one["person_name_id"]))
            parts = [best["given_name"], best["middle_name"], best["family_name"]]
            if name := " ".join(part for part in parts if part):
                return name
        return row["name"] or row["identifier"] or f"Provider {provider_id}"

    def location(self, location_id: int | None) -> str:
        if location_id is None:
            return ""
        row = self.tables.get("location", location_id)
        return row["name"] if row else f"Unknown location {location_id}"

    def moment(self, moment: Any) -> str | None:
        return str(moment)[:19] if isinstance(moment, dt.datetime) and 1880 <= moment.year <= 2100 else None

    def order_at(self, moment: Any) -> int:
        if self.moment(moment) is None:
            return UNDATED
        return int(moment.replace(tzinfo=self.zone, fold=0).timestamp())

    # -------------------------------------------------------------------------------- values

    def datatype(self, concept_id: int) -> str:
        concept = self.tables.get("concept", concept_id)
        return self.tables.rows["concept_datatype"][concept["datatype_id"]]["name"] if concept else ""

    def value_of(self, row: Row) -> str | None:
        """The column of the concept's datatype if it is filled, else the one that is; None: the obs holds nothing."""
        datatype = self.datatype(row["concept_id"])
        number = (
            None
            if row["value_numeric"] is None
            else (row["value_modifier"] or "").strip() + _number(row["value_numeric"])
        )
        if datatype == "Numeric" and number is not None:
            return number
        if datatype == "Text" and row["value_text"]:
            return str(row["value_text"])
        if row["value_drug"] is not None:
            return self.drug(row["value_drug"])
        if row["value_coded"] is not None:
            return self.chosen(row["value_coded"], row["value_coded_name_id"])
        if row["value_complex"]:
            return str(row["value_complex"]).split("|")[0]
        if row["value_datetime"] is not None:
            written = str(row["value_datetime"])
            return {"Date": written[:10], "Time": written[11:16]}.get(datatype, written[:16])
        if number is not None:
            return number
        return row["value_text"] or None

    def is_number_shown(self, row: Row) -> bool:
        if row["value_numeric"] is None:
            return False
        if self.datatype(row["concept_id"]) == "Numeric":
            return True
        others = ("value_drug", "value_coded", "value_complex", "value_datetime")
        is_text = self.datatype(row["concept_id"]) == "Text" and row["value_text"]
        return not is_text and not any(row[name] for name in others)

    def measure(self, row: Row) -> dict[str, Any]:
        """Unit, range, flag. No range and no interpretation: no flag."""
        interpretation = FLAGS.get((row.get("interpretation") or "").upper())
        if not self.is_number_shown(row):
            return {"value_number": None, "unit": "", "low": None, "high": None, "flag": interpretation}
        number = row["value_numeric"]
        numeric = self.tables.get("concept_numeric", row["concept_id"]) or {}
        flag = interpretation or _flag(
            number,
            (row["value_modifier"] or "").strip(),
            *(numeric.get(name) for name in ("low_critical", "low_normal", "hi_normal", "hi_critical")),
        )
        low, high = numeric.get("low_normal"), numeric.get("hi_normal")
        return {"value_number": number, "unit": numeric.get("units") or "", "low": low, "high": high, "flag": flag}

    def category(self, table: str, row: Row) -> str:
        if table in BY_TABLE:
            return BY_TABLE[table]
        concept = self.tables.get("concept", row["concept_id"])
        if concept is None:
            return "other"
        given, _ = self.ours.rules.get(concept["uuid"], ("", False))
        if given:
            return given
        if is_diagnosis(self.tables, row["concept_id"]):
            return "condition"
        codes = {code for source, code in mappings(self.tables, row["concept_id"]) if source == "CIEL"}
        if self.datatype(row["concept_id"]) == "Numeric" and codes & VITALS:
            return "vital"
        return BY_CLASS.get(self.tables.rows["concept_class"][concept["class_id"]]["name"], "other")

    # -------------------------------------------------------------------------------- questions of the derivation

    def is_prescription(self, row: Row) -> bool:
        kind = self.tables.get("order_type", row["order_type_id"])
        is_drug = row["order_id"] in self.tables.rows["drug_order"] or (
            kind is not None and kind.get("java_class_name") == "org.openmrs.DrugOrder"
        )
        return is_drug and row["order_action"] != "DISCONTINUE"

    def coded(self, table: str, row: Row) -> int | None:
        """The concept of which a rule may speak."""
        columns = {
            "obs": ("concept_id",),
            "encounter_diagnosis": ("diagnosis_coded",),
            "conditions": ("condition_coded", "concept_id"),
            "orders": ("concept_id",),
            "allergy": ("coded_allergen",),
        }.get(table, ())
        return next((row[name] for name in columns if name in row), None)

    def is_hidden(self, table: str, row: Row) -> bool:
        return self.ours.rules.get(self.concept_uuid(self.coded(table, row)), ("", False))[1]

    def says_nothing(self, table: str, row: Row) -> bool:
        if table == "obs":
            return self.value_of(row) is None
        if table in ("encounter_diagnosis", "conditions", "allergy"):
            return not self.statement(table, row)
        return False

    # -------------------------------------------------------------------------------- records

    def render(self, table: str, row: Row) -> Row:
        coded = self.coded(table, row)
        common = {
            "source_uuid": row["uuid"],
            "category": self.category(table, row),
            "concept_id": coded,
            "concept_uuid": self.concept_uuid(coded),
            "value_number": None,
            "unit": "",
            "low": None,
            "high": None,
            "flag": None,
            "visit_id": None,
            "encounter_id": row.get("encounter_id"),
            "group_id": None,
            "part_of": None,
            "certainty": None,
            "rank": None,
            "entered_at_local": self.moment(row["date_created"]),
            "details": {},
        }
        common |= self.event(self.tables.get("encounter", row.get("encounter_id")))
        own: Row = getattr(self, f"_{table}")(row)
        at = own.pop("at")
        details = {name: value for name, value in own.pop("details", {}).items() if value not in (None, "", [])}
        return common | own | {"details": details, "at_local": self.moment(at), "order_at": self.order_at(at)}

    def event(self, encounter: Row | None) -> Row:
        """What a row has from its encounter."""
        if encounter is None:
            return {"visit_id": None, "provider": "", "provider_uuid": "", "location": ""}
        provider_ids: list[int] = []
        for row in self.tables.having("encounter_provider", "encounter_id", encounter["encounter_id"]):
            if not row["voided"] and row["provider_id"] not in provider_ids:
                provider_ids.append(row["provider_id"])
        place = encounter["location_id"]
        visit = self.tables.get("visit", encounter["visit_id"])
        if place is None and visit and visit["patient_id"] == encounter["patient_id"]:
            place = visit["location_id"]
        return {
            "visit_id": encounter["visit_id"],
            "provider": ", ".join(self.provider(one) for one in provider_ids),
            "provider_uuid": self.provider_uuid(provider_ids[0]) if provider_ids else "",
            "location": self.location(place),
        }

    def provider_uuid(self, provider_id: int | None) -> str:
        row = self.tables.get("provider", provider_id)
        return row["uuid"] if row else ""

    def _obs(self, row: Row) -> Row:
        groups = groups_above(self.tables, row)
        status, interpretation = row.get("status"), row.get("interpretation")
        root = groups[-1] if groups else None
        details = {
            "comments": row["comments"],
            "status": status.lower() if status and status != "FINAL" else None,
            "interpretation": interpretation.lower() if interpretation and interpretation not in FLAGS else None,
            "group": self.concept(root["concept_id"]) if root and root["person_id"] == row["person_id"] else None,
            "answer": self.concept_uuid(row["value_coded"]) if row["value_coded"] is not None else None,
        }
        own = self.measure(row) | self.qualified(row)
        if row["location_id"] is not None:
            own["location"] = self.location(row["location_id"])
        return own | {
            "concept": self.concept(row["concept_id"]),
            "value": self.value_of(row),
            "at": row["obs_datetime"],
            "group_id": root["obs_id"] if root else row["obs_group_id"],
            "details": details,
        }

    def qualified(self, row: Row) -> Row:
        """A diagnosis as obs: what its group says of it; of the others in the group, what they say it of."""
        group = self.tables.get("obs", row["obs_group_id"])
        members = self.members.get(row["obs_group_id"], [])
        if group is None or row not in members or not is_diagnosis_set(self.tables, group["concept_id"]):
            return {}
        diagnoses = [one for one in members if is_diagnosis(self.tables, one["concept_id"])]
        if not diagnoses:
            return {}
        if row not in diagnoses:
            first = diagnoses[0]
            return {} if self.is_hidden("obs", first) else {"part_of": ("obs", first["obs_id"])}
        certainty = self.answer(members, "Diagnosis Certainty", ("confirmed", "presumed", "provisional"))
        rank = {"primary": 1, "secondary": 2}.get(
            self.answer(members, "Diagnosis Order", ("primary", "secondary")) or ""
        )
        return {"certainty": certainty, "rank": rank}

    def answer(self, members: list[Row], question: str, words: tuple[str, ...]) -> str | None:
        """Which of these words the newest answer means: by its mapping to emrapi, else by its full name."""
        found = None
        for one in members:
            if (EMRAPI, question) in mappings(self.tables, one["concept_id"]):
                found = None
                codes = {code.lower() for source, code in mappings(self.tables, one["value_coded"]) if source == EMRAPI}
                name = ""
                if one["value_coded"] is not None:
                    full = self.label(one["value_coded"], only_full=True)
                    name = (full or self.concept(one["value_coded"])).lower()
                for word in words:
                    if found is None and (word in codes or (not codes & set(words) and name.startswith(word))):
                        found = word
        return found

    def _encounter(self, row: Row) -> Row:
        kind = self.tables.get("encounter_type", row["encounter_type"])
        value = kind["name"] if kind else f"Unknown encounter type {row['encounter_type']}"
        return {"concept": "Encounter", "value": value, "at": row["encounter_datetime"]}

    def _visit(self, row: Row) -> Row:
        kind = self.tables.get("visit_type", row["visit_type_id"])
        value = kind["name"] if kind else f"Unknown visit type {row['visit_type_id']}"
        details = {
            "stopped": self.moment(row["date_stopped"]),
            "indication": self.concept(row["indication_concept_id"]),
        }
        return {
            "concept": "Visit",
            "value": value,
            "at": row["date_started"],
            "visit_id": row["visit_id"],
            "location": self.location(row["location_id"]),
            "details": details,
        }

    def statement(self, table: str, row: Row) -> str:
        """What it is: the chosen name or the label, with the text beside it."""
        coded = self.coded(table, row)
        prefix = {"encounter_diagnosis": "diagnosis", "conditions": "condition"}.get(table)
        typed = (row.get("non_coded_allergen" if table == "allergy" else f"{prefix}_non_coded") or "").strip()
        if table == "allergy" and typed:
            other = (self.tables.get("global_property", "allergy.concept.otherNonCoded") or {}).get("property_value")
            if other and self.concept_uuid(coded).lower() == other.lower():
                return typed
        if coded is None:
            return typed
        name = self.chosen(coded, row.get(f"{prefix}_coded_name"))
        return f"{name} ({typed})" if typed and typed != name else name

    def _encounter_diagnosis(self, row: Row) -> Row:
        encounter = self.tables.get("encounter", row["encounter_id"])
        seen_at = encounter["encounter_datetime"] if encounter else None
        return {
            "concept": "Diagnosis",
            "value": self.statement("encounter_diagnosis", row),
            "at": seen_at if self.moment(seen_at) else row["date_created"],
            "certainty": row["certainty"].lower() if row["certainty"] else None,
            "rank": row["dx_rank"] if "dx_rank" in row else row["rank"],
        }

    def _conditions(self, row: Row) -> Row:
        end_reason = row.get("end_reason")
        details = {
            "clinical_status": (row.get("clinical_status") or row.get("status") or "").lower(),
            "verification_status": (row.get("verification_status") or "").lower(),
            "onset": self.moment(row["onset_date"]),
            "ended": self.moment(row["end_date"]),
            "end_reason": self.concept(end_reason) if isinstance(end_reason, int) else end_reason,
        }
        return {
            "concept": "Condition",
            "value": self.statement("conditions", row),
            "at": row["onset_date"] or row["date_created"],
            "details": details,
        }

    def _allergy(self, row: Row) -> Row:
        reactions = [
            one["reaction_non_coded"] or self.concept(one["reaction_concept_id"])
            for one in self.tables.having("allergy_reaction", "allergy_id", row["allergy_id"])
        ]
        details = {
            "severity": self.concept(row["severity_concept_id"]),
            "reactions": reactions,
            "type": row["allergen_type"].lower(),
            "comments": row["comments"],
        }
        return {
            "concept": "Allergy",
            "value": self.statement("allergy", row),
            "at": row["date_created"],
            "details": details,
        }

    def stopped_by(self, order: Row) -> Row:
        """By the last order of the same person that discontinued or revised it."""
        later = [
            one
            for one in self.tables.having("orders", "previous_order_id", order["order_id"])
            if one["patient_id"] == order["patient_id"]
            and one["order_action"] in ("DISCONTINUE", "REVISE")
            and not one["voided"]
        ]
        if not later:
            return {}
        return {"stopped_by": self.provider(later[-1]["orderer"]), "stopped_action": later[-1]["order_action"]}

    def _orders(self, row: Row) -> Row:
        drug: Row = self.tables.get("drug_order", row["order_id"]) or {}
        frequency = self.tables.get("order_frequency", drug.get("frequency"))
        is_later = row["urgency"] == "ON_SCHEDULED_DATE" and row["scheduled_date"] is not None
        at = row["scheduled_date"] if is_later else row["date_activated"]
        dose = None if drug.get("dose") is None else _number(drug["dose"])
        units, route = self.concept(drug.get("dose_units")), self.concept(drug.get("route"))
        often = self.concept(frequency["concept_id"]) if frequency else ""
        words = [" ".join(one for one in (dose, units) if one) if dose else "", route, often]
        if drug.get("as_needed"):
            words.append("as needed")
        told = [one for one in (row["instructions"], drug.get("dosing_instructions")) if one]
        name = self.drug(drug["drug_inventory_id"]) if drug.get("drug_inventory_id") is not None else ""
        details = {
            "dose": dose,
            "dose_units": units,
            "route": route,
            "frequency": often,
            "as_needed": True if drug.get("as_needed") else None,
            "duration": None if drug.get("duration") is None else str(drug["duration"]),
            "duration_units": self.concept(drug.get("duration_units")),
            "quantity": None if drug.get("quantity") is None else _number(drug["quantity"]),
            "quantity_units": self.concept(drug.get("quantity_units")),
            "instructions": "; ".join(dict.fromkeys(told)),
            "stopped": self.moment(row["date_stopped"]),
            "expires": self.moment(row["auto_expire_date"]),
            "action": row["order_action"],
            "fulfiller_status": row.get("fulfiller_status"),
            "order_number": row["order_number"],
            "started": self.moment(at),
        }
        if row["date_stopped"] is not None:
            details |= self.stopped_by(row)
        ordered_by = {"provider": self.provider(row["orderer"]), "provider_uuid": self.provider_uuid(row["orderer"])}
        return ordered_by | {
            "concept": name or drug.get("drug_non_coded") or self.concept(row["concept_id"]) or "Unknown drug",
            "value": ", ".join(word for word in words if word) or "; ".join(dict.fromkeys(told)),
            "at": at,
            "details": details,
        }


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _flag(
    number: float,
    modifier: str,
    low_critical: float | None,
    low: float | None,
    high: float | None,
    high_critical: float | None,
) -> str | None:
    """A bound of the critical side belongs to it, one of the normal side to the normal one; `normal` needs both."""
    may_be_high, may_be_low = not modifier.startswith("<"), not modifier.startswith(">")
    if may_be_high and high_critical is not None and number >= high_critical:
        return "critically_high"
    if may_be_high and high is not None and (number > high or (number == high and modifier == ">")):
        return "high"
    if may_be_low and low_critical is not None and number <= low_critical:
        return "critically_low"
    if may_be_low and low is not None and (number < low or (number == low and modifier == "<")):
        return "low"
    return "normal" if low is not None and high is not None and not modifier else None
