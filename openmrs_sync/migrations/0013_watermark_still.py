"""What the last census came to is kept, so that it is taken again only when something moved."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openmrs_sync", "0012_heartbeat_of_clusters"),
    ]

    operations = [
        migrations.AddField(
            model_name="watermark",
            name="still",
            field=models.JSONField(
                default=dict, help_text="What the last census came to, and of what: see `stillness`."
            ),
        ),
    ]
