"""Plain words for concepts, where an admin has better ones than those that come with the passport."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("passport", "0006_standing_of_patients")]

    operations = [
        migrations.CreateModel(
            name="GlossaryTerm",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "concept_uuid",
                    models.CharField(
                        help_text="The concept's uuid, as the hospitals have it.",
                        max_length=38,
                        verbose_name="concept",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        blank=True, help_text="The name in the dictionary, for whoever edits this.", max_length=255
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        choices=[("en", "English"), ("fr", "français"), ("rw", "Ikinyarwanda")], max_length=2
                    ),
                ),
                ("words", models.CharField(help_text="What a neighbour would say.", max_length=200)),
                (
                    "more",
                    models.CharField(
                        blank=True,
                        help_text="One or two sentences. May be empty.",
                        max_length=500,
                        verbose_name="explanation",
                    ),
                ),
                (
                    "is_reviewed",
                    models.BooleanField(
                        default=False, help_text="A speaker of the language has read it.", verbose_name="reviewed"
                    ),
                ),
                ("changed_at", models.DateTimeField(editable=False)),
            ],
            options={
                "verbose_name": "plain word",
                "constraints": [
                    models.UniqueConstraint(fields=("concept_uuid", "language"), name="passport_glossary_one_term")
                ],
            },
        ),
    ]
