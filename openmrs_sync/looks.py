"""One look at a hospital: the census becomes links, the watch becomes marks. What was seen is saved with the marks."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from hospitals.models import Location
from openmrs_sync import anchors, brake, discovery, identity, links, queries, reader, stillness, watcher
from openmrs_sync.errors import SourceWentQuiet
from openmrs_sync.matcher import CROWD
from openmrs_sync.models import Watermark
from openmrs_sync.rows import CHUNK, Head, chunks
from openmrs_sync.session import Session
from openmrs_sync.stores import conflict_target
from passport.models.links import LinkState
from passport.registration import normalise_national_id, placeholder_numbers

DEEP_EVERY = timedelta(minutes=15)
#: Of so many persons at once the fingerprints are in memory: a kilobyte each.
FINGERPRINTS = 4 * CHUNK


def look(session: Session, *, deep: bool | None, now: datetime, with_voids: bool = False) -> None:
    """Find out who is a passport holder here and who may have changed.

    Raises SourceReplaced, SourceWentQuiet, WouldErase, ClaimLost.

    `deep`: None means when a quarter of an hour has passed since the last deep look.
    `with_voids`: obs that were voided or un-voided are looked for even when the look is not deep.
    """
    deep_at = session.watermark.deep_at
    is_deep = deep if deep is not None else deep_at is None or not now - DEEP_EVERY < deep_at <= now
    # before the census: in another hospital's database nobody has our patients' numbers, and every link would end
    anchors.check(session.source.fetch, anchors=session.watermark.anchors)
    placeholders = placeholder_numbers()
    ours = stillness.our_side(
        hospital=session.hospital, identifier_type_ids=session.identifier_type_ids, placeholders=placeholders
    )
    kept = None if is_deep else _kept_census(session, ours=ours)
    census = kept or _take_census(session, placeholders=placeholders, with_numbered=is_deep)
    seen = watcher.look(session.source.fetch, schema=session.schema, heads=_heads(session.watermark))
    if seen.is_quiet or _has_lost_all_numbers(session, census=census):
        raise SourceWentQuiet(
            "The hospital answered, but there was nothing to read where there used to be something. "
            "Nothing was changed. Check with the hospital's DBA that the account may still SELECT, "
            "and that the database is whole."
        )
    session.crowded_persons = census.crowded_persons
    settled = _settle(session, census=census, is_kept=kept is not None, now=now)
    session.is_still = kept is not None and settled.is_as_it_was
    found: dict[str, Any] = {"heads": _as_json(seen.heads), "n_identifiers": census.n_identifiers}
    if not kept:
        found["still"] = stillness.keep(census, ours=ours, judged=settled.judged) if settled.is_as_it_was else {}
        found["still"]["types"] = sorted(session.identifier_type_ids)
    if is_deep:
        found |= _look_deeper(session, census=census, persons=seen.persons, now=now)
    elif with_voids and ("obs", "voided_by") in session.schema.indexes:
        revoided, voided_obs = _look_at_voids(session)
        seen.persons.update(revoided)
        found["voided_obs"] = voided_obs
    session.claim.renew()
    with transaction.atomic():
        links.mark_persons(hospital=session.hospital, person_ids=seen.persons, now=now)
        Watermark.objects.filter(pk=session.hospital.pk).update(**found)


def _has_lost_all_numbers(session: Session, *, census: discovery.Census) -> bool:
    """No identifier where there were some, and not because an admin chose other types since."""
    types = sorted(session.identifier_type_ids)
    is_lost = census.n_identifiers == 0 and session.watermark.n_identifiers > 0
    return is_lost and session.watermark.still.get("types", types) == types


def _kept_census(session: Session, *, ours: bytes | None) -> discovery.Census | None:
    """The last census, of which nothing has moved; None when it must be taken."""
    if ours is None or "of" not in session.watermark.still:
        return None
    read = discovery.read_identifiers(session.source.fetch, identifier_type_ids=session.identifier_type_ids)
    return stillness.recall(session.watermark.still, ours=ours, identifiers=read)


def _take_census(session: Session, *, placeholders: Collection[str], with_numbered: bool) -> discovery.Census:
    return discovery.take_census(
        session.source.fetch,
        identifier_type_ids=session.identifier_type_ids,
        holders_of=identity.holders_of,
        normalise=_without(placeholders),
        crowd=CROWD,
        with_numbered=with_numbered,
    )


def _without(placeholders: Collection[str]) -> Callable[[str], str | None]:
    """Normalises; a placeholder on the admin's list counts as no number, as one repeated character does."""

    def normalise(text: str) -> str | None:
        number = normalise_national_id(text)
        return None if number in placeholders else number

    return normalise


def _heads(watermark: Watermark) -> dict[str, Head]:
    return {table: Head(mark=head["mark"], window=dict(head["window"])) for table, head in watermark.heads.items()}


def _as_json(heads: dict[str, Head]) -> dict[str, Any]:
    return {
        table: {"mark": head.mark, "window": [list(entry) for entry in head.window.items()]}
        for table, head in heads.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """`judged`: the persons whose link might have been another one. `is_as_it_was`: none is."""

    judged: Sequence[int]
    is_as_it_was: bool


def _settle(session: Session, *, census: discovery.Census, is_kept: bool, now: datetime) -> _Settled:
    """Make the links what the census and the matcher say. Ending many at once is what the brake is for.

    `is_kept`: of a kept census only those who are judged are compared; all others are as they were.
    """
    whose = census.patients if is_kept else None
    known = identity.known(session.hospital) if whose is None else identity.known_of(session.hospital, person_ids=whose)
    judged = identity.to_judge(census=census.patients, crowded=census.crowded_persons, links=known)
    n_changed = 0
    for part in chunks(judged):
        persons, _ = reader.read_identity(
            session.source.fetch, session.schema, person_ids=part, identifier_type_ids=session.identifier_type_ids
        )
        matches = identity.judge(
            hospital=session.hospital,
            persons=persons,
            patients=census.patients,
            crowded=census.crowded_persons,
        )
        n_changed += identity.settle(hospital=session.hospital, persons=persons, matches=matches, links=known, now=now)
        # who is linked is read again, and ends then; nobody reads who is held
        gone = [known[one].pk for one in part if one not in persons and one in known and known[one].is_held]
        n_changed += links.end(link_ids=gone, reason="person_gone", now=now)
    ending = identity.to_end(census=census.patients, links=known)
    losses = brake.Losses(n_gone=0, n_ended=sum(link.state == LinkState.LINKED for link in ending))
    brake.check(hospital=session.hospital, losses=losses, now=now)
    with transaction.atomic():  # a crash must not leave links that ended and that the brake never counted
        links.end(link_ids=[link.pk for link in ending], reason="no_number", now=now)
        brake.note(hospital=session.hospital, losses=losses, now=now)
    return _Settled(judged=judged, is_as_it_was=not n_changed and not ending)


# --- the deep look ----------------------------------------------------------------------------------------------------


def _look_deeper(session: Session, *, census: discovery.Census, persons: set[int], now: datetime) -> dict[str, Any]:
    """Add to `persons` whoever changed without leaving a new row; return what to remember."""
    fetch, tables, watermark = session.source.fetch, session.schema, session.watermark
    fresh = links.linked(session.hospital).exclude(refreshed_at=None).values_list("person_id", "fingerprint")
    for part in chunks(fresh.iterator(chunk_size=FINGERPRINTS), FINGERPRINTS):
        persons |= watcher.changed_fingerprints(fetch, schema=tables, fingerprints=dict(part))
    session.claim.renew()
    revoided, voided_obs = _look_at_voids(session)
    stamped, stamps = watcher.stamped(fetch, schema=tables, since=watermark.stamps)
    persons |= revoided | stamped
    session.claim.renew()
    hashes = watcher.hash_dictionaries(fetch, schema=tables)
    old = watcher.unpack(bytes(watermark.dictionaries) if watermark.dictionaries else None)
    users = watcher.users_of_changed_entries(
        fetch,
        schema=tables,
        before=old,
        now=hashes,
        linked=lambda: links.linked(session.hospital).values_list("person_id", flat=True),
    )
    if users is None:
        links.mark_all(hospital=session.hospital, now=now)
    else:
        persons |= users
    if hashes.get("location") != old.get("location"):
        _store_locations(session)
    return {
        "voided_obs": voided_obs,
        "stamps": stamps,
        "dictionaries": watcher.pack(hashes),
        "persons": _count_persons(session, census=census),
        "deep_at": now,
    }


def _look_at_voids(session: Session) -> tuple[set[int], bytes]:
    """Whoever has an obs that was voided or un-voided since the last such look, and what to remember."""
    stored = session.watermark.voided_obs
    before = bytes(stored) if stored is not None else None
    return watcher.voided_obs(session.source.fetch, schema=session.schema, before=before)


def _store_locations(session: Session) -> None:
    """The hospital's sites, as its OpenMRS has them."""
    fields = ["uuid", "name", "parent_location_id", "is_retired"]
    sites = [
        Location(
            hospital=session.hospital,
            location_id=location_id,
            uuid=uuid or "",
            name=name or "",
            parent_location_id=parent,
            is_retired=bool(is_retired),
        )
        for location_id, uuid, name, parent, is_retired in session.source.fetch(queries.all_locations(), ())
    ]
    Location.objects.filter(hospital=session.hospital).exclude(
        location_id__in=[site.location_id for site in sites]
    ).delete()
    Location.objects.bulk_create(
        sites,
        update_conflicts=True,
        unique_fields=conflict_target("hospital", "location_id"),
        update_fields=fields,
        batch_size=100,
    )


def _count_persons(session: Session, *, census: discovery.Census) -> dict[str, int]:
    """Each patient there in the first that fits: voided, unlinked, held, linked, without_national_id, unmatched."""
    fetch = session.source.fetch
    n_patients, voided = watcher.count_patients(fetch), watcher.voided_patients(fetch)
    of_links = links.current(session.hospital).exclude(state=LinkState.ENDED).values_list("person_id", "state")
    open_links = dict(of_links.iterator(chunk_size=FINGERPRINTS))
    states = Counter(state for person_id, state in open_links.items() if person_id not in voided)
    unmatched = len(census.numbered - voided - open_links.keys())
    counted = {"voided": len(voided)} | {
        state: states[state] for state in (LinkState.UNLINKED, LinkState.HELD, LinkState.LINKED)
    }
    without = n_patients - sum(counted.values()) - unmatched
    return {**counted, "without_national_id": without, "unmatched": unmatched}
