"""Whether anything moved since the last census. When nothing did, nobody is looked up, matched or compared again.

What a census comes to follows from five things, and each of them is compared with what it was then, by what the
databases say themselves; nobody has to remember to say that it moved:

    the identifiers at the hospital    summed up there, in pages (`discovery.Identifiers` says how sure that is)
    the rules                          the very text of the rooms that match, the chosen types, the placeholders
    who holds which number             ) the ids of `IdentityMove`, which the database writes by triggers in the commit
    who is linked to whom              ) that moves a number or a link, whoever makes it and by whatever way

Our side is read before the census is taken: what moves while it is taken is not in it, and the next look takes another.
Where one of the triggers is not in force nothing is believed to be still. Whoever is judged at every look (held, ended,
in a crowd, led to by two patients) is judged all the same. A deep look takes the census whatever is kept here.
"""

import hashlib
import inspect
import json
import sys
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from hospitals.models import Hospital
from openmrs_sync import discovery, identity, matcher
from openmrs_sync.discovery import Census, Identifiers
from passport import registration
from passport.models import IdentityMove

#: Triggers of passport's migration 0022.
TRIGGERS = tuple(f"passport_{thing}_{word}" for thing in ("number", "link") for word in ("added", "changed", "gone"))
#: How many of them are in force, by vendor.
IN_FORCE = {
    "sqlite": "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (%s, %s, %s, %s, %s, %s)",
    "postgresql": (
        "SELECT COUNT(*) FROM pg_trigger WHERE tgenabled = 'O' AND tgname IN (%s, %s, %s, %s, %s, %s)"
        " AND tgrelid IN (to_regclass('passport_link'), to_regclass('passport_patientidentifier'))"
    ),
    "mysql": (
        "SELECT COUNT(*) FROM information_schema.triggers"
        " WHERE trigger_schema = DATABASE() AND trigger_name IN (%s, %s, %s, %s, %s, %s)"
    ),
}
#: Moves that are kept. More, and all but one new one go: every id is read at every look.
MOST_MOVES = 1_000


def our_side(*, hospital: Hospital, identifier_type_ids: Sequence[int], placeholders: Collection[str]) -> bytes | None:
    """A hash of all that a census comes to, but for what the hospital has; None when that cannot be known."""
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE[connection.vendor], TRIGGERS)
        if cursor.fetchone() != (len(TRIGGERS),):
            return None
    told = [_rules(), hospital.epoch, sorted(identifier_type_ids), sorted(placeholders), _moves(hospital)]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).digest()


def recall(still: Mapping[str, Any], *, ours: bytes | None, identifiers: Identifiers) -> Census | None:
    """The census that `still` was kept of, with those persons alone who are judged at every look; None when something
    moved since.
    """
    if ours is None or still.get("of") != _key(ours, identifiers):
        return None
    return Census(
        identifiers=identifiers,
        patients={person_id: [UUID(one) for one in patients] for person_id, patients in still["judged"]},
        crowded_persons=frozenset(still["crowded"]),
        numbered=frozenset(),
    )


def keep(census: Census, *, ours: bytes | None, judged: Iterable[int]) -> dict[str, Any]:
    """What to keep of a census after which no link changed. `ours`: from before it. `judged`: persons."""
    if ours is None:
        return {}
    return {
        "of": _key(ours, census.identifiers),
        "judged": [[person_id, [one.hex for one in census.patients[person_id]]] for person_id in judged],
        "crowded": sorted(census.crowded_persons),
    }


def _key(ours: bytes, theirs: Identifiers) -> str:
    return f"{ours.hex()} {theirs.n} {theirs.forwards} {theirs.backwards}"


@cache
def _rules() -> str:
    """By the text, not by a number that somebody would have to raise."""
    texts = [inspect.getsource(room) for room in (registration, discovery, identity, matcher, sys.modules[__name__])]
    said = "\n".join([*texts, unicodedata.unidata_version, sys.version])
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _moves(hospital: Hospital) -> list[int]:
    """The ids of all moves that matter to this hospital: none is ever used twice, so equal ids mean that none came."""
    found: list[int] = []
    for whose in (hospital.pk, None):
        moves = IdentityMove.objects.filter(hospital_id=whose).order_by("pk").values_list("pk", flat=True)
        if len(ids := list(moves[: MOST_MOVES + 1])) > MOST_MOVES:
            _shorten(hospital_id=whose)
            ids = list(moves)
        found += ids
    return found


@transaction.atomic
def _shorten(*, hospital_id: UUID | None) -> None:
    """Put one new move in the place of all that are there. A list of ids that was kept before cannot come back by that:
    the new id is in none of them.
    """
    newest = IdentityMove.objects.create(hospital_id=hospital_id)
    IdentityMove.objects.filter(hospital_id=hospital_id, pk__lt=newest.pk).delete()
