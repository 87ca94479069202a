"""Logins, and the doctors who sign the hospitals' rows."""

import unicodedata
import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.utils.crypto import salted_hmac


class Role(models.TextChoices):
    ADMIN = "admin", "admin"
    DOCTOR = "doctor", "doctor"
    PATIENT = "patient", "patient"


class AccountManager(UserManager["User"]):
    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        """`createsuperuser` makes an admin."""
        return super().create_superuser(username, email, password, **{"role": Role.ADMIN, **extra})


class User(AbstractUser):
    """A login with one role. The username is never a National ID: usernames are stored in clear in many places."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.PATIENT)
    hospital = models.ForeignKey(
        "hospitals.Hospital",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="staff",
        help_text="Where a doctor works. A doctor sees the patients of this hospital.",
    )

    phone = models.CharField(max_length=30, blank=True)
    language = models.CharField(max_length=10, blank=True, help_text="Of the pages; empty: the browser's.")
    login_stamp = models.CharField(
        max_length=32, blank=True, editable=False, help_text="Changed to end every session and token of the account."
    )

    objects: ClassVar[AccountManager] = AccountManager()

    class Meta:
        verbose_name = "account"
        constraints = [
            models.CheckConstraint(
                name="passport_user_doctor_has_hospital",
                condition=~models.Q(role="doctor") | models.Q(hospital__isnull=False),
                violation_error_message="A doctor belongs to a hospital.",
            )
        ]

    def set_password(self, raw_password: str | None) -> None:
        """One form of each character (NFKC), whichever keyboard it was typed on."""
        super().set_password(None if raw_password is None else unicodedata.normalize("NFKC", raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        return super().check_password(None if raw_password is None else unicodedata.normalize("NFKC", raw_password))

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """What sessions and tokens carry: another password ends them, and so does another stamp."""
        salt = "passport.User.session"
        return salted_hmac(salt, f"{self.password}:{self.login_stamp}", secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_doctor(self) -> bool:
        return self.role == Role.DOCTOR

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class Doctor(models.Model):
    """A provider at one hospital, as its OpenMRS names them. A placeholder until an account is linked to it.

    Source: OpenMRS table `provider`. The same provider_id at two hospitals is two doctors.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.PROTECT, related_name="doctors")
    provider_uuid = models.CharField(max_length=38)
    name = models.CharField(max_length=255)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="doctors")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hospital", "provider_uuid"], name="passport_doctor_provider")]

    def __str__(self) -> str:
        return self.name
