"""Links and their marks: who may have changed, who is due next, what a human decided.

A mark says "this person may have changed at the source". Marks are counted, never a flag: one that is set while a
refresh runs is kept (`Link.marks`, `Link.fresh_marks`).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from hospitals.models import Hospital
from openmrs_sync.models import Claim, ParkedRow
from openmrs_sync.rows import chunks
from openmrs_sync.stores import record_store
from passport import audit, standing
from passport.models import Link, LinkDecision, Patient, User
from passport.models.links import LinkState

#: Links that one run reads again for their parked rows' sake: however many there are, live rows do not wait for them.
RETRIES = 200
#: A failed person waits this long, doubling up to the longest.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=12)


def current(hospital: Hospital) -> QuerySet[Link]:
    """The links of this hospital's present epoch."""
    return Link.objects.filter(hospital=hospital, epoch=hospital.epoch)


def linked(hospital: Hospital) -> QuerySet[Link]:
    return current(hospital).filter(state=LinkState.LINKED)


def end(*, link_ids: Sequence[UUID], reason: str, now: datetime) -> int:
    """The number no longer leads to the patient: hidden from this commit on."""
    n_ended = 0
    for part in chunks(link_ids):
        open_ones = Link.objects.filter(pk__in=part, state__in=[LinkState.LINKED, LinkState.HELD])
        n_ended += open_ones.update(state=LinkState.ENDED, reason=reason, state_changed_at=now, marks=F("marks") + 1)
    return n_ended


def hidden_until_read() -> Combinable:
    """`min_token` of a link that is linked now and was not, or not to this patient.

    What is stored of it may be long out of date: it is shown when this run or a later one has read it.
    """
    return _token(plus=0)


def _token(*, plus: int) -> Combinable:
    """The present token of the hospital's claim, and so many more."""
    token = Claim.objects.filter(pk=OuterRef("hospital_id")).values("token")[:1]
    return Coalesce(Subquery(token) + plus, F("min_token"))


# --- marks ------------------------------------------------------------------------------------------------------------


def mark(links: QuerySet[Link], *, now: datetime, urgent: bool = False) -> int:
    """Say that these persons may have changed; returns how many links were marked."""
    more = {"is_urgent": True, "next_try_at": None} if urgent else {}
    return links.update(marks=F("marks") + 1, stale_since=Coalesce("stale_since", now), **more)


def mark_persons(*, hospital: Hospital, person_ids: Iterable[int], now: datetime) -> int:
    return sum(mark(linked(hospital).filter(person_id__in=part), now=now) for part in chunks(set(person_ids)))


def mark_all(*, hospital: Hospital, now: datetime) -> int:
    return mark(linked(hospital), now=now)


def mark_patient(*, patient: Patient, now: datetime, hospital: Hospital | None = None, urgent: bool = True) -> int:
    mine = Link.objects.filter(patient=patient, state=LinkState.LINKED)
    return mark(mine.filter(hospital=hospital) if hospital else mine, now=now, urgent=urgent)


# --- who is due -------------------------------------------------------------------------------------------------------


def stale(hospital: Hospital) -> Q:
    """Marked since it was read, or read under other settings, or never read."""
    return ~Q(marks=F("fresh_marks")) | ~Q(fresh_config_version=hospital.config_version) | Q(refreshed_at__isnull=True)


def due(*, hospital: Hospital, now: datetime, ignore_waits: bool = False) -> list[UUID]:
    """The links to refresh now, in the one order: urgent first, then by the moment since when they are due.

    A moment in the future (our clock was wrong when it was written) makes nothing immortal: it counts as due.
    """
    swept_before = now - timedelta(hours=hospital.sweep_hours)
    is_due = stale(hospital) | Q(refreshed_at__lte=swept_before) | Q(refreshed_at__gt=now + timedelta(minutes=1))
    may_be_tried = Q(next_try_at__isnull=True) | Q(next_try_at__lte=now) | Q(next_try_at__gt=now + 2 * LONGEST_WAIT)
    found = linked(hospital).filter(is_due)
    if not ignore_waits:
        found = found.filter(may_be_tried)
    order = found.order_by(F("is_urgent").desc(), Coalesce("stale_since", "refreshed_at", "created_at"), "person_id")
    return list(order.values_list("pk", flat=True))


def retries(*, hospital: Hospital, now: datetime, without: Collection[UUID]) -> list[UUID]:
    """Links whose parked rows' next try has come, longest waiting first; at most RETRIES. For after those of `due`.

    A next try further away than any that we set (our clock was wrong) counts as come, as does one never set.
    """
    is_come = Q(next_try_at__isnull=True) | Q(next_try_at__lte=now) | Q(next_try_at__gt=now + 4 * LONGEST_WAIT)
    waiting = ParkedRow.objects.filter(is_come, hospital=hospital, link__in=linked(hospital))
    due_before = set(without)
    ordered = waiting.order_by(F("next_try_at").asc(nulls_first=True), "pk").values_list("link", flat=True)
    found = dict.fromkeys(link_id for link_id in ordered[: 50 * RETRIES] if link_id not in due_before)
    return list(found)[:RETRIES]


def note_inflight(*, link_ids: Collection[UUID], token: int) -> None:
    """Say that records of these links are about to be written. The balance takes it back where a link is still linked;
    on any other link it tells the janitor that something may lie there, and on any link the next claim that an earlier
    one may still be writing.
    """
    if record_store().has_late_writers:
        _take_over(link_ids=link_ids, token=token)
    for part in chunks(link_ids):
        Link.objects.filter(pk__in=part).update(inflight=token)


def _take_over(*, link_ids: Collection[UUID], token: int) -> None:
    """Shut out the earlier claims that were writing these links: from now on nothing that they write has an effect."""
    store = record_store()
    for part in chunks(link_ids):
        mine = Link.objects.filter(pk__in=part)
        late = list(mine.exclude(inflight__in=[0, token]).values_list("pk", flat=True))
        if late:
            # in this order: reads would miss records that are not seized yet
            store.seize(late, token=token)
            Link.objects.filter(pk__in=late, min_token__lt=token).update(min_token=token)
        store.drop_late(dict(mine.filter(min_token__gt=0).values_list("pk", "min_token")))


def wait(*, link_id: UUID, now: datetime) -> None:
    """A failed person waits by itself, so that the others go on; it stays stale, listed and counted."""
    link = Link.objects.only("n_failures").get(pk=link_id)
    pause = min(FIRST_WAIT * 2 ** min(link.n_failures, 10), LONGEST_WAIT)
    Link.objects.filter(pk=link_id).update(n_failures=F("n_failures") + 1, next_try_at=now + pause, is_urgent=False)


# --- what a human decides ---------------------------------------------------------------------------------------------


@transaction.atomic
def decide(
    *, link: Link, verdict: str, actor: User, now: datetime, note: str = "", patient_id: UUID | None = None
) -> LinkDecision:
    """Say that this person is, or is not, that patient. Remembered, can be undone, takes effect in this commit.

    `verdict`: "same" | "different". `patient_id`: which of the candidates is meant; the link's patient when left out.
    A passport that was merged stands for the one that took it over: a held link names it until it is judged again.
    """
    chosen = standing.who_took_over(patient_id or link.patient_id)
    link = Link.objects.select_related("hospital").get(pk=link.pk)
    decision = LinkDecision.objects.create(
        hospital=link.hospital,
        person_uuid=link.person_uuid,
        patient_id=chosen,
        verdict=LinkDecision.Verdict(verdict),
        note=note,
        decided_by=actor,
        decided_at=now,
    )
    state = LinkState.LINKED if verdict == LinkDecision.Verdict.SAME else LinkState.UNLINKED
    is_left = verdict == LinkDecision.Verdict.DIFFERENT and chosen != link.patient_id
    if not is_left:
        # with other candidates left the next look judges again; until then nothing is shown
        others = [candidate for candidate in link.candidates if candidate != str(chosen)]
        is_open = state == LinkState.UNLINKED and bool(others)
        is_shown = link.state == LinkState.LINKED and chosen == link.patient_id
        # a run that is under way may have read it before this word: the next one has a greater token
        least = F("min_token") if is_shown else _token(plus=1)
        Link.objects.filter(pk=link.pk).update(
            min_token=least,
            patient_id=others[0] if is_open else chosen,
            state=LinkState.HELD if is_open else state,
            reason=f"decided_{verdict}",
            state_changed_at=now,
            marks=F("marks") + 1,
            stale_since=now,
            is_urgent=True,
            next_try_at=None,
        )
    audit.record_event(
        action=f"link_decided_{verdict}",
        actor=actor,
        now=now,
        patient_id=chosen,
        hospital_id=link.hospital_id,
        details={"link": str(link.pk), "decision": decision.pk},
    )
    return decision


@transaction.atomic
def undo_decision(*, decision: LinkDecision, actor: User, now: datetime) -> int:
    """Forget a decision. What it had decided is held until the next look judges again: nothing is shown."""
    n_undone = LinkDecision.objects.filter(pk=decision.pk, undone_at=None).update(undone_at=now)
    if not n_undone:
        return 0
    Link.objects.filter(hospital_id=decision.hospital_id, person_uuid=decision.person_uuid).exclude(
        state=LinkState.ENDED
    ).update(
        state=LinkState.HELD,
        reason="decision_undone",
        candidates=[str(decision.patient_id)],
        state_changed_at=now,
        marks=F("marks") + 1,
        stale_since=now,
    )
    audit.record_event(
        action="link_decision_undone",
        actor=actor,
        now=now,
        patient_id=decision.patient_id,
        hospital_id=decision.hospital_id,
        details={"decision": decision.pk},
    )
    return n_undone
