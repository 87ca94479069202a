"""The census becomes links: who at this hospital is which passport holder.

Between discovery, which reads, and the matcher, which judges. A link changes only by a guarded update, so a decision
that an admin makes at the same moment wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from hospitals.models import Hospital
from openmrs_sync import bulk, matcher
from openmrs_sync import links as link_marks
from openmrs_sync.rows import PersonRow, chunks
from passport.models import Link, LinkDecision, Patient, PatientIdentifier
from passport.models.links import LinkState
from passport.registration import placeholder_numbers

# --- who holds a passport ---------------------------------------------------------------------------------------------


def holders_of(numbers: Iterable[str]) -> dict[str, UUID]:
    """Normalised numbers of passport holders, placeholders left out → the patient, as it is at this moment.

    Only these numbers are looked up, in parts: how many passports there are does not matter.
    """
    without, found = placeholder_numbers(), dict[str, UUID]()
    for part in chunks(set(numbers) - without):
        found.update(PatientIdentifier.objects.filter(number__in=part).values_list("number", "patient_id"))
    return found


def patient_facts(patient_ids: Iterable[UUID]) -> dict[UUID, matcher.PatientFacts]:
    found: dict[UUID, matcher.PatientFacts] = {}
    for part in chunks(set(patient_ids)):
        for patient_id, sex, birth_date in Patient.objects.filter(pk__in=part).values_list("pk", "sex", "birth_date"):
            found[patient_id] = matcher.PatientFacts(patient_id=patient_id, sex=sex, birth_date=birth_date)
    return found


def decisions(*, hospital: Hospital, person_uuids: Iterable[str]) -> dict[str, dict[UUID, str]]:
    """What humans said of these persons: uuid → patient → "same" | "different". The latest word counts."""
    found: dict[str, dict[UUID, str]] = {}
    for part in chunks(set(person_uuids)):
        rows = LinkDecision.objects.filter(hospital=hospital, person_uuid__in=part, undone_at=None)
        for uuid, patient_id, verdict in rows.order_by("pk").values_list("person_uuid", "patient_id", "verdict"):
            of_person = found.setdefault(uuid, {})
            of_person.pop(patient_id, None)  # the latest word comes last
            of_person[patient_id] = verdict
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The matcher's word on a few persons: person → verdict, None when their numbers lead to nobody."""

    verdicts: Mapping[int, matcher.Verdict | None]


def judge(
    *,
    hospital: Hospital,
    persons: Mapping[int, PersonRow],
    patients: Mapping[int, Sequence[UUID]],
    crowded: frozenset[int],
) -> Matches:
    """Run the matcher over these persons. `patients`: person → the patients that its numbers lead to; of more persons
    than these, perhaps of the whole hospital.
    """
    facts = patient_facts(patient_id for person_id in persons for patient_id in patients.get(person_id, ()))
    uuids = {uuid for person in persons.values() for uuid in (person.uuid, *person.merged_uuids)}
    decided = decisions(hospital=hospital, person_uuids=uuids)
    verdicts: dict[int, matcher.Verdict | None] = {}
    for person_id, person in persons.items():
        verdicts[person_id] = matcher.match(
            person=matcher.PersonFacts(
                sex=person.sex, birth_date=person.birth_date, is_birth_date_estimated=person.is_birth_date_estimated
            ),
            patients=[facts[patient_id] for patient_id in patients.get(person_id, ()) if patient_id in facts],
            is_crowded=person_id in crowded,
            decisions=decided.get(person.uuid, {}),
            told_apart={
                patient_id
                for uuid in person.merged_uuids
                for patient_id, verdict in decided.get(uuid, {}).items()
                if verdict == LinkDecision.Verdict.DIFFERENT
            },
        )
    return Matches(verdicts=verdicts)


# --- the census becomes links -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLink:
    """The part of a link that a census is compared with."""

    pk: UUID
    person_id: int
    person_uuid: str
    patient_id: UUID
    state: str

    @property
    def is_held(self) -> bool:
        return self.state == LinkState.HELD


def known(hospital: Hospital) -> dict[int, KnownLink]:
    """Every link of the hospital, by person."""
    return _known(link_marks.current(hospital))


def known_of(hospital: Hospital, *, person_ids: Iterable[int]) -> dict[int, KnownLink]:
    """The same of these persons alone."""
    found: dict[int, KnownLink] = {}
    for part in chunks(set(person_ids)):
        found |= _known(link_marks.current(hospital).filter(person_id__in=part))
    return found


def _known(links: QuerySet[Link]) -> dict[int, KnownLink]:
    rows = links.values_list("pk", "person_id", "person_uuid", "patient_id", "state")
    return {
        person_id: KnownLink(pk=pk, person_id=person_id, person_uuid=uuid, patient_id=patient_id, state=state)
        for pk, person_id, uuid, patient_id, state in rows.iterator(chunk_size=10_000)
    }


def to_judge(
    *, census: Mapping[int, Sequence[UUID]], crowded: frozenset[int], links: Mapping[int, KnownLink]
) -> list[int]:
    """The persons whose link may be another one than today. Who was told apart too: what was said of them may have gone
    with another passport by now.
    """
    return [
        person_id
        for person_id, patients in census.items()
        if (link := links.get(person_id)) is None
        or link.state != LinkState.LINKED
        or person_id in crowded
        or len(patients) != 1
        or patients[0] != link.patient_id
    ]


def to_end(*, census: Mapping[int, Sequence[UUID]], links: Mapping[int, KnownLink]) -> list[KnownLink]:
    """Links whose person's numbers lead to nobody any more."""
    open_states = {LinkState.LINKED, LinkState.HELD}
    return [link for person_id, link in links.items() if person_id not in census and link.state in open_states]


def settle(
    *,
    hospital: Hospital,
    persons: Mapping[int, PersonRow],
    matches: Matches,
    links: Mapping[int, KnownLink],
    now: datetime,
) -> int:
    """Make the links of these persons what the matcher says; returns how many changed."""
    n_changed = 0
    fresh: list[Mapping[str, Any]] = []
    held_still: dict[UUID, matcher.Verdict] = {}
    for person_id, person in persons.items():
        verdict, link = matches.verdicts.get(person_id), links.get(person_id)
        if verdict is None:
            if link is not None and link.state in {LinkState.LINKED, LinkState.HELD}:
                n_changed += link_marks.end(link_ids=[link.pk], reason="no_number", now=now)
        elif link is None:
            fresh.append(_new_link(hospital=hospital, person=person, verdict=verdict, now=now))
        elif n := _change(link=link, person=person, verdict=verdict, now=now):
            n_changed += n
        elif (link.state, link.patient_id) == (verdict.state, verdict.patient_id) and link.is_held:
            held_still[link.pk] = verdict
    _say_why(held_still)
    bulk.insert(Link, fresh, ignore_conflicts=True)
    return n_changed + len(fresh)


def _new_link(*, hospital: Hospital, person: PersonRow, verdict: matcher.Verdict, now: datetime) -> Mapping[str, Any]:
    return {
        "hospital_id": hospital.pk,
        "epoch": hospital.epoch,
        "person_id": person.person_id,
        "person_uuid": person.uuid,
        "patient_id": verdict.patient_id,
        "state": verdict.state,
        "reason": verdict.reason,
        "candidates": [str(candidate) for candidate in verdict.candidates],
        "is_voided": person.is_voided,
        "created_at": now,
        "state_changed_at": now,
        "stale_since": now,
    }


def _change(*, link: KnownLink, person: PersonRow, verdict: matcher.Verdict, now: datetime) -> int:
    """Guarded by what we read: a decision made in the meantime wins, and the next look judges again."""
    is_same = (link.state, link.patient_id, link.person_uuid) == (verdict.state, verdict.patient_id, person.uuid)
    if is_same:
        return 0
    shown_from = {"min_token": link_marks.hidden_until_read()} if verdict.state == LinkState.LINKED else {}
    return Link.objects.filter(pk=link.pk, state=link.state, patient_id=link.patient_id).update(
        **shown_from,
        state=verdict.state,
        reason=verdict.reason,
        patient_id=verdict.patient_id,
        candidates=[str(candidate) for candidate in verdict.candidates],
        person_uuid=person.uuid,
        is_voided=person.is_voided,
        state_changed_at=now,
        marks=F("marks") + 1,
        stale_since=Coalesce("stale_since", now),
        next_try_at=None,
    )


def _say_why(verdicts: Mapping[UUID, matcher.Verdict]) -> None:
    """Who is held still may be so for another reason by now, or between others: whoever decides is told of those."""
    for part in chunks(verdicts):
        links = Link.objects.filter(pk__in=part, state=LinkState.HELD)
        for pk, reason, candidates in links.values_list("pk", "reason", "candidates"):
            why, between = verdicts[pk].reason, [str(candidate) for candidate in verdicts[pk].candidates]
            if (reason, candidates) != (why, between):
                Link.objects.filter(pk=pk, state=LinkState.HELD, reason=reason).update(reason=why, candidates=between)
