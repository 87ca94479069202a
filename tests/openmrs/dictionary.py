"""What every pretend hospital knows: concepts, drugs, staff, places, kinds of encounters.

Codes are CIEL's where we are sure of them (plain words are found by them); from 900000 on they are our own. Concept
uuids are the code padded with A, as CIEL makes them: hospitals that share the dictionary share them, while concept_id
differs by hospital.
"""

from __future__ import annotations

from dataclasses import dataclass

CIEL, EMRAPI = "CIEL", "org.openmrs.module.emrapi"

DATATYPES = {  # name: the fixed part of OpenMRS' uuid
    "Numeric": "4488",
    "Coded": "48b6",
    "Text": "4ab4",
    "N/A": "4c94",
    "Document": "4e74",
    "Date": "505e",
    "Time": "591e",
    "Datetime": "5af4",
    "Boolean": "5cca",
    "Complex": "6242",
}
CLASSES = [
    *"Test Procedure Drug Diagnosis Finding Question LabSet MedSet ConvSet Misc Symptom Specimen".split(),
    *("Symptom/Finding", "Misc Order", "Frequency", "Units of Measure"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One concept.  `names` is by locale; `normal` and `critical` are (low, high), either may be None."""

    key: str
    code: str
    kind: str
    datatype: str
    names: dict[str, str]
    units: str | None = None
    normal: tuple[float | None, float | None] = (None, None)
    critical: tuple[float | None, float | None] = (None, None)
    maps: tuple[tuple[str, str], ...] = ()  # (source, code) besides CIEL

    @property
    def uuid(self) -> str:
        return self.code.ljust(36, "A")


def _numeric(
    key: str,
    code: str,
    names: str,
    units: str | None,
    normal: tuple[float | None, float | None] = (None, None),
    critical: tuple[float | None, float | None] = (None, None),
    kind: str = "Test",
) -> Concept:
    return Concept(
        key=key, code=code, kind=kind, datatype="Numeric", names=_names(names), units=units,
        normal=normal, critical=critical,
    )  # fmt: skip


def _plain(kind: str, datatype: str, lines: str) -> list[Concept]:
    """Concepts from lines of `key | code | English | French | Kinyarwanda`; a name that is empty does not exist."""
    concepts = []
    for line in lines.strip().splitlines():
        key, code, names = (part.strip() for part in line.split("|", 2))
        concepts.append(Concept(key=key, code=code, kind=kind, datatype=datatype, names=_names(names)))
    return concepts


def _names(text: str) -> dict[str, str]:
    parts = [part.strip() for part in text.split("|")]
    return {locale: name for locale, name in zip(("en", "fr", "rw"), parts, strict=False) if name}


def _set(key: str, code: str, kind: str, names: str, emrapi: str = "") -> Concept:
    maps = ((EMRAPI, emrapi),) if emrapi else ()
    return Concept(key=key, code=code, kind=kind, datatype="N/A", names=_names(names), maps=maps)


def _emrapi(key: str, code: str, datatype: str, names: str, emrapi: str) -> Concept:
    return Concept(
        key=key, code=code, kind="Question", datatype=datatype, names=_names(names), maps=((EMRAPI, emrapi),)
    )


VITALS = [
    _numeric("weight", "5089", "Weight (kg) | Poids (kg) | Ibiro (kg)", "kg", kind="Finding"),
    _numeric("height", "5090", "Height (cm) | Taille (cm) | Uburebure (cm)", "cm", kind="Finding"),
    _numeric("temperature", "5088", "Temperature (C) | Température (C) | Ubushyuhe (C)", "DEG C",
             (36.1, 37.5), (None, 40.0), "Finding"),
    _numeric("pulse", "5087", "Pulse | Pouls | Umuvuduko w'umutima", "beats/min", (55, 100), (45, 140), "Finding"),
    _numeric("systolic", "5085", "Systolic blood pressure | Pression artérielle systolique | "
             "Umuvuduko w'amaraso wo hejuru", "mmHg", (90, 139), (80, 180), "Finding"),
    _numeric("diastolic", "5086", "Diastolic blood pressure | Pression artérielle diastolique | "
             "Umuvuduko w'amaraso wo hasi", "mmHg", (60, 89), (50, 110), "Finding"),
    _numeric("respiration", "5242", "Respiratory rate | Fréquence respiratoire | Guhumeka", "breaths/min",
             (12, 20), (8, 35), "Finding"),
    _numeric("oxygen", "5092", "Arterial blood oxygen saturation (pulse oximeter) | Saturation en oxygène | "
             "Umwuka wa ogisijeni", "%", (94, None), (88, None), "Finding"),
    _numeric("muac", "1343", "Mid-upper arm circumference | Périmètre brachial", "cm", (12.5, None), (11.5, None),
             "Finding"),
]  # fmt: skip

TESTS = [
    _numeric("hba1c", "159644", "HbA1c | Hémoglobine glyquée", "%", (4.0, 6.5), (None, 12.0)),
    _numeric("fasting glucose", "160912", "Fasting blood glucose measurement (mmol/L) | Glycémie à jeun | "
             "Isukari yo mu maraso", "mmol/L", (3.9, 6.9), (2.8, 22.0)),
    _numeric("haemoglobin", "21", "Haemoglobin | Hémoglobine", "g/dL", (11.0, 17.0), (7.0, None)),
    _numeric("white cells", "678", "White blood cells | Globules blancs", "10^3/uL", (4.0, 11.0)),
    _numeric("platelets", "729", "Platelets | Plaquettes", "10^3/uL", (150, 450), (50, None)),
    _numeric("creatinine", "790", "Serum creatinine (umol/L) | Créatinine", "umol/L", (53, 106), (None, 350)),
    _numeric("fetal heart rate", "1440", "Fetal heart rate | Rythme cardiaque foetal", "beats/min", (110, 160)),
    _numeric("fundal height", "1439", "Fundal height | Hauteur utérine", "cm", kind="Finding"),
    # No unit, no range, no class that says anything: the case in which nothing may be guessed.
    _numeric("gravida", "5624", "Gravida | Gestité", None, kind="Question"),
    *_plain("Test", "Coded", """
        malaria rdt   | 1643   | Malaria rapid test | Test rapide du paludisme | Ikizamini cyihuse cya malariya
        blood smear   | 32     | Malarial smear | Goutte épaisse |
        urine protein | 161442 | Urine protein | Protéinurie |
        blood group   | 300    | Blood typing | Groupe sanguin |
    """),
    _set("full blood count", "1019", "LabSet", "Full blood count | Hémogramme"),
]  # fmt: skip

DIAGNOSES = _plain(
    "Diagnosis",
    "N/A",
    """
    diabetes        | 142473 | Type 2 diabetes mellitus | Diabète de type 2 | Diyabete yo mu bwoko bwa 2
    hypertension    | 117399 | Hypertension | Hypertension artérielle | Umuvuduko ukabije w'amaraso
    malaria         | 116128 | Malaria | Paludisme | Malariya
    severe malaria  | 160155 | Severe malaria | Paludisme grave | Malariya y'igikatu
    pneumonia       | 114100 | Pneumonia | Pneumonie | Umusonga
    cold            | 106    | Acute upper respiratory infection | Infection respiratoire haute | Ibicurane
    gastroenteritis | 117889 | Gastroenteritis | Gastro-entérite | Impiswi
    anaemia         | 121629 | Anaemia | Anémie | Amaraso make
    asthma          | 121375 | Asthma | Asthme | Asima
    fracture        | 900002 | Fracture of forearm | Fracture de l'avant-bras | Imvune y'ukuboko
    laceration      | 900001 | Laceration | Plaie | Igikomere
    malnutrition    | 115122 | Moderate acute malnutrition | Malnutrition aiguë modérée | Imirire mibi
    pregnancy       | 1434   | Normal pregnancy | Grossesse normale | Gutwita
""",
)
SYMPTOMS = _plain(
    "Symptom",
    "N/A",
    """
    fever       | 140238 | Fever | Fièvre | Umuriro
    cough       | 143264 | Cough | Toux | Inkorora
    headache    | 139084 | Headache | Céphalée | Kuribwa umutwe
    rash        | 512    | Rash | Éruption cutanée |
    hives       | 111061 | Hives | Urticaire |
    anaphylaxis | 148888 | Anaphylaxis | Anaphylaxie |
""",
)
DRUGS = _plain(
    "Drug",
    "N/A",
    """
    metformin   | 79651 | Metformin | Metformine |
    amlodipine  | 71137 | Amlodipine | Amlodipine |
    coartem     | 77991 | Artemether / Lumefantrine | Artéméther / Luméfantrine |
    amoxicillin | 71160 | Amoxicillin | Amoxicilline |
    paracetamol | 70116 | Paracetamol | Paracétamol |
    penicillin  | 81724 | Penicillin | Pénicilline |
    iron        | 1549  | Iron and folic acid | Fer et acide folique |
    salbutamol  | 83258 | Salbutamol | Salbutamol |
    ors         | 351   | Oral rehydration salts | Sels de réhydratation orale |
    ibuprofen   | 77897 | Ibuprofen | Ibuprofène |
""",
)
QUESTIONS = [
    *_plain(
        "Question",
        "Text",
        """
        complaint | 160531 | Chief complaint | Motif de consultation | Impamvu yo kwivuza
        note      | 162169 | Text of encounter note | Note clinique |
    """,
    ),
    *_plain(
        "Question",
        "Coded",
        """
        symptom  | 1728   | Sign or symptom | Signe ou symptôme |
        medicine | 1282   | Medication given | Médicament donné |
    """,
    ),
    *_plain(
        "Question",
        "Date",
        """
        return date           | 5096 | Return visit date | Date du rendez-vous | Itariki yo kugaruka
        last menstrual period | 1427 | Date of last menstrual period | Date des dernières règles |
    """,
    ),
    *_plain("Question", "Time", "arrival time | 161655 | Time of arrival | Heure d'arrivée |"),
    *_plain("Question", "Datetime", "injury time | 165197 | Date and time of injury | Date de l'accident |"),
    *_plain("Question", "Boolean", "smoker | 163731 | Smokes tobacco | Fume | Anywa itabi"),
    *_plain("Misc", "Complex", "x-ray | 12 | X-ray image | Radiographie |"),
    # No English name at all, and with letters that latin1 has and ASCII has not.
    *_plain("Finding", "Coded", "oedema | 460 | | Oedèmes des membres inférieurs |"),
    *_plain("Finding", "N/A", "abnormal | 1116 | Abnormal | Anormal |"),
]
ANSWERS = [
    *_plain(
        "Misc",
        "N/A",
        """
        true        | 165193 | True | Vrai |
        false       | 165194 | False | Faux |
        yes         | 1065 | Yes | Oui | Yego
        no          | 1066 | No | Non | Oya
        unknown     | 1067 | Unknown | Inconnu |
        positive    | 703  | Positive | Positif |
        negative    | 664  | Negative | Négatif |
        trace       | 1874 | Trace | Traces |
        group O+    | 699  | O POS | O+ |
        group A+    | 690  | A POS | A+ |
        other       | 5622 | Other non-coded | Autre |
        mild        | 1498 | Mild | Léger |
        moderate    | 1499 | Moderate | Modéré |
        severe      | 1500 | Severe | Grave |
        peanut      | 162172 | Peanuts | Arachides |
        oral        | 160240 | Oral | Voie orale |
        Presumed    | 159393 | Presumed diagnosis | Diagnostic présumé |
        Confirmed   | 159392 | Confirmed diagnosis | Diagnostic confirmé |
        Primary     | 159943 | Primary | Primaire |
        Secondary   | 159944 | Secondary | Secondaire |
    """,
    ),
    *_plain(
        "Units of Measure",
        "N/A",
        """
        mg     | 161553 | Milligram | Milligramme |
        tablet | 1513   | Tablet | Comprimé |
        mL     | 162263 | Milliliter | Millilitre |
        days   | 1072   | Days | Jours |
        weeks  | 1073   | Weeks | Semaines |
        months | 1074   | Months | Mois |
    """,
    ),
]
FREQUENCIES = _plain(
    "Frequency",
    "N/A",
    """
    once daily        | 160862 | Once daily | Une fois par jour |
    twice daily       | 160858 | Twice daily | Deux fois par jour |
    three times daily | 160866 | Three times daily | Trois fois par jour |
""",
)
TIMES_A_DAY = {"once daily": 1.0, "twice daily": 2.0, "three times daily": 3.0}
DIAGNOSIS_SET = [
    _set("diagnosis set", "159947", "ConvSet", "Visit Diagnoses | Diagnostics de la visite",
         "Diagnosis Concept Set"),
    _emrapi("coded diagnosis", "1284", "Coded", "PROBLEM LIST | Liste des problèmes", "Coded Diagnosis"),
    _emrapi("non-coded diagnosis", "161602", "Text", "PROBLEM LIST, NON-CODED", "Non-Coded Diagnosis"),
    _emrapi("diagnosis certainty", "159394", "Coded", "Diagnosis certainty", "Diagnosis Certainty"),
    _emrapi("diagnosis order", "159946", "Coded", "Diagnosis order", "Diagnosis Order"),
]  # fmt: skip

CONCEPTS = [
    *VITALS, *TESTS, *DIAGNOSES, *SYMPTOMS, *DRUGS, *QUESTIONS, *ANSWERS, *FREQUENCIES, *DIAGNOSIS_SET,
]  # fmt: skip
SETS = {
    "full blood count": ("haemoglobin", "white cells", "platelets"),
    "diagnosis set": ("coded diagnosis", "non-coded diagnosis", "diagnosis certainty", "diagnosis order"),
}

FORMULARY = {  # key of the drug row: (concept, name, strength)
    "metformin": ("metformin", "Metformin 500mg tablet", "500mg"),
    "amlodipine": ("amlodipine", "Amlodipine 5mg tablet", "5mg"),
    "coartem": ("coartem", "Artemether 20mg / Lumefantrine 120mg tablet", "20mg/120mg"),
    "amoxicillin": ("amoxicillin", "Amoxicillin 250mg dispersible tablet", "250mg"),
    "paracetamol": ("paracetamol", "Paracetamol 500mg tablet", "500mg"),
    "iron": ("iron", "Ferrous sulfate 200mg / Folic acid 0.4mg tablet", "200mg/0.4mg"),
    "salbutamol": ("salbutamol", "Salbutamol inhaler 100mcg", "100mcg"),
    "ors": ("ors", "Oral rehydration salts sachet", "20.5g"),
    "ibuprofen": ("ibuprofen", "Ibuprofen 400mg tablet", "400mg"),
}
LOCATIONS = {
    "opd": "Outpatient Department",
    "emergency": "Emergency",
    "maternity": "Maternité",
    "lab": "Laboratory",
    "unknown": "Unknown Location",
}
ENCOUNTER_TYPES = {
    "consultation": "Consultation",
    "vitals": "Vitals",
    "visit note": "Visit Note",
    "lab": "Laboratory",
    "antenatal": "Antenatal Care",
    "dispensing": "Drug Dispensing",
}
VISIT_TYPES = {"outpatient": "Outpatient", "inpatient": "Inpatient", "emergency": "Emergency"}
STAFF = [  # given and family names; a hospital draws from them by its seed
    ("Claudine", "Mukamana"), ("Jean-Paul", "Habimana"), ("Immaculée", "Uwimana"), ("Théogène", "Nkusi"),
    ("Béatrice", "Nyirahabineza"), ("Emmanuel", "Ntirenganya"), ("Solange", "Umutoni"), ("Fidèle", "Bizimana"),
    ("Olive", "Mukashema"), ("Innocent", "Kayitare"), ("Denyse", "Ingabire"), ("Aimable", "Rugamba"),
]  # fmt: skip
