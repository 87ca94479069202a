"""What people at the hospital do. Each verb takes three small numbers, which choose among what is there.

`pick` chooses the row, `other` a person, a place or a number, `n` a value. A verb that finds nothing to act on, or that
this version of OpenMRS does not know, does nothing.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from tests.openmrs.hospital import PretendHospital
from tests.openmrs.rows import NotInThisVersion

Verb = Callable[[PretendHospital, int, int, int], None]
VERBS: dict[str, Verb] = {}
#: (verb, pick, other, n)
Edit = tuple[str, int, int, int]

#: National IDs that somebody may carry, as hospitals type them; the first is the bystander's and stays theirs.
NUMBERS = (
    *("1199080012345678", "1198570087654321", "1197770011223344", "1196680099887766", "1200180055555555"),
    *("1199570012121212", "1198880034343434", "1197180056565656", "1200270078787878", "1196480090909090"),
    "1199970011112222",
)
#: A type that an admin may choose beside "National ID".
OTHER_TYPE = "Old Identification Number"
NUMERIC = ("weight", "temperature", "pulse", "gravida", "haemoglobin")
CODED = (("malaria rdt", "positive"), ("symptom", "fever"), ("blood group", "group O+"), ("smoker", "true"))
DISEASES = ("malaria", "diabetes", "pneumonia", "something not coded")
DRUGS = ("metformin", "coartem", "paracetamol")
PLACES = ("opd", "emergency", "maternity", None)
PROVIDERS = ("physician", "nurse", "lab", None)
DAY = dt.datetime(2024, 3, 30, 22, 30)

#: What leaves no trace that the deep look is made to see: only the sweep brings it.
SILENT = {
    *("edit_obs_in_place", "date_obs_in_place", "regroup_obs", "purge_only_the_group", "void_order", "unvoid_order"),
    *("fulfil_order", "change_drug_order", "change_reactions", "rename_concept", "rename_drug"),
    *("empty_obs", "mend_obs"),
}

#: What changes who somebody is, or whose a row is.
WHO = {
    *("add_identifier", "correct_identifier", "void_identifier", "unvoid_identifier", "move_identifier"),
    *("add_old_identifier", "retype_identifier", "change_person_uuid"),
    *("correct_sex", "correct_birth_date", "void_patient", "purge_patient", "merge_patients", "void_only_the_person"),
    *("give_obs_to_another", "move_encounter", "move_visit", "give_condition_to_another"),
}

#: The person whom no verb touches: so that the hospital never is as good as empty.
BYSTANDER_NUMBER = NUMBERS[0]


def verb(does: Verb) -> Verb:
    VERBS[does.__name__] = does
    return does


def at_hospital(h: PretendHospital, what: str, pick: int, other: int, n: int) -> None:
    try:
        VERBS[what](h, pick, other, n)
    except (NotInThisVersion, NothingThere):
        return


class NothingThere(LookupError):
    """No row to act on."""


def bystander(h: PretendHospital) -> int:
    return int(h.execute("SELECT MIN(patient_id) FROM patient")[0][0])


def one(h: PretendHospital, table: str, pick: int, where: str = "1 = 1", order: str = "") -> int:
    """A row of this table that is not the bystander's. Raises NothingThere."""
    h.columns(table)
    key = h.key_of(table)
    owner = {"obs": "person_id", "person_name": "person_id", "person": "person_id"}.get(table, "patient_id")
    found = h.execute(
        f"SELECT {key} FROM {table} WHERE {owner} > %s AND ({where}) ORDER BY {order or key}", (bystander(h),)
    )
    if not found:
        raise NothingThere(table)
    return int(found[pick % len(found)][0])


def person(h: PretendHospital, pick: int) -> int:
    return one(h, "patient", pick)


def moment(n: int) -> dt.datetime:
    """Around the night in which summer time begins or ends in Cairo, and elsewhere."""
    return (DAY, dt.datetime(2024, 4, 26, 0, 30), dt.datetime(2024, 10, 31, 23, 30), dt.datetime(2019, 1, 1, 8))[n % 4]


def typed(other: int, n: int) -> str:
    """A number as somebody types it."""
    number = NUMBERS[1 + other % (len(NUMBERS) - 1)]
    return (number, f" {number[:4]} {number[4:]}", f"{number[:5]}-{number[5:]}", number.lower())[n % 4]


def encounter_or_none(h: PretendHospital, who: int, pick: int) -> int | None:
    found = h.execute("SELECT encounter_id FROM encounter WHERE patient_id = %s ORDER BY encounter_id", (who,))
    return int(found[pick % len(found)][0]) if found and pick % 4 else None


# ------------------------------------------------------------------------------------------------ people, numbers


@verb
def add_person(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """n: 3 has no number, 2 contradicts by sex or age, else as a rule agrees."""
    born = dt.date(1990, 1, 1) if n % 4 != 2 or pick % 2 else dt.date(1960, 1, 1)
    sex = "M" if n % 4 == 2 and pick % 2 else "F"
    h.add_person(national_id=None if n % 4 == 3 else typed(other, pick), sex=sex, birth_date=born)


@verb
def add_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.add_identifier(person(h, pick), typed(other, n))


@verb
def correct_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change_identifier(number_row(h, pick), typed(other, n))


@verb
def void_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_identifier(number_row(h, pick, "AND voided = 0"))


@verb
def unvoid_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid_identifier(number_row(h, pick, "AND voided = 1"))


@verb
def move_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.move_identifier(number_row(h, pick), person(h, other))


@verb
def add_old_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.add_identifier(person(h, pick), typed(other, n), type=OTHER_TYPE)


@verb
def retype_identifier(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """Typed into the wrong field, and put into the other."""
    kinds = [h.identifier_type(name) for name in ("National ID", OTHER_TYPE)]
    row = one(h, "patient_identifier", pick, f"identifier_type IN ({kinds[0]}, {kinds[1]})")
    h.change("patient_identifier", row, identifier_type=kinds[n % 2])


@verb
def change_person_uuid(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """As a script does that makes duplicate uuids unique; more than one of those that we remember is another source."""
    h.change("person", person(h, pick), uuid=f"{n:02d}{other:02d}0000-0000-4000-8000-00000000{pick:04d}")


def number_row(h: PretendHospital, pick: int, where: str = "") -> int:
    kind = h.identifier_type("National ID")
    return one(h, "patient_identifier", pick, f"identifier_type = {kind} {where}")


@verb
def void_patient(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_patient(one(h, "patient", pick, "voided = 0"))


@verb
def unvoid_patient(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid_patient(one(h, "patient", pick, "voided = 1"))


@verb
def void_only_the_person(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "person", person(h, pick))


@verb
def void_only_the_patient(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "patient", person(h, pick))


def toggle(h: PretendHospital, table: str, row_id: int) -> None:
    (h.unvoid if h.row(table, row_id)["voided"] else h.void)(table, row_id)


@verb
def purge_patient(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    with h.atomic():
        h.execute("DELETE d FROM drug_order d JOIN orders o ON o.order_id = d.order_id WHERE o.patient_id = %s", (who,))
        for table in ("orders", "encounter_diagnosis"):
            if h.has(table):
                h.execute(f"DELETE FROM {table} WHERE patient_id = %s", (who,))
        h.purge_patient(who)


@verb
def merge_patients(h: PretendHospital, pick: int, other: int, n: int) -> None:
    winner, loser = one(h, "patient", pick, "voided = 0"), one(h, "patient", other, "voided = 0")
    if winner != loser:
        h.merge_patients(winner, loser)


@verb
def correct_birth_date(h: PretendHospital, pick: int, other: int, n: int) -> None:
    years = (dt.date(1990, 1, 1), dt.date(1991, 5, 5), dt.date(1986, 1, 1), None)
    h.change("person", person(h, pick), birthdate=years[n % 4], birthdate_estimated=other % 2)


@verb
def correct_sex(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change("person", person(h, pick), gender="FM"[n % 2])


# ------------------------------------------------------------------------------------------------ visits, encounters


@verb
def add_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.add_visit(person(h, pick), location=PLACES[other % 4], started=moment(n))


@verb
def close_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.close_visit(one(h, "visit", pick), moment(n) + dt.timedelta(hours=other))


@verb
def void_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_visit(one(h, "visit", pick, "voided = 0"))


@verb
def unvoid_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid_visit(one(h, "visit", pick, "voided = 1"))


@verb
def void_only_the_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "visit", one(h, "visit", pick))


@verb
def purge_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    visit = one(h, "visit", pick)
    with h.atomic():
        h.execute("UPDATE encounter SET visit_id = NULL WHERE visit_id = %s", (visit,))
        h.delete("visit", visit)


@verb
def move_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change("visit", one(h, "visit", pick), patient_id=person(h, other))


@verb
def put_encounter_in_visit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    encounter = one(h, "encounter", pick)
    who = h.row("encounter", encounter)["patient_id"]
    h.change("encounter", encounter, visit_id=one(h, "visit", other, f"patient_id = {who}"))


@verb
def add_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """With a visit if there is one, and one result."""
    who = person(h, pick)
    visits = h.execute("SELECT visit_id FROM visit WHERE patient_id = %s ORDER BY visit_id", (who,))
    visit = visits[n % len(visits)][0] if visits and n % 2 else None
    encounter = h.add_encounter(
        who, visit=visit, provider=PROVIDERS[other % 4], location=PLACES[(other + n) % 4], at=moment(other)
    )
    h.add_obs(who, NUMERIC[n % 5], 40.0 + n, encounter=encounter)


@verb
def void_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_encounter(one(h, "encounter", pick, "voided = 0"))


@verb
def unvoid_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid_encounter(one(h, "encounter", pick, "voided = 1"))


@verb
def void_only_the_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "encounter", one(h, "encounter", pick))


@verb
def purge_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.purge_encounter(one(h, "encounter", pick))


@verb
def move_encounter(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.move_encounter(one(h, "encounter", pick), person(h, other))


@verb
def change_encounter_date(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change_encounter(one(h, "encounter", pick), at=moment(n) + dt.timedelta(days=other))


@verb
def change_encounter_place(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change("encounter", one(h, "encounter", pick), location_id=h.location(PLACES[n % 4]))


@verb
def change_encounter_provider(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """One more, or the first is voided or un-voided."""
    encounter = one(h, "encounter", pick)
    rows = h.rows("encounter_provider", encounter_id=encounter)
    if not rows or n % 2:
        h.add_encounter_provider(encounter, PROVIDERS[other % 3] or "nurse")
    else:
        toggle(h, "encounter_provider", rows[0]["encounter_provider_id"])


# ------------------------------------------------------------------------------------------------ obs


@verb
def add_number(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    extra: dict[str, Any] = {"value_modifier": "<"} if n == 5 else {}
    if n == 6 and h.has("obs", "interpretation"):
        extra["interpretation"] = "CRITICALLY_LOW"
    encounter = encounter_or_none(h, who, other)
    h.add_obs(who, NUMERIC[n % 5], (36.6, 40.0, 7.0, 120.0)[other % 4], encounter=encounter, at=moment(other), **extra)


@verb
def add_answer(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    question, answer = CODED[n % 4]
    h.add_obs(who, question, answer, encounter=encounter_or_none(h, who, other))


@verb
def add_text(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """n = 0: no value at all, which is parked."""
    who = person(h, pick)
    values: tuple[tuple[str, Any], ...] = (
        ("note", None),
        ("note", "told in words"),
        ("return date", DAY.date()),
        ("x-ray", "Chest|chest.jpg"),
        ("injury time", DAY),
    )
    concept, value = values[n % 5]
    h.add_obs(who, concept, value, encounter=encounter_or_none(h, who, other), at=moment(n), comments="said aloud")


@verb
def add_group(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """A panel, in another group when n says so; the parent after its members in every other case."""
    who = person(h, pick)
    encounter = encounter_or_none(h, who, other)
    above = h.execute(
        "SELECT obs_group_id FROM obs WHERE person_id = %s AND obs_group_id IS NOT NULL ORDER BY obs_id", (who,)
    )
    outer = above[0][0] if above and n % 3 == 0 else None
    group = h.add_obs(who, "full blood count", encounter=encounter, group=outer)
    for member in ("haemoglobin", "white cells")[: 1 + n % 2]:
        h.add_obs(who, member, 9.5 + n, encounter=encounter, group=group)


@verb
def edit_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """As 2.x does: a new row, the old one voided."""
    obs = one(h, "obs", pick, "voided = 0 AND value_numeric IS NOT NULL")
    h.edit_obs(obs, 50.0 + n)


@verb
def edit_obs_in_place(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """As 1.x does, or somebody with SQL."""
    obs = one(h, "obs", pick, "voided = 0 AND value_numeric IS NOT NULL")
    h.edit_obs_in_place(obs, 60.0 + n)


@verb
def date_obs_in_place(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.edit_obs_in_place(
        one(h, "obs", pick, "voided = 0"), obs_datetime=moment(n), location_id=h.location(PLACES[other % 4])
    )


@verb
def empty_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """By SQL: the row says nothing any more, and is parked."""
    h.update("obs", one(h, "obs", pick, "voided = 0 AND value_numeric IS NOT NULL"), value_numeric=None)


@verb
def mend_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """By SQL: what was parked becomes a record."""
    empty = " AND ".join(f"value_{kind} IS NULL" for kind in ("numeric", "coded", "text", "datetime", "complex"))
    covers = f"{h.concept('full blood count')}, {h.concept('diagnosis set')}"  # of a datatype that has no values
    obs = one(h, "obs", pick, f"voided = 0 AND concept_id NOT IN ({covers}) AND {empty}")
    h.update("obs", obs, value_numeric=70.0 + n)


@verb
def give_obs_to_another(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """1.x writes the person in place; no stamp, no encounter."""
    h.update("obs", one(h, "obs", pick), person_id=person(h, other))


@verb
def void_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_obs(one(h, "obs", pick, "voided = 0"))


@verb
def unvoid_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid_obs(one(h, "obs", pick, "voided = 1"))


@verb
def void_only_the_group(h: PretendHospital, pick: int, other: int, n: int) -> None:
    obs = one(h, "obs", pick, "obs_group_id IS NOT NULL", "obs_group_id, obs_id")
    group = h.row("obs", obs)["obs_group_id"]
    if h.count("obs", obs_id=group):
        toggle(h, "obs", group)


@verb
def purge_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.purge_obs(one(h, "obs", pick))


@verb
def purge_only_the_group(h: PretendHospital, pick: int, other: int, n: int) -> None:
    obs = one(h, "obs", pick, "obs_group_id IS NOT NULL")
    h.delete("obs", h.row("obs", obs)["obs_group_id"])


@verb
def regroup_obs(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """Out of its group, or into that of another obs of the same person."""
    obs = one(h, "obs", pick)
    who = h.row("obs", obs)["person_id"]
    groups = h.execute(
        "SELECT obs_group_id FROM obs WHERE person_id = %s AND obs_group_id IS NOT NULL AND obs_group_id <> %s"
        " ORDER BY obs_id",
        (who, obs),
    )
    h.update("obs", obs, obs_group_id=groups[other % len(groups)][0] if groups and n % 2 else None)


@verb
def add_diagnosis_group(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    encounter = one(h, "encounter", other, f"patient_id = {who}")
    certainty, rank = ("Confirmed", "Presumed")[n % 2], ("Primary", "Secondary")[other % 2]
    h.add_obs_group_diagnosis(who, DISEASES[n % 4], encounter=encounter, certainty=certainty, rank=rank)


@verb
def say_diagnosis_again(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """As emrapi's migration does; when n is even the group is forgotten and both stand."""
    h.columns("encounter_diagnosis")
    group = one(h, "obs", pick, f"voided = 0 AND concept_id = {h.concept('diagnosis set')}")
    row = h.row("obs", group)
    members = h.rows("obs", obs_group_id=group, voided=0)
    said = {one["concept_id"]: one for one in members}
    coded, text = said.get(h.concept("coded diagnosis")), said.get(h.concept("non-coded diagnosis"))
    if n % 2 and h.concept("diagnosis certainty") in said:
        h.migrate_obs_group_diagnosis(group)
    elif coded or text:
        what = coded["value_coded"] if coded else (text or {})["value_text"]
        h.add_diagnosis(row["person_id"], what, encounter=row["encounter_id"], date_created=row["date_created"])


# ------------------------------------------------------------------------------------------------ orders


@verb
def prescribe(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    encounter = one(h, "encounter", other, f"patient_id = {who}")
    if n == 7:
        h.add_test_order(who, "haemoglobin", encounter=encounter)
    elif n == 6:
        h.add_drug_order(who, None, encounter=encounter, non_coded="a herb")
    else:
        h.add_drug_order(who, DRUGS[n % 3], encounter=encounter, days=n or None, at=moment(other))


@verb
def stop_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.stop_order(one(h, "orders", pick, "voided = 0"), moment(n) + dt.timedelta(days=other))


@verb
def revise_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.revise_order(one(h, "orders", pick, "voided = 0"), moment(n), dose=1.5 + n)


@verb
def void_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.void_order(one(h, "orders", pick, "voided = 0"))


@verb
def unvoid_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.unvoid("orders", one(h, "orders", pick, "voided = 1"))


@verb
def purge_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    order = one(h, "orders", pick)
    with h.atomic():
        for table in ("drug_order", "test_order"):
            h.execute(f"DELETE FROM {table} WHERE order_id = %s", (order,))
        h.delete("orders", order)


@verb
def fulfil_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """No stamp."""
    if h.has("orders", "fulfiller_status"):
        h.update("orders", one(h, "orders", pick), fulfiller_status=("COMPLETED", "RECEIVED")[n % 2])


@verb
def change_drug_order(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """By SQL: the subclass row has no stamp at all."""
    h.update("drug_order", one(h, "orders", pick), dose=2.0 + n, as_needed=other % 2)


# ------------------------------------------------------------------------------------------------ statements


@verb
def add_diagnosis(h: PretendHospital, pick: int, other: int, n: int) -> None:
    who = person(h, pick)
    encounter = one(h, "encounter", other, f"patient_id = {who}")
    h.add_diagnosis(who, DISEASES[n % 4], encounter=encounter, certainty=("CONFIRMED", "PROVISIONAL")[n % 2])


@verb
def edit_diagnosis(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.edit_diagnosis(one(h, "encounter_diagnosis", pick), certainty=("CONFIRMED", "PROVISIONAL")[n % 2])


@verb
def void_diagnosis(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "encounter_diagnosis", one(h, "encounter_diagnosis", pick))


@verb
def add_condition(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.add_condition(person(h, pick), DISEASES[n % 4], onset=moment(other) if other % 2 else None)


@verb
def edit_condition(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """A new row; the old one is voided without date_voided."""
    h.edit_condition(one(h, "conditions", pick, "voided = 0"), end_date=moment(n))


@verb
def void_condition(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "conditions", one(h, "conditions", pick))


@verb
def purge_condition(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.delete("conditions", one(h, "conditions", pick))


@verb
def give_condition_to_another(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """What the merge of 2.8 does, and administrators do by hand before."""
    h.update("conditions", one(h, "conditions", pick), patient_id=person(h, other))


@verb
def add_allergy(h: PretendHospital, pick: int, other: int, n: int) -> None:
    allergen = ("penicillin", "peanut", "cat hair")[n % 3]
    h.add_allergy(person(h, pick), allergen, severity=("severe", None)[other % 2], comment="since childhood")


@verb
def edit_allergy(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.edit_allergy(one(h, "allergy", pick, "voided = 0"), severity_concept_id=h.concept("mild"))


@verb
def void_allergy(h: PretendHospital, pick: int, other: int, n: int) -> None:
    toggle(h, "allergy", one(h, "allergy", pick))


@verb
def change_reactions(h: PretendHospital, pick: int, other: int, n: int) -> None:
    """Really deleted, or one more; no stamp."""
    allergy = one(h, "allergy", pick)
    rows = h.rows("allergy_reaction", allergy_id=allergy)
    if rows and n % 2:
        h.delete("allergy_reaction", rows[0]["allergy_reaction_id"])
    else:
        h.add_reaction(allergy, ("rash", "anaphylaxis", "sneezing")[other % 3])


# ------------------------------------------------------------------------------------------------ dictionary, by SQL


@verb
def rename_concept(h: PretendHospital, pick: int, other: int, n: int) -> None:
    concept = (*NUMERIC, "positive", "malaria", "Confirmed", "full blood count")[pick % 9]
    h.rename_concept(concept, f"Renamed {n}", in_place=bool(other % 2))


@verb
def change_unit(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change_unit(NUMERIC[pick % 5], ("kg", "g", None)[n % 3])


@verb
def change_range(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.change_range(NUMERIC[pick % 5], low_normal=(None, 30.0, 45.0)[n % 3], hi_normal=(None, 50.0)[other % 2])


@verb
def change_datatype(h: PretendHospital, pick: int, other: int, n: int) -> None:
    kind = h.rows("concept_datatype", name=("Numeric", "Text")[n % 2])[0]["concept_datatype_id"]
    h.update("concept", h.concept(NUMERIC[pick % 5]), datatype_id=kind)


@verb
def rename_place(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.rename_location(PLACES[pick % 3] or "opd", f"Place {n}")


@verb
def rename_provider(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.rename_provider(PROVIDERS[pick % 2] or "nurse", "Given", f"Family{n}")


@verb
def rename_drug(h: PretendHospital, pick: int, other: int, n: int) -> None:
    h.update("drug", h.drug(DRUGS[pick % 3]), name=f"Drug {n}")
