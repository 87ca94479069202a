"""Hospital, the sites it has, and what the last tests of its connection said."""

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models


class TlsMode(models.TextChoices):
    VERIFIED = "verified", "encrypted, certificate verified"
    UNVERIFIED = "unverified", "encrypted, certificate not verified"
    NONE = "none", "not encrypted"


class HospitalState(models.TextChoices):
    DRAFT = "draft", "draft"
    TESTED = "tested", "tested"
    LIVE = "live", "live"
    PAUSED = "paused", "paused"
    RETIRED = "retired", "retired"


class Hospital(models.Model):
    """One hospital and its OpenMRS database.

    `number` is part of every record's key and is never used again. `config_version` grows with every change that alters
    how a row is rendered or matched (zone, locales, identifier types, rules): links behind it are stale.
    `epoch` grows when an admin says that the source was replaced; records of earlier epochs are shown to nobody.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveSmallIntegerField(unique=True, editable=False)
    code = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9-]{1,50}\Z", "Lower-case letters, digits and dashes only.")],
    )
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=HospitalState.choices, default=HospitalState.DRAFT)

    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(default=3306, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    database = models.CharField(max_length=64)
    username = models.CharField(max_length=80)
    password_sealed = models.TextField(
        blank=True,
        editable=False,
        help_text="Fernet text, or a reference: env:NAME, file:/path. See passport.secrets.",
    )
    tls_mode = models.CharField(max_length=10, choices=TlsMode.choices, default=TlsMode.VERIFIED)
    tls_ca = models.TextField(blank=True, help_text="The certificate authority in PEM form; empty: the system's.")

    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Of the hospital's OpenMRS, e.g. Africa/Kigali."
    )
    locales = models.JSONField(default=list, help_text='Languages of concept names, best first, e.g. ["en", "fr"].')
    national_id_types = models.JSONField(
        default=list, help_text="Names or uuids of the identifier types that hold the National ID."
    )
    national_id_type_uuids = models.JSONField(
        default=dict,
        editable=False,
        help_text="What the names were resolved to at first contact: {given: uuid}.",
    )
    sync_interval_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
        help_text="Empty: the general interval.",
    )
    sweep_hours = models.PositiveIntegerField(
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 31)],
        help_text="Everyone is read again within this many hours, whatever the hospital did.",
    )
    pace_rows_per_second = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="Rows a second that are read at most, on average, with pauses in between. Empty: as fast as it goes.",
    )
    quiet_from = models.TimeField(
        null=True,
        blank=True,
        help_text="By the hospital's clock. From then on nothing is read by itself; asked for by hand it still is.",
    )
    quiet_to = models.TimeField(
        null=True, blank=True, help_text="When the schedule goes on; earlier than the start means: the next day."
    )
    is_watched = models.BooleanField(
        "watched",
        default=True,
        help_text="Read within seconds when something changes. The schedule reads it all the same.",
    )

    corrections_email = models.EmailField(
        "address for corrections",
        blank=True,
        help_text="Of the records office. It is told how many requests of patients wait, and nothing about anybody. "
        "Empty: they stand in the list alone.",
    )

    epoch = models.PositiveSmallIntegerField(default=1, editable=False)
    config_version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="hospitals_hospital_port", condition=models.Q(port__gte=1) & models.Q(port__lte=65535)
            ),
            models.CheckConstraint(
                name="hospitals_hospital_interval",
                condition=models.Q(sync_interval_minutes__isnull=True)
                | (models.Q(sync_interval_minutes__gte=1) & models.Q(sync_interval_minutes__lte=1440)),
            ),
            models.CheckConstraint(
                name="hospitals_hospital_pace",
                condition=models.Q(pace_rows_per_second__isnull=True) | models.Q(pace_rows_per_second__gte=1),
            ),
            models.CheckConstraint(
                name="hospitals_hospital_quiet",
                condition=models.Q(quiet_from__isnull=True, quiet_to__isnull=True)
                | (
                    models.Q(quiet_from__isnull=False, quiet_to__isnull=False)
                    & ~models.Q(quiet_from=models.F("quiet_to"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.state == HospitalState.LIVE


class Location(models.Model):
    """A site of a hospital. Created by the sync. Source: OpenMRS table `location`."""

    hospital = models.ForeignKey(Hospital, on_delete=models.CASCADE, related_name="locations")
    location_id = models.BigIntegerField()
    uuid = models.CharField(max_length=38)
    name = models.CharField(max_length=255)
    parent_location_id = models.BigIntegerField(null=True)
    is_retired = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hospital", "location_id"], name="hospitals_location_source")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ConnectionTest(models.Model):
    """The steps of one "Test connection". `steps`: [{"name", "result": pass|fail|hint, "message"}]."""

    hospital = models.ForeignKey(Hospital, on_delete=models.CASCADE, related_name="connection_tests")
    at = models.DateTimeField()
    is_ok = models.BooleanField()
    steps = models.JSONField(default=list)
    identifier_types = models.JSONField(
        default=list,
        help_text="[{uuid, name, is_retired, n_live, n_parsing}]: so that the National ID is picked by fact.",
    )

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["hospital", "-at"], name="hospitals_test_latest")]
