"""Who at the hospital carries a number that leads to a passport holder.

Read afresh at every look: there is no mark that could be wrong, and late, corrected and moved numbers are found at
once.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    """All live identifiers of the chosen types, in three numbers: whether any of them moved since another reading.

    `forwards`, `backwards`: sums of CRC32 of each row's own id, person and text, in the two orders. A change of up to
    four neighbouring characters always changes them; that any other one, or several at once, leave both as they were
    has a chance of about 1 in 2**64. A deep look reads all rows whatever the sums are.
    """

    n: int
    forwards: int
    backwards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """All live identifiers of the chosen types, as far as they lead to passport holders.

    `identifiers`: of the very rows that were read.
    `patients`: person → the patients that its numbers lead to (one, as a rule).
    `crowded_persons`: those whose number stands on `crowd` or more persons here.
    `numbered`: persons with any usable number, passport holder or not; only kept when asked for.
    """

    identifiers: Identifiers
    patients: Mapping[int, Sequence[UUID]]
    crowded_persons: frozenset[int]
    numbered: frozenset[int]

    @property
    def n_identifiers(self) -> int:
        return self.identifiers.n


def read_identifiers(fetch: Fetch, *, identifier_type_ids: Sequence[int]) -> Identifiers:
    """What the source itself says of them, in pages by primary key. Source: OpenMRS table `patient_identifier`."""
    pages: list[Identifiers] = []
    start: int | None = 0
    while start is not None:
        end = start + PAGE
        found = fetch(queries.identifier_sums(identifier_type_ids), (end, start, end))
        ((start, n, forwards, backwards),) = found
        pages.append(Identifiers(n=n, forwards=int(forwards or 0), backwards=int(backwards or 0)))
    return _together(pages)


def _together(pages: Sequence[Identifiers]) -> Identifiers:
    return Identifiers(
        n=sum(page.n for page in pages),
        forwards=sum(page.forwards for page in pages),
        backwards=sum(page.backwards for page in pages),
    )


def _sum_up(page: Sequence[Row]) -> Identifiers:
    """The same of rows that were read."""
    return Identifiers(
        n=len(page),
        forwards=sum(zlib.crc32(f"{own}|{person}|{text}".encode()) for own, person, text in page),
        backwards=sum(zlib.crc32(f"{text}|{person}|{own}".encode()) for own, person, text in page),
    )


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
    pages: list[Identifiers] = []
    found: dict[int, set[UUID]] = {}
    persons_of: dict[str, set[int]] = {}
    numbered: set[int] = set()
    for page in _pages(fetch, identifier_type_ids):
        pages.append(_sum_up(page))
        numbers = [(person_id, number) for _, person_id, text in page if (number := normalise(text)) is not None]
        if with_numbered:
            numbered.update(person_id for person_id, _ in numbers)
        holders = holders_of({number for _, number in numbers})
        for person_id, number in numbers:
            if (patient_id := holders.get(number)) is not None:
                found.setdefault(person_id, set()).add(patient_id)
                persons_of.setdefault(number, set()).add(person_id)
    crowded = {person_id for persons in persons_of.values() if len(persons) >= crowd for person_id in persons}
    return Census(
        identifiers=_together(pages),
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
