"""How a passport stands: what its holder agreed to, which passports are one person's, which desk codes are out."""

import uuid

from django.db import models


class Consent(models.Model):
    """That the holder agreed to a passport: when, told to whom, how; and when they took it back."""

    class How(models.TextChoices):
        PAPER = "paper", "signed on paper"
        SPOKEN = "spoken", "spoken, before a witness"
        ONLINE = "online", "on the web page"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey("passport.Patient", on_delete=models.CASCADE, related_name="consents")
    how = models.CharField(max_length=10, choices=How.choices)
    given_at = models.DateTimeField()
    recorded_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        "passport.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient"],
                condition=models.Q(withdrawn_at__isnull=True),
                name="passport_consent_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"Consent {self.id}"


class OneTimeCode(models.Model):
    """A code from the hospital's desk with which a patient takes their passport. Kept as a hash, used once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey("passport.Patient", on_delete=models.CASCADE, related_name="one_time_codes")
    code_hash = models.CharField(max_length=128)
    issued_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    n_tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"One-time code {self.id}"


class Merge(models.Model):
    """Two passports were one person's. `moved` holds what is needed to put everything back: ids and states only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kept = models.ForeignKey("passport.Patient", on_delete=models.CASCADE, related_name="+")
    merged = models.ForeignKey("passport.Patient", on_delete=models.CASCADE, related_name="+")
    moved = models.JSONField(default=dict)
    merged_at = models.DateTimeField()
    merged_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey("passport.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merged"], condition=models.Q(undone_at__isnull=True), name="passport_merge_one_open"
            )
        ]

    def __str__(self) -> str:
        return f"Merge {self.id}"
