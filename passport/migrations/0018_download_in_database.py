"""Copies of everything lie in the database: a worker's disk is not the web's where there are several machines."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0017_hash_recovery_codes"),
    ]

    operations = [
        migrations.AddField(
            model_name="download",
            name="n_bytes",
            field=models.PositiveBigIntegerField(default=0, help_text="Of the file."),
        ),
        migrations.CreateModel(
            name="DownloadPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "download",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="parts", to="passport.download"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("download", "number"), name="passport_download_part")],
            },
        ),
    ]
