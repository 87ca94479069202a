"""What a human should know, from its beginning to its end."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0001_initial"),
        ("openmrs_sync", "0007_inspection"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("silent", "hospital silent"),
                            ("breaker_open", "hospital not reached"),
                            ("stopped", "hospital stopped"),
                            ("grants_changed", "grants changed"),
                            ("unexplained", "rows unexplained"),
                            ("parked_growing", "parked rows growing"),
                            ("worker_dead", "worker not at work"),
                            ("disk_low", "disk nearly full"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "open_key",
                    models.CharField(
                        help_text="Kind and hospital while it lasts: one of each at a time.",
                        max_length=60,
                        null=True,
                        unique=True,
                    ),
                ),
                (
                    "details",
                    models.JSONField(default=dict, help_text="Counts and kinds of errors. Never a name or value."),
                ),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(help_text="When its beginning was told everywhere.", null=True)),
                ("told_end_at", models.DateTimeField(help_text="When its end was told everywhere.", null=True)),
                (
                    "n_tries",
                    models.PositiveIntegerField(default=0, help_text="Failed tries to tell, since the last success."),
                ),
                ("next_tell_at", models.DateTimeField(null=True)),
                (
                    "hospital",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alerts",
                        to="hospitals.hospital",
                    ),
                ),
            ],
            options={"ordering": ["-began_at"]},
        ),
    ]
