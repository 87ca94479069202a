"""What a patient gives out: links to their summary, who opened them, and copies of everything for themselves."""

import uuid

from django.db import models

from passport.models.patients import Patient


class Share(models.Model):
    """A link, or the code on an emergency card, that opens a summary. What it shows is decided when it is opened.

    `token` is in the address that reaches us; the key is not, and is kept sealed. Made and opened in
    `passport.sharing` only.
    """

    class Kind(models.TextChoices):
        LINK = "link", "link"
        CARD = "card", "emergency card"

    class Why(models.TextChoices):
        REVOKED = "revoked", "ended by the patient"
        GUESSED = "guessed", "closed after wrong passcodes"
        REPLACED = "replaced", "a newer card took its place"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="shares")
    kind = models.CharField(max_length=4, choices=Kind.choices, default=Kind.LINK)
    token = models.CharField(max_length=43, unique=True, help_text="256 random bits in base64url.")
    key_sealed = models.TextField(help_text="The key of what is handed out; never in an address that reaches us.")
    passcode_hash = models.CharField(max_length=128, blank=True, help_text="Empty: the key alone opens it.")
    label = models.CharField(max_length=80, blank=True)
    categories = models.JSONField(default=list, help_text="Kinds of entry that are shown.")
    hospitals = models.JSONField(null=True, help_text="Ids of hospitals that are shown; null: all, also later ones.")
    sensitive = models.JSONField(default=list, help_text="Sensitive sets that are shown.")
    with_hidden = models.BooleanField(default=False, help_text="Also what the patient keeps from doctors.")
    most_openings = models.PositiveSmallIntegerField(null=True, help_text="Null: as many as wished.")
    n_openings = models.PositiveIntegerField(default=0)
    n_wrong = models.PositiveSmallIntegerField(default=0, help_text="Wrong passcodes, and tries under way.")
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=10, choices=Why.choices, blank=True)

    class Meta:
        indexes = [models.Index(fields=["patient", "-created_at"], name="passport_share_patient")]

    def __str__(self) -> str:
        return f"Share {self.id}"


class ShareOpening(models.Model):
    """One try to open a share: what the recipient called themselves, and what came of it."""

    class Outcome(models.TextChoices):
        OPENED = "opened", "opened"
        WRONG = "wrong", "wrong passcode"
        CLOSED = "closed", "no longer open"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    share = models.ForeignKey(Share, on_delete=models.CASCADE, related_name="openings")
    at = models.DateTimeField()
    recipient = models.CharField(max_length=100, help_text="As they said; nobody checks it.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    fetched_at = models.DateTimeField(null=True, help_text="When what was not embedded was collected.")

    class Meta:
        indexes = [models.Index(fields=["share", "-at"], name="passport_share_opening")]

    def __str__(self) -> str:
        return f"Opening {self.id}"


class Download(models.Model):
    """A copy of everything for the patient, made by a worker in the background: asked for, made, fetched, deleted.

    The file is its parts: in our database, because the machine that makes it is seldom the one that hands it out.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "being made"
        DONE = "done", "ready"
        FAILED = "failed", "failed"
        GONE = "gone", "deleted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="downloads")
    language = models.CharField(max_length=10, blank=True)
    sensitive = models.JSONField(default=list, help_text="Sensitive sets that are in the PDF too.")
    with_hidden = models.BooleanField(default=False, help_text="The PDF also has what the patient keeps from doctors.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    n_done = models.PositiveIntegerField(default=0)
    n_all = models.PositiveIntegerField(default=0)
    n_tries = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField()
    alive_at = models.DateTimeField()
    made_at = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField(null=True)
    n_bytes = models.PositiveBigIntegerField(default=0, help_text="Of the file.")

    class Meta:
        indexes = [
            models.Index(fields=["patient", "-asked_at"], name="passport_download_patient"),
            models.Index(fields=["status", "alive_at"], name="passport_download_status"),
        ]

    def __str__(self) -> str:
        return f"Download {self.id}"


class DownloadPart(models.Model):
    """A piece of a download's file; in the order of `number` they are the whole."""

    download = models.ForeignKey(Download, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["download", "number"], name="passport_download_part")]

    def __str__(self) -> str:
        return f"Part {self.number} of {self.download_id}"
