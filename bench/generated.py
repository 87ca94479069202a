"""A hospital of any size in a minute, where the generator beside the checkout is not at hand: made by SQL alone.

The tables and dictionary are those of the tests' pretend hospital, 2.6. Ten obs an encounter, one encounter a visit:
six numbers, three coded answers, one text; 2 in a hundred voided. Every patient has a National ID.
"""

from tests.openmrs.hospital import PretendHospital
from tests.openmrs.server import MariaDBServer

OBS_PER_ENCOUNTER = 10
STARTED = "'2020-01-01 08:00:00' + INTERVAL"


def fill(server: MariaDBServer, *, database: str, n_obs: int, n_patients: int, first_person: int = 1) -> None:
    """Make the database with so many obs, spread evenly over the patients. Needs MariaDB's sequence tables.

    `first_person`: of the row of National IDs.
    """
    site = PretendHospital(server, database, "2.6").create()
    first = site.execute("SELECT MAX(person_id) + 1 FROM person")[0][0]
    n_encounters = n_obs // OBS_PER_ENCOUNTER
    numeric = [site.concept(key) for key in ("pulse", "weight", "temperature")]
    question, answer = site.concept("malaria rdt"), site.concept("positive")
    text = site.concept("note")
    number, clerk = site.identifier_type("National ID"), 1
    place, role = site.location(None) or 1, site.clinician_role
    provider = next(iter(site.providers.values()))
    who = f"{first} + (seq - 1) % {n_patients}"
    when = f"{STARTED} (seq - 1) * 7 MINUTE"
    event, turn = f"(seq - 1) DIV {OBS_PER_ENCOUNTER}", f"(seq - 1) % {OBS_PER_ENCOUNTER}"
    seen = f"{STARTED} {event} * 7 MINUTE"
    born = "IF(seq % 2, 'F', 'M'), '1950-01-01' + INTERVAL seq % 20000 DAY, 0, 0"
    asked = f"IF({turn} < 6, ELT(1 + seq % 3, {', '.join(map(str, numeric))}), IF({turn} < 9, {question}, {text}))"
    said = (
        f"IF({turn} < 6, 36 + seq % 80, NULL), IF({turn} BETWEEN 6 AND 8, {answer}, NULL),"
        f" IF({turn} = 9, CONCAT('seen and treated, case ', seq), NULL), 'FINAL'"
    )

    def insert(table: str, columns: str, values: str, *, n: int, at: str = when) -> None:
        server.execute(
            f"INSERT INTO {table} ({columns}, creator, date_created, voided{', uuid' if table != 'patient' else ''})"
            f" SELECT {values}, {clerk}, {at}, 0{', UUID()' if table != 'patient' else ''} FROM seq_1_to_{n}",
            database=database,
        )

    n = n_patients
    person = "person_id, gender, birthdate, birthdate_estimated, dead"
    insert("person", person, f"{first} - 1 + seq, {born}", n=n)
    insert("patient", "patient_id", f"{first} - 1 + seq", n=n)
    identifier = f"{first} - 1 + seq, CONCAT('1', LPAD(seq + {first_person}, 15, '0')), {number}, 1, {place}"
    insert("patient_identifier", "patient_id, identifier, identifier_type, preferred, location_id", identifier, n=n)
    n = n_encounters
    visit = "visit_id, patient_id, visit_type_id, date_started, location_id"
    insert("visit", visit, f"seq, {who}, (SELECT MIN(visit_type_id) FROM visit_type), {when}, {place}", n=n)
    encounter = "encounter_id, encounter_type, patient_id, location_id, encounter_datetime, visit_id"
    kind = "(SELECT MIN(encounter_type_id) FROM encounter_type)"
    insert("encounter", encounter, f"seq, {kind}, {who}, {place}, {when}, seq", n=n)
    insert("encounter_provider", "encounter_id, provider_id, encounter_role_id", f"seq, {provider}, {role}", n=n)
    obs = (
        "person_id, encounter_id, concept_id, obs_datetime, location_id, value_numeric, value_coded, value_text, status"
    )
    answered = f"{first} + {event} % {n_patients}, {event} + 1, {asked}, {seen}, {place}, {said}"
    insert("obs", obs, answered, n=n_obs, at=seen)
    site.execute("UPDATE obs SET voided = 1, voided_by = 1, date_voided = date_created WHERE obs_id % 50 = 0")
