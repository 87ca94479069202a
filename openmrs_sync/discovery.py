"""Who at the hospital carries a number that leads to a passport holder.

Read afresh at every look: there is no mark that could be wrong, and late, corrected and moved numbers are found at
once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from openmrs_sync import queries
from openmrs_sync.rows import Fetch, IdentifierRow

PAGE = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """All live identifiers of the chosen types, as far as they lead to passport holders.

    `patients`: person → the patients that its numbers lead to (one, as a rule).
    `crowded_persons`: those whose number stands on `crowd` or more persons here.
    `numbered`: persons with any usable number, passport holder or not; only kept when asked for.
    """

    n_identifiers: int
    patients: Mapping[int, Sequence[UUID]]
    crowded_persons: frozenset[int]
    numbered: frozenset[int]


def take_census(
    fetch: Fetch,
    *,
    identifier_type_ids: Sequence[int],
    holders: Mapping[str, UUID],
    normalise: Callable[[str], str | None],
    crowd: int,
    with_numbered: bool,
) -> Census:
    """Read every live identifier of these types, in pages by primary key.

    `holders`: normalised number → patient, placeholders left out.  Source: OpenMRS table `patient_identifier`.
    """
    n_identifiers, after = 0, -1
    found: dict[int, set[UUID]] = {}
    persons_of: dict[str, set[int]] = {}
    numbered: set[int] = set()
    while True:
        page = fetch(queries.live_identifiers(identifier_type_ids), (after, PAGE))
        for _, person_id, identifier in page:
            number = normalise(identifier)
            if number is None:
                continue
            if with_numbered:
                numbered.add(person_id)
            if (patient_id := holders.get(number)) is not None:
                found.setdefault(person_id, set()).add(patient_id)
                persons_of.setdefault(number, set()).add(person_id)
        n_identifiers += len(page)
        if len(page) < PAGE:
            break
        after = page[-1][0]
    crowded = {person_id for persons in persons_of.values() if len(persons) >= crowd for person_id in persons}
    return Census(
        n_identifiers=n_identifiers,
        patients={person_id: sorted(patients) for person_id, patients in found.items()},
        crowded_persons=frozenset(crowded),
        numbered=frozenset(numbered),
    )


def patients_of(
    identifiers: Sequence[IdentifierRow], *, holders: Mapping[str, UUID], normalise: Callable[[str], str | None]
) -> dict[int, list[UUID]]:
    """The same for a few persons whose identifiers were read in a snapshot: person → patients."""
    found: dict[int, set[UUID]] = {}
    for row in identifiers:
        number = normalise(row.identifier)
        if number is not None and (patient_id := holders.get(number)) is not None:
            found.setdefault(row.person_id, set()).add(patient_id)
    return {person_id: sorted(patients) for person_id, patients in found.items()}
