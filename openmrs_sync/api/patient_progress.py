"""A fresh read that a page asked for: begun here, gone on with in the background, looked at until all have answered.

How far it is stands in the cache, which all processes share, for a few minutes: codes of hospitals and what they said,
under our own ids.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.db import connections
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync.api.patient_refresh import HospitalAnswer, hospitals_to_ask, refresh_everywhere
from passport.access import Opened
from passport.audit import record_event
from passport.models import User

#: Somebody who asks again within it gets the answers of the read that is under way.
TAKES = timedelta(seconds=20)
KEPT_SECONDS = 10 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`answers`: by the hospital's code, in the order in which they are listed; None: it has not answered yet."""

    at: datetime
    answers: Mapping[str, HospitalAnswer | None]

    @property
    def is_under_way(self) -> bool:
        return None in self.answers.values()


def ask(*, user: User, opened: Opened, now: datetime) -> threading.Thread | None:
    """Ask every hospital about this patient, as sync-patient does; None when this user's last read is under way.

    The answers come within 20 seconds, whoever is slow. Both ends are written down.
    """
    name = _name(user.pk, opened.patient.pk)
    if not cache.add(f"{name}:lock", 1, TAKES.total_seconds()):
        return None
    hospitals = hospitals_to_ask(user=user, may_read=True)
    record_event(action="sync_patient", actor=user, now=now, patient_id=opened.patient.pk, basis=opened.basis)
    cache.delete_many([f"{name}:{hospital.code}" for hospital in hospitals])
    cache.set(name, (now, [hospital.code for hospital in hospitals]), KEPT_SECONDS)
    thread = threading.Thread(
        target=_ask, kwargs={"user": user, "opened": opened, "hospitals": hospitals, "now": now}, daemon=True
    )
    thread.start()
    return thread


def asked(*, user_id: UUID, patient_id: UUID, now: datetime) -> Asked | None:
    """How far the last read is that this user asked for; None when there is none to tell of."""
    name = _name(user_id, patient_id)
    found = cache.get(name)
    if found is None:
        return None
    at, codes = found
    answers = cache.get_many([f"{name}:{code}" for code in codes])
    # Whatever became of the process that asked: after this time nobody waits for it any more.
    late = now - at > TAKES
    return Asked(
        at=at,
        answers={
            code: answers.get(f"{name}:{code}")
            or (HospitalAnswer(hospital=code, status="unreachable") if late else None)
            for code in codes
        },
    )


def _ask(*, user: User, opened: Opened, hospitals: list[Hospital], now: datetime) -> None:
    name, scope = _name(user.pk, opened.patient.pk), opened.scope

    def shown(answer: HospitalAnswer) -> HospitalAnswer:
        return answer.uncounted() if scope.is_partial else answer

    def keep(answer: HospitalAnswer) -> None:
        cache.set(f"{name}:{answer.hospital}", shown(answer), KEPT_SECONDS)

    try:
        # Their own hospital a doctor may always ask: they work with its files.
        hidden = scope.left_out.hospitals - {user.hospital_id}
        answers = refresh_everywhere(patient=opened.patient, hospitals=hospitals, now=now, hidden=hidden, tell=keep)
        for answer in answers:
            keep(answer)
        details = {answer.hospital: shown(answer).as_dict() for answer in answers}
        record_event(
            action="sync_patient_done", actor=user, now=timezone.now(), patient_id=opened.patient.pk, details=details
        )
    finally:
        cache.delete(f"{name}:lock")
        connections.close_all()  # of this thread


def _name(user_id: UUID, patient_id: UUID) -> str:
    return f"fresh-read:{user_id}:{patient_id}"
