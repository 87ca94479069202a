"""Links to a summary that a patient gives out, and who opened them."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0010_sensitive_ciel_concepts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Share",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("link", "link"), ("card", "emergency card")], default="link", max_length=4
                    ),
                ),
                ("token", models.CharField(help_text="256 random bits in base64url.", max_length=43, unique=True)),
                (
                    "key_sealed",
                    models.TextField(
                        help_text="The key of what is handed out; never in an address that reaches us."
                    ),
                ),
                (
                    "passcode_hash",
                    models.CharField(blank=True, help_text="Empty: the key alone opens it.", max_length=128),
                ),
                ("label", models.CharField(blank=True, max_length=80)),
                ("categories", models.JSONField(default=list, help_text="Kinds of entry that are shown.")),
                (
                    "hospitals",
                    models.JSONField(
                        help_text="Ids of hospitals that are shown; null: all, also later ones.", null=True
                    ),
                ),
                ("sensitive", models.JSONField(default=list, help_text="Sensitive sets that are shown.")),
                (
                    "with_hidden",
                    models.BooleanField(default=False, help_text="Also what the patient keeps from doctors."),
                ),
                ("most_openings", models.PositiveSmallIntegerField(help_text="Null: as many as wished.", null=True)),
                ("n_openings", models.PositiveIntegerField(default=0)),
                (
                    "n_wrong",
                    models.PositiveSmallIntegerField(default=0, help_text="Wrong passcodes, and tries under way."),
                ),
                ("created_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "ended_why",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("revoked", "ended by the patient"),
                            ("guessed", "closed after wrong passcodes"),
                            ("replaced", "a newer card took its place"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="shares", to="passport.patient"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["patient", "-created_at"], name="passport_share_patient")],
            },
        ),
        migrations.CreateModel(
            name="ShareOpening",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("recipient", models.CharField(help_text="As they said; nobody checks it.", max_length=100)),
                (
                    "outcome",
                    models.CharField(
                        choices=[("opened", "opened"), ("wrong", "wrong passcode"), ("closed", "no longer open")],
                        max_length=10,
                    ),
                ),
                (
                    "fetched_at",
                    models.DateTimeField(help_text="When what was not embedded was collected.", null=True),
                ),
                (
                    "share",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="openings", to="passport.share"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["share", "-at"], name="passport_share_opening")],
            },
        ),
    ]
