"""Stable words of the engine as people read them. Nothing here holds a name or a value."""

#: `Link.reason` → why.
LINK_REASONS = {
    "national_id": "the National ID leads here, and nothing speaks against it",
    "sex_differs": "one of the two is recorded as male, the other as female",
    "birth_year_differs": "the birth years are too far apart",
    "crowded_number": "this National ID stands on five or more persons of the hospital",
    "two_patients": "the person's numbers lead to two patients",
    "decided_same": "a human decided: the same human",
    "decided_different": "a human decided: not the same human",
    "decision_undone": "a decision was undone; the next look at the hospital judges again",
    "no_number": "the number no longer leads to this patient",
    "person_gone": "the hospital has deleted this person from its database",
    "source_replaced": "the hospital's database was replaced",
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
