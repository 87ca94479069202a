"""How a login comes to be. Used by the command and by admin; no refusal repeats a number or a password."""

import datetime as dt
import re
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from passport import passwords, upward
from passport.audit import record_event
from passport.models import Patient, User
from passport.models.accounts import Role
from passport.registration import find_patient, fits_pattern, normalise_national_id

#: A username of so many digits and nothing else is somebody's number, registered or not.
DIGITS_OF_A_NUMBER = 8


class AccountRefused(ValueError):
    """The account cannot be made as asked. The message ends in the next step."""


class RoleIncomplete(ValueError):
    """The arguments do not fit the role: a mistake of the caller, not of what is stored."""


def create_account(
    *,
    username: str,
    role: Role,
    password: str,
    actor: User | None,
    now: dt.datetime,
    hospital_code: str | None = None,
    national_id: str | None = None,
) -> User:
    """Make a login with a role. A doctor belongs to a hospital; a patient's login opens one patient's record.

    Raises RoleIncomplete, AccountRefused.
    """
    _check_role(role, hospital_code=hospital_code, national_id=national_id)
    patient = _patient(national_id) if national_id is not None else None
    user = User(
        username=username,
        role=role,
        is_staff=role == Role.ADMIN,
        is_superuser=role == Role.ADMIN,
        hospital_id=_hospital_id(hospital_code) if hospital_code else None,
    )
    _check_new_username(user)
    _check_password(user, password)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            if patient is not None:
                _give(patient, user)
            record_event(
                action="account_created",
                actor=actor,
                now=now,
                patient_id=patient.pk if patient else None,
                hospital_id=user.hospital_id,
                details={"account": user.pk, "role": role.value},
            )
    except IntegrityError:
        raise AccountRefused("There is an account with this username already. Choose another.") from None
    return user


def _check_role(role: Role, *, hospital_code: str | None, national_id: str | None) -> None:
    if (role == Role.DOCTOR) != (hospital_code is not None):
        raise RoleIncomplete("A doctor belongs to a hospital, and nobody else does: give --hospital to doctors.")
    if (role == Role.PATIENT) != (national_id is not None):
        raise RoleIncomplete(
            "A patient's account belongs to a National ID, and no other: give --national-id to patients."
        )


def _patient(national_id: str) -> Patient:
    patient = find_patient(national_id=national_id)
    if patient is None:
        raise AccountRefused("No patient is registered with this National ID. Register them first.")
    if patient.user_id is not None:
        raise AccountRefused("This patient has an account already. Change its password instead.")
    return patient


def _hospital_id(code: str) -> UUID:
    known = upward.hospitals().filter(code=code) if code.isascii() else upward.hospitals().none()
    found: UUID | None = known.values_list("pk", flat=True).first()
    if found is None:
        raise AccountRefused("There is no hospital with this code. See the list in admin.")
    return found


def check_username(username: str) -> None:
    """Usernames stand in clear in many places, so a National ID is never one. Raises AccountRefused."""
    number = normalise_national_id(username) or ""
    looks_like_one = re.fullmatch(rf"[0-9]{{{DIGITS_OF_A_NUMBER},}}", number)
    fits = settings.NATIONAL_ID_PATTERN and fits_pattern(number)
    if looks_like_one or fits or find_patient(national_id=username):
        raise AccountRefused("The username looks like a National ID. Choose another: patients may log in with both.")


def _check_new_username(user: User) -> None:
    try:
        user.clean_fields(exclude={"password", "role", "hospital"})
    except ValidationError:
        raise AccountRefused(
            "The username must have 1 to 150 letters, digits and @/./+/-/_ only. Choose another."
        ) from None
    check_username(user.username)
    if User.objects.filter(username=user.username).exists():
        raise AccountRefused("There is an account with this username already. Choose another.")


def _check_password(user: User, password: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in password):
        raise AccountRefused("The password is not UTF-8. Send it as UTF-8.")
    try:
        passwords.check(password, user=user)
    except passwords.PasswordRefused as error:
        raise AccountRefused(str(error)) from None


def _give(patient: Patient, user: User) -> None:
    """One account per patient, also when two are made at once."""
    if not Patient.objects.filter(pk=patient.pk, user__isnull=True).update(user=user):
        raise AccountRefused("This patient has an account already. Change its password instead.")
