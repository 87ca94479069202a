"""Who wants to be told, outside of the pages, of what is new."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0013_correction_request"),
    ]

    operations = [
        migrations.CreateModel(
            name="NewsNotice",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("by", models.CharField(choices=[("mail", "e-mail"), ("sms", "SMS")], max_length=4)),
                ("language", models.CharField(blank=True, help_text="Of the pages when it was chosen.", max_length=10)),
                ("links", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("told_until", models.DateTimeField(help_text="What came in later has not been told.")),
                ("looked_at", models.DateTimeField(help_text="What was read until then has been looked at.")),
                ("sent_at", models.DateTimeField(null=True)),
                ("n_failures", models.PositiveSmallIntegerField(default=0)),
                ("next_try_at", models.DateTimeField(null=True)),
                (
                    "patient",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="news_notice", to="passport.patient"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["looked_at"], name="passport_notice_looked_at")],
            },
        ),
    ]
