"""Stable words of the engine as people read them. Nothing here holds a name or a value."""

#: `Link.reason` → why.
LINK_REASONS = {
    "national_id": "the National ID leads here, and nothing speaks against it",
    "sex_differs": "one of the two is recorded as male, the other as female",
    "birth_year_differs": "the birth years are too far apart",
    "crowded_number": "this National ID stands on five or more persons of the hospital",
    "two_patients": "the person's numbers lead to two patients",
    "merged_told_apart": "somebody whom a human told apart from this patient was merged into the person",
    "decided_same": "a human decided: the same human",
    "decided_different": "a human decided: not the same human",
    "decision_undone": "a decision was undone; the next look at the hospital judges again",
    "no_number": "the number no longer leads to this patient",
    "person_gone": "the hospital has deleted this person from its database",
    "source_replaced": "the hospital's database was replaced",
}

#: `Link.state` → what that means for the patient.
LINK_STATES = {
    "linked": "What the hospital recorded about this person is shown to our patient.",
    "held": "Nothing of this person is shown to anybody until somebody decides. The patient reads that a hospital may "
    "hold more and that it is being checked.",
    "unlinked": "Nothing of this person is shown to our patient.",
    "ended": "Nothing of this person is shown any more. It comes back by itself when the reason is gone.",
}

#: `error_kind` → what is wrong, in one clause; docs/troubleshooting.md has the entry of the same name.
ERROR_KINDS = {
    "unreachable": "the hospital's server does not answer",
    "misconfigured": "a setting of this hospital cannot work",
    "credentials": "the server refuses the login",
    "writable_account": "the account could write, so we do not use it",
    "schema_mismatch": "a table or column that we need is not there",
    "source_replaced": "this is another database than before",
    "would_erase": "the brake: this would withdraw more history than a normal day explains",
    "quiet": "it read nothing where there used to be something",
    "internal": "something in Patient Passport failed",
}

#: Tables whose rows become records, as people call them.
TABLES = {
    "obs": "observations",
    "encounter": "encounters",
    "visit": "visits",
    "encounter_diagnosis": "diagnoses",
    "conditions": "conditions",
    "orders": "orders",
    "allergy": "allergies",
}

#: Why a source row is no record, in the order in which it is judged. A closed list.
EXCLUDED = {
    "voided": "voided at the hospital",
    "parent_voided": "belongs to something that is voided: its group, encounter, visit, patient or person",
    "duplicate_of_migrated": "says again what stands in the table of diagnoses",
    "not_a_prescription": "an order of another kind, or one that only stops another",
    "hidden_by_admin": "its concept is hidden by a rule of yours",
    "group_without_value": "only the cover of a group; its members are records",
}

#: Why a row is parked → (in plain words, what to do next).
PARKED = {
    "no_value": (
        "It is live, but holds no value and has no members: there is nothing to show.",
        "Ask the hospital to fill in or void this row in OpenMRS. It is read again by itself then.",
    ),
    "encounter_of_another_patient": (
        "It hangs on an encounter of another patient, so it is not certain whom it is about.",
        "Ask the hospital which patient is meant, and to move or void the row. Until then nobody sees it.",
    ),
    "unreadable": (
        "It could not be read because of a fault in Patient Passport.",
        "Report the worker's log, which names table and row. After an upgrade press “Replay”.",
    ),
}

#: Patients at a hospital, each in the first that fits.
PERSONS = {
    "voided": "voided at the hospital",
    "unlinked": "not the same human as our patient: somebody decided so",
    "held": "held: something contradicts, and a human must decide",
    "linked": "linked to a passport",
    "without_national_id": "without a usable National ID there",
    "unmatched": "with a National ID that no passport has",
}


def parked_reason(word: str) -> tuple[str, str]:
    """(in plain words, what to do next)."""
    return PARKED.get(word, (word.replace("_", " "), "Report it, with the name of this reason."))


def link_reason(word: str) -> str:
    return LINK_REASONS.get(word, word.replace("_", " "))


def error_kind(word: str) -> str:
    return ERROR_KINDS.get(word, word.replace("_", " "))


def duration(seconds: float | None) -> str:
    """`75` → `1 minute`: the largest whole unit. None: `never`."""
    if seconds is None:
        return "never"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"


def about(seconds: float) -> str:
    """`about 2 minutes`, `less than a minute`: for what is to come."""
    text = duration(seconds)
    return text if text.startswith("less") else f"about {text}"


def cost(*, n_rows: int, seconds: float) -> str:
    """What reading cost the hospital's server: `48,213 rows, 3.2 s`."""
    return f"{n_rows:,} rows, {seconds:.1f} s"
