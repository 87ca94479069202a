"""A run may be asked to look deep, whenever the last deep look was."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openmrs_sync", "0008_alert"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="is_deep",
            field=models.BooleanField(default=False),
        ),
    ]
