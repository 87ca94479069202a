"""Where a hospital's records office is told that requests of patients wait."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0003_hospital_is_watched"),
    ]

    operations = [
        migrations.AddField(
            model_name="hospital",
            name="corrections_email",
            field=models.EmailField(
                blank=True,
                help_text="Of the records office. It is told how many requests of patients wait, and nothing about anybody. Empty: they stand in the list alone.",
                max_length=254,
                verbose_name="address for corrections",
            ),
        ),
    ]
