"""Who is let into a record, and what of it is shown to whom. Decided upon in `passport.access` only."""

import uuid

from django.db import models

from passport.models.patients import Patient
from passport.models.record import Category


class SensitiveSet(models.TextChoices):
    """Sets of concepts that are left out for carers, in shares and in print, unless the patient chooses otherwise."""

    HIV = "hiv", "HIV"
    MENTAL_HEALTH = "mental_health", "mental health"
    VIOLENCE = "violence", "gender-based violence"
    PREGNANCY = "pregnancy", "pregnancy"


class AccessGrant(models.Model):
    """A patient's permission for one doctor, or for every doctor of one hospital, until it ends.

    A doctor's grant with a hospital counts only while they work there. `named` without a doctor is what the
    patient typed when nobody goes by that name: kept and listed like any other, so that nobody learns who has a login.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="grants")
    doctor = models.ForeignKey("passport.User", null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    hospital = models.ForeignKey("hospitals.Hospital", null=True, blank=True, on_delete=models.CASCADE)
    named = models.CharField(max_length=150, blank=True, editable=False, help_text="The doctor, as the patient wrote.")
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Ended by somebody before time.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="passport_grant_to_somebody",
                condition=models.Q(doctor__isnull=False) | models.Q(hospital__isnull=False),
                violation_error_message="Choose a doctor or a hospital.",
            )
        ]
        indexes = [models.Index(fields=["patient", "ends_at"], name="passport_grant_patient")]

    def __str__(self) -> str:
        return f"Permission {self.id}"


class Proxy(models.Model):
    """Someone who may read for the patient with a login of their own: a guardian or a carer, until it ends.

    Made by an admin with a reason, or by the patient with a code that the other enters: until then `carer` is null.
    """

    class Kind(models.TextChoices):
        GUARDIAN = "guardian", "guardian"
        CARER = "carer", "carer"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="proxies")
    carer = models.ForeignKey("passport.User", null=True, blank=True, on_delete=models.CASCADE, related_name="proxies")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.CARER)
    named = models.CharField(max_length=100, blank=True, help_text="What the patient calls this person.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why an admin made it.")
    sensitive = models.JSONField(default=list, blank=True, help_text="Sensitive sets that the patient lets them see.")
    code_hash = models.CharField(
        max_length=64, blank=True, db_index=True, help_text="SHA-256 of the code that is still to be used."
    )
    code_ends_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "proxies"
        indexes = [models.Index(fields=["patient", "ends_at"], name="passport_proxy_patient")]

    def __str__(self) -> str:
        return f"Proxy {self.id}"


class EmergencyAccess(models.Model):
    """A doctor broke the glass: the reason, the hour that follows, and what the data protection officer made of it.

    `patient` is null when nobody holds the number: such a try is kept and reviewed like any other.
    """

    class Outcome(models.TextChoices):
        JUSTIFIED = "justified", "justified"
        UNCLEAR = "unclear", "unclear: the doctor is asked"
        NOT_JUSTIFIED = "not_justified", "not justified: followed up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    doctor = models.ForeignKey("passport.User", on_delete=models.PROTECT, related_name="emergencies")
    hospital = models.ForeignKey("hospitals.Hospital", null=True, on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey(Patient, null=True, on_delete=models.CASCADE, related_name="emergencies")
    reason = models.CharField(max_length=1000)
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True, help_text="When the patient was told by mail.")
    seen_at = models.DateTimeField(null=True, help_text="When the patient said that they have read the notice.")
    reviewed_by = models.ForeignKey("passport.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=Outcome.choices, blank=True)
    review_note = models.CharField(max_length=1000, blank=True)

    class Meta:
        verbose_name_plural = "emergency accesses"
        indexes = [
            models.Index(fields=["doctor", "created_at"], name="passport_emergency_doctor"),
            models.Index(fields=["patient", "created_at"], name="passport_emergency_patient"),
        ]

    def __str__(self) -> str:
        return f"Emergency of {self.created_at:%Y-%m-%d %H:%M} UTC"


class Hide(models.Model):
    """What a patient does not want doctors and carers to see: one entry, a kind, a hospital, or a sensitive set.

    An entry is named by its source uuid, not by its key: that one changes when the source is restored, and a copy of
    the entry in a cloned database is hidden with it.
    """

    class Kind(models.TextChoices):
        RECORD = "record", "one entry"
        CATEGORY = "category", "a kind of entry"
        HOSPITAL = "hospital", "a hospital"
        SENSITIVE = "sensitive", "a sensitive set"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="hides")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    table = models.CharField(max_length=20, blank=True)
    source_uuid = models.CharField(max_length=60, blank=True)
    category = models.CharField(max_length=10, choices=Category.choices, blank=True)
    hospital = models.ForeignKey("hospitals.Hospital", null=True, blank=True, on_delete=models.CASCADE)
    sensitive_set = models.CharField(max_length=20, choices=SensitiveSet.choices, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="passport_hide_one_thing",
                condition=models.Q(kind="record") & ~models.Q(source_uuid="")
                | models.Q(kind="category") & ~models.Q(category="")
                | models.Q(kind="hospital", hospital__isnull=False)
                | models.Q(kind="sensitive") & ~models.Q(sensitive_set=""),
            )
        ]

    def __str__(self) -> str:
        return f"Hide {self.id}"


class SensitiveConcept(models.Model):
    """A concept of a sensitive set: by its uuid, or by the code that a hospital's dictionary maps it to."""

    sensitive_set = models.CharField("set", max_length=20, choices=SensitiveSet.choices)
    concept_uuid = models.CharField(max_length=38, blank=True)
    source = models.CharField(max_length=50, blank=True, help_text="Such as CIEL, LOINC, SNOMED CT.")
    code = models.CharField(max_length=50, blank=True)
    name = models.CharField(max_length=255, blank=True, help_text="For people; nothing is matched by it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sensitive_set", "concept_uuid", "source", "code"], name="passport_sensitive_concept_once"
            ),
            models.CheckConstraint(
                name="passport_sensitive_concept_named",
                condition=~models.Q(concept_uuid="") & models.Q(source="", code="")
                | models.Q(concept_uuid="") & ~models.Q(source="") & ~models.Q(code=""),
                violation_error_message="Give either a concept uuid, or a source and a code.",
            ),
        ]

    def __str__(self) -> str:
        return self.concept_uuid or f"{self.source}:{self.code}"
