"""Who at the hospital carries a number that leads to a passport holder.

Read afresh at every look: there is no mark that could be wrong, and late, corrected and moved numbers are found at
once.
"""

import hashlib
import marshal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from openmrs_sync import queries
from openmrs_sync.rows import Fetch, IdentifierRow

PAGE = 50_000

#: (its own id, person, the identifier as typed) of a live identifier of a chosen type
Row = tuple[int, int, str]
#: Of these normalised numbers, those of passport holders → the patient; placeholders left out.
HoldersOf = Callable[[Collection[str]], Mapping[str, UUID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """How many live identifiers of the chosen types there are, and a hash of all of them.

    `digest`: 128 bits over every row's own id, person and identifier, in order. Two readings with one digest are one
    reading: among a thousand million of them two different ones would share it with a chance of 1 in 10**20.
    """

    n: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """All live identifiers of the chosen types, as far as they lead to passport holders.

    `n_identifiers`, `digest`: as of `Identifiers`.
    `patients`: person → the patients that its numbers lead to (one, as a rule).
    `crowded_persons`: those whose number stands on `crowd` or more persons here.
    `numbered`: persons with any usable number, passport holder or not; only kept when asked for.
    """

    n_identifiers: int
    digest: bytes
    patients: Mapping[int, Sequence[UUID]]
    crowded_persons: frozenset[int]
    numbered: frozenset[int]


class _Digest:
    """Takes in page after page. In C alone: nothing here is done row by row."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._n = 0

    def add(self, page: list[Any]) -> None:
        # Format 2 has no references: equal rows give equal bytes.
        self._hash.update(marshal.dumps(page, 2))
        self._n += len(page)

    def done(self) -> Identifiers:
        return Identifiers(n=self._n, digest=self._hash.digest())


def read_identifiers(fetch: Fetch, *, identifier_type_ids: Sequence[int]) -> Identifiers:
    """Read them all and keep nothing but the hash: whether anything moved since another reading."""
    digest = _Digest()
    for page in _pages(fetch, identifier_type_ids):
        digest.add(page)
    return digest.done()


def take_census(
    fetch: Fetch,
    *,
    identifier_type_ids: Sequence[int],
    holders_of: HoldersOf,
    normalise: Callable[[str], str | None],
    crowd: int,
    with_numbered: bool,
) -> Census:
    """Read every live identifier of these types, in pages by primary key, and ask of each page who holds its numbers:
    however many passports there are in the country, only this hospital's are looked up.

    Source: OpenMRS table `patient_identifier`.
    """
    digest = _Digest()
    found: dict[int, set[UUID]] = {}
    persons_of: dict[str, set[int]] = {}
    numbered: set[int] = set()
    for page in _pages(fetch, identifier_type_ids):
        digest.add(page)
        numbers = [(person_id, number) for _, person_id, text in page if (number := normalise(text)) is not None]
        if with_numbered:
            numbered.update(person_id for person_id, _ in numbers)
        holders = holders_of({number for _, number in numbers})
        for person_id, number in numbers:
            if (patient_id := holders.get(number)) is not None:
                found.setdefault(person_id, set()).add(patient_id)
                persons_of.setdefault(number, set()).add(person_id)
    crowded = {person_id for persons in persons_of.values() if len(persons) >= crowd for person_id in persons}
    read = digest.done()
    return Census(
        n_identifiers=read.n,
        digest=read.digest,
        patients={person_id: sorted(patients) for person_id, patients in found.items()},
        crowded_persons=frozenset(crowded),
        numbered=frozenset(numbered),
    )


def _pages(fetch: Fetch, identifier_type_ids: Sequence[int]) -> Iterator[list[Row]]:
    after = -1
    while True:
        page = fetch(queries.live_identifiers(identifier_type_ids), (after, PAGE))
        yield page
        if len(page) < PAGE:
            break
        after = page[-1][0]


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
