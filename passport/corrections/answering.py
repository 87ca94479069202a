"""What the hospital's records officer says, and the sheet by which they find the rows."""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from passport.access import AccessRefused
from passport.audit import record_event
from passport.corrections import OPEN, State
from passport.models import CorrectionRequest, User
from passport.sheets import sheet

#: What an officer may make of one.
OUTCOMES = (State.ANSWERED, State.DECLINED)
LONGEST_ANSWER = 500
SHORTEST_ANSWER = 5
HEADER = (
    "request", "hospital", "table", "row_id", "row_uuid", "reason", "words", "asked_at_utc", "state", "answer",
)  # fmt: skip


def check_answer(*, request: CorrectionRequest, outcome: str, words: str) -> None:
    """Raises AccessRefused for what `answer` would refuse."""
    if request.state not in OPEN:
        raise AccessRefused("This request is over. Nothing more is said to it.")
    if outcome not in OUTCOMES:
        raise AccessRefused("Choose whether it is answered or declined.", field="state")
    if len(" ".join(words.split())) < SHORTEST_ANSWER:
        raise AccessRefused("Write a sentence that the patient will read.", field="answer")
    if len(words) > LONGEST_ANSWER:
        raise AccessRefused("Say it in 500 characters or fewer.", field="answer")


@transaction.atomic
def answer(*, request: CorrectionRequest, actor: User | None, outcome: str, words: str, now: dt.datetime) -> None:
    """Answer or decline it, with words to the patient. Raises AccessRefused, also when it is over by now."""
    current = CorrectionRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
    check_answer(request=current, outcome=outcome, words=words)
    CorrectionRequest.objects.filter(pk=request.pk).update(
        state=outcome, state_at=now, answer=" ".join(words.split()), answered_by=actor, mail_at=None
    )
    record_event(
        action=f"correction_{outcome}",
        actor=actor,
        now=now,
        patient_id=request.patient_id,
        hospital_id=request.hospital_id,
        details={"correction": request.pk},
    )


@transaction.atomic
def export(*, requests: Iterable[CorrectionRequest], actor: User | None, now: dt.datetime) -> str:
    """The sheet for the hospital, oldest first. Neither name nor National ID: the hospital knows whose row it is.

    Whoever takes it is told: what waited to be sent is sent. One audit row for each hospital.
    """
    found = sorted(requests, key=lambda each: (each.hospital.code, each.asked_at))
    told = [each.pk for each in found if each.state == State.ASKED]
    waiting = CorrectionRequest.objects.filter(pk__in=told, state=State.ASKED)
    waiting.update(state=State.SENT, state_at=now, mail_at=None)
    for hospital_id, n_requests in _counted(found).items():
        record_event(
            action="corrections_exported",
            actor=actor,
            now=now,
            hospital_id=hospital_id,
            details={"n_requests": n_requests},
        )
    return sheet(header=HEADER, rows=(_row(each, is_told=each.pk in set(told)) for each in found))


def _counted(requests: Iterable[CorrectionRequest]) -> dict[UUID, int]:
    counted: dict[UUID, int] = {}
    for each in requests:
        counted[each.hospital_id] = counted.get(each.hospital_id, 0) + 1
    return counted


def _row(request: CorrectionRequest, *, is_told: bool) -> list[object]:
    return [
        request.pk,
        request.hospital.code,
        request.table,
        request.source_id,
        "" if "/" in request.source_uuid else request.source_uuid,
        CorrectionRequest.Reason(request.reason).label,
        request.words,
        f"{request.asked_at.astimezone(dt.UTC):%Y-%m-%d %H:%M}",
        State(State.SENT if is_told else request.state).label,
        request.answer,
    ]
