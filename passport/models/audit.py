"""The hash chain: what happened, by whom, to whom. Rows are added by `passport.audit` only and never change."""

from django.db import models


class AuditEvent(models.Model):
    """One link of the chain. No foreign keys: an audit row outlives what it speaks of.

    `hash` is the HMAC of every other field and of the previous row's hash, so any later change shows.
    """

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    action = models.CharField(max_length=60)
    actor_id = models.UUIDField(null=True)
    actor_role = models.CharField(max_length=20)
    patient_id = models.UUIDField(null=True)
    hospital_id = models.UUIDField(null=True)
    basis = models.CharField(max_length=40)  # why it was allowed, or why it was refused
    details = models.JSONField(default=dict)  # counts and ids; never a name, number or value
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["patient_id", "seq"], name="passport_audit_patient"),
            models.Index(fields=["action", "seq"], name="passport_audit_action"),
        ]


class AuditHead(models.Model):
    """The end of the chain; one row, locked by every writer so that the chain cannot fork."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)
