"""How a patient takes their passport: National ID, birth date and a code from the hospital's desk, then a password.

The desk sees the person; the code stands for that. It is shown once, kept as a hash, good for `DESK_CODE_HOURS` and for
five tries, and used once. The same code opens a passport whose password is forgotten. A number that nobody has, a wrong
birth date and a wrong code cost the same work and get the same answer.
"""

import datetime as dt
import secrets
import uuid
from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F

from passport import attempts, passwords, standing
from passport.audit import record_event
from passport.models import Consent, OneTimeCode, Patient, User
from passport.models.accounts import Role
from passport.registration import find_patient, normalise_national_id

#: Without 0 O 1 I L: the code is read aloud and written by hand. 31 letters, eight of them: 8 · 10^11 codes.
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
N_LETTERS = 8
MAX_TRIES = 5
WINDOW = dt.timedelta(hours=1)
MAX_PER_NUMBER = 10
MAX_PER_ADDRESS = 40


class CodeNotIssued(ValueError):
    """No code can be made for this patient. The message ends in the next step."""


class ClaimRefused(Exception):
    """Number, birth date and code do not fit together, or the code is used up. Which of them is not said."""


class TooManyClaims(ClaimRefused):
    """Too many tries for this number or from this address; nothing was looked at."""


# --- at the desk ------------------------------------------------------------------------------------------------------


@transaction.atomic
def issue_code(*, patient: Patient, actor: User, now: dt.datetime) -> str:
    """A fresh code, to be told to the patient; codes of before are good no more. Raises CodeNotIssued."""
    if patient.merged_into_id is not None or patient.died_on is not None:
        raise CodeNotIssued("This passport is closed. Open the one that took it over, or correct the death.")
    if patient.birth_date is None:
        raise CodeNotIssued("The birth date is not known. Enter it first: the patient is asked for it.")
    if patient.user is not None and not patient.user.is_active:
        raise CodeNotIssued("The account of this passport is closed. Open it first, in the list of accounts.")
    code = "".join(secrets.choice(ALPHABET) for _ in range(N_LETTERS))
    open_codes = OneTimeCode.objects.filter(patient=patient, used_at__isnull=True)
    n_replaced = open_codes.update(used_at=now)
    made = OneTimeCode.objects.create(
        patient=patient,
        code_hash=make_password(code),
        issued_by=actor,
        created_at=now,
        expires_at=now + dt.timedelta(hours=settings.DESK_CODE_HOURS),
    )
    record_event(
        action="desk_code_issued",
        actor=actor,
        now=now,
        patient_id=patient.pk,
        details={"code": made.pk, "replaced": n_replaced},
    )
    return f"{code[:4]}-{code[4:]}"


# --- on the page ------------------------------------------------------------------------------------------------------


def prove(*, national_id: str, birth_date: dt.date, code: str, address: str, now: dt.datetime) -> OneTimeCode:
    """The code that this is; it is not yet used up. Raises TooManyClaims, ClaimRefused, both audited.

    The work is the same whatever is wrong: two counts, the patient, the code, one hash, one audit row.
    """
    if not attempts.take(_limits(national_id=national_id, address=address), now=now):
        record_event(action="claim_refused", actor=None, now=now, basis="throttled")
        raise TooManyClaims
    patient = find_patient(national_id=national_id if normalise_national_id(national_id) else "---nobody---")
    open_codes = OneTimeCode.objects.filter(used_at__isnull=True, expires_at__gt=now, n_tries__lt=MAX_TRIES)
    found = open_codes.filter(patient_id=patient.pk if patient else uuid.uuid4()).order_by("-created_at").first()
    # taken before it is looked at: many guesses at once share the five
    is_tried = bool(open_codes.filter(pk=found.pk if found else uuid.uuid4()).update(n_tries=F("n_tries") + 1))
    nobodys = _nobodys_hash(settings.PASSWORD_HASHERS[0])  # in any case: a process makes it at its first claim
    is_code = check_password(plain(code), found.code_hash if found else nobodys)
    is_right = is_code and is_tried and patient is not None and patient.birth_date == birth_date
    record_event(
        action="claim_proved" if is_right else "claim_refused",
        actor=None,
        now=now,
        patient_id=patient.pk if patient else None,
        basis="" if is_right else "refused",
    )
    if not is_right or found is None:
        raise ClaimRefused
    return found


def plain(code: str) -> str:
    """As it was made: however it was written down."""
    return "".join(char for char in code.upper() if char.isalnum())


def open_code(*, code_id: uuid.UUID, now: dt.datetime) -> OneTimeCode | None:
    """The proved code, if it is still good."""
    codes = OneTimeCode.objects.select_related("patient__user")
    return codes.filter(pk=code_id, used_at__isnull=True, expires_at__gt=now).first()


@transaction.atomic
def take(*, code_id: uuid.UUID, password: str, now: dt.datetime, consents: bool = False) -> User:
    """Use the code up: the passport's account, new or of before, has this password. One of many at once wins.

    Raises ClaimRefused, PasswordRefused (the code stays good).
    """
    mine = OneTimeCode.objects.filter(pk=code_id, used_at__isnull=True, expires_at__gt=now)
    if not mine.update(used_at=now):
        raise ClaimRefused
    # locked: an admin may be merging or closing it now
    patient_id = OneTimeCode.objects.values_list("patient_id", flat=True).get(pk=code_id)
    patient = Patient.objects.select_for_update(of=("self",)).get(pk=patient_id)
    account = patient.user
    if patient.merged_into_id is not None or patient.died_on is not None or (account and not account.is_active):
        raise ClaimRefused
    if account is None:
        account = _make_account(patient, password=password, now=now)
    else:
        passwords.set_new(user=account, password=password, actor=account, why="desk_code", now=now)
    if consents and not standing.has_consent(patient):
        standing.record_consent(patient=patient, how=Consent.How.ONLINE, actor=account, now=now)
    record_event(
        action="passport_claimed",
        actor=account,
        now=now,
        patient_id=patient.pk,
        details={"account": account.pk, "code": code_id},
    )
    return account


def _make_account(patient: Patient, *, password: str, now: dt.datetime) -> User:
    # not made of the name or number: usernames stand in clear in many places
    account = User(username=f"p-{secrets.token_hex(6)}", role=Role.PATIENT)
    account.patient = patient  # what the password must not be is known by it
    passwords.check(password, user=account)
    account.set_password(password)
    account.save(force_insert=True)
    patient.save(update_fields=["user"])
    record_event(
        action="account_created",
        actor=account,
        now=now,
        patient_id=patient.pk,
        details={"account": account.pk, "role": Role.PATIENT.value},
    )
    return account


def _limits(*, national_id: str, address: str) -> Sequence[attempts.Limit]:
    number = normalise_national_id(national_id) or national_id.strip()
    return (
        attempts.limit(kind="claim-number", subject=number, most=MAX_PER_NUMBER, window=WINDOW),
        attempts.limit(kind="claim-address", subject=attempts.network(address), most=MAX_PER_ADDRESS, window=WINDOW),
    )


@lru_cache(maxsize=2)
def _nobodys_hash(_hasher: str) -> str:
    """Of no code: checking against it costs what a real check costs."""
    return make_password(secrets.token_hex(8))
