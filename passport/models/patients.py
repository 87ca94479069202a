"""Passport holders and their numbers."""

import uuid

from django.db import models


class Sex(models.TextChoices):
    MALE = "M", "male"
    FEMALE = "F", "female"
    OTHER = "O", "other"
    UNKNOWN = "U", "not known"


class Patient(models.Model):
    """Someone who holds a passport. Comes to be in `registration.register_patient` only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    given_name = models.CharField(max_length=100, blank=True)
    family_name = models.CharField(max_length=100, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex.choices, default=Sex.UNKNOWN)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=30, blank=True)
    user = models.OneToOneField(
        "passport.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="patient"
    )
    created_at = models.DateTimeField()
    died_on = models.DateField(null=True, blank=True)
    merged_into = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="merged_from",
        help_text="The passport of the same person that took over this one's numbers and links.",
    )

    def __str__(self) -> str:
        # Not the name: this text ends up in logs and in the admin's own history.
        return f"Patient {self.id}"

    @property
    def full_name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


class PatientIdentifier(models.Model):
    """A patient's National ID, normalised by `registration.normalise_national_id`. One number, one patient."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="identifiers")
    number = models.CharField(max_length=50, unique=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Identifier {self.id}"


class PlaceholderNumber(models.Model):
    """A number that stands for "no number" at some hospital, normalised; refused at registration."""

    number = models.CharField(max_length=50, unique=True)

    def __str__(self) -> str:
        # Not the number: this lands in the admin's own history, and somebody may hold it after all.
        return f"placeholder number {self.pk}"
