"""Whether a hospital's sync begins within seconds when something changes there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0002_hospital_pace_and_quiet_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="hospital",
            name="is_watched",
            field=models.BooleanField(
                default=True,
                help_text="Read within seconds when something changes. The schedule reads it all the same.",
                verbose_name="watched",
            ),
        ),
    ]
