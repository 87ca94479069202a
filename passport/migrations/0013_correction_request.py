"""What patients ask hospitals to put right."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0004_hospital_corrections_email"),
        ("passport", "0012_download"),
    ]

    operations = [
        migrations.CreateModel(
            name="CorrectionRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("table", models.CharField(max_length=20)),
                ("source_id", models.BigIntegerField(help_text="When it was asked; the hospital finds the row by it.")),
                ("source_uuid", models.CharField(help_text="`row_name`: survives a restored source.", max_length=60)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("wrong", "what it says is wrong"),
                            ("not_mine", "it is not about this person"),
                            ("date", "the date is wrong"),
                            ("twice", "it is there twice"),
                            ("missing", "something is missing in it"),
                            ("other", "something else"),
                        ],
                        max_length=10,
                    ),
                ),
                ("words", models.CharField(blank=True, max_length=500)),
                ("asked_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("asked", "asked"),
                            ("sent", "the hospital was told"),
                            ("answered", "answered"),
                            ("declined", "declined"),
                            ("changed", "changed at the source"),
                            ("withdrawn", "withdrawn by the patient"),
                        ],
                        default="asked",
                        max_length=10,
                    ),
                ),
                ("state_at", models.DateTimeField()),
                ("answer", models.CharField(blank=True, help_text="To the patient.", max_length=500)),
                (
                    "fingerprint",
                    models.CharField(help_text="Of what the source said when it was asked.", max_length=64),
                ),
                (
                    "config_version",
                    models.PositiveIntegerField(help_text="The hospital's settings under which it was read so."),
                ),
                (
                    "checked_at",
                    models.DateTimeField(help_text="What was read from the source until then has been compared."),
                ),
                ("n_mail_tries", models.PositiveSmallIntegerField(default=0)),
                ("mailed_at", models.DateTimeField(null=True)),
                (
                    "mail_at",
                    models.DateTimeField(
                        help_text="When the hospital may be written to; null: it was told.", null=True
                    ),
                ),
                (
                    "answered_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "hospital",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="corrections", to="hospitals.hospital"
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="corrections", to="passport.patient"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["patient", "-asked_at"], name="passport_correction_patient"),
                    models.Index(fields=["state", "hospital"], name="passport_correction_state"),
                ],
            },
        ),
    ]
