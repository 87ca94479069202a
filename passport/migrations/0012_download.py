"""Copies of everything, made in the background for the patient."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0011_share"),
    ]

    operations = [
        migrations.CreateModel(
            name="Download",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("language", models.CharField(blank=True, max_length=10)),
                ("sensitive", models.JSONField(default=list, help_text="Sensitive sets that are in the PDF too.")),
                (
                    "with_hidden",
                    models.BooleanField(
                        default=False, help_text="The PDF also has what the patient keeps from doctors."
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "being made"),
                            ("done", "ready"),
                            ("failed", "failed"),
                            ("gone", "deleted"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("n_done", models.PositiveIntegerField(default=0)),
                ("n_all", models.PositiveIntegerField(default=0)),
                ("n_tries", models.PositiveSmallIntegerField(default=0)),
                ("asked_at", models.DateTimeField()),
                ("alive_at", models.DateTimeField()),
                ("made_at", models.DateTimeField(null=True)),
                ("fetched_at", models.DateTimeField(null=True)),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="downloads", to="passport.patient"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["patient", "-asked_at"], name="passport_download_patient"),
                    models.Index(fields=["status", "alive_at"], name="passport_download_status"),
                ],
            },
        ),
    ]
