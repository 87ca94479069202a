"""sync-patient: ask every hospital at once, and answer in time whoever is slow."""

import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connections

from hospitals.models import Hospital, HospitalState
from openmrs_sync import pipeline
from passport.models import Patient, User

#: The contract allows 20 s for the whole answer. The engine is told less, so that it can end a batch and say so.
WAIT_SECONDS = 17.0
ENGINE_SECONDS = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalAnswer:
    """What one hospital said; counts as in `sync --json`."""

    hospital: str
    status: str
    n_created: int = 0
    n_updated: int = 0
    n_withdrawn: int = 0
    n_unchanged: int = 0
    n_parked: int = 0
    n_excluded: int = 0

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)

    def uncounted(self) -> "HospitalAnswer":
        """For one who may not see everything: a count would tell that something was left out."""
        return HospitalAnswer(hospital=self.hospital, status=self.status)

    def untold(self) -> "HospitalAnswer":
        """For a doctor without access: `held` would tell that somebody with this number holds a passport."""
        return replace(self, status="not_found") if self.status == "held" else self


def hospitals_to_ask(*, user: User, may_read: bool) -> list[Hospital]:
    """All that are live or paused; for a doctor without access to the patient only their own."""
    if not may_read:
        return [user.hospital] if user.hospital else []
    return list(Hospital.objects.filter(state__in=[HospitalState.LIVE, HospitalState.PAUSED]).order_by("number"))


def refresh_everywhere(
    *,
    patient: Patient | None,
    hospitals: Iterable[Hospital],
    now: datetime,
    hidden: Container[UUID] = (),
    tell: Callable[[HospitalAnswer], None] | None = None,
) -> list[HospitalAnswer]:
    """Ask these hospitals side by side; who does not answer in time is `unreachable`.

    `patient` None: a number that nobody holds; the same is done for it. `hidden`: hospitals that the patient keeps from
    the one who asks; they answer as if they did not know the number. `tell` is called with each answer as it comes, by
    that hospital's thread.
    """
    until = time.monotonic() + ENGINE_SECONDS
    answers: dict[str, HospitalAnswer] = {}

    def ask(hospital: Hospital) -> None:
        try:
            # Nobody is looked for just the same: whoever asks learns from no answer, and from no waiting for it.
            sought = patient if patient and hospital.pk not in hidden else Patient()
            answers[hospital.code] = _refresh(hospital=hospital, patient=sought, now=now, until=until)
        except Exception:  # noqa: BLE001 - the thread's entry point; the engine has logged what it knows
            answers[hospital.code] = HospitalAnswer(hospital=hospital.code, status="failed")
        finally:
            if tell:
                tell(answers[hospital.code])
            connections.close_all()  # of this thread

    asked = list(hospitals)
    # Daemons: one that hangs in a dead connection must not hold up the end of the process.
    threads = [threading.Thread(target=ask, args=(h,), daemon=True) for h in asked if h.is_live]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + WAIT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [
        answers.get(h.code) or HospitalAnswer(hospital=h.code, status="unreachable" if h.is_live else "disabled")
        for h in asked
    ]


def _refresh(*, hospital: Hospital, patient: Patient, now: datetime, until: float) -> HospitalAnswer:
    found = pipeline.refresh_patient(hospital=hospital, patient=patient, now=now, until=until)
    return HospitalAnswer(
        hospital=hospital.code,
        status=found.status,
        n_created=found.n_created,
        n_updated=found.n_updated,
        n_withdrawn=found.n_withdrawn,
        n_unchanged=found.n_unchanged,
        n_parked=found.n_parked,
        n_excluded=found.n_excluded,
    )
