"""The codes that hospitals map their concepts to."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0001_initial"),
        ("passport", "0008_access_by_reason"),
    ]

    operations = [
        migrations.CreateModel(
            name="SourceConcept",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("concept_uuid", models.CharField(max_length=38)),
                (
                    "codes",
                    models.JSONField(
                        default=list,
                        help_text='[["LOINC", "8480-6"], …], sorted; sources as the engine spells them.',
                    ),
                ),
                (
                    "hospital",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="hospitals.hospital"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["concept_uuid"], name="passport_concept_uuid")],
                "constraints": [
                    models.UniqueConstraint(fields=("hospital", "concept_uuid"), name="passport_concept_of_hospital")
                ],
            },
        ),
    ]
