"""Who at a hospital is a passport patient, and what humans decided about it."""

import uuid

from django.db import models


class LinkState(models.TextChoices):
    LINKED = "linked", "linked"
    HELD = "held", "held: a contradiction, a human decides"
    UNLINKED = "unlinked", "unlinked: a human decided it is someone else"
    ENDED = "ended", "ended: the number no longer leads to the patient"


class Link(models.Model):
    """This person at this hospital is that patient.

    Only links in state *linked* show records: history reads ask for them first and filter records by link and patient,
    so any other state hides everything in the one commit that sets it.

    Stale means `marks != fresh_marks`, or `fresh_config_version` is not the hospital's. A refresh reads `marks` before
    its snapshot and stores that value when it is done: a mark set meanwhile is kept.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.PROTECT, related_name="links")
    epoch = models.PositiveSmallIntegerField(default=1)
    person_id = models.BigIntegerField()
    person_uuid = models.CharField(max_length=38)
    patient = models.ForeignKey("passport.Patient", on_delete=models.PROTECT, related_name="links")
    state = models.CharField(max_length=10, choices=LinkState.choices)
    reason = models.CharField(max_length=40, blank=True, help_text="Why it is in this state: a word of `matcher`.")
    candidates = models.JSONField(default=list, blank=True, help_text="Patient ids, when the numbers lead to several.")
    is_voided = models.BooleanField(default=False, help_text="The person or patient is voided at the hospital.")
    created_at = models.DateTimeField()
    state_changed_at = models.DateTimeField()

    marks = models.BigIntegerField(default=1)
    fresh_marks = models.BigIntegerField(default=0)
    fresh_config_version = models.PositiveIntegerField(default=0)
    is_urgent = models.BooleanField(default=False, help_text="Someone waits for it: goes first.")
    stale_since = models.DateTimeField(null=True, blank=True, help_text="For display only.")
    refreshed_at = models.DateTimeField(null=True, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True, help_text="Set by a failed refresh of this person.")
    n_failures = models.PositiveIntegerField(default=0)
    inflight = models.BigIntegerField(default=0, help_text="Claim token of the refresh under way.")
    min_token = models.BigIntegerField(default=0, help_text="Reads ignore records written under a smaller claim token.")

    n_source = models.PositiveIntegerField(default=0)
    n_stored = models.PositiveIntegerField(default=0)
    n_parked = models.PositiveIntegerField(default=0)
    n_unexplained = models.IntegerField(default=0)
    balance = models.JSONField(
        default=dict,
        help_text='{"obs": {"source": 9, "stored": 7, "parked": 0, "excluded": {"voided": 2}}, …}',
    )
    fingerprint = models.JSONField(
        default=dict,
        help_text='Ids read at the last refresh: {"obs": [count, sum of ids, sum of CRC32(id)], …}',
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hospital", "epoch", "person_id"], name="passport_link_person"),
        ]
        indexes = [
            models.Index(fields=["patient", "state"], name="passport_link_patient"),
            # all that says who is due: the rows, with their balances, are twenty times as much to walk at every tick
            models.Index(
                fields=["hospital", "state", "refreshed_at", "epoch", "marks", "fresh_marks", "fresh_config_version"],
                name="passport_link_due",
            ),
        ]

    def __str__(self) -> str:
        return f"Link {self.id}"


class LinkDecision(models.Model):
    """What a human decided about a person and a patient. Remembered by uuid, so it outlives links and epochs."""

    class Verdict(models.TextChoices):
        SAME = "same", "the same human"
        DIFFERENT = "different", "not the same human"

    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.PROTECT, related_name="+")
    person_uuid = models.CharField(max_length=38)
    patient = models.ForeignKey("passport.Patient", on_delete=models.CASCADE, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    note = models.CharField(max_length=500, blank=True)
    decided_by = models.ForeignKey("passport.User", null=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["hospital", "person_uuid"], name="passport_decision_person")]


class IdentityMove(models.Model):
    """One for each change of who holds which number, or of which person is whom. Written by the database itself, by
    triggers on `PatientIdentifier` and `Link`: whoever changes a row, by whatever way, leaves one in the same commit.

    Says only that something moved; ids are never used again.
    """

    id = models.BigAutoField(primary_key=True)
    hospital_id = models.UUIDField(null=True, help_text="Of the link; null: a passport's number, so every hospital.")
