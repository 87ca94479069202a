"""What the engine remembers between looks."""

import uuid

from django.db import models


class ControlState(models.Model):
    """Start, stop and interval for all hospitals; one row.

    Absent until start, stop or an interval was set: until then the environment counts (see `control`).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    is_running = models.BooleanField()
    interval_minutes = models.PositiveIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="openmrs_sync_interval",
                condition=models.Q(interval_minutes__gte=1) & models.Q(interval_minutes__lte=1440),
            )
        ]


class Heartbeat(models.Model):
    """The last time something was done: a tick executed, old runs deleted; a cluster's word that it is at work."""

    name = models.CharField(max_length=120, primary_key=True)
    at = models.DateTimeField()


class Claim(models.Model):
    """Who may write for a hospital now. Taken by one guarded update; a killed holder frees it by time."""

    hospital = models.OneToOneField(
        "hospitals.Hospital", primary_key=True, on_delete=models.CASCADE, related_name="claim"
    )
    token = models.BigIntegerField(default=0, help_text="Grows with every claim; every write names it.")
    lease_until = models.DateTimeField(null=True, blank=True, help_text="Null: free.")


class Breaker(models.Model):
    """Back-off per hospital. Closed: tried when due. Open: not before `retry_at`. Half open: one try under way."""

    class State(models.TextChoices):
        CLOSED = "closed", "closed"
        OPEN = "open", "open"
        HALF_OPEN = "half_open", "half open"

    hospital = models.OneToOneField(
        "hospitals.Hospital", primary_key=True, on_delete=models.CASCADE, related_name="breaker"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.CLOSED)
    n_failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    last_error_kind = models.CharField(max_length=30, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True, help_text="Start of the last look that succeeded.")
    last_try_at = models.DateTimeField(null=True, blank=True)


class Watermark(models.Model):
    """What the watcher saw last at a hospital. Moves only in the transaction that stores the marks it stands for."""

    hospital = models.OneToOneField(
        "hospitals.Hospital", primary_key=True, on_delete=models.CASCADE, related_name="watermark"
    )
    epoch = models.PositiveSmallIntegerField(default=1)
    heads = models.JSONField(default=dict, help_text='{"obs": {"mark": 2576, "window": [ids seen just below it]}, …}')
    anchors = models.JSONField(default=list, help_text='[["obs", 17, uuid], …]: old rows that must stay themselves.')
    n_identifiers = models.BigIntegerField(default=0, help_text="Identifiers of the chosen types at the last look.")
    still = models.JSONField(default=dict, help_text="What the last census came to, and of what: see `stillness`.")
    deep_at = models.DateTimeField(null=True, blank=True)
    deep_cursor = models.JSONField(default=dict, help_text="Where the rotating parts of the deep look go on.")
    voided_obs = models.BinaryField(null=True, help_text="Compressed set of voided obs ids at the last deep look.")
    stamps = models.JSONField(default=dict, help_text="Largest change stamp seen per small table, source's local time.")
    dictionaries = models.BinaryField(null=True, help_text="Compressed {dictionary: {id: hash}}.")
    persons = models.JSONField(default=dict, help_text="Patients there: voided, unlinked, held, linked, …")
    losses = models.JSONField(default=list, help_text="[[UTC seconds, records gone, links ended], …] for the brake.")
    losses_accepted_at = models.DateTimeField(null=True, blank=True)
    is_brake_suspended = models.BooleanField(
        default=False, help_text="An admin confirmed what the brake stopped; until one whole pass has succeeded."
    )


class SyncRun(models.Model):
    """One try at one hospital: what it read, what it changed, how it ended."""

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "schedule"
        WATCH = "watch", "watch"
        ADMIN = "admin", "admin"
        API = "api", "API"
        COMMAND = "command", "command"
        PATIENT = "patient", "one patient"

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        OK = "ok", "ok"
        QUIET = "quiet", "quiet"
        FAILED = "failed", "failed"
        BUSY = "busy", "busy"
        SKIPPED = "skipped", "skipped"
        INTERRUPTED = "interrupted", "interrupted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="runs")
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    status = models.CharField(max_length=12, choices=Status.choices)
    error_kind = models.CharField(max_length=30, null=True, blank=True)  # noqa: DJ001 - null in the contract
    message = models.TextField(blank=True, help_text="One sentence with the next step. Never a name or value.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    token = models.BigIntegerField(default=0)
    worker = models.CharField(
        max_length=100, blank=True, help_text="The cluster whose worker has it: when that one dies, so did this run."
    )
    is_full = models.BooleanField(default=False)
    is_deep = models.BooleanField(default=False)  # looks deep, whenever the last deep look was
    n_persons = models.PositiveIntegerField(default=0)
    n_read = models.PositiveIntegerField(default=0)
    n_created = models.PositiveIntegerField(default=0)
    n_updated = models.PositiveIntegerField(default=0)
    n_withdrawn = models.PositiveIntegerField(default=0)
    n_unchanged = models.PositiveIntegerField(default=0)
    n_parked = models.PositiveIntegerField(default=0)
    n_excluded = models.PositiveIntegerField(default=0)
    n_source_rows = models.PositiveBigIntegerField(default=0, help_text="Rows fetched from the source in all.")
    source_seconds = models.FloatField(default=0, help_text="Seconds spent waiting for the source.")
    seconds = models.FloatField(default=0)
    journal = models.JSONField(default=dict, help_text="Phases, tables, receipt; see `journal`.")

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["hospital", "-started_at"], name="openmrs_sync_run_latest")]

    def __str__(self) -> str:
        return f"Run {self.id}"


class ParkedRow(models.Model):
    """A source row that could not become a record. Replaced together with its link's mark, so never dropped."""

    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="parked_rows")
    link = models.ForeignKey("passport.Link", on_delete=models.CASCADE, related_name="parked_rows")
    table = models.CharField(max_length=20)
    source_id = models.BigIntegerField()
    reason = models.CharField(max_length=40)
    attempts = models.PositiveIntegerField(default=1)
    parked_at = models.DateTimeField(help_text="When it was first parked.")
    tried_at = models.DateTimeField()
    next_try_at = models.DateTimeField(
        null=True, blank=True, help_text="Its person is read again by then at the latest. Empty: with the next run."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["link", "table", "source_id"], name="openmrs_sync_parked_source")
        ]
        indexes = [models.Index(fields=["hospital", "next_try_at"], name="openmrs_sync_parked_due")]


class ReceiptDay(models.Model):
    """A hospital's receipt at the end of a day, by the hospital's calendar: the last run of the day leaves it there."""

    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="receipt_days")
    day = models.DateField()
    read_at = models.DateTimeField(help_text="End of the run that left it.")
    n_source = models.PositiveBigIntegerField(default=0)
    n_stored = models.PositiveBigIntegerField(default=0)
    n_parked = models.PositiveBigIntegerField(default=0)
    n_excluded = models.PositiveBigIntegerField(default=0)
    n_unexplained = models.PositiveBigIntegerField(default=0)
    persons = models.JSONField(default=dict, help_text="As in a receipt: voided, unlinked, held, linked, …")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hospital", "day"], name="openmrs_sync_receipt_day")]


class Inspection(models.Model):
    """A look at a hospital that changes nothing, there or here: a receipt counted afresh, or a dry run.

    Done in parts: `progress` says where to go on, and each worker that takes it counts `n_tries` up and writes only
    under its own.
    """

    class Kind(models.TextChoices):
        VERIFY = "verify", "count afresh"
        DRY_RUN = "dry_run", "dry run"
        CONCEPTS = "concepts", "concepts without a category"

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("hospitals.Hospital", on_delete=models.CASCADE, related_name="inspections")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    error_kind = models.CharField(max_length=30, blank=True)
    message = models.TextField(blank=True, help_text="One sentence with the next step. Never a name or value.")
    asked_at = models.DateTimeField()
    alive_at = models.DateTimeField(help_text="The last sign of life of whoever has it.")
    finished_at = models.DateTimeField(null=True, blank=True)
    n_tries = models.PositiveIntegerField(default=0, help_text="How often a worker took it.")
    n_deaths = models.PositiveIntegerField(default=0, help_text="How often a worker died of it.")
    n_done = models.PositiveIntegerField(default=0, help_text="Persons.")
    n_all = models.PositiveIntegerField(default=0, help_text="Persons; 0: not known yet.")
    n_source_rows = models.PositiveBigIntegerField(default=0, help_text="Rows fetched from the source in all.")
    source_seconds = models.FloatField(default=0, help_text="Seconds spent waiting for the source.")
    config_version = models.PositiveIntegerField(default=0, help_text="The hospital's, when it began.")
    progress = models.JSONField(default=dict)
    result = models.JSONField(default=dict)

    class Meta:
        ordering = ["-asked_at"]
        indexes = [models.Index(fields=["hospital", "kind", "-asked_at"], name="openmrs_sync_inspection_latest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.id}"


class Alert(models.Model):
    """Something that a human should know, from the look that first saw it to the first one that did not any more."""

    class Kind(models.TextChoices):
        SILENT = "silent", "hospital silent"
        BREAKER = "breaker_open", "hospital not reached"
        STOPPED = "stopped", "hospital stopped"
        GRANTS = "grants_changed", "grants changed"
        UNEXPLAINED = "unexplained", "rows unexplained"
        PARKED = "parked_growing", "parked rows growing"
        WORKER = "worker_dead", "worker not at work"
        DISK = "disk_low", "disk nearly full"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    hospital = models.ForeignKey("hospitals.Hospital", null=True, on_delete=models.CASCADE, related_name="alerts")
    open_key = models.CharField(  # noqa: DJ001 - null: over. An empty text could stand there once only
        max_length=60, null=True, unique=True, help_text="Kind and hospital while it lasts: one of each at a time."
    )
    details = models.JSONField(default=dict, help_text="Counts and kinds of errors. Never a name or value.")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When its beginning was told everywhere.")
    told_end_at = models.DateTimeField(null=True, help_text="When its end was told everywhere.")
    n_tries = models.PositiveIntegerField(default=0, help_text="Failed tries to tell, since the last success.")
    next_tell_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-began_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.id}"


class ConceptRule(models.Model):
    """The admin's word on a concept: its category, or that its rows are hidden. Comes before class and datatype."""

    hospital = models.ForeignKey(
        "hospitals.Hospital",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        help_text="Empty: at every hospital.",
    )
    concept_uuid = models.CharField(max_length=38)
    category = models.CharField(max_length=10, blank=True, help_text="Empty: leave the category as it is.")
    is_hidden = models.BooleanField(default=False, help_text="Rows of this concept are excluded as hidden_by_admin.")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hospital", "concept_uuid"], name="openmrs_sync_rule_concept"),
            models.UniqueConstraint(
                fields=["concept_uuid"],
                name="openmrs_sync_rule_everywhere",
                condition=models.Q(hospital__isnull=True),
            ),
        ]
