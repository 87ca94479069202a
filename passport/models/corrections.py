"""What a patient asks a hospital to put right, and how far that is."""

import uuid

from django.db import models

from passport.models.patients import Patient


class CorrectionRequest(models.Model):
    """The patient, or who stands in for them, says that an entry is wrong. Changed in `passport.corrections` only.

    The entry is named by its hospital and its source uuid, not by its key: that one changes when the source is
    restored. What the entry says is not in here; `fingerprint` is a hash that tells whether the source still says it.
    """

    class Reason(models.TextChoices):
        WRONG = "wrong", "what it says is wrong"
        NOT_MINE = "not_mine", "it is not about this person"
        DATE = "date", "the date is wrong"
        TWICE = "twice", "it is there twice"
        MISSING = "missing", "something is missing in it"
        OTHER = "other", "something else"

    class State(models.TextChoices):
        ASKED = "asked", "asked"
        SENT = "sent", "the hospital was told"
        ANSWERED = "answered", "answered"
        DECLINED = "declined", "declined"
        CHANGED = "changed", "changed at the source"
        WITHDRAWN = "withdrawn", "withdrawn by the patient"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="corrections")
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="corrections")
    table = models.CharField(max_length=20)
    source_id = models.BigIntegerField(help_text="When it was asked; the hospital finds the row by it.")
    source_uuid = models.CharField(max_length=60, help_text="`row_name`: survives a restored source.")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    words = models.CharField(max_length=500, blank=True)
    asked_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    state_at = models.DateTimeField()
    answer = models.CharField(max_length=500, blank=True, help_text="To the patient.")
    answered_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")

    fingerprint = models.CharField(max_length=64, help_text="Of what the source said when it was asked.")
    config_version = models.PositiveIntegerField(help_text="The hospital's settings under which it was read so.")
    checked_at = models.DateTimeField(help_text="What was read from the source until then has been compared.")
    n_mail_tries = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True)
    mail_at = models.DateTimeField(null=True, help_text="When the hospital may be written to; null: it was told.")

    class Meta:
        indexes = [
            models.Index(fields=["patient", "-asked_at"], name="passport_correction_patient"),
            models.Index(fields=["state", "hospital"], name="passport_correction_state"),
        ]

    def __str__(self) -> str:
        return f"Correction asked for {self.asked_at:%Y-%m-%d %H:%M} UTC"
