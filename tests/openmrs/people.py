"""Synthetic people and what happened to them, for the demo and for tests that want a whole hospital.

Nobody here exists. The National IDs have the Rwandan form 1YYYYSNNNNNNNCCC with a serial number from 1 upward, which
no real card has. The same arguments make the same people, and the same rows at the same hospital.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.openmrs import ddl
from tests.openmrs.hospital import PretendHospital

OLD, MODERN = "old", "modern"  # the two demo hospitals that hold people
N_PEOPLE, N_PASSPORTS = 60, 25
GIVEN_F = (
    "Diane Chantal Jeanne Clémentine Josiane Alice Solange Yvonne Béatrice Espérance Aline Marie-Louise Vestine "
    "Liliane Angélique Odette Jacqueline Gaudence Félicité Ariane"
).split()
GIVEN_M = (
    "Eric Jean-Bosco Emmanuel Innocent Patrick Théoneste Félix Claude Olivier Célestin Augustin Gérard Fabrice "
    "Anastase Désiré Pacifique Moïse Samuel Aimé Bonaventure"
).split()
FAMILY = (
    "Uwase Mugisha Uwimana Habimana Mukamana Niyonzima Ingabire Nsengiyumva Iradukunda Hakizimana Umutoni Ndayisaba "
    "Mutesi Bizimungu Nyirahabimana Tuyisenge Mukandayisenga Gasana Umuhoza Twagiramungu Kamanzi Nyiransabimana"
).split()
YEAR = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPerson:
    """One person.  `stories` are names in STORIES, `variants` what a hospital (OLD, MODERN) typed in differently."""

    given: str
    family: str
    sex: str
    birth_date: dt.date
    national_id: str
    has_passport: bool
    hospitals: tuple[str, ...]
    stories: tuple[str, ...]
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)


# Who the demo shows first: (sex, age, hospitals, stories). The rest is drawn.
CAST: list[tuple[str, int, tuple[str, ...], tuple[str, ...]]] = [
    ("F", 54, (OLD, MODERN), ("penicillin allergy", "diabetes", "hypertension", "respiratory", "malaria")),
    ("F", 27, (OLD, MODERN), ("antenatal", "malaria", "respiratory")),
    ("M", 61, (OLD, MODERN), ("hypertension", "diabetes", "injury")),
    ("M", 3, (MODERN,), ("growth", "malaria", "respiratory")),
    ("F", 4, (OLD, MODERN), ("growth", "respiratory", "malaria")),
    ("M", 33, (OLD, MODERN), ("injury", "malaria", "penicillin allergy")),
    ("F", 47, (MODERN,), ("hypertension", "respiratory")),
    ("F", 31, (OLD,), ("antenatal", "injury")),
]


def make_people(*, seed: int = 7, today: dt.date) -> list[SyntheticPerson]:
    """Return 60 people, 25 of whom hold a passport and stand first; ages count from `today`."""
    rng = random.Random(seed)
    people = []
    for number in range(N_PEOPLE):
        sex, age, hospitals, stories = CAST[number] if number < len(CAST) else _draw(rng)
        born = today - age * YEAR - dt.timedelta(days=rng.randrange(20, 340))
        national_id = _national_id(number + 1, sex, born)
        people.append(
            SyntheticPerson(
                given=rng.choice(GIVEN_F if sex == "F" else GIVEN_M),
                family=rng.choice(FAMILY),
                sex=sex,
                birth_date=born,
                national_id=national_id,
                has_passport=number < N_PASSPORTS,
                hospitals=hospitals,
                stories=stories,
                variants=_variants(number, national_id, sex, hospitals),
            )
        )
    return people


def people_at(people: Sequence[SyntheticPerson], place: str) -> list[SyntheticPerson]:
    """Return those who are registered at this hospital, as it knows them (OLD or MODERN)."""
    return [person for person in people if place in person.hospitals]


def _draw(rng: random.Random) -> tuple[str, int, tuple[str, ...], tuple[str, ...]]:
    sex, age = rng.choice("MF"), rng.choice((1, 2, 3, 4, *range(6, 80)))
    hospitals = rng.choice(((OLD,), (MODERN,), (MODERN,), (OLD, MODERN)))
    likely = ["malaria", "respiratory", "injury"]
    if age < 5:
        likely = ["growth", "malaria", "respiratory"]
    elif age > 40:
        likely += ["hypertension", "diabetes"]
    elif sex == "F" and 18 <= age <= 40:
        likely.append("antenatal")
    stories = rng.sample(likely, rng.randint(1, 3))
    if rng.random() < 0.1:
        stories.append("penicillin allergy")
    return sex, age, hospitals, tuple(stories)


def _national_id(number: int, sex: str, born: dt.date) -> str:
    return f"1{born.year}{7 if sex == 'F' else 8}{number:07d}{number * 37 % 1000:03d}"


def _variants(number: int, national_id: str, sex: str, hospitals: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What hospitals do to a number: write it in groups, forget it, or give it to somebody of the other sex."""
    spaced = f"{national_id[0]} {national_id[1:5]} {national_id[5]} {national_id[6:13]} {national_id[13:]}"
    if number in (1, 4):
        return {OLD: {"national_id": spaced}}
    if number == 5:  # a contradiction: held until a human decides
        return {OLD: {"sex": "F" if sex == "M" else "M"}}
    if number in (12, 30, 45):
        return {hospitals[0]: {"national_id": None}}
    return {}


# -- what happened ----------------------------------------------------------------------------------------


class Chart:
    """One person's file at one hospital, with a generator of its own: others' stories do not change this one's."""

    def __init__(self, hospital: PretendHospital, person_id: int, person: SyntheticPerson, place: str) -> None:
        self.hospital, self.person_id, self.person, self.place = hospital, person_id, person, place
        self.rng = random.Random(f"{person.national_id} {place}")
        self.adult_weight = self.rng.uniform(48, 84)
        self.adult_height = round(self.rng.uniform(152, 181))

    def age(self, moment: dt.datetime) -> float:
        """In years."""
        return (moment.date() - self.person.birth_date).days / 365.25

    def weight(self, moment: dt.datetime) -> float:
        age = self.age(moment)
        usual = self.adult_weight if age >= 18 else min(3.4 + 6.2 * min(age, 1) + 2.3 * max(age - 1, 0), 60)
        return round(usual + self.rng.uniform(-0.6, 0.6), 1)

    def height(self, moment: dt.datetime) -> float:
        age = self.age(moment)
        return float(self.adult_height if age >= 18 else round(min(50 + 25 * min(age, 1) + 7 * max(age - 1, 0), 168)))

    def visit(
        self,
        moment: dt.datetime,
        complaint: str,
        *,
        provider: str | None = "physician",
        location: str = "opd",
        vitals: dict[str, float] | None = None,
        type: str = "consultation",
    ) -> int:
        """Come, be measured by the nurse, be seen; return the consultation's encounter."""
        h, person = self.hospital, self.person_id
        h.clock = lambda: moment  # typed in on the day; fill() puts the clock back
        visit = h.add_visit(
            person,
            type="emergency" if location == "emergency" else "outpatient",
            location=location,
            started=moment,
            stopped=moment + dt.timedelta(hours=self.rng.randint(2, 6)),
        )
        measured = moment + dt.timedelta(minutes=self.rng.randint(5, 40))
        nurse = h.add_encounter(person, type="vitals", provider="nurse", visit=visit, location=location, at=measured)
        usual = {"weight": self.weight(moment), "temperature": round(self.rng.uniform(36.3, 37.2), 1)}
        for concept, value in (usual | (vitals or {})).items():
            h.add_obs(person, concept, value, encounter=nurse)
        seen = measured + dt.timedelta(minutes=self.rng.randint(10, 90))
        encounter = h.add_encounter(person, type=type, provider=provider, visit=visit, location=location, at=seen)
        h.add_obs(person, "complaint", complaint, encounter=encounter)
        return encounter

    def diagnose(self, encounter: int, what: str, *, certain: bool = True, primary: bool = True) -> None:
        """As the platform does it: an obs group before 2.2, a row of encounter_diagnosis since."""
        if self.hospital.has("encounter_diagnosis"):
            self.hospital.add_diagnosis(
                self.person_id,
                what,
                encounter=encounter,
                certainty="CONFIRMED" if certain else "PROVISIONAL",
                rank=1 if primary else 2,
            )
            return
        self.hospital.add_obs_group_diagnosis(
            self.person_id,
            what,
            encounter=encounter,
            certainty="Confirmed" if certain else "Presumed",
            rank="Primary" if primary else "Secondary",
        )

    def list_problem(self, what: str, onset: dt.datetime) -> None:
        """Put it on the problem list, where there is one."""
        if self.hospital.has("conditions", "clinical_status"):
            self.hospital.add_condition(self.person_id, what, onset=onset)

    def observe(self, encounter: int, concept: str, value: Any) -> None:
        self.hospital.add_obs(self.person_id, concept, value, encounter=encounter)

    def prescribe(self, encounter: int, drug: str, frequency: str, days: int, dose: float = 1) -> None:
        self.hospital.add_drug_order(
            self.person_id, drug, encounter=encounter, frequency=frequency, days=days, dose=dose
        )


def _times(chart: Chart, since: dt.datetime, until: dt.datetime, every: int) -> list[dt.datetime]:
    """Return mornings about `every` days apart, the first a random part of that after `since`."""
    last = until - dt.timedelta(hours=12)  # a visit takes up to eight
    moments, moment = [], since + dt.timedelta(days=chart.rng.randint(1, every))
    while moment < last:
        start = dt.time(chart.rng.randint(7, 14), chart.rng.choice((0, 10, 20, 30, 40, 50)))
        moments.append(dt.datetime.combine(moment.date(), start))
        moment += dt.timedelta(days=round(every * chart.rng.uniform(0.85, 1.15)))
    return [moment for moment in moments if moment < last and chart.age(moment) > 0]


def _diabetes(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    times = _times(chart, since, until, 91)
    sugar = chart.rng.uniform(10, 14)
    for number, moment in enumerate(times):
        encounter = chart.visit(moment, "Diabetes review" if number else "Thirst and passing much urine")
        chart.observe(encounter, "fasting glucose", round(sugar + chart.rng.uniform(-1, 1), 1))
        if number % 2 == 0:
            chart.observe(encounter, "hba1c", round(2.6 + sugar * 0.55, 1))
        if number % 4 == 0:
            chart.observe(encounter, "creatinine", float(chart.rng.randint(60, 115)))
        chart.observe(encounter, "return date", (moment + dt.timedelta(days=91)).date())
        chart.prescribe(encounter, "metformin", "twice daily", 90, 1 if number < 2 else 2)
        if number == 0:
            chart.diagnose(encounter, "diabetes")
            chart.list_problem("diabetes", moment)
        sugar = max(6.2, sugar - chart.rng.uniform(0.1, 0.9))


def _hypertension(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    pressure = chart.rng.randint(158, 184)
    for number, moment in enumerate(_times(chart, since, until, 100)):
        systolic = float(pressure + chart.rng.randint(-6, 6))
        vitals = {"systolic": systolic, "diastolic": float(round(systolic * 0.6)), "pulse": 76.0}
        encounter = chart.visit(moment, "Blood pressure check" if number else "Headache", vitals=vitals)
        chart.observe(encounter, "smoker", chart.rng.random() < 0.1)
        chart.prescribe(encounter, "amlodipine", "once daily", 90, 1 if pressure < 160 else 2)
        if number == 0:
            chart.observe(encounter, "symptom", "headache")
            chart.diagnose(encounter, "hypertension")
            chart.list_problem("hypertension", moment)
        pressure = max(126, pressure - chart.rng.randint(0, 9))


def _malaria(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    for moment in _times(chart, since, until, 420):
        fever = {"temperature": round(chart.rng.uniform(38.2, 40.3), 1), "pulse": float(chart.rng.randint(92, 124))}
        encounter = chart.visit(moment, "Fever for three days", vitals=fever, provider="physician")
        chart.observe(encounter, "symptom", "fever")
        chart.observe(encounter, "malaria rdt", "positive")
        chart.diagnose(encounter, "malaria")
        chart.prescribe(encounter, "coartem", "twice daily", 3, 4)
        chart.prescribe(encounter, "paracetamol", "three times daily", 3, 2)


def _antenatal(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    began = since + dt.timedelta(days=chart.rng.randint(30, 120))
    gravida = chart.rng.randint(1, 4)
    for number, week in enumerate((12, 18, 24, 29, 33, 37)):
        moment = dt.datetime.combine((began + dt.timedelta(weeks=week)).date(), dt.time(9, 10 * (number % 6)))
        if moment >= until - dt.timedelta(hours=12):
            return
        vitals = {
            "weight": round(chart.adult_weight + week * 0.3, 1),
            "systolic": float(chart.rng.randint(104, 128)),
            "diastolic": float(chart.rng.randint(62, 82)),
        }
        encounter = chart.visit(
            moment, "Antenatal visit", provider="midwife", location="maternity", vitals=vitals, type="antenatal"
        )
        if number == 0:
            chart.observe(encounter, "last menstrual period", began.date())
            chart.observe(encounter, "gravida", float(gravida))
            chart.observe(encounter, "blood group", "group O+")
            chart.diagnose(encounter, "pregnancy")
        chart.observe(encounter, "haemoglobin", round(chart.rng.uniform(9.8, 13.2), 1))
        chart.observe(encounter, "urine protein", "negative" if number < 5 else "trace")
        if week >= 18:
            chart.observe(encounter, "fundal height", float(week - chart.rng.randint(0, 2)))
            chart.observe(encounter, "fetal heart rate", float(chart.rng.randint(124, 152)))
        chart.prescribe(encounter, "iron", "once daily", 30)


def _growth(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    born = dt.datetime.combine(chart.person.birth_date, dt.time(8))
    for moment in _times(chart, max(since, born), until, 75):
        muac = round(12.4 + min(chart.age(moment), 4) * 0.7 + chart.rng.uniform(-0.9, 0.9), 1)
        vitals = {"height": chart.height(moment), "muac": muac}
        encounter = chart.visit(moment, "Growth monitoring", provider="nurse", vitals=vitals)
        if muac < 12.5:
            chart.diagnose(encounter, "malnutrition", certain=False)


def _injury(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    for moment in _times(chart, since, until, 900)[:1]:
        encounter = chart.visit(moment, "Fell from a bicycle", location="emergency")
        broken = chart.rng.random() < 0.5
        chart.observe(encounter, "injury time", moment - dt.timedelta(hours=3))
        chart.observe(encounter, "x-ray", "Forearm|forearm_ap.jpg")
        chart.diagnose(encounter, "fracture" if broken else "laceration")
        chart.observe(encounter, "note", "Plaster cast, review in six weeks." if broken else "Cleaned and sutured.")
        chart.prescribe(encounter, "ibuprofen", "three times daily", 5)


def _respiratory(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    for moment in _times(chart, since, until, 330):
        is_pneumonia = chart.rng.random() < 0.35
        vitals = {
            "temperature": round(chart.rng.uniform(37.4, 39.4), 1),
            "respiration": float(chart.rng.randint(24, 38) if is_pneumonia else chart.rng.randint(14, 20)),
            "oxygen": float(chart.rng.randint(89, 94) if is_pneumonia else chart.rng.randint(95, 99)),
        }
        encounter = chart.visit(moment, "Cough", vitals=vitals, provider=chart.rng.choice(("physician", None)))
        chart.observe(encounter, "symptom", "cough")
        chart.diagnose(encounter, "pneumonia" if is_pneumonia else "cold", certain=is_pneumonia)
        if is_pneumonia and "penicillin allergy" not in chart.person.stories:
            chart.prescribe(encounter, "amoxicillin", "three times daily", 5)
        else:
            chart.prescribe(encounter, "paracetamol", "three times daily", 3)


def _penicillin_allergy(chart: Chart, since: dt.datetime, until: dt.datetime) -> None:
    for moment in _times(chart, since, until, 500)[:1]:
        encounter = chart.visit(moment, "Itching after a tablet")
        chart.observe(encounter, "symptom", "hives")
        chart.observe(encounter, "note", "Hives within an hour of a dose of penicillin. Never again.")
        if chart.hospital.has("allergy"):
            chart.hospital.add_allergy(chart.person_id, "penicillin", reactions=("hives", "rash"))


STORIES: dict[str, Callable[[Chart, dt.datetime, dt.datetime], None]] = {
    "diabetes": _diabetes,
    "hypertension": _hypertension,
    "malaria": _malaria,
    "antenatal": _antenatal,
    "growth": _growth,
    "injury": _injury,
    "respiratory": _respiratory,
    "penicillin allergy": _penicillin_allergy,
}


def fill(
    hospital: PretendHospital,
    people: Sequence[SyntheticPerson],
    place: str,
    *,
    until: dt.datetime,
    years: float = 4,
) -> dict[str, int]:
    """Register these people at the hospital with their histories; return person_id by National ID.

    `place` (OLD or MODERN) says which variants apply; `until` is naive, in the hospital's zone. Takes about a second.
    """
    since = until - years * YEAR
    person_ids = {}
    with hospital.at(since), hospital.bulk():
        for person in people:
            typed = {"national_id": person.national_id, "sex": person.sex} | person.variants.get(place, {})
            hospital.clock = lambda: since
            person_id = hospital.add_person(
                birth_date=person.birth_date, given=person.given, family=person.family, **typed
            )
            person_ids[person.national_id] = person_id
            chart = Chart(hospital, person_id, person, place)
            for story in person.stories:
                STORIES[story](chart, since, until)
        if ddl.is_old(hospital.version):
            hospital.clock = lambda: until
            _lose_some_dates(hospital, list(person_ids.values()))
    return person_ids


def _lose_some_dates(hospital: PretendHospital, person_ids: Sequence[int]) -> None:
    """Zero dates, as old installs have: of two notes, and of one birth."""
    for person_id in person_ids[:2]:
        hospital.add_obs(person_id, "note", "Transcribed from a paper file without a date.", at="0000-00-00 00:00:00")
    hospital.update("person", person_ids[-1], birthdate="0000-00-00")
