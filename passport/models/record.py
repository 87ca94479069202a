"""One line of a patient's history. May live in MongoDB, so: no foreign key, no join, no unique field but the key."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

#: `order_at` of a record without a usable date: sorts after every dated one.
UNDATED = -(2**53)

#: One letter per source table, part of the key.
TABLE_CODES = {
    "obs": "o",
    "encounter": "e",
    "visit": "v",
    "encounter_diagnosis": "d",
    "conditions": "c",
    "orders": "r",
    "allergy": "a",
}


def record_key(*, number: int, epoch: int, table: str, source_id: int) -> str:
    """The key of the record of one source row: hospital number, epoch, table, source id; 17 characters."""
    return f"{key_prefix(number=number, epoch=epoch)}{TABLE_CODES[table]}{source_id:010d}"


def key_prefix(*, number: int, epoch: int) -> str:
    """The first six characters of a hospital's keys. Two digits of the epoch: of a hundred ago nothing is left."""
    return f"{number:04d}{epoch % 100:02d}"


class Category(models.TextChoices):
    CONDITION = "condition", "Condition"
    MEDICATION = "medication", "Medicine"
    TEST = "test", "Test"
    VITAL = "vital", "Vital sign"
    VISIT = "visit", "Visit"
    ALLERGY = "allergy", "Allergy"
    OTHER = "other", "Other"


class Record(models.Model):
    """What one source row says, rendered: names, units and times as shown. Written by `openmrs_sync.stores` only."""

    key = models.CharField(primary_key=True, max_length=17, db_column="_id")
    link_id = models.UUIDField()
    patient_id = models.UUIDField()
    hospital_id = models.UUIDField()
    table = models.CharField(max_length=20)
    source_id = models.BigIntegerField()
    source_uuid = models.CharField(max_length=38)

    category = models.CharField(max_length=10, choices=Category.choices)
    category_rule = models.CharField(max_length=60)
    concept_id = models.BigIntegerField(null=True)
    concept_uuid = models.CharField(max_length=38)
    concept = models.TextField()
    value = models.TextField()
    value_number = models.FloatField(null=True)
    unit = models.CharField(max_length=50)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    flag = models.CharField(max_length=20, null=True)  # noqa: DJ001 - null is "not known", no flag is not "normal"

    status = models.CharField(max_length=10)  # current, withdrawn
    withdrawn_reason = models.CharField(max_length=30)
    at_local = models.CharField(max_length=19, null=True)  # noqa: DJ001 - the hospital's clock: YYYY-MM-DD HH:MM:SS
    order_at = models.BigIntegerField()  # UTC seconds, for order only; UNDATED when at_local is null
    visit_id = models.BigIntegerField(null=True)
    encounter_id = models.BigIntegerField(null=True)
    group_id = models.BigIntegerField(null=True)
    part_of = models.CharField(max_length=17, null=True)  # noqa: DJ001
    certainty = models.CharField(max_length=20, null=True)  # noqa: DJ001
    rank = models.IntegerField(null=True)
    provider = models.TextField()
    provider_uuid = models.CharField(max_length=38)
    location = models.TextField()
    entered_at_local = models.CharField(max_length=19, null=True)  # noqa: DJ001
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    received_at = models.DateTimeField()
    digest = models.BigIntegerField()
    token = models.BigIntegerField()

    class Meta:
        indexes = [
            # One for all uses, as every index slows a first sync: what a refresh compares with (by link), a history
            # (the links of a patient, newest first), and whether any of its records has changed (token, digest).
            models.Index(fields=["link_id", "-order_at", "-key", "token", "digest"], name="passport_record_of_link"),
        ]

    def __str__(self) -> str:
        return self.key
