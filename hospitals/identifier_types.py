"""Which of a hospital's identifier types hold the National ID: from what the admin typed to uuids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hospitals.errors import HospitalMisconfigured
from hospitals.models import Hospital


class FoundType(Protocol):
    """A row of OpenMRS' `patient_identifier_type`, as whoever read it keeps it."""

    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def is_retired(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTypes:
    """`uuids` as the source writes them, in the admin's order, each once; `hints` are sentences."""

    uuids: tuple[str, ...]
    hints: tuple[str, ...]


def resolve_identifier_types(*, hospital: Hospital, types: Sequence[FoundType]) -> ResolvedTypes:
    """Return the uuids of the types that hold the National ID, and remember what a name was resolved to.

    A name unchanged since it was resolved keeps its uuid, whatever the hospital calls that type now: else a type
    renamed there would lead to other people. Raises HospitalMisconfigured when none is chosen, or one cannot be found
    or is ambiguous; then nothing is stored. A retired type counts, with a hint.
    """
    if not hospital.national_id_types:
        raise HospitalMisconfigured(
            "No identifier type is chosen. Choose the type that holds the National ID in the hospital's settings."
        )
    known: dict[str, str] = hospital.national_id_type_uuids
    found = {given: _find(given, known.get(given), types) for given in hospital.national_id_types}
    resolved = {given: one.uuid for given, one in found.items()}
    if resolved != known:
        _remember(hospital, resolved)
    hints = tuple(
        f"The identifier type '{one.name}' is retired at the hospital. It counts; choose another if it is not meant."
        for one in found.values()
        if one.is_retired
    )
    return ResolvedTypes(uuids=tuple(dict.fromkeys(resolved.values())), hints=hints)


def _find(given: str, known_uuid: str | None, types: Sequence[FoundType]) -> FoundType:
    wanted = _plain(known_uuid or given)
    by_uuid = [one for one in types if _plain(one.uuid) == wanted]
    if by_uuid:
        return by_uuid[0]
    if known_uuid:
        raise HospitalMisconfigured(
            f"The identifier type '{given}' was removed at the hospital. Test the connection and choose the type again."
        )
    by_name = [one for one in types if _plain(one.name) == wanted]
    candidates = [one for one in by_name if not one.is_retired] or by_name
    if not candidates:
        raise HospitalMisconfigured(
            f"The hospital has no identifier type '{given}'. Test the connection and choose one of the types it lists."
        )
    if len(candidates) > 1:
        raise HospitalMisconfigured(
            f"The hospital has several identifier types '{given}'. Test the connection and choose one by its uuid."
        )
    return candidates[0]


def _plain(text: str) -> str:
    return text.strip().casefold()


def _remember(hospital: Hospital, resolved: dict[str, str]) -> None:
    # Not if the settings moved since they were read: what was resolved is then the answer to an old question.
    n_rows = Hospital.objects.filter(pk=hospital.pk, config_version=hospital.config_version).update(
        national_id_type_uuids=resolved
    )
    if n_rows:
        hospital.national_id_type_uuids = resolved
