"""Breaking the glass: a doctor without another right, a reason, an hour. The patient is told, an officer reviews it.

An unknown number is treated as a known one to the last: the same row, audit row, page and limit. Only the record that
then opens, or does not, tells them apart; whoever asked has by then left a reason that somebody reads.
"""

import datetime as dt
import logging
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext, override

from passport import letters
from passport.access.shapes import NOBODY, REFUSED, AccessRefused, NotAllowed
from passport.audit import record_event
from passport.models import EmergencyAccess, Patient, User
from passport.registration import find_patient

LASTS = dt.timedelta(minutes=60)
SHORTEST_REASON = 15
#: Different letters that a reason must have: fifteen full stops say nothing.
FEWEST_LETTERS = 5
#: Of one doctor in a day. A mass casualty has more, and an admin who can be called; a list of numbers has many more.
MOST_A_DAY = 20

log = logging.getLogger(__name__)


def break_glass(
    *, user: User, reason: str, now: dt.datetime, national_id: str | None = None, patient_id: UUID | None = None
) -> EmergencyAccess:
    """Open the record of this number, or of this id, to this doctor for an hour; if anybody holds it.

    The answer does not tell whether anybody does. Raises NotAllowed for whoever is no active doctor; AccessRefused for
    a reason that says nothing, and for too many in a day. Refusals are committed first: not inside a transaction.
    """
    if (national_id is None) == (patient_id is None):
        raise TypeError("Give either national_id or patient_id.")
    said = " ".join(reason.split())
    if len(said) < SHORTEST_REASON or len({char for char in said.casefold() if char.isalnum()}) < FEWEST_LETTERS:
        raise AccessRefused(gettext("Say what the emergency is, in 15 characters or more."), field="reason")
    with transaction.atomic(durable=True):
        refusal = _refusal(user, now=now)
        if refusal is None:
            return _open(user, said, _patient(national_id, patient_id), now=now)
        record_event(action="break_glass_refused", actor=user, now=now, hospital_id=user.hospital_id, basis=REFUSED)
    raise refusal


def _refusal(user: User, *, now: dt.datetime) -> NotAllowed | AccessRefused | None:
    if not (user.is_active and user.is_doctor):
        return NotAllowed()
    today = EmergencyAccess.objects.filter(doctor=user, created_at__gt=now - dt.timedelta(days=1))
    if today.count() >= MOST_A_DAY:
        return AccessRefused(
            gettext("You have opened very many records in an emergency today. Call the administrator.")
        )
    return None


def _patient(national_id: str | None, patient_id: UUID | None) -> Patient | None:
    if national_id is not None:
        return find_patient(national_id=national_id)
    return Patient.objects.filter(pk=patient_id or NOBODY).first()


def _open(user: User, reason: str, patient: Patient | None, *, now: dt.datetime) -> EmergencyAccess:
    emergency = EmergencyAccess.objects.create(
        doctor=user,
        hospital_id=user.hospital_id,
        patient=patient,
        reason=reason[:1000],
        created_at=now,
        ends_at=now + LASTS,
    )
    record_event(
        action="break_glass_opened",
        actor=user,
        now=now,
        patient_id=patient.pk if patient else None,
        hospital_id=user.hospital_id,
        basis="break_glass",
        # The reason is not here: it may hold a name, and what is in the chain stays there.
        details={"emergency": emergency.pk},
    )
    return emergency


def own_emergency(*, user: User, emergency_id: UUID, now: dt.datetime) -> EmergencyAccess | None:
    """One that this doctor opened and that is not over."""
    return EmergencyAccess.objects.filter(pk=emergency_id, doctor=user, ends_at__gt=now).first()


# --- the patient is told ----------------------------------------------------------------------------------------------


#: The patient has not said that they have read it, or not since it was reviewed.
UNREAD = Q(seen_at__isnull=True) | Q(reviewed_at__gt=F("seen_at"))


def unseen_by(patient: Patient) -> list[EmergencyAccess]:
    """What the patient's pages tell until they say that they have read it: the emergency, later what a review found."""
    found = EmergencyAccess.objects.filter(UNREAD, patient=patient)
    return list(found.select_related("doctor", "hospital").order_by("-created_at"))


def of(patient: Patient) -> list[EmergencyAccess]:
    """All of them, the last first: the patient sees who, when and why for as long as the passport lasts."""
    found = EmergencyAccess.objects.filter(patient=patient)
    return list(found.select_related("doctor", "hospital").order_by("-created_at"))


def is_read(emergency: EmergencyAccess) -> bool:
    """Whether `unseen_by` leaves it out."""
    seen_at, reviewed_at = emergency.seen_at, emergency.reviewed_at
    return seen_at is not None and (reviewed_at is None or reviewed_at <= seen_at)


def mark_seen(*, patient: Patient, actor: User, emergency_id: UUID, outcome: str, now: dt.datetime) -> bool:
    """The patient has read of it, with this outcome (empty: not reviewed yet). False where another stands there now."""
    if outcome not in ("", *EmergencyAccess.Outcome.values):
        return False
    with transaction.atomic():
        # Reviewed since the page was made: what the patient has not seen, they have not read.
        unseen = EmergencyAccess.objects.filter(UNREAD, pk=emergency_id, patient=patient, outcome=outcome)
        if not unseen.update(seen_at=now):
            return False
        record_event(
            action="break_glass_seen", actor=actor, now=now, patient_id=patient.pk, details={"emergency": emergency_id}
        )
    return True


def is_anyone_to_tell(*, now: dt.datetime) -> bool:
    """Whether `tell_by_mail` has something to do; never where no mail server was named."""
    return letters.can_send() and _waiting(now=now).exists()


def _waiting(*, now: dt.datetime) -> QuerySet[EmergencyAccess]:
    """Emergencies of the last week whose patient has an address and was not written to."""
    recent = EmergencyAccess.objects.filter(mailed_at__isnull=True, created_at__gt=now - dt.timedelta(days=7))
    return recent.filter(patient__isnull=False).exclude(patient__email="")


def tell_by_mail(*, now: dt.datetime) -> int:
    """Mail to every patient with an address whose record was opened in an emergency of the last week; how many.

    Without health content, without the name of anybody or of a hospital: mail is read by others. Not in the request
    that broke the glass, which must take as long for an unknown number. What fails is tried again at the next call.
    """
    n_sent = 0
    for emergency in _waiting(now=now).select_related("patient__user").order_by("created_at")[:100]:
        # Taken before it is sent: of two workers one sends.
        mine = EmergencyAccess.objects.filter(pk=emergency.pk, mailed_at__isnull=True)
        if emergency.patient is None or not mine.update(mailed_at=now):
            continue
        try:
            _mail(emergency.patient)
        except OSError as error:  # smtplib's errors are OSErrors
            EmergencyAccess.objects.filter(pk=emergency.pk).update(mailed_at=None)
            log.warning("emergency notice not sent id=%s error=%s", emergency.pk, type(error).__name__)
        else:
            n_sent += 1
    return n_sent


def _mail(patient: Patient) -> None:
    language = getattr(patient.user, "language", "") or settings.LANGUAGE_CODE
    with override(language):
        send_mail(
            gettext("Your Patient Passport was opened in an emergency"),
            gettext(
                "A doctor opened your record and said that it was an emergency. Log in to see who it was, when and "
                "why. If this was not right, tell the data protection officer of your health authority.\n\n"
                "This message contains no health information, and no link: type the address you know."
            ),
            None,
            [patient.email],
        )


# --- the review -------------------------------------------------------------------------------------------------------


def review(*, emergency: EmergencyAccess, actor: User, outcome: str, note: str, now: dt.datetime) -> None:
    """What the data protection officer made of it. Nobody reviews what they did themselves. Raises AccessRefused.

    The patient reads the outcome, and again when it becomes another; not the note, which may change without a word.
    """
    check_review(emergency=emergency, actor=actor, outcome=outcome)
    with transaction.atomic():
        reviewed = EmergencyAccess.objects.filter(pk=emergency.pk)
        reviewed.update(review_note=note.strip()[:1000])
        reviewed.exclude(outcome=outcome).update(outcome=outcome, reviewed_by=actor, reviewed_at=now)
        record_event(
            action="break_glass_reviewed",
            actor=actor,
            now=now,
            patient_id=emergency.patient_id,
            hospital_id=emergency.hospital_id,
            basis=outcome,
            details={"emergency": emergency.pk},
        )


def check_review(*, emergency: EmergencyAccess, actor: User | None, outcome: str) -> None:
    """Raises AccessRefused for what `review` would refuse."""
    if actor is None or emergency.doctor_id == actor.pk:
        raise AccessRefused("You cannot review your own emergency. Ask another officer.")
    if outcome not in EmergencyAccess.Outcome.values:
        raise AccessRefused("Choose an outcome.", field="outcome")
